#include "serve/tls.h"
#include "base/file.h"
#include "base/mem.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#define PEM_MOST ((uint64_t)1 << 20)

static cxr_status read_text(char **out, const char *path, cxr_error *err)
{
    cxr_buf file = {0};
    const cxr_status st = cxr_buf_read(&file, path, PEM_MOST, err);
    if (st != CXR_OK) return st;
    *out = cxr_mem_printf("%.*s", (int)file.len, (const char *)file.data);
    explicit_bzero(file.data, file.len);
    cxr_buf_free(&file);
    return *out != NULL ? CXR_OK : cxr_mem_fail(err, path);
}

/* Without it OpenSSL would ask at the terminal. */
static int no_passphrase(char *out, int room, int writing, void *user)
{
    (void)out, (void)room, (void)writing, (void)user;
    return -1;
}

static X509 *certificate_of(const char *text)
{
    BIO *in = BIO_new_mem_buf(text, -1);
    X509 *certificate = in != NULL ? PEM_read_bio_X509(in, NULL, no_passphrase, NULL) : NULL;
    BIO_free(in);
    return certificate;
}

static EVP_PKEY *key_of(const char *text)
{
    BIO *in = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
    BIO_free(in);
    return key;
}

static cxr_status check_pair(const cxr_tls *t, const char *certificate_path, const char *key_path, cxr_error *err)
{
    X509 *certificate = certificate_of(t->certificate);
    EVP_PKEY *key = key_of(t->key);
    cxr_status st = CXR_OK;
    if (certificate == NULL)
        st = cxr_fail(err, CXR_EDATA, "%s: holds no certificate as PEM", certificate_path);
    else if (key == NULL)
        st = cxr_fail(err, CXR_EDATA, "%s: holds no key as PEM, or one under a passphrase", key_path);
    else if (X509_check_private_key(certificate, key) != 1)
        st = cxr_fail(err, CXR_EDATA, "%s: is not the key of the certificate in %s", key_path, certificate_path);
    EVP_PKEY_free(key);
    X509_free(certificate);
    ERR_clear_error();
    return st;
}

cxr_status cxr_tls_open(cxr_tls *t, const char *certificate, const char *key, cxr_error *err)
{
    *t = (cxr_tls){0};
    cxr_status st = read_text(&t->certificate, certificate, err);
    if (st == CXR_OK) st = read_text(&t->key, key, err);
    return st == CXR_OK ? check_pair(t, certificate, key, err) : st;
}

void cxr_tls_close(cxr_tls *t)
{
    if (t->key != NULL) explicit_bzero(t->key, strlen(t->key));
    cxr_mem_free(t->certificate);
    cxr_mem_free(t->key);
    *t = (cxr_tls){0};
}
