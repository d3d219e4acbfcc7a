/* Figures from probabilities and labels, equal to scikit-learn's (tests/eval). */
#ifndef CXR_EVAL_METRICS_H
#define CXR_EVAL_METRICS_H
#include "cxr/cxr.h"

/* A data set's outcome, image by image, in the data set's order. */
typedef struct cxr_predictions {
    size_t n;
    int classes;
    const char *const *class_names; /* lent */
    const char **path;              /* n keys, lent */
    int *label;
    float *probability; /* n x classes, rows sum to 1 */
} cxr_predictions;

/* All but the intervals, which are NaN. Two classes: `positive` is 0 or 1, the figures are that class's, and `threshold` decides. More: `positive` is -1, `threshold`
 * is only kept, and sensitivity to AUPRC are means over the classes, each against the rest, with per_class values.
 * Balanced accuracy is the mean recall of the classes that occur. A figure that is not defined (AUROC with one class only, PPV
 * of a class never predicted) is NaN, and so is a mean that needs it. The loss is in nats, of probabilities clipped to
 * [2^-23, 1 - 2^-23]. The Brier score (Brier 1950) is the mean squared error of the positive class's probability, with more classes
 * the sum over them. ECE is the mean gap between confidence and accuracy of the most probable class, whatever the threshold, in 15
 * bins of equal width (Guo et al. 2017, eq. 5). CXR_EDATA: no image, a label out of range, a probability that is NaN or outside 0..1. */
CXR_MUST_CHECK cxr_status cxr_metrics_compute(cxr_metrics **out, const cxr_predictions *p, int positive, double threshold,
                                              cxr_error *err);
/* The 95 % intervals of cxr_metrics_compute()'s figures on the same predictions: Wilson's for accuracy and, of two classes or of
 * each of more, sensitivity, specificity, PPV and NPV; DeLong's for the AUROC likewise (eval/interval.h); all others by a bootstrap
 * of patients (eval/bootstrap.h). groups: each image's patient; NULL: each image is its own. threads 0: what the machine grants; the
 * result is the same with any. */
CXR_MUST_CHECK cxr_status cxr_metrics_intervals(cxr_metrics *m, const cxr_predictions *p, const char *const *groups,
                                                int threads, cxr_error *err);
/* The same, and draws receives (CXR_METRICS, CXR_DRAWS) figures, in the order of the draws. */
CXR_MUST_CHECK cxr_status cxr_metrics_intervals_of(cxr_metrics *m, const cxr_predictions *p, const char *const *groups,
                                                   int threads, double *draws, cxr_error *err);
/* The figure of that name, one of m->names. */
double cxr_metrics_value(const cxr_metrics *m, const char *name);
#endif
