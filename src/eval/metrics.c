/* What may be measured, and the figures as the caller gets them. Their definitions are in eval/figures.c, their intervals in
 * eval/interval.c and eval/bootstrap.c. */
#include "eval/metrics.h"
#include "base/mem.h"
#include "eval/bootstrap.h"
#include "eval/figures.h"
#include "eval/interval.h"
#include "model/model.h"
#include <math.h>
#include <string.h>

static cxr_status check(const cxr_predictions *p, int positive, double threshold, cxr_error *err)
{
    if (p->classes < 2) return cxr_fail(err, CXR_EDATA, "metrics need at least 2 classes, not %d", p->classes);
    if (p->classes == 2 ? positive != 0 && positive != 1 : positive != -1)
        return cxr_fail(err, CXR_EUSAGE, "class %d cannot be the positive one of %d classes", positive, p->classes);
    if (isnan(threshold)) return cxr_fail(err, CXR_EUSAGE, "the threshold is not a number");
    if (p->n == 0) return cxr_fail(err, CXR_EDATA, "metrics need at least one image");
    const size_t classes = (size_t)p->classes;
    for (size_t i = 0; i < p->n; i++) {
        if (p->label[i] < 0 || p->label[i] >= p->classes)
            return cxr_fail(err, CXR_EDATA, "%s: label %d is not one of %d classes", p->path[i], p->label[i], p->classes);
        for (size_t k = 0; k < classes; k++) {
            const float x = p->probability[i * classes + k];
            if (!(x >= 0.0f && x <= 1.0f))
                return cxr_fail(err, CXR_EDATA, "%s: probability %g of class \"%s\" is not within 0..1", p->path[i], (double)x,
                                p->class_names[k]);
        }
    }
    return CXR_OK;
}

static bool reserve(cxr_metrics *m)
{
    const size_t classes = (size_t)m->classes;
    m->confusion = cxr_mem_new(classes, classes * sizeof *m->confusion);
    bool ok = m->confusion != NULL;
    for (int f = CXR_SENSITIVITY; ok && m->classes > 2 && f <= CXR_AUPRC; f++) {
        m->per_class[f] = cxr_mem_new(classes, sizeof *m->per_class[f]);
        ok = m->per_class[f] != NULL;
    }
    return ok;
}

static double accuracy_at(const cxr_predictions *p, int positive, double threshold)
{
    uint64_t right = 0;
    for (size_t i = 0; i < p->n; i++)
        right += cxr_decide(p->probability + i * (size_t)p->classes, p->classes, positive, threshold) == p->label[i];
    return (double)right / (double)p->n;
}

static cxr_status measure(cxr_metrics *m, const cxr_predictions *p, cxr_error *err)
{
    cxr_figures t = {0};
    uint32_t *once = cxr_mem_new(p->n, sizeof *once);
    cxr_status st = once == NULL || !reserve(m) ? cxr_mem_fail(err, "the metrics")
                                                : cxr_figures_open(&t, p, m->positive, m->threshold, err);
    if (st == CXR_OK) {
        for (size_t i = 0; i < p->n; i++) once[i] = 1;
        cxr_figures_measure(&t, once, m->confusion, m->value, m->per_class);
        m->accuracy_at_half = accuracy_at(p, m->positive, 0.5);
    }
    cxr_figures_close(&t);
    cxr_mem_free(once);
    return st;
}

double cxr_metrics_value(const cxr_metrics *m, const char *name)
{
    int f = 0;
    while (f < CXR_METRICS - 1 && strcmp(m->names[f], name) != 0) f++;
    return m->value[f];
}

cxr_status cxr_metrics_compute(cxr_metrics **out, const cxr_predictions *p, int positive, double threshold, cxr_error *err)
{
    *out = NULL;
    cxr_status st = check(p, positive, threshold, err);
    if (st != CXR_OK) return st;
    cxr_metrics *m = cxr_mem_new(1, sizeof *m);
    if (m == NULL) return cxr_mem_fail(err, "the metrics");
    *m = (cxr_metrics){.n = p->n, .classes = p->classes, .positive = positive, .threshold = threshold};
    memcpy(m->names, cxr_figure_names, sizeof m->names);
    for (int f = 0; f < CXR_METRICS; f++) m->ci95[f][0] = m->ci95[f][1] = (double)NAN;
    st = measure(m, p, err);
    if (st != CXR_OK) cxr_metrics_free(&m);
    *out = m;
    return st;
}

/* ---- Intervals ---- */

/* Two classes: what is a share of images, and the area under the ROC, have intervals of their own. */
static cxr_status closed_forms(cxr_metrics *m, const cxr_predictions *p, cxr_error *err)
{
    const int k = m->positive, other = 1 - k;
    const uint64_t *c = m->confusion, tp = c[k * 2 + k], fn = c[k * 2 + other], fp = c[other * 2 + k],
                   tn = c[other * 2 + other];
    cxr_wilson(tp, tp + fn, m->ci95[CXR_SENSITIVITY]);
    cxr_wilson(tn, tn + fp, m->ci95[CXR_SPECIFICITY]);
    cxr_wilson(tp, tp + fp, m->ci95[CXR_PPV]);
    cxr_wilson(tn, tn + fn, m->ci95[CXR_NPV]);
    cxr_delong d = {0};
    const cxr_status st = cxr_delong_open(&d, p, k, err);
    if (st == CXR_OK) cxr_delong_interval(&d, m->ci95[CXR_AUROC]);
    cxr_delong_close(&d);
    return st;
}

static uint64_t correct(const cxr_metrics *m)
{
    uint64_t sum = 0;
    for (int k = 0; k < m->classes; k++) sum += m->confusion[k * m->classes + k];
    return sum;
}

cxr_status cxr_metrics_intervals(cxr_metrics *m, const cxr_predictions *p, const char *const *groups, int threads,
                                 cxr_error *err)
{
    cxr_figures t = {0};
    cxr_clusters c = {0};
    double *draws = cxr_mem_new(CXR_METRICS * CXR_DRAWS, sizeof *draws);
    cxr_status st = draws == NULL ? cxr_mem_fail(err, "the bootstrap") : cxr_clusters_open(&c, groups, p->n, err);
    if (st == CXR_OK) st = cxr_figures_open(&t, p, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_bootstrap(draws, &t, &c, threads, err);
    for (int f = 0; st == CXR_OK && f < CXR_METRICS; f++)
        if (!isnan(m->value[f])) cxr_bootstrap_interval(draws + (size_t)f * CXR_DRAWS, m->ci95[f]);
    cxr_figures_close(&t);
    cxr_clusters_close(&c);
    cxr_mem_free(draws);
    cxr_wilson(correct(m), m->n, m->ci95[CXR_ACCURACY]);
    return st == CXR_OK && m->positive >= 0 ? closed_forms(m, p, err) : st;
}

void cxr_metrics_free(cxr_metrics **m)
{
    if (m == NULL || *m == NULL) return;
    for (int f = 0; f < CXR_METRICS; f++) cxr_mem_free((*m)->per_class[f]);
    cxr_mem_free((*m)->confusion);
    cxr_mem_free(*m);
    *m = NULL;
}
