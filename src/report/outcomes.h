/* predictions.csv read back: what a model said of each image, in byte order of the images' paths. */
#ifndef CXR_REPORT_OUTCOMES_H
#define CXR_REPORT_OUTCOMES_H
#include "data/csv.h"
#include "eval/metrics.h"

typedef struct cxr_outcomes {
    cxr_csv csv;
    cxr_predictions all; /* strings are lent by csv */
    int *decided;        /* n, the prediction column */
    char **groups;       /* n, the group column, else as file names tell (data/group.h) */
    char *path;
} cxr_outcomes;

/* path: the file, or a folder that holds predictions.csv or test/predictions.csv. like: NULL, or outcomes whose classes these
 * must have, in any order; they get its order. CXR_EDATA names file and line of what is not a prediction: an unknown class, a
 * probability that is not a number within 0..1, probabilities of an image that do not add up to 1, an image listed twice, none at all. Free with cxr_outcomes_free() also after a
 * failure. */
CXR_MUST_CHECK cxr_status cxr_outcomes_read(cxr_outcomes *o, const char *path, const cxr_outcomes *like, cxr_error *err);
/* CXR_EDATA unless both are of the same images with the same labels. */
CXR_MUST_CHECK cxr_status cxr_outcomes_agree(const cxr_outcomes *a, const cxr_outcomes *b, cxr_error *err);
void cxr_outcomes_free(cxr_outcomes *o);
#endif
