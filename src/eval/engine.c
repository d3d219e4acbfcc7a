#include "eval/engine.h"
#include "base/mem.h"
#include "eval/features.h"
#include "eval/fit.h"
#include <math.h>
#include <string.h>

void cxr_engine_close(cxr_engine *e)
{
    if (e->backend != NULL) {
        for (int i = 0; i < e->count; i++) {
            e->backend->close(&e->members[i].head);
            e->backend->close(&e->members[i].first);
        }
        e->backend->tensor_free(&e->input);
    }
    cxr_mem_free(e->members);
    cxr_mem_free(e->own);
    cxr_mem_free(e->probabilities);
    cxr_mem_free(e->pooled);
    cxr_mem_free(e->features);
    *e = (cxr_engine){0};
}

/* The head is little work, and f32 in every precision, as it is in a program that is not cut. */
static cxr_status open_member(const cxr_engine *e, cxr_member *to, const cxr_model *m, const cxr_compile_opts *o,
                              cxr_error *err)
{
    const cxr_graph *g = &m->graph;
    const int last = g->node_count - 1, cut = e->o.features ? cxr_feature_node(m) : last;
    to->width = cxr_feature_width(m);
    cxr_status st = e->backend->compile(&to->first, g, 1, cut, m->params, o, err);
    if (st != CXR_OK || !e->o.probabilities || cut == last) return st;
    cxr_compile_opts head = *o;
    head.precision = CXR_PRECISION_F32;
    head.producer = to->first;
    return e->backend->compile(&to->head, g, cut + 1, last, m->params, &head, err);
}

static cxr_status compile(cxr_engine *e, const cxr_run_opts *run, cxr_error *err)
{
    const int rows = e->o.images * e->o.views;
    const cxr_compile_opts o = {.mode = CXR_INFER,
                                .max_batch = rows,
                                .threads = e->o.threads,
                                .precision = run->precision,
                                .deterministic = run->deterministic,
                                .cache_dir = run->cache_dir};
    cxr_status st = cxr_backend_find(&e->backend, run->device, err);
    if (st != CXR_OK) return st;
    int members = 0;
    for (const cxr_model *m = e->model; m != NULL; m = m->next) members++;
    e->members = cxr_mem_new((size_t)members, sizeof *e->members);
    if (e->members == NULL) return cxr_mem_fail(err, "the models' programs");
    for (const cxr_model *m = e->model; m != NULL && st == CXR_OK; m = m->next)
        st = open_member(e, &e->members[e->count++], m, &o, err);
    return st == CXR_OK ? e->backend->tensor_new(&e->input, CXR_U8, rows, e->model->graph.nodes[0].shape, err) : st;
}

static cxr_status allocate(cxr_engine *e, cxr_error *err)
{
    const size_t images = (size_t)e->o.images, rows = images * (size_t)e->o.views, classes = (size_t)e->model->class_count;
    size_t widest = 0;
    for (const cxr_model *m = e->model; m != NULL; m = m->next) {
        const size_t width = cxr_feature_width(m);
        widest = width > widest ? width : widest;
        e->width += width;
    }
    e->own = cxr_mem_new(rows * classes, sizeof(float));
    e->probabilities = cxr_mem_new(rows * classes, sizeof(float));
    if (e->own == NULL || e->probabilities == NULL) return cxr_mem_fail(err, "predictions");
    if (!e->o.features) return CXR_OK;
    e->pooled = cxr_mem_new(rows * widest, sizeof(float));
    e->features = cxr_mem_new(images * e->width, sizeof(float));
    return e->pooled == NULL || e->features == NULL ? cxr_mem_fail(err, "features") : CXR_OK;
}

cxr_status cxr_engine_open(cxr_engine *e, const cxr_model *m, const cxr_engine_opts *o, const cxr_run_opts *run, cxr_error *err)
{
    *e = (cxr_engine){.model = m, .o = *o};
    const cxr_status st = allocate(e, err);
    return st == CXR_OK ? compile(e, run, err) : st;
}

/* Features of a member, which stand behind those of the members before it. */
static cxr_status take_features(const cxr_engine *e, const cxr_member *k, const cxr_tensor *out, int images, size_t before,
                                cxr_error *err)
{
    const cxr_status st = e->backend->tensor_read(out, e->pooled, err);
    for (int i = 0; i < images && st == CXR_OK; i++)
        memcpy(e->features + (size_t)i * e->width + before, e->pooled + (size_t)(i * e->o.views) * k->width,
               k->width * sizeof(float));
    return st;
}

static cxr_status add_probabilities(const cxr_engine *e, const cxr_model *m, const cxr_tensor *out, size_t rows, cxr_error *err)
{
    const cxr_status st = e->backend->tensor_read(out, e->own, err);
    if (st != CXR_OK) return st;
    cxr_probabilities(e->own, rows, m->class_count, m->temperature);
    for (size_t i = 0; i < rows * (size_t)m->class_count; i++) e->probabilities[i] += e->own[i];
    return CXR_OK;
}

cxr_status cxr_engine_run(cxr_engine *e, int images, const uint8_t *pixels, cxr_error *err)
{
    const int rows = images * e->o.views;
    const size_t n = (size_t)rows * (size_t)e->model->class_count;
    const cxr_model *m = e->model;
    size_t before = 0;
    cxr_status st = e->backend->tensor_write(e->input, rows, pixels, err);
    memset(e->probabilities, 0, n * sizeof *e->probabilities);
    for (int i = 0; i < e->count && st == CXR_OK; i++, m = m->next) {
        const cxr_member *k = &e->members[i];
        const cxr_tensor *out = NULL;
        st = e->backend->forward(k->first, e->input, 0, &out, err);
        if (st == CXR_OK && e->o.features) st = take_features(e, k, out, images, before, err);
        if (st == CXR_OK && k->head != NULL) st = e->backend->forward(k->head, out, 0, &out, err);
        if (st == CXR_OK && e->o.probabilities) st = add_probabilities(e, m, out, (size_t)rows, err);
        before += k->width;
    }
    for (size_t i = 0; i < n; i++) e->probabilities[i] /= (float)e->count;
    return st;
}

static bool all_finite(const float *x, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) good &= isfinite(x[i]) != 0;
    return good;
}

cxr_status cxr_engine_check(const cxr_engine *e, int index, cxr_error *err)
{
    const size_t each = (size_t)e->o.views * (size_t)e->model->class_count;
    if (!all_finite(e->probabilities + (size_t)index * each, each))
        return cxr_fail(err, CXR_EDATA, "the model gives a probability that is not a number");
    if (e->o.features && !all_finite(e->features + (size_t)index * e->width, e->width))
        return cxr_fail(err, CXR_EDATA, "the model gives a feature that is not a number");
    return CXR_OK;
}
