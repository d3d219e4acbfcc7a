/* Records of equal size that are computed once: absent until put, copied in and out, in memory or in a file of a cache folder
 * that a later run with the same key finds again. A cache never fails its caller: what cannot be kept, or does not come back as
 * it was put, is absent. Any thread may get and put any record. */
#ifndef CXR_DATA_STORE_H
#define CXR_DATA_STORE_H
#include "cxr/cxr.h"

typedef struct cxr_store cxr_store;

typedef struct cxr_store_opts {
    const char *dir;  /* folder of the file, created; NULL: in memory                                  */
    const char *kind; /* begins the file's name: "pixels", "features"; lent until close                */
    uint8_t key[32];  /* SHA-256 of all that decides the records; names the file                       */
    size_t count, record_bytes;
    uint64_t max_bytes;     /* of memory: records beyond it are never kept, their pages never exist; 0: no limit */
    const cxr_hooks *hooks; /* told once, as a warning, why records are not kept; may be NULL; lent until close  */
} cxr_store_opts;

/* A file that cannot be made, or that would take more than half of the room left on its disk, gives a warning and a store that
 * keeps nothing. CXR_ELIMIT when the sizes overflow, CXR_ENOMEM when memory is exhausted. */
CXR_MUST_CHECK cxr_status cxr_store_open(cxr_store **out, const cxr_store_opts *o, cxr_error *err);
/* Whether record i was put: of a file, as its table says, until cxr_store_get finds it damaged. */
CXR_MUST_CHECK bool cxr_store_has(cxr_store *s, size_t i);
/* Copies record i to `record`; false: absent, and `record` holds anything. */
CXR_MUST_CHECK bool cxr_store_get(cxr_store *s, size_t i, void *record);
/* Replaces what was there. */
void cxr_store_put(cxr_store *s, size_t i, const void *record);
size_t cxr_store_present(cxr_store *s); /* of a file: as its table says, before a record's checksum is looked at */
void cxr_store_close(cxr_store **s);    /* accepts NULL and *s == NULL */
#endif
