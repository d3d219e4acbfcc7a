/* Where a frontal radiograph's lungs probably lie: a rough estimate, not a segmentation. One fixed outline of two lungs, without the
 * heart's place, is moved and stretched until what it holds is darkest against what surrounds it. It is made to ask how much of
 * a heat map lies on lungs, and to hide them; it must not be used to find or measure disease. On films without a clear contrast,
 * with one lung white, or of a patient who lies askew, it may be off by a rib or two. */
#ifndef CXR_DATA_LUNGS_H
#define CXR_DATA_LUNGS_H
#include <stdbool.h>
#include <stdint.h>

/* Lengths are shares of the picture's sides. */
typedef struct cxr_lungs {
    bool found;                    /* false: this does not look like a frontal chest radiograph, all else is 0 */
    double spine, half, top, base; /* x of the midline, from it to the outermost edge; y of the apices and the diaphragm */
    double fit;                    /* correlation of darkness with lying inside, -1..1, over the outline and its surroundings */
} cxr_lungs;

/* pixels: height x width, grey, row by row, each side 32 or more, else nothing is found. A pure function of them. */
void cxr_lungs_estimate(cxr_lungs *out, const uint8_t *pixels, int width, int height);
/* Where they mostly are, as if found. */
void cxr_lungs_typical(cxr_lungs *out);
/* Whether a place lies in the estimate. Nothing does where none was found. */
bool cxr_lungs_hold(const cxr_lungs *l, double x, double y);
/* The same of the smallest upright rectangle around it. */
bool cxr_lungs_frame(const cxr_lungs *l, double x, double y);
#endif
