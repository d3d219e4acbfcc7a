#include "eval/reliability.h"
#include "eval/figures.h"
#include "eval/interval.h"
#include <float.h>
#include <math.h>

static double probability(const cxr_predictions *p, int positive, size_t i)
{
    return (double)p->probability[i * 2 + (size_t)positive];
}

/* ---- Bins ---- */

static cxr_reliability_bin *bin_of(cxr_reliability *r, double x)
{
    return &r->bins[cxr_bin(x, CXR_RELIABILITY_BINS)];
}

static void fill_bins(cxr_reliability *r, const cxr_predictions *p, int positive)
{
    size_t positives[CXR_RELIABILITY_BINS] = {0};
    for (int b = 0; b < CXR_RELIABILITY_BINS; b++)
        r->bins[b] =
            (cxr_reliability_bin){.low = (double)b / CXR_RELIABILITY_BINS, .high = (double)(b + 1) / CXR_RELIABILITY_BINS};
    for (size_t i = 0; i < p->n; i++) {
        const double x = probability(p, positive, i);
        cxr_reliability_bin *b = bin_of(r, x);
        b->count++;
        b->mean += x;
        positives[b - r->bins] += p->label[i] == positive;
    }
    for (int k = 0; k < CXR_RELIABILITY_BINS; k++) {
        cxr_reliability_bin *b = &r->bins[k];
        b->mean = b->count > 0 ? b->mean / (double)b->count : (double)NAN;
        b->observed = b->count > 0 ? (double)positives[k] / (double)b->count : (double)NAN;
        cxr_wilson(positives[k], b->count, b->ci95);
    }
}

/* Sums over images, divided in the end. */
static void decompose(cxr_reliability *r, const cxr_predictions *p, int positive)
{
    const double n = (double)p->n;
    double rate = 0.0;
    for (size_t i = 0; i < p->n; i++) rate += p->label[i] == positive;
    rate /= n;
    for (size_t i = 0; i < p->n; i++) {
        const double f = probability(p, positive, i), o = p->label[i] == positive;
        const cxr_reliability_bin *b = bin_of(r, f);
        r->brier += (f - o) * (f - o) / n;
        r->reliability += (b->mean - b->observed) * (b->mean - b->observed) / n;
        r->resolution += (b->observed - rate) * (b->observed - rate) / n;
        r->within_bin_variance += (f - b->mean) * (f - b->mean) / n;
        r->within_bin_covariance += 2.0 * (f - b->mean) * (o - b->observed) / n;
    }
    r->uncertainty = rate * (1.0 - rate);
}

/* ---- Logistic recalibration ---- */

static double logit(double x)
{
    x = fmin(fmax(x, (double)FLT_EPSILON), 1.0 - (double)FLT_EPSILON);
    return log(x) - log1p(-x);
}

/* Log-likelihood of intercept a and slope b, its gradient and its negative Hessian {aa, ab, bb}. */
static double look(const cxr_predictions *p, int positive, double a, double b, double gradient[2], double information[3])
{
    double sum = 0.0;
    gradient[0] = gradient[1] = information[0] = information[1] = information[2] = 0.0;
    for (size_t i = 0; i < p->n; i++) {
        const double x = logit(probability(p, positive, i)), eta = a + b * x, y = p->label[i] == positive;
        const double q = 1.0 / (1.0 + exp(-eta)), w = q * (1.0 - q);
        sum += y * eta - fmax(eta, 0.0) - log1p(exp(-fabs(eta)));
        gradient[0] += y - q;
        gradient[1] += (y - q) * x;
        information[0] += w;
        information[1] += w * x;
        information[2] += w * x * x;
    }
    return sum;
}

/* Newton's method, its step halved where the likelihood, which is concave, would fall. Leaves b where it is unless `both`.
 * variance: of a, or with `both` of b. False: it has no end. */
static bool climb(const cxr_predictions *p, int positive, bool both, double *a, double *b, double *variance)
{
    double g[2], h[3], next_g[2], next_h[3], value = look(p, positive, *a, *b, g, h);
    for (int round = 0; round < 200; round++) {
        const double det = both ? h[0] * h[2] - h[1] * h[1] : h[0];
        if (!(det > 1e-12 * (both ? h[0] * h[2] : 1.0))) return false;
        double da = both ? (h[2] * g[0] - h[1] * g[1]) / det : g[0] / det, db = both ? (h[0] * g[1] - h[1] * g[0]) / det : 0.0;
        double next = look(p, positive, *a + da, *b + db, next_g, next_h);
        for (int k = 0; k < 50 && !(next >= value - 1e-12 * fabs(value)); k++) {
            da *= 0.5;
            db *= 0.5;
            next = look(p, positive, *a + da, *b + db, next_g, next_h);
        }
        *a += da;
        *b += db;
        value = next;
        for (int k = 0; k < 2; k++) g[k] = next_g[k];
        for (int k = 0; k < 3; k++) h[k] = next_h[k];
        *variance = both ? h[0] / (h[0] * h[2] - h[1] * h[1]) : 1.0 / h[0];
        if (fabs(da) <= 1e-12 * (1.0 + fabs(*a)) && fabs(db) <= 1e-12 * (1.0 + fabs(*b))) return isfinite(*variance);
    }
    return false;
}

/* Whether some threshold has all of one class on one side: the likelihood then grows with the slope for ever. */
static bool parted(const cxr_predictions *p, int positive)
{
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (size_t i = 0; i < p->n; i++) {
        const int k = p->label[i] == positive;
        low[k] = fmin(low[k], logit(probability(p, positive, i)));
        high[k] = fmax(high[k], logit(probability(p, positive, i)));
    }
    return low[1] >= high[0] || low[0] >= high[1];
}

static void around(double value, double variance, double ci[2])
{
    ci[0] = value - CXR_Z95 * sqrt(variance);
    ci[1] = value + CXR_Z95 * sqrt(variance);
}

static void recalibrate(cxr_reliability *r, const cxr_predictions *p, int positive)
{
    double a = 0.0, b = 1.0, variance;
    r->slope = r->intercept = (double)NAN;
    for (int k = 0; k < 2; k++) r->slope_ci95[k] = r->intercept_ci95[k] = (double)NAN;
    if (!(r->uncertainty > 0.0)) return; /* one class only */
    if (climb(p, positive, false, &a, &b, &variance)) {
        r->intercept = a;
        around(a, variance, r->intercept_ci95);
    }
    if (!parted(p, positive) && climb(p, positive, true, &a, &b, &variance)) {
        r->slope = b;
        around(b, variance, r->slope_ci95);
    }
}

void cxr_reliability_measure(cxr_reliability *r, const cxr_predictions *p, int positive)
{
    *r = (cxr_reliability){0};
    fill_bins(r, p, positive);
    decompose(r, p, positive);
    recalibrate(r, p, positive);
}
