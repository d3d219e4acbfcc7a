#include "explain/cascade.h"
#include "base/mem.h"
#include "graph/params.h"
#include <string.h>

#define SEED 1 /* of the random weights: the same for every image and every run */

cxr_status cxr_cascade_open(cxr_cascade *c, const cxr_backend *backend, const cxr_graph *g, const float *params,
                            const char *layer, const cxr_compile_opts *o, cxr_error *err)
{
    cxr_compile_opts plain = *o;
    if (plain.precision == CXR_PRECISION_INT8) plain.precision = CXR_PRECISION_F32;
    *c = (cxr_cascade){.graph = g, .trained = params};
    c->params = cxr_params_new(g);
    c->random = cxr_mem_new((size_t)g->param_count, sizeof *c->random);
    if (c->params == NULL || c->random == NULL) return cxr_mem_fail(err, "random weights");
    memcpy(c->params, params, g->float_count * sizeof *params);
    return cxr_probe_open(&c->probe, backend, g, c->params, layer, &plain, err);
}

cxr_status cxr_cascade_step(cxr_cascade *c, int step, cxr_error *err)
{
    const cxr_backend *b = c->probe.backend;
    memcpy(c->params, c->trained, c->graph->float_count * sizeof *c->params);
    for (int i = 0; i < c->graph->param_count; i++) c->random[i] = cxr_graph_depth(c->graph, c->graph->params[i].node) <= step;
    cxr_params_init(c->graph, c->params, SEED, c->random);
    const cxr_status st = b->refresh(c->probe.left, err);
    return st == CXR_OK ? b->refresh(c->probe.right, err) : st;
}

void cxr_cascade_close(cxr_cascade *c)
{
    cxr_probe_close(&c->probe);
    cxr_mem_free(c->params);
    cxr_mem_free(c->random);
    *c = (cxr_cascade){0};
}
