#include "eval/interval.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>

void cxr_wilson(uint64_t part, uint64_t whole, double ci[2])
{
    ci[0] = ci[1] = (double)NAN;
    if (whole == 0) return;
    const double n = (double)whole, share = (double)part / n, zz = CXR_Z95 * CXR_Z95;
    const double middle = (share + zz / (2.0 * n)) / (1.0 + zz / n);
    const double half = CXR_Z95 * sqrt(share * (1.0 - share) / n + zz / (4.0 * n * n)) / (1.0 + zz / n);
    ci[0] = part == 0 ? 0.0 : middle - half; /* exact, whatever the rounding */
    ci[1] = part == whole ? 1.0 : middle + half;
}

/* ---- DeLong ---- */

typedef struct scored {
    float score;
    size_t image;
} scored;

static int by_score(const void *a, const void *b)
{
    const float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x > y) - (x < y);
}

/* One step for each distinct score: those below and half of those beside an image are what its rank counts. */
static void place(cxr_delong *d, const scored *s)
{
    const double positives = (double)d->positives, negatives = (double)(d->n - d->positives);
    size_t below[2] = {0, 0}; /* negatives, positives */
    double area = 0.0;
    for (size_t i = 0, next; i < d->n; i = next) {
        size_t tied[2] = {0, 0};
        for (next = i; next < d->n && s[next].score == s[i].score; next++) tied[d->positive[s[next].image]]++;
        const double less = (double)below[0] + (double)tied[0] / 2.0,
                     more = positives - (double)below[1] - (double)tied[1] / 2.0;
        for (size_t j = i; j < next; j++)
            d->placement[s[j].image] = d->positive[s[j].image] ? less / negatives : more / positives;
        area += (double)tied[1] * less;
        below[0] += tied[0];
        below[1] += tied[1];
    }
    d->auroc = area / (positives * negatives);
}

cxr_status cxr_delong_open(cxr_delong *d, const cxr_predictions *p, int positive, cxr_error *err)
{
    *d = (cxr_delong){.n = p->n,
                      .auroc = (double)NAN,
                      .placement = cxr_mem_new(p->n, sizeof *d->placement),
                      .positive = cxr_mem_new(p->n, sizeof *d->positive)};
    scored *s = cxr_mem_new(p->n, sizeof *s);
    if (d->placement == NULL || d->positive == NULL || s == NULL) {
        cxr_mem_free(s);
        return cxr_mem_fail(err, "the ranks");
    }
    for (size_t i = 0; i < p->n; i++) {
        d->positive[i] = p->label[i] == positive;
        d->positives += d->positive[i];
        s[i] = (scored){p->probability[i * (size_t)p->classes + (size_t)positive], i};
    }
    qsort(s, p->n, sizeof *s, by_score);
    if (d->positives > 0 && d->positives < d->n) place(d, s);
    cxr_mem_free(s);
    return CXR_OK;
}

void cxr_delong_close(cxr_delong *d)
{
    cxr_mem_free(d->placement);
    cxr_mem_free(d->positive);
    *d = (cxr_delong){0};
}

double cxr_delong_covariance(const cxr_delong *a, const cxr_delong *b)
{
    const double count[2] = {(double)(a->n - a->positives), (double)a->positives};
    double sum[2] = {0.0, 0.0};
    if (count[0] < 2.0 || count[1] < 2.0) return (double)NAN;
    for (size_t i = 0; i < a->n; i++) /* the mean placement of either side is the area */
        sum[a->positive[i]] += (a->placement[i] - a->auroc) * (b->placement[i] - b->auroc);
    return sum[0] / (count[0] - 1.0) / count[0] + sum[1] / (count[1] - 1.0) / count[1];
}

void cxr_delong_interval(const cxr_delong *d, double ci[2])
{
    const double variance = cxr_delong_covariance(d, d), odds = d->auroc / (1.0 - d->auroc);
    if (!(variance > 0.0)) {
        cxr_newcombe(d->auroc, d->positives, d->n - d->positives, ci);
        return;
    }
    const double half = CXR_Z95 * sqrt(variance) / (d->auroc * (1.0 - d->auroc));
    ci[0] = 1.0 / (1.0 + exp(half) / odds);
    ci[1] = 1.0 / (1.0 + exp(-half) / odds);
}

/* ---- Newcombe ---- */

/* Where |auroc - x| is z standard errors of an area x, between the area itself and `end`, 0 or 1. */
static double score_limit(double auroc, double end, double positives, double negatives)
{
    const double degrees = (positives + negatives) / 2.0 - 1.0;
    double within = auroc, beyond = end;
    for (int i = 0; i < 100; i++) {
        const double x = (within + beyond) / 2.0;
        const double variance =
            x * (1.0 - x) * (1.0 + degrees * ((1.0 - x) / (2.0 - x) + x / (1.0 + x))) / (positives * negatives);
        if (fabs(auroc - x) <= CXR_Z95 * sqrt(variance))
            within = x;
        else
            beyond = x;
    }
    return within;
}

void cxr_newcombe(double auroc, size_t positives, size_t negatives, double ci[2])
{
    ci[0] = ci[1] = (double)NAN;
    if (positives == 0 || negatives == 0 || isnan(auroc)) return;
    ci[0] = score_limit(auroc, 0.0, (double)positives, (double)negatives);
    ci[1] = score_limit(auroc, 1.0, (double)positives, (double)negatives);
}
