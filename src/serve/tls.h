/* The server's certificate and its key, for https. */
#ifndef CXR_SERVE_TLS_H
#define CXR_SERVE_TLS_H
#include "cxr/cxr.h"

/* TLS 1.2 and 1.3 alone: RFC 8996 forbids what came before. GnuTLS' words. */
#define CXR_TLS_VERSIONS "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

typedef struct cxr_tls {
    char *certificate, *key; /* PEM, as text */
} cxr_tls;

/* Reads both files, each of at most 1 MiB. CXR_EDATA unless the first certificate is the key's; further ones are its chain. A key
 * under a passphrase is none: nobody is there to be asked. To be closed also after a failure. */
CXR_MUST_CHECK cxr_status cxr_tls_open(cxr_tls *t, const char *certificate, const char *key, cxr_error *err);
void cxr_tls_close(cxr_tls *t); /* wipes the key; safe on zeros */
#endif
