/* Lowers a span for explaining: what inference computes, batch norm folded into the convolution before it, and behind it the
 * gradient of the output with respect to the span's input, through the same folded weights. No parameter gets a gradient, so
 * that backward reads nothing but the outputs of ReLUs. All is f32. */
#include "backend/onednn_plan.h"
#include "base/mem.h"
#include <math.h>

typedef struct node_state {
    cxr_desc forward;
    cxr_value x, value; /* as the kernel read and wrote it */
    cxr_value gradient, workspace;
} node_state;

typedef struct explain {
    cxr_lowering *l;
    const cxr_graph *g;
    node_state *at; /* by node; of a group's, what its kernel is: at its first */
} explain;

static void arg(explain *e, int name, cxr_value v)
{
    cxr_lower_arg(e->l, name, v);
}

static cxr_value plain(explain *e, int node, cxr_value x)
{
    const dnnl_memory_desc_t md = cxr_md_plain(e->l->plan->n, e->g->nodes[node].shape);
    return cxr_lower_as(e->l, x, &md);
}

/* ---- Forward ---- */

static cxr_value forward_conv(explain *e, const cxr_fused *group, cxr_value x)
{
    cxr_lowering *l = e->l;
    const bool folded = group->batchnorm >= 0, sum = group->add_input >= 0;
    cxr_desc pd = cxr_kernel_conv(l, &(cxr_conv_want){CXR_FORWARD, x.md, {0}, folded, sum, group->relu, NULL});
    const dnnl_memory_desc_t in = cxr_desc_md(pd, dnnl_query_src_md), out = cxr_desc_md(pd, dnnl_query_dst_md);
    const dnnl_memory_desc_t weights = cxr_desc_md(pd, dnnl_query_weights_md);
    if (pd == NULL) return x;
    e->at[group->node].forward = pd;
    x = e->at[group->node].x = cxr_lower_as(l, x, &in);
    const cxr_value y = sum ? cxr_lower_copy(l, e->at[group->add_input].value, &out) : cxr_lower_new(l, out);
    const cxr_value w = cxr_lower_weight(l, group->node, group->batchnorm, &weights);
    cxr_lower_primitive(l, pd);
    arg(e, DNNL_ARG_SRC, x);
    arg(e, DNNL_ARG_WEIGHTS, w);
    if (folded) arg(e, DNNL_ARG_BIAS, cxr_lower_folded_bias(l, group->node, group->batchnorm, &weights));
    arg(e, DNNL_ARG_DST, y);
    return y;
}

static cxr_value add(explain *e, cxr_value a, cxr_value b)
{
    const dnnl_memory_desc_t md = cxr_md_for_add(&a.md);
    const cxr_value x = cxr_lower_as(e->l, a, &md), z = cxr_lower_as(e->l, b, &md), y = cxr_lower_new(e->l, md);
    cxr_lower_primitive(e->l, cxr_kernel_add(e->l, &md, false));
    arg(e, DNNL_ARG_SRC_0, x);
    arg(e, DNNL_ARG_SRC_1, z);
    arg(e, DNNL_ARG_DST, y);
    return y;
}

/* ReLU and the pools: one input, one output, no parameters. */
static cxr_value forward_simple(explain *e, int node, cxr_desc pd, cxr_value x)
{
    node_state *s = &e->at[node];
    const dnnl_memory_desc_t workspace = cxr_desc_md(pd, dnnl_query_workspace_md);
    const cxr_value y = cxr_lower_new(e->l, cxr_desc_md(pd, dnnl_query_dst_md));
    s->forward = pd;
    s->x = x;
    if (workspace.ndims > 0) s->workspace = cxr_lower_new(e->l, workspace);
    cxr_lower_primitive(e->l, pd);
    arg(e, DNNL_ARG_SRC, x);
    arg(e, DNNL_ARG_DST, y);
    if (workspace.ndims > 0) arg(e, DNNL_ARG_WORKSPACE, s->workspace);
    return y;
}

static cxr_value forward_linear(explain *e, int node, cxr_value x)
{
    cxr_desc pd = cxr_kernel_linear(e->l, CXR_FORWARD, &x.md, NULL);
    e->at[node].forward = pd;
    e->at[node].x = x;
    return cxr_lower_linear(e->l, node, pd, x);
}

static cxr_value forward_logsoftmax(explain *e, int node, cxr_value x)
{
    x = plain(e, node, x);
    const cxr_value y = cxr_lower_new(e->l, x.md);
    cxr_lower_loop(e->l, cxr_loop_logsoftmax);
    arg(e, 0, x);
    arg(e, 0, y);
    return y;
}

static cxr_value forward_group(explain *e, const cxr_fused *group)
{
    const cxr_node *v = &e->g->nodes[group->node];
    const cxr_value x = e->at[v->in[0]].value;
    switch (v->op) {
    case CXR_OP_CONV: return forward_conv(e, group, x);
    case CXR_OP_BATCHNORM: return cxr_lower_batchnorm(e->l, group->node, x);
    case CXR_OP_RELU: return forward_simple(e, group->node, cxr_kernel_relu(e->l, &x.md, NULL), x);
    case CXR_OP_ADD: return add(e, x, e->at[v->in[1]].value);
    case CXR_OP_MAXPOOL:
    case CXR_OP_AVGPOOL: return forward_simple(e, group->node, cxr_kernel_pool(e->l, &x.md, NULL), x);
    case CXR_OP_LINEAR: return forward_linear(e, group->node, x);
    case CXR_OP_LOGSOFTMAX: return forward_logsoftmax(e, group->node, x);
    case CXR_OP_DROPOUT:
    case CXR_OP_INPUT:
    case CXR_OP_NORMALIZE: break;
    }
    return x;
}

/* ---- Backward ---- */

static void contribute(explain *e, int node, cxr_value g)
{
    cxr_value *sum = &e->at[node].gradient;
    if (e->l->status == CXR_OK) *sum = sum->buffer < 0 ? g : add(e, *sum, g);
}

static cxr_value backward_conv(explain *e, const cxr_fused *group, cxr_value dy)
{
    const node_state *s = &e->at[group->node];
    const cxr_conv_want want = {.pass = CXR_BACKWARD_DATA, .src = s->x.md, .hint = s->forward};
    if (group->relu) {
        const cxr_value y = e->at[group->output].value;
        dy = cxr_lower_relu_backward(e->l, y, dy, cxr_kernel_relu(e->l, &y.md, NULL));
    }
    if (group->add_input >= 0) contribute(e, group->add_input, dy);
    cxr_desc pd = e->l->status == CXR_OK ? cxr_kernel_conv(e->l, &want) : NULL;
    if (pd == NULL) return dy;
    const dnnl_memory_desc_t out = cxr_desc_md(pd, dnnl_query_diff_dst_md), w = cxr_desc_md(pd, dnnl_query_weights_md);
    const cxr_value g = cxr_lower_as(e->l, dy, &out), dx = cxr_lower_new(e->l, cxr_desc_md(pd, dnnl_query_diff_src_md));
    cxr_lower_primitive(e->l, pd);
    arg(e, DNNL_ARG_DIFF_DST, g);
    arg(e, DNNL_ARG_WEIGHTS, cxr_lower_weight(e->l, group->node, group->batchnorm, &w));
    arg(e, DNNL_ARG_DIFF_SRC, dx);
    return dx;
}

/* dy, gamma, variance, dx; dy and dx plain. */
static void loop_batchnorm(const cxr_loop_args *a)
{
    const cxr_node *v = &a->g->nodes[a->node];
    const float *dy = a->x[0], *gamma = a->x[1], *var = a->x[2];
    float *dx = a->x[3];
    const size_t channels = (size_t)v->shape.c, each = (size_t)v->shape.h * (size_t)v->shape.w;
    for (size_t i = 0; i < (size_t)a->n * channels; i++) {
        const double scale = (double)gamma[i % channels] / sqrt((double)var[i % channels] + (double)v->epsilon);
        for (size_t k = i * each; k < (i + 1) * each; k++) dx[k] = (float)((double)dy[k] * scale);
    }
}

static cxr_value backward_batchnorm(explain *e, int node, cxr_value dy)
{
    const cxr_value g = plain(e, node, dy), dx = cxr_lower_new(e->l, g.md);
    cxr_lower_loop(e->l, loop_batchnorm);
    arg(e, 0, g);
    arg(e, 0, cxr_lower_vector(e->l, node, CXR_BN_WEIGHT));
    arg(e, 0, cxr_lower_vector(e->l, node, CXR_BN_VAR));
    arg(e, 0, dx);
    return dx;
}

static cxr_value backward_pool(explain *e, int node, cxr_value dy)
{
    const node_state *s = &e->at[node];
    cxr_desc pd = cxr_kernel_pool(e->l, &s->x.md, s->forward);
    const dnnl_memory_desc_t out = cxr_desc_md(pd, dnnl_query_diff_dst_md);
    if (pd == NULL) return dy;
    const cxr_value g = cxr_lower_as(e->l, dy, &out), dx = cxr_lower_new(e->l, s->x.md);
    cxr_lower_primitive(e->l, pd);
    arg(e, DNNL_ARG_DIFF_DST, g);
    if (s->workspace.buffer >= 0) arg(e, DNNL_ARG_WORKSPACE, s->workspace);
    arg(e, DNNL_ARG_DIFF_SRC, dx);
    return dx;
}

static cxr_value backward_linear(explain *e, int node, cxr_value dy)
{
    const node_state *s = &e->at[node];
    cxr_desc pd = cxr_kernel_linear(e->l, CXR_BACKWARD_DATA, &s->x.md, s->forward);
    const dnnl_memory_desc_t w = cxr_desc_md(pd, dnnl_query_weights_md);
    cxr_value g = plain(e, node, dy);
    const cxr_value dx = cxr_lower_new(e->l, s->x.md);
    g.md = cxr_desc_md(pd, dnnl_query_diff_dst_md);
    cxr_lower_primitive(e->l, pd);
    arg(e, DNNL_ARG_DIFF_DST, g);
    arg(e, DNNL_ARG_WEIGHTS, cxr_lower_weight(e->l, node, -1, &w));
    arg(e, DNNL_ARG_DIFF_SRC, (cxr_value){cxr_desc_md(pd, dnnl_query_diff_src_md), dx.buffer});
    return dx;
}

static cxr_value backward_logsoftmax(explain *e, int node, cxr_value dy)
{
    const cxr_value g = plain(e, node, dy), y = plain(e, node, e->at[node].value), dx = cxr_lower_new(e->l, g.md);
    cxr_lower_loop(e->l, cxr_loop_logsoftmax_backward);
    arg(e, 0, g);
    arg(e, 0, y);
    arg(e, 0, dx);
    return dx;
}

static void backward_group(explain *e, const cxr_fused *group)
{
    const cxr_node *v = &e->g->nodes[group->node];
    const node_state *s = &e->at[group->node];
    const cxr_value dy = e->at[group->output].gradient;
    if (dy.buffer < 0) return; /* nothing in the span reads it */
    cxr_value dx = dy;
    switch (v->op) {
    case CXR_OP_CONV: dx = backward_conv(e, group, dy); break;
    case CXR_OP_BATCHNORM: dx = backward_batchnorm(e, group->node, dy); break;
    case CXR_OP_RELU: dx = cxr_lower_relu_backward(e->l, s->value, dy, s->forward); break;
    case CXR_OP_ADD: contribute(e, v->in[1], dy); break;
    case CXR_OP_MAXPOOL:
    case CXR_OP_AVGPOOL: dx = backward_pool(e, group->node, dy); break;
    case CXR_OP_LINEAR: dx = backward_linear(e, group->node, dy); break;
    case CXR_OP_LOGSOFTMAX: dx = backward_logsoftmax(e, group->node, dy); break;
    case CXR_OP_DROPOUT:
    case CXR_OP_INPUT:
    case CXR_OP_NORMALIZE: break;
    }
    contribute(e, v->in[0], dx);
}

/* ---- Both ---- */

static void lower_groups(explain *e, const cxr_fused *groups, int count)
{
    cxr_lowering *l = e->l;
    const int input = l->plan->input, last = l->plan->last;
    for (int i = 0; i <= last; i++) e->at[i].gradient.buffer = e->at[i].workspace.buffer = -1;
    e->at[input].value = cxr_lower_input(l, false);
    for (int i = 0; i < count && l->status == CXR_OK; i++) {
        l->node = groups[i].node;
        cxr_value y = forward_group(e, &groups[i]);
        y.md = cxr_md_simplest(&y.md);
        e->at[groups[i].output].value = y;
    }
    cxr_value out = e->at[last].value;
    if (l->status == CXR_OK && l->plan->buffers[out.buffer].base != CXR_AT_ARENA) out = cxr_lower_copy(l, out, &out.md);
    l->plan->out = out;
    l->plan->forward_steps = l->plan->step_count;
    e->at[last].gradient = cxr_lower_at(l, CXR_AT_DOUT, 0, cxr_md_plain(l->plan->n, e->g->nodes[last].shape));
    for (int i = count - 1; i >= 0 && l->status == CXR_OK; i--) {
        l->node = groups[i].node;
        backward_group(e, &groups[i]);
    }
    const dnnl_memory_desc_t md = cxr_md_plain(l->plan->n, e->g->nodes[input].shape);
    if (l->status == CXR_OK) cxr_lower_copy_to(l, e->at[input].gradient, cxr_lower_at(l, CXR_AT_GRADS, 0, md));
}

void cxr_lower_explain(cxr_lowering *l)
{
    const size_t nodes = (size_t)l->plan->last + 1;
    cxr_fused *groups = cxr_mem_new(nodes, sizeof *groups);
    explain e = {l, l->p->g, cxr_mem_new(nodes, sizeof *e.at)};
    if (groups == NULL || e.at == NULL)
        cxr_lower_fail(l, dnnl_out_of_memory, "the plan");
    else
        lower_groups(&e, groups, cxr_graph_fuse(e.g, l->plan->first, l->plan->last, groups));
    cxr_mem_free(groups);
    cxr_mem_free(e.at);
}
