/* The files of a run folder that others read: results.csv, metrics.json, predictions.csv; and the table of a search. */
#ifndef CXR_REPORT_TABLES_H
#define CXR_REPORT_TABLES_H
#include "eval/metrics.h"
#include "eval/reliability.h"
#include "report/text.h"

/* epoch,train_loss,val_loss,val_accuracy,lr,seconds,images_per_second */
CXR_MUST_CHECK cxr_status cxr_write_results(const char *path, const cxr_epoch *epochs, size_t count, cxr_error *err);
/* seed,best_epoch and the figures by name; a row for each finished run, then mean and sd. */
CXR_MUST_CHECK cxr_status cxr_write_seeds(const char *path, const cxr_seeds *s, cxr_error *err);
/* One object; every figure is {"value": x, "ci95": [low, high]} (null when undefined), more than two classes add "per_class"
 * and "per_class_ci95". r: NULL: there is no "calibration". more: an object whose members are added; it is taken. NULL is what exhausted memory makes of it. */
CXR_MUST_CHECK cxr_status cxr_write_metrics(const char *path, const cxr_metrics *m, const cxr_reliability *r,
                                            const char *const *classes, json_t *more, cxr_error *err);
/* path,label,prediction,probability_<CLASS>...,group ; probabilities with 9 significant digits (a float's round trip). groups: the
 * patient of each image; NULL: the column is not there. */
CXR_MUST_CHECK cxr_status cxr_write_predictions(const char *path, const cxr_predictions *p, const char *const *groups,
                                                int positive, double threshold, cxr_error *err);
/* In `folder`, which is created: robustness.csv (perturbation,images, the figures by name, then <figure>_low,<figure>_high of the
 * 95 % intervals; after the perturbations mean, worst and pooled), robustness.json (the same by name, "ci95" beside the figures), and
 * robustness.png and .svg. */
CXR_MUST_CHECK cxr_status cxr_write_robustness(const char *folder, const cxr_robustness *r, cxr_error *err);
/* trial,state,epochs,<measure>,seconds,<searched option>...,reason; the header is as the first row has it, count >= 1 */
CXR_MUST_CHECK cxr_status cxr_write_trials(const char *path, const cxr_trial *trials, size_t count, cxr_error *err);
/* "done", "stopped" or "failed". */
const char *cxr_trial_state_name(cxr_trial_state s);
#endif
