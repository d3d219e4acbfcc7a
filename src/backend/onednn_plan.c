#include "backend/onednn_plan.h"
#include "base/mem.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN ((size_t)64)

/* ---- Memory descriptors ---- */

static dnnl_memory_desc_t md_tagged(int n, cxr_shape s, dnnl_format_tag_t tag)
{
    const dnnl_dims_t dims = {n, s.c, s.h, s.w};
    dnnl_memory_desc_t md;
    if (dnnl_memory_desc_init_by_tag(&md, 4, dims, dnnl_f32, tag) != dnnl_success) memset(&md, 0, sizeof md);
    return md; /* a zero descriptor fails where it is used */
}

dnnl_memory_desc_t cxr_md_plain(int n, cxr_shape s)
{
    return md_tagged(n, s, dnnl_abcd);
}

dnnl_memory_desc_t cxr_md_any(int n, cxr_shape s)
{
    return md_tagged(n, s, dnnl_format_tag_any);
}

static bool has_isa(dnnl_cpu_isa_t wanted)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)wanted) == (unsigned)wanted;
}

int cxr_lanes(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core) ? 16 : 8;
}

bool cxr_has_bf16(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

bool cxr_has_int8(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_vnni);
}

dnnl_memory_desc_t cxr_md_blocked(int n, cxr_shape s)
{
    return md_tagged(n, s, cxr_lanes() == 16 ? dnnl_aBcd16b : dnnl_aBcd8b);
}

dnnl_memory_desc_t cxr_md_of(int rank, const dnnl_dim_t *dims, bool plain)
{
    static const dnnl_format_tag_t tags[] = {dnnl_format_tag_undef, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd};
    const dnnl_format_tag_t tag = plain ? tags[rank] : dnnl_format_tag_any;
    dnnl_dims_t all = {0};
    memcpy(all, dims, (size_t)rank * sizeof *dims);
    dnnl_memory_desc_t md;
    if (dnnl_memory_desc_init_by_tag(&md, rank, all, dnnl_f32, tag) != dnnl_success) memset(&md, 0, sizeof md);
    return md;
}

dnnl_memory_desc_t cxr_md_for_add(const dnnl_memory_desc_t *md)
{
    return md->padded_dims[1] == md->dims[1] ? *md : cxr_md_of(md->ndims, md->dims, true);
}

dnnl_memory_desc_t cxr_md_images(dnnl_memory_desc_t md, int n)
{
    md.dims[0] = md.padded_dims[0] = n; /* images are outermost in every layout that is used here */
    return md;
}

dnnl_memory_desc_t cxr_md_typed(dnnl_memory_desc_t md, dnnl_data_type_t type)
{
    md.data_type = type;
    return md;
}

bool cxr_md_same(const dnnl_memory_desc_t *a, const dnnl_memory_desc_t *b)
{
    return dnnl_memory_desc_equal(a, b) != 0;
}

dnnl_memory_desc_t cxr_md_simplest(const dnnl_memory_desc_t *md)
{
    const bool vector = md->ndims == 4 && md->dims[2] == 1 && md->dims[3] == 1;
    if (!vector) return *md;
    const dnnl_memory_desc_t f32 = cxr_md_plain((int)md->dims[0], (cxr_shape){(int)md->dims[1], 1, 1});
    const dnnl_memory_desc_t plain = cxr_md_typed(f32, md->data_type);
    return dnnl_memory_desc_get_size(&plain) == dnnl_memory_desc_get_size(md) ? plain : *md;
}

dnnl_memory_desc_t cxr_md_batchnorm(const dnnl_memory_desc_t *md)
{
    const dnnl_memory_desc_t blocked =
        cxr_md_blocked((int)md->dims[0], (cxr_shape){(int)md->dims[1], (int)md->dims[2], (int)md->dims[3]});
    const dnnl_memory_desc_t a = cxr_md_simplest(&blocked), b = cxr_md_simplest(md);
    return cxr_md_same(&a, &b) ? blocked : *md;
}

/* ---- Failures ---- */

cxr_status cxr_dnnl_fail(cxr_error *err, dnnl_status_t st, const char *doing, const char *name)
{
    if (st == dnnl_out_of_memory) return cxr_fail(err, CXR_ENOMEM, "out of memory for %s of %s", doing, name);
    return cxr_fail(err, CXR_EINTERNAL, "oneDNN: %s of %s failed with status %d", doing, name, (int)st);
}

void cxr_lower_fail(cxr_lowering *l, dnnl_status_t st, const char *doing)
{
    if (st != dnnl_success && l->status == CXR_OK) l->status = cxr_dnnl_fail(l->err, st, doing, l->p->g->nodes[l->node].name);
}

/* Room for one more element, zeroed; false, and the lowering failed, when there is none. */
static bool grow(cxr_lowering *l, void **items, int count, int *room, size_t size)
{
    if (l->status != CXR_OK) return false;
    if (count == *room) {
        const int more = *room == 0 ? 64 : *room * 2;
        void *p = cxr_mem_resize(*items, (size_t)more, size);
        if (p == NULL) {
            cxr_lower_fail(l, dnnl_out_of_memory, "the plan");
            return false;
        }
        *items = p;
        *room = more;
    }
    memset((char *)*items + (size_t)count * size, 0, size);
    return true;
}

/* ---- Primitive descriptors ---- */

#define BY_CHANNEL 2 /* oneDNN's mask for scales of dimension 1 */

static cxr_desc describe(cxr_lowering *l, const_dnnl_op_desc_t op, const_dnnl_post_ops_t post, const float *scales, int count,
                         cxr_desc hint)
{
    if (!grow(l, (void **)&l->descs, l->desc_count, &l->desc_room, sizeof *l->descs)) return NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t st = dnnl_primitive_attr_create(&attr);
    if (st == dnnl_success) st = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (st == dnnl_success && post != NULL) st = dnnl_primitive_attr_set_post_ops(attr, post);
    if (st == dnnl_success && count > 0) st = dnnl_primitive_attr_set_output_scales(attr, count, BY_CHANNEL, scales);
    if (st == dnnl_success) st = dnnl_primitive_desc_create(&pd, op, attr, l->p->engine, hint);
    (void)dnnl_primitive_attr_destroy(attr);
    if (st == dnnl_out_of_memory) cxr_lower_fail(l, st, "the choice of a kernel");
    if (st != dnnl_success) return NULL;
    l->descs[l->desc_count++] = pd;
    return pd;
}

cxr_desc cxr_lower_scaled(cxr_lowering *l, const_dnnl_op_desc_t op, const_dnnl_post_ops_t post, const float *scales, int count)
{
    return describe(l, op, post, scales, count, NULL);
}

cxr_desc cxr_lower_try(cxr_lowering *l, const_dnnl_op_desc_t op, const_dnnl_post_ops_t post, cxr_desc hint)
{
    return describe(l, op, post, NULL, 0, hint);
}

cxr_desc cxr_lower_desc(cxr_lowering *l, const_dnnl_op_desc_t op, const_dnnl_post_ops_t post, cxr_desc hint)
{
    cxr_desc pd = cxr_lower_try(l, op, post, hint);
    if (pd == NULL) cxr_lower_fail(l, dnnl_unimplemented, "the choice of a kernel");
    return pd;
}

dnnl_memory_desc_t cxr_desc_md(cxr_desc pd, dnnl_query_t what)
{
    const dnnl_memory_desc_t *md = pd == NULL ? NULL : dnnl_primitive_desc_query_md(pd, what, 0);
    return md == NULL ? (dnnl_memory_desc_t){0} : *md;
}

const char *cxr_desc_kernel(cxr_desc pd)
{
    const char *name = NULL;
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name) == dnnl_success ? name : "ref";
}

/* ---- Buffers and values ---- */

static int add_buffer(cxr_lowering *l, cxr_buffer b)
{
    cxr_plan *plan = l->plan;
    if (!grow(l, (void **)&plan->buffers, plan->buffer_count, &plan->buffer_room, sizeof *plan->buffers)) return -1;
    b.first = INT_MAX;
    b.last = -1;
    plan->buffers[plan->buffer_count] = b;
    return plan->buffer_count++;
}

cxr_value cxr_lower_new(cxr_lowering *l, dnnl_memory_desc_t md)
{
    return (cxr_value){md, add_buffer(l, (cxr_buffer){.base = CXR_AT_ARENA, .bytes = dnnl_memory_desc_get_size(&md)})};
}

cxr_value cxr_lower_at(cxr_lowering *l, cxr_base base, size_t offset, dnnl_memory_desc_t md)
{
    return (cxr_value){md, add_buffer(l, (cxr_buffer){.base = base, .offset = offset, .shared = true})};
}

cxr_value cxr_lower_fixed(cxr_lowering *l, float *data, dnnl_memory_desc_t md)
{
    return (cxr_value){md, add_buffer(l, (cxr_buffer){.base = CXR_AT_FIXED, .fixed = (char *)data, .shared = true})};
}

/* ---- Steps ---- */

static cxr_step *add_step(cxr_lowering *l)
{
    cxr_plan *plan = l->plan;
    if (!grow(l, (void **)&plan->steps, plan->step_count, &plan->step_room, sizeof *plan->steps)) return NULL;
    cxr_step *s = &plan->steps[plan->step_count++];
    s->node = l->node;
    return s;
}

void cxr_lower_arg(cxr_lowering *l, int arg, cxr_value v)
{
    if (l->status != CXR_OK) return;
    cxr_step *s = &l->plan->steps[l->plan->step_count - 1];
    if (v.buffer < 0 || s->arg_count == CXR_STEP_ARGS) {
        cxr_lower_fail(l, dnnl_invalid_arguments, "the plan");
        return;
    }
    s->args[s->arg_count].arg = arg;
    s->args[s->arg_count].buffer = v.buffer;
    s->args[s->arg_count++].md = v.md;
    cxr_buffer *b = &l->plan->buffers[v.buffer];
    const int step = l->plan->step_count - 1;
    if (step < b->first) b->first = step;
    if (step > b->last) b->last = step;
}

void cxr_lower_primitive(cxr_lowering *l, cxr_desc pd)
{
    if (pd == NULL) cxr_lower_fail(l, dnnl_unimplemented, "the choice of a kernel");
    cxr_step *s = add_step(l);
    if (s == NULL) return;
    cxr_lower_fail(l, dnnl_primitive_create(&s->primitive, pd), "making a kernel");
    const dnnl_memory_desc_t scratch = cxr_desc_md(pd, dnnl_query_scratchpad_md);
    if (dnnl_memory_desc_get_size(&scratch) > 0) cxr_lower_arg(l, DNNL_ARG_SCRATCHPAD, cxr_lower_new(l, scratch));
}

void cxr_lower_loop(cxr_lowering *l, cxr_loop *loop)
{
    cxr_step *s = add_step(l);
    if (s != NULL) s->loop = loop;
}

/* Appends a reorder from x * scale to y; with `sum`, y += x. */
static void reorder(cxr_lowering *l, cxr_value x, cxr_value y, float scale, bool sum)
{
    if (!grow(l, (void **)&l->descs, l->desc_count, &l->desc_room, sizeof *l->descs)) return;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t post = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t st = dnnl_primitive_attr_create(&attr);
    if (st == dnnl_success) st = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (st == dnnl_success) st = dnnl_post_ops_create(&post);
    if (st == dnnl_success && sum) st = dnnl_post_ops_append_sum(post, 1.0f);
    if (st == dnnl_success) st = dnnl_primitive_attr_set_post_ops(attr, post);
    if (st == dnnl_success && scale != 1.0f) st = dnnl_primitive_attr_set_output_scales(attr, 1, 0, &scale);
    if (st == dnnl_success) st = dnnl_reorder_primitive_desc_create(&pd, &x.md, l->p->engine, &y.md, l->p->engine, attr);
    (void)dnnl_post_ops_destroy(post);
    (void)dnnl_primitive_attr_destroy(attr);
    cxr_lower_fail(l, st, "a change of layout");
    if (st != dnnl_success) return;
    l->descs[l->desc_count++] = pd;
    cxr_lower_primitive(l, pd);
    cxr_lower_arg(l, DNNL_ARG_FROM, x);
    cxr_lower_arg(l, DNNL_ARG_TO, y);
}

cxr_value cxr_lower_copy(cxr_lowering *l, cxr_value x, const dnnl_memory_desc_t *md)
{
    const cxr_value y = cxr_lower_new(l, *md);
    reorder(l, x, y, 1.0f, false);
    return y;
}

cxr_value cxr_lower_rescale(cxr_lowering *l, cxr_value x, const dnnl_memory_desc_t *md, float scale)
{
    const cxr_value y = cxr_lower_new(l, *md);
    reorder(l, x, y, scale, false);
    return y;
}

void cxr_lower_add_to(cxr_lowering *l, cxr_value x, cxr_value to)
{
    reorder(l, x, to, 1.0f, true);
}

void cxr_lower_copy_to(cxr_lowering *l, cxr_value x, cxr_value to)
{
    reorder(l, x, to, 1.0f, false);
}

cxr_value cxr_lower_as(cxr_lowering *l, cxr_value x, const dnnl_memory_desc_t *md)
{
    const dnnl_memory_desc_t a = cxr_md_simplest(&x.md), b = cxr_md_simplest(md);
    return cxr_md_same(&a, &b) ? (cxr_value){*md, x.buffer} : cxr_lower_copy(l, x, md);
}

cxr_value cxr_lower_input(cxr_lowering *l, bool keep)
{
    const cxr_program *p = l->p;
    const cxr_value x = cxr_lower_at(l, CXR_AT_INPUT, 0, l->plan->in_md);
    if (p->g->nodes[l->plan->first].op == CXR_OP_NORMALIZE) return x;
    if ((x.md.data_type == dnnl_f32 || x.md.data_type == p->type) && !keep) return x;
    const dnnl_memory_desc_t md = cxr_md_typed(x.md, x.md.data_type == p->type ? p->type : dnnl_f32);
    return cxr_lower_copy(l, x, &md);
}

/* ---- Memory plan ---- */

static bool overlap(const cxr_buffer *a, const cxr_buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static int larger_first(const void *a, const void *b)
{
    const cxr_buffer *const x = *(cxr_buffer *const *)a, *const y = *(cxr_buffer *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

static int lower_first(const void *a, const void *b)
{
    const cxr_buffer *const x = *(cxr_buffer *const *)a, *const y = *(cxr_buffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Places `b` at the lowest gap between those of placed[0..count) that live when it does; placed is sorted by offset. */
static void place(cxr_buffer *b, cxr_buffer *const *placed, int count)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        if (!overlap(b, placed[i])) continue;
        if (placed[i]->offset >= at + aligned(b->bytes)) break;
        const size_t end = placed[i]->offset + aligned(placed[i]->bytes);
        if (end > at) at = end;
    }
    b->offset = at;
}

/* Greedy by size: the largest buffer first, each at the lowest free offset. */
static void plan_memory(cxr_lowering *l)
{
    cxr_plan *plan = l->plan;
    cxr_buffer **order = cxr_mem_new((size_t)plan->buffer_count, sizeof(cxr_buffer *));
    if (order == NULL) {
        cxr_lower_fail(l, dnnl_out_of_memory, "the plan");
        return;
    }
    int count = 0;
    for (int i = 0; i < plan->buffer_count; i++)
        if (plan->buffers[i].base == CXR_AT_ARENA && plan->buffers[i].last >= 0) order[count++] = &plan->buffers[i];
    qsort(order, (size_t)count, sizeof(cxr_buffer *), larger_first);
    for (int i = 0; i < count; i++) {
        place(order[i], order, i);
        const size_t end = order[i]->offset + aligned(order[i]->bytes);
        if (end > plan->arena_bytes) plan->arena_bytes = end;
        qsort(order, (size_t)i + 1, sizeof(cxr_buffer *), lower_first);
    }
    cxr_mem_free(order);
}

bool cxr_plan_is_full(const cxr_lowering *l)
{
    const cxr_plan *first = l->p->plans;
    while (first != NULL && first->first != l->plan->first) first = first->next;
    return first == NULL;
}

void cxr_lower_end(cxr_lowering *l)
{
    cxr_plan *plan = l->plan;
    if (l->status == CXR_OK && plan->out.buffer >= 0) {
        cxr_buffer *out = &plan->buffers[plan->out.buffer];
        out->last = INT_MAX; /* lent after the last step */
        if (l->p->o.mode == CXR_INFER && out->base == CXR_AT_ARENA) out->base = CXR_AT_OUT;
    }
    if (l->status == CXR_OK) plan_memory(l);
    for (int i = 0; i < plan->step_count; i++) {
        cxr_step *s = &plan->steps[i];
        l->node = s->node;
        for (int k = 0; s->primitive != NULL && k < s->arg_count && l->status == CXR_OK; k++)
            cxr_lower_fail(l, dnnl_memory_create(&s->args[k].memory, &s->args[k].md, l->p->engine, DNNL_MEMORY_NONE),
                           "the plan");
    }
    for (int i = 0; i < l->desc_count; i++) (void)dnnl_primitive_desc_destroy(l->descs[i]);
    cxr_mem_free(l->descs);
    l->descs = NULL;
}

void cxr_plan_free(cxr_plan *plan)
{
    if (plan == NULL) return;
    for (int i = 0; i < plan->step_count; i++) {
        for (int k = 0; k < plan->steps[i].arg_count; k++) (void)dnnl_memory_destroy(plan->steps[i].args[k].memory);
        (void)dnnl_primitive_destroy(plan->steps[i].primitive);
    }
    cxr_mem_free(plan->steps);
    cxr_mem_free(plan->buffers);
    cxr_mem_free(plan);
}

/* ---- Running ---- */

static void *address(const cxr_buffer *b, char *const bases[CXR_BASES])
{
    return b->base == CXR_AT_FIXED ? b->fixed : bases[b->base] + b->offset;
}

/* Points a step's memories at their buffers. oneDNN zeroes the padding of what it is pointed at, so this must happen when the
 * buffers are the step's to use: just before it runs. */
static dnnl_status_t bind(const cxr_plan *plan, cxr_step *s, const bool moved[CXR_BASES], char *const bases[CXR_BASES])
{
    dnnl_status_t st = dnnl_success;
    for (int k = 0; s->primitive != NULL && k < s->arg_count && st == dnnl_success; k++) {
        const cxr_buffer *b = &plan->buffers[s->args[k].buffer];
        if (moved[b->base]) st = dnnl_memory_set_data_handle(s->args[k].memory, address(b, bases));
    }
    return st;
}

static dnnl_status_t run_step(const cxr_plan *plan, const cxr_program *p, const cxr_step *s, char *const bases[CXR_BASES])
{
    if (s->primitive == NULL) {
        void *x[CXR_STEP_ARGS];
        for (int k = 0; k < s->arg_count; k++) x[k] = address(&plan->buffers[s->args[k].buffer], bases);
        const bool half = s->args[0].md.data_type == dnnl_bf16;
        s->loop(&(cxr_loop_args){p->g, s->node, plan->n, p->o.threads, s->arg_count, half, p->key, p->params, x});
        return dnnl_success;
    }
    dnnl_exec_arg_t args[CXR_STEP_ARGS];
    for (int k = 0; k < s->arg_count; k++) args[k] = (dnnl_exec_arg_t){s->args[k].arg, s->args[k].memory};
    return dnnl_primitive_execute(s->primitive, p->stream, s->arg_count, args);
}

cxr_status cxr_plan_run(cxr_plan *plan, const cxr_program *p, cxr_pass pass, char *const bases[CXR_BASES], cxr_error *err)
{
    const int from = pass == CXR_FORWARD ? 0 : plan->forward_steps;
    const int to = pass == CXR_FORWARD ? plan->forward_steps : plan->step_count;
    char **bound = plan->bound[pass != CXR_FORWARD];
    bool moved[CXR_BASES] = {[CXR_AT_FIXED] = bound[CXR_AT_ARENA] == NULL};
    for (int i = 0; i < CXR_BASES; i++) moved[i] |= bound[i] != bases[i];
    dnnl_status_t st = dnnl_success;
    for (int i = from; i < to; i++) {
        cxr_step *s = &plan->steps[i];
        st = bind(plan, s, moved, bases);
        if (st == dnnl_success) st = run_step(plan, p, s, bases);
        if (st != dnnl_success) return cxr_dnnl_fail(err, st, "running", p->g->nodes[s->node].name);
    }
    st = dnnl_stream_wait(p->stream);
    if (st != dnnl_success) return cxr_dnnl_fail(err, st, "running", p->g->nodes[plan->last].name);
    memcpy(bound, bases, sizeof plan->bound[0]);
    return CXR_OK;
}
