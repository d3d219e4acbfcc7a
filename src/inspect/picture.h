/* What is kept of an image to compare it with others: a small grey picture, its fingerprint of 64 bits, and what of it an
 * alignment compares. */
#ifndef CXR_INSPECT_PICTURE_H
#define CXR_INSPECT_PICTURE_H
#include "data/image.h"

#define CXR_SMALL_SIDE   64
#define CXR_SMALL_PIXELS (CXR_SMALL_SIDE * CXR_SMALL_SIDE)
#define CXR_TINY_SIDE    32
#define CXR_TINY_PIXELS  (CXR_TINY_SIDE * CXR_TINY_SIDE)
#define CXR_HASH_BITS    64

/* The whole image squashed to CXR_SMALL_PIXELS bytes. */
CXR_MUST_CHECK cxr_status cxr_small_make(uint8_t *small, const cxr_image *img, cxr_error *err);

/* The small picture halved, with each grey replaced by its rank among the pixels (equals share the mean rank), from -1 to 1: the
 * same for any exposure, contrast and gamma. A picture of one grey is all zeros. CXR_TINY_PIXELS floats. */
void cxr_tiny_make(float *tiny, const uint8_t *small);

/* The tiny picture's CXR_HASH_BITS lowest frequencies (discrete cosine transform, in zig-zag order, without the mean). */
void cxr_frequencies(float frequencies[CXR_HASH_BITS], const float *tiny);
/* Bit i says whether frequency i is above `middle[i]`. With each middle the median over the data set, half of the images have a
 * bit set, and two that are only both chest films differ in about half of them; where the middle is that of all pictures in the world,
 * as in the usual perceptual hash, chest films differ in few. */
uint64_t cxr_fingerprint(const float frequencies[CXR_HASH_BITS], const float middle[CXR_HASH_BITS]);

/* How alike two small pictures are in their detail once one is laid over the other: the correlation, over where they overlap, of what
 * a blur (Gaussian, two pixels) takes away from them, after the affine map that makes the squared difference least (Gauss-Newton,
 * from coarse to fine; Baker and Matthews 2004, Lucas-Kanade 20 years on). 1: the same picture, perhaps cropped, turned a little,
 * in another exposure, scaled or saved again. What is unlike already as a coarse picture is not looked at closer: the answer is
 * then below 0.75. 0 where they overlap by less than half, or show nothing. */
float cxr_likeness(const uint8_t *a, const uint8_t *b);
#endif
