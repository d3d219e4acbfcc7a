/* Images that are one picture: byte for byte, and nearly. */
#ifndef CXR_INSPECT_DUPLICATES_H
#define CXR_INSPECT_DUPLICATES_H
#include "inspect/findings.h"

/* Likenesses (inspect/picture.h) from which two images count as one picture, and as worth a look. On the published set, pairs of
 * different patients' films stay below 0.80 but for some that look like one child's, films of one patient lie between, and copies
 * (saved again at quality 30, halved, brighter, cropped by 5 %) are above 0.90: tests/inspect, docs/data.md. */
#define CXR_SAME_PICTURE 0.90
#define CXR_LOOK_ALIKE   0.80

typedef struct cxr_pair {
    uint32_t a, b; /* a < b; of images with one content only the first is compared */
    float likeness;
} cxr_pair;

typedef struct cxr_duplicates {
    uint32_t *first; /* of each image the first with the same content, itself when there is none */
    cxr_pair *pairs; /* of likeness >= CXR_LOOK_ALIKE, the most alike first */
    size_t count;
    size_t compared; /* candidates that were laid over each other */
} cxr_duplicates;

/* Candidates are, of each image, the CXR_CANDIDATES whose fingerprints differ least, where that is in at most CXR_RADIUS bits (any
 * number, among few images). Time grows with the square of the images for fingerprints alone. Free also after a failure. */
#define CXR_CANDIDATES 12
#define CXR_RADIUS     20
CXR_MUST_CHECK cxr_status cxr_duplicates_find(cxr_duplicates *d, const cxr_scan *s, int threads, const cxr_hooks *hooks,
                                              cxr_error *err);
void cxr_duplicates_free(cxr_duplicates *d);

CXR_MUST_CHECK cxr_status cxr_check_exact(cxr_checked *c, const cxr_scan *s, const cxr_duplicates *d, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_check_near(cxr_checked *c, const cxr_scan *s, const cxr_duplicates *d, cxr_error *err);
/* Pairs of different groups that are alike, but not enough to be one picture. */
CXR_MUST_CHECK cxr_status cxr_check_alike(cxr_checked *c, const cxr_scan *s, const cxr_duplicates *d, cxr_error *err);
/* Different labels of one picture. exact, near: the checks above, done. */
CXR_MUST_CHECK cxr_status cxr_check_labels(cxr_checked *c, const cxr_scan *s, const cxr_checked *exact, const cxr_checked *near,
                                           cxr_error *err);
#endif
