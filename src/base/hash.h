/* SHA-256: of bytes, of a file, of several pieces. */
#ifndef CXR_BASE_HASH_H
#define CXR_BASE_HASH_H
#include "cxr/cxr.h"

/* 64 lower-case hex digits and a NUL. */
void cxr_sha256_hex(const uint8_t digest[32], char hex[65]);
CXR_MUST_CHECK cxr_status cxr_sha256(const void *data, size_t len, char hex[65], cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_sha256_file(const char *path, char hex[65], cxr_error *err);

/* In pieces: begin, any number of pieces, end. A failure on the way is told by the end, which must be called. */
typedef struct cxr_hash {
    void *state; /* NULL: it failed */
} cxr_hash;
void cxr_hash_begin(cxr_hash *h);
void cxr_hash_bytes(cxr_hash *h, const void *data, size_t len);
void cxr_hash_text(cxr_hash *h, const char *text); /* with its NUL, so that two texts are not one */
/* CXR_EINTERNAL when OpenSSL failed at any piece. */
CXR_MUST_CHECK cxr_status cxr_hash_end(cxr_hash *h, uint8_t digest[32], cxr_error *err);
#endif
