/* The images of a list, decoded once: read by the loader's threads each epoch, from the cache where they are in it. The pixels
 * are the same either way.
 *
 * In memory a record is what was read first; a file that changes during the run is not looked at again. On disk a record
 * holds the SHA-256 of the file it was made of, and counts only after this run has read the file and found the same: an image
 * that changed is decoded again, one that was copied or touched is not. Where the caller has read the files before and says
 * what they held, another content is an error. */
#ifndef CXR_DATA_DECODED_H
#define CXR_DATA_DECODED_H
#include "data/image.h"

typedef struct cxr_decoded cxr_decoded;

typedef struct cxr_decoded_opts {
    const char *const *paths;   /* lent until close */
    const char (*contents)[65]; /* SHA-256 that each file must have; NULL: any; lent until close */
    size_t count;
    const cxr_preprocess *preprocess; /* lent until close */
    cxr_limits limits;
    bool whole; /* images as they are, for random crops, not squares; on disk they are not kept, sizes differ */
    cxr_cache cache;
    uint64_t max_bytes;     /* in memory; 0: a quarter of what the machine grants. Images beyond are decoded each time */
    const char *cache_dir;  /* of CXR_CACHE_DISK; NULL: nothing is kept; lent until close */
    const cxr_hooks *hooks; /* for warnings; may be NULL; lent until close */
} cxr_decoded_opts;

CXR_MUST_CHECK cxr_status cxr_decoded_open(cxr_decoded **out, const cxr_decoded_opts *o, cxr_error *err);
/* Image i as the network's square, without augmentation: preprocess->size squared bytes at `square`. Any thread. */
CXR_MUST_CHECK cxr_status cxr_decoded_square(cxr_decoded *d, size_t i, uint8_t *square, cxr_error *err);
/* Image i whole. *lent: until close; else the caller's to free. Any thread. */
CXR_MUST_CHECK cxr_status cxr_decoded_whole(cxr_decoded *d, size_t i, cxr_image *out, bool *lent, cxr_error *err);
void cxr_decoded_close(cxr_decoded **d); /* accepts NULL and *d == NULL */
#endif
