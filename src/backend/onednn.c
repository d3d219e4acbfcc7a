/* The CPU backend, on oneDNN: tensors and programs.
 * Work runs on an OpenMP team of o->threads, set for the calling thread during each call. */
#include "backend/onednn.h"
#include "backend/onednn_choice.h"
#include "base/mem.h"
#include <string.h>

/* ---- Tensors ---- */

static dnnl_memory_desc_t host_md(cxr_dtype type, int n, cxr_shape shape)
{
    dnnl_memory_desc_t md = cxr_md_plain(n, shape);
    if (type == CXR_U8) md.data_type = dnnl_u8;
    return md;
}

static size_t element_bytes(cxr_dtype type)
{
    return type == CXR_U8 ? sizeof(uint8_t) : sizeof(float);
}

static cxr_status tensor_new(cxr_tensor **out, cxr_dtype type, int max_batch, cxr_shape shape, cxr_error *err)
{
    *out = NULL;
    if (max_batch < 1 || shape.c < 1 || shape.h < 1 || shape.w < 1)
        return cxr_fail(err, CXR_EINTERNAL, "cpu backend: a tensor of %d x (%d, %d, %d) is empty", max_batch, shape.c, shape.h,
                        shape.w);
    cxr_tensor *t = cxr_mem_new(1, sizeof *t);
    if (t == NULL) return cxr_mem_fail(err, "a tensor");
    *t = (cxr_tensor){.backend = &cxr_backend_cpu, .type = type, .shape = shape, .max_batch = max_batch};
    t->data = cxr_mem_new_aligned((size_t)max_batch * cxr_shape_count(shape), element_bytes(type));
    if (t->data == NULL) {
        cxr_mem_free(t);
        return cxr_mem_fail(err, "a tensor");
    }
    *out = t;
    return CXR_OK;
}

static void tensor_free(cxr_tensor **t)
{
    if (t == NULL || *t == NULL) return;
    cxr_mem_free((*t)->data);
    cxr_mem_free(*t);
    *t = NULL;
}

static cxr_status tensor_write(cxr_tensor *t, int n, const void *host, cxr_error *err)
{
    if (n < 1 || n > t->max_batch)
        return cxr_fail(err, CXR_EINTERNAL, "cpu backend: %d images do not fit a tensor of %d", n, t->max_batch);
    memcpy(t->data, host, (size_t)n * cxr_shape_count(t->shape) * element_bytes(t->type));
    t->n = n;
    t->md = host_md(t->type, n, t->shape);
    return CXR_OK;
}

static dnnl_status_t reorder_out(const cxr_tensor *t, const dnnl_memory_desc_t *md, void *host, dnnl_engine_t engine)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t st = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (st == dnnl_success) st = dnnl_reorder_primitive_desc_create(&pd, &t->md, engine, md, engine, NULL);
    if (st == dnnl_success) st = dnnl_primitive_create(&reorder, pd);
    if (st == dnnl_success) st = dnnl_memory_create(&from, &t->md, engine, t->data);
    if (st == dnnl_success) st = dnnl_memory_create(&to, md, engine, host);
    if (st == dnnl_success) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
        st = dnnl_primitive_execute(reorder, stream, 2, args);
    }
    if (st == dnnl_success) st = dnnl_stream_wait(stream);
    (void)dnnl_memory_destroy(to);
    (void)dnnl_memory_destroy(from);
    (void)dnnl_primitive_destroy(reorder);
    (void)dnnl_primitive_desc_destroy(pd);
    (void)dnnl_stream_destroy(stream);
    return st;
}

cxr_status cxr_tensor_reorder(const cxr_tensor *t, const dnnl_memory_desc_t *md, void *host, cxr_error *err)
{
    dnnl_engine_t engine = NULL;
    dnnl_status_t st = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (st == dnnl_success) st = reorder_out(t, md, host, engine);
    (void)dnnl_engine_destroy(engine);
    return st == dnnl_success ? CXR_OK : cxr_dnnl_fail(err, st, "reading", "a tensor");
}

static cxr_status tensor_read(const cxr_tensor *t, float *host, cxr_error *err)
{
    if (t->n < 1) return cxr_fail(err, CXR_EINTERNAL, "cpu backend: the tensor to read holds nothing");
    const dnnl_memory_desc_t plain = cxr_md_plain(t->n, t->shape);
    if (cxr_md_same(&t->md, &plain)) {
        memcpy(host, t->data, (size_t)t->n * cxr_shape_count(t->shape) * sizeof *host);
        return CXR_OK;
    }
    return cxr_tensor_reorder(t, &plain, host, err);
}

/* ---- Programs ---- */

static void program_close(cxr_program **program)
{
    if (program == NULL || *program == NULL) return;
    cxr_program *p = *program;
    cxr_sections_free(p);
    cxr_reordered_free(p);
    cxr_choices_free(p->choices);
    (void)dnnl_stream_destroy(p->stream);
    (void)dnnl_engine_destroy(p->engine);
    cxr_mem_free(p);
    *program = NULL;
}

/* The layout that full batches are expected in: the producer's output, pixels, or plain floats. */
static dnnl_memory_desc_t expected_input(const cxr_program *p)
{
    const cxr_shape shape = p->g->nodes[p->input].shape;
    const cxr_program *from = p->o.producer;
    if (from == NULL || from->backend != p->backend)
        return host_md(p->g->nodes[p->first].op == CXR_OP_NORMALIZE ? CXR_U8 : CXR_F32, p->o.max_batch, shape);
    return cxr_md_images(from->out.md, p->o.max_batch);
}

static cxr_status choose_int8(cxr_program *p, cxr_error *err)
{
    bool ready = false;
    p->type = dnnl_u8;
    if (!cxr_has_int8())
        return cxr_fail(err, CXR_EUNAVAILABLE, "cpu backend: int8 needs a processor with AVX512_VNNI: use f32");
    const cxr_status st = p->o.mode == CXR_INFER ? cxr_int8_ready(p->g, p->first, p->last, &ready, err) : CXR_OK;
    if (st != CXR_OK || ready) return st;
    return cxr_fail(err, CXR_EUNAVAILABLE,
                    "cpu backend: int8 runs inference of calibrated models only: `cxr quantize` makes one");
}

/* What the program computes in. */
static cxr_status choose_type(cxr_program *p, cxr_error *err)
{
    p->type = dnnl_f32;
    switch (p->o.precision) {
    case CXR_PRECISION_F32: return CXR_OK;
    case CXR_PRECISION_AUTO:
        if (p->o.mode == CXR_INFER && cxr_has_bf16()) p->type = dnnl_bf16;
        return CXR_OK;
    case CXR_PRECISION_BF16:
        if (p->o.mode == CXR_EXPLAIN)
            return cxr_fail(err, CXR_EUNAVAILABLE, "cpu backend: gradients of the input are computed in f32 only");
        if (!cxr_has_bf16())
            return cxr_fail(err, CXR_EUNAVAILABLE, "cpu backend: bf16 needs a processor with AVX512_BF16 or AMX: use f32");
        p->type = dnnl_bf16;
        return CXR_OK;
    case CXR_PRECISION_INT8: return choose_int8(p, err);
    }
    return cxr_fail(err, CXR_EUSAGE, "cpu backend: unknown precision %d", (int)p->o.precision);
}

static cxr_status open_program(cxr_program *p, cxr_error *err)
{
    dnnl_status_t st = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    if (st == dnnl_success) st = dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags);
    if (st != dnnl_success) return cxr_dnnl_fail(err, st, "the start", "a program");
    const dnnl_memory_desc_t in_md = expected_input(p);
    const int team = cxr_team_take(p->o.threads);
    const cxr_status status = cxr_sections_plan(p, &in_md, err);
    cxr_team_restore(team);
    return status;
}

static cxr_status program_compile(cxr_program **out, const cxr_graph *g, int first, int last, float *params,
                                  const cxr_compile_opts *o, cxr_error *err)
{
    *out = NULL;
    cxr_status st = cxr_check_span(&cxr_backend_cpu, g, first, last, o, err);
    if (st != CXR_OK) return st;
    cxr_program *p = cxr_mem_new(1, sizeof *p);
    if (p == NULL) return cxr_mem_fail(err, "a program");
    *p = (cxr_program){.backend = &cxr_backend_cpu, .g = g, .first = first, .last = last, .params = params, .o = *o};
    p->input = cxr_span_input(g, first, last);
    p->out = (cxr_tensor){.backend = p->backend, .type = CXR_F32, .shape = g->nodes[last].shape, .max_batch = o->max_batch};
    st = choose_type(p, err);
    if (st == CXR_OK) st = cxr_choices_open(&p->choices, p, err);
    if (st == CXR_OK) cxr_sections_choose(p);
    if (st == CXR_OK) st = open_program(p, err);
    p->o.producer = NULL; /* may close before this program does */
    p->o.cache_dir = NULL;
    if (st != CXR_OK) program_close(&p);
    *out = p;
    return st;
}

static cxr_status program_refresh(cxr_program *p, cxr_error *err)
{
    const int team = cxr_team_take(p->o.threads);
    const cxr_status st = cxr_weights_refresh(p, true, err);
    cxr_team_restore(team);
    return st;
}

static cxr_status check_tensor(const cxr_program *p, const cxr_tensor *t, const char *what, cxr_shape shape, cxr_error *err)
{
    if (t->backend != p->backend) return cxr_fail(err, CXR_EINTERNAL, "cpu backend: the %s belongs to another backend", what);
    return cxr_check_images(p->backend, what, t->shape, shape, t->n, p->o.max_batch, err);
}

static cxr_status check_input(const cxr_program *p, const cxr_tensor *in, cxr_error *err)
{
    const cxr_status st = check_tensor(p, in, "input", p->g->nodes[p->input].shape, err);
    if (st != CXR_OK) return st;
    if (p->g->nodes[p->first].op == CXR_OP_NORMALIZE && in->type != CXR_U8)
        return cxr_fail(err, CXR_EINTERNAL, "cpu backend: the input is not 8-bit pixels");
    return CXR_OK;
}

static cxr_status program_forward(cxr_program *p, const cxr_tensor *in, uint64_t key, const cxr_tensor **out, cxr_error *err)
{
    *out = NULL;
    p->ran = NULL;
    cxr_status st = check_input(p, in, err);
    if (st == CXR_OK && p->o.mode == CXR_TRAIN) st = cxr_check_statistics(p->g, p->first, p->last, in->n, err);
    if (st != CXR_OK) return st;
    p->key = key;
    const int team = cxr_team_take(p->o.threads);
    st = cxr_sections_run(p, in, err);
    cxr_team_restore(team);
    if (st == CXR_OK) *out = &p->out;
    return st;
}

static cxr_status program_backward(cxr_program *p, const cxr_tensor *dout, float *grads, cxr_error *err)
{
    if (p->o.mode == CXR_INFER) return cxr_fail(err, CXR_EINTERNAL, "cpu backend: backward of an inference program");
    if (p->ran == NULL) return cxr_fail(err, CXR_EINTERNAL, "cpu backend: backward before forward");
    cxr_status st = check_tensor(p, dout, "output gradient", p->out.shape, err);
    if (st != CXR_OK) return st;
    const dnnl_memory_desc_t plain = cxr_md_plain(p->ran->n, p->out.shape);
    if (!cxr_md_same(&dout->md, &plain))
        return cxr_fail(err, CXR_EINTERNAL, "cpu backend: the output gradient is no host tensor of %d images", p->ran->n);
    char *const bases[CXR_BASES] = {[CXR_AT_ARENA] = p->arena, [CXR_AT_DOUT] = dout->data, [CXR_AT_GRADS] = (char *)grads};
    const int team = cxr_team_take(p->o.threads);
    st = cxr_plan_run(p->ran, p, CXR_BACKWARD_DATA, bases, err);
    cxr_team_restore(team);
    return st;
}

static size_t program_arena_bytes(const cxr_program *p)
{
    return p->arena_bytes;
}

void cxr_onednn_kernels(const cxr_program *p, void (*row)(void *user, const cxr_node *node, const char *kernel), void *user)
{
    const cxr_plan *plan = p->plans;
    for (int section = 0; section < p->section_count; section++, plan = plan->next) {
        for (int i = 0; i < plan->step_count; i++) {
            const cxr_step *s = &plan->steps[i];
            const_dnnl_primitive_desc_t pd = NULL;
            if (s->primitive == NULL || dnnl_primitive_get_primitive_desc(s->primitive, &pd) != dnnl_success) continue;
            row(user, &p->g->nodes[s->node], cxr_desc_kernel(pd));
        }
    }
}

size_t cxr_onednn_weight_bytes(const cxr_program *p)
{
    size_t bytes = 0;
    for (const cxr_weight *w = p->weights; w != NULL; w = w->next) bytes += dnnl_memory_desc_get_size(&w->md);
    return bytes;
}

const cxr_backend cxr_backend_cpu = {
    .name = "cpu",
    .tensor_new = tensor_new,
    .tensor_free = tensor_free,
    .tensor_write = tensor_write,
    .tensor_read = tensor_read,
    .keep_form = cxr_keep_form,
    .keep_new = cxr_keep_new,
    .keep_save = cxr_keep_save,
    .keep_load = cxr_keep_load,
    .compile = program_compile,
    .refresh = program_refresh,
    .forward = program_forward,
    .backward = program_backward,
    .arena_bytes = program_arena_bytes,
    .close = program_close,
};
