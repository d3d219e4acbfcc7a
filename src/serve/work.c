#include "serve/work.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/image.h"
#include "eval/fit.h"
#include "explain/cam.h"
#include "explain/figure.h"
#include "explain/trust.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define THE_IMAGE "the image" /* what sentences call it: nothing of the client's comes back */

typedef struct cxr_hand {
    cxr_crew *crew;
    int index;
} cxr_hand;

/* What a worker takes out of the queue. */
typedef struct cxr_batch {
    cxr_job *chain; /* NULL: the queue is closed and empty */
    int count;
    bool alone; /* nobody else works or waits */
} cxr_batch;

/* ---- The queue ---- */

bool cxr_crew_put(cxr_crew *c, cxr_job *jobs, int count)
{
    const double now = cxr_now();
    (void)pthread_mutex_lock(&c->lock);
    const bool room = count <= c->most - c->waiting && !c->closed;
    for (int i = 0; i < count && room; i++) {
        jobs[i].put_at = now;
        jobs[i].next = NULL;
        *c->end = &jobs[i];
        c->end = &jobs[i].next;
    }
    if (room) c->waiting += count;
    (void)pthread_cond_broadcast(&c->filled);
    (void)pthread_mutex_unlock(&c->lock);
    return room;
}

static bool fit_together(const cxr_job *a, const cxr_job *b)
{
    return a->kind == CXR_JOB_PREDICT && b->kind == CXR_JOB_PREDICT && a->served == b->served;
}

/* Moves the jobs that fit to the first of `chain` to its end, up to `most`. The lock is held. */
static void gather(cxr_crew *c, cxr_job **chain, int *count, int most)
{
    cxr_job **at = &c->first;
    cxr_job **end = chain;
    while (*end != NULL) end = &(*end)->next;
    while (*at != NULL && *count < most) {
        cxr_job *j = *at;
        if (*chain != NULL && !fit_together(*chain, j)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        if (c->end == &j->next) c->end = at;
        j->next = NULL;
        *end = j;
        end = &j->next;
        ++*count;
        c->waiting--;
    }
}

/* The first worker comes first, so that an image that comes alone always finds the one whose thread has a team. The lock is held. */
static bool may_take(const cxr_hand *h)
{
    return h->crew->first != NULL && (h->index == 0 || h->crew->first_works);
}

/* The first image waits a while for others. The lock is held. */
static void gather_more(cxr_crew *c, cxr_batch *b)
{
    const double until = b->chain->put_at + c->max_wait;
    const struct timespec at = {(time_t)until, (long)((until - floor(until)) * 1e9)};
    while (b->count < c->batch && !c->closed && pthread_cond_timedwait(&c->filled, &c->lock, &at) != ETIMEDOUT)
        gather(c, &b->chain, &b->count, c->batch);
}

static void count_batch(cxr_crew *c, const cxr_batch *b)
{
    int bucket = 0;
    while (bucket < CXR_BATCH_BUCKETS - 1 && (1 << bucket) < b->count) bucket++;
    c->batches++;
    c->batch_sizes[bucket]++;
    c->images += (uint64_t)b->count;
}

static cxr_batch take(const cxr_hand *h)
{
    cxr_crew *c = h->crew;
    cxr_batch b = {0};
    (void)pthread_mutex_lock(&c->lock);
    while (!may_take(h) && !c->closed) (void)pthread_cond_wait(&c->filled, &c->lock);
    gather(c, &b.chain, &b.count, c->batch);
    if (h->index == 0) c->first_works = b.count > 0;
    b.alone = c->working == 0 && c->first == NULL;
    c->working += b.count > 0;
    if (c->first != NULL) (void)pthread_cond_broadcast(&c->filled); /* the others may take now */
    if (b.count > 0 && b.chain->kind == CXR_JOB_PREDICT && b.count < c->batch && c->max_wait > 0.0) gather_more(c, &b);
    if (b.count > 0) count_batch(c, &b);
    (void)pthread_mutex_unlock(&c->lock);
    return b;
}

static void put_down(const cxr_hand *h)
{
    (void)pthread_mutex_lock(&h->crew->lock);
    h->crew->working--;
    if (h->index == 0) h->crew->first_works = false;
    (void)pthread_mutex_unlock(&h->crew->lock);
}

/* ---- Answers ---- */

static cxr_status to_pixels(uint8_t *out, cxr_job *j, const cxr_limits *limits, cxr_error *err)
{
    const cxr_preprocess *pre = &j->served->model->preprocess;
    const size_t bytes = (size_t)pre->size * (size_t)pre->size;
    if (j->is_pixels) {
        memcpy(out, j->bytes, bytes);
        return cxr_look_at(&j->look, &(cxr_image){out, pre->size, pre->size}, 0.0, err);
    }
    cxr_image img = {0};
    double colour;
    cxr_status st = cxr_image_decode_coloured(&img, &colour, j->bytes, j->len, THE_IMAGE, pre, limits, err);
    if (st == CXR_OK) st = cxr_look_at(&j->look, &img, colour, err);
    if (st == CXR_OK) st = cxr_image_to_input(out, &img, pre, NULL, 0, err);
    cxr_image_free(&img);
    return st;
}

/* By row `row` of the engine's last run. */
static void decide(cxr_job *j, const cxr_engine *e, int row)
{
    const cxr_model *m = j->served->model;
    const float *probabilities = e->probabilities + (size_t)row * (size_t)m->class_count;
    memcpy(j->probabilities, probabilities, (size_t)m->class_count * sizeof *probabilities);
    j->predicted = cxr_decide(probabilities, m->class_count, m->positive, m->threshold);
    cxr_judge(&j->judgement, m, &j->look, e->o.features ? e->features + (size_t)row * e->width : NULL);
}

static void predict(const cxr_hand *h, const cxr_batch *batch)
{
    cxr_job *chain = batch->chain;
    cxr_served *served = chain->served;
    cxr_desk *b = &served->desks[h->index];
    cxr_engine *engine = batch->alone && cxr_served_together(served) ? &served->together : &b->engine;
    const size_t side = (size_t)served->model->preprocess.size;
    cxr_error error = {0};
    int n = 0;
    for (cxr_job *j = chain; j != NULL; j = j->next) {
        const double began = cxr_now();
        j->queue_seconds = began - j->put_at;
        j->error.status = to_pixels(b->pixels + (size_t)n * side * side, j, &h->crew->limits, &j->error);
        j->decode_seconds = cxr_now() - began;
        n += j->error.status == CXR_OK;
    }
    const double began = cxr_now();
    const cxr_status st = n > 0 ? cxr_engine_run(engine, n, b->pixels, &error) : CXR_OK;
    const double seconds = cxr_now() - began;
    int row = 0;
    for (cxr_job *j = chain; j != NULL; j = j->next) {
        if (j->error.status != CXR_OK) continue;
        j->error.status = st;
        if (st == CXR_OK) j->error.status = cxr_engine_check(engine, row, &j->error);
        if (j->error.status == CXR_OK) decide(j, engine, row);
        j->batch = n;
        j->threads = engine->o.threads;
        j->compute_seconds = seconds;
        row++;
    }
}

/* The part of a map's check that asks the network nothing. */
static void compare_with_lungs(cxr_job *j, const uint8_t *pixels)
{
    const int side = j->served->model->preprocess.size;
    cxr_lungs lungs;
    cxr_lungs_estimate(&lungs, pixels, side, side);
    cxr_lung_share(&lungs, j->map, j->map_height, j->map_width, &j->lungs, &j->lungs_area);
}

static cxr_status draw(cxr_job *j, const cxr_limits *limits, cxr_error *err)
{
    const cxr_heat heat = {&j->served->model->preprocess, j->map, j->map_width, j->map_height};
    const cxr_buf file = {(uint8_t *)(uintptr_t)j->bytes, j->len};
    return cxr_heat_overlay_bytes(&j->picture, &heat, &file, THE_IMAGE, limits, j->picture_side, err);
}

static cxr_status explain(const cxr_hand *h, cxr_job *j, cxr_error *err)
{
    cxr_desk *b = &j->served->desks[h->index];
    cxr_probe *p = &b->probe;
    const size_t cells = (size_t)p->shape.h * (size_t)p->shape.w;
    if (b->map == NULL) return cxr_fail(err, CXR_EUSAGE, "a heat map is one model's: these are several");
    cxr_status st = cxr_engine_run(&b->engine, 1, b->pixels, err);
    if (st == CXR_OK) st = cxr_engine_check(&b->engine, 0, err);
    if (st != CXR_OK) return st;
    decide(j, &b->engine, 0);
    if (j->explained < 0) j->explained = j->predicted;
    st = cxr_probe_run(p, 1, b->pixels, err);
    if (st == CXR_OK) st = cxr_probe_gradients(p, &j->explained, err);
    if (st != CXR_OK) return st;
    j->map = cxr_mem_new(cells, sizeof *j->map);
    if (j->map == NULL) return cxr_mem_fail(err, "a heat map");
    j->map_width = p->shape.w;
    j->map_height = p->shape.h;
    cxr_cam(j->map, p->values, p->gradients, p->shape.c, cells, CXR_GRAD_CAM);
    for (size_t i = 0; i < cells; i++)
        if (!isfinite(j->map[i])) return cxr_fail(err, CXR_EDATA, "the model gives a gradient that is not a number");
    compare_with_lungs(j, b->pixels);
    return j->picture_side > 0 ? draw(j, &h->crew->limits, err) : CXR_OK;
}

static void explain_one(const cxr_hand *h, cxr_job *j)
{
    const double began = cxr_now();
    j->queue_seconds = began - j->put_at;
    j->error.status = to_pixels(j->served->desks[h->index].pixels, j, &h->crew->limits, &j->error);
    const double decoded = cxr_now();
    j->decode_seconds = decoded - began;
    if (j->error.status == CXR_OK) j->error.status = explain(h, j, &j->error);
    j->batch = j->threads = 1;
    j->compute_seconds = cxr_now() - decoded;
}

static void *work(void *ctx)
{
    const cxr_hand *h = ctx;
    for (cxr_batch b = take(h); b.chain != NULL; b = take(h)) {
        if (b.chain->kind == CXR_JOB_EXPLAIN)
            explain_one(h, b.chain);
        else
            predict(h, &b);
        put_down(h);
        for (cxr_job *j = b.chain, *next; j != NULL; j = next) {
            next = j->next; /* the owner may free it at once */
            j->done(j->owner);
        }
    }
    return NULL;
}

/* ---- Opening and closing ---- */

cxr_status cxr_crew_open(cxr_crew *c, const cxr_serve_opts *o, int workers, cxr_error *err)
{
    pthread_condattr_t attr;
    *c = (cxr_crew){.most = o->queue, .batch = o->run.batch_size, .max_wait = o->max_wait_ms / 1e3, .limits = o->run.limits};
    c->end = &c->first;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->filled, &attr);
    (void)pthread_condattr_destroy(&attr);
    c->threads = cxr_mem_new((size_t)workers, sizeof *c->threads);
    c->hands = cxr_mem_new((size_t)workers, sizeof *c->hands);
    if (c->threads == NULL || c->hands == NULL) return cxr_mem_fail(err, "the workers");
    for (; c->count < workers; c->count++) {
        c->hands[c->count] = (cxr_hand){c, c->count};
        const int failed = pthread_create(&c->threads[c->count], NULL, work, &c->hands[c->count]);
        if (failed != 0) return cxr_fail(err, CXR_EUNAVAILABLE, "worker %d cannot start: %s", c->count + 1, strerror(failed));
    }
    return CXR_OK;
}

void cxr_crew_close(cxr_crew *c)
{
    if (c->end == NULL) return; /* never opened */
    (void)pthread_mutex_lock(&c->lock);
    c->closed = true;
    (void)pthread_cond_broadcast(&c->filled);
    (void)pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->count; i++) (void)pthread_join(c->threads[i], NULL);
    cxr_mem_free(c->threads);
    cxr_mem_free(c->hands);
    (void)pthread_mutex_destroy(&c->lock);
    (void)pthread_cond_destroy(&c->filled);
    *c = (cxr_crew){0};
}
