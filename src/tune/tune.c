/* cxr_tune: trials one after the other, each an ordinary run in a folder of its own. The folder of the search holds space.toml
 * (a copy), base.json (settings that it says nothing about), tune.json (trials that have ended) and tune.csv. A trial that was
 * under way is the one whose folder is there and whose row is not. */
#include "base/file.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "report/run.h"
#include "report/tables.h"
#include "train/options.h"
#include "train/trainer.h"
#include "tune/table.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SPACE_FILE  "space.toml"
#define BASE_FILE   "base.json"
#define TRIALS_FILE "tune.json"
#define TABLE_FILE  "tune.csv"

typedef struct tune {
    const cxr_tune_opts *opts;
    const cxr_hooks *outer;
    const char *folder;
    int lock; /* file descriptor of space.toml */
    cxr_train_opts base;
    cxr_saved_opts saved; /* owns what base lends, in a resumed search */
    cxr_space space;
    cxr_trials trials; /* ended */
    /* the trial under way */
    cxr_epoch *rows;
    int epochs, room; /* rows: of finished epochs */
    double *losses;
    bool behind, asked; /* why it should stop: it fell behind; the caller asked */
} tune;

void cxr_tune_opts_default(cxr_tune_opts *o)
{
    *o = (cxr_tune_opts){0};
    cxr_train_opts_default(&o->train);
}

/* Does `call` with the path of a file of the search as `path`. */
#define WITH_PATH(st, t, name, call)                                                                                           \
    do {                                                                                                                       \
        char *path = cxr_path_join((t)->folder, name);                                                                         \
        st = path == NULL ? cxr_mem_fail(err, "a file name") : (call);                                                         \
        cxr_mem_free(path);                                                                                                    \
    } while (0)

/* ---- What a trial tells while it runs ---- */

static void judge(tune *t)
{
    for (int i = 0; i < t->epochs; i++) t->losses[i] = t->rows[i].val_loss;
    t->behind = t->space.stopping == CXR_STOP_MEDIAN && t->epochs >= t->space.min_epochs && t->epochs < t->room &&
                cxr_median_stops(&t->trials, t->losses, t->epochs, t->space.min_trials);
}

static void on_epoch(void *user, const cxr_epoch *e)
{
    tune *t = user;
    if (t->outer != NULL && t->outer->epoch != NULL) t->outer->epoch(t->outer->user, e);
    if (e->epoch > t->room) return; /* cannot be: the room is for all of them */
    t->rows[e->epoch - 1] = *e;
    t->epochs = e->epoch;
    judge(t);
}

static bool should_stop(void *user)
{
    tune *t = user;
    t->asked = t->asked || cxr_stop_asked(t->outer);
    return t->asked || t->behind;
}

static void on_progress(void *user, const cxr_progress *p)
{
    const tune *t = user;
    if (t->outer != NULL && t->outer->progress != NULL) t->outer->progress(t->outer->user, p);
}

static void on_transfer(void *user, uint64_t done, uint64_t total)
{
    const tune *t = user;
    if (t->outer != NULL && t->outer->transfer != NULL) t->outer->transfer(t->outer->user, done, total);
}

/* What a run has to say is in its log.txt; here it is detail. */
static void on_log(void *user, cxr_level level, const char *line)
{
    const tune *t = user;
    cxr_log(t->outer, level == CXR_INFO ? CXR_DEBUG : level, "%s", line);
}

static cxr_hooks trial_hooks(tune *t)
{
    return (cxr_hooks){.log = {.write = on_log, .user = t},
                       .progress = on_progress,
                       .epoch = on_epoch,
                       .should_stop = should_stop,
                       .user = t,
                       .transfer = on_transfer};
}

/* ---- One trial ---- */

static char *trial_folder(const tune *t, int number)
{
    return cxr_mem_printf("%s/trial-%03d", t->folder, number);
}

/* Settings of trial `number`; *drawn as cxr_space_apply says. */
static cxr_status settings_of(const tune *t, int number, const char *folder, cxr_train_opts *o, json_t **drawn, cxr_error *err)
{
    *o = t->base;
    o->out = folder;
    return cxr_space_apply(&t->space, number, o, drawn, err);
}

static void announce(const tune *t, int number, const json_t *drawn)
{
    char line[512] = "";
    size_t used = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)drawn, name, value)
    {
        char *text = cxr_value_text(value);
        if (text != NULL && used < sizeof line)
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%s %s", used > 0 ? ", " : "", name, text);
        cxr_mem_free(text);
    }
    cxr_log(t->outer, CXR_INFO, "trial %d of %d: %s", number, t->space.trials, line);
}

static cxr_status begin(const tune *t, cxr_train_opts *o, const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    char *weights = NULL;
    cxr_status st = CXR_OK;
    if (t->opts->weights != NULL && o->weights != NULL) {
        st = t->opts->weights(t->opts->user, o->weights, o->arch, &weights, err);
        o->weights = weights;
    }
    if (st == CXR_OK) st = cxr_train(o, hooks, result, err);
    cxr_free(weights);
    return st;
}

/* Goes on with a trial that was under way. What it did before is judged again: the verdict of its last epoch may be lost. */
static cxr_status go_on(tune *t, const char *folder, const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    char *path = cxr_path_join(folder, CXR_RUN_CHECKPOINT);
    cxr_status st =
        path == NULL ? cxr_mem_fail(err, "a file name") : cxr_checkpoint_history(path, t->rows, t->room, &t->epochs, err);
    cxr_mem_free(path);
    if (st != CXR_OK) return st;
    judge(t);
    return cxr_resume(folder, t->opts->resume ? t->opts->train.threads : 0, hooks, result, err);
}

static bool is_started(const char *folder)
{
    char *args = cxr_path_join(folder, CXR_RUN_ARGS);
    const bool started = args != NULL && cxr_path_exists(args);
    cxr_mem_free(args);
    return started;
}

/* Whether the outcome of a trial says something about its settings rather than about the machine. */
static bool is_its_own(cxr_status st)
{
    return st == CXR_OK || st == CXR_ESTOPPED || st == CXR_EDATA || st == CXR_EUSAGE || st == CXR_ELIMIT;
}

static bool any_trained(const tune *t)
{
    for (int i = 0; i < t->trials.count; i++)
        if (t->trials.items[i].epochs > 0) return true;
    return false;
}

static double measured(const cxr_train_result *r, cxr_objective o)
{
    switch (o) {
    case CXR_BY_LOSS: return r->best_val_loss;
    case CXR_BY_ACCURACY: return r->best_val_accuracy;
    case CXR_BY_PERTURBED_LOSS: return r->perturbed_loss; /* NaN where a trial was stopped: nothing was fitted */
    case CXR_BY_PERTURBED_AUROC: return r->perturbed_auroc;
    }
    return NAN;
}

static cxr_status record(tune *t, json_t *drawn, cxr_status st, const cxr_train_result *result, const char *reason,
                         cxr_error *err)
{
    cxr_ended e = {.state = st == CXR_OK         ? CXR_TRIAL_DONE
                            : st == CXR_ESTOPPED ? CXR_TRIAL_STOPPED
                                                 : CXR_TRIAL_FAILED,
                   .epochs = t->epochs,
                   .losses = cxr_mem_new((size_t)t->epochs, sizeof *e.losses),
                   .values = json_incref(drawn)};
    const bool failed = e.state == CXR_TRIAL_FAILED;
    const int number = t->trials.count + 1;
    const bool none = failed || result->best_epoch == 0; /* stopped before its images had the model's size: it has no best */
    e.objective = none ? NAN : measured(result, t->space.objective);
    e.reason = failed ? cxr_mem_strdup(reason) : NULL;
    for (int i = 0; i < t->epochs; i++) e.seconds += t->rows[i].seconds;
    if (e.losses != NULL && t->epochs > 0) memcpy(e.losses, t->losses, (size_t)t->epochs * sizeof *e.losses);
    const bool whole = e.losses != NULL && (!failed || e.reason != NULL);
    if (failed)
        cxr_log(t->outer, CXR_WARNING, "trial %d failed: %s", number, reason);
    else
        cxr_log(t->outer, CXR_INFO, "trial %d %s after epoch %d, %s %.6g", number, cxr_trial_state_name(e.state), e.epochs,
                cxr_objective_name(t->space.objective), e.objective);
    st = cxr_trials_add(&t->trials, &e, err);
    if (st == CXR_OK && !whole) st = cxr_mem_fail(err, "a trial");
    if (st == CXR_OK) WITH_PATH(st, t, TRIALS_FILE, cxr_trials_write(&t->trials, path, err));
    if (st == CXR_OK) WITH_PATH(st, t, TABLE_FILE, cxr_table_write(&t->space, &t->trials, path, err));
    return st;
}

static cxr_status make_room(tune *t, int epochs, cxr_error *err)
{
    cxr_mem_free(t->rows);
    cxr_mem_free(t->losses);
    t->rows = cxr_mem_new((size_t)epochs, sizeof *t->rows);
    t->losses = cxr_mem_new((size_t)epochs, sizeof *t->losses);
    t->room = epochs;
    t->epochs = 0;
    t->behind = false;
    return t->rows == NULL || t->losses == NULL ? cxr_mem_fail(err, "a trial") : CXR_OK;
}

static cxr_status run_settings(tune *t, int number, cxr_train_opts *o, json_t *drawn, cxr_error *err)
{
    const cxr_hooks hooks = trial_hooks(t);
    cxr_train_result result = {0};
    cxr_error why = {0};
    announce(t, number, drawn);
    cxr_status st = make_room(t, o->epochs, err);
    if (st != CXR_OK) return st;
    st = is_started(o->out) ? go_on(t, o->out, &hooks, &result, &why) : begin(t, o, &hooks, &result, &why);
    if (st == CXR_ESTOPPED && t->asked) return cxr_fail(err, st, "trial %d: %s", number, why.text);
    /* What cannot even begin while nothing else has begun is wrong for all of them. */
    if (!is_its_own(st) || (st != CXR_OK && !is_started(o->out) && !any_trained(t)))
        return cxr_fail(err, st, "trial %d: %s", number, why.text);
    return record(t, drawn, st, &result, why.text, err);
}

static cxr_status run_trial(tune *t, int number, cxr_error *err)
{
    cxr_train_opts o;
    json_t *drawn = NULL;
    cxr_error why = {0};
    char *folder = trial_folder(t, number);
    if (folder == NULL) return cxr_mem_fail(err, "a file name");
    cxr_status st = settings_of(t, number, folder, &o, &drawn, &why);
    if (st == CXR_OK)
        st = run_settings(t, number, &o, drawn, err);
    else if (st == CXR_EUSAGE)
        st = make_room(t, 1, err) == CXR_OK ? record(t, drawn, CXR_EUSAGE, NULL, why.text, err) : CXR_ENOMEM;
    else if (err != NULL)
        *err = why;
    json_decref(drawn);
    cxr_mem_free(folder);
    return st;
}

/* ---- The search ---- */

/* Some draw must be possible, and what was drawn before must be what would be drawn now. */
static cxr_status check_draws(const tune *t, cxr_error *err)
{
    int refused = 0;
    cxr_error why = {0};
    for (int i = 1; i <= t->space.trials; i++) {
        cxr_train_opts o;
        json_t *drawn = NULL;
        cxr_error reason = {0};
        const cxr_status st = settings_of(t, i, t->folder, &o, &drawn, &reason);
        const bool same = i > t->trials.count || json_equal(drawn, t->trials.items[i - 1].values) == 1;
        json_decref(drawn);
        if (st != CXR_OK && st != CXR_EUSAGE) return cxr_fail(err, st, "%s", reason.text);
        if (!same)
            return cxr_fail(err, CXR_EDATA, "%s: " SPACE_FILE " was changed: trial %d would have other settings", t->folder, i);
        if (st == CXR_EUSAGE && refused++ == 0) why = reason;
    }
    if (refused < t->space.trials) return CXR_OK;
    return cxr_fail(err, CXR_EDATA, "%s: no trial is possible; the first: %s", t->opts->resume ? t->folder : t->opts->space,
                    why.text);
}

static cxr_status fingerprint(const tune *t, char hex[65], cxr_error *err)
{
    cxr_dataset data;
    cxr_status st = cxr_dataset_open(&data, t->base.data, t->base.group_by, err);
    if (st != CXR_OK) return st;
    st = cxr_dataset_fingerprint(&data, hex, err);
    cxr_dataset_close(&data);
    return st;
}

/* The lock goes with the process. */
static cxr_status take_lock(tune *t, const char *path, cxr_error *err)
{
    t->lock = open(path, O_RDONLY | O_CLOEXEC);
    if (t->lock < 0)
        return cxr_fail(err, errno == ENOENT ? CXR_ENOINPUT : CXR_EIO, "%s: no search to resume: %s", t->folder,
                        strerror(errno));
    if (flock(t->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return cxr_fail(err, CXR_EUNAVAILABLE, "%s: another process is searching in this folder", t->folder);
    return CXR_OK;
}

static cxr_status write_base(const tune *t, const char *path, cxr_error *err)
{
    char *text = cxr_train_opts_json(&t->base);
    const cxr_status st = text == NULL ? cxr_mem_fail(err, "the settings") : cxr_file_write(path, text, strlen(text), err);
    free(text);
    return st;
}

/* space.toml, which marks the folder as a search that can be resumed, comes last. */
static cxr_status create_folder(tune *t, const cxr_buf *space, cxr_error *err)
{
    cxr_status st;
    WITH_PATH(st, t, SPACE_FILE,
              !cxr_path_exists(path)
                  ? CXR_OK
                  : cxr_fail(err, CXR_ECREATE, "%s: already holds a search: resume it or choose another folder", t->folder));
    if (st == CXR_OK) st = cxr_make_folders(t->folder, err);
    if (st == CXR_OK) WITH_PATH(st, t, BASE_FILE, write_base(t, path, err));
    if (st == CXR_OK) WITH_PATH(st, t, TRIALS_FILE, cxr_trials_write(&t->trials, path, err));
    if (st == CXR_OK) WITH_PATH(st, t, SPACE_FILE, cxr_file_write(path, space->data, space->len, err));
    if (st == CXR_OK) WITH_PATH(st, t, SPACE_FILE, take_lock(t, path, err));
    return st;
}

static cxr_status start(tune *t, cxr_error *err)
{
    const char *space = t->opts->space;
    cxr_buf file;
    cxr_status st = cxr_train_opts_check(&t->base, err);
    if (st == CXR_OK && space == NULL) st = cxr_fail(err, CXR_EUSAGE, "a search needs a file that says what is searched");
    if (st != CXR_OK) return st;
    if (t->base.threads == 0) t->base.threads = cxr_thread_grant(); /* on another machine too, or bits differ */
    st = cxr_buf_read(&file, space, CXR_TOML_BYTES, err);
    if (st != CXR_OK) return st;
    st = cxr_space_parse(&t->space, (const char *)file.data, file.len, space, err);
    if (st == CXR_OK) st = check_draws(t, err);
    if (st == CXR_OK) st = fingerprint(t, t->trials.data, err);
    if (st == CXR_OK) st = create_folder(t, &file, err);
    cxr_buf_free(&file);
    return st;
}

static cxr_status reopen(tune *t, cxr_error *err)
{
    char hex[65];
    cxr_status st;
    WITH_PATH(st, t, SPACE_FILE, take_lock(t, path, err));
    if (st == CXR_OK) cxr_output_sweep(t->folder);
    if (st == CXR_OK) WITH_PATH(st, t, SPACE_FILE, cxr_space_read(&t->space, path, err));
    if (st == CXR_OK) WITH_PATH(st, t, BASE_FILE, cxr_train_opts_read(&t->saved, path, err));
    if (st == CXR_OK) WITH_PATH(st, t, TRIALS_FILE, cxr_trials_read(&t->trials, path, err));
    if (st != CXR_OK) return st;
    t->base = t->saved.opts;
    if (t->opts->train.threads > 0) t->base.threads = t->opts->train.threads;
    if (t->trials.count > t->space.trials) t->space.trials = t->trials.count;
    st = check_draws(t, err);
    if (st == CXR_OK) st = fingerprint(t, hex, err);
    if (st == CXR_OK && strcmp(hex, t->trials.data) != 0)
        st = cxr_fail(err, CXR_EDATA, "%s: the images changed since the search in %s was started", t->base.data, t->folder);
    if (st == CXR_OK && t->trials.count > 0) /* a killed search may not have come to it */
        WITH_PATH(st, t, TABLE_FILE, cxr_table_write(&t->space, &t->trials, path, err));
    return st;
}

cxr_status cxr_tune(const cxr_tune_opts *opts, const cxr_hooks *hooks, void (*row)(void *user, const cxr_trial *t), void *user,
                    cxr_error *err)
{
    tune t = {.opts = opts, .outer = hooks, .folder = opts->train.out, .base = opts->train, .lock = -1};
    char *data = NULL;
    cxr_status st = CXR_OK;
    if (t.folder == NULL || *t.folder == '\0') return cxr_fail(err, CXR_EUSAGE, "a search needs a folder");
    if (!opts->resume && opts->train.data != NULL) {
        data = realpath(opts->train.data, NULL); /* resuming works from another folder */
        if (data == NULL) return cxr_fail(err, CXR_ENOINPUT, "%s: %s", opts->train.data, strerror(errno));
        t.base.data = data;
    }
    st = opts->resume ? reopen(&t, err) : start(&t, err);
    while (st == CXR_OK && t.trials.count < t.space.trials) {
        if (cxr_stop_asked(hooks))
            st = cxr_fail(err, CXR_ESTOPPED, "stopped before trial %d", t.trials.count + 1);
        else
            st = run_trial(&t, t.trials.count + 1, err);
    }
    if (st == CXR_OK) st = cxr_table_show(&t.space, &t.trials, row, user, err);
    if (t.lock >= 0) (void)close(t.lock);
    cxr_space_free(&t.space);
    cxr_trials_free(&t.trials);
    cxr_saved_opts_free(&t.saved);
    cxr_mem_free(t.rows);
    cxr_mem_free(t.losses);
    free(data);
    return st;
}
