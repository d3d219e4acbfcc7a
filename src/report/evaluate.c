/* cxr_evaluate: a model over one split of a data set, and the files and the ledger line that come of it. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/csv.h"
#include "eval/robust.h"
#include "model/model.h"
#include "report/plot.h"
#include "report/run.h"
#include "report/score.h"
#include "report/tables.h"
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

static cxr_status open_data(cxr_dataset *d, const cxr_evaluate_opts *o, const char *run, cxr_error *err)
{
    bool found;
    const cxr_status st = cxr_dataset_open(d, o->data, "auto", err);
    return st == CXR_OK ? cxr_split_find(d, o->data, o->split_file, run, &found, err) : st;
}

/* The members of an ensemble must not have learned from what the first one's run says is the split. */
static cxr_status check_members(const cxr_model *m, const cxr_evaluate_opts *o, const char *run, cxr_split split,
                                cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (const cxr_model *k = m->next; k != NULL && st == CXR_OK && o->split_file == NULL && split != CXR_SPLIT_NONE;
         k = k->next) {
        char *other = k->path == NULL ? NULL : cxr_run_of_model(k->path);
        cxr_dataset d = {0};
        if (other != NULL) st = open_data(&d, o, run, err);
        if (other != NULL && st == CXR_OK) st = cxr_split_agree(&d, o->data, split, other, err);
        cxr_dataset_close(&d);
        cxr_mem_free(other);
    }
    return st;
}

static cxr_status write_files(const char *folder, const cxr_model *m, const cxr_scored *s, const cxr_metrics *x, cxr_error *err)
{
    const cxr_predictions *p = &s->all;
    cxr_status st = cxr_make_folders(folder, err);
    char *metrics = cxr_path_join(folder, "metrics.json"), *rows = cxr_path_join(folder, "predictions.csv");
    if (st == CXR_OK && (metrics == NULL || rows == NULL)) st = cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_write_predictions(rows, p, s->groups, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_write_confusion(folder, p, x, err);
    if (st == CXR_OK) st = cxr_write_curves(folder, p, x, err);
    if (st == CXR_OK) st = cxr_write_metrics(metrics, x, p->class_names, err);
    cxr_mem_free(metrics);
    cxr_mem_free(rows);
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

/* In the run of each member. */
static cxr_status write_ledgers(const cxr_evaluate_opts *o, const cxr_model *m, const cxr_metrics *x, const cxr_hooks *hooks,
                                cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (; m != NULL && st == CXR_OK; m = m->next) {
        char *run = m->path == NULL ? NULL : cxr_run_of_model(m->path);
        if (run != NULL) st = write_ledger(run, o, m, x, hooks, err);
        cxr_mem_free(run);
    }
    return st;
}

/* What is read: the data set, its part in the model's classes, and the run that made the model, if there is one. */
typedef struct reading {
    cxr_dataset data;
    cxr_subset part;
    char *run;
} reading;

static cxr_status open_reading(reading *r, const cxr_model *m, const cxr_evaluate_opts *o, cxr_error *err)
{
    *r = (reading){0};
    if (o->data == NULL) return cxr_fail(err, CXR_EUSAGE, "evaluation needs a data set");
    cxr_split split = CXR_SPLIT_NONE;
    r->run = m->path == NULL ? NULL : cxr_run_of_model(m->path);
    cxr_status st = parse_split(&split, o->split, err);
    if (st == CXR_OK) st = open_data(&r->data, o, r->run, err);
    if (st == CXR_OK) st = check_members(m, o, r->run, split, err);
    if (st == CXR_OK) st = cxr_subset_open(&r->part, &r->data, split, err);
    if (st == CXR_OK && r->part.count == 0)
        st = cxr_fail(err, CXR_EDATA, "%s: no image in split \"%s\": choose another with --split, or all", o->data, o->split);
    return st == CXR_OK ? cxr_match_classes(&r->part, &r->data, m, err) : st;
}

static void close_reading(reading *r)
{
    cxr_subset_close(&r->part);
    cxr_dataset_close(&r->data);
    cxr_mem_free(r->run);
}

cxr_status cxr_evaluate(const cxr_model *m, const cxr_evaluate_opts *o, const cxr_hooks *hooks, cxr_metrics **out,
                        cxr_error *err)
{
    *out = NULL;
    reading r;
    cxr_scored scored = {0};
    cxr_status st = open_reading(&r, m, o, err);
    if (st == CXR_OK) st = cxr_score(&scored, m, &r.part, &o->run, o->skip_unreadable, hooks, err);
    if (st == CXR_OK) st = cxr_metrics_compute(out, &scored.all, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_metrics_intervals(*out, &scored.all, scored.groups, o->run.threads, err);
    if (st == CXR_OK) st = write_ledgers(o, m, *out, hooks, err);
    if (st == CXR_OK && o->out != NULL) st = write_files(o->out, m, &scored, *out, err);
    if (st != CXR_OK) cxr_metrics_free(out);
    cxr_scored_free(&scored);
    close_reading(&r);
    return st;
}

cxr_status cxr_evaluate_robustness(const cxr_model *m, const cxr_evaluate_opts *o, const cxr_hooks *hooks, cxr_robustness **out,
                                   cxr_error *err)
{
    *out = NULL;
    reading r;
    cxr_scored scored = {0};
    cxr_status st = open_reading(&r, m, o, err);
    if (st == CXR_OK) st = cxr_score_perturbed(&scored, m, &r.part, &o->run, o->skip_unreadable, hooks, err);
    if (st == CXR_OK) st = cxr_robustness_compute(out, &scored.all, m->positive, m->threshold, err);
    if (st == CXR_OK) st = write_ledgers(o, m, (*out)->each[0], hooks, err);
    if (st == CXR_OK && o->out != NULL) st = cxr_write_robustness(o->out, *out, err);
    if (st != CXR_OK) cxr_robustness_free(out);
    cxr_scored_free(&scored);
    close_reading(&r);
    return st;
}
