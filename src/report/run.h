/* The run folder: which files it holds and what they are called. */
#ifndef CXR_REPORT_RUN_H
#define CXR_REPORT_RUN_H
#include "cxr/cxr.h"

#define CXR_RUN_ARGS       "args.json"
#define CXR_RUN_SPLIT      "split.csv"
#define CXR_RUN_RESULTS    "results.csv"
#define CXR_RUN_PLOT       "results"                 /* .png and .svg */
#define CXR_RUN_EVENTS     "events.out.tfevents.cxr" /* TensorBoard takes a file for its own by the part in the middle */
#define CXR_RUN_BEST       "weights/best.safetensors"
#define CXR_RUN_LAST       "weights/last.safetensors"
#define CXR_RUN_CHECKPOINT "checkpoint.safetensors"
#define CXR_RUN_LOG        "log.txt"
#define CXR_RUN_LEDGER     "ledger.csv"

/* The run folder that the model file at `path` lies in (its parent holds weights/ and args.json), or NULL. Free with
 * cxr_mem_free. */
char *cxr_run_of_model(const char *path) CXR_MUST_CHECK;
#endif
