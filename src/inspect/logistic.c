#include "inspect/logistic.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

#define MOST_STEPS      100
#define MOST_DIRECTIONS 500 /* of conjugate gradients in one step */
#define CLOSE           1e-9

/* Vectors have width + 1 parts, the intercept's last. */
typedef struct solver {
    const cxr_points *p;
    double c;
    size_t size;
    double *gradient, *step, *residual, *direction, *curved, *tried; /* size each */
    double *bend; /* n: c p (1 - p), the second derivative of each image's loss */
} solver;

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

#define LANES 8 /* sums side by side: one alone waits for each addition */

static double score(const double *w, const float *x, size_t width)
{
    double lane[LANES] = {0.0}, sum = w[width];
    size_t i = 0;
    for (; i + LANES <= width; i += LANES)
        for (size_t k = 0; k < LANES; k++) lane[k] += w[i + k] * (double)x[i + k];
    for (; i < width; i++) sum += w[i] * (double)x[i];
    for (size_t k = 0; k < LANES; k++) sum += lane[k];
    return sum;
}

static double logistic(double t)
{
    return t >= 0.0 ? 1.0 / (1.0 + exp(-t)) : exp(t) / (1.0 + exp(t));
}

double cxr_logistic(const double *weights, const float *x, size_t width)
{
    return logistic(score(weights, x, width));
}

/* sum += f times the image */
static void add(double *sum, double f, const float *x, size_t width)
{
    for (size_t i = 0; i < width; i++) sum[i] += f * (double)x[i];
    sum[width] += f;
}

static double objective(const solver *s, const double *w)
{
    double sum = 0.0;
    for (size_t i = 0; i < s->p->n; i++) {
        const double t = score(w, s->p->x + i * s->p->width, s->p->width), margin = s->p->second[i] ? t : -t;
        sum += margin > 0.0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin;
    }
    return dot(w, w, s->p->width) / 2.0 + s->c * sum;
}

/* Gradient and bends at w; the gradient's largest part. */
static double differentiate(solver *s, const double *w)
{
    const cxr_points *p = s->p;
    memcpy(s->gradient, w, p->width * sizeof *w);
    s->gradient[p->width] = 0.0;
    for (size_t i = 0; i < p->n; i++) {
        const float *x = p->x + i * p->width;
        const double q = logistic(score(w, x, p->width));
        s->bend[i] = s->c * q * (1.0 - q);
        add(s->gradient, s->c * (q - (p->second[i] ? 1.0 : 0.0)), x, p->width);
    }
    double largest = 0.0;
    for (size_t i = 0; i < s->size; i++) largest = fmax(largest, fabs(s->gradient[i]));
    return largest;
}

/* curved = (second derivatives) direction */
static void curve(solver *s)
{
    const cxr_points *p = s->p;
    memcpy(s->curved, s->direction, p->width * sizeof *s->curved);
    s->curved[p->width] = 0.0;
    for (size_t i = 0; i < p->n; i++) {
        const float *x = p->x + i * p->width;
        add(s->curved, s->bend[i] * score(s->direction, x, p->width), x, p->width);
    }
}

/* step = -(second derivatives)^-1 gradient, to a share of the gradient's length that falls with it: quadratic convergence. */
static void find_step(solver *s)
{
    const double length = sqrt(dot(s->gradient, s->gradient, s->size));
    const double close = fmin(0.1, length) * length;
    memset(s->step, 0, s->size * sizeof *s->step);
    for (size_t i = 0; i < s->size; i++) s->residual[i] = s->direction[i] = -s->gradient[i];
    double squares = dot(s->residual, s->residual, s->size);
    for (int k = 0; k < MOST_DIRECTIONS && sqrt(squares) > close; k++) {
        curve(s);
        const double bend = dot(s->direction, s->curved, s->size);
        if (!(bend > 0.0)) return;
        const double along = squares / bend;
        for (size_t i = 0; i < s->size; i++) {
            s->step[i] += along * s->direction[i];
            s->residual[i] -= along * s->curved[i];
        }
        const double next = dot(s->residual, s->residual, s->size);
        for (size_t i = 0; i < s->size; i++) s->direction[i] = s->residual[i] + next / squares * s->direction[i];
        squares = next;
    }
}

/* Goes along the step, half as far each time, until the objective falls; false when it cannot fall any more. */
static bool descend(solver *s, double *w, double *value)
{
    const double slope = dot(s->gradient, s->step, s->size);
    for (double far = 1.0; far > 1e-10; far /= 2.0) {
        for (size_t i = 0; i < s->size; i++) s->tried[i] = w[i] + far * s->step[i];
        const double there = objective(s, s->tried);
        if (!(there <= *value + 1e-4 * far * slope)) continue;
        memcpy(w, s->tried, s->size * sizeof *w);
        *value = there;
        return true;
    }
    return false;
}

static cxr_status minimise(solver *s, double *w, cxr_error *err)
{
    memset(w, 0, s->size * sizeof *w);
    double value = objective(s, w);
    const double start = differentiate(s, w);
    if (!isfinite(value) || !isfinite(start)) return cxr_fail(err, CXR_EDATA, "logistic regression: a feature is not a number");
    for (int k = 0; k < MOST_STEPS; k++) {
        find_step(s);
        if (!descend(s, w, &value) || differentiate(s, w) <= CLOSE * start) break;
    }
    return CXR_OK;
}

static cxr_status check_points(const cxr_points *p, double c, cxr_error *err)
{
    size_t second = 0;
    for (size_t i = 0; i < p->n; i++) second += p->second[i];
    if (second == 0 || second == p->n) return cxr_fail(err, CXR_EDATA, "logistic regression: one class only");
    if (!(c > 0.0)) return cxr_fail(err, CXR_EUSAGE, "logistic regression: C is %g, not positive", c);
    return CXR_OK;
}

cxr_status cxr_logistic_fit(double *weights, const cxr_points *p, double c, cxr_error *err)
{
    cxr_status st = check_points(p, c, err);
    if (st != CXR_OK) return st;
    solver s = {.p = p, .c = c, .size = p->width + 1};
    double *vectors = cxr_mem_new(s.size, 6 * sizeof *vectors);
    s.bend = cxr_mem_new(p->n, sizeof *s.bend);
    if (vectors == NULL || s.bend == NULL) {
        st = cxr_mem_fail(err, "logistic regression");
    } else {
        s.gradient = vectors;
        s.step = vectors + s.size;
        s.residual = vectors + 2 * s.size;
        s.direction = vectors + 3 * s.size;
        s.curved = vectors + 4 * s.size;
        s.tried = vectors + 5 * s.size;
        st = minimise(&s, weights, err);
    }
    cxr_mem_free(vectors);
    cxr_mem_free(s.bend);
    return st;
}
