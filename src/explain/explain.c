/* cxr_explain(): loader -> probe -> map of each image -> files, written by several threads -> the caller's row. */
#include "base/file.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/files.h"
#include "data/loader.h"
#include "eval/fit.h"
#include "explain/cam.h"
#include "explain/figure.h"
#include "explain/outputs.h"
#include "explain/probe.h"
#include "model/model.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BATCHES_AHEAD 3
#define TEXT          320 /* of a figure's line, bytes */

void cxr_explain_opts_default(cxr_explain_opts *o)
{
    *o = (cxr_explain_opts){.method = CXR_GRAD_CAM, .layer = "layer4"};
    cxr_run_opts_default(&o->run);
}

/* One image of a batch on its way to its files. */
typedef struct work {
    cxr_explanation e;
    cxr_error image; /* why it has no explanation */
    cxr_error error; /* why a file could not be written */
    char *figure, *raw;
} work;

typedef struct explainer {
    const cxr_model *model;
    const cxr_explain_opts *o;
    const cxr_hooks *hooks;
    void (*row)(void *user, const cxr_explanation *e);
    void *user;
    char **paths;
    size_t common; /* bytes of the folders that they share */
    int asked;     /* class; -1: the predicted one */
    int threads, batch;
    cxr_probe probe;
    cxr_loader *loader;
    uint32_t *order;
    float *probabilities, *maps; /* (batch, classes), (batch, cells) */
    int *classes;                /* explained, by image of the batch */
    work *works;
} explainer;

static const char *class_name(const explainer *x, int index)
{
    return x->model->classes[index];
}

static const char *method_name(cxr_explain_method method)
{
    return method == CXR_GRAD_CAM ? "Grad-CAM" : "Grad-CAM++";
}

/* ---- Files ---- */

static cxr_status make_folder_of(const char *path, cxr_error *err)
{
    char *folder = cxr_mem_printf("%.*s", (int)(cxr_path_name(path) - path - 1), path);
    if (folder == NULL) return cxr_mem_fail(err, path);
    const cxr_status st = cxr_make_folders(folder, err);
    cxr_mem_free(folder);
    return st;
}

static cxr_status write_figure(const explainer *x, const work *w, cxr_error *err)
{
    const cxr_explanation *e = &w->e;
    char title[TEXT], subtitle[TEXT];
    const double p = (double)e->probabilities[e->explained];
    if (e->explained == e->predicted)
        (void)snprintf(title, sizeof title, "%.100s, probability %.3f", class_name(x, e->explained), p);
    else
        (void)snprintf(title, sizeof title, "What speaks for %.100s, probability %.3f (predicted: %.100s)",
                       class_name(x, e->explained), p, class_name(x, e->predicted));
    (void)snprintf(subtitle, sizeof subtitle, "%s at %s, %d x %d; colours: share of the map's largest value",
                   method_name(x->o->method), x->o->layer, e->width, e->height);
    bool empty = true;
    for (int i = 0; i < e->width * e->height; i++) empty &= e->map[i] == 0.0f;
    const cxr_heat_figure f = {.title = title,
                               .subtitle = subtitle,
                               .note = empty ? "The map is empty: nothing at this layer speaks for the class." : NULL,
                               .heat = {&x->model->preprocess, e->map, e->width, e->height}};
    return cxr_heat_figure_write(&f, e->path, &x->o->run.limits, w->figure, err);
}

static void write_files(const explainer *x, work *w)
{
    cxr_error *err = &w->error;
    char *stem = cxr_output_stem(x->o->out, w->e.path, x->common);
    w->figure = stem == NULL ? NULL : cxr_mem_printf("%s.png", stem);
    w->raw = stem == NULL ? NULL : cxr_mem_printf("%s.npy", stem);
    cxr_status st = w->figure == NULL || w->raw == NULL ? cxr_mem_fail(err, "a file name") : make_folder_of(stem, err);
    if (st == CXR_OK) st = cxr_npy_write(w->raw, w->e.map, w->e.height, w->e.width, err);
    if (st == CXR_OK) st = write_figure(x, w, err);
    w->error.status = st;
    w->e.figure = w->figure;
    w->e.raw = w->raw;
    cxr_mem_free(stem);
}

typedef struct crew {
    const explainer *x;
    int n;
    atomic_int next;
} crew;

static void *crew_member(void *ctx)
{
    crew *c = ctx;
    for (int i = atomic_fetch_add(&c->next, 1); i < c->n; i = atomic_fetch_add(&c->next, 1))
        if (c->x->works[i].e.status == CXR_OK) write_files(c->x, &c->x->works[i]);
    return NULL;
}

/* Images are drawn by all threads; one that cannot be started is done without. */
static cxr_status write_batch(const explainer *x, int n, cxr_error *err)
{
    crew c = {.x = x, .n = n};
    pthread_t others[64];
    const int most = (int)(sizeof others / sizeof others[0]) + 1, want = x->threads < n ? x->threads : n;
    int started = 0;
    while (started + 1 < want && started + 1 < most && pthread_create(&others[started], NULL, crew_member, &c) == 0) started++;
    (void)crew_member(&c);
    for (int i = 0; i < started; i++) (void)pthread_join(others[i], NULL);
    for (int i = 0; i < n; i++) {
        const cxr_error *e = &x->works[i].error;
        if (e->status != CXR_OK) return cxr_fail(err, e->status, "%s", e->text);
    }
    return CXR_OK;
}

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

static cxr_status check_numbers(const explainer *x, int n, size_t cells, cxr_error *err)
{
    const size_t classes = (size_t)x->model->class_count;
    bool good = true;
    for (size_t i = 0; i < (size_t)n * classes; i++) good &= isfinite(x->probabilities[i]) != 0;
    for (size_t i = 0; i < (size_t)n * cells; i++) good &= isfinite(x->maps[i]) != 0;
    return good ? CXR_OK : cxr_fail(err, CXR_EDATA, "the model gives a probability or gradient that is not a number");
}

static cxr_status make_maps(explainer *x, const cxr_batch *b, cxr_error *err)
{
    cxr_probe *p = &x->probe;
    const cxr_model *m = x->model;
    const size_t cells = (size_t)p->shape.h * (size_t)p->shape.w, each = cxr_shape_count(p->shape);
    cxr_status st = cxr_probe_run(p, b->n, b->pixels, err);
    if (st != CXR_OK) return st;
    to_probabilities(x->probabilities, p->logits, b->n, m->class_count, m->temperature);
    for (int i = 0; i < b->n; i++) {
        const float *row = x->probabilities + i * m->class_count;
        work *w = &x->works[i];
        *w = (work){.image = b->errors[i]};
        w->e = (cxr_explanation){.path = x->paths[b->index[i]], .status = w->image.status, .reason = w->image.text};
        w->e.predicted = cxr_decide(row, m->class_count, m->positive, m->threshold);
        w->e.explained = x->classes[i] = x->asked >= 0 ? x->asked : w->e.predicted;
        w->e.probabilities = row;
        w->e.map = x->maps + (size_t)i * cells;
        w->e.width = p->shape.w;
        w->e.height = p->shape.h;
    }
    st = cxr_probe_gradients(p, x->classes, err);
    for (int i = 0; i < b->n && st == CXR_OK; i++)
        cxr_cam(x->maps + (size_t)i * cells, p->values + (size_t)i * each, p->gradients + (size_t)i * each, p->shape.c, cells,
                x->o->method);
    return st == CXR_OK ? check_numbers(x, b->n, cells, err) : st;
}

static cxr_status explain_batch(explainer *x, const cxr_batch *b, cxr_error *err)
{
    cxr_status st = make_maps(x, b, err);
    if (st == CXR_OK && x->o->out != NULL) st = write_batch(x, b->n, err);
    for (int i = 0; i < b->n; i++) {
        if (st == CXR_OK) x->row(x->user, &x->works[i].e);
        cxr_mem_free(x->works[i].figure);
        cxr_mem_free(x->works[i].raw);
        x->works[i].figure = x->works[i].raw = NULL;
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
    if (o->method != CXR_GRAD_CAM && o->method != CXR_GRAD_CAM_PP)
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

static cxr_status open_probe(explainer *x, cxr_error *err)
{
    const cxr_run_opts *run = &x->o->run;
    const cxr_compile_opts o = {.max_batch = x->batch,
                                .threads = x->threads,
                                .precision = run->precision,
                                .deterministic = run->deterministic,
                                .cache_dir = run->cache_dir};
    const cxr_backend *backend = NULL;
    const cxr_status st = cxr_backend_find(&backend, run->device, err);
    if (st != CXR_OK) return st;
    return cxr_probe_open(&x->probe, backend, &x->model->graph, x->model->params, x->o->layer, &o, err);
}

static cxr_status allocate(explainer *x, size_t count, cxr_error *err)
{
    const size_t n = (size_t)x->batch, cells = (size_t)x->probe.shape.h * (size_t)x->probe.shape.w;
    x->probabilities = cxr_mem_new(n * (size_t)x->model->class_count, sizeof *x->probabilities);
    x->maps = cxr_mem_new(n * cells, sizeof *x->maps);
    x->classes = cxr_mem_new(n, sizeof *x->classes);
    x->works = cxr_mem_new(n, sizeof *x->works);
    x->order = cxr_mem_new(count, sizeof *x->order);
    if (x->probabilities == NULL || x->maps == NULL || x->classes == NULL || x->works == NULL || x->order == NULL)
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
    x->common = cxr_common_folders(files->paths, files->count);
    x->batch = (int)(files->count < most ? files->count : most);
    x->threads = x->o->run.threads > 0 ? x->o->run.threads : cxr_thread_grant();
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
    cxr_probe_close(&x->probe);
    cxr_mem_free(x->order);
    cxr_mem_free(x->probabilities);
    cxr_mem_free(x->maps);
    cxr_mem_free(x->classes);
    cxr_mem_free(x->works);
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
