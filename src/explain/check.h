/* Fills what cxr_explain_opts.check asks for: agreement with occlusion, the test with random weights, the share on the lungs, and
 * the verdict. */
#ifndef CXR_EXPLAIN_CHECK_H
#define CXR_EXPLAIN_CHECK_H
#include "explain/cascade.h"
#include "explain/explained.h"
#include "explain/maps.h"

typedef struct cxr_check {
    cxr_explain_method method;
    cxr_cascade cascade;
    float *maps; /* (batch, cells) of the network with random layers */
} cxr_check;

/* As cxr_cascade_open(), for batches of o->max_batch. To be closed also after a failure. */
CXR_MUST_CHECK cxr_status cxr_check_open(cxr_check *c, cxr_explain_method method, const cxr_backend *backend,
                                         const cxr_graph *g, const float *params, const char *layer, const cxr_compile_opts *o,
                                         cxr_error *err);
/* Of the n images at `images`, whose maps stand in each[]; those with a status are left alone. v: of the network itself. */
CXR_MUST_CHECK cxr_status cxr_check_batch(cxr_check *c, const cxr_variants *v, int n, const uint8_t *images, const int *classes,
                                          cxr_explained *each, cxr_error *err);
void cxr_check_close(cxr_check *c); /* zeroes it; safe on zeros */
#endif
