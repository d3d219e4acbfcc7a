#include "graph/params.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>

float *cxr_params_new(const cxr_graph *g)
{
    return cxr_mem_new_aligned(g->float_count, sizeof(float));
}

static void fill(float *x, size_t n, float value)
{
    for (size_t i = 0; i < n; i++) x[i] = value;
}

static void fill_uniform(float *x, size_t n, double bound, uint64_t key)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)((2.0 * (double)cxr_rng_uniform(key, i) - 1.0) * bound);
}

static void init_one(const cxr_graph *g, const cxr_param *p, float *x, uint64_t key)
{
    switch (p->role) {
    case CXR_BN_WEIGHT:
    case CXR_BN_VAR: fill(x, p->count, 1.0f); return;
    case CXR_BN_BIAS:
    case CXR_BN_MEAN: fill(x, p->count, 0.0f); return;
    case CXR_WEIGHT:
    case CXR_BIAS: break;
    }
    if (g->nodes[p->node].op == CXR_OP_CONV) {
        const double std = sqrt(2.0 / ((double)p->dims[0] * p->dims[2] * p->dims[3]));
        for (size_t i = 0; i < p->count; i++) x[i] = (float)(std * cxr_rng_normal(key, i));
    } else {
        fill_uniform(x, p->count, 1.0 / sqrt((double)cxr_shape_count(cxr_graph_in_shape(g, p->node))), key);
    }
}

void cxr_params_init(const cxr_graph *g, float *data, uint64_t seed, const bool *which)
{
    for (int i = 0; i < g->param_count; i++) {
        const cxr_param *p = &g->params[i];
        if (which == NULL || which[i])
            init_one(g, p, data + p->offset, cxr_rng_key(seed, CXR_FOR_INIT, 0, cxr_rng_name(p->name)));
    }
}
