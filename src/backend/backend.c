#include "backend/backend.h"
#include "base/rng.h"

bool cxr_dropout_keep(uint64_t key, int node, uint64_t element, float rate)
{
    return cxr_rng_uniform(cxr_rng_key(key, CXR_FOR_DROPOUT, 0, (uint64_t)node), element) >= rate;
}

int cxr_span_input(const cxr_graph *g, int first, int last)
{
    int input = -1;
    for (int i = first; i <= last; i++) {
        for (int k = 0; k < 2; k++) {
            const int x = g->nodes[i].in[k];
            if (x < 0 || x >= first || x == input) continue;
            if (input >= 0) return -1;
            input = x;
        }
    }
    return input;
}

cxr_status cxr_check_span(const cxr_backend *b, const cxr_graph *g, int first, int last, const cxr_compile_opts *o,
                          cxr_error *err)
{
    if (first < 1 || last < first || last >= g->node_count)
        return cxr_fail(err, CXR_EINTERNAL, "%s backend: nodes %d..%d are no span of a graph of %d nodes", b->name, first, last,
                        g->node_count);
    if (cxr_span_input(g, first, last) < 0)
        return cxr_fail(err, CXR_EINTERNAL, "%s backend: nodes %d..%d do not have exactly one input", b->name, first, last);
    if (o->mode == CXR_EXPLAIN && g->nodes[first].op == CXR_OP_NORMALIZE)
        return cxr_fail(err, CXR_EUSAGE, "%s backend: pixels have no gradient: the span begins with the normalisation",
                        b->name);
    if (o->max_batch < 1 || o->threads < 1)
        return cxr_fail(err, CXR_EUSAGE, "%s backend: a batch of %d images on %d threads is not possible", b->name,
                        o->max_batch, o->threads);
    return CXR_OK;
}

cxr_status cxr_check_images(const cxr_backend *b, const char *what, cxr_shape got, cxr_shape want, int n, int max_batch,
                            cxr_error *err)
{
    if (got.c != want.c || got.h != want.h || got.w != want.w)
        return cxr_fail(err, CXR_EINTERNAL, "%s backend: the %s has shape (%d, %d, %d), expected (%d, %d, %d)", b->name, what,
                        got.c, got.h, got.w, want.c, want.h, want.w);
    if (n < 1 || n > max_batch)
        return cxr_fail(err, CXR_EUSAGE, "%s backend: the %s holds %d images, the program takes 1 to %d", b->name, what, n,
                        max_batch);
    return CXR_OK;
}

cxr_status cxr_check_statistics(const cxr_graph *g, int first, int last, int n, cxr_error *err)
{
    for (int i = first; i <= last; i++) {
        const cxr_node *v = &g->nodes[i];
        if (v->op == CXR_OP_BATCHNORM && (double)n * v->shape.h * v->shape.w < 2.0)
            return cxr_fail(err, CXR_EUSAGE, "batch norm %s cannot train on a batch of one image", v->name);
    }
    return CXR_OK;
}
