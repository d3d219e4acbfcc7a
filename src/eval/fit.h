/* What is chosen on validation after the weights: the temperature that makes probabilities honest (Guo et al. 2017, On
 * Calibration of Modern Neural Networks), and the probabilities at which the positive class is called: the balanced one (Youden
 * 1950), one that rules out and one that rules in. Equal to PyTorch's and scikit-learn's answers (tests/eval). */
#ifndef CXR_EVAL_FIT_H
#define CXR_EVAL_FIT_H
#include "eval/metrics.h"

/* Where the fit looks for a temperature. */
#define CXR_FITTED_COLDEST 0.1
#define CXR_FITTED_HOTTEST 10.0

/* (rows, classes) log-probabilities become probabilities, softmax(logp / temperature), in place. */
void cxr_probabilities(float *logp, size_t rows, int classes, double temperature);
/* The same of predictions that were made at temperature 1. */
void cxr_temper(cxr_predictions *p, double temperature);

/* The temperature of the least mean negative log-likelihood of predictions made at temperature 1. balanced: each class that
 * occurs weighs as much as another, as a loss with class weights does; else each image. A probability of 0 counts as the
 * least normal float. The coldest where every prediction is right, the hottest where colder is always worse, 1 where it makes
 * no difference. */
CXR_MUST_CHECK cxr_status cxr_fit_temperature(double *out, const cxr_predictions *p, bool balanced, cxr_error *err);
/* Two classes: the threshold of the largest sensitivity + specificity - 1, in the middle between the two scores that it
 * parts; of several the one between scores furthest apart, and of those the one nearest 0.5. 0.5 where none is better than
 * calling every image alike. Prediction i is of set i modulo `sets`, the same images in each: what counts is the sum in the set
 * where it is least, since nobody knows which of them new images will be like. */
CXR_MUST_CHECK cxr_status cxr_fit_threshold(double *out, const cxr_predictions *p, int positive, int sets, cxr_error *err);
/* Two classes: the largest threshold whose sensitivity is at least 0.95, to rule the positive class out, and the smallest whose
 * specificity is, to rule it in; with several sets, in each of them. Counted exactly. All thresholds between two neighbouring
 * scores decide alike, and so do those between the outer scores and 0 and 1: the middle is taken, which no rounding of a score
 * crosses. Where classes are well apart, rule_out may be the larger of the two. NaN: there are no positive images (rule_out),
 * no negative ones (rule_in), or more than 1 in 20 of these have a probability of 1. */
CXR_MUST_CHECK cxr_status cxr_fit_rules(double *rule_out, double *rule_in, const cxr_predictions *p, int positive, int sets,
                                        cxr_error *err);
#endif
