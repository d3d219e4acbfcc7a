/* Parameters in the layouts that kernels want: made from the canonical ones when the program is compiled and again at each
 * refresh, batch norm folded in where a plan asks for it. */
#include "backend/onednn_plan.h"
#include "base/mem.h"
#include <string.h>

static void free_weight(cxr_weight *w)
{
    (void)dnnl_primitive_destroy(w->reorder);
    cxr_mem_free(w->data);
    cxr_mem_free(w->bias);
    cxr_mem_free(w);
}

void cxr_reordered_free(cxr_program *p)
{
    while (p->weights != NULL) {
        cxr_weight *w = p->weights;
        p->weights = w->next;
        free_weight(w);
    }
    cxr_mem_free(p->fold);
    p->fold = NULL;
}

/* The parameter's canonical descriptor, with the rank of md: a linear weight may be wanted as (out, c, h, w). */
static dnnl_memory_desc_t canonical_md(const dnnl_memory_desc_t *md)
{
    return cxr_md_of(md->ndims, md->dims, true);
}

static dnnl_status_t make_reorder(const cxr_program *p, cxr_weight *w)
{
    const dnnl_memory_desc_t from = canonical_md(&w->md);
    if (cxr_md_same(&from, &w->md)) return dnnl_success;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t st = dnnl_reorder_primitive_desc_create(&pd, &from, p->engine, &w->md, p->engine, NULL);
    if (st == dnnl_success) st = dnnl_primitive_create(&w->reorder, pd);
    (void)dnnl_primitive_desc_destroy(pd);
    return st;
}

static bool reserve_fold(cxr_program *p, size_t count)
{
    if (count <= p->fold_count) return true;
    float *fold = cxr_mem_new_aligned(count, sizeof *fold);
    if (fold == NULL) return false;
    cxr_mem_free(p->fold);
    p->fold = fold;
    p->fold_count = count;
    return true;
}

/* Everything a weight owns, all or (NULL) nothing. */
static cxr_weight *make_weight(cxr_program *p, cxr_weight like)
{
    cxr_weight *w = cxr_mem_new(1, sizeof *w);
    if (w == NULL) return NULL;
    *w = like;
    w->data = cxr_mem_new_aligned(dnnl_memory_desc_get_size(&like.md), 1);
    bool ok = w->data != NULL && make_reorder(p, w) == dnnl_success;
    if (ok && like.batchnorm >= 0) {
        w->bias = cxr_mem_new_aligned((size_t)p->g->nodes[like.node].shape.c, sizeof *w->bias);
        ok = w->bias != NULL && reserve_fold(p, cxr_graph_param(p->g, like.node, like.role)->count);
    }
    if (ok) return w;
    free_weight(w);
    return NULL;
}

static cxr_weight *new_weight(cxr_lowering *l, cxr_weight like)
{
    cxr_weight *w = make_weight(l->p, like);
    if (w == NULL) {
        cxr_lower_fail(l, dnnl_out_of_memory, "the parameters");
        return NULL;
    }
    w->next = l->p->weights;
    l->p->weights = w;
    l->p->stale = true;
    return w;
}

static cxr_weight *find_weight(cxr_lowering *l, int node, int batchnorm, cxr_role role, const dnnl_memory_desc_t *md)
{
    if (l->status != CXR_OK) return NULL;
    for (cxr_weight *w = l->p->weights; w != NULL; w = w->next)
        if (w->node == node && w->batchnorm == batchnorm && w->role == role && cxr_md_same(&w->md, md)) return w;
    return new_weight(l, (cxr_weight){.node = node, .batchnorm = batchnorm, .role = role, .md = *md});
}

cxr_value cxr_lower_weight(cxr_lowering *l, int node, int batchnorm, const dnnl_memory_desc_t *md)
{
    cxr_weight *w = find_weight(l, node, batchnorm, CXR_WEIGHT, md);
    return w == NULL ? (cxr_value){*md, -1} : cxr_lower_fixed(l, w->data, *md);
}

cxr_value cxr_lower_folded_bias(cxr_lowering *l, int node, int batchnorm, const dnnl_memory_desc_t *md)
{
    const dnnl_dim_t channels = l->p->g->nodes[node].shape.c;
    const dnnl_memory_desc_t vector = cxr_md_of(1, &channels, true);
    cxr_weight *w = find_weight(l, node, batchnorm, CXR_WEIGHT, md);
    return w == NULL ? (cxr_value){vector, -1} : cxr_lower_fixed(l, w->bias, vector);
}

cxr_value cxr_lower_vector(cxr_lowering *l, int node, cxr_role role)
{
    const dnnl_dim_t count = (dnnl_dim_t)cxr_graph_param(l->p->g, node, role)->count;
    const dnnl_memory_desc_t md = cxr_md_of(1, &count, true);
    cxr_weight *w = find_weight(l, node, -1, role, &md);
    return w == NULL ? (cxr_value){md, -1} : cxr_lower_fixed(l, w->data, md);
}

static dnnl_status_t run_reorder(const cxr_program *p, const cxr_weight *w, void *from)
{
    const dnnl_memory_desc_t md = canonical_md(&w->md);
    dnnl_memory_t src = NULL, dst = NULL;
    dnnl_status_t st = dnnl_memory_create(&src, &md, p->engine, from);
    if (st == dnnl_success) st = dnnl_memory_create(&dst, &w->md, p->engine, w->data);
    if (st == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, dst}};
        st = dnnl_primitive_execute(w->reorder, p->stream, 2, args);
    }
    if (st == dnnl_success) st = dnnl_stream_wait(p->stream);
    (void)dnnl_memory_destroy(src);
    (void)dnnl_memory_destroy(dst);
    return st;
}

cxr_status cxr_weights_refresh(cxr_program *p, cxr_error *err)
{
    for (cxr_weight *w = p->weights; w != NULL; w = w->next) {
        const cxr_param *param = cxr_graph_param(p->g, w->node, w->role);
        float *from = p->params + param->offset;
        if (w->batchnorm >= 0) {
            from = p->fold;
            cxr_fold_batchnorm(p->g, p->params, w->node, w->batchnorm, from, w->bias);
        }
        if (w->reorder == NULL) {
            memcpy(w->data, from, param->count * sizeof *from);
            continue;
        }
        const dnnl_status_t st = run_reorder(p, w, from);
        if (st != dnnl_success) return cxr_dnnl_fail(err, st, "a change of layout", param->name);
    }
    return CXR_OK;
}
