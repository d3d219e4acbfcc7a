/* What the figures would have been with other patients: groups of images drawn with replacement, all images of a group together
 * (Field and Welsh 2007, the cluster bootstrap), and the 2.5 and 97.5 percentiles of each figure over the draws (Efron 1979). */
#ifndef CXR_EVAL_BOOTSTRAP_H
#define CXR_EVAL_BOOTSTRAP_H
#include "eval/figures.h"

#define CXR_DRAWS 2000

/* Which group each image is of, as numbers in byte order of the groups' names: the order of the images changes nothing. */
typedef struct cxr_clusters {
    size_t n;
    uint32_t count;
    uint32_t *of; /* n */
} cxr_clusters;
/* names: of each image's group; NULL: each image is its own. n > 0. Free with cxr_clusters_close() also after a failure. */
CXR_MUST_CHECK cxr_status cxr_clusters_open(cxr_clusters *c, const char *const *names, size_t n, cxr_error *err);
void cxr_clusters_close(cxr_clusters *c);

/* value: (CXR_METRICS, CXR_DRAWS), receives each figure in each draw; NaN where the draw leaves it undefined. Draw d is a
 * function of d alone, so that figures of two models on the same images are paired draw by draw, and threads (0: what the
 * machine grants) change nothing. per_class: NULL; or, of more than two classes, each NULL or (classes, CXR_DRAWS), which
 * receives that figure of each class. */
CXR_MUST_CHECK cxr_status cxr_bootstrap(double *value, double *const per_class[CXR_METRICS], const cxr_figures *t,
                                        const cxr_clusters *c, int threads, cxr_error *err);
/* The percentiles of one figure's draws, which are sorted, between neighbours linearly (numpy's default). NaN where more than 1
 * in 20 draws is undefined, and where all draws agree: data without a single error, or of a single patient, show no spread, and
 * an interval without width would claim certainty. */
void cxr_bootstrap_interval(double *draws, double ci[2]);
#endif
