/* A checkpoint is a model file with two more tensors, optim.m and optim.v (and, where the model is an average, optim.weights:
 * what it averages), and the state as JSON in its metadata. */
#include "base/mem.h"
#include "train/trainer.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define STATE_KEY "cxr.checkpoint"

static json_t *row_json(const cxr_epoch *e)
{
    return json_pack("[i,f,f,f,f,f,f]", e->epoch, e->train_loss, e->val_loss, e->val_accuracy, e->lr, e->seconds,
                     e->images_per_second);
}

static json_t *unfrozen_json(const cxr_train_state *s)
{
    json_t *steps = json_array();
    for (int i = 0; i < s->unfrozen_count; i++) (void)json_array_append_new(steps, json_integer((json_int_t)s->unfrozen[i]));
    return steps;
}

/* The state as text; NULL when memory is exhausted. */
static char *state_text(const cxr_trainer *t)
{
    const cxr_train_state *s = &t->state;
    json_t *rows = json_array();
    for (int i = 0; i < s->epoch; i++) (void)json_array_append_new(rows, row_json(&s->history[i])); /* counted below */
    const bool whole = rows != NULL && json_array_size(rows) == (size_t)s->epoch;
    json_t *root = json_pack("{s:i,s:I,s:f,s:I,s:f,s:i,s:f,s:f,s:I,s:o,s:o}", "epoch", s->epoch, "done", (json_int_t)s->done,
                             "loss_sum", s->loss_sum, "seen", (json_int_t)s->seen, "seconds", s->seconds, "best_epoch",
                             s->best_epoch, "best_val_loss", s->best_val_loss, "best_val_accuracy", s->best_val_accuracy,
                             "optimizer_steps", (json_int_t)t->optim.steps, "unfrozen", unfrozen_json(s), "history", rows);
    char *text = whole && root != NULL ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    return text;
}

cxr_status cxr_checkpoint_write(const cxr_trainer *t, const char *path, cxr_error *err)
{
    const cxr_optim *o = &t->optim;
    const int64_t count = (int64_t)o->all_count;
    cxr_weight_out extra[3] = {{.name = "optim.m", .data = o->m, .rank = 1, .dims = {count}}};
    size_t extras = 1;
    if (o->v != NULL) extra[extras++] = (cxr_weight_out){.name = "optim.v", .data = o->v, .rank = 1, .dims = {count}};
    if (t->weights != t->model->params)
        extra[extras++] =
            (cxr_weight_out){.name = "optim.weights", .data = t->weights + o->all_first, .rank = 1, .dims = {count}};
    char *text = state_text(t);
    if (text == NULL) return cxr_mem_fail(err, "a checkpoint");
    const char *const meta[2] = {STATE_KEY, text};
    const cxr_status st = cxr_model_write(t->model, path, extra, extras, meta, 1, err);
    free(text);
    return st;
}

cxr_status cxr_checkpoint_open(cxr_weights *file, cxr_model **model, const char *path, cxr_error *err)
{
    *model = NULL;
    cxr_status st = cxr_weights_open(file, path, err);
    if (st == CXR_OK) st = cxr_model_from_weights(model, file, path, err);
    if (st != CXR_OK) cxr_weights_free(file);
    return st;
}

static bool read_rows(cxr_train_state *s, const json_t *rows, int room)
{
    if (!json_is_array(rows) || s->epoch < 0 || s->epoch > room || json_array_size(rows) != (size_t)s->epoch) return false;
    for (int i = 0; i < s->epoch; i++) {
        cxr_epoch *e = &s->history[i];
        if (json_unpack(json_array_get(rows, (size_t)i), "[i,F,F,F,F,F,F]", &e->epoch, &e->train_loss, &e->val_loss,
                        &e->val_accuracy, &e->lr, &e->seconds, &e->images_per_second) != 0)
            return false;
    }
    return true;
}

/* An earlier version, which knew one phase, wrote none. Between two epochs a phase may be about to begin. */
static bool read_unfrozen(cxr_trainer *t, const json_t *steps)
{
    cxr_train_state *s = &t->state;
    const int phase = cxr_phase_of(&t->freezes, s->epoch), begun = steps == NULL ? 1 : (int)json_array_size(steps);
    const bool starts = phase > 0 && s->done == 0 && t->freezes.at[phase].first == s->epoch;
    if (begun > phase + 1 || begun < phase + 1 - (starts ? 1 : 0)) return false;
    for (int i = 0; i < begun; i++) {
        const json_int_t n = json_integer_value(json_array_get(steps, (size_t)i)); /* 0 of anything but a number */
        if (n < 0 || (uint64_t)n > t->optim.steps) return false;
        s->unfrozen[i] = (uint64_t)n;
    }
    s->unfrozen_count = begun;
    return true;
}

static bool read_state(cxr_trainer *t, json_t *root)
{
    cxr_train_state *s = &t->state;
    json_int_t done = 0, seen = 0, steps = 0;
    json_t *rows = NULL;
    if (json_unpack(root, "{s:i,s:I,s:F,s:I,s:F,s:i,s:F,s:F,s:I,s:o}", "epoch", &s->epoch, "done", &done, "loss_sum",
                    &s->loss_sum, "seen", &seen, "seconds", &s->seconds, "best_epoch", &s->best_epoch, "best_val_loss",
                    &s->best_val_loss, "best_val_accuracy", &s->best_val_accuracy, "optimizer_steps", &steps, "history",
                    &rows) != 0)
        return false;
    s->done = (uint64_t)done;
    s->seen = (uint64_t)seen;
    t->optim.steps = (uint64_t)steps;
    return done >= 0 && seen >= 0 && steps >= 0 && s->done <= t->train.count && read_rows(s, rows, t->opts->epochs) &&
           read_unfrozen(t, json_object_get(root, "unfrozen"));
}

cxr_status cxr_checkpoint_history(const char *path, cxr_epoch *rows, int room, int *count, cxr_error *err)
{
    cxr_weights file;
    const cxr_status st = cxr_weights_open(&file, path, err);
    if (st != CXR_OK) return st;
    const char *text = cxr_weights_meta(&file, STATE_KEY);
    json_t *root = text == NULL ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cxr_train_state s = {.epoch = (int)json_integer_value(json_object_get(root, "epoch")), .history = rows};
    const bool ok = root != NULL && read_rows(&s, json_object_get(root, "history"), room);
    *count = ok ? s.epoch : 0;
    json_decref(root);
    cxr_weights_free(&file);
    return ok ? CXR_OK : cxr_fail(err, CXR_EDATA, "%s: not the checkpoint of this run", path);
}

static bool read_range(float *to, size_t count, const cxr_weights *file, const char *name)
{
    if (to == NULL) return true;
    const cxr_weight *w = cxr_weights_find(file, name);
    if (w == NULL || (w->data == NULL && !w->in_file) || w->count != count) return false;
    return cxr_weights_load(file, w, to, NULL) == CXR_OK;
}

cxr_status cxr_checkpoint_restore(cxr_trainer *t, const cxr_weights *file, const char *path, cxr_error *err)
{
    const char *text = cxr_weights_meta(file, STATE_KEY);
    if (text == NULL) return cxr_fail(err, CXR_EDATA, "%s: a model, but not a checkpoint", path);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const cxr_optim *o = &t->optim;
    float *averaged = t->weights == t->model->params ? NULL : t->weights + o->all_first;
    const bool ok = root != NULL && read_state(t, root) && read_range(o->m, o->all_count, file, "optim.m") &&
                    read_range(o->v, o->all_count, file, "optim.v") &&
                    read_range(averaged, o->all_count, file, "optim.weights");
    json_decref(root);
    return ok ? CXR_OK : cxr_fail(err, CXR_EDATA, "%s: the checkpoint does not fit the run's arguments or data", path);
}
