/* The figure of an explanation: the image, the image under its heat map, and what the colours mean. */
#ifndef CXR_EXPLAIN_FIGURE_H
#define CXR_EXPLAIN_FIGURE_H
#include "data/image.h"

typedef struct cxr_heat_figure {
    const char *title, *subtitle, *note; /* UTF-8; note may be NULL */
    const cxr_preprocess *preprocess;    /* which part of the image the network saw */
    const float *map;                    /* height x width, 0 or more */
    int width, height;
} cxr_heat_figure;

/* Draws it of an image file, which is decoded again, larger than the network saw it. Written atomically. */
CXR_MUST_CHECK cxr_status cxr_heat_figure_write(const cxr_heat_figure *f, const char *image, const cxr_limits *limits,
                                                const char *path, cxr_error *err);
#endif
