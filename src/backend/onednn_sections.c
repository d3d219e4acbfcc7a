/* Sections of a program. Inference runs the convolutions with small weights on few images at a time, so that what passes between
 * them stays in the caches, and those with large weights on many, so that the weights are read seldom: two sections where the
 * span has both. Training and explaining are one section over the whole batch. All plans share one arena and one set of parameters in the
 * kernels' layouts; a plan that wants a layout not held yet reads it again. */
#include "backend/onednn_plan.h"
#include "base/mem.h"
#include <limits.h>

#define SMALL_WEIGHTS ((size_t)768 << 10) /* bytes in f32: four times as much after Winograd's transform, a share of the L2 */
#define SLICE_BYTES   ((size_t)4 << 20)   /* of a value, for each thread: with others and weights it fits a share of the L3 */
#define MOST_IMAGES   64                  /* a larger slice gains nothing and takes memory */

/* ---- Choice ---- */

static bool has_large_weights(const cxr_graph *g, int node)
{
    const cxr_param *w = cxr_graph_param(g, node, CXR_WEIGHT);
    return g->nodes[node].op == CXR_OP_CONV && w->count * sizeof(float) > SMALL_WEIGHTS;
}

/* The last node before the first convolution with large weights behind which everything reads that node alone; the span's last
 * node when there is none. */
static int cut_of(const cxr_program *p)
{
    int large = p->first, cut = p->last;
    while (large <= p->last && !has_large_weights(p->g, large)) large++;
    if (large > p->last) return cut;
    for (cut = large - 1; cut >= p->first; cut--)
        if (cxr_span_input(p->g, cut + 1, p->last) == cut) return cut;
    return p->last;
}

/* Images of the first section: as many as keep its largest value at SLICE_BYTES a thread. */
static int small_slice(const cxr_program *p, int last)
{
    size_t largest = 1;
    for (int i = p->first; i <= last; i++) {
        const size_t bytes = cxr_shape_count(p->g->nodes[i].shape) * dnnl_data_type_size(p->type);
        if (bytes > largest) largest = bytes;
    }
    const size_t images = SLICE_BYTES * (size_t)p->o.threads / largest;
    return images < 1 ? 1 : images > MOST_IMAGES ? MOST_IMAGES : (int)images;
}

void cxr_sections_choose(cxr_program *p)
{
    p->section_count = 1;
    p->sections[0] = (cxr_section){p->first, p->last, p->input, INT_MAX, NULL, 0};
    if (p->o.mode != CXR_INFER) return;
    const int cut = cut_of(p);
    p->sections[0].slice = has_large_weights(p->g, p->first) ? MOST_IMAGES : small_slice(p, cut);
    p->sections[0].last = cut;
    if (cut < p->last) p->sections[p->section_count++] = (cxr_section){cut + 1, p->last, cut, MOST_IMAGES, NULL, 0};
}

/* ---- Plans ---- */

static cxr_status grow(char **data, size_t *room, size_t bytes, cxr_error *err)
{
    if (bytes <= *room) return CXR_OK;
    char *more = cxr_mem_new_aligned(bytes, 1);
    if (more == NULL) return cxr_mem_fail(err, "a program's activations");
    cxr_mem_free(*data);
    *data = more;
    *room = bytes;
    return CXR_OK;
}

/* Appends a plan for slices of layout in_md. */
static cxr_status make_plan(cxr_program *p, const cxr_section *s, const dnnl_memory_desc_t *in_md, cxr_plan **out,
                            cxr_error *err)
{
    cxr_plan *plan = cxr_mem_new(1, sizeof *plan);
    if (plan == NULL) return cxr_mem_fail(err, "a program's plan");
    *plan = (cxr_plan){.first = s->first, .last = s->last, .input = s->input, .n = (int)in_md->dims[0], .in_md = *in_md};
    cxr_lowering l = {.p = p, .plan = plan, .node = s->first, .err = err};
    switch (p->o.mode) {
    case CXR_INFER: cxr_lower_infer(&l); break;
    case CXR_TRAIN: cxr_lower_train(&l); break;
    case CXR_EXPLAIN: cxr_lower_explain(&l); break;
    }
    cxr_lower_end(&l);
    cxr_status st = l.status;
    if (st == CXR_OK) st = grow(&p->arena, &p->arena_bytes, plan->arena_bytes, err);
    if (st != CXR_OK) {
        cxr_plan_free(plan);
        return st;
    }
    cxr_plan **end = &p->plans;
    while (*end != NULL) end = &(*end)->next;
    *end = *out = plan;
    return CXR_OK;
}

/* The plan for slices of layout in_md, with parameters ready. */
static cxr_status find_plan(cxr_program *p, const cxr_section *s, const dnnl_memory_desc_t *in_md, cxr_plan **out,
                            cxr_error *err)
{
    cxr_status st = CXR_OK;
    *out = p->plans;
    while (*out != NULL && ((*out)->first != s->first || !cxr_md_same(&(*out)->in_md, in_md))) *out = (*out)->next;
    if (*out == NULL) st = make_plan(p, s, in_md, out, err);
    return st == CXR_OK ? cxr_weights_refresh(p, false, err) : st;
}

static int at_most(int n, int limit)
{
    return n < limit ? n : limit;
}

cxr_status cxr_sections_plan(cxr_program *p, const dnnl_memory_desc_t *in_md, cxr_error *err)
{
    const int n = (int)in_md->dims[0];
    cxr_status st = CXR_OK;
    p->out.md = *in_md;
    for (int i = 0; i < p->section_count && st == CXR_OK; i++) {
        const dnnl_memory_desc_t md = cxr_md_images(p->out.md, at_most(n, p->sections[i].slice));
        cxr_plan *plan = NULL;
        st = find_plan(p, &p->sections[i], &md, &plan, err);
        if (st == CXR_OK) p->out.md = cxr_md_images(plan->out.md, n);
    }
    return st;
}

/* ---- Running ---- */

/* Widens a smaller last slice of inference to a full one, where the input has the room: it computes images before it again, or
 * what lies behind it for nothing. A plan of its own would want kernels and often weights of its own, which take longer to
 * make, and memory. */
static void widen(const cxr_program *p, const cxr_section *s, const cxr_tensor *in, int *from, int *n)
{
    const int full = at_most(p->o.max_batch, s->slice);
    if (p->o.mode != CXR_INFER || *n >= full || in->max_batch < full) return;
    *from = in->n > full ? in->n - full : 0;
    *n = full;
}

/* Runs one slice: images from..from + n of `in`. */
static cxr_status run_slice(cxr_program *p, cxr_section *s, const cxr_tensor *in, int from, int n, cxr_tensor *out,
                            cxr_error *err)
{
    widen(p, s, in, &from, &n);
    const dnnl_memory_desc_t md = cxr_md_images(in->md, n);
    cxr_plan *plan = NULL;
    cxr_status st = find_plan(p, s, &md, &plan, err);
    if (st != CXR_OK) return st;
    const cxr_buffer *to = &plan->buffers[plan->out.buffer];
    const size_t each_in = dnnl_memory_desc_get_size(&md) / (size_t)n;
    const size_t each_out = dnnl_memory_desc_get_size(&plan->out.md) / (size_t)n;
    if (to->base == CXR_AT_OUT) st = grow(&s->out, &s->out_bytes, each_out * (size_t)p->o.max_batch, err);
    if (st != CXR_OK) return st;
    char *const bases[CXR_BASES] = {
        [CXR_AT_ARENA] = p->arena,
        [CXR_AT_INPUT] = (char *)in->data + each_in * (size_t)from,
        [CXR_AT_OUT] = s->out == NULL ? NULL : s->out + each_out * (size_t)from,
    };
    p->ran = plan;
    out->md = cxr_md_images(plan->out.md, in->n);
    out->data = to->base == CXR_AT_OUT ? s->out : p->arena + to->offset;
    return cxr_plan_run(plan, p, CXR_FORWARD, bases, err);
}

cxr_status cxr_sections_run(cxr_program *p, const cxr_tensor *in, cxr_error *err)
{
    cxr_tensor now = *in;
    cxr_status st = CXR_OK;
    for (int i = 0; i < p->section_count && st == CXR_OK; i++) {
        cxr_section *s = &p->sections[i];
        cxr_tensor next = now;
        for (int from = 0; from < in->n && st == CXR_OK; from += at_most(in->n - from, s->slice))
            st = run_slice(p, s, &now, from, at_most(in->n - from, s->slice), &next, err);
        now = next;
    }
    p->out.n = in->n;
    p->out.md = now.md;
    p->out.data = now.data;
    if (st != CXR_OK) p->ran = NULL;
    return st;
}

void cxr_sections_free(cxr_program *p)
{
    while (p->plans != NULL) {
        cxr_plan *plan = p->plans;
        p->plans = plan->next;
        cxr_plan_free(plan);
    }
    for (int i = 0; i < p->section_count; i++) cxr_mem_free(p->sections[i].out);
    cxr_mem_free(p->arena);
}
