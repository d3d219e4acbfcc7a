#include "serve/guard.h"
#include "base/file.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#define NAME_ROOM   256
#define TOKEN_LEAST 16
#define TOKEN_MOST  512

/* ---- Addresses ---- */

static bool read_v4(const char *text, bool *loopback)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1) return false;
    *loopback = (ntohl(a.s_addr) >> 24) == 127;
    return true;
}

static bool read_v6(const char *text, bool *loopback)
{
    struct in6_addr a;
    if (inet_pton(AF_INET6, text, &a) != 1) return false;
    *loopback = IN6_IS_ADDR_LOOPBACK(&a) != 0;
    return true;
}

bool cxr_address_read(const char *text, bool *loopback, bool *v6)
{
    *v6 = false;
    if (strcmp(text, "localhost") == 0) return *loopback = true;
    if (read_v4(text, loopback)) return true;
    return *v6 = read_v6(text, loopback);
}

/* ---- Names ---- */

static bool is_port(const char *text)
{
    const size_t digits = strspn(text, "0123456789");
    return digits >= 1 && digits <= 5 && text[digits] == '\0';
}

/* Host or Host:port without the port and the brackets. */
static bool split_host(const char *host, char name[NAME_ROOM], bool *bracketed)
{
    *bracketed = host[0] == '[';
    const char *start = host + *bracketed;
    const char *end = *bracketed ? strchr(start, ']') : start + strcspn(start, ":");
    if (end == NULL || end == start || (size_t)(end - start) >= NAME_ROOM) return false;
    const char *rest = end + *bracketed;
    if (*rest != '\0' && (*rest != ':' || !is_port(rest + 1))) return false;
    memcpy(name, start, (size_t)(end - start));
    name[end - start] = '\0';
    return true;
}

static bool is_given(const cxr_guard *g, const char *name)
{
    for (int i = 0; i < g->host_count; i++)
        if (strcasecmp(name, g->hosts[i]) == 0) return true;
    return false;
}

bool cxr_guard_host(const cxr_guard *g, const char *host)
{
    char name[NAME_ROOM];
    bool bracketed = false, loopback = false;
    if (host == NULL || !split_host(host, name, &bracketed)) return false;
    if (bracketed ? read_v6(name, &loopback) : read_v4(name, &loopback)) return loopback || !g->loopback;
    if (bracketed) return false;
    return strcasecmp(name, "localhost") == 0 || is_given(g, name);
}

bool cxr_guard_origin(const cxr_guard *g, const char *origin, const char *host)
{
    static const char http[] = "http://", https[] = "https://";
    char name[NAME_ROOM];
    bool bracketed = false;
    if (origin == NULL) return true;
    if (host == NULL || !split_host(host, name, &bracketed)) return false;
    if (strncmp(origin, https, sizeof https - 1) == 0)
        return (g->tls || is_given(g, name)) && strcasecmp(origin + sizeof https - 1, host) == 0;
    return !g->tls && strncmp(origin, http, sizeof http - 1) == 0 && strcasecmp(origin + sizeof http - 1, host) == 0;
}

/* ---- Token ---- */

cxr_status cxr_guard_read_token(cxr_guard *g, const char *path, cxr_error *err)
{
    cxr_buf file = {0};
    const cxr_status st = cxr_buf_read(&file, path, 4096, err);
    if (st != CXR_OK) return st;
    size_t len = 0;
    while (len < file.len && isgraph(file.data[len])) len++;
    const bool ended = len == file.len || file.data[len] == '\n' || file.data[len] == '\r';
    g->has_token = ended && len >= TOKEN_LEAST && len <= TOKEN_MOST;
    if (g->has_token) (void)SHA256(file.data, len, g->token);
    OPENSSL_cleanse(file.data, file.len);
    cxr_buf_free(&file);
    if (g->has_token) return CXR_OK;
    return cxr_fail(err, CXR_EDATA, "%s: its first line must be a token of %d to %d printable characters without spaces", path,
                    TOKEN_LEAST, TOKEN_MOST);
}

bool cxr_guard_token(const cxr_guard *g, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    uint8_t digest[32];
    if (!g->has_token) return true;
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) return false;
    const char *token = authorization + sizeof scheme - 1;
    (void)SHA256((const uint8_t *)token, strlen(token), digest); /* digests are of one length, whatever was sent */
    return CRYPTO_memcmp(digest, g->token, sizeof digest) == 0;
}
