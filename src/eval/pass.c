#include "eval/pass.h"
#include "backend/backend.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/loader.h"
#include "eval/features.h"
#include "eval/fit.h"
#include "model/model.h"
#include <math.h>
#include <string.h>

#define BATCHES_AHEAD 3

/* The programs of one model: the whole network, or, where features are wanted, backbone and head. */
typedef struct member {
    cxr_program *first, *head; /* head NULL: not wanted, or within first */
    size_t width;              /* of its features */
} member;

typedef struct runner {
    const cxr_model *model;
    const cxr_pass *want;
    const cxr_backend *backend;
    member *members;
    int count; /* of members */
    cxr_tensor *input;
    cxr_loader *loader;
    float *own, *probabilities; /* (batch, squares of an image, classes): a member's, and the members' mean */
    float *pooled, *features;   /* (batch, squares of an image, width): a member's; (batch, widths): of first views */
    size_t width;               /* of all members' features */
    uint32_t *order;
} runner;

/* ---- Opening and closing ---- */

static void runner_close(runner *r)
{
    cxr_loader_close(&r->loader);
    if (r->backend != NULL) {
        for (int i = 0; i < r->count; i++) {
            r->backend->close(&r->members[i].head);
            r->backend->close(&r->members[i].first);
        }
        r->backend->tensor_free(&r->input);
    }
    cxr_mem_free(r->members);
    cxr_mem_free(r->own);
    cxr_mem_free(r->probabilities);
    cxr_mem_free(r->pooled);
    cxr_mem_free(r->features);
    cxr_mem_free(r->order);
}

/* The head is little work, and f32 in every precision, as it is in a program that is not cut. */
static cxr_status open_member(const runner *r, member *to, const cxr_model *m, const cxr_compile_opts *o, cxr_error *err)
{
    const cxr_graph *g = &m->graph;
    const int last = g->node_count - 1, cut = r->want->features ? cxr_feature_node(m) : last;
    to->width = cxr_feature_width(m);
    cxr_status st = r->backend->compile(&to->first, g, 1, cut, m->params, o, err);
    if (st != CXR_OK || !r->want->probabilities || cut == last) return st;
    cxr_compile_opts head = *o;
    head.precision = CXR_PRECISION_F32;
    head.producer = to->first;
    return r->backend->compile(&to->head, g, cut + 1, last, m->params, &head, err);
}

static cxr_status open_compute(runner *r, int rows, int threads, const cxr_run_opts *run, cxr_error *err)
{
    const cxr_compile_opts o = {.mode = CXR_INFER,
                                .max_batch = rows,
                                .threads = threads,
                                .precision = run->precision,
                                .deterministic = run->deterministic,
                                .cache_dir = run->cache_dir};
    cxr_status st = cxr_backend_find(&r->backend, run->device, err);
    if (st != CXR_OK) return st;
    int members = 0;
    for (const cxr_model *m = r->model; m != NULL; m = m->next) members++;
    r->members = cxr_mem_new((size_t)members, sizeof *r->members);
    if (r->members == NULL) return cxr_mem_fail(err, "the models' programs");
    for (const cxr_model *m = r->model; m != NULL && st == CXR_OK; m = m->next)
        st = open_member(r, &r->members[r->count++], m, &o, err);
    if (st == CXR_OK) st = r->backend->tensor_new(&r->input, CXR_U8, rows, r->model->graph.nodes[0].shape, err);
    return st;
}

/* Images at once: with several squares of each, about as many squares as else. */
static int batch_of(const cxr_run_opts *o, size_t count, int views)
{
    const int most = o->batch_size > views ? o->batch_size / views : 1;
    return count < (size_t)most ? (int)count : most;
}

/* Room for what is wanted of `rows` squares of `batch` images, and for the order of `count`. */
static cxr_status allocate(runner *r, size_t batch, size_t rows, size_t count, cxr_error *err)
{
    const size_t classes = (size_t)r->model->class_count;
    size_t widest = 0;
    for (const cxr_model *m = r->model; m != NULL; m = m->next) {
        const size_t width = cxr_feature_width(m);
        widest = width > widest ? width : widest;
        r->width += width;
    }
    r->own = cxr_mem_new(rows * classes, sizeof(float));
    r->probabilities = cxr_mem_new(rows * classes, sizeof(float));
    r->order = cxr_mem_new(count, sizeof *r->order);
    if (r->own == NULL || r->probabilities == NULL || r->order == NULL) return cxr_mem_fail(err, "predictions");
    if (!r->want->features) return CXR_OK;
    r->pooled = cxr_mem_new(rows * widest, sizeof(float));
    r->features = cxr_mem_new(batch * r->width, sizeof(float));
    return r->pooled == NULL || r->features == NULL ? cxr_mem_fail(err, "features") : CXR_OK;
}

static cxr_status open_runner(runner *r, const cxr_model *m, const char *const *paths, size_t count, const cxr_pass *want,
                              const cxr_run_opts *o, cxr_error *err)
{
    *r = (runner){.model = m, .want = want};
    if (o->batch_size < 1 || o->batch_size > 1024 || o->threads < 0)
        return cxr_fail(err, CXR_EUSAGE, "batch size %d (1 to 1024) or thread count %d (0 or more) is out of range",
                        o->batch_size, o->threads);
    const int views = want->squares != NULL ? want->squares->count : 1, batch = batch_of(o, count, views), rows = batch * views;
    const int threads = o->threads > 0 ? o->threads : cxr_thread_grant();
    const cxr_loader_opts lo = {.paths = paths,
                                .count = count,
                                .preprocess = &m->preprocess,
                                .limits = o->limits,
                                .batch_size = batch,
                                .threads = (size_t)threads < count ? threads : (int)count,
                                .ahead = BATCHES_AHEAD,
                                .squares = want->squares,
                                .cache = CXR_CACHE_OFF};
    cxr_status st = cxr_loader_open(&r->loader, &lo, err);
    if (st == CXR_OK) st = allocate(r, (size_t)batch, (size_t)rows, count, err);
    if (st != CXR_OK) return st;
    for (size_t i = 0; i < count; i++) r->order[i] = (uint32_t)i;
    st = cxr_loader_start(r->loader, r->order, count, 0, 0, false, err); /* it reads while the program is compiled */
    return st == CXR_OK ? open_compute(r, rows, threads, o, err) : st;
}

/* ---- Batches ---- */

/* Features of a member, which stand behind those of the members before it. */
static cxr_status take_features(const runner *r, const member *k, const cxr_tensor *out, const cxr_batch *b, size_t before,
                                cxr_error *err)
{
    const cxr_status st = r->backend->tensor_read(out, r->pooled, err);
    for (int i = 0; i < b->n && st == CXR_OK; i++)
        memcpy(r->features + (size_t)i * r->width + before, r->pooled + (size_t)(i * b->views) * k->width,
               k->width * sizeof(float));
    return st;
}

static cxr_status add_probabilities(const runner *r, const cxr_model *m, const cxr_tensor *out, size_t rows, cxr_error *err)
{
    const cxr_status st = r->backend->tensor_read(out, r->own, err);
    if (st != CXR_OK) return st;
    cxr_probabilities(r->own, rows, m->class_count, m->temperature);
    for (size_t i = 0; i < rows * (size_t)m->class_count; i++) r->probabilities[i] += r->own[i];
    return CXR_OK;
}

/* Probabilities of a batch, the mean of the members'; unreadable images are black rows here and go unused. */
static cxr_status run_batch(const runner *r, const cxr_batch *b, cxr_error *err)
{
    const int rows = b->n * b->views;
    const size_t n = (size_t)rows * (size_t)r->model->class_count;
    const cxr_model *m = r->model;
    size_t before = 0;
    cxr_status st = r->backend->tensor_write(r->input, rows, b->pixels, err);
    memset(r->probabilities, 0, n * sizeof *r->probabilities);
    for (int i = 0; i < r->count && st == CXR_OK; i++, m = m->next) {
        const member *k = &r->members[i];
        const cxr_tensor *out = NULL;
        st = r->backend->forward(k->first, r->input, 0, &out, err);
        if (st == CXR_OK && r->want->features) st = take_features(r, k, out, b, before, err);
        if (st == CXR_OK && k->head != NULL) st = r->backend->forward(k->head, out, 0, &out, err);
        if (st == CXR_OK && r->want->probabilities) st = add_probabilities(r, m, out, (size_t)rows, err);
        before += k->width;
    }
    for (size_t i = 0; i < n; i++) r->probabilities[i] /= (float)r->count;
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

static bool all_finite(const float *x, size_t count, size_t step)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) good &= isfinite(x[i * step]) != 0;
    return good;
}

static cxr_status deliver(const runner *r, const cxr_batch *b, cxr_seen_fn fn, void *user, cxr_error *err)
{
    const size_t classes = (size_t)r->model->class_count, views = (size_t)b->views;
    for (size_t i = 0; i < (size_t)b->n; i++) {
        const bool ok = b->errors[i].status == CXR_OK;
        float *p = r->probabilities + i * views * classes, *f = r->want->features ? r->features + i * r->width : NULL;
        cxr_seen seen = {.index = b->index[i], .outcome = &b->errors[i]};
        if (ok && !all_finite(p, views, classes))
            return cxr_fail(err, CXR_EDATA, "the model gives a probability that is not a number");
        if (ok && f != NULL && !all_finite(f, r->width, 1))
            return cxr_fail(err, CXR_EDATA, "the model gives a feature that is not a number");
        if (ok && r->want->average) average(p, b->views, r->model->class_count);
        if (ok && r->want->probabilities) seen.probabilities = p;
        if (ok) seen.features = f;
        const cxr_status st = fn(user, &seen);
        if (st != CXR_OK) return cxr_fail(err, st, "%s", b->errors[i].text);
    }
    return CXR_OK;
}

cxr_status cxr_pass_over(const cxr_model *m, const char *const *paths, size_t count, const cxr_pass *want,
                         const cxr_run_opts *o, const cxr_hooks *hooks, cxr_seen_fn fn, void *user, cxr_error *err)
{
    if (count == 0) return CXR_OK;
    if (count > UINT32_MAX) return cxr_fail(err, CXR_ELIMIT, "%zu images at once, limit %u", count, UINT32_MAX);
    runner r;
    cxr_status st = open_runner(&r, m, paths, count, want, o, err);
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
