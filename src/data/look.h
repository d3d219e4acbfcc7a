/* What can be told of a picture before any network sees it: whether it is coloured, blank, a page of text, long and narrow, and a
 * thumbnail that shows, beside that of a usual picture, whether it is inverted or turned. Measures only: what is too much is said
 * by model/scope.h. */
#ifndef CXR_DATA_LOOK_H
#define CXR_DATA_LOOK_H
#include "data/image.h"

#define CXR_LOOK_SIDE   16
#define CXR_LOOK_PIXELS (CXR_LOOK_SIDE * CXR_LOOK_SIDE)

typedef struct cxr_look {
    float colour;                   /* as cxr_image_load_coloured() gives it          0..255 */
    float aspect;                   /* longer side by shorter                         1.. */
    float contrast;                 /* standard deviation of the grey levels          0..128 */
    float page;                     /* share of the pixels that are within 8 levels of one bright grey, 160 or more   0..1 */
    uint8_t small[CXR_LOOK_PIXELS]; /* the picture squashed to a square */
} cxr_look;

CXR_MUST_CHECK cxr_status cxr_look_at(cxr_look *out, const cxr_image *img, double colour, cxr_error *err);
/* Pearson's correlation of the thumbnail, turned by `quarters` of a circle counter-clockwise, with another, -1..1; 0 where either is
 * of one grey. */
double cxr_look_likeness(const cxr_look *l, int quarters, const uint8_t other[CXR_LOOK_PIXELS]);
#endif
