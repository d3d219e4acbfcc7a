/* What a model does at its operating points: the figures of a decision, and what a decision would mean among other patients. */
#ifndef CXR_EVAL_POINTS_H
#define CXR_EVAL_POINTS_H
#include "eval/metrics.h"

/* The threshold of m, "balanced"; and each of the others that is not NaN. Where both are, the first is just "threshold": nobody chose
 * it. prevalence: of the positive class where the model is to be used, within (0, 1); 0: not known, and what needs it is NaN. Nothing
 * is added with more than two classes. Fills m->points, m->point_count, m->point_figures and m->prevalence. */
void cxr_points_measure(cxr_metrics *m, const cxr_predictions *p, double rule_out, double rule_in, double prevalence);

/* A decision's outcomes. */
typedef struct cxr_counts {
    uint64_t tp, fn, fp, tn;
} cxr_counts;
/* Images are called positive from `threshold` on. */
cxr_counts cxr_count_at(const cxr_predictions *p, int positive, double threshold);
/* Predictive values at a prevalence by Bayes' rule from sensitivity and specificity, and their 95 % intervals on the logit scale
 * (Mercaldo, Lau, Zhou 2007, Statistics in Medicine 26:2170): the delta method for the log odds of two independent shares. Where a
 * count is 0 the interval is the paper's adjusted one, of z^2 / 2 added to each count, widened to hold the value. NaN where sensitivity
 * or specificity is not defined, and the value of a call that is never made. */
void cxr_ppv_at(const cxr_counts *c, double prevalence, double *value, double ci[2]);
void cxr_npv_at(const cxr_counts *c, double prevalence, double *value, double ci[2]);
#endif
