/* Counts come from the confusion matrix, ranking figures from one descending walk over sorted scores, the rest are means over
 * images. Sums are in double; scikit-learn's definitions, except that an undefined figure is NaN and not 0. */
#include "eval/figures.h"
#include "base/mem.h"
#include "model/model.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const cxr_figure_names[CXR_METRICS] = {[CXR_ACCURACY] = "accuracy",
                                                   [CXR_BALANCED_ACCURACY] = "balanced_accuracy",
                                                   [CXR_SENSITIVITY] = "sensitivity",
                                                   [CXR_SPECIFICITY] = "specificity",
                                                   [CXR_PPV] = "ppv",
                                                   [CXR_NPV] = "npv",
                                                   [CXR_F1] = "f1",
                                                   [CXR_AUROC] = "auroc",
                                                   [CXR_AUPRC] = "auprc",
                                                   [CXR_LOSS] = "loss",
                                                   [CXR_MCC] = "mcc",
                                                   [CXR_BRIER] = "brier",
                                                   [CXR_ECE] = "ece"};

bool cxr_figure_low_is_good(int f)
{
    return f == CXR_LOSS || f == CXR_BRIER || f == CXR_ECE;
}

int cxr_bin(double probability, int bins)
{
    const int bin = (int)ceil(probability * bins) - 1;
    return bin < 0 ? 0 : bin;
}

/* ---- What does not depend on the weights ---- */

/* Equal scores are told apart by their place, so that the order is one. */
static int by_falling_score(const void *a, const void *b)
{
    const cxr_ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->image > y->image) - (x->image < y->image);
}

static void rank_images(cxr_figures *t)
{
    const cxr_predictions *p = t->p;
    for (int r = 0; r < t->rankings; r++) {
        const int k = t->positive >= 0 ? t->positive : r;
        cxr_ranked *ranked = t->ranked + (size_t)r * p->n;
        for (size_t i = 0; i < p->n; i++)
            ranked[i] = (cxr_ranked){p->probability[i * (size_t)p->classes + (size_t)k], (uint32_t)i, p->label[i] == k};
        qsort(ranked, p->n, sizeof *ranked, by_falling_score);
    }
}

/* Two classes: the square of the positive class's error, as brier_score_loss; more: their sum over the classes (Brier 1950). */
static double squared_error(const float *probability, int classes, int label, int positive)
{
    double sum = 0.0;
    for (int k = 0; k < classes; k++) {
        const double gap = (double)probability[k] - (k == label);
        if (positive < 0 || k == positive) sum += gap * gap;
    }
    return sum;
}

/* The loss is clipped to float's resolution at both ends, as log_loss does for float input. */
static void look_at_images(cxr_figures *t, double threshold)
{
    const cxr_predictions *p = t->p;
    for (size_t i = 0; i < p->n; i++) {
        const float *q = p->probability + i * (size_t)p->classes;
        int top = 0;
        for (int k = 1; k < p->classes; k++)
            if (q[k] > q[top]) top = k;
        t->decided[i] = cxr_decide(q, p->classes, t->positive, threshold);
        t->loss[i] = -log(fmin(fmax((double)q[p->label[i]], (double)FLT_EPSILON), 1.0 - (double)FLT_EPSILON));
        t->brier[i] = squared_error(q, p->classes, p->label[i], t->positive);
        t->confidence[i] = q[top];
        t->bin[i] = (uint8_t)cxr_bin((double)q[top], CXR_ECE_BINS);
        t->right[i] = top == p->label[i];
    }
}

cxr_status cxr_figures_open(cxr_figures *t, const cxr_predictions *p, int positive, double threshold, cxr_error *err)
{
    *t = (cxr_figures){.p = p, .positive = positive, .rankings = positive >= 0 ? 1 : p->classes};
    if (p->n > UINT32_MAX) return cxr_fail(err, CXR_ELIMIT, "%zu images are more than figures are made of", p->n);
    t->decided = cxr_mem_new(p->n, sizeof *t->decided);
    t->ranked = cxr_mem_new(p->n, (size_t)t->rankings * sizeof *t->ranked);
    t->loss = cxr_mem_new(p->n, sizeof *t->loss);
    t->brier = cxr_mem_new(p->n, sizeof *t->brier);
    t->confidence = cxr_mem_new(p->n, sizeof *t->confidence);
    t->bin = cxr_mem_new(p->n, sizeof *t->bin);
    t->right = cxr_mem_new(p->n, sizeof *t->right);
    if (t->decided == NULL || t->ranked == NULL || t->loss == NULL || t->brier == NULL || t->confidence == NULL ||
        t->bin == NULL || t->right == NULL)
        return cxr_mem_fail(err, "the figures");
    rank_images(t);
    look_at_images(t, threshold);
    return CXR_OK;
}

void cxr_figures_close(cxr_figures *t)
{
    cxr_mem_free(t->decided);
    cxr_mem_free(t->ranked);
    cxr_mem_free(t->loss);
    cxr_mem_free(t->brier);
    cxr_mem_free(t->confidence);
    cxr_mem_free(t->bin);
    cxr_mem_free(t->right);
    *t = (cxr_figures){0};
}

/* ---- Figures ---- */

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

/* The sums of row k (images of class k) and of column k (images called k). */
static void margins(const uint64_t *confusion, int classes, int k, uint64_t *actual, uint64_t *called)
{
    *actual = *called = 0;
    for (int j = 0; j < classes; j++) {
        *actual += confusion[k * classes + j];
        *called += confusion[j * classes + k];
    }
}

/* The figures of class k against the rest that the confusion matrix decides, into out[CXR_SENSITIVITY..CXR_F1]. */
static void one_vs_rest(const uint64_t *confusion, int classes, int k, uint64_t n, double out[CXR_METRICS])
{
    const uint64_t tp = confusion[k * classes + k];
    uint64_t actual, called;
    margins(confusion, classes, k, &actual, &called);
    const uint64_t tn = n - actual - called + tp;
    out[CXR_SENSITIVITY] = ratio(tp, actual);
    out[CXR_SPECIFICITY] = ratio(tn, n - actual);
    out[CXR_PPV] = ratio(tp, called);
    out[CXR_NPV] = ratio(tn, n - called);
    out[CXR_F1] = ratio(2 * tp, actual + called);
}

/* Accuracy; balanced accuracy, the mean recall of the classes that occur (balanced_accuracy_score); and the correlation of
 * labels and decisions (Gorodkin 2004, matthews_corrcoef). */
static void overall(const uint64_t *confusion, int classes, uint64_t n, double value[CXR_METRICS])
{
    uint64_t right = 0;
    double recalls = 0.0, both = 0.0, labels = 0.0, calls = 0.0;
    int present = 0;
    for (int k = 0; k < classes; k++) {
        uint64_t actual, called;
        margins(confusion, classes, k, &actual, &called);
        right += confusion[k * classes + k];
        both += (double)actual * (double)called;
        labels += (double)actual * (double)actual;
        calls += (double)called * (double)called;
        if (actual == 0) continue;
        recalls += ratio(confusion[k * classes + k], actual);
        present++;
    }
    const double all = (double)n, spread = sqrt(all * all - labels) * sqrt(all * all - calls);
    value[CXR_ACCURACY] = ratio(right, n);
    value[CXR_BALANCED_ACCURACY] = recalls / present;
    value[CXR_MCC] = spread > 0.0 ? ((double)right * all - both) / spread : (double)NAN;
}

/* The area under the ROC by trapezia, which gives ties half a rank (roc_auc_score), and the precision averaged over steps of
 * recall (average_precision_score): one step of both curves for each distinct score. */
static void areas(const cxr_ranked *s, size_t n, const uint32_t *weight, double out[CXR_METRICS])
{
    double area = 0.0, precision = 0.0;
    uint64_t tp = 0, seen = 0;
    for (size_t i = 0, next; i < n; i = next) {
        const uint64_t tp_before = tp, before = seen;
        for (next = i; next < n && s[next].score == s[i].score; next++) {
            const uint32_t w = weight[s[next].image];
            seen += w;
            tp += s[next].positive ? w : 0;
        }
        const uint64_t gained = tp - tp_before, false_positives = seen - before - gained;
        area += (double)false_positives * ((double)tp_before + (double)tp) / 2.0;
        if (gained > 0) precision += (double)gained * ((double)tp / (double)seen);
    }
    out[CXR_AUROC] = tp > 0 && tp < seen ? area / ((double)tp * (double)(seen - tp)) : (double)NAN;
    out[CXR_AUPRC] = tp > 0 ? precision / (double)tp : (double)NAN;
}

/* Loss in nats, Brier score, and the gap between confidence and accuracy of the top class, bin by bin. */
static void means(const cxr_figures *t, const uint32_t *weight, uint64_t n, double value[CXR_METRICS])
{
    double loss = 0.0, brier = 0.0, gap[CXR_ECE_BINS] = {0}, gaps = 0.0;
    for (size_t i = 0; i < t->p->n; i++) {
        const double w = (double)weight[i];
        loss += w * t->loss[i];
        brier += w * t->brier[i];
        gap[t->bin[i]] += w * ((double)t->confidence[i] - (t->right[i] ? 1.0 : 0.0));
    }
    for (int b = 0; b < CXR_ECE_BINS; b++) gaps += fabs(gap[b]);
    value[CXR_LOSS] = loss / (double)n;
    value[CXR_BRIER] = brier / (double)n;
    value[CXR_ECE] = gaps / (double)n;
}

static uint64_t count(const cxr_figures *t, const uint32_t *weight, uint64_t *confusion)
{
    const int classes = t->p->classes;
    uint64_t n = 0;
    memset(confusion, 0, (size_t)classes * (size_t)classes * sizeof *confusion);
    for (size_t i = 0; i < t->p->n; i++) {
        confusion[t->p->label[i] * classes + t->decided[i]] += weight[i];
        n += weight[i];
    }
    return n;
}

void cxr_figures_measure(const cxr_figures *t, const uint32_t *weight, uint64_t *confusion, double value[CXR_METRICS],
                         double *const per_class[CXR_METRICS])
{
    const int classes = t->p->classes;
    const uint64_t n = count(t, weight, confusion);
    memset(value, 0, CXR_METRICS * sizeof *value);
    overall(confusion, classes, n, value);
    means(t, weight, n, value);
    if (t->positive >= 0) {
        one_vs_rest(confusion, classes, t->positive, n, value);
        areas(t->ranked, t->p->n, weight, value);
        return;
    }
    for (int k = 0; k < classes; k++) {
        double of_class[CXR_METRICS];
        one_vs_rest(confusion, classes, k, n, of_class);
        areas(t->ranked + (size_t)k * t->p->n, t->p->n, weight, of_class);
        for (int f = CXR_SENSITIVITY; f <= CXR_AUPRC; f++) {
            if (per_class != NULL) per_class[f][k] = of_class[f];
            value[f] += of_class[f] / classes; /* a class without the figure leaves the mean undefined too */
        }
    }
}
