/* Separable triangle-filter resampling of a rectangle of pixels into the caller's, and where each resize rule puts it. */
#ifndef CXR_DATA_RESIZE_H
#define CXR_DATA_RESIZE_H
#include "data/image.h"

/* Pixels lent from an image; `stride` bytes from row to row. */
typedef struct cxr_view {
    const uint8_t *pixels;
    size_t stride;
    int width, height;
} cxr_view;

/* One axis: [from, to) of the input becomes `size` pixels, of which `count` from `first` are wanted. */
typedef struct cxr_axis {
    double from, to;
    int size, first, count;
} cxr_axis;

/* Writes x->count by y->count pixels at out, `stride` bytes from row to row. */
CXR_MUST_CHECK cxr_status cxr_resample(uint8_t *out, size_t stride, const cxr_view *in, const cxr_axis *x, const cxr_axis *y,
                                       cxr_error *err);
/* What the rule makes of an image before it is cut or padded to the square; at least one pixel. */
typedef struct cxr_extent {
    int64_t width, height;
} cxr_extent;
cxr_extent cxr_resized_by_rule(int width, int height, cxr_resize_rule rule, int size);
/* Writes the network's square input, size * size bytes, by the rule. */
CXR_MUST_CHECK cxr_status cxr_resize_by_rule(uint8_t *out, const cxr_view *in, cxr_resize_rule rule, int size, cxr_error *err);
#endif
