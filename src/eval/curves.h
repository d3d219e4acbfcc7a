/* The ROC and the precision-recall curve of a class against the rest, point by point: what scikit-learn's roc_curve (nothing
 * dropped) and precision_recall_curve give (tests/eval/test_curves.c). */
#ifndef CXR_EVAL_CURVES_H
#define CXR_EVAL_CURVES_H
#include "eval/figures.h"

/* One point for each distinct score, by falling threshold; the first has the threshold infinity: no image is called positive.
 * What has no images to be a share of is NaN, but precision is 1 where nothing is called positive. */
typedef struct cxr_curve {
    size_t count;
    double *threshold, *fpr, *tpr, *precision; /* count; tpr is recall */
} cxr_curve;
/* s: n > 0 images of a cxr_figures, in its order. Free with cxr_curve_close() also after a failure. */
CXR_MUST_CHECK cxr_status cxr_curve_open(cxr_curve *c, const cxr_ranked *s, size_t n, cxr_error *err);
void cxr_curve_close(cxr_curve *c);
#endif
