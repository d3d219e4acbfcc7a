/* A network cut at a layer so that one can see what lies there: left of it an INFER program, right of it, up to the logits, an
 * EXPLAIN program, whose backward says what each value of the layer does to a logit. */
#ifndef CXR_EXPLAIN_PROBE_H
#define CXR_EXPLAIN_PROBE_H
#include "backend/backend.h"

typedef struct cxr_probe {
    const cxr_backend *backend;
    cxr_program *left, *right;
    cxr_tensor *input, *slope; /* pixels; gradients of the logits */
    cxr_shape shape;           /* of the layer */
    int classes, n;            /* n: images of the last run */
    float *values, *gradients; /* (n, shape) at the layer */
    float *logits, *chosen;    /* (n, classes): before the log-softmax; 1 at the class that is asked about */
} cxr_probe;

/* layer: "layer1".."layer4". o: batch, threads, precision of the left part (the right one computes in f32); its mode and producer
 * are ignored. g and params are lent until close. CXR_EUSAGE for another layer. */
CXR_MUST_CHECK cxr_status cxr_probe_open(cxr_probe *p, const cxr_backend *backend, const cxr_graph *g, float *params,
                                         const char *layer, const cxr_compile_opts *o, cxr_error *err);
/* n images of 8-bit pixels: fills values and logits. */
CXR_MUST_CHECK cxr_status cxr_probe_run(cxr_probe *p, int n, const uint8_t *pixels, cxr_error *err);
/* Fills gradients: of logit classes[i] of image i, for the images of the last run. */
CXR_MUST_CHECK cxr_status cxr_probe_gradients(cxr_probe *p, const int *classes, cxr_error *err);
void cxr_probe_close(cxr_probe *p); /* zeroes it; safe on zeros */
#endif
