/* A run's end: its models are fitted, and the best one's figures on perturbed images written. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/robust.h"
#include "model/model.h"
#include "report/fit.h"
#include "report/run.h"
#include "report/score.h"
#include "report/tables.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

static cxr_fit_opts fitting(const cxr_train_opts *o)
{
    cxr_fit_opts f = {
        .data = o->data, .on = o->fit, .balanced = o->class_weights || o->balanced, .skip_unreadable = o->skip_unreadable};
    cxr_run_opts_default(&f.run);
    f.run.threads = o->threads;
    f.run.device = o->device;
    f.run.precision = o->precision;
    f.run.cache_dir = o->cache_dir;
    f.run.deterministic = o->deterministic;
    f.run.limits = o->limits;
    return f;
}

static cxr_status report(const char *folder, const cxr_model *m, const cxr_scored *s, const cxr_hooks *hooks,
                         cxr_train_result *result, cxr_error *err)
{
    result->temperature = m->temperature;
    result->threshold = m->threshold;
    if (s->views == 1) return CXR_OK;
    cxr_robustness *r = NULL;
    cxr_status st = cxr_robustness_compute(&r, &s->all, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_write_robustness(folder, r, err);
    if (st == CXR_OK) {
        result->perturbed_auroc = cxr_metrics_value(r->pooled, "auroc");
        result->perturbed_loss = cxr_metrics_value(r->pooled, "loss");
        result->perturbed_accuracy = cxr_metrics_value(r->pooled, "accuracy");
        result->perturbed_balanced_accuracy = cxr_metrics_value(r->pooled, "balanced_accuracy");
        cxr_log(hooks, CXR_INFO, "perturbed validation: AUROC %.4f, accuracy %.4f, balanced %.4f, loss %.4f",
                result->perturbed_auroc, result->perturbed_accuracy, result->perturbed_balanced_accuracy,
                result->perturbed_loss);
    }
    cxr_robustness_free(&r);
    return st;
}

static bool same_network(const cxr_model *a, const cxr_model *b)
{
    return a->graph.float_count == b->graph.float_count &&
           memcmp(a->params, b->params, a->graph.float_count * sizeof *a->params) == 0;
}

static cxr_status fit_best(cxr_model *best, const char *folder, const cxr_train_opts *o, const cxr_fit_images *images,
                           const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    cxr_scored scored = {0};
    const cxr_fit_opts f = fitting(o);
    cxr_status st = cxr_fit_model(&scored, best, images, &f, hooks, err);
    if (st == CXR_OK) st = report(folder, best, &scored, hooks, result, err);
    if (st == CXR_OK) st = cxr_model_write(best, best->path, NULL, 0, NULL, 0, err);
    cxr_scored_free(&scored);
    return st;
}

/* Where the last epoch was the best one, there is nothing to fit anew. */
static cxr_status fit_last(cxr_model *last, const cxr_model *best, const cxr_train_opts *o, const cxr_fit_images *images,
                           const cxr_hooks *hooks, cxr_error *err)
{
    cxr_scored scored = {0};
    const cxr_fit_opts f = fitting(o);
    const bool same = same_network(last, best);
    cxr_status st = same ? cxr_fit_copy(last, best, err) : cxr_fit_model(&scored, last, images, &f, hooks, err);
    if (st == CXR_OK) st = cxr_model_write(last, last->path, NULL, 0, NULL, 0, err);
    cxr_scored_free(&scored);
    return st;
}

static cxr_status open_model(cxr_model **out, const char *folder, const char *name, cxr_error *err)
{
    char *path = cxr_path_join(folder, name);
    const cxr_status st = path == NULL ? cxr_mem_fail(err, "a file name") : cxr_model_open(out, path, err);
    cxr_mem_free(path);
    return st;
}

static double number(const json_t *figures, const char *name)
{
    const json_t *x = json_object_get(figures, name);
    return json_is_number(x) ? json_number_value(x) : (double)NAN;
}

/* The pooled figures that report() left. */
static bool read_figures(const char *folder, cxr_train_result *result)
{
    char *path = cxr_path_join(folder, "robustness.json");
    json_t *all = path == NULL ? NULL : json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    const json_t *pooled = json_object_get(all, "pooled");
    const bool ok = json_is_object(pooled);
    if (ok) {
        result->perturbed_auroc = number(pooled, "auroc");
        result->perturbed_loss = number(pooled, "loss");
        result->perturbed_accuracy = number(pooled, "accuracy");
        result->perturbed_balanced_accuracy = number(pooled, "balanced_accuracy");
    }
    json_decref(all);
    cxr_mem_free(path);
    return ok;
}

/* Whether the run was fitted before it was resumed: the last model's file is written last. */
static bool recall(const char *folder, const cxr_train_opts *o, const cxr_model *best, const cxr_model *last,
                   cxr_train_result *result)
{
    if (best->temperature == 1.0 || last->temperature == 1.0) return false;
    if (o->fit == CXR_FIT_PERTURBED && !read_figures(folder, result)) return false;
    result->temperature = best->temperature;
    result->threshold = best->threshold;
    return true;
}

cxr_status cxr_fit_run(const char *folder, const cxr_train_opts *o, const cxr_dataset *data, const cxr_hooks *hooks,
                       cxr_train_result *result, cxr_error *err)
{
    if (o->fit == CXR_FIT_NONE) return CXR_OK;
    cxr_model *best = NULL, *last = NULL;
    cxr_fit_images images = {0};
    cxr_status st = cxr_subset_open(&images.train, data, CXR_SPLIT_TRAIN, err);
    if (st == CXR_OK) st = cxr_subset_open(&images.val, data, CXR_SPLIT_VAL, err);
    if (st == CXR_OK) st = open_model(&best, folder, CXR_RUN_BEST, err);
    if (st == CXR_OK) st = open_model(&last, folder, CXR_RUN_LAST, err);
    const bool done = st == CXR_OK && recall(folder, o, best, last, result);
    if (st == CXR_OK && !done) st = fit_best(best, folder, o, &images, hooks, result, err);
    if (st == CXR_OK && !done) st = fit_last(last, best, o, &images, hooks, err);
    cxr_model_close(&best);
    cxr_model_close(&last);
    cxr_subset_close(&images.train);
    cxr_subset_close(&images.val);
    return st;
}
