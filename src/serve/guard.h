/* Who may ask: checks of a request's headers that need nothing but the headers. Pure functions; tests/serve has their tables. */
#ifndef CXR_SERVE_GUARD_H
#define CXR_SERVE_GUARD_H
#include "cxr/cxr.h"

typedef struct cxr_guard {
    bool loopback, tls;       /* listens on this machine alone; speaks https */
    const char *const *hosts; /* further names */
    int host_count;
    bool has_token;
    uint8_t token[32]; /* SHA-256 */
} cxr_guard;

/* An address in digits, or "localhost", which is 127.0.0.1. False: it is none. */
bool cxr_address_read(const char *text, bool *loopback, bool *v6);
/* Whether a Host header names this server: a page elsewhere whose name was pointed at us (DNS rebinding) sends its own name. Digits
 * cannot be rebound: on loopback those of loopback pass, elsewhere any. */
bool cxr_guard_host(const cxr_guard *g, const char *host);
/* Whether a page of that origin may ask: only one that came from here; by https also where a proxy speaks it for a server that does
 * not, under a name that was given. NULL: not a page's request. */
bool cxr_guard_origin(const cxr_guard *g, const char *origin, const char *host);
/* Reads the token of a file's first line: 16 to 512 printable characters. */
CXR_MUST_CHECK cxr_status cxr_guard_read_token(cxr_guard *g, const char *path, cxr_error *err);
/* Whether an Authorization header carries the token, in a time that says nothing about it. True where none is asked for. */
bool cxr_guard_token(const cxr_guard *g, const char *authorization);
#endif
