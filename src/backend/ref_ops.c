#include "backend/ref_ops.h"
#include "backend/backend.h"
#include <math.h>
#include <string.h>

/* ---- Windows ---- */

/* The part of one window that lies inside the input: rows y0..y1 and columns x0..x1 (ends excluded) of the input, and the
 * kernel tap (ky, kx) that meets (y0, x0). */
typedef struct overlap {
    ptrdiff_t y0, y1, x0, x1, ky, kx;
} overlap;

static ptrdiff_t at_least(ptrdiff_t a, ptrdiff_t b)
{
    return a > b ? a : b;
}

static ptrdiff_t at_most(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

static overlap overlap_of(const cxr_slide *s, ptrdiff_t i, ptrdiff_t j)
{
    const ptrdiff_t top = i * s->stride - s->pad, left = j * s->stride - s->pad;
    overlap v = {.y0 = at_least(top, 0), .x0 = at_least(left, 0)};
    v.y1 = at_most(top + s->kernel, s->h);
    v.x1 = at_most(left + s->kernel, s->w);
    v.ky = v.y0 - top;
    v.kx = v.x0 - left;
    return v;
}

/* ---- Normalize ---- */

void cxr_ref_normalize(float *y, const float *x, size_t n, size_t hw, const float mean[3], const float std[3])
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            for (size_t p = 0; p < hw; p++)
                y[(i * 3 + c) * hw + p] = (float)(((double)x[i * hw + p] / 255.0 - (double)mean[c]) / (double)std[c]);
}

/* ---- Convolution ---- */

/* One output value.  x: one image (C, H, W)  w: one filter (C, K, K). */
static double conv_at(const float *x, const float *w, const cxr_slide *s, overlap v)
{
    const ptrdiff_t k = s->kernel, width = v.x1 - v.x0;
    double sum = 0.0;
    for (ptrdiff_t c = 0; c < s->c; c++)
        for (ptrdiff_t y = v.y0; y < v.y1; y++) {
            const float *row = x + (c * s->h + y) * s->w + v.x0;
            const float *tap = w + (c * k + v.ky + y - v.y0) * k + v.kx;
            for (ptrdiff_t j = 0; j < width; j++) sum += (double)tap[j] * (double)row[j];
        }
    return sum;
}

void cxr_ref_conv(float *y, const float *x, const float *w, const cxr_slide *s)
{
    const ptrdiff_t image = s->c * s->h * s->w, filter = s->c * s->kernel * s->kernel;
    for (ptrdiff_t n = 0; n < s->n; n++)
        for (ptrdiff_t o = 0; o < s->out; o++)
            for (ptrdiff_t i = 0; i < s->oh; i++)
                for (ptrdiff_t j = 0; j < s->ow; j++)
                    *y++ = (float)conv_at(x + n * image, w + o * filter, s, overlap_of(s, i, j));
}

/* One output's gradient g, spread over the pixels it was made from.  dx: (C, H, W)  w: one filter (C, K, K). */
static void conv_spread_to_input(double *dx, const float *w, double g, const cxr_slide *s, overlap v)
{
    const ptrdiff_t k = s->kernel, width = v.x1 - v.x0;
    for (ptrdiff_t c = 0; c < s->c; c++)
        for (ptrdiff_t y = v.y0; y < v.y1; y++) {
            double *row = dx + (c * s->h + y) * s->w + v.x0;
            const float *tap = w + (c * k + v.ky + y - v.y0) * k + v.kx;
            for (ptrdiff_t j = 0; j < width; j++) row[j] += g * (double)tap[j];
        }
}

/* The same over the filter's taps.  dw: one filter (C, K, K)  x: one image (C, H, W). */
static void conv_spread_to_filter(double *dw, const float *x, double g, const cxr_slide *s, overlap v)
{
    const ptrdiff_t k = s->kernel, width = v.x1 - v.x0;
    for (ptrdiff_t c = 0; c < s->c; c++)
        for (ptrdiff_t y = v.y0; y < v.y1; y++) {
            const float *row = x + (c * s->h + y) * s->w + v.x0;
            double *tap = dw + (c * k + v.ky + y - v.y0) * k + v.kx;
            for (ptrdiff_t j = 0; j < width; j++) tap[j] += g * (double)row[j];
        }
}

static void add_sums(float *to, const double *sums, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) to[i] = (float)((double)to[i] + sums[i]);
}

static void conv_backward_input(float *dx, const float *dy, const float *w, const cxr_slide *s, double *sums)
{
    const ptrdiff_t image = s->c * s->h * s->w, filter = s->c * s->kernel * s->kernel;
    for (ptrdiff_t n = 0; n < s->n; n++) {
        memset(sums, 0, (size_t)image * sizeof *sums);
        for (ptrdiff_t o = 0; o < s->out; o++)
            for (ptrdiff_t i = 0; i < s->oh; i++)
                for (ptrdiff_t j = 0; j < s->ow; j++)
                    conv_spread_to_input(sums, w + o * filter, (double)*dy++, s, overlap_of(s, i, j));
        add_sums(dx + n * image, sums, image);
    }
}

static void conv_backward_filters(float *dw, const float *dy, const float *x, const cxr_slide *s, double *sums)
{
    const ptrdiff_t image = s->c * s->h * s->w, filter = s->c * s->kernel * s->kernel, plane = s->oh * s->ow;
    for (ptrdiff_t o = 0; o < s->out; o++) {
        memset(sums, 0, (size_t)filter * sizeof *sums);
        for (ptrdiff_t n = 0; n < s->n; n++) {
            const float *g = dy + (n * s->out + o) * plane;
            for (ptrdiff_t i = 0; i < s->oh; i++)
                for (ptrdiff_t j = 0; j < s->ow; j++)
                    conv_spread_to_filter(sums, x + n * image, (double)*g++, s, overlap_of(s, i, j));
        }
        add_sums(dw + o * filter, sums, filter);
    }
}

size_t cxr_ref_conv_scratch(const cxr_slide *s)
{
    return (size_t)at_least(s->c * s->h * s->w, s->c * s->kernel * s->kernel);
}

void cxr_ref_conv_backward(float *dx, float *dw, const float *dy, const float *x, const float *w, const cxr_slide *s,
                           double *scratch)
{
    if (dx != NULL) conv_backward_input(dx, dy, w, s, scratch);
    conv_backward_filters(dw, dy, x, s, scratch);
}

/* ---- Batch norm ---- */

void cxr_ref_moments(double *mean, double *var, const float *x, size_t n, size_t c, size_t hw)
{
    const double count = (double)(n * hw);
    for (size_t k = 0; k < c; k++) {
        double sum = 0.0, squares = 0.0;
        for (size_t i = 0; i < n; i++)
            for (size_t p = 0; p < hw; p++) sum += (double)x[(i * c + k) * hw + p];
        mean[k] = sum / count;
        for (size_t i = 0; i < n; i++)
            for (size_t p = 0; p < hw; p++) {
                const double d = (double)x[(i * c + k) * hw + p] - mean[k];
                squares += d * d;
            }
        var[k] = squares / count;
    }
}

void cxr_ref_batchnorm(float *y, const float *x, const double *mean, const double *var, const float *gamma, const float *beta,
                       double epsilon, size_t n, size_t c, size_t hw)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < c; k++) {
            const double scale = (double)gamma[k] / sqrt(var[k] + epsilon);
            const size_t plane = (i * c + k) * hw;
            for (size_t p = plane; p < plane + hw; p++) y[p] = (float)(((double)x[p] - mean[k]) * scale + (double)beta[k]);
        }
}

/* With z = (x - mean) / sqrt(var + epsilon) and < > the mean over N and HW:
 * dbeta = sum dy,  dgamma = sum dy z,  dx = gamma / sqrt(var + epsilon) * (dy - <dy> - z <dy z>). */
void cxr_ref_batchnorm_backward(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x, const double *mean,
                                const double *var, const float *gamma, double epsilon, size_t n, size_t c, size_t hw)
{
    const double count = (double)(n * hw);
    for (size_t k = 0; k < c; k++) {
        const double inverse = 1.0 / sqrt(var[k] + epsilon);
        double sum = 0.0, sum_z = 0.0;
        for (size_t i = 0; i < n; i++) {
            const size_t plane = (i * c + k) * hw;
            for (size_t p = plane; p < plane + hw; p++) {
                sum += (double)dy[p];
                sum_z += (double)dy[p] * ((double)x[p] - mean[k]) * inverse;
            }
        }
        dbeta[k] = (float)((double)dbeta[k] + sum);
        dgamma[k] = (float)((double)dgamma[k] + sum_z);
        for (size_t i = 0; i < n && dx != NULL; i++) {
            const size_t plane = (i * c + k) * hw;
            for (size_t p = plane; p < plane + hw; p++) {
                const double z = ((double)x[p] - mean[k]) * inverse;
                const double d = (double)gamma[k] * inverse * ((double)dy[p] - sum / count - z * sum_z / count);
                dx[p] = (float)((double)dx[p] + d);
            }
        }
    }
}

void cxr_ref_batchnorm_fixed_backward(float *dx, const float *dy, const double *var, const float *gamma, double epsilon,
                                      size_t n, size_t c, size_t hw)
{
    for (size_t i = 0; i < n * c; i++) {
        const double scale = (double)gamma[i % c] / sqrt(var[i % c] + epsilon);
        for (size_t p = i * hw; p < (i + 1) * hw; p++) dx[p] = (float)((double)dx[p] + (double)dy[p] * scale);
    }
}

/* ---- Element by element ---- */

void cxr_ref_relu(float *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

void cxr_ref_relu_backward(float *dx, const float *dy, const float *y, size_t count)
{
    if (dx == NULL) return;
    for (size_t i = 0; i < count; i++)
        if (y[i] > 0.0f) dx[i] += dy[i];
}

void cxr_ref_add(float *y, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = a[i] + b[i];
}

void cxr_ref_accumulate(float *to, const float *from, size_t count)
{
    if (to == NULL) return;
    for (size_t i = 0; i < count; i++) to[i] += from[i];
}

static float dropout_scale(size_t element, float rate, uint64_t key, int node)
{
    return cxr_dropout_keep(key, node, element, rate) ? 1.0f / (1.0f - rate) : 0.0f;
}

void cxr_ref_dropout(float *y, const float *x, size_t count, float rate, uint64_t key, int node)
{
    for (size_t e = 0; e < count; e++) y[e] = x[e] * dropout_scale(e, rate, key, node);
}

void cxr_ref_dropout_backward(float *dx, const float *dy, size_t count, float rate, uint64_t key, int node)
{
    if (dx == NULL) return;
    for (size_t e = 0; e < count; e++) dx[e] += dy[e] * dropout_scale(e, rate, key, node);
}

/* ---- Pools ---- */

/* Index in the plane (H, W) of the window's largest value, the first of equals; the first NaN if there is one. */
static ptrdiff_t argmax_of(const float *plane, const cxr_slide *s, overlap v)
{
    ptrdiff_t best = v.y0 * s->w + v.x0;
    for (ptrdiff_t y = v.y0; y < v.y1; y++)
        for (ptrdiff_t x = v.x0; x < v.x1; x++) {
            const ptrdiff_t at = y * s->w + x;
            if (plane[at] > plane[best] || (isnan(plane[at]) && !isnan(plane[best]))) best = at;
        }
    return best;
}

void cxr_ref_maxpool(float *y, const float *x, const cxr_slide *s)
{
    for (ptrdiff_t nc = 0; nc < s->n * s->c; nc++) {
        const float *plane = x + nc * s->h * s->w;
        for (ptrdiff_t i = 0; i < s->oh; i++)
            for (ptrdiff_t j = 0; j < s->ow; j++) *y++ = plane[argmax_of(plane, s, overlap_of(s, i, j))];
    }
}

void cxr_ref_maxpool_backward(float *dx, const float *dy, const float *x, const cxr_slide *s)
{
    if (dx == NULL) return;
    for (ptrdiff_t nc = 0; nc < s->n * s->c; nc++) {
        const ptrdiff_t plane = nc * s->h * s->w;
        for (ptrdiff_t i = 0; i < s->oh; i++)
            for (ptrdiff_t j = 0; j < s->ow; j++) dx[plane + argmax_of(x + plane, s, overlap_of(s, i, j))] += *dy++;
    }
}

void cxr_ref_avgpool(float *y, const float *x, size_t nc, size_t hw)
{
    for (size_t i = 0; i < nc; i++) {
        double sum = 0.0;
        for (size_t p = 0; p < hw; p++) sum += (double)x[i * hw + p];
        y[i] = (float)(sum / (double)hw);
    }
}

void cxr_ref_avgpool_backward(float *dx, const float *dy, size_t nc, size_t hw)
{
    if (dx == NULL) return;
    for (size_t i = 0; i < nc; i++)
        for (size_t p = 0; p < hw; p++) dx[i * hw + p] += (float)((double)dy[i] / (double)hw);
}

/* ---- Linear ---- */

void cxr_ref_linear(float *y, const float *x, const float *w, const float *b, size_t n, size_t in, size_t out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t o = 0; o < out; o++) {
            double sum = (double)b[o];
            for (size_t k = 0; k < in; k++) sum += (double)x[i * in + k] * (double)w[o * in + k];
            y[i * out + o] = (float)sum;
        }
}

/* dx = dy w. */
static void linear_backward_input(float *dx, const float *dy, const float *w, size_t n, size_t in, size_t out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < in; k++) {
            double sum = (double)dx[i * in + k];
            for (size_t o = 0; o < out; o++) sum += (double)dy[i * out + o] * (double)w[o * in + k];
            dx[i * in + k] = (float)sum;
        }
}

void cxr_ref_linear_backward(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w, size_t n,
                             size_t in, size_t out)
{
    if (dx != NULL) linear_backward_input(dx, dy, w, n, in, out);
    for (size_t o = 0; o < out; o++) {
        double bias = (double)db[o];
        for (size_t i = 0; i < n; i++) bias += (double)dy[i * out + o];
        db[o] = (float)bias;
        for (size_t k = 0; k < in; k++) {
            double sum = (double)dw[o * in + k];
            for (size_t i = 0; i < n; i++) sum += (double)dy[i * out + o] * (double)x[i * in + k];
            dw[o * in + k] = (float)sum;
        }
    }
}

/* ---- Log-softmax ---- */

void cxr_ref_logsoftmax(float *y, const float *x, size_t n, size_t c, size_t hw)
{
    for (size_t at = 0; at < n * hw; at++) {
        const size_t base = at / hw * c * hw + at % hw; /* channel k of this position lies at base + k * hw */
        double largest = (double)x[base], sum = 0.0;
        for (size_t k = 1; k < c; k++) largest = fmax(largest, (double)x[base + k * hw]);
        for (size_t k = 0; k < c; k++) sum += exp((double)x[base + k * hw] - largest);
        for (size_t k = 0; k < c; k++) y[base + k * hw] = (float)((double)x[base + k * hw] - largest - log(sum));
    }
}

void cxr_ref_logsoftmax_backward(float *dx, const float *dy, const float *y, size_t n, size_t c, size_t hw)
{
    if (dx == NULL) return;
    for (size_t at = 0; at < n * hw; at++) {
        const size_t base = at / hw * c * hw + at % hw;
        double sum = 0.0;
        for (size_t k = 0; k < c; k++) sum += (double)dy[base + k * hw];
        for (size_t k = 0; k < c; k++) {
            const double d = (double)dy[base + k * hw] - exp((double)y[base + k * hw]) * sum;
            dx[base + k * hw] = (float)((double)dx[base + k * hw] + d);
        }
    }
}
