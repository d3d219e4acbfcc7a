/* Whether train and test can be told apart: a small classifier on a backbone's features, cross-validated by patient group. */
#ifndef CXR_INSPECT_SHIFT_H
#define CXR_INSPECT_SHIFT_H
#include "inspect/findings.h"

#define CXR_SHIFT_FOLDS 5

/* Areas under the ROC of telling test (the positive side) from train by out-of-fold scores; 0.5: they cannot be told apart. */
typedef struct cxr_shift {
    bool known;            /* false: the check was skipped */
    size_t train, test;    /* images */
    double auroc, ci95[2]; /* of all; the interval is DeLong's */
    double *class_auroc; /* data->class_count: among each class's images, so that other shares of classes do not count; owned */
    double (*class_ci95)[2];
} cxr_shift;

/* model NULL: skipped. Images of train and test that could be read; features are standardised and the regression (C = 0.01) fitted
 * on four folds each time. Free with cxr_shift_free() also after a failure. */
CXR_MUST_CHECK cxr_status cxr_check_shift(cxr_checked *c, cxr_shift *out, const cxr_scan *s, const cxr_model *model,
                                          const cxr_run_opts *o, const cxr_hooks *hooks, cxr_error *err);
void cxr_shift_free(cxr_shift *s);

/* The out-of-fold probabilities of the second class: score[i] by a fit on the points of other folds. fold: 0..folds-1 of each. x is
 * standardised by each fit's own points. CXR_EDATA when the points of some folds' others are of one class only. */
CXR_MUST_CHECK cxr_status cxr_out_of_fold(float *score, const float *x, const bool *second, const int *fold, size_t n,
                                          size_t width, int folds, double c, int threads, cxr_error *err);
#endif
