/* Runs a model over images: loader -> program -> probabilities. Both `predict` and `evaluate` come through here. */
#ifndef CXR_EVAL_PREDICT_H
#define CXR_EVAL_PREDICT_H
#include "cxr/cxr.h"

/* Called for each path in order. With test-time augmentation probabilities are means over the views. status CXR_OK: probabilities has the model's classes; else why the image has none. */
typedef cxr_status (*cxr_outcome_fn)(void *user, size_t index, const cxr_error *outcome, const float *probabilities);

CXR_MUST_CHECK cxr_status cxr_predict_paths(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                                            const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err);
/* The same with each image perturbed in every way of data/perturb.h: probabilities are (CXR_PERTURBATIONS, classes). */
CXR_MUST_CHECK cxr_status cxr_predict_perturbed(const cxr_model *m, const char *const *paths, size_t count,
                                                const cxr_run_opts *o, const cxr_hooks *hooks, cxr_outcome_fn fn, void *user,
                                                cxr_error *err);
/* The same with parts of each image hidden in every way of data/hide.h: probabilities are (CXR_HIDINGS, classes). */
CXR_MUST_CHECK cxr_status cxr_predict_hidden(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                                             const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err);
#endif
