/* Decision curves (Vickers and Elkin 2006, Medical Decision Making 26:565): what it is worth to act on a model where `threshold` is
 * the probability at which one would just act, so that a false positive costs threshold / (1 - threshold) true ones. */
#ifndef CXR_EVAL_BENEFIT_H
#define CXR_EVAL_BENEFIT_H
#include "eval/metrics.h"

#define CXR_BENEFIT_ROWS 99

/* Net benefits, in true positives per image; that of acting on none is 0. */
typedef struct cxr_benefit {
    double threshold, model, all;
} cxr_benefit;

/* Two classes. rows: CXR_BENEFIT_ROWS, at thresholds 0.01, 0.02, ..., 0.99. */
void cxr_benefit_measure(cxr_benefit *rows, const cxr_predictions *p, int positive);
#endif
