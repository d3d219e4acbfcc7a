/* All that an inspection has found, and the forms in which it is given: JSON and a page. */
#ifndef CXR_INSPECT_RESULT_H
#define CXR_INSPECT_RESULT_H
#include "inspect/duplicates.h"
#include "inspect/findings.h"
#include "inspect/shift.h"

typedef enum cxr_check_kind {
    CXR_CHECK_READABLE,
    CXR_CHECK_CLASSES,
    CXR_CHECK_FORMATS,
    CXR_CHECK_ORIENTATION,
    CXR_CHECK_EXACT,
    CXR_CHECK_NEAR,
    CXR_CHECK_ALIKE,
    CXR_CHECK_LABELS,
    CXR_CHECK_GROUPS,
    CXR_CHECK_BLANK,
    CXR_CHECK_SUSPECTS,
    CXR_CHECK_SHIFT,
    CXR_CHECKS
} cxr_check_kind;

typedef struct cxr_result {
    const cxr_inspect_opts *o; /* lent */
    cxr_dataset data;
    cxr_scan scan;
    cxr_kinds kinds;
    cxr_duplicates duplicates;
    cxr_shift shift;
    cxr_checked checks[CXR_CHECKS];
} cxr_result;

cxr_verdict cxr_result_verdict(const cxr_result *r);
/* "0.912  unlike the others  test/A/1.jpeg  train/A/2.jpeg"; the caller frees it. NULL when memory is exhausted. */
char *cxr_finding_line(const cxr_result *r, const cxr_finding *f) CXR_MUST_CHECK;
/* One object, indented; the caller frees it. NULL when memory is exhausted. */
char *cxr_result_json(const cxr_result *r) CXR_MUST_CHECK;
CXR_MUST_CHECK cxr_status cxr_result_page(const cxr_result *r, const char *path, cxr_error *err);
#endif
