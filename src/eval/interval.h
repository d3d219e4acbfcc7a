/* 95 % intervals that have a formula: Wilson's of a share, DeLong's of the area under the ROC. Both take images as
 * independent. Equal to scipy's, and to the published definitions in numpy (tests/eval/test_interval.c). */
#ifndef CXR_EVAL_INTERVAL_H
#define CXR_EVAL_INTERVAL_H
#include "eval/metrics.h"

#define CXR_Z95 1.959963984540054 /* the 0.975 quantile of the standard normal distribution */

/* Wilson 1927, without continuity correction. NaN when whole is 0. */
void cxr_wilson(uint64_t part, uint64_t whole, double ci[2]);

/* How a class's scores rank its images against the rest (DeLong, DeLong, Clarke-Pearson 1988, in the O(n log n) form of Sun and
 * Xu 2014). */
typedef struct cxr_delong {
    size_t n, positives;
    double auroc;      /* NaN when one side is empty */
    double *placement; /* n: of a positive image the share of negatives that score less, of a negative the share of positives
                          that score more; ties count half */
    bool *positive;    /* n */
} cxr_delong;
/* Free with cxr_delong_close() also after a failure. */
CXR_MUST_CHECK cxr_status cxr_delong_open(cxr_delong *d, const cxr_predictions *p, int positive, cxr_error *err);
void cxr_delong_close(cxr_delong *d);
/* Covariance of the areas of two rankings of the same images with the same labels; a == b: the variance. NaN with fewer than two
 * images on a side. */
double cxr_delong_covariance(const cxr_delong *a, const cxr_delong *b);
/* On the logit scale: within 0..1, and covering better than the plain form for areas near 1 (Qin and Hotilovac 2008). Where the
 * variance is 0 (complete separation, all scores tied) or undefined, Newcombe's score interval. NaN when one side is empty. */
void cxr_delong_interval(const cxr_delong *d, double ci[2]);
/* Newcombe 2006, Statistics in Medicine 25:559, method 5: needs the area and the sizes of the sides only. */
void cxr_newcombe(double auroc, size_t positives, size_t negatives, double ci[2]);
#endif
