/* Training options as one table: defaults, ranges and args.json come from the same rows. */
#ifndef CXR_TRAIN_OPTIONS_H
#define CXR_TRAIN_OPTIONS_H
#include "cxr/cxr.h"
#include <jansson.h>

/* The name of an option that takes the pixels of each batch anew, so that nothing made of them can be kept; NULL: there is none. */
const char *cxr_train_opts_fresh(const cxr_train_opts *o);
/* args.json's text; free with free(). NULL when memory is exhausted. */
char *cxr_train_opts_json(const cxr_train_opts *o);

/* What kind of number an option takes, by its name in args.json. */
typedef enum cxr_option_kind { CXR_OPTION_UNKNOWN, CXR_OPTION_WHOLE, CXR_OPTION_REAL, CXR_OPTION_OTHER } cxr_option_kind;
cxr_option_kind cxr_train_opts_kind(const char *name);
/* Sets one option by its name in args.json. Strings stay the value's. CXR_EUSAGE, and *o must not be used, when there is no
 * such option, or it does not take this value; what contradicts other options, cxr_train_opts_check() finds. */
CXR_MUST_CHECK cxr_status cxr_train_opts_set(cxr_train_opts *o, const char *name, const json_t *value, cxr_error *err);

/* Options read back from args.json, with the strings they point at. */
typedef struct cxr_saved_opts {
    cxr_train_opts opts;
    void *json; /* owns the strings */
} cxr_saved_opts;
/* A missing key keeps its default. CXR_EDATA for an unknown or ill-typed one, and for values that the check refuses. */
CXR_MUST_CHECK cxr_status cxr_train_opts_read(cxr_saved_opts *out, const char *path, cxr_error *err);
void cxr_saved_opts_free(cxr_saved_opts *s);
#endif
