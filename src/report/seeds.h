/* Several runs that differ in the seed alone, as folders seed-S of one, with their table seeds.csv; and the model that learns from
 * them, in distilled/. Each is an ordinary run by the options in its own args.json; the folder's args.json holds those of all. */
#ifndef CXR_REPORT_SEEDS_H
#define CXR_REPORT_SEEDS_H
#include "cxr/cxr.h"

#define CXR_RUN_SEEDS     "seeds.csv"
#define CXR_RUN_DISTILLED "distilled"

/* What cxr_train does with opts->seeds > 1; opts are checked, and their paths are full. */
CXR_MUST_CHECK cxr_status cxr_seeds_train(const cxr_train_opts *opts, const cxr_hooks *hooks, cxr_train_result *result,
                                          cxr_error *err);
/* Goes on in `folder` with the options found there: members that are there are resumed, the others trained. threads: 0 = as they
 * were started. */
CXR_MUST_CHECK cxr_status cxr_seeds_resume(const char *folder, const cxr_train_opts *opts, int threads, const cxr_hooks *hooks,
                                           cxr_train_result *result, cxr_error *err);
/* The folder's member of that seed; free with cxr_mem_free. NULL when memory is exhausted. */
char *cxr_seed_folder(const char *folder, uint64_t seed) CXR_MUST_CHECK;
#endif
