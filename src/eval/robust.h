/* Figures over perturbed images: of each perturbation, their mean and worst, and of all predictions together. */
#ifndef CXR_EVAL_ROBUST_H
#define CXR_EVAL_ROBUST_H
#include "eval/metrics.h"

/* `all` holds the CXR_PERTURBATIONS predictions of an image one after another (data/perturb.h), then the next image's. The rest
 * is as cxr_metrics_compute()'s. */
CXR_MUST_CHECK cxr_status cxr_robustness_compute(cxr_robustness **out, const cxr_predictions *all, int positive,
                                                 double threshold, cxr_error *err);
#endif
