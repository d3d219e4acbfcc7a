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
    cxr_mem_free(w->scale);
    cxr_mem_free(w->border);
    cxr_mem_free(w->steps);
    cxr_mem_free(w);
}

void cxr_reordered_free(cxr_program *p)
{
    while (p->weights != NULL) {
        cxr_weight *w = p->weights;
        p->weights = w->next;
        free_weight(w);
    }
}

/* The parameter's canonical descriptor, with the rank of md: a linear weight may be wanted as (out, c, h, w). */
static dnnl_memory_desc_t canonical_md(const dnnl_memory_desc_t *md)
{
    return cxr_md_typed(cxr_md_of(md->ndims, md->dims, true), md->data_type == dnnl_s8 ? dnnl_s8 : dnnl_f32);
}

static dnnl_status_t make_reorder(const cxr_program *p, cxr_weight *w)
{
    const dnnl_memory_desc_t from = canonical_md(&w->md);
    if (cxr_md_same(&from, &w->md) || cxr_winograd_knows(&w->md)) return dnnl_success;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t st = dnnl_reorder_primitive_desc_create(&pd, &from, p->engine, &w->md, p->engine, NULL);
    if (st == dnnl_success) st = dnnl_primitive_create(&w->reorder, pd);
    (void)dnnl_primitive_desc_destroy(pd);
    return st;
}

/* Everything a weight owns, all or (NULL) nothing. */
static cxr_weight *make_weight(cxr_program *p, cxr_weight like)
{
    cxr_weight *w = cxr_mem_new(1, sizeof *w);
    if (w == NULL) return NULL;
    *w = like;
    const size_t channels = (size_t)p->g->nodes[like.node].shape.c;
    w->data = cxr_mem_new_raw(dnnl_memory_desc_get_size(&like.md), 1);
    bool ok = w->data != NULL && make_reorder(p, w) == dnnl_success;
    if (ok && like.md.data_type == dnnl_s8) {
        w->bias = cxr_mem_new_aligned(channels, sizeof *w->bias);
        w->steps = cxr_mem_new(channels, sizeof *w->steps);
        ok = w->bias != NULL && w->steps != NULL;
    } else if (ok && like.batchnorm >= 0 && !like.grey) {
        w->bias = cxr_mem_new_aligned(channels, sizeof *w->bias);
        w->scale = cxr_mem_new(channels, sizeof *w->scale);
        ok = w->bias != NULL && w->scale != NULL;
    } else if (ok && like.grey) {
        w->bias = cxr_mem_new_aligned(channels, sizeof *w->bias);
        w->border = cxr_mem_new_aligned(cxr_conv_inside(p->g, like.node).outside * channels, sizeof *w->border);
        ok = w->bias != NULL && w->border != NULL;
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
    return w;
}

static cxr_weight *find_weight(cxr_lowering *l, int node, int batchnorm, cxr_role role, const dnnl_memory_desc_t *md)
{
    if (l->status != CXR_OK) return NULL;
    for (cxr_weight *w = l->p->weights; w != NULL; w = w->next)
        if (w->node == node && w->batchnorm == batchnorm && w->role == role && cxr_md_same(&w->md, md)) return w;
    return new_weight(l, (cxr_weight){.node = node, .batchnorm = batchnorm, .role = role, .md = *md});
}

bool cxr_weight_held(const cxr_program *p, int node, const dnnl_memory_desc_t *md)
{
    const cxr_weight *w = p->weights;
    while (w != NULL && !(w->node == node && w->role == CXR_WEIGHT && cxr_md_same(&w->md, md))) w = w->next;
    return w != NULL;
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

void cxr_lower_grey_weight(cxr_lowering *l, const cxr_fused *group, const dnnl_memory_desc_t *md, cxr_value out[3])
{
    const dnnl_dim_t channels = l->p->g->nodes[group->node].shape.c;
    const dnnl_dim_t outside = channels * (dnnl_dim_t)cxr_conv_inside(l->p->g, group->node).outside;
    cxr_weight like = {.node = group->node, .batchnorm = group->batchnorm, .role = CXR_WEIGHT, .md = *md, .grey = true};
    cxr_weight *w = l->status == CXR_OK ? l->p->weights : NULL;
    while (w != NULL && !(w->grey && w->node == like.node && cxr_md_same(&w->md, md))) w = w->next;
    if (w == NULL && l->status == CXR_OK) w = new_weight(l, like);
    const dnnl_memory_desc_t mds[] = {*md, cxr_md_of(1, &channels, true), cxr_md_of(1, &outside, true)};
    for (int i = 0; i < 3; i++) {
        out[i] = (cxr_value){mds[i], -1};
        if (w != NULL) out[i] = cxr_lower_fixed(l, i == 0 ? w->data : i == 1 ? w->bias : w->border, mds[i]);
    }
}

cxr_value cxr_lower_int8_weight(cxr_lowering *l, const cxr_fused *group, const dnnl_memory_desc_t *md, const float *steps,
                                cxr_value *bias)
{
    const dnnl_dim_t channels = l->p->g->nodes[group->node].shape.c;
    const dnnl_memory_desc_t vector = cxr_md_of(1, &channels, true);
    cxr_weight *w = find_weight(l, group->node, group->batchnorm, CXR_WEIGHT, md);
    if (w == NULL) return (cxr_value){*md, -1};
    if (!w->ready) memcpy(w->steps, steps, (size_t)channels * sizeof *steps);
    *bias = cxr_lower_fixed(l, w->bias, vector);
    return cxr_lower_fixed(l, w->data, *md);
}

cxr_value cxr_lower_vector(cxr_lowering *l, int node, cxr_role role)
{
    const dnnl_dim_t count = (dnnl_dim_t)cxr_graph_param(l->p->g, node, role)->count;
    const dnnl_memory_desc_t md = cxr_md_of(1, &count, true);
    cxr_weight *w = find_weight(l, node, -1, role, &md);
    return w == NULL ? (cxr_value){md, -1} : cxr_lower_fixed(l, w->data, md);
}

/* ---- Reading ---- */

static dnnl_status_t run_reorder(const cxr_program *p, const cxr_weight *w, const void *from)
{
    const dnnl_memory_desc_t md = canonical_md(&w->md);
    dnnl_memory_t src = NULL, dst = NULL;
    dnnl_status_t st = dnnl_memory_create(&src, &md, p->engine, (void *)from); /* only read */
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

/* What rounding takes from one weight goes to the next of its kernel, so that the kernel's sum, which is what it makes of a
 * smooth image, stays right to the last weight's rounding. */
static void round_kernels(float *w, size_t kernels, size_t taps)
{
    for (size_t k = 0; k < kernels; k++) {
        double carry = 0.0;
        for (size_t i = k * taps; i < (k + 1) * taps; i++) {
            const double want = (double)w[i] + carry;
            w[i] = cxr_from_bf16(cxr_to_bf16((float)want));
            carry = want - (double)w[i];
        }
    }
}

typedef struct scale_job {
    float *to;
    const float *from;
    const double *scale; /* of each channel; NULL: a copy */
    size_t channels, each;
    size_t taps; /* of a kernel, to be rounded to bf16; 0: not rounded */
} scale_job;

static void scale_part(void *ctx, int index, int count)
{
    const scale_job *job = ctx;
    const size_t end = job->channels * ((size_t)index + 1) / (size_t)count;
    for (size_t o = job->channels * (size_t)index / (size_t)count; o < end; o++) {
        const float *from = job->from + o * job->each;
        float *to = job->to + o * job->each;
        const double scale = job->scale != NULL ? job->scale[o] : 1.0;
        for (size_t i = 0; i < job->each; i++) to[i] = (float)((double)from[i] * scale);
        if (job->taps > 0) round_kernels(to, job->each / job->taps, job->taps);
    }
}

static dnnl_status_t read_int8(const cxr_program *p, cxr_weight *w)
{
    int8_t *plain = NULL;
    dnnl_status_t st = cxr_int8_fill(p, w, &plain);
    if (st == dnnl_success && w->reorder != NULL) st = run_reorder(p, w, plain);
    if (st == dnnl_success && w->reorder == NULL) memcpy(w->data, plain, dnnl_memory_desc_get_size(&w->md));
    cxr_mem_free(plain);
    return st;
}

/* Training's are rounded one by one: they change with every step. */
static bool rounds_kernels(const cxr_program *p, const cxr_weight *w)
{
    return w->md.data_type == dnnl_bf16 && w->md.ndims == 4 && p->o.mode == CXR_INFER;
}

/* fold: room for the largest weight that is not read as it is. */
static dnnl_status_t read_weight(const cxr_program *p, cxr_weight *w, float *fold)
{
    if (w->md.data_type == dnnl_s8) return read_int8(p, w);
    const cxr_param *param = cxr_graph_param(p->g, w->node, w->role);
    const float *from = p->params + param->offset;
    const size_t channels = (size_t)param->dims[0];
    if (w->grey) {
        float *to = w->reorder == NULL ? w->data : fold;
        if (!cxr_fold_grey(p->g, p->params, w->node, w->batchnorm, to, w->bias, w->border)) return dnnl_invalid_arguments;
        if (w->md.data_type == dnnl_bf16) round_kernels(to, channels, param->count / channels / 3);
        return w->reorder == NULL ? dnnl_success : run_reorder(p, w, to);
    }
    for (size_t o = 0; w->batchnorm >= 0 && o < channels; o++)
        w->scale[o] = cxr_fold_scale(p->g, p->params, w->batchnorm, o, &w->bias[o]);
    if (cxr_winograd_knows(&w->md)) {
        cxr_winograd_fill(w->data, &w->md, from, w->scale, p->o.threads);
        return dnnl_success;
    }
    if (w->reorder == NULL) fold = w->data;
    const bool rounded = rounds_kernels(p, w);
    if (w->reorder == NULL || w->batchnorm >= 0 || rounded) {
        const size_t taps = rounded ? (size_t)param->dims[2] * (size_t)param->dims[3] : 0;
        scale_job job = {fold, from, w->scale, channels, param->count / channels, taps};
        cxr_team_run(p->o.threads, scale_part, &job);
        from = fold;
    }
    return w->reorder == NULL ? dnnl_success : run_reorder(p, w, from);
}

/* Elements of the largest weight that is folded or rounded before it is reordered. */
static size_t fold_room(const cxr_program *p)
{
    size_t most = 0;
    for (const cxr_weight *w = p->weights; w != NULL; w = w->next) {
        const size_t count = cxr_graph_param(p->g, w->node, w->role)->count;
        const bool changed = w->batchnorm >= 0 || w->grey || rounds_kernels(p, w);
        if (!w->ready && changed && w->reorder != NULL && count > most) most = count;
    }
    return most;
}

cxr_status cxr_weights_refresh(cxr_program *p, bool all, cxr_error *err)
{
    for (cxr_weight *w = p->weights; all && w != NULL; w = w->next) w->ready = false;
    const size_t room = fold_room(p);
    float *fold = room > 0 ? cxr_mem_new_raw(room, sizeof *fold) : NULL;
    if (room > 0 && fold == NULL) return cxr_mem_fail(err, "a folded weight");
    cxr_status st = CXR_OK;
    for (cxr_weight *w = p->weights; w != NULL && st == CXR_OK; w = w->next) {
        if (w->ready) continue;
        const dnnl_status_t done = read_weight(p, w, fold);
        w->ready = done == dnnl_success;
        if (!w->ready) st = cxr_dnnl_fail(err, done, "a change of layout", p->g->nodes[w->node].name);
    }
    cxr_mem_free(fold);
    return st;
}
