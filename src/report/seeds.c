#include "report/seeds.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "report/run.h"
#include "report/tables.h"
#include "train/options.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct family {
    const char *folder;
    const cxr_train_opts *opts;
    int threads; /* to resume with */
    const cxr_hooks *hooks;
    cxr_seeds table;
} family;

static char *own_file(const family *f, const char *name)
{
    return cxr_path_join(f->folder, name);
}

char *cxr_seed_folder(const char *folder, uint64_t seed)
{
    return cxr_mem_printf("%s/seed-%" PRIu64, folder, seed);
}

static char *seed_file(const family *f, uint64_t seed, const char *name)
{
    char *folder = cxr_seed_folder(f->folder, seed);
    char *path = folder == NULL ? NULL : cxr_path_join(folder, name);
    cxr_mem_free(folder);
    return path;
}

/* ---- The table ---- */

static void add_row(cxr_seeds *t, uint64_t seed, const cxr_train_result *r)
{
    const double value[CXR_SEED_FIGURES] = {r->best_val_loss,  r->best_val_accuracy,  r->perturbed_auroc,
                                            r->perturbed_loss, r->perturbed_accuracy, r->perturbed_balanced_accuracy};
    t->seed[t->count] = seed;
    t->best_epoch[t->count] = r->best_epoch;
    memcpy(t->value[t->count++], value, sizeof value);
    for (int k = 0; k < CXR_SEED_FIGURES; k++) {
        double sum = 0.0, squares = 0.0;
        for (int i = 0; i < t->count; i++) sum += t->value[i][k];
        t->mean[k] = sum / t->count;
        for (int i = 0; i < t->count; i++) squares += (t->value[i][k] - t->mean[k]) * (t->value[i][k] - t->mean[k]);
        t->sd[k] = t->count > 1 ? sqrt(squares / (t->count - 1)) : (double)NAN;
    }
}

static cxr_status write_table(const family *f, cxr_error *err)
{
    char *path = own_file(f, CXR_RUN_SEEDS);
    const cxr_status st = path == NULL ? cxr_mem_fail(err, "a file name") : cxr_write_seeds(path, &f->table, err);
    cxr_mem_free(path);
    return st;
}

/* ---- Members ---- */

/* What all members have of the family's options. */
static cxr_train_opts member_opts(const family *f)
{
    cxr_train_opts o = *f->opts;
    if (o.split_seed == 0) o.split_seed = o.seed;
    o.seeds = 1;
    o.then_distil = false;
    return o;
}

/* Trains the run in o->out, or goes on with it where it was begun. */
static cxr_status train_member(const family *f, const cxr_train_opts *o, cxr_train_result *result, cxr_error *err)
{
    char *args = cxr_path_join(o->out, CXR_RUN_ARGS);
    if (args == NULL) return cxr_mem_fail(err, "a file name");
    const bool begun = cxr_path_exists(args);
    cxr_mem_free(args);
    return begun ? cxr_resume(o->out, f->threads, f->hooks, result, err) : cxr_train(o, f->hooks, result, err);
}

static cxr_status train_seed(family *f, uint64_t seed, cxr_train_result *result, cxr_error *err)
{
    cxr_train_opts o = member_opts(f);
    char *out = cxr_seed_folder(f->folder, seed);
    if (out == NULL) return cxr_mem_fail(err, "a file name");
    o.seed = seed;
    o.out = out;
    cxr_log(f->hooks, CXR_INFO, "seed %" PRIu64 " (%d of %d)", seed, f->table.count + 1, f->table.of);
    cxr_status st = train_member(f, &o, result, err);
    if (st == CXR_OK) add_row(&f->table, seed, result);
    if (st == CXR_OK) st = write_table(f, err);
    if (st == CXR_OK && f->hooks != NULL && f->hooks->seeds != NULL) f->hooks->seeds(f->hooks->user, &f->table);
    cxr_mem_free(out);
    return st;
}

/* One model that learns from those of all seeds, with a seed of its own. */
static cxr_status distil(const family *f, cxr_train_result *result, cxr_error *err)
{
    cxr_train_opts o = member_opts(f);
    char *out = own_file(f, CXR_RUN_DISTILLED), *teachers[CXR_MAX_TEACHERS] = {NULL};
    cxr_status st = out == NULL ? cxr_mem_fail(err, "a file name") : CXR_OK;
    for (int i = 0; i < f->table.count && st == CXR_OK; i++) {
        o.teachers[i] = teachers[i] = seed_file(f, f->table.seed[i], CXR_RUN_BEST);
        if (teachers[i] == NULL) st = cxr_mem_fail(err, "a file name");
    }
    o.teacher_count = f->table.count;
    o.seed = f->opts->seed + (uint64_t)f->opts->seeds;
    o.out = out;
    if (st == CXR_OK) cxr_log(f->hooks, CXR_INFO, "one model learns from %d", o.teacher_count);
    if (st == CXR_OK) st = train_member(f, &o, result, err);
    for (int i = 0; i < CXR_MAX_TEACHERS; i++) cxr_mem_free(teachers[i]);
    cxr_mem_free(out);
    return st;
}

static cxr_status train_all(family *f, cxr_train_result *result, cxr_error *err)
{
    cxr_train_result unused;
    cxr_status st = CXR_OK;
    if (result == NULL) result = &unused;
    f->table.of = f->opts->seeds;
    static const char *const names[CXR_SEED_FIGURES] = {"val_loss",       "val_accuracy",       "perturbed_auroc",
                                                        "perturbed_loss", "perturbed_accuracy", "perturbed_balanced"};
    memcpy(f->table.names, names, sizeof names);
    for (int i = 0; i < f->opts->seeds && st == CXR_OK; i++) st = train_seed(f, f->opts->seed + (uint64_t)i, result, err);
    return st == CXR_OK && f->opts->then_distil ? distil(f, result, err) : st;
}

/* ---- Starting ---- */

/* Marks the folder as one that can be resumed. */
static cxr_status write_args(const family *f, const char *path, cxr_error *err)
{
    if (cxr_path_exists(path))
        return cxr_fail(err, CXR_ECREATE, "%s: already holds a run: resume it or choose another folder", f->folder);
    char *text = cxr_train_opts_json(f->opts);
    cxr_status st = text == NULL ? cxr_mem_fail(err, "the arguments") : cxr_make_folders(f->folder, err);
    if (st == CXR_OK) st = cxr_file_write(path, text, strlen(text), err);
    free(text);
    return st;
}

/* A first run that was refused leaves nothing to resume. */
static void withdraw(const family *f, const char *args)
{
    char *first = seed_file(f, f->opts->seed, CXR_RUN_ARGS);
    if (first != NULL && !cxr_path_exists(first)) {
        (void)unlink(args);
        (void)rmdir(f->folder); /* fails where anything is in it */
    }
    cxr_mem_free(first);
}

cxr_status cxr_seeds_train(const cxr_train_opts *opts, const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    family f = {.folder = opts->out, .opts = opts, .hooks = hooks};
    char *args = own_file(&f, CXR_RUN_ARGS);
    cxr_status st = args == NULL ? cxr_mem_fail(err, "a file name") : write_args(&f, args, err);
    if (st == CXR_OK) {
        st = train_all(&f, result, err);
        if (st != CXR_OK) withdraw(&f, args);
    }
    cxr_mem_free(args);
    return st;
}

cxr_status cxr_seeds_resume(const char *folder, const cxr_train_opts *opts, int threads, const cxr_hooks *hooks,
                            cxr_train_result *result, cxr_error *err)
{
    family f = {.folder = folder, .opts = opts, .threads = threads, .hooks = hooks};
    return train_all(&f, result, err);
}
