/* Figures over perturbed images: of each perturbation, their mean and worst, and of all predictions together. */
#ifndef CXR_EVAL_ROBUST_H
#define CXR_EVAL_ROBUST_H
#include "eval/metrics.h"

/* `all` holds the CXR_PERTURBATIONS predictions of an image one after another (data/perturb.h), then the next image's. The rest
 * is as cxr_metrics_compute()'s. */
CXR_MUST_CHECK cxr_status cxr_robustness_compute(cxr_robustness **out, const cxr_predictions *all, int positive,
                                                 double threshold, cxr_error *err);
/* The 95 % intervals of each way, as cxr_metrics_intervals() makes them of its predictions alone; of the mean and of the pooled
 * figures by the bootstrap, in which a patient is drawn with all its images in all ways. The worst has none: the least of
 * many figures is lower in nearly every draw than it is. groups: all->n, the patient of each. */
CXR_MUST_CHECK cxr_status cxr_robustness_intervals(cxr_robustness *r, const cxr_predictions *all, const char *const *groups,
                                                   int threads, cxr_error *err);
#endif
