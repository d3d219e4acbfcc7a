/* The figure of an explanation: the image, the image under its heat map, and what the colours mean. Images are decoded again,
 * larger than the network saw them. */
#ifndef CXR_EXPLAIN_FIGURE_H
#define CXR_EXPLAIN_FIGURE_H
#include "data/image.h"

/* A map and the part of the image that it is about. */
typedef struct cxr_heat {
    const cxr_preprocess *preprocess; /* what the network saw */
    const float *map;                 /* height x width; what is below 0 is shown as 0 */
    int width, height;
} cxr_heat;
/* The map between the centres of its cells, bilinear; x and y count cells from the map's edge. */
double cxr_heat_at(const cxr_heat *heat, double x, double y);

typedef struct cxr_heat_figure {
    const char *title, *subtitle, *note; /* UTF-8; note may be NULL */
    cxr_heat heat;
} cxr_heat_figure;

/* Draws it of an image file. Placed, not flushed. */
CXR_MUST_CHECK cxr_status cxr_heat_figure_write(const cxr_heat_figure *f, const char *image, const cxr_limits *limits,
                                                const char *path, cxr_error *err);
/* The image file under its map alone, `side` pixels (32..4096) on its longer side, as a PNG in memory: cxr_buf_free(). An empty map
 * leaves the image as it is. */
CXR_MUST_CHECK cxr_status cxr_heat_overlay_png(cxr_buf *out, const cxr_heat *heat, const char *image, const cxr_limits *limits,
                                               int side, cxr_error *err);
/* The same of a file that is in memory; `name` is for sentences. */
CXR_MUST_CHECK cxr_status cxr_heat_overlay_bytes(cxr_buf *out, const cxr_heat *heat, const cxr_buf *file, const char *name,
                                                 const cxr_limits *limits, int side, cxr_error *err);
#endif
