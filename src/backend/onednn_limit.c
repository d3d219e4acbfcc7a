/* How fast the library's convolutions are by themselves. For each shape and pass every kernel that the library offers is
 * timed once, in every layout worth asking for, and the fastest is kept; a measurement runs those again. Buffers are shared:
 * inputs are never written, so that values stay ordinary however long it runs. */
#include "backend/onednn.h"
#include "backend/onednn_plan.h"
#include "base/log.h"
#include "base/mem.h"
#include <string.h>

#define TRIAL_SECONDS 0.01 /* the least that a kernel is timed for before it is left out */

enum { LEFT, RIGHT, BIAS, OUT, PARTS }; /* operands: the two inputs, the bias, what is written */

typedef struct conv_shape {
    cxr_shape in, out;
    int kernel, stride, pad;
    bool to_input; /* a gradient flows on to its input */
    int count;     /* convolutions of this shape */
} conv_shape;

typedef struct kernel {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[PARTS];
    int parts[PARTS], arg_count;
    int count;
    bool backward;
} kernel;

struct cxr_conv_limit {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    cxr_compile_opts o;
    conv_shape *shapes;
    int shape_count;
    kernel *kernels; /* up to three for each shape */
    int kernel_count;
    char *data[PARTS];
    size_t bytes[PARTS];
};

/* ---- Shapes ---- */

static bool same_shape(const conv_shape *a, const conv_shape *b)
{
    return memcmp(&a->in, &b->in, sizeof a->in) == 0 && memcmp(&a->out, &b->out, sizeof a->out) == 0 &&
           a->kernel == b->kernel && a->stride == b->stride && a->pad == b->pad && a->to_input == b->to_input;
}

static void collect_shapes(cxr_conv_limit *l, const cxr_graph *g, int first, int last)
{
    for (int i = first; i <= last; i++) {
        const cxr_node *v = &g->nodes[i];
        if (v->op != CXR_OP_CONV) continue;
        const bool learned = v->in[0] >= first && g->nodes[v->in[0]].op != CXR_OP_NORMALIZE;
        const conv_shape s = {cxr_graph_in_shape(g, i), v->shape, v->kernel, v->stride, v->pad, learned, 1};
        int k = 0;
        while (k < l->shape_count && !same_shape(&l->shapes[k], &s)) k++;
        if (k == l->shape_count)
            l->shapes[l->shape_count++] = s;
        else
            l->shapes[k].count++;
    }
}

/* ---- One kernel ---- */

typedef struct layout_try {
    dnnl_alg_kind_t alg;
    dnnl_format_tag_t in, out;
} layout_try;

static dnnl_data_type_t data_type(const cxr_conv_limit *l)
{
    return l->o.precision == CXR_PRECISION_INT8 ? dnnl_u8 : l->o.precision == CXR_PRECISION_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* One descriptor of the three passes. Gradients of weights are f32, as the optimiser wants them. */
static dnnl_status_t describe(dnnl_convolution_desc_t *d, const cxr_conv_limit *l, const conv_shape *s, cxr_pass pass,
                              const layout_try *t)
{
    const dnnl_data_type_t type = data_type(l), wide = pass == CXR_BACKWARD_WEIGHTS ? dnnl_f32 : type;
    const dnnl_dims_t x_dims = {l->o.max_batch, s->in.c, s->in.h, s->in.w},
                      y_dims = {l->o.max_batch, s->out.c, s->out.h, s->out.w};
    const dnnl_dims_t w_dims = {s->out.c, s->in.c, s->kernel, s->kernel}, b_dims = {s->out.c};
    const dnnl_dims_t stride = {s->stride, s->stride}, pad = {s->pad, s->pad};
    const bool infer = l->o.mode == CXR_INFER;
    dnnl_memory_desc_t x, w, b, y;
    dnnl_status_t st = dnnl_memory_desc_init_by_tag(&x, 4, x_dims, type, t->in);
    if (st == dnnl_success)
        st = dnnl_memory_desc_init_by_tag(&w, 4, w_dims, type == dnnl_u8 ? dnnl_s8 : wide, dnnl_format_tag_any);
    if (st == dnnl_success) st = dnnl_memory_desc_init_by_tag(&b, 1, b_dims, dnnl_f32, dnnl_a);
    if (st == dnnl_success) st = dnnl_memory_desc_init_by_tag(&y, 4, y_dims, type, t->out);
    if (st != dnnl_success) return st;
    switch (pass) {
    case CXR_FORWARD:
        return dnnl_convolution_forward_desc_init(d, infer ? dnnl_forward_inference : dnnl_forward_training, t->alg, &x, &w,
                                                  infer ? &b : NULL, &y, stride, pad, pad);
    case CXR_BACKWARD_DATA: return dnnl_convolution_backward_data_desc_init(d, t->alg, &x, &w, &y, stride, pad, pad);
    case CXR_BACKWARD_WEIGHTS:
        return dnnl_convolution_backward_weights_desc_init(d, t->alg, &x, &w, NULL, &y, stride, pad, pad);
    }
    return dnnl_invalid_arguments;
}

/* Inference ends in ReLU, and in int8 scales the sums of each channel. */
static dnnl_status_t attributes(dnnl_primitive_attr_t *out, const cxr_conv_limit *l, const conv_shape *s)
{
    *out = NULL;
    if (l->o.mode != CXR_INFER) return dnnl_success;
    dnnl_post_ops_t post = NULL;
    dnnl_status_t st = dnnl_primitive_attr_create(out);
    if (st == dnnl_success) st = dnnl_post_ops_create(&post);
    if (st == dnnl_success) st = dnnl_post_ops_append_eltwise(post, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
    if (st == dnnl_success) st = dnnl_primitive_attr_set_post_ops(*out, post);
    (void)dnnl_post_ops_destroy(post);
    if (st != dnnl_success || l->o.precision != CXR_PRECISION_INT8) return st;
    float *scales = cxr_mem_new((size_t)s->out.c, sizeof *scales);
    if (scales == NULL) return dnnl_out_of_memory;
    for (int i = 0; i < s->out.c; i++) scales[i] = 0.001f;
    st = dnnl_primitive_attr_set_output_scales(*out, s->out.c, 2, scales);
    cxr_mem_free(scales);
    return st;
}

static dnnl_status_t make_desc(dnnl_primitive_desc_t *out, const cxr_conv_limit *l, const conv_shape *s, cxr_pass pass,
                               const layout_try *t)
{
    dnnl_convolution_desc_t d;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t hint = NULL;
    *out = NULL;
    dnnl_status_t st = pass == CXR_FORWARD ? attributes(&attr, l, s) : make_desc(&hint, l, s, CXR_FORWARD, t);
    if (st == dnnl_success) st = describe(&d, l, s, pass, t);
    if (st == dnnl_success) st = dnnl_primitive_desc_create(out, &d, attr, l->engine, hint);
    (void)dnnl_primitive_desc_destroy(hint);
    (void)dnnl_primitive_attr_destroy(attr);
    return st;
}

static dnnl_status_t grow(cxr_conv_limit *l, int part, size_t bytes)
{
    if (bytes <= l->bytes[part]) return dnnl_success;
    char *data = cxr_mem_new_aligned(bytes, 1);
    if (data == NULL) return dnnl_out_of_memory;
    memset(data, 0x3C, bytes); /* 0.0115 in f32 and bf16, 60 in int8 */
    cxr_mem_free(l->data[part]);
    l->data[part] = data;
    l->bytes[part] = bytes;
    return dnnl_success;
}

static dnnl_status_t add_arg(cxr_conv_limit *l, kernel *k, const_dnnl_primitive_desc_t pd, dnnl_query_t what, int arg, int part)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, what, 0);
    const dnnl_status_t st = grow(l, part, dnnl_memory_desc_get_size(md));
    if (st != dnnl_success) return st;
    k->parts[k->arg_count] = part;
    k->args[k->arg_count].arg = arg;
    return dnnl_memory_create(&k->args[k->arg_count++].memory, md, l->engine, DNNL_MEMORY_NONE);
}

static dnnl_status_t add_args(cxr_conv_limit *l, kernel *k, const_dnnl_primitive_desc_t pd, cxr_pass pass)
{
    dnnl_status_t st = dnnl_success;
    switch (pass) {
    case CXR_FORWARD:
        st = add_arg(l, k, pd, dnnl_query_src_md, DNNL_ARG_SRC, LEFT);
        if (st == dnnl_success) st = add_arg(l, k, pd, dnnl_query_weights_md, DNNL_ARG_WEIGHTS, RIGHT);
        if (st == dnnl_success) st = add_arg(l, k, pd, dnnl_query_dst_md, DNNL_ARG_DST, OUT);
        if (st != dnnl_success || l->o.mode != CXR_INFER) return st;
        k->parts[k->arg_count] = BIAS;
        k->args[k->arg_count].arg = DNNL_ARG_BIAS;
        const dnnl_memory_desc_t *bias = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1);
        st = grow(l, BIAS, dnnl_memory_desc_get_size(bias));
        return st != dnnl_success ? st : dnnl_memory_create(&k->args[k->arg_count++].memory, bias, l->engine, DNNL_MEMORY_NONE);
    case CXR_BACKWARD_DATA:
        st = add_arg(l, k, pd, dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST, LEFT);
        if (st == dnnl_success) st = add_arg(l, k, pd, dnnl_query_weights_md, DNNL_ARG_WEIGHTS, RIGHT);
        return st != dnnl_success ? st : add_arg(l, k, pd, dnnl_query_diff_src_md, DNNL_ARG_DIFF_SRC, OUT);
    case CXR_BACKWARD_WEIGHTS:
        st = add_arg(l, k, pd, dnnl_query_src_md, DNNL_ARG_SRC, LEFT);
        if (st == dnnl_success) st = add_arg(l, k, pd, dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST, RIGHT);
        return st != dnnl_success ? st : add_arg(l, k, pd, dnnl_query_diff_weights_md, DNNL_ARG_DIFF_WEIGHTS, OUT);
    }
    return dnnl_invalid_arguments;
}

static void kernel_free(kernel *k)
{
    for (int i = 0; i < k->arg_count; i++) (void)dnnl_memory_destroy(k->args[i].memory);
    (void)dnnl_primitive_destroy(k->primitive);
    *k = (kernel){0};
}

/* Mean seconds of one execution, over at least `least` seconds, after one that does not count. */
static dnnl_status_t time_kernel(const cxr_conv_limit *l, const kernel *k, double least, double *seconds)
{
    dnnl_status_t st = dnnl_success;
    for (int i = 0; i < k->arg_count && st == dnnl_success; i++)
        st = dnnl_memory_set_data_handle(k->args[i].memory, l->data[k->parts[i]]);
    int runs = -1;
    double start = 0.0;
    while (st == dnnl_success) {
        st = dnnl_primitive_execute(k->primitive, l->stream, k->arg_count, k->args);
        if (st == dnnl_success) st = dnnl_stream_wait(l->stream);
        const double now = cxr_now();
        if (++runs == 0) start = now;
        *seconds = runs > 0 ? (now - start) / runs : 0.0;
        if (runs > 0 && now - start >= least) break;
    }
    return st;
}

/* ---- The fastest of all ---- */

/* Tries one kernel; it replaces *best when faster. That the library has none is no failure. */
static dnnl_status_t try_kernel(cxr_conv_limit *l, const conv_shape *s, cxr_pass pass, const layout_try *t, kernel *best,
                                double *best_seconds)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t st = make_desc(&pd, l, s, pass, t);
    if (st != dnnl_success || strstr(cxr_desc_kernel(pd), "ref") != NULL) {
        (void)dnnl_primitive_desc_destroy(pd);
        return st == dnnl_out_of_memory ? st : dnnl_success;
    }
    kernel k = {.count = s->count, .backward = pass != CXR_FORWARD};
    double seconds = 0.0;
    st = dnnl_primitive_create(&k.primitive, pd);
    if (st == dnnl_success) st = add_args(l, &k, pd, pass);
    if (st == dnnl_success) st = time_kernel(l, &k, TRIAL_SECONDS, &seconds);
    (void)dnnl_primitive_desc_destroy(pd);
    if (st == dnnl_success && (best->primitive == NULL || seconds < *best_seconds)) {
        kernel_free(best);
        *best = k;
        *best_seconds = seconds;
    } else {
        kernel_free(&k);
    }
    return st;
}

static dnnl_status_t find_kernel(cxr_conv_limit *l, const conv_shape *s, cxr_pass pass)
{
    const dnnl_format_tag_t any = dnnl_format_tag_any, block = cxr_lanes() == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    const layout_try tries[] = {
        {dnnl_convolution_winograd, any, any},       {dnnl_convolution_direct, block, block},
        {dnnl_convolution_auto, any, any},           {dnnl_convolution_direct, dnnl_nhwc, dnnl_nhwc},
        {dnnl_convolution_direct, dnnl_nchw, block}, {dnnl_convolution_direct, dnnl_nchw, dnnl_nhwc},
    };
    const size_t plain = 4; /* tries from here on are for pictures */
    const size_t count = s->in.c < 8 ? sizeof tries / sizeof tries[0] : plain;
    kernel best = {0};
    double seconds = 0.0;
    dnnl_status_t st = dnnl_success;
    for (size_t i = 0; i < count && st == dnnl_success; i++) {
        /* Winograd in 8 bits is 3.6 % off: not a limit worth reaching. */
        if (l->o.precision == CXR_PRECISION_INT8 && tries[i].alg == dnnl_convolution_winograd) continue;
        st = try_kernel(l, s, pass, &tries[i], &best, &seconds);
    }
    if (st == dnnl_success && best.primitive == NULL) st = dnnl_unimplemented;
    if (st == dnnl_success)
        l->kernels[l->kernel_count++] = best;
    else
        kernel_free(&best);
    return st;
}

static cxr_status find_kernels(cxr_conv_limit *l, const cxr_hooks *hooks, cxr_error *err)
{
    dnnl_status_t st = dnnl_success;
    for (int i = 0; i < l->shape_count && st == dnnl_success; i++) {
        const conv_shape *s = &l->shapes[i];
        if (cxr_stop_asked(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
        st = find_kernel(l, s, CXR_FORWARD);
        if (l->o.mode == CXR_INFER) continue;
        if (st == dnnl_success && s->to_input) st = find_kernel(l, s, CXR_BACKWARD_DATA);
        if (st == dnnl_success) st = find_kernel(l, s, CXR_BACKWARD_WEIGHTS);
    }
    return st == dnnl_success ? CXR_OK : cxr_dnnl_fail(err, st, "the choice of a kernel", "a convolution alone");
}

static cxr_status open_limit(cxr_conv_limit *l, const cxr_graph *g, int first, int last, const cxr_hooks *hooks, cxr_error *err)
{
    const size_t nodes = (size_t)(last - first + 1);
    l->shapes = cxr_mem_new(nodes, sizeof *l->shapes);
    l->kernels = cxr_mem_new(nodes * 3, sizeof *l->kernels);
    if (l->shapes == NULL || l->kernels == NULL) return cxr_mem_fail(err, "convolutions alone");
    collect_shapes(l, g, first, last);
    if (l->shape_count == 0) return cxr_fail(err, CXR_EUNAVAILABLE, "there is no convolution in this part of the network");
    dnnl_status_t st = dnnl_engine_create(&l->engine, dnnl_cpu, 0);
    if (st == dnnl_success) st = dnnl_stream_create(&l->stream, l->engine, dnnl_stream_default_flags);
    if (st != dnnl_success) return cxr_dnnl_fail(err, st, "the start", "convolutions alone");
    return find_kernels(l, hooks, err);
}

cxr_status cxr_conv_limit_open(cxr_conv_limit **out, const cxr_graph *g, int first, int last, const cxr_compile_opts *o,
                               const cxr_hooks *hooks, cxr_error *err)
{
    *out = NULL;
    cxr_conv_limit *l = cxr_mem_new(1, sizeof *l);
    if (l == NULL) return cxr_mem_fail(err, "convolutions alone");
    l->o = *o;
    const int team = cxr_team_take(o->threads);
    const cxr_status st = open_limit(l, g, first, last, hooks, err);
    cxr_team_restore(team);
    if (st != CXR_OK) cxr_conv_limit_close(&l);
    *out = l;
    return st;
}

cxr_status cxr_conv_limit_time(cxr_conv_limit *l, double least, double *forward, double *backward, cxr_error *err)
{
    dnnl_status_t st = dnnl_success;
    const int team = cxr_team_take(l->o.threads);
    *forward = *backward = 0.0;
    for (int i = 0; i < l->kernel_count && st == dnnl_success; i++) {
        const kernel *k = &l->kernels[i];
        double seconds = 0.0;
        st = time_kernel(l, k, least / l->kernel_count, &seconds);
        *(k->backward ? backward : forward) += seconds * k->count;
    }
    cxr_team_restore(team);
    return st == dnnl_success ? CXR_OK : cxr_dnnl_fail(err, st, "running", "a convolution alone");
}

size_t cxr_conv_limit_bytes(const cxr_conv_limit *l)
{
    size_t sum = 0;
    for (int i = 0; i < PARTS; i++) sum += l->bytes[i];
    return sum;
}

void cxr_conv_limit_close(cxr_conv_limit **limit)
{
    if (limit == NULL || *limit == NULL) return;
    cxr_conv_limit *l = *limit;
    for (int i = 0; i < l->kernel_count; i++) kernel_free(&l->kernels[i]);
    for (int i = 0; i < PARTS; i++) cxr_mem_free(l->data[i]);
    (void)dnnl_stream_destroy(l->stream);
    (void)dnnl_engine_destroy(l->engine);
    cxr_mem_free(l->kernels);
    cxr_mem_free(l->shapes);
    cxr_mem_free(l);
    *limit = NULL;
}
