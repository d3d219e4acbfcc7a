/* Fixed changes of a picture that leave it readable, to learn what a model's figures lose when pictures come from elsewhere:
 * another contrast, another frame, noise, a coarser copy (after Hendrycks, Dietterich 2019). Applied to the decoded picture, not
 * to the network's square, so that networks of different input sizes are shown the same. */
#ifndef CXR_DATA_PERTURB_H
#define CXR_DATA_PERTURB_H
#include "data/image.h"

#define CXR_PERTURBATIONS 21
/* Pictures are reduced first so that the shorter side is at most this, or the network's input where that is larger: what noise,
 * JPEG and blur do depends on how large the picture is. */
#define CXR_PERTURBED_SIDE 256

/* "none" is the first, and gives what cxr_image_prepare() does. Static; NULL when out of range. */
const char *cxr_perturbation_name(int which);
/* The network's square of each, one after another: CXR_PERTURBATIONS * size * size bytes at `out`. `image` numbers the picture:
 * it decides the noise. */
CXR_MUST_CHECK cxr_status cxr_image_perturb(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image,
                                            cxr_error *err);
#endif
