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
        m->per_class_ci95[f] = cxr_mem_new(classes, sizeof *m->per_class_ci95[f]);
        ok = m->per_class[f] != NULL && m->per_class_ci95[f] != NULL;
        for (size_t k = 0; ok && k < classes; k++) m->per_class_ci95[f][k][0] = m->per_class_ci95[f][k][1] = (double)NAN;
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

/* Class k against the rest: what is a share of images, and the area under the ROC, have intervals of their own. */
static cxr_status closed_forms(const cxr_metrics *m, const cxr_predictions *p, int k, double *ci[CXR_METRICS], cxr_error *err)
{
    const int classes = m->classes;
    const uint64_t tp = m->confusion[k * classes + k];
    uint64_t actual = 0, called = 0;
    for (int j = 0; j < classes; j++) {
        actual += m->confusion[k * classes + j];
        called += m->confusion[j * classes + k];
    }
    const uint64_t tn = m->n - actual - called + tp;
    cxr_wilson(tp, actual, ci[CXR_SENSITIVITY]);
    cxr_wilson(tn, m->n - actual, ci[CXR_SPECIFICITY]);
    cxr_wilson(tp, called, ci[CXR_PPV]);
    cxr_wilson(tn, m->n - called, ci[CXR_NPV]);
    cxr_delong d = {0};
    const cxr_status st = cxr_delong_open(&d, p, k, err);
    if (st == CXR_OK) cxr_delong_interval(&d, ci[CXR_AUROC]);
    cxr_delong_close(&d);
    return st;
}

static uint64_t correct(const cxr_metrics *m)
{
    uint64_t sum = 0;
    for (int k = 0; k < m->classes; k++) sum += m->confusion[k * m->classes + k];
    return sum;
}

/* The percentiles of draws in the order of the draws, which stay so. */
static void percentiles(const double *draws, double value, double *sorted, double ci[2])
{
    if (isnan(value)) return;
    memcpy(sorted, draws, CXR_DRAWS * sizeof *sorted);
    cxr_bootstrap_interval(sorted, ci);
}

/* What has a formula gets it afterwards. */
static cxr_status all_closed_forms(cxr_metrics *m, const cxr_predictions *p, cxr_error *err)
{
    cxr_status st = CXR_OK;
    cxr_wilson(correct(m), m->n, m->ci95[CXR_ACCURACY]);
    for (int k = 0; st == CXR_OK && k < m->classes; k++) {
        double *ci[CXR_METRICS] = {0};
        for (int f = CXR_SENSITIVITY; f <= CXR_AUPRC; f++) ci[f] = m->positive < 0 ? m->per_class_ci95[f][k] : m->ci95[f];
        if (m->positive < 0 || m->positive == k) st = closed_forms(m, p, k, ci, err);
    }
    return st;
}

/* Of more than two classes each has draws of the figures without a formula. */
static bool reserve_per_class(double *per_class[CXR_METRICS], const cxr_metrics *m)
{
    if (m->positive >= 0) return true;
    per_class[CXR_F1] = cxr_mem_new((size_t)m->classes, CXR_DRAWS * sizeof(double));
    per_class[CXR_AUPRC] = cxr_mem_new((size_t)m->classes, CXR_DRAWS * sizeof(double));
    return per_class[CXR_F1] != NULL && per_class[CXR_AUPRC] != NULL;
}

cxr_status cxr_metrics_intervals_of(cxr_metrics *m, const cxr_predictions *p, const char *const *groups, int threads,
                                    double *draws, cxr_error *err)
{
    cxr_figures t = {0};
    cxr_clusters c = {0};
    double *sorted = cxr_mem_new(CXR_DRAWS, sizeof *sorted), *per_class[CXR_METRICS] = {0};
    cxr_status st = sorted == NULL || !reserve_per_class(per_class, m) ? cxr_mem_fail(err, "the bootstrap")
                                                                       : cxr_clusters_open(&c, groups, p->n, err);
    if (st == CXR_OK) st = cxr_figures_open(&t, p, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_bootstrap(draws, m->positive < 0 ? per_class : NULL, &t, &c, threads, err);
    for (int f = 0; st == CXR_OK && f < CXR_METRICS; f++) {
        percentiles(draws + (size_t)f * CXR_DRAWS, m->value[f], sorted, m->ci95[f]);
        for (int k = 0; per_class[f] != NULL && k < m->classes; k++)
            percentiles(per_class[f] + (size_t)k * CXR_DRAWS, m->per_class[f][k], sorted, m->per_class_ci95[f][k]);
    }
    cxr_figures_close(&t);
    cxr_clusters_close(&c);
    cxr_mem_free(sorted);
    cxr_mem_free(per_class[CXR_F1]);
    cxr_mem_free(per_class[CXR_AUPRC]);
    return st == CXR_OK ? all_closed_forms(m, p, err) : st;
}

cxr_status cxr_metrics_intervals(cxr_metrics *m, const cxr_predictions *p, const char *const *groups, int threads,
                                 cxr_error *err)
{
    double *draws = cxr_mem_new(CXR_METRICS * CXR_DRAWS, sizeof *draws);
    const cxr_status st =
        draws == NULL ? cxr_mem_fail(err, "the bootstrap") : cxr_metrics_intervals_of(m, p, groups, threads, draws, err);
    cxr_mem_free(draws);
    return st;
}

void cxr_metrics_free(cxr_metrics **m)
{
    if (m == NULL || *m == NULL) return;
    for (int f = 0; f < CXR_METRICS; f++) {
        cxr_mem_free((*m)->per_class[f]);
        cxr_mem_free((*m)->per_class_ci95[f]);
    }
    for (int k = 0; k < (*m)->subgroup_count; k++) {
        cxr_metrics_free(&(*m)->subgroups[k].figures);
        cxr_mem_free((*m)->subgroups[k].name);
    }
    cxr_mem_free((*m)->subgroups);
    cxr_mem_free((*m)->confusion);
    cxr_mem_free(*m);
    *m = NULL;
}
