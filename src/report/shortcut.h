/* What is left of a model's figures when parts of the images are hidden, and what that says. */
#ifndef CXR_REPORT_SHORTCUT_H
#define CXR_REPORT_SHORTCUT_H
#include "report/score.h"

/* Of what cxr_score_hidden() gave. */
CXR_MUST_CHECK cxr_status cxr_shortcut_compute(cxr_shortcut *out, const cxr_scored *scored, const cxr_model *m, int threads,
                                               cxr_error *err);
/* shortcut.csv (hidden,images,accuracy,balanced_accuracy,auroc,auroc_low,auroc_high) and shortcut.json in `folder`, created. */
CXR_MUST_CHECK cxr_status cxr_write_shortcut(const char *folder, const cxr_shortcut *s, cxr_error *err);
#endif
