#include "eval/pass.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/loader.h"
#include "eval/engine.h"

#define BATCHES_AHEAD 3

typedef struct runner {
    const cxr_pass *want;
    cxr_engine engine;
    cxr_loader *loader;
    uint32_t *order;
} runner;

/* ---- Opening and closing ---- */

static void runner_close(runner *r)
{
    cxr_loader_close(&r->loader);
    cxr_engine_close(&r->engine);
    cxr_mem_free(r->order);
}

/* Images at once: with several squares of each, about as many squares as else. */
static int batch_of(const cxr_run_opts *o, size_t count, int views)
{
    const int most = o->batch_size > views ? o->batch_size / views : 1;
    return count < (size_t)most ? (int)count : most;
}

static cxr_status open_runner(runner *r, const cxr_model *m, const char *const *paths, size_t count, const cxr_pass *want,
                              const cxr_run_opts *o, cxr_error *err)
{
    *r = (runner){.want = want};
    if (o->batch_size < 1 || o->batch_size > 1024 || o->threads < 0)
        return cxr_fail(err, CXR_EUSAGE, "batch size %d (1 to 1024) or thread count %d (0 or more) is out of range",
                        o->batch_size, o->threads);
    const int views = want->squares != NULL ? want->squares->count : 1, batch = batch_of(o, count, views);
    const int threads = o->threads > 0 ? o->threads : cxr_thread_grant();
    const cxr_loader_opts lo = {.paths = paths,
                                .count = count,
                                .preprocess = &m->preprocess,
                                .limits = o->limits,
                                .batch_size = batch,
                                .threads = (size_t)threads < count ? threads : (int)count,
                                .ahead = BATCHES_AHEAD,
                                .squares = want->squares,
                                .looks = want->looks,
                                .cache = CXR_CACHE_OFF};
    const cxr_engine_opts eo = {want->probabilities, want->features, batch, views, threads};
    cxr_status st = cxr_loader_open(&r->loader, &lo, err);
    if (st != CXR_OK) return st;
    r->order = cxr_mem_new(count, sizeof *r->order);
    if (r->order == NULL) return cxr_mem_fail(err, "the order of images");
    for (size_t i = 0; i < count; i++) r->order[i] = (uint32_t)i;
    st = cxr_loader_start(r->loader, r->order, count, 0, 0, false, err); /* it reads while the program is compiled */
    return st == CXR_OK ? cxr_engine_open(&r->engine, m, &eo, o, err) : st;
}

/* ---- Batches ---- */

/* The mean over the views of an image, in the place of the first. */
static void average(float *p, int views, int classes)
{
    for (int c = 0; c < classes; c++) {
        double sum = 0.0;
        for (int v = 0; v < views; v++) sum += (double)p[v * classes + c];
        p[c] = (float)(sum / views);
    }
}

/* Unreadable images are black rows here and go unused. */
static cxr_status deliver(const runner *r, const cxr_batch *b, cxr_seen_fn fn, void *user, cxr_error *err)
{
    const cxr_engine *e = &r->engine;
    const int classes = e->model->class_count;
    for (int i = 0; i < b->n; i++) {
        const bool ok = b->errors[i].status == CXR_OK;
        float *p = e->probabilities + (size_t)i * (size_t)b->views * (size_t)classes;
        cxr_seen seen = {.index = b->index[i], .outcome = &b->errors[i]};
        cxr_status st = ok ? cxr_engine_check(e, i, err) : CXR_OK;
        if (st != CXR_OK) return st;
        if (ok && r->want->average) average(p, b->views, classes);
        if (ok && r->want->probabilities) seen.probabilities = p;
        if (ok && r->want->features) seen.features = e->features + (size_t)i * e->width;
        if (ok && b->looks != NULL) seen.look = &b->looks[i];
        st = fn(user, &seen);
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
        st = cxr_engine_run(&r.engine, b.n, b.pixels, err);
        if (st == CXR_OK) st = deliver(&r, &b, fn, user, err);
    }
    runner_close(&r);
    return st;
}
