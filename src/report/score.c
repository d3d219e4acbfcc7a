#include "report/score.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/hide.h"
#include "data/perturb.h"
#include "eval/predict.h"
#include "model/model.h"
#include "report/run.h"
#include "train/options.h"
#include <stdlib.h>
#include <string.h>

static bool same_place(const char *a, const char *b)
{
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    const bool same = x != NULL && y != NULL && strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

/* *out is NULL when there is no run, or it was trained on something else. A run that cannot be read is an error: another split
 * would put its training images into validation. */
static cxr_status split_of_run(char **out, const char *run, const char *data, cxr_error *err)
{
    *out = NULL;
    char *path = cxr_path_join(run, CXR_RUN_ARGS);
    if (path == NULL) return cxr_mem_fail(err, "a path");
    cxr_saved_opts saved;
    const bool there = cxr_path_exists(path);
    const cxr_status st = there ? cxr_train_opts_read(&saved, path, err) : CXR_OK;
    cxr_mem_free(path);
    if (!there || st != CXR_OK) return st;
    const bool same = same_place(saved.opts.data, data);
    cxr_saved_opts_free(&saved);
    if (same && (*out = cxr_path_join(run, CXR_RUN_SPLIT)) == NULL) return cxr_mem_fail(err, "a path");
    return CXR_OK;
}

cxr_status cxr_split_find(cxr_dataset *d, const char *data, const char *split_file, const char *run, bool *found,
                          cxr_error *err)
{
    *found = true;
    if (split_file != NULL) return cxr_split_read(d, split_file, err);
    char *path = NULL;
    cxr_status st = run == NULL ? CXR_OK : split_of_run(&path, run, data, err);
    *found = path != NULL;
    if (st == CXR_OK && path != NULL) st = cxr_split_read(d, path, err);
    cxr_mem_free(path);
    return st;
}

cxr_status cxr_split_as_trained(cxr_dataset *d, const cxr_model *m, const char *data, const char *split_file,
                                cxr_split_report *report, cxr_error *err)
{
    char *run = m->path == NULL ? NULL : cxr_run_of_model(m->path);
    bool found = false;
    cxr_train_opts usual;
    cxr_train_opts_default(&usual);
    *report = (cxr_split_report){0};
    cxr_status st = cxr_dataset_open(d, data, usual.group_by, err);
    if (st == CXR_OK) st = cxr_split_find(d, data, split_file, run, &found, err);
    if (st == CXR_OK && !found) st = cxr_dataset_split(d, usual.val_fraction, usual.seed, report, err);
    cxr_mem_free(run);
    return st;
}

cxr_status cxr_split_agree(cxr_dataset *d, const char *data, cxr_split split, const char *other, cxr_error *err)
{
    bool *in = cxr_mem_new(d->count, sizeof *in), found = false, same = true;
    if (in == NULL) return cxr_mem_fail(err, "a split");
    for (size_t i = 0; i < d->count; i++) in[i] = d->samples[i].split == split;
    const cxr_status st = cxr_split_find(d, data, NULL, other, &found, err);
    for (size_t i = 0; i < d->count && found; i++) same = same && in[i] == (d->samples[i].split == split);
    cxr_mem_free(in);
    if (st != CXR_OK || same) return st;
    return cxr_fail(err, CXR_EDATA, "%s: its %s images are not those of the first model: name a split.csv with --split-file",
                    other, cxr_split_name(split));
}

static int class_index(const cxr_model *m, const char *name)
{
    for (int c = 0; c < m->class_count; c++)
        if (strcmp(m->classes[c], name) == 0) return c;
    return -1;
}

cxr_status cxr_match_classes(cxr_subset *s, const cxr_dataset *d, const cxr_model *m, cxr_error *err)
{
    if (d->class_count != m->class_count)
        return cxr_fail(err, CXR_EDATA, "%s: %d classes, the model has %d", d->root, d->class_count, m->class_count);
    int *to = cxr_mem_new((size_t)d->class_count, sizeof *to);
    if (to == NULL) return cxr_mem_fail(err, "class names");
    cxr_status st = CXR_OK;
    for (int c = 0; c < d->class_count && st == CXR_OK; c++) {
        to[c] = class_index(m, d->classes[c]);
        if (to[c] < 0) st = cxr_fail(err, CXR_EDATA, "%s: class \"%s\" is not one of the model's", d->root, d->classes[c]);
    }
    for (size_t i = 0; i < s->count && st == CXR_OK; i++) s->labels[i] = to[s->labels[i]];
    cxr_mem_free(to);
    return st;
}

static cxr_status collect(void *user, size_t index, const cxr_error *outcome, const float *probabilities)
{
    cxr_scored *s = user;
    if (outcome->status != CXR_OK) {
        if (!s->skip) return outcome->status;
        s->skipped++;
        cxr_log(s->hooks, CXR_WARNING, "skipped: %s", outcome->text);
        return CXR_OK;
    }
    const size_t first = s->all.n, views = (size_t)s->views, classes = (size_t)s->all.classes;
    for (size_t i = first; i < first + views; i++) {
        s->all.path[i] = s->from->keys[index];
        s->all.label[i] = s->from->labels[index];
        s->groups[i] = s->from->groups[index];
    }
    memcpy(s->all.probability + first * classes, probabilities, views * classes * sizeof(float));
    s->all.n += views;
    return CXR_OK;
}

static cxr_status open_scored(cxr_scored *out, size_t count, int classes, const char *const *class_names, cxr_error *err)
{
    out->all = (cxr_predictions){.classes = classes,
                                 .class_names = class_names,
                                 .path = cxr_mem_new(count, sizeof *out->all.path),
                                 .label = cxr_mem_new(count, sizeof *out->all.label),
                                 .probability = cxr_mem_new(count, (size_t)classes * sizeof(float))};
    out->groups = cxr_mem_new(count, sizeof *out->groups);
    const bool ok = out->groups != NULL && out->all.path != NULL && out->all.label != NULL && out->all.probability != NULL;
    return ok ? CXR_OK : cxr_mem_fail(err, "predictions");
}

typedef cxr_status predict_fn(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                              const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err);

static cxr_status score(cxr_scored *out, const cxr_model *m, const cxr_subset *part, predict_fn *predict, int views,
                        const cxr_run_opts *o, bool skip, const cxr_hooks *hooks, cxr_error *err)
{
    *out = (cxr_scored){.views = views, .from = part, .hooks = hooks, .skip = skip};
    const char *const *classes = (const char *const *)m->classes;
    cxr_status st = open_scored(out, part->count * (size_t)views, m->class_count, classes, err);
    if (st == CXR_OK) st = predict(m, part->paths, part->count, o, hooks, collect, out, err);
    if (st == CXR_OK && out->skipped > 0) cxr_log(hooks, CXR_WARNING, "%zu unreadable images were left out", out->skipped);
    return st;
}

cxr_status cxr_score(cxr_scored *out, const cxr_model *m, const cxr_subset *part, const cxr_run_opts *o, bool skip,
                     const cxr_hooks *hooks, cxr_error *err)
{
    return score(out, m, part, cxr_predict_paths, 1, o, skip, hooks, err);
}

cxr_status cxr_score_perturbed(cxr_scored *out, const cxr_model *m, const cxr_subset *part, const cxr_run_opts *o, bool skip,
                               const cxr_hooks *hooks, cxr_error *err)
{
    return score(out, m, part, cxr_predict_perturbed, CXR_PERTURBATIONS, o, skip, hooks, err);
}

cxr_status cxr_score_hidden(cxr_scored *out, const cxr_model *m, const cxr_subset *part, const cxr_run_opts *o, bool skip,
                            const cxr_hooks *hooks, cxr_error *err)
{
    return score(out, m, part, cxr_predict_hidden, CXR_HIDINGS, o, skip, hooks, err);
}

cxr_status cxr_scored_view(cxr_scored *out, const cxr_scored *all, int view, cxr_error *err)
{
    const size_t views = (size_t)all->views, classes = (size_t)all->all.classes, n = all->all.n / views;
    *out = (cxr_scored){.views = 1, .from = all->from, .hooks = all->hooks, .skip = all->skip, .skipped = all->skipped};
    const cxr_status st = open_scored(out, n, all->all.classes, all->all.class_names, err);
    if (st != CXR_OK) return st;
    out->all.n = n;
    for (size_t i = 0; i < n; i++) {
        const size_t from = i * views + (size_t)view;
        out->all.path[i] = all->all.path[from];
        out->all.label[i] = all->all.label[from];
        out->groups[i] = all->groups[from];
        memcpy(out->all.probability + i * classes, all->all.probability + from * classes, classes * sizeof(float));
    }
    return CXR_OK;
}

void cxr_scored_free(cxr_scored *s)
{
    cxr_mem_free(s->groups);
    cxr_mem_free(s->all.path);
    cxr_mem_free(s->all.label);
    cxr_mem_free(s->all.probability);
    *s = (cxr_scored){0};
}
