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

/* The predicted class: with two classes the positive one when its probability >= threshold, else the most probable one (the
 * lower index of equals). */
int cxr_decide(const float *probability, int classes, int positive, double threshold);

/* CXR_EDATA for no image, a NaN or a probability outside 0..1. A figure that is not defined (one class only) is NaN.
 * positive: index, or -1 for macro means over more than two classes. */
CXR_MUST_CHECK cxr_status cxr_metrics_compute(cxr_metrics **out, const cxr_predictions *p, int positive, double threshold,
                                              cxr_error *err);
#endif
