/* The canonical form of a network's parameters: f32, torchvision's shapes and order, one array. Gradients and optimiser
 * state are arrays of the same length and offsets. */
#ifndef CXR_GRAPH_PARAMS_H
#define CXR_GRAPH_PARAMS_H
#include "graph/graph.h"

/* g->float_count zeroed floats, 64-byte aligned; NULL when memory is exhausted. Free with cxr_mem_free. */
float *cxr_params_new(const cxr_graph *g) CXR_MUST_CHECK;
/* Random start as torchvision and torch.nn do: convolutions normal with std sqrt(2 / (out * k * k)) (He 2015, fan-out),
 * linear weight and bias uniform in +-1/sqrt(in), batch norm 1 and 0, running statistics 0 and 1. Only parameters whose flag
 * is set, or all when which is NULL. Keyed by seed and the parameter's name, so it does not depend on the order. */
void cxr_params_init(const cxr_graph *g, float *data, uint64_t seed, const bool *which);
#endif
