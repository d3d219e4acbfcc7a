#include "bench/work.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/loss.h"
#include <math.h>
#include <string.h>

#define LEARNING_RATE 1e-9f /* parameters stay where they are, however many steps are timed */

static int last_node(const cxr_work *w)
{
    return w->what.model->graph.node_count - 1;
}

static cxr_compile_opts compile_opts(const cxr_work *w, cxr_mode mode)
{
    return (cxr_compile_opts){.mode = mode,
                              .max_batch = w->what.batch,
                              .threads = w->what.threads,
                              .precision = w->what.precision,
                              .deterministic = w->what.opts->deterministic,
                              .cache_dir = w->what.opts->cache_dir,
                              .producer = w->frozen};
}

/* Each picture, transformed, at its places in the batch. */
static cxr_status fill_pixels(cxr_work *w, size_t each, cxr_error *err)
{
    const cxr_pictures *p = w->what.pictures;
    const cxr_preprocess *pre = &w->what.model->preprocess;
    const size_t batch = (size_t)w->what.batch;
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < p->count && i < batch && st == CXR_OK; i++) {
        cxr_image image = {0};
        st = cxr_picture_decode(&image, p, i, pre, err);
        for (size_t k = i; k < batch && st == CXR_OK; k += p->count)
            st = cxr_image_to_input(w->pixels + k * each, &image, pre, NULL, 0, err);
        cxr_image_free(&image);
    }
    return st;
}

static cxr_status fill_input(cxr_work *w, cxr_error *err)
{
    const cxr_shape shape = w->what.model->graph.nodes[0].shape;
    const size_t each = cxr_shape_count(shape), classes = (size_t)w->what.model->class_count;
    w->pixels = cxr_mem_new((size_t)w->what.batch, each);
    w->logp = cxr_mem_new((size_t)w->what.batch, classes * sizeof(float));
    if (w->pixels == NULL || w->logp == NULL) return cxr_mem_fail(err, "a batch");
    cxr_status st = fill_pixels(w, each, err);
    if (st == CXR_OK) st = w->backend->tensor_new(&w->input, CXR_U8, w->what.batch, shape, err);
    return st == CXR_OK ? w->backend->tensor_write(w->input, w->what.batch, w->pixels, err) : st;
}

static cxr_status open_limit(cxr_work *w, int first, int last, cxr_mode mode, cxr_error *err)
{
    const cxr_compile_opts o = compile_opts(w, mode);
    if (!w->what.opts->limit) return CXR_OK;
    const cxr_status st = cxr_conv_limit_open(&w->limit, &w->what.model->graph, first, last, &o, w->what.hooks, NULL);
    if (st == CXR_ESTOPPED) return cxr_fail(err, st, "stopped");
    return st == CXR_EUNAVAILABLE ? CXR_OK : st == CXR_OK ? st : cxr_fail(err, st, "convolutions alone cannot be timed");
}

static cxr_status open_training(cxr_work *w, cxr_error *err)
{
    const cxr_graph *g = &w->what.model->graph;
    const size_t batch = (size_t)w->what.batch, classes = (size_t)w->what.model->class_count;
    cxr_train_opts adam;
    cxr_train_opts_default(&adam);
    w->grads = cxr_mem_new(g->float_count, sizeof(float));
    w->dlogp = cxr_mem_new(batch * classes, sizeof(float));
    w->labels = cxr_mem_new(batch, sizeof *w->labels);
    if (w->grads == NULL || w->dlogp == NULL || w->labels == NULL) return cxr_mem_fail(err, "a training step");
    for (size_t i = 0; i < batch; i++) w->labels[i] = (int)(i % classes);
    cxr_status st = cxr_optim_open(&w->optim, g, w->what.cut, &adam, err);
    if (st == CXR_OK) st = w->backend->tensor_new(&w->dout, CXR_F32, w->what.batch, g->nodes[last_node(w)].shape, err);
    return st;
}

static cxr_status open_network(cxr_work *w, cxr_error *err)
{
    const cxr_graph *g = &w->what.model->graph;
    float *params = w->what.model->params;
    const bool train = w->what.kind == CXR_WORK_TRAIN;
    const int first = train ? w->what.cut + 1 : 1, last = w->what.kind == CXR_WORK_FROZEN ? w->what.cut : last_node(w);
    if (w->what.kind == CXR_WORK_FROZEN && g->nodes[w->what.cut].op == CXR_OP_NORMALIZE)
        return cxr_fail(err, CXR_EUNAVAILABLE, "nothing is frozen");
    cxr_status st = fill_input(w, err);
    cxr_compile_opts o = compile_opts(w, CXR_INFER);
    if (st == CXR_OK && train) st = w->backend->compile(&w->frozen, g, 1, w->what.cut, params, &o, err);
    o = compile_opts(w, train ? CXR_TRAIN : CXR_INFER);
    if (st == CXR_OK) st = w->backend->compile(&w->program, g, first, last, params, &o, err);
    if (st == CXR_OK && train) st = open_training(w, err);
    return st == CXR_OK ? open_limit(w, first, last, o.mode, err) : st;
}

static cxr_status open_images(cxr_work *w, cxr_error *err)
{
    const cxr_pictures *p = w->what.pictures;
    cxr_status st = CXR_OK;
    w->images = cxr_mem_new(p->count, sizeof *w->images);
    if (w->images == NULL) return cxr_mem_fail(err, "pictures");
    for (size_t i = 0; i < p->count && st == CXR_OK; i++)
        st = cxr_picture_decode(&w->images[i], p, i, &w->what.model->preprocess, err);
    return st;
}

cxr_status cxr_work_open(cxr_work *w, const cxr_work_for *what, cxr_error *err)
{
    *w = (cxr_work){.what = *what, .backend = &cxr_backend_cpu};
    cxr_status st = CXR_OK;
    if (what->kind == CXR_WORK_TRANSFORM) st = open_images(w, err);
    if (what->kind > CXR_WORK_TRANSFORM) st = open_network(w, err);
    if (st != CXR_OK) cxr_work_close(w);
    return st;
}

void cxr_work_close(cxr_work *w)
{
    if (w->backend != NULL) {
        w->backend->close(&w->program);
        w->backend->close(&w->frozen);
        w->backend->tensor_free(&w->input);
        w->backend->tensor_free(&w->dout);
    }
    for (size_t i = 0; w->images != NULL && i < w->what.pictures->count; i++) cxr_image_free(&w->images[i]);
    cxr_conv_limit_close(&w->limit);
    cxr_optim_close(&w->optim);
    void *const owned[] = {w->images, w->grads, w->logp, w->dlogp, w->pixels, w->labels};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) cxr_mem_free(owned[i]);
    *w = (cxr_work){0};
}

size_t cxr_work_bytes(const cxr_work *w)
{
    size_t sum = 0;
    if (w->frozen != NULL) sum += w->backend->arena_bytes(w->frozen);
    if (w->program != NULL) sum += w->backend->arena_bytes(w->program);
    if (w->program != NULL) sum += 2 * w->what.model->graph.float_count * sizeof(float); /* weights in the kernels' layouts */
    if (w->limit != NULL) sum += cxr_conv_limit_bytes(w->limit);
    return sum + 3 * w->optim.count * sizeof(float);
}

/* ---- One run: seconds are added to each stage's ---- */

/* The answers are read too, as whoever asks for them would. */
static cxr_status run_inference(cxr_work *w, double seconds[CXR_STAGES], cxr_error *err)
{
    const bool whole = w->what.kind == CXR_WORK_FORWARD;
    const cxr_tensor *out = NULL;
    const double start = cxr_now();
    cxr_status st = w->backend->forward(w->program, w->input, 0, &out, err);
    if (st == CXR_OK && whole) st = w->backend->tensor_read(out, w->logp, err);
    seconds[whole ? CXR_STAGE_FORWARD : CXR_STAGE_FROZEN] += cxr_now() - start;
    return st;
}

static cxr_status run_backward(cxr_work *w, cxr_error *err)
{
    const cxr_loss loss = {.classes = w->what.model->class_count};
    const double value = cxr_loss_nll(&loss, w->logp, w->labels, w->what.batch, w->dlogp);
    if (!isfinite(value)) return cxr_fail(err, CXR_EDATA, "the loss is not a finite number");
    memset(w->grads + w->optim.first, 0, w->optim.count * sizeof(float));
    const cxr_status st = w->backend->tensor_write(w->dout, w->what.batch, w->dlogp, err);
    return st == CXR_OK ? w->backend->backward(w->program, w->dout, w->grads, err) : st;
}

/* A training step as the trainer takes it, the frozen part apart. */
static cxr_status run_step(cxr_work *w, double seconds[CXR_STAGES], cxr_error *err)
{
    const cxr_tensor *features = NULL, *logp = NULL;
    cxr_status st = w->backend->forward(w->frozen, w->input, 0, &features, err);
    if (st != CXR_OK) return st;
    const double start = cxr_now();
    st = w->backend->forward(w->program, features, cxr_rng_key(1, CXR_FOR_DROPOUT, 1, w->steps++), &logp, err);
    if (st == CXR_OK) st = w->backend->tensor_read(logp, w->logp, err);
    const double forward = cxr_now();
    if (st == CXR_OK) st = run_backward(w, err);
    const double backward = cxr_now();
    if (st != CXR_OK) return st;
    cxr_optim_step(&w->optim, w->what.model->params, w->grads, LEARNING_RATE);
    st = w->backend->refresh(w->program, err);
    const double end = cxr_now();
    seconds[CXR_STAGE_TRAIN_FORWARD] += forward - start;
    seconds[CXR_STAGE_TRAIN_BACKWARD] += backward - forward;
    seconds[CXR_STAGE_OPTIMIZER] += end - backward;
    seconds[CXR_STAGE_STEP] += end - start;
    return st;
}

static cxr_status run_once(cxr_work *w, double seconds[CXR_STAGES], cxr_error *err)
{
    return w->what.kind == CXR_WORK_TRAIN ? run_step(w, seconds, err) : run_inference(w, seconds, err);
}

/* ---- One round ---- */

static cxr_status time_network(cxr_work *w, cxr_times *t, cxr_error *err)
{
    double warm[CXR_STAGES] = {0}, sum[CXR_STAGES] = {0}, forward = NAN, backward = NAN;
    int runs = 0;
    cxr_status st = run_once(w, warm, err);
    for (const double start = cxr_now(); st == CXR_OK && (runs == 0 || cxr_now() - start < w->what.opts->seconds); runs++)
        st = run_once(w, sum, err);
    if (st == CXR_OK && w->limit != NULL) st = cxr_conv_limit_time(w->limit, w->what.opts->seconds, &forward, &backward, err);
    for (int i = 0; i < CXR_STAGES; i++) t->stage[i] = sum[i] / runs;
    t->limit[CXR_STAGE_FORWARD] = t->limit[CXR_STAGE_FROZEN] = t->limit[CXR_STAGE_TRAIN_FORWARD] = forward;
    t->limit[CXR_STAGE_TRAIN_BACKWARD] = backward;
    t->limit[CXR_STAGE_STEP] = forward + backward;
    return st;
}

cxr_status cxr_work_round(cxr_work *w, cxr_times *t, cxr_error *err)
{
    for (int i = 0; i < CXR_STAGES; i++) t->stage[i] = t->limit[i] = NAN;
    switch (w->what.kind) {
    case CXR_WORK_DECODE: return cxr_pictures_time(&w->what, NULL, &t->stage[CXR_STAGE_DECODE], err);
    case CXR_WORK_TRANSFORM: return cxr_pictures_time(&w->what, w->images, &t->stage[CXR_STAGE_TRANSFORM], err);
    case CXR_WORK_FORWARD:
    case CXR_WORK_FROZEN:
    case CXR_WORK_TRAIN: break;
    }
    return time_network(w, t, err);
}
