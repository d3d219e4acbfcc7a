/* What the program right of the cut is fed with: batches of features of one part of the data, training or validation. A
 * feature is that of an image in one view, a draw of its random transforms. It comes from the store, where there is one and it
 * lies there already, else from the loader by way of the frozen program, into the store. An unreadable image is an error, or
 * is left out, logged and counted once where the user asked for that. */
#ifndef CXR_TRAIN_FEED_H
#define CXR_TRAIN_FEED_H
#include "backend/backend.h"
#include "data/loader.h"
#include "data/store.h"
#include "data/subset.h"

typedef struct cxr_feed cxr_feed;

typedef struct cxr_feed_opts { /* pointers are lent until close */
    const cxr_hooks *hooks;
    const cxr_backend *backend;
    cxr_program *frozen; /* its input are 8-bit pixels */
    const cxr_subset *part;
    cxr_loader_opts loader;
    /* With loader.replacement images are drawn, each class as often as another. Then, and where they are mixed, no batch comes
     * again: views is 0 and store is NULL. */
    bool shuffle; /* an order of each epoch's own, and a lone last image joins the batch before it; else in order */
    bool skip_unreadable;
    float mixup, cutmix; /* as cxr_mix_draw's */
    int views;           /* epoch e sees view e % views of each image; 0: view e */
    /* Of the frozen program's outputs, as cxr_backend's keep_save gives them: view v of image i is record v * part->count + i.
     * NULL: none are kept. Taken, also when opening fails. */
    cxr_store *store;
} cxr_feed_opts;

/* One batch; lent until the next call with this feed or any other of the same frozen program. */
typedef struct cxr_features {
    const cxr_tensor *x;      /* of n images; NULL when n is 0 */
    const cxr_tensor *pixels; /* what they were made of; NULL: they were kept */
    const int *labels;
    const int *others; /* labels of what was mixed into the images; NULL: nothing was */
    double share;      /* of the images themselves */
    int n;             /* images that could be read */
    int used;          /* and those left out; 0: the epoch is over */
    const char *first; /* key of the first image, for messages */
} cxr_features;

CXR_MUST_CHECK cxr_status cxr_feed_open(cxr_feed **out, const cxr_feed_opts *o, cxr_error *err);
/* Starts epoch `epoch` (from 0) behind its first `done` images, a sum of whole batches. Kept features are those that the view's
 * first epoch computed, to the bit, whenever they are computed: a resumed run sees what an unbroken one does. */
CXR_MUST_CHECK cxr_status cxr_feed_start(cxr_feed *f, uint64_t epoch, uint64_t done, cxr_error *err);
/* Seconds spent waiting for images are added to *waited (may be NULL). */
CXR_MUST_CHECK cxr_status cxr_feed_next(cxr_feed *f, cxr_features *out, double *waited, cxr_error *err);
uint64_t cxr_feed_batches(const cxr_feed *f); /* of an epoch */
uint64_t cxr_feed_skipped(const cxr_feed *f); /* unreadable images met so far */
/* Accepts NULL and *f == NULL. */
void cxr_feed_close(cxr_feed **f);
#endif
