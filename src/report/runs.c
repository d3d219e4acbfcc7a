/* cxr_runs: the runs below a folder, each from the files of its own folder (report/run.h). */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/csv.h"
#include "report/run.h"
#include "train/options.h"
#include "train/phases.h"
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DEEPEST 4 /* a search's trials in a folder of searches, and one more */

/* What the caller sees comes first. */
typedef struct list {
    cxr_run_list shown;
    size_t room;
    const cxr_hooks *hooks;
} list;

/* ---- One run ---- */

static double number(const cxr_csv *t, size_t row, const char *column)
{
    const int c = cxr_csv_column(t, column);
    char *end = NULL;
    const double x = c < 0 ? (double)NAN : strtod(t->rows[row][c], &end);
    return c < 0 || end == t->rows[row][c] || *end != '\0' ? (double)NAN : x;
}

/* The epochs at the model's own size count, as they do in training. */
static cxr_status read_results(cxr_run_row *r, const cxr_train_opts *o, const char *path, cxr_error *err)
{
    cxr_csv t = {0};
    cxr_phases sizes;
    cxr_status st = cxr_size_phases(&sizes, o, err);
    if (st == CXR_OK && cxr_path_exists(path)) st = cxr_csv_read(&t, path, err);
    for (size_t i = 1; st == CXR_OK && i < t.row_count; i++) {
        const double epoch = number(&t, i, "epoch"), loss = number(&t, i, "val_loss");
        if (epoch != (double)i) st = cxr_fail(err, CXR_EDATA, "%s:%zu: not epoch %zu", path, t.lines[i], i);
        const bool full = cxr_phase_of(&sizes, (int)i - 1) == sizes.count - 1;
        r->epochs_done = (int)i;
        if (!full || !isfinite(loss) || (r->best_epoch > 0 && loss >= r->val_loss)) continue;
        r->best_epoch = (int)i;
        r->val_loss = loss;
        r->val_accuracy = number(&t, i, "val_accuracy");
    }
    cxr_csv_free(&t);
    return st;
}

/* -1 when there is a ledger that cannot be read: not known is not never. */
static int count_readings(const char *path, const cxr_hooks *hooks)
{
    cxr_csv t = {0};
    cxr_error err = {0};
    int count = 0;
    if (!cxr_path_exists(path)) return 0;
    cxr_status st = cxr_csv_read(&t, path, &err);
    const int split = st == CXR_OK ? cxr_csv_column(&t, "split") : -1;
    if (st == CXR_OK && split < 0) st = cxr_fail(&err, CXR_EDATA, "%s: no column \"split\"", path);
    if (st != CXR_OK) cxr_log(hooks, CXR_DEBUG, "%s", err.text);
    for (size_t i = 1; st == CXR_OK && i < t.row_count; i++) count += strcmp(t.rows[i][split], "test") == 0;
    cxr_csv_free(&t);
    return st == CXR_OK ? count : -1;
}

static double figure(const json_t *metrics, const char *name)
{
    const json_t *value = json_object_get(json_object_get(metrics, name), "value");
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* The figures of the folder test/, unless it says that they are another split's. */
static void read_test(cxr_run_row *r, const char *path, const cxr_hooks *hooks)
{
    if (!cxr_path_exists(path)) return;
    json_error_t why;
    json_t *metrics = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    const char *split = json_string_value(json_object_get(json_object_get(metrics, "evaluation"), "split"));
    if (metrics == NULL) cxr_log(hooks, CXR_DEBUG, "%s: line %d: %s", path, why.line, why.text);
    if (split == NULL || strcmp(split, "test") == 0) {
        r->test_accuracy = figure(metrics, "accuracy");
        r->test_balanced_accuracy = figure(metrics, "balanced_accuracy");
        r->test_auroc = figure(metrics, "auroc");
    }
    json_decref(metrics);
}

static void stamp_of(char out[CXR_RUN_TIME], const char *path)
{
    struct stat file;
    struct tm parts;
    if (stat(path, &file) != 0 || gmtime_r(&file.st_mtime, &parts) == NULL ||
        strftime(out, CXR_RUN_TIME, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        out[0] = '\0';
}

/* CXR_EDATA for what was written half. */
static cxr_status read_run(cxr_run_row *r, const char *folder, const cxr_train_opts *o, const cxr_hooks *hooks, cxr_error *err)
{
    *r = (cxr_run_row){.path = cxr_mem_strdup(folder),
                       .recipe = cxr_mem_strdup(o->recipe),
                       .arch = cxr_mem_strdup(o->arch),
                       .seed = o->seed,
                       .epochs = o->epochs,
                       .val_loss = (double)NAN,
                       .val_accuracy = (double)NAN,
                       .test_accuracy = (double)NAN,
                       .test_balanced_accuracy = (double)NAN,
                       .test_auroc = (double)NAN};
    char *results = cxr_path_join(folder, CXR_RUN_RESULTS), *ledger = cxr_path_join(folder, CXR_RUN_LEDGER);
    char *metrics = cxr_path_join(folder, "test/metrics.json");
    const bool ok =
        r->path != NULL && r->recipe != NULL && r->arch != NULL && results != NULL && ledger != NULL && metrics != NULL;
    const cxr_status st = ok ? read_results(r, o, results, err) : cxr_mem_fail(err, folder);
    if (st == CXR_OK) {
        r->test_readings = count_readings(ledger, hooks);
        read_test(r, metrics, hooks);
    }
    cxr_mem_free(results);
    cxr_mem_free(ledger);
    cxr_mem_free(metrics);
    return st;
}

static void free_row(cxr_run_row *r)
{
    cxr_mem_free(r->path);
    cxr_mem_free(r->recipe);
    cxr_mem_free(r->arch);
}

/* ---- Folders ---- */

static cxr_status add(list *l, const cxr_run_row *r, cxr_error *err)
{
    if (l->shown.count == l->room) {
        const size_t room = l->room == 0 ? 16 : 2 * l->room;
        cxr_run_row *rows = cxr_mem_resize(l->shown.rows, room, sizeof *rows);
        if (rows == NULL) return cxr_mem_fail(err, "the runs");
        l->shown.rows = rows;
        l->room = room;
    }
    l->shown.rows[l->shown.count++] = *r;
    return CXR_OK;
}

/* args: the path of its args.json. *is_run false: it is of several seeds, whose runs lie in it. */
static cxr_status take_run(list *l, const char *folder, const char *args, bool *is_run, cxr_error *err)
{
    cxr_saved_opts saved;
    cxr_run_row r = {0};
    cxr_status st = cxr_train_opts_read(&saved, args, err);
    if (st != CXR_OK) return st;
    *is_run = saved.opts.seeds == 1;
    if (*is_run) {
        st = read_run(&r, folder, &saved.opts, l->hooks, err);
        stamp_of(r.started, args);
        if (st == CXR_OK) st = add(l, &r, err);
        if (st != CXR_OK) free_row(&r);
    }
    cxr_saved_opts_free(&saved);
    return st;
}

/* What is not a run is told and left out. */
static cxr_status look_at(list *l, const char *folder, bool *is_run, cxr_error *err)
{
    char *args = cxr_path_join(folder, CXR_RUN_ARGS);
    cxr_error why = {0};
    *is_run = false;
    if (args == NULL) return cxr_mem_fail(err, folder);
    const cxr_status st = cxr_path_exists(args) ? take_run(l, folder, args, is_run, &why) : CXR_OK;
    cxr_mem_free(args);
    if (st == CXR_OK) return CXR_OK;
    if (st == CXR_ENOMEM) return cxr_mem_fail(err, folder);
    cxr_log(l->hooks, CXR_DEBUG, "left out: %s", why.text);
    l->shown.skipped++;
    return CXR_OK;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int in_byte_order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* A run's own folders are not looked into. */
static cxr_status walk(list *l, const char *folder, int depth, cxr_error *err)
{
    bool is_run;
    cxr_status st = look_at(l, folder, &is_run, err);
    struct dirent **names = NULL;
    const int count = st == CXR_OK && !is_run && depth < DEEPEST ? scandir(folder, &names, visible, in_byte_order) : 0;
    if (count < 0) cxr_log(l->hooks, CXR_DEBUG, "left out: %s: cannot be read", folder);
    for (int i = 0; i < count; i++) {
        char *path = cxr_path_join(folder, names[i]->d_name);
        if (path == NULL) st = cxr_mem_fail(err, folder);
        if (st == CXR_OK && cxr_path_is_folder(path)) st = walk(l, path, depth + 1, err);
        cxr_mem_free(path);
        free(names[i]);
    }
    free(names);
    return st;
}

cxr_status cxr_runs(const char *folder, const cxr_hooks *hooks, cxr_run_list **out, cxr_error *err)
{
    *out = NULL;
    if (!cxr_path_is_folder(folder)) return cxr_fail(err, CXR_ENOINPUT, "%s: no such folder", folder);
    list *l = cxr_mem_new(1, sizeof *l);
    if (l == NULL) return cxr_mem_fail(err, "the runs");
    l->hooks = hooks;
    *out = &l->shown;
    cxr_status st = walk(l, folder, 0, err);
    if (st == CXR_OK && l->shown.count == 0) st = cxr_fail(err, CXR_ENOINPUT, "%s: holds no run of cxr train", folder);
    if (st != CXR_OK) cxr_runs_free(out);
    return st;
}

void cxr_runs_free(cxr_run_list **runs)
{
    if (runs == NULL || *runs == NULL) return;
    for (size_t i = 0; i < (*runs)->count; i++) free_row(&(*runs)->rows[i]);
    cxr_mem_free((*runs)->rows);
    cxr_mem_free((list *)*runs);
    *runs = NULL;
}
