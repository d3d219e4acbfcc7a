/* The test of Adebayo et al. (2018, "Sanity Checks for Saliency Maps", 3.1): layer after layer, from the head down to the stem, the
 * network's parameters are replaced by random ones; a map that stays as it was does not come from what the network learned. */
#ifndef CXR_EXPLAIN_CASCADE_H
#define CXR_EXPLAIN_CASCADE_H
#include "explain/probe.h"

#define CXR_CASCADE_STEPS 6 /* head, layer4, layer3, layer2, layer1, stem */

typedef struct cxr_cascade {
    cxr_probe probe; /* of the network as the last step left it */
    const cxr_graph *graph;
    const float *trained;
    float *params;
    bool *random; /* which of them */
} cxr_cascade;

/* As cxr_probe_open(). Weights and activations are f32 where `o` asks for int8: its ranges are those of the trained weights. */
CXR_MUST_CHECK cxr_status cxr_cascade_open(cxr_cascade *c, const cxr_backend *backend, const cxr_graph *g, const float *params,
                                           const char *layer, const cxr_compile_opts *o, cxr_error *err);
/* Replaces what lies in the head (step 0), and below it down to the stem (step 5), by the random start of a training. */
CXR_MUST_CHECK cxr_status cxr_cascade_step(cxr_cascade *c, int step, cxr_error *err);
void cxr_cascade_close(cxr_cascade *c); /* zeroes it; safe on zeros */
#endif
