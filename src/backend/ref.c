/* The reference backend, the oracle that every other backend is compared with: each node runs alone, in order, through the
 * plain loops of ref_ops.c. Nothing is fused, folded or reordered; one arena holds every node's value and, in training, its
 * gradient, so that any of them can be looked at. A value is max_batch images in (n, c, h, w) order, f32. Parameters are read
 * where they lie, at every forward: refresh() has nothing to do. Runs on the calling thread whatever opts->threads says. */
#include "backend/backend.h"
#include "backend/ref_ops.h"
#include "base/mem.h"
#include <string.h>

typedef struct ref_tensor { /* what this backend's cxr_tensor points to */
    const cxr_backend *backend;
    cxr_dtype type;
    cxr_shape shape;
    int max_batch, n; /* n images held */
    float *data;
} ref_tensor;

/* Byte offsets into the arena. */
typedef struct ref_slot {
    size_t value, gradient;       /* max_batch images, f32 */
    size_t batch_mean, batch_var; /* batch norm in training: (c) doubles */
} ref_slot;

typedef struct ref_program { /* what this backend's cxr_program points to */
    const cxr_backend *backend;
    const cxr_graph *g;
    float *params;
    cxr_mode mode;
    int first, last, input; /* nodes */
    int max_batch;
    int n; /* images of the last forward that backward may follow; 0: none */
    uint64_t key;
    ref_slot *slots; /* by node, input..last */
    float *unused;   /* EXPLAIN: the parameters' gradients, which nobody asked for */
    size_t scratch;  /* byte offset: doubles for the convolutions' backward */
    char *arena;
    size_t arena_bytes;
    ref_tensor out;
} ref_program;

/* ---- Tensors ---- */

static cxr_status tensor_new(cxr_tensor **out, cxr_dtype type, int max_batch, cxr_shape shape, cxr_error *err)
{
    *out = NULL;
    if (max_batch < 1 || shape.c < 1 || shape.h < 1 || shape.w < 1)
        return cxr_fail(err, CXR_EINTERNAL, "reference backend: a tensor of %d x (%d, %d, %d) is empty", max_batch, shape.c,
                        shape.h, shape.w);
    ref_tensor *t = cxr_mem_new(1, sizeof *t);
    if (t == NULL) return cxr_mem_fail(err, "a tensor");
    *t = (ref_tensor){.backend = &cxr_backend_reference, .type = type, .shape = shape, .max_batch = max_batch};
    t->data = cxr_mem_new_aligned((size_t)max_batch * cxr_shape_count(shape), sizeof *t->data);
    if (t->data == NULL) {
        cxr_mem_free(t);
        return cxr_mem_fail(err, "a tensor");
    }
    *out = (cxr_tensor *)t;
    return CXR_OK;
}

static void tensor_free(cxr_tensor **tensor)
{
    if (tensor == NULL || *tensor == NULL) return;
    ref_tensor *t = (ref_tensor *)*tensor;
    cxr_mem_free(t->data);
    cxr_mem_free(t);
    *tensor = NULL;
}

static cxr_status tensor_write(cxr_tensor *tensor, int n, const void *host, cxr_error *err)
{
    ref_tensor *t = (ref_tensor *)tensor;
    if (n < 1 || n > t->max_batch)
        return cxr_fail(err, CXR_EINTERNAL, "reference backend: %d images do not fit a tensor of %d", n, t->max_batch);
    const size_t count = (size_t)n * cxr_shape_count(t->shape);
    if (t->type == CXR_F32) {
        memcpy(t->data, host, count * sizeof *t->data);
    } else {
        const uint8_t *pixels = host;
        for (size_t i = 0; i < count; i++) t->data[i] = (float)pixels[i];
    }
    t->n = n;
    return CXR_OK;
}

static cxr_status tensor_read(const cxr_tensor *tensor, float *host, cxr_error *err)
{
    const ref_tensor *t = (const ref_tensor *)tensor;
    if (t->n < 1) return cxr_fail(err, CXR_EINTERNAL, "reference backend: the tensor to read holds nothing");
    memcpy(host, t->data, (size_t)t->n * cxr_shape_count(t->shape) * sizeof *host);
    return CXR_OK;
}

/* Plain f32 is the one layout. */
static void keep_form(const cxr_program *program, cxr_form *out)
{
    const ref_program *p = (const ref_program *)program;
    *out = (cxr_form){.image_bytes = cxr_shape_count(p->out.shape) * sizeof(float), .name = "reference, plain f32"};
}

static cxr_status keep_new(cxr_tensor **out, const cxr_program *program, cxr_error *err)
{
    const ref_program *p = (const ref_program *)program;
    return tensor_new(out, CXR_F32, p->max_batch, p->out.shape, err);
}

static cxr_status keep_save(const cxr_tensor *tensor, const cxr_tensor *like, void *images, cxr_error *err)
{
    (void)like;
    return tensor_read(tensor, images, err);
}

/* The tensor behind the handle when it is this backend's and holds 1..max_batch images of `shape`. */
static cxr_status tensor_check(const ref_tensor **out, const cxr_tensor *tensor, const char *what, cxr_shape shape,
                               int max_batch, cxr_error *err)
{
    const ref_tensor *t = (const ref_tensor *)tensor;
    if (t->backend != &cxr_backend_reference)
        return cxr_fail(err, CXR_EINTERNAL, "reference backend: the %s belongs to another backend", what);
    *out = t;
    return cxr_check_images(t->backend, what, t->shape, shape, t->n, max_batch, err);
}

/* ---- Program: memory ---- */

static float *value(const ref_program *p, int node)
{
    return (float *)(void *)(p->arena + p->slots[node].value);
}

/* NULL for the span's input, unless that is what is to be explained. */
static float *gradient(const ref_program *p, int node)
{
    return node < p->first && p->mode != CXR_EXPLAIN ? NULL : (float *)(void *)(p->arena + p->slots[node].gradient);
}

static double *doubles(const ref_program *p, size_t offset)
{
    return (double *)(void *)(p->arena + offset);
}

static float *param(const ref_program *p, int node, cxr_role role)
{
    return p->params + cxr_graph_param(p->g, node, role)->offset;
}

static size_t batch_count(const ref_program *p, int node, int n)
{
    return (size_t)n * cxr_shape_count(p->g->nodes[node].shape);
}

static cxr_slide slide_of(const cxr_graph *g, int node, int n)
{
    const cxr_node *v = &g->nodes[node];
    const cxr_shape x = cxr_graph_in_shape(g, node);
    return (cxr_slide){n, x.c, x.h, x.w, v->shape.c, v->shape.h, v->shape.w, v->kernel, v->stride, v->pad};
}

/* The arena grows by `bytes`; the offset of the new piece, a multiple of 64. */
static size_t reserve(ref_program *p, size_t bytes)
{
    const size_t at = p->arena_bytes;
    p->arena_bytes += (bytes + 63) / 64 * 64;
    return at;
}

static void plan(ref_program *p)
{
    size_t scratch = 0;
    const size_t input = batch_count(p, p->input, p->max_batch) * sizeof(float);
    p->slots[p->input].value = reserve(p, input);
    if (p->mode == CXR_EXPLAIN) p->slots[p->input].gradient = reserve(p, input);
    for (int i = p->first; i <= p->last; i++) {
        const size_t bytes = batch_count(p, i, p->max_batch) * sizeof(float);
        const size_t channels = (size_t)p->g->nodes[i].shape.c * sizeof(double);
        p->slots[i].value = reserve(p, bytes);
        if (p->g->nodes[i].op == CXR_OP_BATCHNORM) {
            p->slots[i].batch_mean = reserve(p, channels);
            p->slots[i].batch_var = reserve(p, channels);
        }
        if (p->mode == CXR_INFER) continue;
        p->slots[i].gradient = reserve(p, bytes);
        if (p->g->nodes[i].op == CXR_OP_CONV) {
            const cxr_slide s = slide_of(p->g, i, 1);
            const size_t need = cxr_ref_conv_scratch(&s);
            if (need > scratch) scratch = need;
        }
    }
    p->scratch = reserve(p, scratch * sizeof(double));
}

static void program_close(cxr_program **program)
{
    if (program == NULL || *program == NULL) return;
    ref_program *p = (ref_program *)*program;
    cxr_mem_free(p->slots);
    cxr_mem_free(p->unused);
    cxr_mem_free(p->arena);
    cxr_mem_free(p);
    *program = NULL;
}

static cxr_status program_compile(cxr_program **out, const cxr_graph *g, int first, int last, float *params,
                                  const cxr_compile_opts *o, cxr_error *err)
{
    *out = NULL;
    cxr_status st = cxr_check_span(&cxr_backend_reference, g, first, last, o, err);
    if (st == CXR_OK && (o->precision == CXR_PRECISION_BF16 || o->precision == CXR_PRECISION_INT8))
        st = cxr_fail(err, CXR_EUNAVAILABLE, "reference backend: it computes in f32 only");
    if (st != CXR_OK) return st;
    ref_program *p = cxr_mem_new(1, sizeof *p);
    if (p == NULL) return cxr_mem_fail(err, "a program");
    *p = (ref_program){.backend = &cxr_backend_reference, .g = g, .params = params, .mode = o->mode};
    p->first = first;
    p->last = last;
    p->input = cxr_span_input(g, first, last);
    p->max_batch = o->max_batch;
    p->slots = cxr_mem_new((size_t)last + 1, sizeof *p->slots);
    if (p->slots != NULL) {
        plan(p);
        p->arena = cxr_mem_new_aligned(p->arena_bytes, 1);
    }
    *out = (cxr_program *)p;
    if (p->mode == CXR_EXPLAIN) p->unused = cxr_mem_new(g->float_count, sizeof *p->unused);
    if (p->arena == NULL || (p->mode == CXR_EXPLAIN && p->unused == NULL)) {
        program_close(out);
        return cxr_mem_fail(err, "a program's activations");
    }
    p->out = (ref_tensor){&cxr_backend_reference, CXR_F32, g->nodes[last].shape, p->max_batch, 0, value(p, last)};
    return CXR_OK;
}

static cxr_status program_refresh(cxr_program *program, cxr_error *err)
{
    (void)program;
    (void)err;
    return CXR_OK;
}

static size_t program_arena_bytes(const cxr_program *program)
{
    return ((const ref_program *)program)->arena_bytes;
}

/* ---- Program: forward ---- */

/* running = (1 - momentum) * running + momentum * batch's; the running variance takes the unbiased one, as PyTorch does. */
static void update_running(const ref_program *p, int node, const double *mean, const double *var, size_t count)
{
    const double m = (double)p->g->nodes[node].momentum, unbiased = (double)count / (double)(count - 1);
    float *running_mean = param(p, node, CXR_BN_MEAN), *running_var = param(p, node, CXR_BN_VAR);
    for (int c = 0; c < p->g->nodes[node].shape.c; c++) {
        running_mean[c] = (float)((1.0 - m) * (double)running_mean[c] + m * mean[c]);
        running_var[c] = (float)((1.0 - m) * (double)running_var[c] + m * var[c] * unbiased);
    }
}

static void forward_batchnorm(const ref_program *p, int node)
{
    const cxr_node *v = &p->g->nodes[node];
    const float *x = value(p, v->in[0]);
    double *mean = doubles(p, p->slots[node].batch_mean), *var = doubles(p, p->slots[node].batch_var);
    const size_t n = (size_t)p->n, c = (size_t)v->shape.c, hw = (size_t)v->shape.h * (size_t)v->shape.w;
    if (p->mode == CXR_TRAIN) {
        cxr_ref_moments(mean, var, x, n, c, hw);
        update_running(p, node, mean, var, n * hw);
    } else {
        const float *running_mean = param(p, node, CXR_BN_MEAN), *running_var = param(p, node, CXR_BN_VAR);
        for (size_t k = 0; k < c; k++) {
            mean[k] = (double)running_mean[k];
            var[k] = (double)running_var[k];
        }
    }
    cxr_ref_batchnorm(value(p, node), x, mean, var, param(p, node, CXR_BN_WEIGHT), param(p, node, CXR_BN_BIAS),
                      (double)v->epsilon, n, c, hw);
}

static float rate_of(const ref_program *p, int node)
{
    return p->mode == CXR_TRAIN ? p->g->nodes[node].rate : 0.0f;
}

static void forward_node(const ref_program *p, int node)
{
    const cxr_node *v = &p->g->nodes[node];
    const cxr_shape in = cxr_graph_in_shape(p->g, node);
    const cxr_slide s = slide_of(p->g, node, p->n);
    const size_t n = (size_t)p->n, hw = (size_t)in.h * (size_t)in.w, count = batch_count(p, node, p->n);
    const float *x = value(p, v->in[0]);
    float *y = value(p, node);
    switch (v->op) {
    case CXR_OP_INPUT: return;
    case CXR_OP_NORMALIZE: cxr_ref_normalize(y, x, n, hw, v->mean, v->std); return;
    case CXR_OP_CONV: cxr_ref_conv(y, x, param(p, node, CXR_WEIGHT), &s); return;
    case CXR_OP_BATCHNORM: forward_batchnorm(p, node); return;
    case CXR_OP_RELU: cxr_ref_relu(y, x, count); return;
    case CXR_OP_ADD: cxr_ref_add(y, x, value(p, v->in[1]), count); return;
    case CXR_OP_MAXPOOL: cxr_ref_maxpool(y, x, &s); return;
    case CXR_OP_AVGPOOL: cxr_ref_avgpool(y, x, count, hw); return;
    case CXR_OP_LINEAR:
        cxr_ref_linear(y, x, param(p, node, CXR_WEIGHT), param(p, node, CXR_BIAS), n, cxr_shape_count(in), (size_t)v->shape.c);
        return;
    case CXR_OP_DROPOUT: cxr_ref_dropout(y, x, count, rate_of(p, node), p->key, node); return;
    case CXR_OP_LOGSOFTMAX: cxr_ref_logsoftmax(y, x, n, (size_t)in.c, hw); return;
    }
}

static cxr_status program_forward(cxr_program *program, const cxr_tensor *in, uint64_t key, const cxr_tensor **out,
                                  cxr_error *err)
{
    ref_program *p = (ref_program *)program;
    const ref_tensor *t = NULL;
    *out = NULL;
    p->n = 0;
    cxr_status st = tensor_check(&t, in, "input", p->g->nodes[p->input].shape, p->max_batch, err);
    if (st == CXR_OK && p->mode == CXR_TRAIN) st = cxr_check_statistics(p->g, p->first, p->last, t->n, err);
    if (st != CXR_OK) return st;
    p->n = p->out.n = t->n;
    p->key = key;
    memcpy(value(p, p->input), t->data, batch_count(p, p->input, p->n) * sizeof(float));
    for (int i = p->first; i <= p->last; i++) forward_node(p, i);
    *out = (const cxr_tensor *)&p->out;
    return CXR_OK;
}

/* ---- Program: backward ---- */

static void backward_batchnorm(const ref_program *p, int node, float *grads)
{
    const cxr_node *v = &p->g->nodes[node];
    const size_t n = (size_t)p->n, c = (size_t)v->shape.c, hw = (size_t)v->shape.h * (size_t)v->shape.w;
    if (p->mode == CXR_EXPLAIN) {
        cxr_ref_batchnorm_fixed_backward(gradient(p, v->in[0]), gradient(p, node), doubles(p, p->slots[node].batch_var),
                                         param(p, node, CXR_BN_WEIGHT), (double)v->epsilon, n, c, hw);
        return;
    }
    cxr_ref_batchnorm_backward(gradient(p, v->in[0]), grads + cxr_graph_param(p->g, node, CXR_BN_WEIGHT)->offset,
                               grads + cxr_graph_param(p->g, node, CXR_BN_BIAS)->offset, gradient(p, node), value(p, v->in[0]),
                               doubles(p, p->slots[node].batch_mean), doubles(p, p->slots[node].batch_var),
                               param(p, node, CXR_BN_WEIGHT), (double)v->epsilon, n, c, hw);
}

static void backward_linear(const ref_program *p, int node, float *grads)
{
    const cxr_node *v = &p->g->nodes[node];
    const cxr_param *w = cxr_graph_param(p->g, node, CXR_WEIGHT), *b = cxr_graph_param(p->g, node, CXR_BIAS);
    cxr_ref_linear_backward(gradient(p, v->in[0]), grads + w->offset, grads + b->offset, gradient(p, node), value(p, v->in[0]),
                            p->params + w->offset, (size_t)p->n, (size_t)w->dims[1], (size_t)w->dims[0]);
}

static void backward_node(const ref_program *p, int node, float *grads)
{
    const cxr_node *v = &p->g->nodes[node];
    const cxr_shape in = cxr_graph_in_shape(p->g, node);
    const cxr_slide s = slide_of(p->g, node, p->n);
    const size_t hw = (size_t)in.h * (size_t)in.w, count = batch_count(p, node, p->n);
    const float *x = value(p, v->in[0]), *y = value(p, node), *dy = gradient(p, node);
    float *dx = gradient(p, v->in[0]);
    switch (v->op) {
    case CXR_OP_INPUT:
    case CXR_OP_NORMALIZE: return; /* nothing learnable is left of it */
    case CXR_OP_CONV:
        cxr_ref_conv_backward(dx, grads + cxr_graph_param(p->g, node, CXR_WEIGHT)->offset, dy, x, param(p, node, CXR_WEIGHT),
                              &s, doubles(p, p->scratch));
        return;
    case CXR_OP_BATCHNORM: backward_batchnorm(p, node, grads); return;
    case CXR_OP_RELU: cxr_ref_relu_backward(dx, dy, y, count); return;
    case CXR_OP_ADD:
        cxr_ref_accumulate(dx, dy, count);
        cxr_ref_accumulate(gradient(p, v->in[1]), dy, count);
        return;
    case CXR_OP_MAXPOOL: cxr_ref_maxpool_backward(dx, dy, x, &s); return;
    case CXR_OP_AVGPOOL: cxr_ref_avgpool_backward(dx, dy, count, hw); return;
    case CXR_OP_LINEAR: backward_linear(p, node, grads); return;
    case CXR_OP_DROPOUT: cxr_ref_dropout_backward(dx, dy, count, rate_of(p, node), p->key, node); return;
    case CXR_OP_LOGSOFTMAX: cxr_ref_logsoftmax_backward(dx, dy, y, (size_t)p->n, (size_t)in.c, hw); return;
    }
}

static cxr_status program_backward(cxr_program *program, const cxr_tensor *dout, float *grads, cxr_error *err)
{
    ref_program *p = (ref_program *)program;
    const ref_tensor *t = NULL;
    if (p->mode == CXR_INFER) return cxr_fail(err, CXR_EINTERNAL, "reference backend: backward of an inference program");
    if (p->n == 0) return cxr_fail(err, CXR_EINTERNAL, "reference backend: backward before forward");
    const cxr_status st = tensor_check(&t, dout, "output gradient", p->out.shape, p->max_batch, err);
    if (st != CXR_OK) return st;
    if (t->n != p->n)
        return cxr_fail(err, CXR_EINTERNAL, "reference backend: output gradient of %d images after a forward of %d", t->n,
                        p->n);
    const size_t input = batch_count(p, p->input, p->n) * sizeof(float);
    if (p->mode == CXR_EXPLAIN) memset(gradient(p, p->input), 0, input);
    for (int i = p->first; i < p->last; i++) memset(gradient(p, i), 0, batch_count(p, i, p->n) * sizeof(float));
    memcpy(gradient(p, p->last), t->data, batch_count(p, p->last, p->n) * sizeof(float));
    for (int i = p->last; i >= p->first; i--) backward_node(p, i, p->mode == CXR_EXPLAIN ? p->unused : grads);
    if (p->mode == CXR_EXPLAIN) memcpy(grads, gradient(p, p->input), input);
    return CXR_OK;
}

const cxr_backend cxr_backend_reference = {
    .name = "reference",
    .tensor_new = tensor_new,
    .tensor_free = tensor_free,
    .tensor_write = tensor_write,
    .tensor_read = tensor_read,
    .keep_form = keep_form,
    .keep_new = keep_new,
    .keep_save = keep_save,
    .keep_load = tensor_write,
    .compile = program_compile,
    .refresh = program_refresh,
    .forward = program_forward,
    .backward = program_backward,
    .arena_bytes = program_arena_bytes,
    .close = program_close,
};
