/* cxr_evaluate: a model over one split of a data set, and the files and the ledger line that come of it. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/csv.h"
#include "data/subset.h"
#include "eval/metrics.h"
#include "eval/predict.h"
#include "model/model.h"
#include "report/plot.h"
#include "report/run.h"
#include "report/tables.h"
#include "train/options.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cxr_evaluate_opts_default(cxr_evaluate_opts *o)
{
    *o = (cxr_evaluate_opts){.split = "test"};
    cxr_run_opts_default(&o->run);
}

/* "all" is CXR_SPLIT_NONE: no split is singled out. */
static cxr_status parse_split(cxr_split *out, const char *name, cxr_error *err)
{
    for (cxr_split s = CXR_SPLIT_TRAIN; s < CXR_SPLIT_COUNT; s++) {
        if (strcmp(name, cxr_split_name(s)) != 0) continue;
        *out = s;
        return CXR_OK;
    }
    *out = CXR_SPLIT_NONE;
    return strcmp(name, "all") == 0 ? CXR_OK : cxr_fail(err, CXR_EUSAGE, "unknown split \"%s\": test, val, train or all", name);
}

static bool same_place(const char *a, const char *b)
{
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    const bool same = x != NULL && y != NULL && strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

/* The split.csv of the run that made the model, when `data` is what that run was trained on: its validation images were
 * carved there and nowhere else. NULL otherwise. */
static char *split_of_run(const char *run, const char *data)
{
    char *path = cxr_path_join(run, CXR_RUN_ARGS);
    cxr_saved_opts saved;
    if (path == NULL || cxr_train_opts_read(&saved, path, NULL) != CXR_OK) {
        cxr_mem_free(path);
        return NULL;
    }
    cxr_mem_free(path);
    const bool same = same_place(saved.opts.data, data);
    cxr_saved_opts_free(&saved);
    return same ? cxr_path_join(run, CXR_RUN_SPLIT) : NULL;
}

static cxr_status open_split(cxr_dataset *d, const cxr_evaluate_opts *o, const char *run, cxr_error *err)
{
    cxr_status st = cxr_dataset_open(d, o->data, "auto", err);
    if (st != CXR_OK) return st;
    if (o->split_file != NULL) return cxr_split_read(d, o->split_file, err);
    char *path = run == NULL ? NULL : split_of_run(run, o->data);
    if (path != NULL) st = cxr_split_read(d, path, err);
    cxr_mem_free(path);
    return st;
}

static int class_index(const cxr_model *m, const char *name)
{
    for (int c = 0; c < m->class_count; c++)
        if (strcmp(m->classes[c], name) == 0) return c;
    return -1;
}

/* Turns the data set's labels into the model's, by name. */
static cxr_status match_classes(cxr_subset *s, const cxr_dataset *d, const cxr_model *m, cxr_error *err)
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

/* Collects outcomes into predictions; unreadable images stop, or are counted and left out. */
typedef struct collector {
    cxr_predictions out;
    const cxr_subset *from;
    const cxr_hooks *hooks;
    bool skip;
    size_t skipped;
} collector;

static cxr_status collect(void *user, size_t index, const cxr_error *outcome, const float *probabilities)
{
    collector *c = user;
    if (outcome->status != CXR_OK) {
        if (!c->skip) return outcome->status;
        c->skipped++;
        cxr_log(c->hooks, CXR_WARNING, "skipped: %s", outcome->text);
        return CXR_OK;
    }
    const size_t i = c->out.n++, classes = (size_t)c->out.classes;
    c->out.path[i] = c->from->keys[index];
    c->out.label[i] = c->from->labels[index];
    memcpy(c->out.probability + i * classes, probabilities, classes * sizeof(float));
    return CXR_OK;
}

static cxr_status open_collector(collector *c, const cxr_model *m, const cxr_subset *s, const cxr_evaluate_opts *o,
                                 const cxr_hooks *hooks, cxr_error *err)
{
    const size_t classes = (size_t)m->class_count;
    *c = (collector){.from = s, .hooks = hooks, .skip = o->skip_unreadable};
    c->out = (cxr_predictions){.classes = m->class_count,
                               .class_names = (const char *const *)m->classes,
                               .path = cxr_mem_new(s->count, sizeof *c->out.path),
                               .label = cxr_mem_new(s->count, sizeof *c->out.label),
                               .probability = cxr_mem_new(s->count, classes * sizeof(float))};
    return c->out.path != NULL && c->out.label != NULL && c->out.probability != NULL ? CXR_OK
                                                                                     : cxr_mem_fail(err, "predictions");
}

static void close_collector(collector *c)
{
    cxr_mem_free(c->out.path);
    cxr_mem_free(c->out.label);
    cxr_mem_free(c->out.probability);
}

static cxr_status write_files(const char *folder, const cxr_model *m, const cxr_predictions *p, const cxr_metrics *x,
                              cxr_error *err)
{
    cxr_status st = cxr_make_folders(folder, err);
    char *metrics = cxr_path_join(folder, "metrics.json"), *rows = cxr_path_join(folder, "predictions.csv");
    char *matrix = cxr_path_join(folder, "confusion_matrix.png");
    if (st == CXR_OK && (metrics == NULL || rows == NULL || matrix == NULL)) st = cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_write_predictions(rows, p, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_plot_confusion(matrix, x->confusion, p->class_names, p->classes, err);
    if (st == CXR_OK) st = cxr_write_metrics(metrics, x, p->class_names, err);
    cxr_mem_free(metrics);
    cxr_mem_free(rows);
    cxr_mem_free(matrix);
    return st;
}

static uint64_t correct(const cxr_metrics *x)
{
    uint64_t sum = 0;
    for (int c = 0; c < x->classes; c++) sum += x->confusion[(size_t)c * (size_t)x->classes + (size_t)c];
    return sum;
}

/* Appends "this split was read" to the run's ledger: how often test was looked at belongs to its figures. A shared model may
 * lie where the reader cannot write; that is said, and does not keep the figures from them. */
static cxr_status write_ledger(const char *run, const cxr_evaluate_opts *o, const cxr_model *m, const cxr_metrics *x,
                               const cxr_hooks *hooks, cxr_error *err)
{
    char *path = cxr_path_join(run, CXR_RUN_LEDGER), stamp[CXR_STAMP];
    if (path == NULL) return cxr_mem_fail(err, "a file name");
    cxr_stamp(stamp);
    const bool fresh = !cxr_path_exists(path);
    FILE *f = fopen(path, "ae");
    bool ok = f != NULL;
    if (ok) {
        if (fresh) (void)fputs("time,model,data,split,images,correct\n", f);
        (void)fprintf(f, "%s,", stamp);
        cxr_csv_put(f, cxr_path_name(m->path));
        (void)fputc(',', f);
        cxr_csv_put(f, o->data);
        (void)fprintf(f, ",%s,%zu,%llu\n", o->split, x->n, (unsigned long long)correct(x));
        ok = fflush(f) == 0 && fsync(fileno(f)) == 0;
        ok = fclose(f) == 0 && ok;
    }
    if (!ok) cxr_log(hooks, CXR_WARNING, "%s: this reading is not recorded: %s", path, strerror(errno));
    cxr_mem_free(path);
    return CXR_OK;
}

static cxr_status score(const cxr_model *m, const cxr_evaluate_opts *o, const cxr_hooks *hooks, cxr_subset *s, const char *run,
                        cxr_metrics **out, cxr_error *err)
{
    collector c = {0};
    cxr_status st = open_collector(&c, m, s, o, hooks, err);
    if (st == CXR_OK) st = cxr_predict_paths(m, s->paths, s->count, &o->run, hooks, collect, &c, err);
    if (st == CXR_OK) st = cxr_metrics_compute(out, &c.out, m->positive, m->threshold, err);
    if (st == CXR_OK && c.skipped > 0) cxr_log(hooks, CXR_WARNING, "%zu unreadable images were left out", c.skipped);
    if (st == CXR_OK && run != NULL) st = write_ledger(run, o, m, *out, hooks, err);
    if (st == CXR_OK && o->out != NULL) st = write_files(o->out, m, &c.out, *out, err);
    if (st != CXR_OK) cxr_metrics_free(out);
    close_collector(&c);
    return st;
}

cxr_status cxr_evaluate(const cxr_model *m, const cxr_evaluate_opts *o, const cxr_hooks *hooks, cxr_metrics **out,
                        cxr_error *err)
{
    *out = NULL;
    if (o->data == NULL) return cxr_fail(err, CXR_EUSAGE, "evaluation needs a data set");
    char *run = m->path == NULL ? NULL : cxr_run_of_model(m->path);
    cxr_dataset data = {0};
    cxr_subset part = {0};
    cxr_split split = CXR_SPLIT_NONE;
    cxr_status st = parse_split(&split, o->split, err);
    if (st == CXR_OK) st = open_split(&data, o, run, err);
    if (st == CXR_OK) st = cxr_subset_open(&part, &data, split, err);
    if (st == CXR_OK && part.count == 0)
        st = cxr_fail(err, CXR_EDATA, "%s: no image in split \"%s\": choose another with --split, or all", o->data, o->split);
    if (st == CXR_OK) st = match_classes(&part, &data, m, err);
    if (st == CXR_OK) st = score(m, o, hooks, &part, run, out, err);
    cxr_subset_close(&part);
    cxr_dataset_close(&data);
    cxr_mem_free(run);
    return st;
}
