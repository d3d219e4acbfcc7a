#include "eval/predict.h"
#include "backend/backend.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/files.h"
#include "data/loader.h"
#include "data/perturb.h"
#include "data/tta.h"
#include "eval/fit.h"
#include "model/model.h"
#include <math.h>
#include <string.h>

#define BATCHES_AHEAD 3

void cxr_run_opts_default(cxr_run_opts *o)
{
    *o = (cxr_run_opts){.batch_size = 64, .device = CXR_DEVICE_AUTO};
    cxr_limits_default(&o->limits);
}

/* A model ready to run: loader -> input -> program of each member -> probabilities. */
typedef struct runner {
    const cxr_model *model;
    const cxr_backend *backend;
    cxr_program **programs;
    int members;
    cxr_tensor *input;
    cxr_loader *loader;
    float *own, *probabilities; /* (batch, squares of an image, classes): a member's, and the members' mean */
    uint32_t *order;
    bool average; /* over the squares of an image */
} runner;

static void runner_close(runner *r)
{
    cxr_loader_close(&r->loader);
    if (r->backend != NULL) {
        for (int i = 0; i < r->members; i++) r->backend->close(&r->programs[i]);
        r->backend->tensor_free(&r->input);
    }
    cxr_mem_free(r->programs);
    cxr_mem_free(r->own);
    cxr_mem_free(r->probabilities);
    cxr_mem_free(r->order);
}

static cxr_status open_compute(runner *r, int batch, int threads, const cxr_run_opts *run, cxr_error *err)
{
    const cxr_compile_opts o = {.mode = CXR_INFER,
                                .max_batch = batch,
                                .threads = threads,
                                .precision = run->precision,
                                .deterministic = run->deterministic,
                                .cache_dir = run->cache_dir};
    cxr_status st = cxr_backend_find(&r->backend, run->device, err);
    if (st != CXR_OK) return st;
    int members = 0;
    for (const cxr_model *m = r->model; m != NULL; m = m->next) members++;
    r->programs = cxr_mem_new((size_t)members, sizeof *r->programs);
    if (r->programs == NULL) return cxr_mem_fail(err, "the models' programs");
    for (const cxr_model *m = r->model; m != NULL && st == CXR_OK; m = m->next)
        st = r->backend->compile(&r->programs[r->members++], &m->graph, 1, m->graph.node_count - 1, m->params, &o, err);
    if (st == CXR_OK) st = r->backend->tensor_new(&r->input, CXR_U8, batch, r->model->graph.nodes[0].shape, err);
    return st;
}

/* Images at once: with several squares of each, about as many squares as else. */
static int batch_of(const cxr_run_opts *o, size_t count, int views)
{
    const int most = o->batch_size > views ? o->batch_size / views : 1;
    return count < (size_t)most ? (int)count : most;
}

static cxr_status open_runner(runner *r, const cxr_model *m, const char *const *paths, size_t count, const cxr_squares *squares,
                              const cxr_run_opts *o, cxr_error *err)
{
    *r = (runner){.model = m, .average = o->tta != CXR_TTA_NONE};
    if (o->batch_size < 1 || o->batch_size > 1024 || o->threads < 0)
        return cxr_fail(err, CXR_EUSAGE, "batch size %d (1 to 1024) or thread count %d (0 or more) is out of range",
                        o->batch_size, o->threads);
    const int views = squares != NULL ? squares->count : 1, batch = batch_of(o, count, views), rows = batch * views;
    const int threads = o->threads > 0 ? o->threads : cxr_thread_grant();
    const cxr_loader_opts lo = {.paths = paths,
                                .count = count,
                                .preprocess = &m->preprocess,
                                .limits = o->limits,
                                .batch_size = batch,
                                .threads = (size_t)threads < count ? threads : (int)count,
                                .ahead = BATCHES_AHEAD,
                                .squares = squares,
                                .cache = CXR_CACHE_OFF};
    cxr_status st = cxr_loader_open(&r->loader, &lo, err);
    if (st != CXR_OK) return st;
    r->own = cxr_mem_new((size_t)rows * (size_t)m->class_count, sizeof(float));
    r->probabilities = cxr_mem_new((size_t)rows * (size_t)m->class_count, sizeof(float));
    r->order = cxr_mem_new(count, sizeof *r->order);
    if (r->own == NULL || r->probabilities == NULL || r->order == NULL) return cxr_mem_fail(err, "predictions");
    for (size_t i = 0; i < count; i++) r->order[i] = (uint32_t)i;
    st = cxr_loader_start(r->loader, r->order, count, 0, 0, false, err); /* it reads while the program is compiled */
    return st == CXR_OK ? open_compute(r, rows, threads, o, err) : st;
}

/* Probabilities of a batch, the mean of the members'; unreadable images are black rows here and go unused. */
static cxr_status run_batch(runner *r, const cxr_batch *b, cxr_error *err)
{
    const int rows = b->n * b->views;
    const size_t n = (size_t)rows * (size_t)r->model->class_count;
    cxr_status st = r->backend->tensor_write(r->input, rows, b->pixels, err);
    memset(r->probabilities, 0, n * sizeof *r->probabilities);
    const cxr_model *m = r->model;
    for (int k = 0; k < r->members && st == CXR_OK; k++, m = m->next) {
        const cxr_tensor *out = NULL;
        st = r->backend->forward(r->programs[k], r->input, 0, &out, err);
        if (st == CXR_OK) st = r->backend->tensor_read(out, r->own, err);
        if (st != CXR_OK) break;
        cxr_probabilities(r->own, (size_t)rows, m->class_count, m->temperature);
        for (size_t i = 0; i < n; i++) r->probabilities[i] += r->own[i];
    }
    for (size_t i = 0; i < n; i++) r->probabilities[i] /= (float)r->members;
    return st;
}

/* The mean over the views of an image, in the place of the first. */
static void average(float *p, int views, int classes)
{
    for (int c = 0; c < classes; c++) {
        double sum = 0.0;
        for (int v = 0; v < views; v++) sum += (double)p[v * classes + c];
        p[c] = (float)(sum / views);
    }
}

static cxr_status deliver(const runner *r, const cxr_batch *b, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    for (int i = 0; i < b->n; i++) {
        float *p = r->probabilities + (size_t)(i * b->views) * (size_t)r->model->class_count;
        const bool ok = b->errors[i].status == CXR_OK;
        bool good = true;
        for (int k = 0; ok && k < b->views; k++) good &= isfinite(p[k * r->model->class_count]) != 0;
        if (r->average) average(p, b->views, r->model->class_count);
        if (!good) return cxr_fail(err, CXR_EDATA, "the model gives a probability that is not a number");
        const cxr_status st = fn(user, b->index[i], &b->errors[i], ok ? p : NULL);
        if (st != CXR_OK) return cxr_fail(err, st, "%s", b->errors[i].text);
    }
    return CXR_OK;
}

static cxr_status predict(const cxr_model *m, const char *const *paths, size_t count, const cxr_squares *squares,
                          const cxr_run_opts *o, const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    if (count == 0) return CXR_OK;
    if (count > UINT32_MAX) return cxr_fail(err, CXR_ELIMIT, "%zu images at once, limit %u", count, UINT32_MAX);
    runner r;
    cxr_status st = open_runner(&r, m, paths, count, squares, o, err);
    while (st == CXR_OK) {
        cxr_batch b;
        if (cxr_stop_asked(hooks)) st = cxr_fail(err, CXR_ESTOPPED, "stopped");
        if (st == CXR_OK) st = cxr_loader_next(r.loader, &b, NULL, err);
        if (st != CXR_OK || b.n == 0) break;
        st = run_batch(&r, &b, err);
        if (st == CXR_OK) st = deliver(&r, &b, fn, user, err);
    }
    runner_close(&r);
    return st;
}

cxr_status cxr_predict_paths(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                             const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    const cxr_squares *views = cxr_tta_squares(o->tta);
    if (views == NULL) return cxr_fail(err, CXR_EUSAGE, "test-time augmentation has no value %d", (int)o->tta);
    return predict(m, paths, count, o->tta == CXR_TTA_NONE ? NULL : views, o, hooks, fn, user, err);
}

cxr_status cxr_predict_perturbed(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                                 const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    static const cxr_squares perturbed = {CXR_PERTURBATIONS, cxr_image_perturb};
    if (o->tta != CXR_TTA_NONE)
        return cxr_fail(err, CXR_EUSAGE, "perturbed images are predicted from one view each: no test-time augmentation");
    return predict(m, paths, count, &perturbed, o, hooks, fn, user, err);
}

typedef struct row_writer {
    const cxr_model *model;
    char **paths;
    void (*row)(void *user, const cxr_prediction *p);
    void *user;
} row_writer;

static cxr_status write_row(void *user, size_t index, const cxr_error *outcome, const float *probabilities)
{
    const row_writer *w = user;
    const cxr_model *m = w->model;
    cxr_prediction p = {.path = w->paths[index], .status = outcome->status, .reason = outcome->text, .predicted = -1};
    if (outcome->status == CXR_OK) {
        p.probabilities = probabilities;
        p.predicted = cxr_decide(probabilities, m->class_count, m->positive, m->threshold);
    }
    w->row(w->user, &p);
    return CXR_OK;
}

cxr_status cxr_predict(const cxr_model *model, const char *const *paths, size_t count, const cxr_run_opts *opts,
                       const cxr_hooks *hooks, void (*row)(void *user, const cxr_prediction *p), void *user, cxr_error *err)
{
    cxr_files files;
    cxr_status st = cxr_files_list(&files, paths, count, err);
    if (st != CXR_OK) return st;
    row_writer w = {.model = model, .paths = files.paths, .row = row, .user = user};
    st = cxr_predict_paths(model, (const char *const *)files.paths, files.count, opts, hooks, write_row, &w, err);
    cxr_files_free(&files);
    return st;
}
