/* A 3 x 3 convolution of stride 1 and padding 1 in f32 by Winograd's minimal filtering F(4 x 4, 3 x 3) (Lavin, Gray 2016): all
 * three passes, for AVX-512. Activations and their gradients are (n, channels / 16, h, w, 16); weights and their gradients are
 * canonical, (out, in, 3, 3): what an optimiser changes each step is read as it lies, and a gradient is added where it belongs.
 * The same bits for any number of threads. */
#ifndef CXR_BACKEND_WINOGRAD_H
#define CXR_BACKEND_WINOGRAD_H
#include <stdbool.h>
#include <stddef.h>

typedef struct cxr_winograd {
    size_t n, in, out, h, w; /* channels are multiples of 16 */
    int threads;
} cxr_winograd;

typedef enum cxr_winograd_pass { CXR_WINOGRAD_FORWARD, CXR_WINOGRAD_DATA, CXR_WINOGRAD_WEIGHTS } cxr_winograd_pass;

/* Whether it is faster than a direct convolution here; false without AVX-512. */
bool cxr_winograd_pays(const cxr_winograd *c);
/* Floats of scratch memory that a pass needs, aligned to 64 bytes. */
size_t cxr_winograd_scratch(const cxr_winograd *c, cxr_winograd_pass pass);
void cxr_winograd_forward(const cxr_winograd *c, const float *x, const float *weights, float *y, float *scratch);
void cxr_winograd_data(const cxr_winograd *c, const float *dy, const float *weights, float *dx, float *scratch);
/* Adds to dweights. */
void cxr_winograd_weights(const cxr_winograd *c, const float *x, const float *dy, float *dweights, float *scratch);
#endif
