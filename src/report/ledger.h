/* The run's ledger: a row for each time a split was measured. How often test was looked at belongs to its figures. */
#ifndef CXR_REPORT_LEDGER_H
#define CXR_REPORT_LEDGER_H
#include "cxr/cxr.h"

/* "none", "flip", "scales", "crops"; "f32", "bf16", "int8", "auto". */
const char *cxr_tta_name(cxr_tta tta);
const char *cxr_precision_name(cxr_precision precision);

/* Appends `time,model,data,split,images,correct,tta` to the ledger of each member's run. A ledger of an earlier version gets the
 * columns it lacks, empty. A shared model may lie where the reader cannot write: that is logged, and does not keep the figures from
 * them. */
CXR_MUST_CHECK cxr_status cxr_ledger_write(const cxr_evaluate_opts *o, const cxr_model *m, const cxr_metrics *x,
                                           const cxr_hooks *hooks, cxr_error *err);
#endif
