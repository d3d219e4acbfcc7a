#include "eval/compare.h"
#include "base/mem.h"
#include "eval/bootstrap.h"
#include "eval/figures.h"
#include "eval/interval.h"
#include <math.h>
#include <string.h>

double cxr_mcnemar(uint64_t only_a, uint64_t only_b)
{
    const uint64_t n = only_a + only_b, fewer = only_a < only_b ? only_a : only_b;
    if (n >= CXR_MCNEMAR_EXACT) {
        const double gap = fmax(0.0, (double)(n - 2 * fewer) - 1.0);
        return erfc(sqrt(gap * gap / (double)n / 2.0)); /* of chi-squared with one degree of freedom */
    }
    double tail = 0.0, ways = 1.0;
    for (uint64_t k = 0; k <= fewer; k++) {
        tail += ways;
        ways = ways * (double)(n - k) / (double)(k + 1);
    }
    return fmin(1.0, ldexp(2.0 * tail, -(int)n));
}

static void count_right(cxr_comparison *c, cxr_side a, cxr_side b)
{
    for (size_t i = 0; i < a.p->n; i++) {
        const bool a_right = a.decided[i] == a.p->label[i], b_right = b.decided[i] == b.p->label[i];
        c->only_a += a_right && !b_right;
        c->only_b += b_right && !a_right;
    }
    c->mcnemar_exact = c->only_a + c->only_b < CXR_MCNEMAR_EXACT;
    c->mcnemar_p = cxr_mcnemar(c->only_a, c->only_b);
}

/* The plain form: a difference has no end to stay within. */
static cxr_status test_areas(cxr_comparison *c, const cxr_predictions *a, const cxr_predictions *b, cxr_error *err)
{
    cxr_delong x = {0}, y = {0};
    cxr_status st = cxr_delong_open(&x, a, c->positive, err);
    if (st == CXR_OK) st = cxr_delong_open(&y, b, c->positive, err);
    if (st == CXR_OK) {
        const double variance =
            cxr_delong_covariance(&x, &x) + cxr_delong_covariance(&y, &y) - 2.0 * cxr_delong_covariance(&x, &y);
        const double difference = y.auroc - x.auroc, known = variance > 0.0 ? sqrt(variance) : (double)NAN;
        c->ci95[CXR_AUROC][0] = difference - CXR_Z95 * known;
        c->ci95[CXR_AUROC][1] = difference + CXR_Z95 * known;
        c->auroc_p = erfc(fabs(difference) / known / sqrt(2.0));
    }
    cxr_delong_close(&x);
    cxr_delong_close(&y);
    return st;
}

/* One side's figures, and those of its draws into (CXR_METRICS, CXR_DRAWS). */
static cxr_status measure(double value[CXR_METRICS], double *draws, cxr_side s, int positive, const cxr_clusters *clusters,
                          int threads, cxr_error *err)
{
    const size_t classes = (size_t)s.p->classes;
    cxr_figures t = {0};
    uint32_t *once = cxr_mem_new(s.p->n, sizeof *once);
    uint64_t *confusion = cxr_mem_new(classes, classes * sizeof *confusion);
    cxr_status st =
        once == NULL || confusion == NULL ? cxr_mem_fail(err, "the figures") : cxr_figures_open(&t, s.p, positive, 0.5, err);
    if (st == CXR_OK) {
        memcpy(t.decided, s.decided, s.p->n * sizeof *t.decided);
        for (size_t i = 0; i < s.p->n; i++) once[i] = 1;
        cxr_figures_measure(&t, once, confusion, value, NULL);
        st = cxr_bootstrap(draws, NULL, &t, clusters, threads, err);
    }
    cxr_figures_close(&t);
    cxr_mem_free(once);
    cxr_mem_free(confusion);
    return st;
}

/* Draw d holds the same patients on both sides, so that its differences are paired. */
static cxr_status compare_figures(cxr_comparison *c, cxr_side a, cxr_side b, const char *const *groups, int threads,
                                  cxr_error *err)
{
    const size_t all = (size_t)CXR_METRICS * CXR_DRAWS;
    cxr_clusters clusters = {0};
    double *draws = cxr_mem_new(2 * all, sizeof *draws);
    cxr_status st = draws == NULL ? cxr_mem_fail(err, "the bootstrap") : cxr_clusters_open(&clusters, groups, a.p->n, err);
    if (st == CXR_OK) st = measure(c->a, draws, a, c->positive, &clusters, threads, err);
    if (st == CXR_OK) st = measure(c->b, draws + all, b, c->positive, &clusters, threads, err);
    for (size_t i = 0; st == CXR_OK && i < all; i++) draws[i] = draws[all + i] - draws[i];
    for (int f = 0; st == CXR_OK && f < CXR_METRICS; f++) {
        c->difference[f] = c->b[f] - c->a[f];
        c->ci95[f][0] = c->ci95[f][1] = (double)NAN;
        if (!isnan(c->difference[f])) cxr_bootstrap_interval(draws + (size_t)f * CXR_DRAWS, c->ci95[f]);
    }
    cxr_clusters_close(&clusters);
    cxr_mem_free(draws);
    return st;
}

cxr_status cxr_compare_sides(cxr_comparison *c, cxr_side a, cxr_side b, const char *const *groups, int threads, cxr_error *err)
{
    c->n = a.p->n;
    c->classes = a.p->classes;
    c->positive = a.p->classes == 2 ? 1 : -1;
    c->auroc_p = (double)NAN;
    memcpy(c->names, cxr_figure_names, sizeof c->names);
    count_right(c, a, b);
    const cxr_status st = compare_figures(c, a, b, groups, threads, err);
    return st == CXR_OK && c->positive >= 0 ? test_areas(c, a.p, b.p, err) : st;
}
