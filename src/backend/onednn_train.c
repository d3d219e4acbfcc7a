/* Lowers a span for training: forward keeps what backward reads, and the plan's lifetimes free the rest. Batch norm does the
 * add and the ReLU behind it when it is read by nothing else. A node's gradient exists only where something learnable lies at
 * or before the node, inside the span. In bf16, activations and their gradients are bf16 from the first convolution to the
 * average pool; sums over them, statistics, the gradients of parameters and the head are f32. */
#include "backend/onednn_plan.h"
#include "base/mem.h"

typedef struct node_state {
    int output; /* the node whose value the kernel writes: this one or the last it does; 0: done by an earlier node */
    int added;  /* the other operand of the add that this batch norm does; -1: none */
    bool relu, winograd;
    cxr_desc forward;
    cxr_value x; /* as the kernel read it */
    cxr_value value;
    cxr_value gradient, more; /* the sum of both, from as many readers of the node */
    cxr_value workspace, mean, variance, mask;
    bool needs; /* has a gradient */
} node_state;

typedef struct train {
    cxr_lowering *l;
    const cxr_graph *g;
    node_state *at; /* by node */
} train;

static void arg(train *t, int name, cxr_value v)
{
    cxr_lower_arg(t->l, name, v);
}

static cxr_shape shape_of(const train *t, int node)
{
    return t->g->nodes[node].shape;
}

static cxr_value as_f32(train *t, cxr_value x)
{
    const dnnl_memory_desc_t md = cxr_md_typed(x.md, dnnl_f32);
    return cxr_lower_as(t->l, x, &md);
}

/* ---- Forward ---- */

/* A step of our own Winograd kernels, which read the weights as they lie, and its scratch memory; arguments follow. */
static void winograd_step(train *t, int node, cxr_winograd_pass pass)
{
    static cxr_loop *const loops[] = {cxr_loop_winograd, cxr_loop_winograd_data, cxr_loop_winograd_weights};
    const cxr_winograd c = cxr_winograd_of(t->g, node, t->l->plan->n, t->l->p->o.threads);
    const dnnl_dim_t floats = (dnnl_dim_t)cxr_winograd_scratch(&c, pass);
    cxr_lower_loop(t->l, loops[pass]);
    arg(t, 0, cxr_lower_new(t->l, cxr_md_of(1, &floats, true)));
}

static bool by_winograd(const train *t, int node)
{
    const cxr_node *v = &t->g->nodes[node];
    const cxr_winograd c = cxr_winograd_of(t->g, node, t->l->plan->n, t->l->p->o.threads);
    return t->l->p->type == dnnl_f32 && v->kernel == 3 && v->stride == 1 && v->pad == 1 && cxr_winograd_pays(&c);
}

static cxr_value forward_winograd(train *t, int node, cxr_value x)
{
    node_state *s = &t->at[node];
    const dnnl_memory_desc_t in = cxr_md_blocked(t->l->plan->n, cxr_graph_in_shape(t->g, node));
    s->winograd = true;
    s->x = cxr_lower_as(t->l, x, &in);
    const cxr_value y = cxr_lower_new(t->l, cxr_md_blocked(t->l->plan->n, shape_of(t, node)));
    winograd_step(t, node, CXR_WINOGRAD_FORWARD);
    arg(t, 0, s->x);
    arg(t, 0, y);
    return y;
}

static cxr_value forward_conv(train *t, int node, cxr_value x)
{
    if (by_winograd(t, node)) return forward_winograd(t, node, x);
    node_state *s = &t->at[node];
    s->forward = cxr_kernel_conv(t->l, &(cxr_conv_want){.pass = CXR_FORWARD, .src = x.md});
    const dnnl_memory_desc_t in = cxr_desc_md(s->forward, dnnl_query_src_md);
    const dnnl_memory_desc_t weights = cxr_desc_md(s->forward, dnnl_query_weights_md);
    s->x = cxr_lower_as(t->l, x, &in);
    const cxr_value y = cxr_lower_new(t->l, cxr_desc_md(s->forward, dnnl_query_dst_md));
    cxr_lower_primitive(t->l, s->forward);
    arg(t, DNNL_ARG_SRC, s->x);
    arg(t, DNNL_ARG_WEIGHTS, cxr_lower_weight(t->l, node, -1, &weights));
    arg(t, DNNL_ARG_DST, y);
    return y;
}

static cxr_value forward_batchnorm(train *t, int node, cxr_value x)
{
    node_state *s = &t->at[node];
    const dnnl_dim_t channels = shape_of(t, node).c;
    const dnnl_memory_desc_t blocked = cxr_md_blocked(t->l->plan->n, shape_of(t, node));
    const dnnl_memory_desc_t vector = cxr_md_of(1, &channels, true), md = cxr_md_typed(blocked, x.md.data_type);
    const cxr_value other = s->added >= 0 ? cxr_lower_as(t->l, t->at[s->added].value, &md) : (cxr_value){md, -1};
    s->x = cxr_lower_as(t->l, x, &md);
    s->mean = cxr_lower_new(t->l, vector);
    s->variance = cxr_lower_new(t->l, vector);
    const cxr_value y = cxr_lower_new(t->l, md);
    cxr_lower_loop(t->l, s->relu ? cxr_loop_batchnorm_relu : cxr_loop_batchnorm);
    arg(t, 0, s->x);
    arg(t, 0, cxr_lower_vector(t->l, node, CXR_BN_WEIGHT));
    arg(t, 0, cxr_lower_vector(t->l, node, CXR_BN_BIAS));
    arg(t, 0, s->mean);
    arg(t, 0, s->variance);
    arg(t, 0, y);
    if (s->added >= 0) arg(t, 0, other);
    cxr_lower_loop(t->l, cxr_loop_running);
    arg(t, 0, s->mean);
    arg(t, 0, s->variance);
    return y;
}

static cxr_value forward_relu(train *t, int node, cxr_value x)
{
    t->at[node].forward = cxr_kernel_relu(t->l, &x.md, NULL);
    const cxr_value y = cxr_lower_new(t->l, x.md);
    cxr_lower_primitive(t->l, t->at[node].forward);
    arg(t, DNNL_ARG_SRC, x);
    arg(t, DNNL_ARG_DST, y);
    return y;
}

static cxr_value forward_add(train *t, int node, cxr_value a)
{
    node_state *s = &t->at[node];
    const dnnl_memory_desc_t md = cxr_md_for_add(&a.md);
    const cxr_value x = cxr_lower_as(t->l, a, &md), b = cxr_lower_as(t->l, t->at[t->g->nodes[node].in[1]].value, &md);
    const cxr_value y = cxr_lower_new(t->l, md);
    if (s->relu) s->forward = cxr_kernel_relu(t->l, &md, NULL); /* backward's hint */
    cxr_lower_primitive(t->l, cxr_kernel_add(t->l, &md, s->relu));
    arg(t, DNNL_ARG_SRC_0, x);
    arg(t, DNNL_ARG_SRC_1, b);
    arg(t, DNNL_ARG_DST, y);
    return y;
}

static cxr_value forward_pool(train *t, int node, cxr_value x)
{
    node_state *s = &t->at[node];
    s->x = x = t->g->nodes[node].op == CXR_OP_AVGPOOL ? as_f32(t, x) : x;
    s->forward = cxr_kernel_pool(t->l, &x.md, NULL);
    const cxr_value y = cxr_lower_new(t->l, cxr_desc_md(s->forward, dnnl_query_dst_md));
    const dnnl_memory_desc_t workspace = cxr_desc_md(s->forward, dnnl_query_workspace_md);
    if (workspace.ndims > 0) s->workspace = cxr_lower_new(t->l, workspace);
    cxr_lower_primitive(t->l, s->forward);
    arg(t, DNNL_ARG_SRC, x);
    arg(t, DNNL_ARG_DST, y);
    if (workspace.ndims > 0) arg(t, DNNL_ARG_WORKSPACE, s->workspace);
    return y;
}

static cxr_value forward_linear(train *t, int node, cxr_value x)
{
    node_state *s = &t->at[node];
    x = as_f32(t, x);
    s->forward = cxr_kernel_linear(t->l, CXR_FORWARD, &x.md, NULL);
    s->x = (cxr_value){cxr_desc_md(s->forward, dnnl_query_src_md), x.buffer};
    const cxr_value y = cxr_lower_new(t->l, cxr_md_plain(t->l->plan->n, shape_of(t, node)));
    const dnnl_memory_desc_t weights = cxr_desc_md(s->forward, dnnl_query_weights_md);
    cxr_lower_primitive(t->l, s->forward);
    arg(t, DNNL_ARG_SRC, s->x);
    arg(t, DNNL_ARG_WEIGHTS, cxr_lower_weight(t->l, node, -1, &weights));
    arg(t, DNNL_ARG_BIAS, cxr_lower_vector(t->l, node, CXR_BIAS));
    arg(t, DNNL_ARG_DST, (cxr_value){cxr_desc_md(s->forward, dnnl_query_dst_md), y.buffer});
    return y;
}

static cxr_value forward_loop(train *t, int node, cxr_loop *loop, cxr_value x)
{
    node_state *s = &t->at[node];
    const dnnl_memory_desc_t plain = cxr_md_plain(t->l->plan->n, shape_of(t, node));
    const cxr_value y = cxr_lower_new(t->l, plain);
    if (loop != cxr_loop_normalize) x = cxr_lower_as(t->l, x, &plain);
    if (loop == cxr_loop_dropout) s->mask = cxr_lower_new(t->l, plain);
    cxr_lower_loop(t->l, loop);
    arg(t, 0, x);
    arg(t, 0, y);
    if (loop == cxr_loop_dropout) arg(t, 0, s->mask);
    return y;
}

static cxr_value forward_node(train *t, int node)
{
    const cxr_value x = t->at[t->g->nodes[node].in[0]].value;
    switch (t->g->nodes[node].op) {
    case CXR_OP_NORMALIZE: return forward_loop(t, node, cxr_loop_normalize, x);
    case CXR_OP_CONV: return forward_conv(t, node, x);
    case CXR_OP_BATCHNORM: return forward_batchnorm(t, node, x);
    case CXR_OP_RELU: return forward_relu(t, node, x);
    case CXR_OP_ADD: return forward_add(t, node, x);
    case CXR_OP_MAXPOOL:
    case CXR_OP_AVGPOOL: return forward_pool(t, node, x);
    case CXR_OP_LINEAR: return forward_linear(t, node, x);
    case CXR_OP_DROPOUT: return forward_loop(t, node, cxr_loop_dropout, x);
    case CXR_OP_LOGSOFTMAX: return forward_loop(t, node, cxr_loop_logsoftmax, x);
    case CXR_OP_INPUT: break;
    }
    return x;
}

/* ---- Backward ---- */

/* a + b, over one of them that nothing else reads. */
static cxr_value sum(train *t, cxr_value a, cxr_value b)
{
    const dnnl_memory_desc_t md = cxr_md_for_add(&b.md);
    const cxr_value x = cxr_lower_as(t->l, b, &md), other = cxr_lower_as(t->l, a, &md);
    if (t->l->status != CXR_OK) return x;
    const cxr_value y = t->l->plan->buffers[x.buffer].shared ? cxr_lower_new(t->l, md) : x;
    cxr_lower_primitive(t->l, cxr_kernel_add(t->l, &md, false));
    arg(t, DNNL_ARG_SRC_0, x);
    arg(t, DNNL_ARG_SRC_1, other);
    arg(t, DNNL_ARG_DST, y);
    return y;
}

/* Adds g to the gradient of a node: two parts are kept apart, because a ReLU adds them as it reads them. */
static void contribute(train *t, int node, cxr_value g)
{
    node_state *s = &t->at[node];
    if (!s->needs || t->l->status != CXR_OK) return;
    if (s->gradient.buffer < 0) {
        s->gradient = g;
        return;
    }
    if (s->more.buffer >= 0) s->gradient = sum(t, s->gradient, s->more);
    s->more = g;
}

static cxr_value gradient_at(train *t, int node)
{
    const node_state *s = &t->at[node];
    return s->more.buffer < 0 ? s->gradient : sum(t, s->gradient, s->more);
}

/* Where the caller wants the gradient of a parameter, in canonical layout with the rank of md. */
static cxr_value gradient_of(train *t, int node, cxr_role role, const dnnl_memory_desc_t *md)
{
    const size_t offset = cxr_graph_param(t->g, node, role)->offset * sizeof(float);
    return cxr_lower_at(t->l, CXR_AT_GRADS, offset, cxr_md_of(md->ndims, md->dims, true));
}

static void add_gradient_vector(train *t, int node, cxr_role role, cxr_value x)
{
    cxr_lower_loop(t->l, cxr_loop_add_vector);
    arg(t, 0, x);
    arg(t, 0, gradient_of(t, node, role, &x.md));
}

static void backward_conv_weights(train *t, int node, cxr_value dy)
{
    const node_state *s = &t->at[node];
    cxr_desc pd = cxr_kernel_conv(t->l, &(cxr_conv_want){.pass = CXR_BACKWARD_WEIGHTS, .src = s->x.md, .hint = s->forward});
    const dnnl_memory_desc_t in = cxr_desc_md(pd, dnnl_query_src_md), out = cxr_desc_md(pd, dnnl_query_diff_dst_md);
    if (pd == NULL) return;
    const cxr_value x = cxr_lower_as(t->l, s->x, &in), g = cxr_lower_as(t->l, dy, &out);
    const cxr_value dw = cxr_lower_new(t->l, cxr_desc_md(pd, dnnl_query_diff_weights_md));
    cxr_lower_primitive(t->l, pd);
    arg(t, DNNL_ARG_SRC, x);
    arg(t, DNNL_ARG_DIFF_DST, g);
    arg(t, DNNL_ARG_DIFF_WEIGHTS, dw);
    cxr_lower_add_to(t->l, dw, gradient_of(t, node, CXR_WEIGHT, &dw.md));
}

static void backward_winograd(train *t, int node, cxr_value dy)
{
    const node_state *s = &t->at[node];
    const int input = t->g->nodes[node].in[0];
    const dnnl_dims_t dims = {shape_of(t, node).c, s->x.md.dims[1], 3, 3};
    const dnnl_memory_desc_t out = cxr_md_blocked(t->l->plan->n, shape_of(t, node)), weights = cxr_md_of(4, dims, true);
    const cxr_value g = cxr_lower_as(t->l, dy, &out);
    winograd_step(t, node, CXR_WINOGRAD_WEIGHTS);
    arg(t, 0, s->x);
    arg(t, 0, g);
    arg(t, 0, gradient_of(t, node, CXR_WEIGHT, &weights));
    if (!t->at[input].needs) return;
    const cxr_value dx = cxr_lower_new(t->l, s->x.md);
    winograd_step(t, node, CXR_WINOGRAD_DATA);
    arg(t, 0, g);
    arg(t, 0, dx);
    contribute(t, input, dx);
}

static void backward_conv(train *t, int node, cxr_value dy)
{
    const node_state *s = &t->at[node];
    const int input = t->g->nodes[node].in[0];
    if (s->winograd) {
        backward_winograd(t, node, dy);
        return;
    }
    backward_conv_weights(t, node, dy);
    if (!t->at[input].needs || t->l->status != CXR_OK) return;
    const dnnl_memory_desc_t like = s->x.md;
    cxr_desc pd = cxr_kernel_conv(t->l, &(cxr_conv_want){.pass = CXR_BACKWARD_DATA, .src = like, .hint = s->forward});
    const dnnl_memory_desc_t out = cxr_desc_md(pd, dnnl_query_diff_dst_md), w = cxr_desc_md(pd, dnnl_query_weights_md);
    if (pd == NULL) return;
    const cxr_value g = cxr_lower_as(t->l, dy, &out);
    const cxr_value dx = cxr_lower_new(t->l, cxr_desc_md(pd, dnnl_query_diff_src_md));
    cxr_lower_primitive(t->l, pd);
    arg(t, DNNL_ARG_DIFF_DST, g);
    arg(t, DNNL_ARG_WEIGHTS, cxr_lower_weight(t->l, node, -1, &w));
    arg(t, DNNL_ARG_DIFF_SRC, dx);
    contribute(t, input, dx);
}

/* The gradient before the ReLU of an add, whose output is `node`. */
static cxr_value through_relu_of_add(train *t, int node)
{
    const node_state *s = &t->at[node];
    const cxr_value y = s->value, a = cxr_lower_as(t->l, s->gradient, &y.md);
    const cxr_value b = s->more.buffer < 0 ? a : cxr_lower_as(t->l, s->more, &y.md);
    if (t->l->status != CXR_OK) return a;
    const cxr_buffer *buffers = t->l->plan->buffers;
    const cxr_value dx = !buffers[a.buffer].shared ? a : !buffers[b.buffer].shared ? b : cxr_lower_new(t->l, y.md);
    cxr_lower_loop(t->l, cxr_loop_relu_sum_backward);
    arg(t, 0, dx);
    arg(t, 0, y);
    arg(t, 0, a);
    if (s->more.buffer >= 0) arg(t, 0, b);
    return dx;
}

/* The gradient of a batch norm's own output: of the add and ReLU that it does, where it does an add; the ReLU's otherwise. */
static cxr_value behind_batchnorm(train *t, int node)
{
    const node_state *s = &t->at[node];
    if (s->added < 0) return gradient_at(t, s->output);
    const cxr_value g = s->relu ? through_relu_of_add(t, s->output) : gradient_at(t, s->output);
    if (t->l->status != CXR_OK) return g;
    t->l->plan->buffers[g.buffer].shared = true;
    contribute(t, s->added, g);
    return g;
}

static void backward_batchnorm(train *t, int node)
{
    const node_state *s = &t->at[node];
    const cxr_value dy = behind_batchnorm(t, node), g = cxr_lower_as(t->l, dy, &s->x.md);
    const cxr_value scale = cxr_lower_vector(t->l, node, CXR_BN_WEIGHT);
    if (t->l->status != CXR_OK) return;
    const cxr_value dx = t->l->plan->buffers[g.buffer].shared ? cxr_lower_new(t->l, s->x.md) : g;
    const bool relu = s->relu && s->added < 0;
    cxr_lower_loop(t->l, relu ? cxr_loop_batchnorm_relu_backward : cxr_loop_batchnorm_backward);
    arg(t, 0, g);
    arg(t, 0, s->x);
    arg(t, 0, scale);
    arg(t, 0, cxr_lower_vector(t->l, node, CXR_BN_BIAS));
    arg(t, 0, s->mean);
    arg(t, 0, s->variance);
    arg(t, 0, dx);
    arg(t, 0, gradient_of(t, node, CXR_BN_WEIGHT, &scale.md));
    arg(t, 0, gradient_of(t, node, CXR_BN_BIAS, &scale.md));
    contribute(t, t->g->nodes[node].in[0], dx);
}

static void backward_add(train *t, int node, cxr_value dy)
{
    const node_state *s = &t->at[node];
    const cxr_value g = s->relu ? cxr_lower_relu_backward(t->l, t->at[s->output].value, dy, s->forward) : dy;
    if (t->l->status != CXR_OK) return;
    t->l->plan->buffers[g.buffer].shared = true;
    contribute(t, t->g->nodes[node].in[0], g);
    contribute(t, t->g->nodes[node].in[1], g);
}

static void backward_pool(train *t, int node, cxr_value dy)
{
    const node_state *s = &t->at[node];
    cxr_desc pd = cxr_kernel_pool(t->l, &s->x.md, s->forward);
    const dnnl_memory_desc_t out = cxr_desc_md(pd, dnnl_query_diff_dst_md);
    if (pd == NULL) return;
    const cxr_value g = cxr_lower_as(t->l, dy, &out), dx = cxr_lower_new(t->l, s->x.md);
    cxr_lower_primitive(t->l, pd);
    arg(t, DNNL_ARG_DIFF_DST, g);
    if (s->workspace.buffer >= 0) arg(t, DNNL_ARG_WORKSPACE, s->workspace);
    arg(t, DNNL_ARG_DIFF_SRC, dx);
    contribute(t, t->g->nodes[node].in[0], dx);
}

static void backward_linear(train *t, int node, cxr_value dy)
{
    const node_state *s = &t->at[node];
    const int input = t->g->nodes[node].in[0];
    cxr_desc pd = cxr_kernel_linear(t->l, CXR_BACKWARD_WEIGHTS, &s->x.md, s->forward);
    const dnnl_memory_desc_t plain = cxr_md_plain(t->l->plan->n, shape_of(t, node));
    cxr_value g = cxr_lower_as(t->l, dy, &plain);
    g.md = cxr_desc_md(pd, dnnl_query_diff_dst_md);
    const cxr_value dw = cxr_lower_new(t->l, cxr_desc_md(pd, dnnl_query_diff_weights_md));
    const cxr_value bias = cxr_lower_vector(t->l, node, CXR_BIAS), db = cxr_lower_new(t->l, bias.md);
    cxr_lower_primitive(t->l, pd);
    arg(t, DNNL_ARG_SRC, s->x);
    arg(t, DNNL_ARG_DIFF_DST, g);
    arg(t, DNNL_ARG_DIFF_WEIGHTS, dw);
    arg(t, DNNL_ARG_DIFF_BIAS, db);
    cxr_lower_add_to(t->l, dw, gradient_of(t, node, CXR_WEIGHT, &dw.md));
    add_gradient_vector(t, node, CXR_BIAS, db);
    if (!t->at[input].needs) return;
    pd = cxr_kernel_linear(t->l, CXR_BACKWARD_DATA, &s->x.md, s->forward);
    const dnnl_memory_desc_t w = cxr_desc_md(pd, dnnl_query_weights_md);
    const cxr_value dx = cxr_lower_new(t->l, t->at[input].value.md);
    cxr_lower_primitive(t->l, pd);
    arg(t, DNNL_ARG_DIFF_DST, g);
    arg(t, DNNL_ARG_WEIGHTS, cxr_lower_weight(t->l, node, -1, &w));
    arg(t, DNNL_ARG_DIFF_SRC, (cxr_value){cxr_desc_md(pd, dnnl_query_diff_src_md), dx.buffer});
    contribute(t, input, dx);
}

static void backward_loop(train *t, int node, cxr_loop *loop, cxr_value with, cxr_value dy)
{
    const dnnl_memory_desc_t plain = cxr_md_plain(t->l->plan->n, shape_of(t, node));
    const cxr_value g = cxr_lower_as(t->l, dy, &plain), dx = cxr_lower_new(t->l, plain);
    cxr_lower_loop(t->l, loop);
    arg(t, 0, g);
    arg(t, 0, with);
    arg(t, 0, dx);
    contribute(t, t->g->nodes[node].in[0], dx);
}

static void backward_node(train *t, int node)
{
    const node_state *s = &t->at[node];
    if (s->output == 0 || !t->at[s->output].needs) return;
    if (t->at[s->output].gradient.buffer < 0) return; /* nothing in the span reads it */
    if (t->g->nodes[node].op == CXR_OP_BATCHNORM) {
        backward_batchnorm(t, node);
        return;
    }
    const cxr_value dy = gradient_at(t, s->output);
    switch (t->g->nodes[node].op) {
    case CXR_OP_CONV: backward_conv(t, node, dy); return;
    case CXR_OP_RELU: contribute(t, t->g->nodes[node].in[0], cxr_lower_relu_backward(t->l, s->value, dy, s->forward)); return;
    case CXR_OP_ADD: backward_add(t, node, dy); return;
    case CXR_OP_MAXPOOL:
    case CXR_OP_AVGPOOL: backward_pool(t, node, dy); return;
    case CXR_OP_LINEAR: backward_linear(t, node, dy); return;
    case CXR_OP_DROPOUT: backward_loop(t, node, cxr_loop_dropout_backward, s->mask, dy); return;
    case CXR_OP_LOGSOFTMAX: backward_loop(t, node, cxr_loop_logsoftmax_backward, s->value, dy); return;
    case CXR_OP_BATCHNORM:
    case CXR_OP_INPUT:
    case CXR_OP_NORMALIZE: return;
    }
}

/* ---- Both ---- */

/* True when the next node is of kind `op`, reads this one once, and nothing else does. */
static bool only_feeds(const train *t, int node, cxr_op op)
{
    const int next = node + 1, last = t->l->p->last;
    if (next > last || t->g->nodes[next].op != op || cxr_graph_uses(t->g, node, next, last) != 1) return false;
    return t->g->nodes[next].in[0] == node || t->g->nodes[next].in[1] == node;
}

/* Finds what the kernel of a node does beside it. Returns the last node it does. */
static int take_followers(train *t, int node)
{
    node_state *s = &t->at[node];
    const cxr_op op = t->g->nodes[node].op;
    s->output = node;
    s->added = -1;
    if (op == CXR_OP_BATCHNORM && only_feeds(t, node, CXR_OP_ADD)) {
        const int *in = t->g->nodes[++s->output].in;
        s->added = in[0] == node ? in[1] : in[0];
    }
    s->relu = (op == CXR_OP_BATCHNORM || op == CXR_OP_ADD) && only_feeds(t, s->output, CXR_OP_RELU);
    if (s->relu) s->output++;
    return s->output;
}

static void prepare(train *t)
{
    const cxr_program *p = t->l->p;
    for (int i = 0; i <= p->last; i++) {
        node_state *s = &t->at[i];
        s->value.buffer = s->gradient.buffer = s->more.buffer = s->workspace.buffer = -1;
        if (i < p->first) continue;
        const int *in = t->g->nodes[i].in;
        s->needs = t->g->nodes[i].param_count > 0 || (in[0] >= 0 && t->at[in[0]].needs) || (in[1] >= 0 && t->at[in[1]].needs);
    }
}

static void lower_train(train *t)
{
    cxr_lowering *l = t->l;
    const cxr_program *p = l->p;
    prepare(t);
    t->at[p->input].value = cxr_lower_input(l, true);
    for (int i = p->first; i <= p->last && l->status == CXR_OK; i++) {
        l->node = i;
        const int output = take_followers(t, i);
        cxr_value y = forward_node(t, i);
        y.md = cxr_md_simplest(&y.md);
        t->at[output].value = y;
        i = output;
    }
    l->plan->forward_steps = l->plan->step_count;
    l->plan->out = t->at[p->last].value;
    t->at[p->last].gradient = cxr_lower_at(l, CXR_AT_DOUT, 0, cxr_md_plain(l->plan->n, shape_of(t, p->last)));
    for (int i = p->last; i >= p->first && l->status == CXR_OK; i--) {
        l->node = i;
        backward_node(t, i);
    }
}

void cxr_lower_train(cxr_lowering *l)
{
    train t = {l, l->p->g, cxr_mem_new((size_t)l->p->last + 1, sizeof(node_state))};
    if (t.at == NULL)
        cxr_lower_fail(l, dnnl_out_of_memory, "the plan");
    else
        lower_train(&t);
    cxr_mem_free(t.at);
}
