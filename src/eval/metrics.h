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

/* Two classes: `positive` is 0 or 1, the figures are that class's, and `threshold` decides. More: `positive` is -1, `threshold`
 * is only kept, and sensitivity to AUPRC are means over the classes, each against the rest, with per_class values.
 * Balanced accuracy is the mean recall of the classes that occur. A figure that is not defined (AUROC with one class only, PPV
 * of a class never predicted) is NaN, and so is a mean that needs it. The loss is in nats, of probabilities clipped to
 * [2^-23, 1 - 2^-23]. CXR_EDATA: no image, a label out of range, a probability that is NaN or outside 0..1. */
CXR_MUST_CHECK cxr_status cxr_metrics_compute(cxr_metrics **out, const cxr_predictions *p, int positive, double threshold,
                                              cxr_error *err);
/* The figure of that name, one of m->names. */
double cxr_metrics_value(const cxr_metrics *m, const char *name);
#endif
