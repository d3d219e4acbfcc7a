/* Figures drawn with cairo, PNG and SVG from one routine. Colours are told apart in grey and by colour-blind readers. */
#ifndef CXR_REPORT_PLOT_H
#define CXR_REPORT_PLOT_H
#include "eval/benefit.h"
#include "eval/metrics.h"
#include "eval/reliability.h"

/* Train and validation loss on one panel, validation accuracy on another, against the epoch; `base`.png and `base`.svg, each
 * written atomically. count 0 draws empty axes. */
CXR_MUST_CHECK cxr_status cxr_plot_results(const char *base, const cxr_epoch *epochs, size_t count, cxr_error *err);
/* Rows true, columns predicted; counts and row percentages in the cells, or with `shares` the percentages alone; `base`.png and
 * `base`.svg. */
CXR_MUST_CHECK cxr_status cxr_plot_confusion(const char *base, const uint64_t *counts, const char *const *classes, int n,
                                             bool shares, cxr_error *err);

/* What an evaluation draws, into `folder`, which exists: figures as PNG and SVG, what they show as CSV. m: p's.
 * roc.* (class,threshold,fpr,tpr) and pr.* (class,threshold,precision,recall): the positive class's curve, or with more than two
 * classes each class's against the rest, by falling threshold from infinity; what is not defined is empty. */
CXR_MUST_CHECK cxr_status cxr_write_curves(const char *folder, const cxr_predictions *p, const cxr_metrics *m, cxr_error *err);
/* confusion_matrix.* with counts (true_class and a column for each class called), confusion_matrix_normalized.* with shares of
 * each row. */
CXR_MUST_CHECK cxr_status cxr_write_confusion(const char *folder, const cxr_predictions *p, const cxr_metrics *m,
                                              cxr_error *err);
/* calibration.* (low,high,count,mean_probability,observed,ci95_low,ci95_high), a row for each bin; empty bins have no numbers. */
CXR_MUST_CHECK cxr_status cxr_write_calibration(const char *folder, const cxr_reliability *r, cxr_error *err);
/* decision_curve.* (threshold,model,all,none) of CXR_BENEFIT_ROWS rows. */
CXR_MUST_CHECK cxr_status cxr_write_benefit(const char *folder, const cxr_benefit *rows, cxr_error *err);
#endif
