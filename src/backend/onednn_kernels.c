/* Which oneDNN kernel runs what. Channels stay in blocks of 16 (8 before AVX-512) from the first convolution to the last
 * pooling: the library's own choice for strided convolutions is channels-last, whose sums would push the others away from
 * Winograd. Reference implementations, which the library offers for combinations it has no fast kernel for, are 40 times
 * slower and taken only when nothing else exists.
 *
 * Winograd's weights are up to four times the size, and laid out for one batch size: it is used where a batch has enough tiles
 * to pay for reading them. One image alone spends its time on reading weights, at which the library's channels-last kernels are
 * faster. A smaller batch than the program's own shares its weights or goes without both. */
#include "backend/onednn_choice.h"
#include <string.h>

static const cxr_node *node_of(const cxr_lowering *l)
{
    return &l->p->g->nodes[l->node];
}

static cxr_shape in_shape(const cxr_lowering *l)
{
    return cxr_graph_in_shape(l->p->g, l->node);
}

/* conv or linear: sum, then ReLU. NULL when there is neither, or on failure. */
static dnnl_post_ops_t post_ops(cxr_lowering *l, bool sum, bool relu)
{
    dnnl_post_ops_t post = NULL;
    if (!sum && !relu) return NULL;
    dnnl_status_t st = dnnl_post_ops_create(&post);
    if (st == dnnl_success && sum) st = dnnl_post_ops_append_sum(post, 1.0f);
    if (st == dnnl_success && relu) st = dnnl_post_ops_append_eltwise(post, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
    cxr_lower_fail(l, st, "the choice of a kernel");
    return post;
}

/* ---- Convolution ---- */

typedef struct conv_try {
    dnnl_alg_kind_t alg;
    dnnl_memory_desc_t src, dst; /* or their gradients */
    bool left_out;               /* by the rule */
    bool shares;                 /* only with weights of a layout that is there already, or in the program's first plan */
} conv_try;

static dnnl_status_t conv_describe(dnnl_convolution_desc_t *d, const cxr_lowering *l, const cxr_conv_want *want,
                                   const conv_try *t)
{
    const cxr_node *v = node_of(l);
    const dnnl_dim_t wide[4] = {v->shape.c, t->src.dims[1], v->kernel, v->kernel};
    const dnnl_data_type_t type = want->pass == CXR_BACKWARD_WEIGHTS ? dnnl_f32 : l->p->type; /* gradients add up in f32 */
    const dnnl_memory_desc_t w = cxr_md_typed(cxr_md_of(4, wide, false), type), b = cxr_md_of(1, wide, false);
    const dnnl_dims_t stride = {v->stride, v->stride}, pad = {v->pad, v->pad};
    const dnnl_prop_kind_t kind = l->p->o.mode == CXR_INFER ? dnnl_forward_inference : dnnl_forward_training;
    switch (want->pass) {
    case CXR_FORWARD:
        return dnnl_convolution_forward_desc_init(d, kind, t->alg, &t->src, &w, want->bias ? &b : NULL, &t->dst, stride, pad,
                                                  pad);
    case CXR_BACKWARD_DATA: return dnnl_convolution_backward_data_desc_init(d, t->alg, &t->src, &w, &t->dst, stride, pad, pad);
    case CXR_BACKWARD_WEIGHTS:
        return dnnl_convolution_backward_weights_desc_init(d, t->alg, &t->src, &w, NULL, &t->dst, stride, pad, pad);
    }
    return dnnl_invalid_arguments;
}

#define WINOGRAD_TILES 32

static bool winograd_pays(const cxr_lowering *l)
{
    const cxr_shape s = node_of(l)->shape;
    return !l->p->o.compact && (int64_t)l->plan->n * ((s.h + 3) / 4) * ((s.w + 3) / 4) >= WINOGRAD_TILES;
}

static bool image_alone(const cxr_lowering *l)
{
    return l->p->o.mode == CXR_INFER && l->p->type == dnnl_f32 && l->plan->n == 1 && in_shape(l).c >= cxr_lanes();
}

/* Whether the kernel would need another copy of weights than those of the section's first plan, which is for full batches. */
static bool copies_weights(const cxr_lowering *l, cxr_desc pd)
{
    const dnnl_memory_desc_t md = cxr_desc_md(pd, dnnl_query_weights_md);
    return !cxr_plan_is_full(l) && !cxr_weight_held(l->p, l->node, &md);
}

#define CONV_TRIES 5

/* In the order of the fixed rule. */
static void list_tries(conv_try tries[CONV_TRIES], const cxr_lowering *l, const cxr_conv_want *want)
{
    const int n = l->plan->n;
    const dnnl_data_type_t type = l->p->type;
    const dnnl_memory_desc_t any_in = cxr_md_typed(cxr_md_any(n, in_shape(l)), type);
    const dnnl_memory_desc_t any_out = cxr_md_typed(cxr_md_any(n, node_of(l)->shape), type);
    const dnnl_memory_desc_t in = cxr_md_typed(cxr_md_blocked(n, in_shape(l)), type);
    const dnnl_memory_desc_t out = cxr_md_typed(cxr_md_blocked(n, node_of(l)->shape), type);
    const bool shares = want->pass != CXR_BACKWARD_WEIGHTS;
    /* 3 x 3, stride 1, AVX-512 only; never chosen unless asked for */
    tries[0] = (conv_try){dnnl_convolution_winograd, any_in, any_out, !winograd_pays(l), shares};
    tries[1] = (conv_try){dnnl_convolution_direct, any_in, any_out, !image_alone(l), shares};
    tries[2] = (conv_try){dnnl_convolution_direct, cxr_md_typed(want->src, type), out, want->src.ndims == 0, false};
    tries[3] = (conv_try){dnnl_convolution_direct, in, out, false, false};
    tries[4] = (conv_try){dnnl_convolution_auto, any_in, any_out, false, false};
}

static cxr_desc try_conv(cxr_lowering *l, const cxr_conv_want *want, dnnl_post_ops_t post, const conv_try *t)
{
    dnnl_convolution_desc_t d;
    if (l->status != CXR_OK || conv_describe(&d, l, want, t) != dnnl_success) return NULL;
    cxr_desc pd = cxr_lower_try(l, &d, post, want->hint);
    return pd == NULL || (t->shares && copies_weights(l, pd)) ? NULL : pd;
}

static bool is_fast(cxr_desc pd)
{
    return pd != NULL && strstr(cxr_desc_kernel(pd), "ref") == NULL;
}

static bool interchangeable(cxr_desc a, cxr_desc b)
{
    static const dnnl_query_t sides[] = {dnnl_query_src_md, dnnl_query_dst_md, dnnl_query_diff_src_md, dnnl_query_diff_dst_md};
    bool same = strcmp(cxr_desc_kernel(a), cxr_desc_kernel(b)) != 0;
    for (int i = 0; i < 4 && same; i++) {
        const dnnl_memory_desc_t x = cxr_desc_md(a, sides[i]), y = cxr_desc_md(b, sides[i]);
        same = cxr_md_same(&x, &y);
    }
    return same;
}

/* The rule's kernel, or one in its place that was faster when timed. */
static cxr_desc choose_conv(cxr_lowering *l, const cxr_conv_want *want, dnnl_post_ops_t post, const conv_try *tries,
                            cxr_desc rule)
{
    cxr_desc kernels[CXR_CHOICES_MAX] = {rule};
    int count = 1;
    for (int i = 0; i < CONV_TRIES && count < CXR_CHOICES_MAX; i++) {
        if (tries[i].src.ndims == 0) continue;
        cxr_desc pd = try_conv(l, want, post, &tries[i]);
        if (is_fast(pd) && interchangeable(rule, pd)) kernels[count++] = pd;
    }
    return l->status == CXR_OK ? cxr_choose(l, want->pass, kernels, count) : rule;
}

cxr_desc cxr_kernel_conv(cxr_lowering *l, const cxr_conv_want *want)
{
    conv_try tries[CONV_TRIES];
    list_tries(tries, l, want);
    const dnnl_post_ops_t post = post_ops(l, want->sum, want->relu);
    cxr_desc found = NULL;
    for (int i = 0; i < CONV_TRIES && !is_fast(found); i++) {
        cxr_desc pd = tries[i].left_out ? NULL : try_conv(l, want, post, &tries[i]);
        if (pd != NULL) found = pd;
    }
    if (is_fast(found) && l->p->choices != NULL) found = choose_conv(l, want, post, tries, found);
    (void)dnnl_post_ops_destroy(post);
    if (found == NULL) cxr_lower_fail(l, dnnl_unimplemented, "the choice of a kernel");
    return found;
}

cxr_desc cxr_kernel_grey(cxr_lowering *l)
{
    const cxr_shape in = in_shape(l);
    const int n = l->plan->n;
    const conv_try t = {.alg = dnnl_convolution_direct,
                        .src = cxr_md_typed(cxr_md_plain(n, (cxr_shape){1, in.h, in.w}), l->p->type),
                        .dst = cxr_md_typed(cxr_md_blocked(n, node_of(l)->shape), l->p->type)};
    dnnl_convolution_desc_t d;
    if (t.dst.padded_dims[1] != t.dst.dims[1] || conv_describe(&d, l, &(cxr_conv_want){.bias = true}, &t) != dnnl_success)
        return NULL;
    cxr_desc pd = cxr_lower_try(l, &d, NULL, NULL);
    return is_fast(pd) ? pd : NULL;
}

/* ---- Pooling ---- */

static dnnl_status_t pool_describe(dnnl_pooling_desc_t *d, const cxr_lowering *l, const dnnl_memory_desc_t *x, cxr_desc hint)
{
    const cxr_node *v = node_of(l);
    const cxr_shape in = in_shape(l);
    const bool max = v->op == CXR_OP_MAXPOOL;
    const dnnl_alg_kind_t alg = max ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
    const dnnl_dims_t kernel = {max ? v->kernel : in.h, max ? v->kernel : in.w};
    const dnnl_dims_t stride = {max ? v->stride : 1, max ? v->stride : 1}, pad = {max ? v->pad : 0, max ? v->pad : 0};
    const dnnl_prop_kind_t kind = l->p->o.mode == CXR_INFER ? dnnl_forward_inference : dnnl_forward_training;
    const dnnl_memory_desc_t any = cxr_md_typed(cxr_md_any(l->plan->n, v->shape), x->data_type);
    if (hint == NULL) return dnnl_pooling_forward_desc_init(d, kind, alg, x, &any, stride, kernel, pad, pad);
    const dnnl_memory_desc_t y = cxr_desc_md(hint, dnnl_query_dst_md);
    return dnnl_pooling_backward_desc_init(d, alg, x, &y, stride, kernel, pad, pad);
}

cxr_desc cxr_kernel_pool(cxr_lowering *l, const dnnl_memory_desc_t *x, cxr_desc hint)
{
    dnnl_pooling_desc_t d;
    const dnnl_status_t st = pool_describe(&d, l, x, hint);
    cxr_lower_fail(l, st, "the choice of a kernel");
    return st == dnnl_success ? cxr_lower_desc(l, &d, NULL, hint) : NULL;
}

cxr_desc cxr_kernel_maxpool(cxr_lowering *l, const dnnl_memory_desc_t *x, bool *relu)
{
    dnnl_pooling_desc_t d;
    const dnnl_post_ops_t post = post_ops(l, false, *relu);
    cxr_desc pd = post != NULL && pool_describe(&d, l, x, NULL) == dnnl_success ? cxr_lower_try(l, &d, post, NULL) : NULL;
    (void)dnnl_post_ops_destroy(post);
    *relu = is_fast(pd);
    return *relu ? pd : cxr_kernel_pool(l, x, NULL);
}

/* ---- Batch norm, ReLU, add ---- */

/* Of inference: running statistics. Training's is onednn_batchnorm.c. */
cxr_desc cxr_kernel_batchnorm(cxr_lowering *l, const dnnl_memory_desc_t *x)
{
    const unsigned flags = dnnl_use_scale | dnnl_use_shift | (unsigned)dnnl_use_global_stats;
    dnnl_batch_normalization_desc_t d;
    const dnnl_status_t st =
        dnnl_batch_normalization_forward_desc_init(&d, dnnl_forward_inference, x, node_of(l)->epsilon, flags);
    cxr_lower_fail(l, st, "the choice of a kernel");
    return st == dnnl_success ? cxr_lower_desc(l, &d, NULL, NULL) : NULL;
}

/* Backward reads the output, so that the input need not be kept. */
cxr_desc cxr_kernel_relu(cxr_lowering *l, const dnnl_memory_desc_t *x, cxr_desc hint)
{
    const dnnl_alg_kind_t alg = dnnl_eltwise_relu_use_dst_for_bwd;
    dnnl_eltwise_desc_t d;
    const dnnl_status_t st = hint == NULL ? dnnl_eltwise_forward_desc_init(&d, dnnl_forward_training, alg, x, 0.0f, 0.0f)
                                          : dnnl_eltwise_backward_desc_init(&d, alg, x, x, 0.0f, 0.0f);
    cxr_lower_fail(l, st, "the choice of a kernel");
    return st == dnnl_success ? cxr_lower_desc(l, &d, NULL, hint) : NULL;
}

cxr_desc cxr_kernel_add(cxr_lowering *l, const dnnl_memory_desc_t *x, bool relu)
{
    dnnl_binary_desc_t d;
    cxr_lower_fail(l, dnnl_binary_desc_init(&d, dnnl_binary_add, x, x, x), "the choice of a kernel");
    const dnnl_post_ops_t post = post_ops(l, false, relu);
    cxr_desc pd = l->status == CXR_OK ? cxr_lower_desc(l, &d, post, NULL) : NULL;
    (void)dnnl_post_ops_destroy(post);
    return pd;
}

/* ---- Linear ---- */

dnnl_memory_desc_t cxr_linear_in(const dnnl_memory_desc_t *x)
{
    if (x->ndims == 2) return *x;
    const dnnl_memory_desc_t simple = cxr_md_simplest(x);
    const dnnl_memory_desc_t plain = cxr_md_plain((int)x->dims[0], (cxr_shape){(int)x->dims[1], 1, 1});
    const bool vector = x->dims[2] == 1 && x->dims[3] == 1 && cxr_md_same(&simple, &plain);
    return vector ? cxr_md_of(2, x->dims, true) : *x;
}

static dnnl_status_t linear_describe(dnnl_inner_product_desc_t *d, const cxr_lowering *l, cxr_pass pass,
                                     const dnnl_memory_desc_t *x)
{
    const cxr_node *v = node_of(l);
    const dnnl_dim_t w_dims[4] = {v->shape.c, x->dims[1], x->dims[2], x->dims[3]}, y_dims[2] = {l->plan->n, v->shape.c};
    const dnnl_memory_desc_t w = cxr_md_of(x->ndims, w_dims, false), b = cxr_md_of(1, w_dims, false);
    const dnnl_memory_desc_t y = cxr_md_of(2, y_dims, true);
    const dnnl_prop_kind_t kind = l->p->o.mode == CXR_INFER ? dnnl_forward_inference : dnnl_forward_training;
    switch (pass) {
    case CXR_FORWARD: return dnnl_inner_product_forward_desc_init(d, kind, x, &w, &b, &y);
    case CXR_BACKWARD_DATA: return dnnl_inner_product_backward_data_desc_init(d, x, &w, &y);
    case CXR_BACKWARD_WEIGHTS: return dnnl_inner_product_backward_weights_desc_init(d, x, &w, &b, &y);
    }
    return dnnl_invalid_arguments;
}

cxr_desc cxr_kernel_linear(cxr_lowering *l, cxr_pass pass, const dnnl_memory_desc_t *x, cxr_desc hint)
{
    dnnl_inner_product_desc_t d;
    const dnnl_memory_desc_t in = cxr_linear_in(x);
    const dnnl_status_t st = linear_describe(&d, l, pass, &in);
    cxr_lower_fail(l, st, "the choice of a kernel");
    return st == dnnl_success ? cxr_lower_desc(l, &d, NULL, hint) : NULL;
}
