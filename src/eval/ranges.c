#include "eval/ranges.h"
#include "backend/backend.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/loader.h"
#include "model/model.h"
#include <math.h>
#include <string.h>

#define BATCH         16 /* images at once: activations are read back in f32 */
#define BATCHES_AHEAD 3
#define MARGIN        1.25f /* beyond the least squared error: decisions hang on large values, which clipping would move */

/* ---- Ranges ---- */

/* Makes room for magnitudes up to `peak`: pairs of bins become one. */
static void widen(cxr_range *r, float peak)
{
    if (r->range <= 0.0) r->range = (double)peak;
    while (r->range < (double)peak) {
        for (size_t i = 0; i < CXR_RANGE_BINS / 2; i++) r->bins[i] = r->bins[2 * i] + r->bins[2 * i + 1];
        memset(r->bins + CXR_RANGE_BINS / 2, 0, sizeof r->bins / 2);
        r->range *= 2.0;
    }
}

void cxr_range_add(cxr_range *r, const float *x, size_t count)
{
    float peak = 0.0f;
    bool finite = isfinite(r->peak);
    for (size_t i = 0; i < count; i++) {
        finite = finite && isfinite(x[i]);
        peak = fmaxf(peak, fabsf(x[i]));
    }
    r->peak = finite ? fmaxf(r->peak, peak) : INFINITY;
    if (peak == 0.0f || !finite) return;
    widen(r, peak);
    const double scale = (double)CXR_RANGE_BINS / r->range;
    for (size_t i = 0; i < count; i++) {
        const size_t bin = (size_t)(fabs((double)x[i]) * scale);
        if (x[i] != 0.0f) r->bins[bin < CXR_RANGE_BINS ? bin : CXR_RANGE_BINS - 1]++;
    }
}

/* The sum of squared errors when `top` is covered: rounding below it, clipping above. */
static double loss_of(const cxr_range *r, double top, int levels)
{
    const double width = r->range / CXR_RANGE_BINS, step = top / levels, rounding = step * step / 12.0;
    double sum = 0.0;
    for (size_t i = 0; i < CXR_RANGE_BINS; i++) {
        const double over = ((double)i + 0.5) * width - top;
        sum += (double)r->bins[i] * (over > 0.0 ? over * over : rounding);
    }
    return sum;
}

float cxr_range_choose(const cxr_range *r, int levels)
{
    double best = (double)r->peak, least = loss_of(r, best, levels);
    for (int i = 99; i > 0; i--) {
        const double top = (double)r->peak * i / 100.0, loss = loss_of(r, top, levels);
        if (loss >= least) continue;
        least = loss;
        best = top;
    }
    return (float)best;
}

/* ---- Images ---- */

typedef struct images {
    uint8_t *pixels;
    size_t count, each;
} images;

static cxr_status take_batch(images *to, const cxr_batch *b, bool skip, const cxr_hooks *hooks, cxr_error *err)
{
    for (int i = 0; i < b->n; i++) {
        const cxr_error *e = &b->errors[i];
        if (e->status != CXR_OK && !skip) return cxr_fail(err, e->status, "%s", e->text);
        if (e->status != CXR_OK) {
            cxr_log(hooks, CXR_WARNING, "skipped: %s", e->text);
            continue;
        }
        memcpy(to->pixels + to->count++ * to->each, b->pixels + (size_t)i * to->each, to->each);
    }
    return CXR_OK;
}

static cxr_status read_all(images *to, cxr_loader *loader, size_t count, bool skip, const cxr_hooks *hooks, cxr_error *err)
{
    uint32_t *order = cxr_mem_new(count, sizeof *order);
    if (order == NULL) return cxr_mem_fail(err, "the list of images");
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    cxr_status st = cxr_loader_start(loader, order, count, 0, 0, false, err);
    while (st == CXR_OK) {
        cxr_batch b;
        if (cxr_stop_asked(hooks)) st = cxr_fail(err, CXR_ESTOPPED, "stopped");
        if (st == CXR_OK) st = cxr_loader_next(loader, &b, NULL, err);
        if (st != CXR_OK || b.n == 0) break;
        st = take_batch(to, &b, skip, hooks, err);
    }
    cxr_mem_free(order);
    return st;
}

static cxr_status open_images(images *to, const cxr_model *m, const char *const *paths, size_t count, bool skip,
                              const cxr_run_opts *o, int threads, const cxr_hooks *hooks, cxr_error *err)
{
    *to = (images){.each = cxr_shape_count(m->graph.nodes[0].shape)};
    to->pixels = cxr_mem_new(count, to->each);
    if (to->pixels == NULL) return cxr_mem_fail(err, "calibration images");
    const cxr_loader_opts lo = {.paths = paths,
                                .count = count,
                                .preprocess = &m->preprocess,
                                .limits = o->limits,
                                .batch_size = BATCH,
                                .threads = threads,
                                .ahead = BATCHES_AHEAD};
    cxr_loader *loader = NULL;
    cxr_status st = cxr_loader_open(&loader, &lo, err);
    if (st == CXR_OK) st = read_all(to, loader, count, skip, hooks, err);
    cxr_loader_close(&loader);
    if (st == CXR_OK && to->count == 0) st = cxr_fail(err, CXR_EDATA, "no image to calibrate with can be read");
    return st;
}

/* ---- The network ---- */

typedef struct measure {
    cxr_model *model;
    const images *images;
    const cxr_backend *backend;
    const cxr_hooks *hooks;
    cxr_tensor *input;
    float *values; /* of a batch, the largest node's */
    cxr_range *range;
    int threads;
} measure;

static cxr_status run_images(measure *m, cxr_program *p, size_t each, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (size_t from = 0; from < m->images->count && st == CXR_OK; from += BATCH) {
        const size_t left = m->images->count - from, n = left < BATCH ? left : BATCH;
        const cxr_tensor *out = NULL;
        if (cxr_stop_asked(m->hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
        st = m->backend->tensor_write(m->input, (int)n, m->images->pixels + from * m->images->each, err);
        if (st == CXR_OK) st = m->backend->forward(p, m->input, 0, &out, err);
        if (st == CXR_OK) st = m->backend->tensor_read(out, m->values, err);
        if (st == CXR_OK) cxr_range_add(m->range, m->values, n * each);
    }
    return st;
}

static cxr_status measure_node(measure *m, int node, cxr_error *err)
{
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = BATCH, .threads = m->threads, .deterministic = true};
    cxr_graph *g = &m->model->graph;
    cxr_program *p = NULL;
    memset(m->range, 0, sizeof *m->range);
    cxr_status st = m->backend->compile(&p, g, 1, node, m->model->params, &o, err);
    if (st == CXR_OK) st = run_images(m, p, cxr_shape_count(g->nodes[node].shape), err);
    m->backend->close(&p);
    if (st != CXR_OK) return st;
    if (!isfinite(m->range->peak)) return cxr_fail(err, CXR_EDATA, "%s: a value is not a number", g->nodes[node].name);
    const float chosen = cxr_range_choose(m->range, g->nodes[node].op == CXR_OP_RELU ? 255 : 127);
    const float peak = fminf(chosen * MARGIN, m->range->peak);
    g->nodes[node].peak = peak > 0.0f ? peak : 1.0f; /* always 0 here: any range holds it */
    cxr_log(m->hooks, CXR_DEBUG, "%s: covers %g of %g", g->nodes[node].name, (double)peak, (double)m->range->peak);
    return CXR_OK;
}

static cxr_status measure_all(measure *m, cxr_error *err)
{
    const cxr_graph *g = &m->model->graph;
    size_t largest = 0;
    for (int i = 0; i < g->node_count; i++)
        if (cxr_shape_count(g->nodes[i].shape) > largest) largest = cxr_shape_count(g->nodes[i].shape);
    cxr_fused *groups = cxr_mem_new((size_t)g->node_count, sizeof *groups);
    m->values = cxr_mem_new(largest, BATCH * sizeof *m->values);
    m->range = cxr_mem_new(1, sizeof *m->range);
    cxr_status st = CXR_OK;
    if (groups == NULL || m->values == NULL || m->range == NULL) st = cxr_mem_fail(err, "calibration");
    const int count = st == CXR_OK ? cxr_graph_fuse(g, 1, g->node_count - 1, groups) : 0;
    for (int i = 0; i < count && st == CXR_OK; i++)
        if (g->nodes[groups[i].node].op == CXR_OP_CONV) st = measure_node(m, groups[i].output, err);
    cxr_mem_free(groups);
    cxr_mem_free(m->values);
    cxr_mem_free(m->range);
    return st;
}

cxr_status cxr_ranges_find(cxr_model *m, const char *const *paths, size_t count, bool skip, const cxr_run_opts *o,
                           const cxr_hooks *hooks, size_t *used, cxr_error *err)
{
    images all = {0};
    measure work = {.model = m, .images = &all, .hooks = hooks};
    work.threads = o->threads > 0 ? o->threads : cxr_thread_grant();
    cxr_status st = cxr_backend_find(&work.backend, o->device, err);
    if (st == CXR_OK) st = open_images(&all, m, paths, count, skip, o, work.threads, hooks, err);
    if (st == CXR_OK) st = work.backend->tensor_new(&work.input, CXR_U8, BATCH, m->graph.nodes[0].shape, err);
    if (st == CXR_OK) st = measure_all(&work, err);
    if (work.backend != NULL) work.backend->tensor_free(&work.input);
    cxr_mem_free(all.pixels);
    *used = all.count;
    return st;
}
