#include "base/hash.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void cxr_sha256_hex(const uint8_t digest[32], char hex[65])
{
    for (int i = 0; i < 32; i++) (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static void give_up(cxr_hash *h)
{
    EVP_MD_CTX_free(h->state);
    h->state = NULL;
}

void cxr_hash_begin(cxr_hash *h)
{
    h->state = EVP_MD_CTX_new();
    if (h->state != NULL && EVP_DigestInit_ex(h->state, EVP_sha256(), NULL) != 1) give_up(h);
}

void cxr_hash_bytes(cxr_hash *h, const void *data, size_t len)
{
    if (h->state != NULL && EVP_DigestUpdate(h->state, data, len) != 1) give_up(h);
}

void cxr_hash_text(cxr_hash *h, const char *text)
{
    cxr_hash_bytes(h, text, strlen(text) + 1);
}

cxr_status cxr_hash_end(cxr_hash *h, uint8_t digest[32], cxr_error *err)
{
    const bool ok = h->state != NULL && EVP_DigestFinal_ex(h->state, digest, NULL) == 1;
    give_up(h);
    return ok ? CXR_OK : cxr_fail(err, CXR_EINTERNAL, "SHA-256 failed");
}

cxr_status cxr_sha256(const void *data, size_t len, char hex[65], cxr_error *err)
{
    uint8_t digest[32];
    cxr_hash h;
    cxr_hash_begin(&h);
    cxr_hash_bytes(&h, data, len);
    const cxr_status st = cxr_hash_end(&h, digest, err);
    if (st == CXR_OK) cxr_sha256_hex(digest, hex);
    return st;
}

cxr_status cxr_sha256_file(const char *path, char hex[65], cxr_error *err)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) return cxr_fail(err, errno == ENOENT ? CXR_ENOINPUT : CXR_EIO, "%s: cannot open: %s", path, strerror(errno));
    uint8_t block[1 << 15], digest[32];
    cxr_hash h;
    cxr_hash_begin(&h);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) cxr_hash_bytes(&h, block, n);
    cxr_status st = cxr_hash_end(&h, digest, err);
    if (st == CXR_OK && ferror(f)) st = cxr_fail(err, CXR_EIO, "%s: cannot read for its SHA-256", path);
    if (st == CXR_OK) cxr_sha256_hex(digest, hex);
    (void)fclose(f);
    return st;
}
