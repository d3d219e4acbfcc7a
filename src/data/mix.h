/* Batches whose images are mixed in pairs, the first with the last and so on: mixup (Zhang et al. 2018, share from Beta(a, a))
 * and CutMix (Yun et al. 2019, a rectangle of the other image). */
#ifndef CXR_DATA_MIX_H
#define CXR_DATA_MIX_H
#include "data/image.h"

typedef struct cxr_mix {
    double share;   /* of the image itself; the rest is its partner's. 1: nothing is mixed */
    bool cut;       /* by area, else by blending */
    cxr_crop patch; /* of the partner, where `cut` */
} cxr_mix;

/* mixup and cutmix: the a of Beta(a, a), 0..1, 0: not that one; with both, each batch takes one of them. */
void cxr_mix_draw(cxr_mix *out, float mixup, float cutmix, int size, uint64_t key);
/* pixels: (n, 1, size, size), mixed in place. */
void cxr_mix_apply(const cxr_mix *mix, uint8_t *pixels, int n, int size);
#endif
