/* cxr_explain(): loader -> probe -> map of each image -> checks, curves -> files -> the caller's row. */
#include "base/file.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/files.h"
#include "data/loader.h"
#include "eval/fit.h"
#include "explain/check.h"
#include "explain/outputs.h"
#include "model/model.h"
#include <math.h>
#include <string.h>

#define BATCHES_AHEAD 3

void cxr_explain_opts_default(cxr_explain_opts *o)
{
    *o = (cxr_explain_opts){.method = CXR_GRAD_CAM, .layer = "layer4"};
    cxr_run_opts_default(&o->run);
}

typedef struct explainer {
    const cxr_model *model;
    const cxr_explain_opts *o;
    const cxr_hooks *hooks;
    void (*row)(void *user, const cxr_explanation *e);
    void *user;
    char **paths;
    cxr_explained_to to;
    int asked; /* class; -1: the predicted one */
    int threads, batch;
    int height, width; /* of the maps */
    cxr_probe probe;
    cxr_variants variants;
    cxr_check check;
    cxr_loader *loader;
    uint32_t *order;
    float *probabilities, *maps; /* (batch, classes), (batch, cells) */
    int *classes;                /* explained, by image of the batch */
    cxr_explained *each;
} explainer;

/* ---- Maps ---- */

/* Probabilities as cxr_predict() gives them, from logits. */
static void to_probabilities(float *p, const float *logits, int n, int classes, double temperature)
{
    for (int i = 0; i < n; i++, p += classes, logits += classes) {
        double largest = (double)logits[0], sum = 0.0;
        for (int k = 1; k < classes; k++) largest = fmax(largest, (double)logits[k]);
        for (int k = 0; k < classes; k++) sum += exp((double)logits[k] - largest);
        for (int k = 0; k < classes; k++) p[k] = (float)((double)logits[k] - largest - log(sum));
        cxr_probabilities(p, 1, classes, temperature);
    }
}

/* The images of a batch, before their maps are made. */
static cxr_status classify(explainer *x, const cxr_batch *b, cxr_error *err)
{
    const cxr_model *m = x->model;
    const size_t cells = (size_t)x->height * (size_t)x->width;
    const cxr_status st = cxr_probe_run(&x->probe, b->n, b->pixels, err);
    if (st != CXR_OK) return st;
    to_probabilities(x->probabilities, x->probe.logits, b->n, m->class_count, m->temperature);
    bool good = true;
    for (int i = 0; i < b->n; i++) {
        const float *row = x->probabilities + i * m->class_count;
        for (int k = 0; k < m->class_count; k++) good &= isfinite(row[k]) != 0;
        cxr_explained *w = &x->each[i];
        *w = (cxr_explained){.image = b->errors[i]};
        w->e = (cxr_explanation){.path = x->paths[b->index[i]], .status = w->image.status, .reason = w->image.text};
        w->e.predicted = cxr_decide(row, m->class_count, m->positive, m->threshold);
        w->e.explained = x->classes[i] = x->asked >= 0 ? x->asked : w->e.predicted;
        w->e.probabilities = row;
        w->e.map = x->maps + (size_t)i * cells;
        w->e.width = x->width;
        w->e.height = x->height;
        w->e.occlusion = w->e.randomised = w->e.lungs = w->e.lungs_area = w->e.deletion = w->e.insertion = NAN;
    }
    return good ? CXR_OK : cxr_fail(err, CXR_EDATA, "the model gives a probability that is not a number");
}

static cxr_status draw_curves(explainer *x, const cxr_batch *b, cxr_error *err)
{
    const size_t pixels = (size_t)x->variants.size * (size_t)x->variants.size;
    cxr_status st = CXR_OK;
    for (int i = 0; i < b->n && st == CXR_OK; i++) {
        cxr_explained *w = &x->each[i];
        if (w->e.status != CXR_OK) continue;
        const cxr_heat heat = {&x->model->preprocess, w->e.map, x->width, x->height};
        st = cxr_curves_make(&w->curves, &heat, &x->variants, b->pixels + (size_t)i * pixels, x->classes[i],
                             x->model->temperature, err);
        w->e.deletion = w->curves.deletion_area;
        w->e.insertion = w->curves.insertion_area;
    }
    return st;
}

static cxr_status explain_batch(explainer *x, const cxr_batch *b, cxr_error *err)
{
    cxr_status st = classify(x, b, err);
    if (st != CXR_OK) return st;
    st = cxr_maps_make(x->maps, x->o->method, &x->variants, b->n, b->pixels, x->classes, err);
    if (st == CXR_OK && x->o->check) st = cxr_check_batch(&x->check, &x->variants, b->n, b->pixels, x->classes, x->each, err);
    if (st == CXR_OK && x->o->curves) st = draw_curves(x, b, err);
    if (st == CXR_OK && x->o->out != NULL) st = cxr_explained_write(&x->to, x->each, b->n, err);
    for (int i = 0; i < b->n; i++) {
        if (st == CXR_OK) x->row(x->user, &x->each[i].e);
        cxr_explained_free(&x->each[i]);
    }
    return st;
}

/* ---- The whole ---- */

static cxr_status check(explainer *x, cxr_error *err)
{
    const cxr_explain_opts *o = x->o;
    const cxr_model *m = x->model;
    if (o->run.batch_size < 1 || o->run.batch_size > 1024 || o->run.threads < 0)
        return cxr_fail(err, CXR_EUSAGE, "batch size %d (1 to 1024) or thread count %d (0 or more) is out of range",
                        o->run.batch_size, o->run.threads);
    if (o->method != CXR_GRAD_CAM && o->method != CXR_GRAD_CAM_PP && o->method != CXR_OCCLUSION)
        return cxr_fail(err, CXR_EUSAGE, "there is no method %d of explaining", (int)o->method);
    if (m->next != NULL) return cxr_fail(err, CXR_EUSAGE, "a heat map is one model's: these are several");
    x->asked = -1;
    if (o->class_name == NULL) return CXR_OK;
    for (int k = 0; k < m->class_count; k++)
        if (strcmp(m->classes[k], o->class_name) == 0) x->asked = k;
    if (x->asked >= 0) return CXR_OK;
    return cxr_fail(err, CXR_EUSAGE, "the model has no class \"%s\": its first is \"%s\", its last \"%s\"", o->class_name,
                    m->classes[0], m->classes[m->class_count - 1]);
}

/* Variants of an image fill a batch, also where there are few images. */
static cxr_status open_probe(explainer *x, cxr_error *err)
{
    const cxr_run_opts *run = &x->o->run;
    const cxr_model *m = x->model;
    const bool variants = x->o->method == CXR_OCCLUSION || x->o->check || x->o->curves;
    const cxr_compile_opts o = {.max_batch = variants ? run->batch_size : x->batch,
                                .threads = x->threads,
                                .precision = run->precision,
                                .deterministic = run->deterministic,
                                .cache_dir = run->cache_dir};
    const char *layer = x->o->method == CXR_OCCLUSION ? "layer4" : x->o->layer;
    const cxr_backend *backend = NULL;
    cxr_status st = cxr_backend_find(&backend, run->device, err);
    if (st == CXR_OK) st = cxr_probe_open(&x->probe, backend, &m->graph, m->params, layer, &o, err);
    if (st == CXR_OK && x->o->check)
        st = cxr_check_open(&x->check, x->o->method, backend, &m->graph, m->params, layer, &o, err);
    if (st != CXR_OK) return st;
    cxr_maps_size(&x->probe, x->o->method, &x->height, &x->width);
    x->variants = (cxr_variants){.probe = &x->probe, .batch = o.max_batch, .size = m->preprocess.size};
    const size_t square = (size_t)m->preprocess.size * (size_t)m->preprocess.size;
    x->variants.pixels = cxr_mem_new(variants ? (size_t)o.max_batch : 0, square);
    return x->variants.pixels != NULL ? CXR_OK : cxr_mem_fail(err, "variants of an image");
}

static cxr_status allocate(explainer *x, size_t count, cxr_error *err)
{
    const size_t n = (size_t)x->batch, cells = (size_t)x->height * (size_t)x->width;
    x->probabilities = cxr_mem_new(n * (size_t)x->model->class_count, sizeof *x->probabilities);
    x->maps = cxr_mem_new(n * cells, sizeof *x->maps);
    x->classes = cxr_mem_new(n, sizeof *x->classes);
    x->each = cxr_mem_new(n, sizeof *x->each);
    x->order = cxr_mem_new(count, sizeof *x->order);
    if (x->probabilities == NULL || x->maps == NULL || x->classes == NULL || x->each == NULL || x->order == NULL)
        return cxr_mem_fail(err, "explanations");
    for (size_t i = 0; i < count; i++) x->order[i] = (uint32_t)i;
    return CXR_OK;
}

static cxr_status open_loader(explainer *x, const cxr_files *files, cxr_error *err)
{
    const cxr_loader_opts lo = {.paths = (const char *const *)files->paths,
                                .count = files->count,
                                .preprocess = &x->model->preprocess,
                                .limits = x->o->run.limits,
                                .batch_size = x->batch,
                                .threads = x->threads < x->batch ? x->threads : x->batch,
                                .ahead = BATCHES_AHEAD,
                                .cache = CXR_CACHE_OFF};
    const cxr_status st = cxr_loader_open(&x->loader, &lo, err);
    return st == CXR_OK ? cxr_loader_start(x->loader, x->order, files->count, 0, 0, false, err) : st;
}

static cxr_status explain_files(explainer *x, const cxr_files *files, cxr_error *err)
{
    const size_t most = (size_t)x->o->run.batch_size;
    x->paths = files->paths;
    x->batch = (int)(files->count < most ? files->count : most);
    x->threads = x->o->run.threads > 0 ? x->o->run.threads : cxr_thread_grant();
    x->to = (cxr_explained_to){x->model, x->o, cxr_common_folders(files->paths, files->count), x->threads};
    cxr_status st = x->o->out != NULL ? cxr_make_folders(x->o->out, err) : CXR_OK;
    if (st == CXR_OK) st = open_probe(x, err);
    if (st == CXR_OK) st = allocate(x, files->count, err);
    if (st == CXR_OK) st = open_loader(x, files, err);
    while (st == CXR_OK) {
        cxr_batch b;
        if (cxr_stop_asked(x->hooks)) st = cxr_fail(err, CXR_ESTOPPED, "stopped");
        if (st == CXR_OK) st = cxr_loader_next(x->loader, &b, NULL, err);
        if (st != CXR_OK || b.n == 0) break;
        st = explain_batch(x, &b, err);
    }
    return st == CXR_OK && x->o->out != NULL ? cxr_flush(x->o->out, err) : st;
}

static void explainer_close(explainer *x)
{
    cxr_loader_close(&x->loader);
    cxr_check_close(&x->check);
    cxr_probe_close(&x->probe);
    cxr_mem_free(x->order);
    cxr_mem_free(x->probabilities);
    cxr_mem_free(x->maps);
    cxr_mem_free(x->classes);
    cxr_mem_free(x->each);
    cxr_mem_free(x->variants.pixels);
}

cxr_status cxr_explain(const cxr_model *model, const char *const *paths, size_t count, const cxr_explain_opts *opts,
                       const cxr_hooks *hooks, void (*row)(void *user, const cxr_explanation *e), void *user, cxr_error *err)
{
    cxr_files files = {0};
    explainer x = {.model = model, .o = opts, .hooks = hooks, .row = row, .user = user};
    cxr_status st = check(&x, err);
    if (st == CXR_OK) st = cxr_files_list(&files, paths, count, err);
    if (st == CXR_OK && files.count > UINT32_MAX)
        st = cxr_fail(err, CXR_ELIMIT, "%zu images at once, limit %u", files.count, UINT32_MAX);
    if (st == CXR_OK && files.count > 0) st = explain_files(&x, &files, err);
    explainer_close(&x);
    cxr_files_free(&files);
    return st;
}
