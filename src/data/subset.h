/* One split of a data set as parallel arrays, the form that the loader and the figures take. Everything but the arrays
 * themselves is lent by the data set. */
#ifndef CXR_DATA_SUBSET_H
#define CXR_DATA_SUBSET_H
#include "data/dataset.h"

typedef struct cxr_subset {
    const char **paths, **keys;
    int *labels;
    size_t count;
} cxr_subset;

/* split CXR_SPLIT_NONE: every sample. */
CXR_MUST_CHECK cxr_status cxr_subset_open(cxr_subset *out, const cxr_dataset *d, cxr_split split, cxr_error *err);
void cxr_subset_close(cxr_subset *s); /* zeroes it */
#endif
