/* The grid of configurations, the rounds over them, and the figures. */
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "bench/work.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_BYTES ((size_t)1 << 30) /* of programs measured side by side */
#define GROUP       24                /* and how many, so that figures appear now and then */

void cxr_bench_opts_default(cxr_bench_opts *o)
{
    *o = (cxr_bench_opts){.freeze = "layer3",
                          .batches = {1, 8, 64},
                          .batch_count = 3,
                          .sizes = {128, 224},
                          .size_count = 2,
                          .threads = {1, 0},
                          .thread_count = 2,
                          .rounds = 5,
                          .seconds = 0.2,
                          .limit = true};
    for (int i = 0; i < CXR_STAGES; i++) o->stages[i] = true;
    for (int i = 0; i < CXR_PRECISION_AUTO; i++) o->precisions[i] = true;
}

/* A configuration with what was measured of it. */
typedef struct entry {
    cxr_work work;
    cxr_work_for what;
    cxr_times *rounds;
    cxr_error why; /* it cannot be measured; status CXR_OK: it can */
} entry;

typedef struct bench {
    const cxr_bench_opts *o; /* lent, like the next three */
    const cxr_hooks *hooks;
    void (*row)(void *user, const cxr_bench_row *r);
    void *user;
    cxr_pictures pictures;
    cxr_model *models[CXR_BENCH_LIST]; /* by size */
    int cut;
    entry *group; /* GROUP */
    int count;
    size_t bytes;
    double *sorted; /* a figure's rounds */
} bench;

/* ---- Options ---- */

static cxr_status check_list(const char *what, const int *items, int count, int low, int high, cxr_error *err)
{
    if (count < 1 || count > CXR_BENCH_LIST)
        return cxr_fail(err, CXR_EUSAGE, "%d values of %s to time: 1 to %d are possible", count, what, CXR_BENCH_LIST);
    for (int i = 0; i < count; i++)
        if (items[i] < low || items[i] > high)
            return cxr_fail(err, CXR_EUSAGE, "%s %d to time is not in %d..%d", what, items[i], low, high);
    return CXR_OK;
}

static cxr_status check_options(const cxr_bench_opts *o, cxr_error *err)
{
    cxr_status st = check_list("batch", o->batches, o->batch_count, 1, 1024, err);
    if (st == CXR_OK) st = check_list("size", o->sizes, o->size_count, 32, 1024, err);
    if (st == CXR_OK) st = check_list("thread count", o->threads, o->thread_count, 0, 1024, err);
    if (st == CXR_OK && (o->rounds < 5 || o->rounds > 1000))
        st = cxr_fail(err, CXR_EUSAGE, "%d rounds are not in 5..1000", o->rounds);
    if (st == CXR_OK && !(o->seconds >= 0.0 && o->seconds <= 60.0))
        st = cxr_fail(err, CXR_EUSAGE, "%g seconds for a measurement are not in 0..60", o->seconds);
    return st;
}

/* ---- Models ---- */

/* The same network for another input size: parameters do not depend on it. Layers without a measured range get one, which
 * changes what 8-bit kernels compute and not how long they take. */
static cxr_status model_of_size(cxr_model **out, const cxr_model *like, int size, cxr_error *err)
{
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    int classes = 2;
    if (like != NULL) {
        o.arch = like->arch;
        o.head_count = like->head_count;
        memcpy(o.head, like->head, sizeof o.head);
        o.preprocess = like->preprocess;
        classes = like->class_count;
    }
    o.preprocess.size = size;
    const cxr_status st = cxr_model_new(out, &o, classes, err);
    if (st != CXR_OK) return st;
    if (like != NULL) memcpy((*out)->params, like->params, like->graph.float_count * sizeof(float));
    for (int i = 0; i < (*out)->graph.node_count; i++) {
        const float known = like != NULL ? like->graph.nodes[i].peak : 0.0f;
        (*out)->graph.nodes[i].peak = known > 0.0f ? known : 8.0f;
    }
    return CXR_OK;
}

static cxr_status open_models(bench *b, cxr_error *err)
{
    cxr_model *like = NULL;
    cxr_status st = b->o->model != NULL ? cxr_model_open(&like, b->o->model, err) : CXR_OK;
    for (int i = 0; i < b->o->size_count && st == CXR_OK; i++) st = model_of_size(&b->models[i], like, b->o->sizes[i], err);
    cxr_model_close(&like);
    return st == CXR_OK ? cxr_graph_cut(&b->models[0]->graph, b->o->freeze, &b->cut, err) : st;
}

/* ---- Figures ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *sorted, int n)
{
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0;
}

static void report(const bench *b, const entry *e, cxr_stage stage)
{
    const int n = b->o->rounds;
    cxr_bench_row r = {.stage = stage,
                       .precision = e->what.precision,
                       .size = e->what.size,
                       .batch = e->what.batch,
                       .threads = e->what.threads,
                       .rounds = n,
                       .median = NAN,
                       .low = NAN,
                       .high = NAN,
                       .images_per_second = NAN,
                       .limit = NAN,
                       .share = NAN,
                       .reason = e->why.status != CXR_OK ? e->why.text : NULL};
    if (r.reason == NULL) {
        for (int i = 0; i < n; i++) b->sorted[i] = e->rounds[i].limit[stage];
        qsort(b->sorted, (size_t)n, sizeof *b->sorted, by_value);
        r.limit = median(b->sorted, n);
        for (int i = 0; i < n; i++) b->sorted[i] = e->rounds[i].limit[stage] / e->rounds[i].stage[stage];
        qsort(b->sorted, (size_t)n, sizeof *b->sorted, by_value);
        r.share = median(b->sorted, n);
        for (int i = 0; i < n; i++) b->sorted[i] = e->rounds[i].stage[stage];
        qsort(b->sorted, (size_t)n, sizeof *b->sorted, by_value);
        r.median = median(b->sorted, n);
        r.low = b->sorted[0];
        r.high = b->sorted[n - 1];
        r.images_per_second = r.batch / r.median;
    }
    b->row(b->user, &r);
}

/* ---- Groups ---- */

static const struct {
    cxr_stage first, last;
} stages_of[] = {[CXR_WORK_DECODE] = {CXR_STAGE_DECODE, CXR_STAGE_DECODE},
                 [CXR_WORK_TRANSFORM] = {CXR_STAGE_TRANSFORM, CXR_STAGE_TRANSFORM},
                 [CXR_WORK_FORWARD] = {CXR_STAGE_FORWARD, CXR_STAGE_FORWARD},
                 [CXR_WORK_FROZEN] = {CXR_STAGE_FROZEN, CXR_STAGE_FROZEN},
                 [CXR_WORK_TRAIN] = {CXR_STAGE_TRAIN_FORWARD, CXR_STAGE_STEP}};

static bool wanted(const bench *b, cxr_work_kind kind)
{
    bool any = false;
    for (int s = (int)stages_of[kind].first; s <= (int)stages_of[kind].last; s++) any = any || b->o->stages[s];
    return any;
}

/* What a configuration cannot do is its row's reason; anything else ends the bench. */
static cxr_status settle(entry *e, cxr_status st, cxr_error *err)
{
    if (st == CXR_OK) return st;
    if (st != CXR_EUNAVAILABLE && st != CXR_EUSAGE) return cxr_fail(err, st, "%s", e->why.text);
    cxr_work_close(&e->work);
    return CXR_OK;
}

static cxr_status measure(const bench *b, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (int round = 0; round < b->o->rounds; round++) {
        for (int i = 0; i < b->count && st == CXR_OK; i++) {
            entry *e = &b->group[i];
            if (cxr_stop_asked(b->hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
            if (e->why.status == CXR_OK) st = settle(e, cxr_work_round(&e->work, &e->rounds[round], &e->why), err);
        }
    }
    return st;
}

static void close_group(bench *b)
{
    for (int i = 0; i < b->count; i++) {
        cxr_work_close(&b->group[i].work);
        cxr_mem_free(b->group[i].rounds);
        b->group[i] = (entry){0};
    }
    b->count = 0;
    b->bytes = 0;
}

static cxr_status finish_group(bench *b, cxr_error *err)
{
    const cxr_status st = measure(b, err);
    for (int i = 0; i < b->count && st == CXR_OK; i++) {
        const entry *e = &b->group[i];
        for (int s = (int)stages_of[e->what.kind].first; s <= (int)stages_of[e->what.kind].last; s++)
            if (b->o->stages[s]) report(b, e, (cxr_stage)s);
    }
    close_group(b);
    return st;
}

static cxr_status add(bench *b, const cxr_work_for *what, cxr_error *err)
{
    entry *e = &b->group[b->count++];
    *e = (entry){.what = *what, .rounds = cxr_mem_new((size_t)b->o->rounds, sizeof *e->rounds)};
    if (e->rounds == NULL) return cxr_mem_fail(err, "a measurement");
    if (cxr_stop_asked(b->hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
    const cxr_status st = settle(e, cxr_work_open(&e->work, what, &e->why), err);
    if (st != CXR_OK) return st;
    b->bytes += cxr_work_bytes(&e->work);
    return b->count == GROUP || b->bytes > GROUP_BYTES ? finish_group(b, err) : CXR_OK;
}

/* ---- The grid ---- */

static bool seen_before(const int *items, int i)
{
    for (int k = 0; k < i; k++)
        if (items[k] == items[i]) return true;
    return false;
}

/* The data side knows no precision. */
static cxr_status add_precisions(bench *b, cxr_work_for what, cxr_error *err)
{
    cxr_status st = CXR_OK;
    bool done = false;
    for (int p = 0; p < CXR_PRECISION_AUTO && st == CXR_OK; p++) {
        if (!b->o->precisions[p] || (what.kind == CXR_WORK_TRAIN && p == CXR_PRECISION_INT8)) continue;
        if (what.kind <= CXR_WORK_TRANSFORM && done) continue;
        what.precision = (cxr_precision)p;
        st = add(b, &what, err);
        done = true;
    }
    return st;
}

static cxr_status run_kind(bench *b, cxr_work_kind kind, const int *threads, cxr_error *err)
{
    const cxr_bench_opts *o = b->o;
    const bool data = kind <= CXR_WORK_TRANSFORM; /* one image at a time */
    cxr_status st = CXR_OK;
    for (int s = 0; s < o->size_count; s++) {
        for (int n = 0; n < (data ? 1 : o->batch_count); n++) {
            for (int t = 0; t < o->thread_count && st == CXR_OK; t++) {
                if (seen_before(threads, t)) continue;
                const cxr_work_for what = {.kind = kind,
                                           .size = o->sizes[s],
                                           .batch = data ? 1 : o->batches[n],
                                           .threads = threads[t],
                                           .opts = o,
                                           .pictures = &b->pictures,
                                           .model = b->models[s],
                                           .cut = b->cut,
                                           .hooks = b->hooks};
                st = add_precisions(b, what, err);
            }
        }
    }
    return st;
}

static cxr_status run_grid(bench *b, cxr_error *err)
{
    int threads[CXR_BENCH_LIST];
    cxr_status st = CXR_OK;
    for (int i = 0; i < b->o->thread_count; i++) threads[i] = b->o->threads[i] > 0 ? b->o->threads[i] : cxr_thread_grant();
    for (int kind = CXR_WORK_DECODE; kind <= CXR_WORK_TRAIN && st == CXR_OK; kind++)
        if (wanted(b, (cxr_work_kind)kind)) st = run_kind(b, (cxr_work_kind)kind, threads, err);
    return st == CXR_OK ? finish_group(b, err) : st;
}

cxr_status cxr_bench(const cxr_bench_opts *opts, const cxr_hooks *hooks, void (*row)(void *user, const cxr_bench_row *r),
                     void *user, cxr_error *err)
{
    bench b = {.o = opts, .hooks = hooks, .row = row, .user = user};
    cxr_status st = check_options(opts, err);
    if (st != CXR_OK) return st;
    b.group = cxr_mem_new(GROUP, sizeof *b.group);
    b.sorted = cxr_mem_new((size_t)opts->rounds, sizeof *b.sorted);
    if (b.group == NULL || b.sorted == NULL) st = cxr_mem_fail(err, "a bench");
    if (st == CXR_OK) st = cxr_pictures_open(&b.pictures, opts->paths, opts->path_count, err);
    if (st == CXR_OK) st = open_models(&b, err);
    if (st == CXR_OK) st = run_grid(&b, err);
    if (b.group != NULL) close_group(&b);
    for (int i = 0; i < opts->size_count; i++) cxr_model_close(&b.models[i]);
    cxr_pictures_close(&b.pictures);
    cxr_mem_free(b.group);
    cxr_mem_free(b.sorted);
    return st;
}
