#include "agree.h"
#include "base/mem.h"
#include "golden.h"
#include "graph/params.h"
#include <stdio.h>

enum { KEY_INPUT = 1, KEY_DOUT, KEY_DROPOUT };

/* The span's input, pixels or values of size about 1, as a tensor of n images. */
static cxr_status input_new(cxr_tensor **out, const cxr_backend *b, const cxr_agree_case *c, cxr_error *err)
{
    const int node = cxr_span_input(c->g, c->first, c->last);
    if (node < 0) return cxr_fail(err, CXR_EINTERNAL, "the span has no single input");
    const cxr_shape shape = c->g->nodes[node].shape;
    const cxr_dtype type = c->g->nodes[node].op == CXR_OP_INPUT ? CXR_U8 : CXR_F32;
    const size_t count = (size_t)c->n * cxr_shape_count(shape);
    void *host = cxr_mem_new(count, type == CXR_U8 ? 1 : sizeof(float));
    if (host == NULL) return cxr_mem_fail(err, "a test's input");
    if (type == CXR_U8) {
        cxr_keyed_pixels(host, count, cxr_keyed(c->seed, KEY_INPUT));
    } else {
        cxr_keyed_fill(host, count, cxr_keyed(c->seed, KEY_INPUT), -1.0f, 1.0f);
    }
    cxr_status st = b->tensor_new(out, type, c->n, shape, err);
    if (st == CXR_OK) st = b->tensor_write(*out, c->n, host, err);
    cxr_mem_free(host);
    return st;
}

static cxr_status run_backward(cxr_answer *a, cxr_program *p, const cxr_backend *b, const cxr_agree_case *c, cxr_error *err)
{
    const cxr_shape shape = c->g->nodes[c->last].shape;
    const size_t count = (size_t)c->n * cxr_shape_count(shape);
    float *host = cxr_mem_new(count, sizeof *host);
    if (host == NULL) return cxr_mem_fail(err, "a test's gradient");
    cxr_keyed_fill(host, count, cxr_keyed(c->seed, KEY_DOUT), -1.0f, 1.0f);
    cxr_tensor *dout = NULL;
    cxr_status st = b->tensor_new(&dout, CXR_F32, c->n, shape, err);
    if (st == CXR_OK) st = b->tensor_write(dout, c->n, host, err);
    if (st == CXR_OK) st = b->backward(p, dout, c->mode == CXR_TRAIN ? a->grads : a->din, err);
    b->tensor_free(&dout);
    cxr_mem_free(host);
    return st;
}

/* Two steps, so that a training's backward which overwrites, an explaining one which adds, or state left over from the first
 * step is seen. */
static cxr_status run(cxr_answer *a, cxr_program *p, const cxr_backend *b, const cxr_agree_case *c, cxr_error *err)
{
    cxr_tensor *in = NULL;
    const cxr_tensor *out = NULL;
    cxr_status st = input_new(&in, b, c, err);
    for (int step = 0; step < (c->mode == CXR_INFER ? 1 : 2); step++) {
        if (st == CXR_OK) st = b->forward(p, in, cxr_keyed(c->seed, KEY_DROPOUT + (uint64_t)step), &out, err);
        if (st == CXR_OK) st = b->tensor_read(out, a->out, err);
        if (st == CXR_OK && c->mode != CXR_INFER) st = run_backward(a, p, b, c, err);
    }
    b->tensor_free(&in);
    return st;
}

static size_t input_count(const cxr_agree_case *c)
{
    const int node = cxr_span_input(c->g, c->first, c->last);
    return node < 0 ? 0 : (size_t)c->n * cxr_shape_count(c->g->nodes[node].shape);
}

cxr_status cxr_answer_of(cxr_answer *a, const cxr_backend *b, const cxr_agree_case *c, cxr_error *err)
{
    *a = (cxr_answer){.params = cxr_params_new(c->g), .grads = cxr_params_new(c->g)};
    a->out = cxr_mem_new((size_t)c->n * cxr_shape_count(c->g->nodes[c->last].shape), sizeof *a->out);
    a->din = cxr_mem_new(input_count(c), sizeof *a->din);
    if (a->params == NULL || a->grads == NULL || a->out == NULL || a->din == NULL) return cxr_mem_fail(err, "a test's answer");
    cxr_keyed_params(c->g, a->params, c->seed);
    const cxr_compile_opts o = {.mode = c->mode,
                                .max_batch = c->max_batch > 0 ? c->max_batch : c->n,
                                .threads = c->threads > 0 ? c->threads : 1,
                                .precision = b == &cxr_backend_reference ? CXR_PRECISION_F32 : c->precision};
    cxr_program *p = NULL;
    cxr_status st = b->compile(&p, c->g, c->first, c->last, a->params, &o, err);
    if (st == CXR_OK) st = run(a, p, b, c, err);
    b->close(&p);
    return st;
}

void cxr_answer_free(cxr_answer *a)
{
    cxr_mem_free(a->out);
    cxr_mem_free(a->params);
    cxr_mem_free(a->grads);
    cxr_mem_free(a->din);
    *a = (cxr_answer){0};
}

static bool within(const float *got, const float *ref, size_t count, double limit, const char *what, const char *name,
                   char *report, size_t room)
{
    const cxr_gap worst = cxr_gap_of(got, ref, count);
    if (worst.gap <= limit) return true;
    (void)snprintf(report, room, "%s %s: gap %.3g over %.3g at %zu of %zu: got %.9g, reference %.9g", what, name, worst.gap,
                   limit, worst.at, count, worst.got, worst.ref);
    return false;
}

/* Root mean square of a node's weight gradients, the size against which its other gradients may be rounding noise. */
static double rms(const float *x, size_t count)
{
    double squares = 0.0;
    for (size_t i = 0; i < count; i++) squares += (double)x[i] * (double)x[i];
    return sqrt(squares / (double)count);
}

/* A bias straight before a batch norm has gradient zero: both sides hold rounding noise, which has no digits to compare. */
static bool both_noise(const cxr_agree_case *c, const cxr_answer *got, const cxr_answer *ref, const cxr_param *p)
{
    const cxr_param *w = cxr_graph_param(c->g, p->node, CXR_WEIGHT);
    if (p->role != CXR_BIAS || p->node + 1 > c->last || c->g->nodes[p->node + 1].op != CXR_OP_BATCHNORM) return false;
    const double limit = 1e-4 * rms(ref->grads + w->offset, w->count);
    return rms(got->grads + p->offset, p->count) <= limit && rms(ref->grads + p->offset, p->count) <= limit;
}

static bool parameters_agree(const cxr_agree_case *c, const cxr_answer *got, const cxr_answer *ref, char *report, size_t room)
{
    for (int i = 0; i < c->g->param_count; i++) {
        const cxr_param *p = &c->g->params[i];
        if (p->node < c->first || p->node > c->last) continue;
        if (!within(got->params + p->offset, ref->params + p->offset, p->count,
                    cxr_param_learnable(p) ? 0.0 : c->tolerance.forward, "parameter", p->name, report, room))
            return false;
        if (c->mode != CXR_TRAIN || !cxr_param_learnable(p) || both_noise(c, got, ref, p)) continue;
        if (!within(got->grads + p->offset, ref->grads + p->offset, p->count, c->tolerance.backward, "gradient", p->name,
                    report, room))
            return false;
    }
    return true;
}

bool cxr_agree(const cxr_backend *got, const cxr_backend *ref, const cxr_agree_case *c, char *report, size_t room)
{
    cxr_answer a = {0}, b = {0};
    cxr_error err = {0};
    (void)snprintf(report, room, "%s", "agree");
    cxr_status st = cxr_answer_of(&a, got, c, &err);
    if (st == CXR_OK) st = cxr_answer_of(&b, ref, c, &err);
    if (st != CXR_OK) (void)snprintf(report, room, "%s", err.text);
    const size_t count = (size_t)c->n * cxr_shape_count(c->g->nodes[c->last].shape);
    const bool good = st == CXR_OK &&
                      within(a.out, b.out, count, c->tolerance.forward, "output of", c->g->nodes[c->last].name, report, room) &&
                      within(a.din, b.din, input_count(c), c->tolerance.backward, "gradient of", "the input", report, room) &&
                      parameters_agree(c, &a, &b, report, room);
    cxr_answer_free(&a);
    cxr_answer_free(&b);
    return good;
}
