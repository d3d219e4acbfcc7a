/* Fits what images a model can answer about: the training images describe, images that were held back decide how far is too far. */
#ifndef CXR_EVAL_SCOPE_FIT_H
#define CXR_EVAL_SCOPE_FIT_H
#include "eval/features.h"

#define CXR_SCOPE_IMAGES 2000 /* training images that are looked at, drawn by a fixed key */
#define CXR_SCOPE_LEAST  16   /* fewer describe nothing: no scope is fitted */

#define CXR_SCOPE_ABSTAIN 0.01  /* share of images like the held-back ones whose features are too far */
#define CXR_SCOPE_FALSE   0.002 /* share of them that a bound of a look may stop */

/* *out: NULL when too few training images can be read, or their features are all alike. The limit of the distance is the rank
 * ceil((n + 1)(1 - 0.01)) of n held-back images' distances, at most the largest: with n >= 99 an image like them is farther with
 * probability 0.01 at most (conformal prediction; Vovk, Gammerman, Shafer 2005). Unreadable images are left out. */
CXR_MUST_CHECK cxr_status cxr_scope_fit(cxr_scope **out, const cxr_model *m, const char *const *train, size_t train_count,
                                        const char *const *held, size_t held_count, const cxr_run_opts *o,
                                        const cxr_hooks *hooks, cxr_error *err);

/* The parts of it. Mean, axes and variances of features (count, width): the eigenvectors of their covariance (of n - 1) with the largest
 * eigenvalues, at most `axes` and a quarter of the images, and the mean of the other eigenvalues. NULL as above. */
CXR_MUST_CHECK cxr_status cxr_scope_describe(cxr_scope **out, const float *features, size_t count, size_t width, int axes,
                                             cxr_error *err);
/* The value that at most a share of values like these n exceeds; they are sorted. */
double cxr_scope_quantile(double *values, size_t n, double share);
#endif
