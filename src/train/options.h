/* Training options as one table: defaults, ranges and args.json come from the same rows. */
#ifndef CXR_TRAIN_OPTIONS_H
#define CXR_TRAIN_OPTIONS_H
#include "cxr/cxr.h"

/* CXR_EUSAGE with the name, the value and the range of the first option that is out of it. */
CXR_MUST_CHECK cxr_status cxr_train_opts_check(const cxr_train_opts *o, cxr_error *err);
/* The name of an option that takes the pixels of each batch anew, so that nothing made of them can be kept; NULL: there is none. */
const char *cxr_train_opts_fresh(const cxr_train_opts *o);
/* args.json's text; free with free(). NULL when memory is exhausted. */
char *cxr_train_opts_json(const cxr_train_opts *o);

/* Options read back from args.json, with the strings they point at. */
typedef struct cxr_saved_opts {
    cxr_train_opts opts;
    void *json; /* owns the strings */
} cxr_saved_opts;
/* A missing key keeps its default. CXR_EDATA for an unknown or ill-typed one, and for values that the check refuses. */
CXR_MUST_CHECK cxr_status cxr_train_opts_read(cxr_saved_opts *out, const char *path, cxr_error *err);
void cxr_saved_opts_free(cxr_saved_opts *s);
#endif
