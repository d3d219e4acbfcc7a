#include "eval/robust.h"
#include "base/mem.h"
#include "data/perturb.h"
#include "eval/bootstrap.h"
#include "eval/figures.h"
#include <math.h>
#include <string.h>

/* Room for the predictions of one perturbation. */
typedef struct slice {
    cxr_predictions p;
    const char **groups;
} slice;

static cxr_status open_slice(slice *s, const cxr_predictions *all, cxr_error *err)
{
    const size_t n = all->n / CXR_PERTURBATIONS;
    *s = (slice){.p = {.n = n,
                       .classes = all->classes,
                       .class_names = all->class_names,
                       .path = cxr_mem_new(n, sizeof *s->p.path),
                       .label = cxr_mem_new(n, sizeof *s->p.label),
                       .probability = cxr_mem_new(n, (size_t)all->classes * sizeof(float))},
                 .groups = cxr_mem_new(n, sizeof *s->groups)};
    const bool ok = s->p.path != NULL && s->p.label != NULL && s->p.probability != NULL && s->groups != NULL;
    return ok ? CXR_OK : cxr_mem_fail(err, "predictions");
}

static void close_slice(slice *s)
{
    cxr_mem_free(s->p.path);
    cxr_mem_free(s->p.label);
    cxr_mem_free(s->p.probability);
    cxr_mem_free(s->groups);
}

/* groups: NULL or those of all. */
static void gather(slice *s, const cxr_predictions *all, const char *const *groups, int which)
{
    const size_t classes = (size_t)all->classes;
    for (size_t i = 0; i < s->p.n; i++) {
        const size_t from = i * CXR_PERTURBATIONS + (size_t)which;
        s->p.path[i] = all->path[from];
        s->p.label[i] = all->label[from];
        memcpy(s->p.probability + i * classes, all->probability + from * classes, classes * sizeof(float));
        if (groups != NULL) s->groups[i] = groups[from];
    }
}

static cxr_status compute_each(cxr_robustness *r, const cxr_predictions *all, int positive, double threshold, cxr_error *err)
{
    slice one;
    cxr_status st = open_slice(&one, all, err);
    for (int k = 0; st == CXR_OK && k < r->count; k++) {
        gather(&one, all, NULL, k);
        r->names[k] = cxr_perturbation_name(k);
        st = cxr_metrics_compute(&r->each[k], &one.p, positive, threshold, err);
    }
    close_slice(&one);
    return st;
}

/* A figure that one perturbation lacks has neither mean nor worst. */
static void summarize(cxr_robustness *r)
{
    for (int f = 0; f < CXR_METRICS; f++) {
        r->mean_ci95[f][0] = r->mean_ci95[f][1] = (double)NAN;
        const bool low_is_good = cxr_figure_low_is_good(f);
        r->worst[f] = r->each[0]->value[f];
        for (int k = 0; k < r->count; k++) {
            const double x = r->each[k]->value[f];
            r->mean[f] += x / r->count;
            if (low_is_good ? x > r->worst[f] : x < r->worst[f]) r->worst[f] = x;
        }
        if (isnan(r->mean[f])) r->worst[f] = r->mean[f];
    }
}

cxr_status cxr_robustness_compute(cxr_robustness **out, const cxr_predictions *all, int positive, double threshold,
                                  cxr_error *err)
{
    *out = NULL;
    cxr_robustness *r = cxr_mem_new(1, sizeof *r);
    if (r == NULL) return cxr_mem_fail(err, "the figures");
    r->count = CXR_PERTURBATIONS;
    r->names = cxr_mem_new(CXR_PERTURBATIONS, sizeof *r->names);
    r->each = cxr_mem_new(CXR_PERTURBATIONS, sizeof *r->each);
    cxr_status st = r->names == NULL || r->each == NULL ? cxr_mem_fail(err, "the figures") : CXR_OK;
    if (st == CXR_OK) st = cxr_metrics_compute(&r->pooled, all, positive, threshold, err);
    if (st == CXR_OK) st = compute_each(r, all, positive, threshold, err);
    if (st == CXR_OK) summarize(r);
    if (st != CXR_OK) cxr_robustness_free(&r);
    *out = r;
    return st;
}

/* Wilson's and DeLong's formulas take predictions for independent, which those of one image in many ways are not. */
static cxr_status pooled_intervals(cxr_metrics *pooled, const cxr_predictions *all, const char *const *groups, int threads,
                                   double *draws, cxr_error *err)
{
    const cxr_status st = cxr_metrics_intervals_of(pooled, all, groups, threads, draws, err);
    for (int f = 0; st == CXR_OK && f < CXR_METRICS; f++)
        if (!isnan(pooled->value[f])) cxr_bootstrap_interval(draws + (size_t)f * CXR_DRAWS, pooled->ci95[f]);
    return st;
}

/* A draw is of the same patients in every way, so that the means of the draws are draws of the mean. */
cxr_status cxr_robustness_intervals(cxr_robustness *r, const cxr_predictions *all, const char *const *groups, int threads,
                                    cxr_error *err)
{
    enum { ALL = CXR_METRICS * CXR_DRAWS };
    slice one;
    cxr_status st = open_slice(&one, all, err);
    double *draws = cxr_mem_new(ALL, sizeof *draws), *means = cxr_mem_new(ALL, sizeof *means);
    if (st == CXR_OK && (draws == NULL || means == NULL)) st = cxr_mem_fail(err, "the bootstrap");
    for (int k = 0; st == CXR_OK && k < r->count; k++) {
        gather(&one, all, groups, k);
        st = cxr_metrics_intervals_of(r->each[k], &one.p, one.groups, threads, draws, err);
        for (size_t i = 0; i < ALL; i++) means[i] += draws[i] / r->count;
    }
    for (int f = 0; st == CXR_OK && f < CXR_METRICS; f++)
        if (!isnan(r->mean[f])) cxr_bootstrap_interval(means + (size_t)f * CXR_DRAWS, r->mean_ci95[f]);
    if (st == CXR_OK) st = pooled_intervals(r->pooled, all, groups, threads, draws, err);
    close_slice(&one);
    cxr_mem_free(draws);
    cxr_mem_free(means);
    return st;
}

void cxr_robustness_free(cxr_robustness **robustness)
{
    if (robustness == NULL || *robustness == NULL) return;
    cxr_robustness *r = *robustness;
    for (int k = 0; r->each != NULL && k < r->count; k++) cxr_metrics_free(&r->each[k]);
    cxr_metrics_free(&r->pooled);
    cxr_mem_free(r->names);
    cxr_mem_free(r->each);
    cxr_mem_free(r);
    *robustness = NULL;
}
