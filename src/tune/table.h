/* The trials of a search as rows for others: tune.csv, and the ranking at the end. */
#ifndef CXR_TUNE_TABLE_H
#define CXR_TUNE_TABLE_H
#include "tune/space.h"
#include "tune/trials.h"

/* One trial at least. */
CXR_MUST_CHECK cxr_status cxr_table_write(const cxr_space *space, const cxr_trials *trials, const char *path, cxr_error *err);
/* Calls `row` (NULL: nobody) for each, the best first. CXR_EDATA when there is no best. */
CXR_MUST_CHECK cxr_status cxr_table_show(const cxr_space *space, const cxr_trials *trials,
                                         void (*row)(void *user, const cxr_trial *t), void *user, cxr_error *err);
/* A drawn value as text, to be freed with cxr_mem_free; NULL when memory is exhausted. */
char *cxr_value_text(const json_t *value) CXR_MUST_CHECK;
#endif
