/* Which patient an image belongs to, told from its file name. */
#ifndef CXR_DATA_GROUP_H
#define CXR_DATA_GROUP_H
#include "cxr/cxr.h"
#include <regex.h>

typedef struct cxr_grouper {
    const char *column; /* of "column:NAME", else NULL; lent from the rule */
    bool automatic;     /* a CSV's group column is used when there is one; texts begin with the class name */
    bool has_regex;
    regex_t regex;
} cxr_grouper;

/* `rule` as cxr_dataset_open's group_by (NULL: "auto"); lent until close. CXR_EUSAGE for a bad regular expression. */
CXR_MUST_CHECK cxr_status cxr_grouper_open(cxr_grouper *g, const char *rule, cxr_error *err);
/* The patient of the image `key`: what the expression finds in its file name, or the key itself. NULL when memory is
 * exhausted; free with cxr_mem_free. */
char *cxr_grouper_text(const cxr_grouper *g, const char *key, const char *class_name) CXR_MUST_CHECK;
void cxr_grouper_close(cxr_grouper *g);
#endif
