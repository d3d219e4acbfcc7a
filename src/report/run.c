#include "report/run.h"
#include "base/file.h"
#include "base/grant.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "report/events.h"
#include "report/fit.h"
#include "report/plot.h"
#include "report/seeds.h"
#include "report/tables.h"
#include "train/options.h"
#include "train/trainer.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

typedef struct run {
    const char *folder;
    cxr_hooks hooks;  /* the caller's, with a logger that also writes log.txt */
    cxr_logger outer; /* the caller's logger */
    FILE *log;
    cxr_dataset data;
    cxr_model *model;
    cxr_trainer *trainer;
    int unsaved;    /* epochs finished since their files were written */
    double written; /* when */
    float *best;    /* what the run trains of the best epoch's parameters, where it is unsaved; NULL: none were */
} run;

#define TEACHERS_TEXT (32 + 67 * CXR_MAX_TEACHERS)
#define MOST_REST     5.0 /* seconds between writings that short epochs may share */

/* Does `call` with the path of a file of the run as `path`. */
#define WITH_PATH(st, r, name, call)                                                                                           \
    do {                                                                                                                       \
        char *path = cxr_path_join((r)->folder, name);                                                                         \
        st = path == NULL ? cxr_mem_fail(err, "a file name") : (call);                                                         \
        cxr_mem_free(path);                                                                                                    \
    } while (0)

static void log_to_both(void *user, cxr_level level, const char *line)
{
    run *r = user;
    char stamp[CXR_STAMP];
    cxr_stamp(stamp);
    if (r->log != NULL) (void)fprintf(r->log, "%s %s\n", stamp, line);
    if (r->outer.write != NULL) r->outer.write(r->outer.user, level, line);
}

static cxr_status open_log(run *r, const cxr_hooks *hooks, cxr_error *err)
{
    if (hooks != NULL) r->hooks = *hooks;
    r->outer = r->hooks.log;
    r->hooks.log = (cxr_logger){.write = log_to_both, .user = r};
    char *path = cxr_path_join(r->folder, CXR_RUN_LOG);
    if (path == NULL) return cxr_mem_fail(err, "a file name");
    r->log = fopen(path, "ae");
    cxr_status st = CXR_OK;
    if (r->log == NULL) st = cxr_fail(err, CXR_ECREATE, "%s: cannot create: %s", path, strerror(errno));
    /* Two processes in one run would overwrite each other's checkpoints; the lock goes with the process. */
    if (st == CXR_OK && flock(fileno(r->log), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        st = cxr_fail(err, CXR_EUNAVAILABLE, "%s: another process is training in this folder", r->folder);
    cxr_mem_free(path);
    if (r->log != NULL) (void)setvbuf(r->log, NULL, _IOLBF, 0);
    return st;
}

static void close_run(run *r)
{
    cxr_trainer_close(&r->trainer);
    cxr_model_close(&r->model);
    cxr_dataset_close(&r->data);
    cxr_mem_free(r->best);
    if (r->log != NULL) (void)fclose(r->log);
}

/* ---- What happens while it trains ---- */

static cxr_status save_model(const run *r, const char *name, cxr_error *err)
{
    cxr_status st;
    WITH_PATH(st, r, name, cxr_model_write(r->model, path, NULL, 0, NULL, 0, err));
    return st;
}

static void swap(float *restrict a, float *restrict b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float x = a[i];
        a[i] = b[i];
        b[i] = x;
    }
}

/* Between two epochs the model is the last one's. */
static bool between_epochs(const cxr_train_state *s)
{
    return s->done == 0;
}

/* Where the model has moved on since the best epoch, that one's parameters are swapped in for the writing. */
static cxr_status save_best(run *r, cxr_error *err)
{
    const cxr_train_state *s = &r->trainer->state;
    const cxr_optim *o = &r->trainer->optim;
    if (s->best_epoch == s->epoch && between_epochs(s)) return save_model(r, CXR_RUN_BEST, err);
    swap(r->model->params + o->all_first, r->best, o->all_count);
    const cxr_status st = save_model(r, CXR_RUN_BEST, err);
    swap(r->model->params + o->all_first, r->best, o->all_count);
    return st;
}

/* What finished epochs left to write. */
static cxr_status save_finished(run *r, cxr_error *err)
{
    const cxr_train_state *s = &r->trainer->state;
    const size_t rows = (size_t)s->epoch;
    if (r->unsaved == 0) return CXR_OK;
    cxr_status st = s->best_epoch > s->epoch - r->unsaved ? save_best(r, err) : CXR_OK;
    if (st == CXR_OK && between_epochs(s)) st = save_model(r, CXR_RUN_LAST, err);
    if (st == CXR_OK) WITH_PATH(st, r, CXR_RUN_RESULTS, cxr_write_results(path, s->history, rows, err));
    if (st == CXR_OK) WITH_PATH(st, r, CXR_RUN_PLOT, cxr_plot_results(path, s->history, rows, err));
    if (st == CXR_OK && r->trainer->opts->tensorboard)
        WITH_PATH(st, r, CXR_RUN_EVENTS, cxr_events_write(path, s->history, rows, cxr_time_of_day(), err));
    if (st == CXR_OK) r->unsaved = 0;
    return st;
}

/* The checkpoint comes last: killed before it, what it stands for is done again and writes the same files. */
static cxr_status save_checkpoint(void *user, const cxr_trainer *t, cxr_error *err)
{
    run *r = user;
    cxr_status st = save_finished(r, err);
    if (st == CXR_OK) WITH_PATH(st, r, CXR_RUN_CHECKPOINT, cxr_checkpoint_write(t, path, err));
    r->written = cxr_now();
    return st;
}

static void log_epoch(const run *r, const cxr_trainer *t)
{
    const cxr_epoch *e = &t->state.history[t->state.epoch - 1];
    cxr_log(&r->hooks, CXR_DEBUG,
            "epoch %d: train loss %.4f, validation loss %.4f, accuracy %.4f, %.1f s, %.1f images/s, waiting %.0f %%", e->epoch,
            e->train_loss, e->val_loss, e->val_accuracy, e->seconds, e->images_per_second,
            e->seconds > 0 ? 100.0 * t->waited / e->seconds : 0.0);
}

/* The best epoch's parameters, until they are written. */
static cxr_status keep_best(run *r, cxr_error *err)
{
    const cxr_optim *o = &r->trainer->optim;
    if (r->best == NULL) r->best = cxr_mem_new(o->all_count, sizeof *r->best);
    if (r->best == NULL) return cxr_mem_fail(err, "the best epoch's parameters");
    memcpy(r->best, r->model->params + o->all_first, o->all_count * sizeof *r->best);
    return CXR_OK;
}

/* Epochs that take less time than their files share a writing. */
static cxr_status after_epoch(void *user, const cxr_trainer *t, bool best, cxr_error *err)
{
    run *r = user;
    const double rest = t->opts->checkpoint_seconds < MOST_REST ? t->opts->checkpoint_seconds : MOST_REST;
    r->unsaved++;
    log_epoch(r, t);
    if (cxr_now() - r->written >= rest) return save_checkpoint(r, t, err);
    return best ? keep_best(r, err) : CXR_OK;
}

static cxr_status run_trainer(run *r, cxr_train_result *result, cxr_error *err)
{
    const cxr_train_events events = {.checkpoint = save_checkpoint, .epoch = after_epoch, .user = r};
    cxr_status st = cxr_trainer_run(r->trainer, &events, err);
    if (st == CXR_OK && r->unsaved > 0) st = save_checkpoint(r, r->trainer, err);
    cxr_error cause = {0};
    if (st != CXR_OK && save_finished(r, &cause) != CXR_OK) /* what was good stays; the first failure is told */
        cxr_log(&r->hooks, CXR_WARNING, "the last finished epochs could not be saved: %s", cause.text);
    const cxr_train_state *s = &r->trainer->state;
    *result = (cxr_train_result){.epochs_done = s->epoch,
                                 .best_epoch = s->best_epoch,
                                 .best_val_loss = s->best_val_loss,
                                 .best_val_accuracy = s->best_val_accuracy,
                                 .temperature = 1.0,
                                 .threshold = 0.5,
                                 .perturbed_auroc = (double)NAN,
                                 .perturbed_loss = (double)NAN,
                                 .perturbed_accuracy = (double)NAN,
                                 .perturbed_balanced_accuracy = (double)NAN};
    return st;
}

/* Trains, and fits what is fitted when that is over; the trainer's memory is given back before. */
static cxr_status finish(run *r, const cxr_train_opts *o, cxr_train_result *result, cxr_error *err)
{
    cxr_train_result own;
    if (result == NULL) result = &own;
    const cxr_status st = run_trainer(r, result, err);
    cxr_trainer_close(&r->trainer);
    return st == CXR_OK ? cxr_fit_run(r->folder, o, &r->data, &r->hooks, result, err) : st;
}

/* ---- Starting ---- */

static cxr_status log_split(const run *r, const cxr_split_report *report, cxr_error *err)
{
    if (report->reason[0] != '\0') cxr_log(&r->hooks, CXR_INFO, "%s", report->reason);
    if (report->crossing > 0)
        cxr_log(&r->hooks, CXR_WARNING, "%zu file-name groups (patients, unverified) lie in more than one given split",
                report->crossing);
    for (cxr_split s = CXR_SPLIT_TRAIN; s < CXR_SPLIT_COUNT; s++) {
        char line[512];
        size_t used = 0;
        for (int c = 0; c < r->data.class_count && used < sizeof line; c++)
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%zu %s", c == 0 ? "" : ", ",
                                     cxr_dataset_count(&r->data, s, c), r->data.classes[c]);
        cxr_log(&r->hooks, CXR_INFO, "%s: %zu images (%s)", cxr_split_name(s), cxr_dataset_count(&r->data, s, -1), line);
    }
    cxr_status st;
    WITH_PATH(st, r, CXR_RUN_SPLIT, cxr_split_write(&r->data, path, err));
    return st;
}

static cxr_status open_dataset(run *r, const cxr_train_opts *o, cxr_split_report *report, cxr_error *err)
{
    cxr_status st = cxr_dataset_open(&r->data, o->data, o->group_by, err);
    const uint64_t seed = o->split_seed != 0 ? o->split_seed : o->seed;
    if (st == CXR_OK) st = cxr_dataset_split(&r->data, o->val_fraction, seed, report, err);
    if (st == CXR_OK && o->train_images > 0) st = cxr_dataset_thin(&r->data, (size_t)o->train_images, seed, report, err);
    return st;
}

/* The teachers' place in the receipt, by content: "" where there are none. */
static cxr_status describe_teachers(char out[TEACHERS_TEXT], const cxr_train_opts *o, cxr_error *err)
{
    size_t used = 0;
    cxr_status st = CXR_OK;
    out[0] = '\0';
    for (int i = 0; i < o->teacher_count && st == CXR_OK; i++) {
        char hex[65] = "";
        st = cxr_sha256_file(o->teachers[i], hex, err);
        used += (size_t)snprintf(out + used, TEACHERS_TEXT - used, "%s\"%s\"", i == 0 ? "\"teachers_sha256\":[" : ",", hex);
    }
    if (o->teacher_count > 0) (void)snprintf(out + used, TEACHERS_TEXT - used, "],");
    return st;
}

/* What a stranger needs to judge and repeat the training; stored in the model file. */
static cxr_status write_receipt(run *r, const cxr_train_opts *o, const char *args, cxr_error *err)
{
    char fingerprint[65], teachers[TEACHERS_TEXT];
    cxr_status st = cxr_dataset_fingerprint(&r->data, fingerprint, err);
    if (st == CXR_OK) st = describe_teachers(teachers, o, err);
    if (st != CXR_OK) return st;
    r->model->receipt =
        cxr_mem_printf("{\"cxr\":\"%s\",\"data_sha256\":\"%s\",%s\"args\":%s}", cxr_version(), fingerprint, teachers, args);
    return r->model->receipt == NULL ? cxr_mem_fail(err, "the training receipt") : CXR_OK;
}

static cxr_status build_model(run *r, const cxr_train_opts *o, cxr_error *err)
{
    return cxr_model_start(&r->model, o, (const char *const *)r->data.classes, r->data.class_count, &r->hooks, err);
}

static cxr_status create_folder(const run *r, cxr_error *err)
{
    char *args = cxr_path_join(r->folder, CXR_RUN_ARGS), *weights = cxr_path_join(r->folder, "weights");
    cxr_status st = CXR_OK;
    if (args == NULL || weights == NULL) st = cxr_mem_fail(err, "a file name");
    if (st == CXR_OK && cxr_path_exists(args))
        st = cxr_fail(err, CXR_ECREATE, "%s: already holds a run: resume it or choose another folder", r->folder);
    if (st == CXR_OK) st = cxr_make_folders(weights, err);
    cxr_mem_free(args);
    cxr_mem_free(weights);
    return st;
}

/* Everything that can be refused is refused before the folder exists; args.json, which marks it as a run that can be resumed,
 * comes last. */
static cxr_status start(run *r, const cxr_train_opts *o, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_split_report report = {0};
    char *args = cxr_train_opts_json(o);
    cxr_status st = args == NULL ? cxr_mem_fail(err, "the arguments") : open_dataset(r, o, &report, err);
    if (hooks != NULL) r->hooks = *hooks;
    if (st == CXR_OK) st = build_model(r, o, err);
    if (st == CXR_OK) st = write_receipt(r, o, args, err);
    if (st == CXR_OK) st = cxr_trainer_open(&r->trainer, o, r->model, &r->data, &r->hooks, err);
    if (st == CXR_OK) st = cxr_trainer_enter(r->trainer, err);
    if (st == CXR_OK) st = create_folder(r, err);
    if (st == CXR_OK) st = open_log(r, hooks, err);
    if (st == CXR_OK) st = log_split(r, &report, err);
    if (st == CXR_OK) st = save_checkpoint(r, r->trainer, err);
    if (st == CXR_OK) WITH_PATH(st, r, CXR_RUN_ARGS, cxr_file_write(path, args, strlen(args), err));
    free(args);
    return st;
}

/* Inputs that resuming, or a later run of several, reads again, maybe from another folder. */
typedef struct full_paths {
    char *items[2 + CXR_MAX_TEACHERS];
    size_t count;
} full_paths;

static cxr_status find_input(full_paths *p, const char **path, cxr_error *err)
{
    char *full = realpath(*path, NULL);
    if (full == NULL) return cxr_fail(err, CXR_ENOINPUT, "%s: %s", *path, strerror(errno));
    *path = p->items[p->count++] = full;
    return CXR_OK;
}

static cxr_status find_inputs(full_paths *p, cxr_train_opts *o, cxr_error *err)
{
    cxr_status st = find_input(p, &o->data, err);
    if (st == CXR_OK && o->weights != NULL) st = find_input(p, &o->weights, err);
    for (int i = 0; i < o->teacher_count && st == CXR_OK; i++) st = find_input(p, &o->teachers[i], err);
    return st;
}

static cxr_status train_one(const cxr_train_opts *o, const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    run r = {.folder = o->out};
    cxr_status st = start(&r, o, hooks, err);
    if (st == CXR_OK) st = finish(&r, o, result, err);
    close_run(&r);
    return st;
}

cxr_status cxr_train(const cxr_train_opts *opts, const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    cxr_train_opts o = *opts;
    full_paths paths = {0};
    cxr_status st = cxr_train_opts_check(&o, err);
    if (st != CXR_OK) return st;
    if (o.threads == 0) o.threads = cxr_thread_grant();
    st = find_inputs(&paths, &o, err);
    if (st == CXR_OK) st = o.seeds > 1 ? cxr_seeds_train(&o, hooks, result, err) : train_one(&o, hooks, result, err);
    for (size_t i = 0; i < paths.count; i++) free(paths.items[i]);
    return st;
}

/* ---- Resuming ---- */

static bool received(const run *r, const char *text)
{
    return r->model->receipt != NULL && strstr(r->model->receipt, text) != NULL;
}

/* The run goes on only with what it was started with. */
static cxr_status check_inputs(const run *r, const cxr_train_opts *o, cxr_error *err)
{
    char fingerprint[65], teachers[TEACHERS_TEXT];
    cxr_status st = cxr_dataset_fingerprint(&r->data, fingerprint, err);
    if (st == CXR_OK) st = describe_teachers(teachers, o, err);
    if (st == CXR_OK && !received(r, fingerprint))
        st = cxr_fail(err, CXR_EDATA, "%s: the images changed since the run in %s was started", o->data, r->folder);
    if (st == CXR_OK && o->teacher_count > 0 && !received(r, teachers))
        st = cxr_fail(err, CXR_EDATA, "%s: a teacher's file changed since the run was started", r->folder);
    return st;
}

/* What a killed run had begun to write. */
static cxr_status sweep(const run *r, cxr_error *err)
{
    char *weights = cxr_path_join(r->folder, "weights");
    if (weights == NULL) return cxr_mem_fail(err, "a file name");
    cxr_output_sweep(r->folder);
    cxr_output_sweep(weights);
    cxr_mem_free(weights);
    return CXR_OK;
}

static cxr_status reopen(run *r, const cxr_train_opts *o, cxr_weights *file, cxr_error *err)
{
    cxr_status st = cxr_dataset_open(&r->data, o->data, o->group_by, err);
    if (st == CXR_OK) WITH_PATH(st, r, CXR_RUN_SPLIT, cxr_split_read(&r->data, path, err));
    if (st == CXR_OK) WITH_PATH(st, r, CXR_RUN_CHECKPOINT, cxr_checkpoint_open(file, &r->model, path, err));
    if (st == CXR_OK) st = check_inputs(r, o, err);
    if (st == CXR_OK) st = cxr_trainer_open(&r->trainer, o, r->model, &r->data, &r->hooks, err);
    if (st == CXR_OK) WITH_PATH(st, r, CXR_RUN_CHECKPOINT, cxr_checkpoint_restore(r->trainer, file, path, err));
    if (st == CXR_OK) st = sweep(r, err);
    return st;
}

static cxr_status resume_one(const char *folder, const cxr_train_opts *o, const cxr_hooks *hooks, cxr_train_result *result,
                             cxr_error *err)
{
    run r = {.folder = folder};
    cxr_weights file = {0};
    cxr_status st = open_log(&r, hooks, err);
    if (st == CXR_OK) st = reopen(&r, o, &file, err);
    cxr_weights_free(&file);
    if (st == CXR_OK)
        cxr_log(&r.hooks, CXR_INFO, "resuming in epoch %d after %llu images", r.trainer->state.epoch + 1,
                (unsigned long long)r.trainer->state.done);
    if (st == CXR_OK) st = finish(&r, o, result, err);
    close_run(&r);
    return st;
}

cxr_status cxr_resume(const char *folder, int threads, const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    const run r = {.folder = folder};
    cxr_saved_opts saved;
    cxr_status st;
    WITH_PATH(st, &r, CXR_RUN_ARGS, cxr_train_opts_read(&saved, path, err));
    if (st != CXR_OK) return st;
    if (threads > 0) saved.opts.threads = threads;
    st = saved.opts.seeds > 1 ? cxr_seeds_resume(folder, &saved.opts, threads, hooks, result, err)
                              : resume_one(folder, &saved.opts, hooks, result, err);
    cxr_saved_opts_free(&saved);
    return st;
}

char *cxr_run_of_model(const char *path)
{
    char *folder = cxr_mem_strdup(path);
    for (int up = 0; folder != NULL && up < 2; up++) {
        char *slash = strrchr(folder, '/');
        if (slash == NULL || slash == folder) {
            cxr_mem_free(folder);
            return NULL;
        }
        *slash = '\0';
    }
    char *args = folder == NULL ? NULL : cxr_path_join(folder, CXR_RUN_ARGS);
    const bool is_run = args != NULL && cxr_path_exists(args);
    cxr_mem_free(args);
    if (is_run) return folder;
    cxr_mem_free(folder);
    return NULL;
}
