/* cxr_evaluate: a model over one split of a data set, and the files that come of it. */
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/points.h"
#include "eval/robust.h"
#include "model/model.h"
#include "report/ledger.h"
#include "report/plot.h"
#include "report/run.h"
#include "report/score.h"
#include "report/shortcut.h"
#include "report/subgroups.h"
#include "report/tables.h"
#include "report/text.h"
#include <string.h>

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

static json_t *model_json(const cxr_model *m)
{
    char hex[65] = "";
    const bool known = m->path != NULL && cxr_sha256_file(m->path, hex, NULL) == CXR_OK;
    json_t *o = json_object();
    bool ok = json_object_set_new(o, "file", cxr_json_text(m->path == NULL ? NULL : cxr_path_name(m->path))) == 0;
    ok &= json_object_set_new(o, "sha256", known ? json_string(hex) : json_null()) == 0;
    return cxr_json_whole(o, ok);
}

/* What metrics.json says of how the figures came to be. */
static json_t *evaluation_json(const cxr_evaluate_opts *o, const cxr_model *m, size_t images)
{
    char stamp[CXR_STAMP];
    cxr_stamp(stamp);
    json_t *e = json_object(), *models = json_array(), *all = json_object();
    bool ok = true;
    for (; m != NULL; m = m->next) ok &= json_array_append_new(models, model_json(m)) == 0;
    ok &= json_object_set_new(e, "models", models) == 0;
    ok &= json_object_set_new(e, "data", cxr_json_text(o->data)) == 0;
    ok &= json_object_set_new(e, "split", json_string(o->split)) == 0;
    ok &= json_object_set_new(e, "images", json_integer((json_int_t)images)) == 0;
    ok &= json_object_set_new(e, "by", cxr_json_text(o->by)) == 0;
    ok &= json_object_set_new(e, "tta", json_string(cxr_tta_name(o->run.tta))) == 0;
    ok &= json_object_set_new(e, "precision", json_string(cxr_precision_name(o->run.precision))) == 0;
    ok &= json_object_set_new(e, "cxr", json_string(cxr_version())) == 0;
    ok &= json_object_set_new(e, "time", json_string(stamp)) == 0;
    ok &= json_object_set_new(all, "evaluation", e) == 0;
    return cxr_json_whole(all, ok);
}

/* Two classes: calibration and decision curve. */
static cxr_status write_two(const char *folder, const cxr_predictions *p, int positive, const cxr_reliability *r,
                            cxr_error *err)
{
    cxr_benefit rows[CXR_BENEFIT_ROWS];
    cxr_benefit_measure(rows, p, positive);
    const cxr_status st = cxr_write_calibration(folder, r, err);
    return st == CXR_OK ? cxr_write_benefit(folder, rows, err) : st;
}

static cxr_status write_files(const cxr_evaluate_opts *o, const cxr_model *m, const cxr_scored *s, const cxr_metrics *x,
                              cxr_error *err)
{
    const cxr_predictions *p = &s->all;
    const bool two = m->positive >= 0;
    cxr_reliability r = {0};
    cxr_status st = cxr_make_folders(o->out, err);
    char *metrics = cxr_path_join(o->out, "metrics.json"), *rows = cxr_path_join(o->out, "predictions.csv");
    if (st == CXR_OK && (metrics == NULL || rows == NULL)) st = cxr_mem_fail(err, "a file name");
    if (two) cxr_reliability_measure(&r, p, m->positive);
    if (st == CXR_OK) st = cxr_write_predictions(rows, p, s->groups, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_write_confusion(o->out, p, x, err);
    if (st == CXR_OK) st = cxr_write_curves(o->out, p, x, err);
    if (st == CXR_OK && o->by != NULL) st = cxr_write_subgroups(o->out, x, err);
    if (st == CXR_OK && two) st = write_two(o->out, p, m->positive, &r, err);
    if (st == CXR_OK) st = cxr_write_metrics(metrics, x, two ? &r : NULL, p->class_names, evaluation_json(o, m, x->n), err);
    cxr_mem_free(metrics);
    cxr_mem_free(rows);
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
    if (!(o->prevalence >= 0.0 && o->prevalence < 1.0))
        return cxr_fail(err, CXR_EUSAGE, "a prevalence of %g is not between 0 and 1", o->prevalence);
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

/* Before the model runs over the images. */
static cxr_status check_subgroups(const cxr_subset *part, const cxr_model *m, const cxr_evaluate_opts *o, cxr_error *err)
{
    const cxr_predictions p = {.n = part->count, .path = part->keys, .label = part->labels};
    return cxr_subgroups_check(&p, m->positive, o->data, o->by, err);
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
    if (st == CXR_OK && o->by != NULL) st = check_subgroups(&r.part, m, o, err);
    if (st == CXR_OK) st = cxr_score(&scored, m, &r.part, &o->run, o->skip_unreadable, hooks, err);
    if (st == CXR_OK) st = cxr_metrics_compute(out, &scored.all, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_metrics_intervals(*out, &scored.all, scored.groups, o->run.threads, err);
    if (st == CXR_OK) cxr_points_measure(*out, &scored.all, m->rule_out, m->rule_in, o->prevalence);
    if (st == CXR_OK && o->by != NULL)
        st = cxr_subgroups_measure(*out, &scored.all, scored.groups, o->data, o->by, o->run.threads, err);
    if (st == CXR_OK) st = cxr_ledger_write(o, m, *out, hooks, err);
    if (st == CXR_OK && o->out != NULL) st = write_files(o, m, &scored, *out, err);
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
    cxr_evaluate_opts plain = *o; /* each view of an image is perturbed by itself: there are no others */
    plain.run.tta = CXR_TTA_NONE;
    cxr_status st = open_reading(&r, m, o, err);
    if (st == CXR_OK) st = cxr_score_perturbed(&scored, m, &r.part, &o->run, o->skip_unreadable, hooks, err);
    if (st == CXR_OK) st = cxr_robustness_compute(out, &scored.all, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_robustness_intervals(*out, &scored.all, scored.groups, o->run.threads, err);
    if (st == CXR_OK) st = cxr_ledger_write(&plain, m, (*out)->each[0], hooks, err);
    if (st == CXR_OK && o->out != NULL) st = cxr_write_robustness(o->out, *out, err);
    if (st != CXR_OK) cxr_robustness_free(out);
    cxr_scored_free(&scored);
    close_reading(&r);
    return st;
}

cxr_status cxr_evaluate_shortcut(const cxr_model *m, const cxr_evaluate_opts *o, const cxr_hooks *hooks, cxr_shortcut *out,
                                 cxr_error *err)
{
    reading r;
    cxr_scored scored = {0}, plain = {0};
    cxr_metrics *whole = NULL;
    cxr_status st = open_reading(&r, m, o, err);
    if (st == CXR_OK) st = cxr_score_hidden(&scored, m, &r.part, &o->run, o->skip_unreadable, hooks, err);
    if (st == CXR_OK) st = cxr_shortcut_compute(out, &scored, m, o->run.threads, err);
    if (st == CXR_OK) st = cxr_scored_view(&plain, &scored, 0, err);
    if (st == CXR_OK) st = cxr_metrics_compute(&whole, &plain.all, m->positive, m->threshold, err);
    if (st == CXR_OK) st = cxr_ledger_write(o, m, whole, hooks, err);
    if (st == CXR_OK && o->out != NULL) st = cxr_write_shortcut(o->out, out, err);
    cxr_metrics_free(&whole);
    cxr_scored_free(&plain);
    cxr_scored_free(&scored);
    close_reading(&r);
    return st;
}
