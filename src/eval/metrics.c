/* Figures from probabilities and labels. Counts come from the confusion matrix, ranking figures from one descending walk over
 * sorted scores. Sums are in double; scikit-learn's definitions, except that an undefined figure is NaN and not 0. */
#include "eval/metrics.h"
#include "base/mem.h"
#include "model/model.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ACCURACY, BALANCED_ACCURACY, SENSITIVITY, SPECIFICITY, PPV, NPV, F1, AUROC, AUPRC, LOSS };

static const char *const names[CXR_METRICS] = {
    "accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "auroc", "auprc", "loss"};

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
    for (int f = SENSITIVITY; ok && m->classes > 2 && f <= AUPRC; f++) {
        m->per_class[f] = cxr_mem_new(classes, sizeof *m->per_class[f]);
        ok = m->per_class[f] != NULL;
    }
    return ok;
}

static void count(cxr_metrics *m, const cxr_predictions *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const int decided = cxr_decide(p->probability + i * (size_t)p->classes, p->classes, m->positive, m->threshold);
        m->confusion[p->label[i] * p->classes + decided]++;
    }
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

static double accuracy_at(const cxr_predictions *p, int positive, double threshold)
{
    uint64_t right = 0;
    for (size_t i = 0; i < p->n; i++)
        right += cxr_decide(p->probability + i * (size_t)p->classes, p->classes, positive, threshold) == p->label[i];
    return ratio(right, p->n);
}

/* The figures of class k against the rest that the confusion matrix decides, into out[SENSITIVITY..F1]. */
static void one_vs_rest(const cxr_metrics *m, int k, double out[CXR_METRICS])
{
    const uint64_t tp = m->confusion[k * m->classes + k];
    uint64_t actual = 0, called = 0; /* the sums of its row and of its column */
    for (int j = 0; j < m->classes; j++) {
        actual += m->confusion[k * m->classes + j];
        called += m->confusion[j * m->classes + k];
    }
    const uint64_t tn = m->n - actual - called + tp;
    out[SENSITIVITY] = ratio(tp, actual);
    out[SPECIFICITY] = ratio(tn, m->n - actual);
    out[PPV] = ratio(tp, called);
    out[NPV] = ratio(tn, m->n - called);
    out[F1] = ratio(2 * tp, actual + called);
}

/* Accuracy, and balanced accuracy: the mean recall of the classes that occur, as balanced_accuracy_score. */
static void overall(cxr_metrics *m)
{
    uint64_t right = 0;
    double recalls = 0.0;
    int present = 0;
    for (int k = 0; k < m->classes; k++) {
        const uint64_t *row = m->confusion + k * m->classes;
        uint64_t actual = 0;
        for (int j = 0; j < m->classes; j++) actual += row[j];
        right += row[k];
        if (actual == 0) continue;
        recalls += ratio(row[k], actual);
        present++;
    }
    m->value[ACCURACY] = ratio(right, m->n);
    m->value[BALANCED_ACCURACY] = recalls / present;
}

typedef struct scored {
    float score;
    bool positive;
} scored;

static int by_falling_score(const void *a, const void *b)
{
    const float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x < y) - (x > y);
}

/* The area under the ROC by trapezia, which gives ties half a rank (roc_auc_score), and the precision averaged over steps of
 * recall (average_precision_score): one step of both curves for each distinct score. */
static void rank(scored *s, size_t n, double out[CXR_METRICS])
{
    qsort(s, n, sizeof *s, by_falling_score);
    double area = 0.0, precision = 0.0;
    size_t tp = 0;
    for (size_t i = 0, next; i < n; i = next) {
        const size_t before = tp;
        for (next = i; next < n && s[next].score == s[i].score; next++) tp += s[next].positive;
        const size_t gained = tp - before, false_positives = next - i - gained;
        area += (double)false_positives * ((double)before + (double)tp) / 2.0;
        precision += (double)gained * ((double)tp / (double)next);
    }
    out[AUROC] = tp > 0 && tp < n ? area / ((double)tp * (double)(n - tp)) : (double)NAN;
    out[AUPRC] = tp > 0 ? precision / (double)tp : (double)NAN;
}

static void rank_class(const cxr_predictions *p, int k, scored *scratch, double out[CXR_METRICS])
{
    for (size_t i = 0; i < p->n; i++)
        scratch[i] = (scored){p->probability[i * (size_t)p->classes + (size_t)k], p->label[i] == k};
    rank(scratch, p->n, out);
}

/* Mean negative log-likelihood in nats. Clipped to float's resolution at both ends, as log_loss does for float input. */
static double mean_loss(const cxr_predictions *p)
{
    double sum = 0.0;
    for (size_t i = 0; i < p->n; i++) {
        const double x = (double)p->probability[i * (size_t)p->classes + (size_t)p->label[i]];
        sum -= log(fmin(fmax(x, (double)FLT_EPSILON), 1.0 - (double)FLT_EPSILON));
    }
    return sum / (double)p->n;
}

static void figures(cxr_metrics *m, const cxr_predictions *p, scored *scratch)
{
    count(m, p);
    overall(m);
    m->value[LOSS] = mean_loss(p);
    m->accuracy_at_half = accuracy_at(p, m->positive, 0.5);
    if (m->classes == 2) {
        one_vs_rest(m, m->positive, m->value);
        rank_class(p, m->positive, scratch, m->value);
        return;
    }
    for (int k = 0; k < m->classes; k++) {
        double of_class[CXR_METRICS];
        one_vs_rest(m, k, of_class);
        rank_class(p, k, scratch, of_class);
        for (int f = SENSITIVITY; f <= AUPRC; f++) {
            m->per_class[f][k] = of_class[f];
            m->value[f] += of_class[f] / m->classes; /* a class without the figure leaves the mean undefined too */
        }
    }
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
    const cxr_status st = check(p, positive, threshold, err);
    if (st != CXR_OK) return st;
    cxr_metrics *m = cxr_mem_new(1, sizeof *m);
    scored *scratch = cxr_mem_new(p->n, sizeof *scratch);
    if (m != NULL) {
        *m = (cxr_metrics){.n = p->n, .classes = p->classes, .positive = positive, .threshold = threshold};
        memcpy(m->names, names, sizeof names);
    }
    if (m != NULL && scratch != NULL && reserve(m)) {
        figures(m, p, scratch);
        *out = m;
        m = NULL;
    }
    cxr_metrics_free(&m);
    cxr_mem_free(scratch);
    return *out != NULL ? CXR_OK : cxr_mem_fail(err, "the metrics");
}

void cxr_metrics_free(cxr_metrics **m)
{
    if (m == NULL || *m == NULL) return;
    for (int f = 0; f < CXR_METRICS; f++) cxr_mem_free((*m)->per_class[f]);
    cxr_mem_free((*m)->confusion);
    cxr_mem_free(*m);
    *m = NULL;
}
