/* One pass of a model over images: loader -> backbone -> features -> head -> probabilities. Prediction, evaluation and the fit of
 * what is stored in the model all come through here; who asks for probabilities alone gets one program that is not cut. */
#ifndef CXR_EVAL_PASS_H
#define CXR_EVAL_PASS_H
#include "data/image.h"
#include "data/look.h"

/* What is wanted of each image. */
typedef struct cxr_pass {
    bool probabilities, features, looks;
    const cxr_squares *squares; /* views of each image, the image itself first; NULL: it alone */
    bool average;               /* probabilities are the mean over the views; else one row for each view */
} cxr_pass;

/* What the model makes of an image. Lent until the callback returns. */
typedef struct cxr_seen {
    size_t index;               /* into paths */
    const cxr_error *outcome;   /* status CXR_OK, or why the image has none of what follows */
    const float *probabilities; /* (views, classes), the mean of the members'; NULL: not wanted */
    const float *features;      /* of the first view: cxr_feature_width() of them for each member in turn; NULL: not wanted */
    const cxr_look *look;       /* NULL: not wanted */
} cxr_seen;
typedef cxr_status (*cxr_seen_fn)(void *user, const cxr_seen *seen);

/* Calls fn for each path in order; an error of fn ends the pass. CXR_EDATA when the model gives what is not a number. */
CXR_MUST_CHECK cxr_status cxr_pass_over(const cxr_model *m, const char *const *paths, size_t count, const cxr_pass *want,
                                        const cxr_run_opts *o, const cxr_hooks *hooks, cxr_seen_fn fn, void *user,
                                        cxr_error *err);
#endif
