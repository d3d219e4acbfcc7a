#include "eval/robust.h"
#include "base/mem.h"
#include "data/perturb.h"
#include "eval/figures.h"
#include <math.h>
#include <string.h>

/* The predictions of one perturbation; each array has room for them. */
static void gather(cxr_predictions *out, const cxr_predictions *all, size_t which)
{
    const size_t classes = (size_t)all->classes;
    out->n = all->n / CXR_PERTURBATIONS;
    for (size_t i = 0; i < out->n; i++) {
        const size_t from = i * CXR_PERTURBATIONS + which;
        out->path[i] = all->path[from];
        out->label[i] = all->label[from];
        memcpy(out->probability + i * classes, all->probability + from * classes, classes * sizeof(float));
    }
}

static cxr_status compute_each(cxr_robustness *r, const cxr_predictions *all, int positive, double threshold, cxr_error *err)
{
    const size_t most = all->n / CXR_PERTURBATIONS;
    cxr_predictions one = {.classes = all->classes,
                           .class_names = all->class_names,
                           .path = cxr_mem_new(most, sizeof *one.path),
                           .label = cxr_mem_new(most, sizeof *one.label),
                           .probability = cxr_mem_new(most, (size_t)all->classes * sizeof(float))};
    cxr_status st = CXR_OK;
    if (one.path == NULL || one.label == NULL || one.probability == NULL) st = cxr_mem_fail(err, "predictions");
    for (int k = 0; st == CXR_OK && k < r->count; k++) {
        gather(&one, all, (size_t)k);
        r->names[k] = cxr_perturbation_name(k);
        st = cxr_metrics_compute(&r->each[k], &one, positive, threshold, err);
    }
    cxr_mem_free(one.path);
    cxr_mem_free(one.label);
    cxr_mem_free(one.probability);
    return st;
}

/* A figure that one perturbation lacks has neither mean nor worst. */
static void summarize(cxr_robustness *r)
{
    for (int f = 0; f < CXR_METRICS; f++) {
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
