/* The figures' definitions, on predictions where each image counts as often as its weight says: with weights of 1 the figures
 * themselves, with the counts of a bootstrap draw those of the draw. What does not depend on the weights is worked out once. */
#ifndef CXR_EVAL_FIGURES_H
#define CXR_EVAL_FIGURES_H
#include "eval/metrics.h"

enum {
    CXR_ACCURACY,
    CXR_BALANCED_ACCURACY,
    CXR_SENSITIVITY,
    CXR_SPECIFICITY,
    CXR_PPV,
    CXR_NPV,
    CXR_F1,
    CXR_AUROC,
    CXR_AUPRC,
    CXR_LOSS,
    CXR_MCC,
    CXR_BRIER,
    CXR_ECE
};
extern const char *const cxr_figure_names[CXR_METRICS];
/* Whether less of it is better: the loss, the Brier score, the calibration error. */
bool cxr_figure_low_is_good(int f);

/* Bins of equal width over 0..1 that the calibration error sums over (Guo et al. 2017, eq. 5): bin b holds (b/15, (b+1)/15]. */
#define CXR_ECE_BINS 15
/* Which of `bins` of equal width a probability is in; 0 belongs to the first. */
int cxr_bin(double probability, int bins);

/* An image in the order of falling scores of a class. */
typedef struct cxr_ranked {
    float score;
    uint32_t image;
    bool positive; /* of that class */
} cxr_ranked;

typedef struct cxr_figures {
    const cxr_predictions *p; /* lent */
    int positive, rankings;   /* two classes: one ranking, the positive class's; more: one of each class */
    int *decided;             /* n */
    cxr_ranked *ranked;       /* rankings x n */
    double *loss, *brier;     /* n */
    float *confidence;        /* n, of the top class */
    uint8_t *bin;             /* n, of the confidence */
    bool *right;              /* n, whether the top class is the label */
} cxr_figures;

/* `p` has passed cxr_metrics_compute()'s checks; n < 2^32. Free with cxr_figures_close() also after a failure. */
CXR_MUST_CHECK cxr_status cxr_figures_open(cxr_figures *out, const cxr_predictions *p, int positive, double threshold,
                                           cxr_error *err);
/* weight: n, not all 0. confusion: classes x classes, receives the counts. value: as in cxr_metrics. per_class: NULL or arrays
 * that with more than two classes receive the figures of each. */
void cxr_figures_measure(const cxr_figures *t, const uint32_t *weight, uint64_t *confusion, double value[CXR_METRICS],
                         double *const per_class[CXR_METRICS]);
void cxr_figures_close(cxr_figures *t);
#endif
