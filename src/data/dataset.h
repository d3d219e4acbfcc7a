/* A data set: images with labels, split and patient group, from folders or a CSV. Patients never cross a split. */
#ifndef CXR_DATA_DATASET_H
#define CXR_DATA_DATASET_H
#include "cxr/cxr.h"

#define CXR_MAX_CLASSES 1000

typedef enum cxr_split {
    CXR_SPLIT_TRAIN,
    CXR_SPLIT_VAL,
    CXR_SPLIT_TEST,
    CXR_SPLIT_COUNT,
    CXR_SPLIT_NONE = CXR_SPLIT_COUNT
} cxr_split;
const char *cxr_split_name(cxr_split s); /* "train", "val", "test", "none" */

typedef struct cxr_sample {
    char *path;  /* as it can be opened */
    char *key;   /* relative to the data set's root: what split.csv and predictions.csv call it */
    char *group; /* patient: file-name group, CSV column, or the key itself when there is none */
    int label;   /* index into classes */
    cxr_split split;
} cxr_sample;

typedef struct cxr_dataset {
    char *root;
    char **classes; /* byte order of names */
    int class_count;
    cxr_sample *samples; /* ordered by key, byte order */
    size_t count;
    bool has_split[CXR_SPLIT_COUNT]; /* given by folders or the CSV's split column */
} cxr_dataset;

/* Opens `path`: a folder holding train/ [val/ test/] with class folders, a folder of class folders, or a CSV with a header
 * `path,label[,split][,group]` (paths relative to the CSV's folder). group_by: "auto" (this data set's file names:
 * person<N>_, IM-<NNNN>-, NORMAL2-IM-<NNNN>-; another name is its own group; a CSV's group column when there is one), "none",
 * "column:NAME", or a POSIX extended regular expression whose first group (or whole match) in the file name is the patient.
 * Groups are kept apart by class and split folder only through the split rule, never merged across classes by accident: the
 * group text is prefixed with the class name for "auto", because that set's counters restart per class.
 * Refused: nothing found, one class only, a class in val or test that train lacks, wrong CSV columns or values. */
CXR_MUST_CHECK cxr_status cxr_dataset_open(cxr_dataset *out, const char *path, const char *group_by, cxr_error *err);
void cxr_dataset_close(cxr_dataset *d);                                     /* zeroes it */
size_t cxr_dataset_count(const cxr_dataset *d, cxr_split split, int label); /* label -1: all */

typedef struct cxr_split_report {
    bool carved;      /* validation was taken from train */
    char reason[256]; /* why, in words, with counts; also when folders were split from nothing */
    size_t crossing;  /* patients found in more than one of the given splits. They stay: the published split is kept, and
                         file names are no proof (its counters restart). Worth a warning. */
} cxr_split_report;
/* Completes the split. No split given at all: test_fraction 0.15 of groups becomes test. Validation missing or smaller than
 * 32 images (the published one has 16): the given one joins train, and val_fraction of train's groups, stratified by class and
 * keyed by `seed`, becomes validation. Every class gets at least one validation group. CXR_EDATA when that is impossible. */
CXR_MUST_CHECK cxr_status cxr_dataset_split(cxr_dataset *d, double val_fraction, uint64_t seed, cxr_split_report *report,
                                            cxr_error *err);
/* Leaves `images` of the training split, drawn by `seed` so that classes keep their shares to within an image and none is
 * empty, and gives the others CXR_SPLIT_NONE; adds to the report's reason. With one seed, fewer images are a part of more.
 * CXR_EUSAGE: fewer images than classes, or more than there are. */
CXR_MUST_CHECK cxr_status cxr_dataset_thin(cxr_dataset *d, size_t images, uint64_t seed, cxr_split_report *report,
                                           cxr_error *err);
/* `path,label,split,group` with a header, RFC 4180. read: sets each sample's split, and its group where the file has one, by key; a sample the file lacks gets
 * CXR_SPLIT_NONE; a key the data set lacks, or another label, is CXR_EDATA. */
CXR_MUST_CHECK cxr_status cxr_split_write(const cxr_dataset *d, const char *path, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_split_read(cxr_dataset *d, const char *path, cxr_error *err);
/* Hex SHA-256 over keys, labels, splits and file sizes: the data fingerprint of the training receipt. */
CXR_MUST_CHECK cxr_status cxr_dataset_fingerprint(const cxr_dataset *d, char hex[65], cxr_error *err);
#endif
