/* Batches made ahead of compute: threads decode, transform and fill the slots of a ring; the caller takes them in order.
 * A batch's content is a pure function of (seed, epoch, sample): any number of threads gives the same bytes. */
#ifndef CXR_DATA_LOADER_H
#define CXR_DATA_LOADER_H
#include "data/image.h"
#include "data/look.h"

typedef struct cxr_loader cxr_loader;

typedef struct cxr_loader_opts {
    const char *const *paths;   /* lent until close */
    const char (*contents)[65]; /* SHA-256 that each file must have; NULL: any; lent until close */
    size_t count;
    const cxr_preprocess *preprocess; /* lent until close */
    const cxr_augment *augment;       /* NULL: none; lent until close */
    cxr_limits limits;
    int batch_size;
    int threads;                /* >= 1 */
    int ahead;                  /* batches in the ring, >= 2 */
    uint64_t seed;              /* of augmentation: key = cxr_rng_key(seed, CXR_FOR_AUGMENT, epoch, sample index) */
    const cxr_squares *squares; /* of each image, numbered by its index; excludes augment and the cache; NULL: one; lent */
    bool looks;                 /* look at each image before it is transformed; excludes augment and the cache */
    bool replacement;           /* orders name images again: the key has the place in the order for the sample index */
    cxr_cache cache;            /* of decoded images, before augmentation (data/decoded.h) */
    const char *cache_dir;      /* may be NULL; lent until close */
    const cxr_hooks *hooks;     /* for the cache's warnings; may be NULL; lent until close */
} cxr_loader_opts;

/* Lent until the next cxr_loader_next or close. */
typedef struct cxr_batch {
    const uint8_t *pixels;   /* (n x views, 1, size, size) */
    const uint32_t *index;   /* n indices into paths */
    const cxr_look *looks;   /* n, of the images that were read; NULL: not wanted */
    const cxr_error *errors; /* n; status CXR_OK for images that were read, else the image is black */
    int n, views;            /* images, and squares of each */
} cxr_batch;

CXR_MUST_CHECK cxr_status cxr_loader_open(cxr_loader **out, const cxr_loader_opts *o, cxr_error *err);
/* Starts an epoch: batches of `order[start..count)` (indices into paths; copied), the last one smaller. A batch of one image
 * at the end is joined to the one before it when `join_last` is set (batch norm needs two), which then has batch_size + 1. */
CXR_MUST_CHECK cxr_status cxr_loader_start(cxr_loader *l, const uint32_t *order, size_t count, size_t start, uint64_t epoch,
                                           bool join_last, cxr_error *err);
/* The next batch; b->n is 0 at the end of the epoch. Seconds spent waiting are added to *waited (may be NULL). */
CXR_MUST_CHECK cxr_status cxr_loader_next(cxr_loader *l, cxr_batch *b, double *waited, cxr_error *err);
/* Also ends an unfinished epoch; accepts NULL and *l == NULL. */
void cxr_loader_close(cxr_loader **l);
#endif
