#include "eval/fit.h"
#include "base/mem.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>

/* ---- Temperature ---- */

static void soften(float *logp, int classes, double temperature)
{
    double largest = (double)logp[0], sum = 0.0;
    for (int k = 1; k < classes; k++) largest = fmax(largest, (double)logp[k]);
    for (int k = 0; k < classes; k++) sum += exp(((double)logp[k] - largest) / temperature);
    for (int k = 0; k < classes; k++) logp[k] = (float)(exp(((double)logp[k] - largest) / temperature) / sum);
}

/* At 1 nothing is computed again: probabilities of a model that was not fitted keep their bits. */
void cxr_probabilities(float *logp, size_t rows, int classes, double temperature)
{
    const size_t n = rows * (size_t)classes;
    if (temperature == 1.0) {
        for (size_t i = 0; i < n; i++) logp[i] = expf(logp[i]);
        return;
    }
    for (size_t i = 0; i < n; i += (size_t)classes) soften(logp + i, classes, temperature);
}

static double log_of(float probability)
{
    return log(fmax((double)probability, (double)FLT_MIN));
}

void cxr_temper(cxr_predictions *p, double temperature)
{
    const size_t n = p->n * (size_t)p->classes;
    if (temperature == 1.0) return;
    for (size_t i = 0; i < n; i++) p->probability[i] = (float)log_of(p->probability[i]);
    cxr_probabilities(p->probability, p->n, p->classes, temperature);
}

/* What the fit works on: log-probabilities in double, and the weight of each class's images. */
typedef struct problem {
    const cxr_predictions *p;
    double *logp, *weight;
} problem;

static void weigh(problem *q, bool balanced)
{
    for (size_t i = 0; i < q->p->n; i++) q->weight[q->p->label[i]] += 1.0;
    for (int k = 0; k < q->p->classes; k++)
        if (q->weight[k] > 0.0) q->weight[k] = balanced ? 1.0 / q->weight[k] : 1.0;
}

/* d NLL / d b at coldness b = 1 / T: the mean over what the model says of log p, less that of the truth. Grows with b, the
 * NLL being convex in it. */
static double slope(const problem *q, double b)
{
    const size_t classes = (size_t)q->p->classes;
    double total = 0.0;
    for (size_t i = 0; i < q->p->n; i++) {
        const double *z = q->logp + i * classes;
        double largest = z[0], sum = 0.0, mean = 0.0;
        for (size_t k = 1; k < classes; k++) largest = fmax(largest, z[k]);
        for (size_t k = 0; k < classes; k++) {
            const double e = exp(b * (z[k] - largest));
            sum += e;
            mean += e * z[k];
        }
        total += q->weight[q->p->label[i]] * (mean / sum - z[q->p->label[i]]);
    }
    return total;
}

/* Halves the interval until doubles end. */
static double coldness_of_slope_zero(const problem *q)
{
    double low = 1.0 / CXR_FITTED_HOTTEST, high = 1.0 / CXR_FITTED_COLDEST;
    if (slope(q, 1.0) == 0.0) return 1.0;
    if (slope(q, low) >= 0.0) return low;
    if (slope(q, high) <= 0.0) return high;
    for (;;) {
        const double middle = 0.5 * (low + high);
        if (!(middle > low && middle < high)) return middle;
        if (slope(q, middle) < 0.0)
            low = middle;
        else
            high = middle;
    }
}

cxr_status cxr_fit_temperature(double *out, const cxr_predictions *p, bool balanced, cxr_error *err)
{
    const size_t n = p->n * (size_t)p->classes;
    problem q = {p, cxr_mem_new(n, sizeof *q.logp), cxr_mem_new((size_t)p->classes, sizeof *q.weight)};
    const bool ok = q.logp != NULL && q.weight != NULL;
    if (ok) {
        for (size_t i = 0; i < n; i++) q.logp[i] = log_of(p->probability[i]);
        weigh(&q, balanced);
        *out = 1.0 / coldness_of_slope_zero(&q);
    }
    cxr_mem_free(q.logp);
    cxr_mem_free(q.weight);
    return ok ? CXR_OK : cxr_mem_fail(err, "a fit");
}

/* ---- Threshold ---- */

typedef struct score {
    double value;
    size_t set;
    bool positive;
} score;

static int by_falling_value(const void *a, const void *b)
{
    const double x = ((const score *)a)->value, y = ((const score *)b)->value;
    return (x < y) - (x > y);
}

typedef struct choice {
    double gain, gap, threshold; /* gain: Youden's J times the product of both classes' counts, exact */
} choice;

static bool better(const choice *a, const choice *b)
{
    if (a->gain != b->gain) return a->gain > b->gain;
    if (a->gap != b->gap) return a->gap > b->gap;
    return fabs(a->threshold - 0.5) < fabs(b->threshold - 0.5);
}

/* gains: of each set, zeros; the classes are in all of them alike. */
static double best_threshold(const score *s, size_t n, double *gains, size_t sets)
{
    size_t positives = 0;
    for (size_t i = 0; i < n; i++) positives += s[i].positive;
    const double p = (double)(positives / sets), q = (double)((n - positives) / sets);
    choice best = {.gain = 0.0, .gap = INFINITY, .threshold = 0.5};
    for (size_t i = 0; i + 1 < n; i++) {
        gains[s[i].set] += s[i].positive ? q : -p;
        if (s[i].value == s[i + 1].value) continue;
        choice c = {.gain = gains[0], .gap = s[i].value - s[i + 1].value, .threshold = 0.5 * (s[i].value + s[i + 1].value)};
        for (size_t k = 1; k < sets; k++) c.gain = fmin(c.gain, gains[k]);
        if (better(&c, &best)) best = c;
    }
    return best.threshold;
}

/* The scores of the positive class, falling; NULL when memory is exhausted. */
static score *fallen_scores(const cxr_predictions *p, int positive, int sets)
{
    score *s = cxr_mem_new(p->n, sizeof *s);
    for (size_t i = 0; s != NULL && i < p->n; i++)
        s[i] = (score){.value = (double)p->probability[i * (size_t)p->classes + (size_t)positive],
                       .set = i % (size_t)sets,
                       .positive = p->label[i] == positive};
    if (s != NULL) qsort(s, p->n, sizeof *s, by_falling_value);
    return s;
}

cxr_status cxr_fit_threshold(double *out, const cxr_predictions *p, int positive, int sets, cxr_error *err)
{
    score *s = fallen_scores(p, positive, sets);
    double *gains = cxr_mem_new((size_t)sets, sizeof *gains);
    const bool ok = s != NULL && gains != NULL;
    if (ok) *out = best_threshold(s, p->n, gains, (size_t)sets);
    cxr_mem_free(s);
    cxr_mem_free(gains);
    return ok ? CXR_OK : cxr_mem_fail(err, "a fit");
}

/* called: of each set the negative and the positive images above the threshold, zeros. */
static void find_rules(double *rule_out, double *rule_in, const score *s, size_t n, size_t (*called)[2], size_t sets)
{
    size_t positives = 0;
    for (size_t i = 0; i < n; i++) positives += s[i].positive;
    const size_t p = positives / sets, q = (n - positives) / sets;
    *rule_out = *rule_in = (double)NAN;
    for (size_t i = 0; i <= n; i++) {
        if (i > 0) called[s[i - 1].set][s[i - 1].positive]++;
        const double above = i > 0 ? s[i - 1].value : 1.0, below = i < n ? s[i].value : 0.0;
        if (i < n && above == below) continue;
        size_t found = p, mistaken = 0;
        for (size_t k = 0; k < sets; k++) {
            if (called[k][1] < found) found = called[k][1];
            if (called[k][0] > mistaken) mistaken = called[k][0];
        }
        if (p > 0 && isnan(*rule_out) && 20 * found >= 19 * p) *rule_out = 0.5 * (above + below);
        if (q > 0 && 20 * mistaken <= q) *rule_in = 0.5 * (above + below);
    }
}

cxr_status cxr_fit_rules(double *rule_out, double *rule_in, const cxr_predictions *p, int positive, int sets, cxr_error *err)
{
    score *s = fallen_scores(p, positive, sets);
    size_t(*called)[2] = cxr_mem_new((size_t)sets, sizeof *called);
    const bool ok = s != NULL && called != NULL;
    if (ok) find_rules(rule_out, rule_in, s, p->n, called, (size_t)sets);
    cxr_mem_free(s);
    cxr_mem_free(called);
    return ok ? CXR_OK : cxr_mem_fail(err, "a fit");
}
