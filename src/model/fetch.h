/* Fetching a file whose hash is known. Internal; the address is an argument so that tests can serve it themselves. */
#ifndef CXR_MODEL_FETCH_H
#define CXR_MODEL_FETCH_H
#include "cxr/cxr.h"

typedef struct cxr_remote {
    const char *base;   /* "https://host/folder/" */
    const char *name;   /* of the file, there and here */
    const char *sha256; /* 64 hex digits, or the first few as torch.hub checks them */
    uint64_t size;      /* bytes; 0: unknown */
} cxr_remote;

/* cxr_fetch_weights for any file. What has arrived stays in NAME.part and is continued by the next call. */
CXR_MUST_CHECK cxr_status cxr_fetch(const cxr_remote *r, const char *dir, const char *proxy, const cxr_hooks *hooks,
                                    char **path, cxr_error *err);
#endif
