/* Maps of a batch by any method, from a probe. */
#ifndef CXR_EXPLAIN_MAPS_H
#define CXR_EXPLAIN_MAPS_H
#include "explain/probe.h"

/* Of occlusion: the input is divided into that many cells a side, a patch hides 2 x 2 of them. */
#define CXR_OCCLUSION_SIDE 16

/* Squares of pixels, changed copies of an image, that run through the probe as many at a time as it takes. */
typedef struct cxr_variants {
    cxr_probe *probe; /* its values, gradients and logits are overwritten */
    uint8_t *pixels;  /* (batch, size, size), scratch */
    int batch, size;
} cxr_variants;
/* Runs `count` variants of an image: make() writes number i to `out`, logit() receives what the network says of it. */
CXR_MUST_CHECK cxr_status cxr_variants_run(const cxr_variants *v, int count, void (*make)(void *ctx, int i, uint8_t *out),
                                           void (*logit)(void *ctx, int i, const float *logits), void *ctx, cxr_error *err);

/* Occlusion (Zeiler, Fergus 2014): a square patch of `patch` x `patch` cells of side / cells each is moved over the image by one
 * cell, filled with the image's mean grey. The map (cells x cells) is by how much that lowers the class's logit: in each cell the
 * mean over the patches that hide it; below 0 where hiding raises it. */
CXR_MUST_CHECK cxr_status cxr_occlusion(float *map, int cells, int patch, const cxr_variants *v, const uint8_t *image,
                                        int class_index, cxr_error *err);

/* The size of a method's maps. */
void cxr_maps_size(const cxr_probe *p, cxr_explain_method method, int *height, int *width);
/* Maps of the n images that the probe ran on last, which lie at `images`: of classes[i] of image i. CXR_EDATA when a value is not
 * finite. */
CXR_MUST_CHECK cxr_status cxr_maps_make(float *maps, cxr_explain_method method, const cxr_variants *v, int n,
                                        const uint8_t *images, const int *classes, cxr_error *err);
#endif
