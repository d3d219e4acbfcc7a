/* What int8 needs of a model: which range of each activation 8 bits should cover. */
#ifndef CXR_EVAL_RANGES_H
#define CXR_EVAL_RANGES_H
#include "cxr/cxr.h"

/* Runs images through the network in f32 and sets `peak` of every node whose value an int8 convolution writes: the range whose
 * rounding and clipping lose least, in the mean square. With `skip`, unreadable images are logged and left out, else the first
 * one stops. *used receives how many images were looked at. */
CXR_MUST_CHECK cxr_status cxr_ranges_find(cxr_model *m, const char *const *paths, size_t count, bool skip,
                                          const cxr_run_opts *o, const cxr_hooks *hooks, size_t *used, cxr_error *err);

/* Magnitudes seen, in bins of equal width from 0 to `range`, which doubles as larger ones come. Zeros are not counted. */
#define CXR_RANGE_BINS 2048
typedef struct cxr_range {
    double range; /* 0: nothing seen */
    float peak;   /* not finite once something not finite was seen */
    uint64_t bins[CXR_RANGE_BINS];
} cxr_range;
void cxr_range_add(cxr_range *r, const float *x, size_t count);
/* The range to cover with `levels` steps; 0 when nothing but zeros was seen. */
float cxr_range_choose(const cxr_range *r, int levels);
#endif
