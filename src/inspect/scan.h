/* The one pass over the images: each file is read, hashed and decoded once, by several threads, and what is kept of it is a line of
 * facts and a small picture (CXR_SMALL_PIXELS bytes), not the image. */
#ifndef CXR_INSPECT_SCAN_H
#define CXR_INSPECT_SCAN_H
#include "data/dataset.h"
#include "inspect/picture.h"

typedef struct cxr_scanned {
    char *unreadable; /* the sentence; NULL: it could be read */
    bool has_content; /* `content` is the SHA-256 of the file's bytes */
    uint8_t content[32];
    uint64_t bytes;
    cxr_image_info info; /* format NULL: not even that much could be read */
    bool wrong_name;     /* its name ends like another format's */
} cxr_scanned;

typedef struct cxr_scan {
    const cxr_dataset *data; /* lent */
    size_t count;
    cxr_scanned *images; /* count, as data->samples */
    uint8_t *small;      /* count x CXR_SMALL_PIXELS; of an unreadable image zeros */
    float (*frequencies)[CXR_HASH_BITS];
} cxr_scan;

/* An unreadable image is a fact like others. CXR_ENOMEM, CXR_ESTOPPED. Free with cxr_scan_free() also after a failure. */
CXR_MUST_CHECK cxr_status cxr_scan_images(cxr_scan *s, const cxr_dataset *d, const cxr_limits *limits, int threads,
                                          const cxr_hooks *hooks, cxr_error *err);
void cxr_scan_free(cxr_scan *s);

static inline const uint8_t *cxr_scan_small(const cxr_scan *s, size_t i)
{
    return s->small + i * CXR_SMALL_PIXELS;
}
static inline bool cxr_scan_readable(const cxr_scan *s, size_t i)
{
    return s->images[i].unreadable == NULL;
}
#endif
