/* A picture with parts of it hidden, by where its lungs probably are (data/lungs.h), to learn what a model looks at: one that is
 * still right without the chest answers by something else (Zech et al. 2018; DeGrave, Janizek, Lee 2021). */
#ifndef CXR_DATA_HIDE_H
#define CXR_DATA_HIDE_H
#include "data/image.h"

#define CXR_HIDINGS 4

/* "none", "lungs", "chest" (the rectangle around the lungs), "surroundings" (all but it). Static; NULL when out of range. */
const char *cxr_hiding_name(int which);
/* The network's square of each, one after another: CXR_HIDINGS * size * size bytes at `out`. What is hidden becomes the
 * grey of pre->mean: the same in every image, so that it tells nothing. Where no lungs are found they are taken to lie where they mostly do. `image` is ignored. */
CXR_MUST_CHECK cxr_status cxr_image_hide(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image,
                                         cxr_error *err);
/* The mean of n pixels, rounded. */
uint8_t cxr_mean_grey(const uint8_t *pixels, size_t n);
#endif
