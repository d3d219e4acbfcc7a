/* Whether probabilities mean what they say: of the images of two classes that are given about 0.8, are 8 in 10 positive? Equal to
 * scikit-learn's, and to the definitions in numpy (tests/eval/test_reliability.c). */
#ifndef CXR_EVAL_RELIABILITY_H
#define CXR_EVAL_RELIABILITY_H
#include "eval/metrics.h"

#define CXR_RELIABILITY_BINS 10

/* Probabilities of the positive class in (low, high], the first bin from 0. What has no image is NaN. */
typedef struct cxr_reliability_bin {
    double low, high;
    size_t count;
    double mean;              /* probability */
    double observed, ci95[2]; /* share of positive images, Wilson's interval */
} cxr_reliability_bin;

typedef struct cxr_reliability {
    cxr_reliability_bin bins[CXR_RELIABILITY_BINS];
    /* The Brier score is reliability - resolution + uncertainty + within_bin_variance - within_bin_covariance (Stephenson, Coelho,
     * Jolliffe 2008, Weather and Forecasting 23:752, eq. 10; Murphy 1973 has the first three, which alone do not add up). */
    double brier, reliability, resolution, uncertainty, within_bin_variance, within_bin_covariance;
    /* Logistic recalibration (Cox 1958): logit P(positive) = a + b logit p. slope: b, 1 where probabilities are neither too
     * extreme nor too timid; intercept: a with b held at 1, 0 where their mean is right (Van Calster et al. 2016). Wald's
     * intervals. Probabilities are clipped as for the loss. NaN: one class only, or, of the slope, classes that a threshold parts. */
    double slope, slope_ci95[2], intercept, intercept_ci95[2];
} cxr_reliability;

/* Two classes; p has passed cxr_metrics_compute()'s checks. */
void cxr_reliability_measure(cxr_reliability *r, const cxr_predictions *p, int positive);
#endif
