#include "report/tables.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "model/model.h"
#include "report/text.h"
#include <inttypes.h>
#include <math.h>

typedef struct results {
    const cxr_epoch *epochs;
    size_t count;
} results;

static cxr_status put_results(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const results *r = content;
    (void)fputs("epoch,train_loss,val_loss,val_accuracy,lr,seconds,images_per_second\n", f);
    for (size_t i = 0; i < r->count; i++) {
        const cxr_epoch *e = &r->epochs[i];
        (void)fprintf(f, "%d,%.9g,%.9g,%.9g,%.7g,%.3f,%.9g\n", e->epoch, e->train_loss, e->val_loss, e->val_accuracy, e->lr,
                      e->seconds, e->images_per_second);
    }
    return CXR_OK;
}

cxr_status cxr_write_results(const char *path, const cxr_epoch *epochs, size_t count, cxr_error *err)
{
    return cxr_write_text(path, put_results, &(results){epochs, count}, err);
}

static void put_figures(FILE *f, const double *value)
{
    for (int k = 0; k < CXR_SEED_FIGURES; k++) cxr_put_number(f, value[k]);
    (void)fputc('\n', f);
}

static cxr_status put_seeds(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const cxr_seeds *s = content;
    (void)fputs("seed,best_epoch", f);
    for (int k = 0; k < CXR_SEED_FIGURES; k++) (void)fprintf(f, ",%s", s->names[k]);
    (void)fputc('\n', f);
    for (int i = 0; i < s->count; i++) {
        (void)fprintf(f, "%" PRIu64 ",%d", s->seed[i], s->best_epoch[i]);
        put_figures(f, s->value[i]);
    }
    (void)fputs("mean,", f);
    put_figures(f, s->mean);
    (void)fputs("sd,", f);
    put_figures(f, s->sd);
    return CXR_OK;
}

cxr_status cxr_write_seeds(const char *path, const cxr_seeds *s, cxr_error *err)
{
    return cxr_write_text(path, put_seeds, s, err);
}

typedef struct decided {
    const cxr_predictions *p;
    const char *const *groups;
    int positive;
    double threshold;
} decided;

static cxr_status put_predictions_header(FILE *f, const cxr_predictions *p, bool groups, cxr_error *err)
{
    (void)fputs("path,label,prediction", f);
    for (int k = 0; k < p->classes; k++) {
        char *name = cxr_mem_printf("probability_%s", p->class_names[k]);
        if (name == NULL) return cxr_mem_fail(err, "a column name");
        (void)fputc(',', f);
        cxr_csv_put(f, name);
        cxr_mem_free(name);
    }
    if (groups) (void)fputs(",group", f);
    (void)fputc('\n', f);
    return CXR_OK;
}

static cxr_status put_predictions(FILE *f, const void *content, cxr_error *err)
{
    const decided *d = content;
    const cxr_predictions *p = d->p;
    const cxr_status st = put_predictions_header(f, p, d->groups != NULL, err);
    for (size_t i = 0; st == CXR_OK && i < p->n; i++) {
        const float *probability = p->probability + i * (size_t)p->classes;
        cxr_csv_put(f, p->path[i]);
        (void)fputc(',', f);
        cxr_csv_put(f, p->class_names[p->label[i]]);
        (void)fputc(',', f);
        cxr_csv_put(f, p->class_names[cxr_decide(probability, p->classes, d->positive, d->threshold)]);
        for (int k = 0; k < p->classes; k++) (void)fprintf(f, ",%.9g", (double)probability[k]);
        if (d->groups != NULL) {
            (void)fputc(',', f);
            cxr_csv_put(f, d->groups[i]);
        }
        (void)fputc('\n', f);
    }
    return st;
}

cxr_status cxr_write_predictions(const char *path, const cxr_predictions *p, const char *const *groups, int positive,
                                 double threshold, cxr_error *err)
{
    return cxr_write_text(path, put_predictions, &(decided){p, groups, positive, threshold}, err);
}

typedef struct trials {
    const cxr_trial *rows;
    size_t count;
} trials;

const char *cxr_trial_state_name(cxr_trial_state s)
{
    return s == CXR_TRIAL_DONE ? "done" : s == CXR_TRIAL_STOPPED ? "stopped" : "failed";
}

static void put_trial(FILE *f, const cxr_trial *t)
{
    (void)fprintf(f, "%d,%s,%d,", t->number, cxr_trial_state_name(t->state), t->epochs);
    if (isfinite(t->objective)) (void)fprintf(f, "%.9g", t->objective);
    (void)fprintf(f, ",%.3f,", t->seconds);
    for (int i = 0; i < t->count; i++) {
        cxr_csv_put(f, t->values[i]);
        (void)fputc(',', f);
    }
    cxr_csv_put(f, t->reason != NULL ? t->reason : "");
    (void)fputc('\n', f);
}

static cxr_status put_trials(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const trials *t = content;
    (void)fprintf(f, "trial,state,epochs,%s,seconds,", t->rows[0].measure);
    for (int i = 0; i < t->rows[0].count; i++) (void)fprintf(f, "%s,", t->rows[0].names[i]);
    (void)fputs("reason\n", f);
    for (size_t i = 0; i < t->count; i++) put_trial(f, &t->rows[i]);
    return CXR_OK;
}

cxr_status cxr_write_trials(const char *path, const cxr_trial *rows, size_t count, cxr_error *err)
{
    return cxr_write_text(path, put_trials, &(trials){rows, count}, err);
}
