/* The operators as mathematics: one forward and one backward each, plain loops over f32 arrays in (N, C, H, W) order, sums in
 * double. Pure functions: no allocation, no globals, no overlap between arguments unless said. Backward ADDS to the gradients
 * it is given (dx, dw, ...), so that a value read twice sums them; a NULL dx is skipped. Names: x input, y output, w weight,
 * dy the gradient of the loss with respect to y. */
#ifndef CXR_BACKEND_REF_OPS_H
#define CXR_BACKEND_REF_OPS_H
#include "graph/graph.h"

/* A square window sliding over images of (c, h, w), giving (out, oh, ow): a convolution, or a max pool with out = c. */
typedef struct cxr_slide {
    ptrdiff_t n, c, h, w;
    ptrdiff_t out, oh, ow;
    ptrdiff_t kernel, stride, pad;
} cxr_slide;

/* Pixels (N, 1, HW) in 0..255 to (N, 3, HW): (x / 255 - mean[c]) / std[c]. */
void cxr_ref_normalize(float *y, const float *x, size_t n, size_t hw, const float mean[3], const float std[3]);

/* y[n,o,i,j] = sum over c, k, l of w[o,c,k,l] * x[n, c, i * stride - pad + k, j * stride - pad + l]; outside x is zero. */
void cxr_ref_conv(float *y, const float *x, const float *w, const cxr_slide *s);
/* Doubles that cxr_ref_conv_backward needs as scratch. */
size_t cxr_ref_conv_scratch(const cxr_slide *s);
void cxr_ref_conv_backward(float *dx, float *dw, const float *dy, const float *x, const float *w, const cxr_slide *s,
                           double *scratch);

/* x and y: (N, C, HW); mean and var: (C), the biased variance over N and HW. */
void cxr_ref_moments(double *mean, double *var, const float *x, size_t n, size_t c, size_t hw);
/* y = (x - mean) / sqrt(var + epsilon) * gamma + beta, per channel. */
void cxr_ref_batchnorm(float *y, const float *x, const double *mean, const double *var, const float *gamma, const float *beta,
                       double epsilon, size_t n, size_t c, size_t hw);
/* Through mean and var too, which must be x's own moments (training). */
void cxr_ref_batchnorm_backward(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x, const double *mean,
                                const double *var, const float *gamma, double epsilon, size_t n, size_t c, size_t hw);

/* With statistics that are not x's own (inference): dx += dy * gamma / sqrt(var + epsilon). */
void cxr_ref_batchnorm_fixed_backward(float *dx, const float *dy, const double *var, const float *gamma, double epsilon,
                                      size_t n, size_t c, size_t hw);

/* max(x, 0); NaN stays NaN. Backward reads the output: the gradient passes where y > 0. */
void cxr_ref_relu(float *y, const float *x, size_t count);
void cxr_ref_relu_backward(float *dx, const float *dy, const float *y, size_t count);

void cxr_ref_add(float *y, const float *a, const float *b, size_t count);
/* to += from: each operand's share of an add's gradient. */
void cxr_ref_accumulate(float *to, const float *from, size_t count);

/* The largest value of each window; outside x counts as -infinity, NaN wins. Backward goes to the first largest, row by row. */
void cxr_ref_maxpool(float *y, const float *x, const cxr_slide *s);
void cxr_ref_maxpool_backward(float *dx, const float *dy, const float *x, const cxr_slide *s);

/* The mean of each plane: (NC, HW) to (NC). */
void cxr_ref_avgpool(float *y, const float *x, size_t nc, size_t hw);
void cxr_ref_avgpool_backward(float *dx, const float *dy, size_t nc, size_t hw);

/* y = x w' + b.  x: (N, I)  w: (O, I)  b: (O)  y: (N, O). */
void cxr_ref_linear(float *y, const float *x, const float *w, const float *b, size_t n, size_t in, size_t out);
void cxr_ref_linear_backward(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w, size_t n,
                             size_t in, size_t out);

/* Training's dropout: zero where cxr_dropout_keep says so, the rest times 1 / (1 - rate). Backward is the same with dy for x,
 * added to dx. Element e counts over the whole batch in row-major order. */
void cxr_ref_dropout(float *y, const float *x, size_t count, float rate, uint64_t key, int node);
void cxr_ref_dropout_backward(float *dx, const float *dy, size_t count, float rate, uint64_t key, int node);

/* y = x - log(sum over channels of exp(x)), for each of the HW positions.  x, y: (N, C, HW). */
void cxr_ref_logsoftmax(float *y, const float *x, size_t n, size_t c, size_t hw);
void cxr_ref_logsoftmax_backward(float *dx, const float *dy, const float *y, size_t n, size_t c, size_t hw);
#endif
