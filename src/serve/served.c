#include "serve/served.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/judge.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void desk_close(cxr_desk *b)
{
    cxr_engine_close(&b->engine);
    cxr_probe_close(&b->probe);
    cxr_mem_free(b->pixels);
    cxr_mem_free(b->map);
}

static cxr_status open_probe(cxr_desk *b, const cxr_model *m, const cxr_run_opts *run, cxr_error *err)
{
    const cxr_compile_opts o = {.max_batch = 1, .threads = 1, .deterministic = true, .compact = true};
    const cxr_backend *backend = NULL;
    cxr_status st = cxr_backend_find(&backend, run->device, err);
    if (st == CXR_OK) st = cxr_probe_open(&b->probe, backend, &m->graph, m->params, "layer4", &o, err);
    if (st != CXR_OK) return st;
    b->map = cxr_mem_new((size_t)b->probe.shape.h * (size_t)b->probe.shape.w, sizeof *b->map);
    return b->map != NULL ? CXR_OK : cxr_mem_fail(err, "a heat map");
}

/* The first run makes what a program makes only once. */
static cxr_status warm_up(cxr_desk *b, cxr_error *err)
{
    const int predicted = 0;
    cxr_status st = cxr_engine_run(&b->engine, 1, b->pixels, err);
    if (st != CXR_OK || b->map == NULL) return st;
    st = cxr_probe_run(&b->probe, 1, b->pixels, err);
    return st == CXR_OK ? cxr_probe_gradients(&b->probe, &predicted, err) : st;
}

static cxr_status desk_open(cxr_desk *b, const cxr_model *m, const cxr_run_opts *run, cxr_error *err)
{
    const cxr_engine_opts eo = {
        .probabilities = true, .features = cxr_has_scope(m), .images = run->batch_size, .views = 1, .threads = 1};
    const size_t side = (size_t)m->preprocess.size;
    cxr_status st = cxr_engine_open(&b->engine, m, &eo, run, err);
    if (st != CXR_OK) return st;
    b->pixels = cxr_mem_new((size_t)run->batch_size, side * side);
    if (b->pixels == NULL) return cxr_mem_fail(err, "the pixels of a micro-batch");
    if (m->next == NULL) st = open_probe(b, m, run, err);
    return st == CXR_OK ? warm_up(b, err) : st;
}

/* ---- One image for all ---- */

#define TOGETHER_MOST 8 /* threads: more share too little work */
#define TRIALS        8 /* images of noise by which bits are compared */

bool cxr_served_together(const cxr_served *s)
{
    return s->together.model != NULL;
}

/* Some libraries' kernels add in another order when there are more threads. */
static cxr_status compare_bits(bool *same, cxr_engine *a, cxr_engine *b, uint8_t *pixels, cxr_error *err)
{
    const cxr_model *m = a->model;
    const size_t side = (size_t)m->preprocess.size, classes = (size_t)m->class_count;
    cxr_status st = CXR_OK;
    *same = true;
    for (size_t trial = 0; trial < TRIALS && st == CXR_OK && *same; trial++) {
        for (size_t i = 0; i < side * side; i++) pixels[i] = (uint8_t)cxr_mix64(trial * side * side + i);
        st = cxr_engine_run(a, 1, pixels, err);
        if (st == CXR_OK) st = cxr_engine_run(b, 1, pixels, err);
        *same = memcmp(a->probabilities, b->probabilities, classes * sizeof(float)) == 0 &&
                (!a->o.features || memcmp(a->features, b->features, a->width * sizeof(float)) == 0);
    }
    return st;
}

/* An image that comes alone need not wait for one core to do it all, as long as the answer is the same. */
static cxr_status open_together(cxr_served *s, const cxr_run_opts *run, cxr_error *err)
{
    cxr_engine_opts o = s->desks[0].engine.o;
    bool same = false;
    if (run->batch_size > 1 || s->desk_count == 1) return CXR_OK;
    o.threads = s->desk_count < TOGETHER_MOST ? s->desk_count : TOGETHER_MOST;
    cxr_status st = cxr_engine_open(&s->together, s->model, &o, run, err);
    if (st == CXR_OK) st = compare_bits(&same, &s->desks[0].engine, &s->together, s->desks[0].pixels, err);
    if (!same) cxr_engine_close(&s->together);
    return st;
}

/* ---- One model ---- */

typedef struct opening {
    cxr_desk *desk;
    const cxr_model *model;
    const cxr_run_opts *run;
    cxr_error error;
    pthread_t thread;
    bool started;
} opening;

static void *open_in_thread(void *ctx)
{
    opening *o = ctx;
    o->error.status = desk_open(o->desk, o->model, o->run, &o->error);
    return NULL;
}

static cxr_status open_desks(cxr_served *s, const cxr_run_opts *run, cxr_error *err)
{
    opening *all = cxr_mem_new((size_t)s->desk_count, sizeof *all);
    if (all == NULL) return cxr_mem_fail(err, "the workers");
    cxr_status st = CXR_OK;
    for (int i = 0; i < s->desk_count; i++) {
        all[i] = (opening){.desk = &s->desks[i], .model = s->model, .run = run};
        all[i].started = pthread_create(&all[i].thread, NULL, open_in_thread, &all[i]) == 0;
        if (!all[i].started) (void)open_in_thread(&all[i]);
    }
    for (int i = 0; i < s->desk_count; i++) {
        if (all[i].started) (void)pthread_join(all[i].thread, NULL);
        if (st == CXR_OK && all[i].error.status != CXR_OK) st = cxr_fail(err, all[i].error.status, "%s", all[i].error.text);
    }
    cxr_mem_free(all);
    return st;
}

static void served_free(cxr_served *s)
{
    for (int i = 0; s->desks != NULL && i < s->desk_count; i++) desk_close(&s->desks[i]);
    cxr_engine_close(&s->together);
    cxr_mem_free(s->desks);
    cxr_model_close(&s->model);
    cxr_mem_free(s);
}

static cxr_status served_fill(cxr_served *s, const cxr_serve_model *m, const cxr_run_opts *run, cxr_error *err)
{
    char hex[65];
    (void)snprintf(s->name, sizeof s->name, "%s", m->name);
    cxr_status st = cxr_sha256_file(m->path, hex, err);
    if (st != CXR_OK) return st;
    memcpy(s->id, hex, CXR_SERVED_ID - 1);
    st = cxr_model_open(&s->model, m->path, err);
    if (st != CXR_OK) return st;
    s->desks = cxr_mem_new((size_t)s->desk_count, sizeof *s->desks);
    if (s->desks == NULL) return cxr_mem_fail(err, "the workers");
    st = open_desks(s, run, err);
    return st == CXR_OK ? open_together(s, run, err) : st;
}

void cxr_served_keep(cxr_served *s)
{
    atomic_fetch_add(&s->users, 1);
}

void cxr_served_drop(cxr_served *s)
{
    if (atomic_fetch_sub(&s->users, 1) == 1) served_free(s);
}

/* ---- All of them ---- */

cxr_status cxr_menu_open(cxr_menu *out, const cxr_serve_opts *o, int workers, cxr_error *err)
{
    cxr_status st = CXR_OK;
    *out = (cxr_menu){0};
    for (int i = 0; i < o->model_count && st == CXR_OK; i++) {
        cxr_served *s = cxr_mem_new(1, sizeof *s);
        if (s == NULL) {
            st = cxr_mem_fail(err, "a model");
            break;
        }
        s->desk_count = workers;
        atomic_init(&s->users, 1);
        out->served[out->count++] = s;
        st = served_fill(s, &o->models[i], &o->run, err);
    }
    if (st != CXR_OK) cxr_menu_close(out);
    return st;
}

cxr_served *cxr_menu_find(const cxr_menu *m, const char *name, size_t len)
{
    if (name == NULL || len == 0) return m->served[0];
    for (int i = 0; i < m->count; i++)
        if (strlen(m->served[i]->name) == len && memcmp(m->served[i]->name, name, len) == 0) return m->served[i];
    return NULL;
}

void cxr_menu_close(cxr_menu *m)
{
    for (int i = 0; i < m->count; i++) cxr_served_drop(m->served[i]);
    *m = (cxr_menu){0};
}
