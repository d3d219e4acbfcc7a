/* One split of a data set as parallel arrays, the form that the loader and the figures take. Everything but the arrays
 * themselves is lent by the data set. */
#ifndef CXR_DATA_SUBSET_H
#define CXR_DATA_SUBSET_H
#include "data/dataset.h"

typedef struct cxr_subset {
    const char **paths, **keys, **groups;
    int *labels;
    char (*contents)[65]; /* SHA-256 of each file, "" of one that cannot be read; NULL until cxr_subset_read */
    size_t count;
} cxr_subset;

/* split CXR_SPLIT_NONE: every sample. */
CXR_MUST_CHECK cxr_status cxr_subset_open(cxr_subset *out, const cxr_dataset *d, cxr_split split, cxr_error *err);
/* Reads every file once. */
CXR_MUST_CHECK cxr_status cxr_subset_read(cxr_subset *s, const cxr_limits *limits, cxr_error *err);
/* `count` indices drawn with replacement, of each class that there is as many on average as of any other: PyTorch's
 * WeightedRandomSampler with the inverse class frequencies. */
void cxr_subset_draw_balanced(const cxr_subset *s, uint32_t *order, uint64_t key);
void cxr_subset_close(cxr_subset *s); /* zeroes it */
#endif
