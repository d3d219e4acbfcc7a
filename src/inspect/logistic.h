/* Logistic regression of two classes with an L2 penalty, as scikit-learn's LogisticRegression(C=c): the least of
 * |w|^2 / 2 + c * sum over images of log(1 + exp(-y (w x + b))), y = -1 or 1, the intercept b unpenalised. */
#ifndef CXR_INSPECT_LOGISTIC_H
#define CXR_INSPECT_LOGISTIC_H
#include "cxr/cxr.h"

typedef struct cxr_points {
    size_t n, width;
    const float *x;     /* (n, width) */
    const bool *second; /* n: which class */
} cxr_points;

/* weights: width + 1 numbers, the intercept last. By Newton's method with conjugate gradients (Nash 2000), until the gradient's
 * largest part is below 1e-9 of that at zero, which is far closer than the figures made of it need. CXR_EDATA when one class only is
 * there, or a number is not finite. */
CXR_MUST_CHECK cxr_status cxr_logistic_fit(double *weights, const cxr_points *p, double c, cxr_error *err);
/* The probability of the second class. */
double cxr_logistic(const double *weights, const float *x, size_t width);
#endif
