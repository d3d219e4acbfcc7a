/* Figures of parts of an evaluation's images: a model that is right on the whole may be wrong on some of them. */
#ifndef CXR_REPORT_SUBGROUPS_H
#define CXR_REPORT_SUBGROUPS_H
#include "eval/metrics.h"

#define CXR_SUBGROUPS_MOST 50

/* Fills m->subgroups from the same predictions, with intervals. by: a column of `data`, where that is a CSV: a subgroup for each value
 * met, "unknown" where it is empty. Or "subtype", where there is no such column: each kind of the positive class that the published
 * file names tell (person1_bacteria_2, person3_virus_4), with all images of the other class. groups, threads: as in
 * cxr_metrics_intervals(). CXR_EUSAGE: no such column, or subtypes of more than two classes; CXR_EDATA: more than CXR_SUBGROUPS_MOST
 * values, or no name that tells a subtype. */
CXR_MUST_CHECK cxr_status cxr_subgroups_measure(cxr_metrics *m, const cxr_predictions *p, const char *const *groups,
                                                const char *data, const char *by, int threads, cxr_error *err);
/* What it would refuse, of predictions whose n, path and label are known only. */
CXR_MUST_CHECK cxr_status cxr_subgroups_check(const cxr_predictions *p, int positive, const char *data, const char *by,
                                              cxr_error *err);
/* subgroups.csv in `folder`: subgroup,images,positive (two classes) and for each figure NAME,NAME_low,NAME_high. */
CXR_MUST_CHECK cxr_status cxr_write_subgroups(const char *folder, const cxr_metrics *m, cxr_error *err);
#endif
