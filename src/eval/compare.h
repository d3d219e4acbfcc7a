/* Two models on the same images: figures and the intervals of their differences, DeLong's test of the areas, McNemar's of the
 * decisions. Equal to scipy's and numpy's answers (tests/eval/test_compare.c). */
#ifndef CXR_EVAL_COMPARE_H
#define CXR_EVAL_COMPARE_H
#include "eval/metrics.h"

/* Two sided. Fewer than 25 images that only one of the two has right: the exact binomial test; else McNemar's chi-squared with
 * the continuity correction (Edwards 1948). */
#define CXR_MCNEMAR_EXACT 25
double cxr_mcnemar(uint64_t only_a, uint64_t only_b);

/* One side: predictions that would pass cxr_metrics_compute()'s checks, and what was decided, which need not follow from a
 * threshold of 0.5. */
typedef struct cxr_side {
    const cxr_predictions *p;
    const int *decided;
} cxr_side;
/* Fills n, classes, positive, names, the figures and the tests; not what changed. Both sides have the same images in the same
 * order with the same labels. groups, threads: as in cxr_metrics_intervals(). */
CXR_MUST_CHECK cxr_status cxr_compare_sides(cxr_comparison *out, cxr_side a, cxr_side b, const char *const *groups, int threads,
                                            cxr_error *err);
#endif
