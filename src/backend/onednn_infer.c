/* Lowers a span for inference: batch norm folded into the convolution before it, add and ReLU done by the convolution as it
 * writes. The add happens in place, over its other operand, when nothing reads that any more. In bf16, convolutions, what they
 * add and max pools are bf16; the average pool and the head behind it, little work, stay f32. */
#include "backend/onednn_plan.h"
#include "base/mem.h"

typedef struct infer {
    cxr_lowering *l;
    const cxr_graph *g;
    cxr_value *values; /* by node */
    int *reads;        /* by node: reads still to come */
} infer;

/* The value of a node, read once more. */
static cxr_value read_value(infer *f, int node)
{
    f->reads[node]--;
    return f->values[node];
}

/* Where a convolution of `src` may add: the other operand itself, or a copy of it when it must survive. */
static cxr_value summand(infer *f, int node, cxr_value src, const dnnl_memory_desc_t *md)
{
    const cxr_value x = read_value(f, node);
    const bool dead = x.buffer >= 0 && x.buffer != src.buffer && f->reads[node] == 0;
    const bool ours = dead && !f->l->plan->buffers[x.buffer].shared;
    return ours && cxr_md_same(&x.md, md) ? x : cxr_lower_copy(f->l, x, md);
}

static cxr_value lower_conv(infer *f, const cxr_fused *group, cxr_value x)
{
    cxr_lowering *l = f->l;
    const bool folded = group->batchnorm >= 0, sum = group->add_input >= 0;
    cxr_desc pd = cxr_kernel_conv(l, &(cxr_conv_want){CXR_FORWARD, x.md, {0}, folded, sum, group->relu, NULL});
    const dnnl_memory_desc_t in = cxr_desc_md(pd, dnnl_query_src_md), out = cxr_desc_md(pd, dnnl_query_dst_md);
    const dnnl_memory_desc_t weights = cxr_desc_md(pd, dnnl_query_weights_md);
    if (pd == NULL) return x;
    x = cxr_lower_as(l, x, &in);
    const cxr_value y = sum ? summand(f, group->add_input, x, &out) : cxr_lower_new(l, out);
    const cxr_value w = cxr_lower_weight(l, group->node, group->batchnorm, &weights);
    cxr_lower_primitive(l, pd);
    cxr_lower_arg(l, DNNL_ARG_SRC, x);
    cxr_lower_arg(l, DNNL_ARG_WEIGHTS, w);
    if (folded) cxr_lower_arg(l, DNNL_ARG_BIAS, cxr_lower_folded_bias(l, group->node, group->batchnorm, &weights));
    cxr_lower_arg(l, DNNL_ARG_DST, y);
    return y;
}

static cxr_value lower_int8(infer *f, const cxr_fused *group)
{
    const cxr_value x = read_value(f, f->g->nodes[group->node].in[0]);
    cxr_value other = {.buffer = -1};
    if (group->add_input >= 0) other = summand(f, group->add_input, x, &f->values[group->add_input].md);
    return cxr_lower_int8(f->l, group, x, other);
}

/* The value of a node, x, in f32. */
static cxr_value as_f32(cxr_lowering *l, int node, cxr_value x)
{
    if (l->p->type == dnnl_u8) return cxr_int8_to_f32(l, node, x);
    const dnnl_memory_desc_t md = cxr_md_typed(x.md, dnnl_f32);
    return cxr_lower_as(l, x, &md);
}

static cxr_value lower_add(infer *f, int node)
{
    cxr_lowering *l = f->l;
    const int *in = f->g->nodes[node].in;
    const cxr_value x = as_f32(l, in[0], read_value(f, in[0])), z = as_f32(l, in[1], read_value(f, in[1]));
    const dnnl_memory_desc_t md = cxr_md_for_add(&x.md);
    const cxr_value a = cxr_lower_as(l, x, &md), b = cxr_lower_as(l, z, &md);
    const cxr_value y = cxr_lower_new(l, md);
    cxr_lower_primitive(l, cxr_kernel_add(l, &md, false));
    cxr_lower_arg(l, DNNL_ARG_SRC_0, a);
    cxr_lower_arg(l, DNNL_ARG_SRC_1, b);
    cxr_lower_arg(l, DNNL_ARG_DST, y);
    return y;
}

/* One input, one output, one primitive without parameters. */
static cxr_value lower_simple(cxr_lowering *l, cxr_desc pd, cxr_value x)
{
    const cxr_value y = cxr_lower_new(l, cxr_desc_md(pd, dnnl_query_dst_md));
    cxr_lower_primitive(l, pd);
    cxr_lower_arg(l, DNNL_ARG_SRC, x);
    cxr_lower_arg(l, DNNL_ARG_DST, y);
    return y;
}

static cxr_value lower_loop(cxr_lowering *l, int node, cxr_loop *loop, cxr_value x)
{
    const dnnl_memory_desc_t plain = cxr_md_plain(l->plan->n, l->p->g->nodes[node].shape);
    const cxr_value y = cxr_lower_new(l, plain);
    if (loop != cxr_loop_normalize) x = cxr_lower_as(l, x, &plain);
    cxr_lower_loop(l, loop);
    cxr_lower_arg(l, 0, x);
    cxr_lower_arg(l, 0, y);
    return y;
}

/* The same buffer under a second name. */
static cxr_value alias(cxr_lowering *l, cxr_value x)
{
    if (x.buffer >= 0) l->plan->buffers[x.buffer].shared = true;
    return x;
}

static int first_input(const cxr_graph *g, const cxr_fused *group)
{
    return g->nodes[group->normalize >= 0 ? group->normalize : group->node].in[0];
}

static cxr_value lower_relu(cxr_lowering *l, cxr_value x)
{
    return lower_simple(l, cxr_kernel_relu(l, &x.md, NULL), x);
}

/* The first convolution, of pixels: on themselves, or on three normalised channels where the library is slow at that. */
static cxr_value lower_first(infer *f, const cxr_fused *group, cxr_value x)
{
    cxr_value y;
    if (cxr_lower_grey(f->l, group, x, &y)) return group->relu ? lower_relu(f->l, y) : y;
    f->l->node = group->normalize;
    x = lower_loop(f->l, group->normalize, cxr_loop_normalize, x);
    f->l->node = group->node;
    return lower_conv(f, group, x);
}

static cxr_value lower_maxpool(cxr_lowering *l, const cxr_fused *group, cxr_value x)
{
    bool relu = group->relu;
    const cxr_value y = lower_simple(l, cxr_kernel_maxpool(l, &x.md, &relu), x);
    return group->relu && !relu ? lower_relu(l, y) : y;
}

static cxr_value lower_group(infer *f, const cxr_fused *group)
{
    cxr_lowering *l = f->l;
    const cxr_op op = f->g->nodes[group->node].op;
    const bool int8 = l->p->type == dnnl_u8;
    if (op == CXR_OP_ADD) return lower_add(f, group->node);
    if (op == CXR_OP_CONV && int8) return lower_int8(f, group);
    cxr_value x = read_value(f, first_input(f->g, group));
    if (group->normalize >= 0) return lower_first(f, group, x);
    if (op == CXR_OP_CONV) return lower_conv(f, group, x);
    if (op == CXR_OP_MAXPOOL) return lower_maxpool(l, group, x);
    if (op == CXR_OP_NORMALIZE && int8) return x; /* the convolution reads the pixels */
    if (op != CXR_OP_NORMALIZE) x = as_f32(l, first_input(f->g, group), x);
    switch (op) {
    case CXR_OP_NORMALIZE: return lower_loop(l, group->node, cxr_loop_normalize, x);
    case CXR_OP_BATCHNORM: return cxr_lower_batchnorm(f->l, group->node, x);
    case CXR_OP_RELU: return lower_relu(l, x);
    case CXR_OP_AVGPOOL: return lower_simple(l, cxr_kernel_pool(l, &x.md, NULL), x);
    case CXR_OP_LINEAR: return cxr_lower_linear(l, group->node, cxr_kernel_linear(l, CXR_FORWARD, &x.md, NULL), x);
    case CXR_OP_DROPOUT: return alias(l, x);
    case CXR_OP_LOGSOFTMAX: return lower_loop(l, group->node, cxr_loop_logsoftmax, x);
    case CXR_OP_INPUT:
    case CXR_OP_CONV:
    case CXR_OP_MAXPOOL:
    case CXR_OP_ADD: break;
    }
    return x;
}

static void count_reads(infer *f, const cxr_fused *groups, int count, int last)
{
    for (int i = 0; i < count; i++) {
        const cxr_node *v = &f->g->nodes[groups[i].node];
        f->reads[first_input(f->g, &groups[i])]++;
        if (v->op == CXR_OP_ADD) f->reads[v->in[1]]++;
        if (groups[i].add_input >= 0) f->reads[groups[i].add_input]++;
    }
    f->reads[last]++;
}

static void lower_groups(infer *f, const cxr_fused *groups, int count)
{
    cxr_lowering *l = f->l;
    count_reads(f, groups, count, l->plan->last);
    f->values[l->plan->input] = cxr_lower_input(l, false);
    for (int i = 0; i < count && l->status == CXR_OK; i++) {
        l->node = groups[i].node;
        cxr_value y = lower_group(f, &groups[i]);
        y.md = cxr_md_simplest(&y.md);
        f->values[groups[i].output] = y;
    }
    cxr_value out = f->values[l->plan->last];
    if (l->plan->last == l->p->last && l->p->type == dnnl_u8) out = cxr_int8_to_f32(l, l->plan->last, out);
    if (l->status == CXR_OK && l->plan->buffers[out.buffer].base != CXR_AT_ARENA) out = cxr_lower_copy(l, out, &out.md);
    l->plan->out = out;
    l->plan->forward_steps = l->plan->step_count;
}

void cxr_lower_infer(cxr_lowering *l)
{
    const cxr_graph *g = l->p->g;
    const size_t nodes = (size_t)l->plan->last + 1;
    cxr_fused *groups = cxr_mem_new(nodes, sizeof *groups);
    infer f = {l, g, cxr_mem_new(nodes, sizeof *f.values), cxr_mem_new(nodes, sizeof *f.reads)};
    if (groups == NULL || f.values == NULL || f.reads == NULL)
        cxr_lower_fail(l, dnnl_out_of_memory, "the plan");
    else {
        const int first = l->plan->first, last = l->plan->last;
        const int count = cxr_graph_fuse(g, first, last, groups); /* 8 bits fold the pixels in their own way */
        lower_groups(&f, groups, l->p->type == dnnl_u8 ? count : cxr_graph_fuse_grey(g, first, last, groups, count));
    }
    cxr_mem_free(groups);
    cxr_mem_free(f.values);
    cxr_mem_free(f.reads);
}
