/* Deletion and insertion (Petsiuk, Das, Saenko 2018, "RISE", 3.4): the class's probability as the pixels that a map holds for most
 * important are taken from the image, or put into a blurred one, first. A good map makes it fall early and rise early. */
#ifndef CXR_EXPLAIN_CURVES_H
#define CXR_EXPLAIN_CURVES_H
#include "explain/figure.h"
#include "explain/maps.h"

#define CXR_CURVE_STEPS 32

/* Entry i: with i / CXR_CURVE_STEPS of the pixels taken or put. Areas are of the trapezoids under them, 0..1. */
typedef struct cxr_curves {
    float deletion[CXR_CURVE_STEPS + 1], insertion[CXR_CURVE_STEPS + 1];
    double deletion_area, insertion_area;
} cxr_curves;

/* Of one image of v->size pixels a side. Taken pixels get the image's mean grey; the blurred image is one reduced to a sixteenth of
 * its sides and enlarged again. Pixels of equal importance go in reading order. temperature: of the probabilities. */
CXR_MUST_CHECK cxr_status cxr_curves_make(cxr_curves *out, const cxr_heat *heat, const cxr_variants *v, const uint8_t *image,
                                          int class_index, double temperature, cxr_error *err);
/* fraction,deletion,insertion; placed, not flushed. */
CXR_MUST_CHECK cxr_status cxr_curves_write(const char *path, const cxr_curves *c, cxr_error *err);
#endif
