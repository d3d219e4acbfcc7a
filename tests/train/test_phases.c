/* Settings that change by epoch: how they are written and refused, what a run through phases leaves, and that one broken off in
 * any of them, or between two, ends with the same bits as an unbroken one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "model/model.h"
#include "toy.h"
#include "train/phases.h"

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

/* ---- As text ---- */

static void good_phases_are_read(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("run", "backbone:2,layer3:3,none", 6);
    cxr_phases p;
    must(cxr_freeze_phases(&p, &o, &error));
    assert_int_equal(p.count, 3);
    assert_string_equal(p.at[0].value, "backbone");
    assert_string_equal(p.at[1].value, "layer3");
    assert_string_equal(p.at[2].value, "none");
    static const int phase_of[] = {0, 0, 1, 1, 1, 2, 2};
    for (int epoch = 0; epoch < 7; epoch++) assert_int_equal(cxr_phase_of(&p, epoch), phase_of[epoch]);

    o.freeze = "layer4";
    must(cxr_freeze_phases(&p, &o, &error));
    assert_true(p.count == 1 && cxr_phase_of(&p, 0) == 0 && cxr_phase_of(&p, 99) == 0);
    must(cxr_size_phases(&p, &o, &error));
    assert_int_equal(p.count, 1);
    assert_string_equal(p.at[0].value, "32");
    o.early_sizes = "96:4,64:1";
    must(cxr_size_phases(&p, &o, &error));
    assert_int_equal(p.count, 3);
    assert_string_equal(p.at[1].value, "64");
    assert_string_equal(p.at[2].value, "32");
    assert_true(p.at[1].first == 4 && p.at[2].first == 5);
    o.epochs = 100000;
    o.early_sizes = "40:1,41:1,42:1,43:1,44:1,45:1,46:1,47:1,48:1,49:1,50:1,51:1,52:1,53:1,54:1"; /* sixteen with the last */
    must(cxr_size_phases(&p, &o, &error));
    assert_int_equal(p.count, CXR_PHASES_MOST);
}

static void bad_phases_are_named(void **state)
{
    (void)state;
    static const struct {
        bool size; /* else freeze */
        const char *text, *why;
    } bad[] = {
        {false, NULL, "freeze: nothing is named"},
        {false, "", "freeze: phase 1 of \"\" is empty"},
        {false, ",none", "freeze: phase 1 of \",none\" is empty"},
        {false, "backbone:2,,none", "phase 2 of \"backbone:2,,none\" is empty"},
        {false, "backbone:2,", "phase 2 of \"backbone:2,\" is empty"},
        {false, ":2,none", "phase 1 of \":2,none\" has a number of epochs and nothing else"},
        {false, "backbone,none", "phase 1 of \"backbone,none\" does not say its epochs"},
        {false, "backbone:2", "phase 1 of \"backbone:2\" is the last"},
        {false, "backbone:2,none:3", "phase 2 of \"backbone:2,none:3\" is the last"},
        {false, "backbone:0,none", "phase 1 of \"backbone:0,none\" has no whole number of epochs"},
        {false, "backbone:,none", "has no whole number of epochs"},
        {false, "backbone:-1,none", "has no whole number of epochs"},
        {false, "backbone:+1,none", "has no whole number of epochs"},
        {false, "backbone: 1,none", "has no whole number of epochs"},
        {false, "backbone:1.5,none", "has no whole number of epochs"},
        {false, "backbone:1e1,none", "has no whole number of epochs"},
        {false, "backbone:two,none", "has no whole number of epochs"},
        {false, "backbone:1:1,none", "has no whole number of epochs"},
        {false, "backbone:1000000,none", "has no whole number of epochs"},
        {false, "backbone:4294967297,none", "has no whole number of epochs"},
        {false, "layer9", "phase 1 of \"layer9\" must be backbone"},
        {false, "backbone:1,Layer3:1,none", "phase 2 of \"backbone:1,Layer3:1,none\" must be backbone"},
        {false, "backbonebackbone:1,none", "phase 1 of \"backbonebackbone:1,none\" is too long"},
        {false, "none:1,backbone", "phase 2 of \"none:1,backbone\" does not freeze less"},
        {false, "layer3:1,layer3", "phase 2 of \"layer3:1,layer3\" does not freeze less"},
        {false, "backbone:9,none", "before the last take 9 epochs, and epochs is 9"},
        {false, "backbone:4,layer3:5,none", "before the last take 9 epochs, and epochs is 9"},
        {false, "backbone:999999,layer4:999999,layer3:999999,none", "take 2999997 epochs"},
        {true, "", "size: phase 1 of \",32\" is empty"},
        {true, "64", "size: phase 1 of \"64,32\" does not say its epochs"},
        {true, "64:2,", "size: phase 2 of \"64:2,,32\" is empty"},
        {true, "31:2", "size: phase 1 of \"31:2,32\" must be a whole number from 32 to 1024"},
        {true, "64:1,1025:2", "size: phase 2 of \"64:1,1025:2,32\" must be a whole number from 32 to 1024"},
        {true, "6x:2", "must be a whole number"},
        {true, "64:0", "has no whole number of epochs"},
        {true, "32:2", "phase 2 of \"32:2,32\" has the size of the one before it"},
        {true, "64:9", "before the last take 9 epochs, and epochs is 9"},
        {true, "40:1,41:1,42:1,43:1,44:1,45:1,46:1,47:1,48:1,49:1,50:1,51:1,52:1,53:1,54:1,55:1", "has more than 16 phases"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cxr_train_opts o = toy_training("run", "none", 9);
        if (bad[i].size)
            o.early_sizes = bad[i].text;
        else
            o.freeze = bad[i].text;
        const char *text = bad[i].text == NULL ? "NULL" : bad[i].text;
        if (cxr_train_opts_check(&o, &error) != CXR_EUSAGE) fail_msg("\"%s\" is accepted", text);
        if (strstr(error.text, bad[i].why) == NULL) fail_msg("\"%s\": %s", text, error.text);
    }
}

static void features_are_kept_where_something_is_frozen(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("run", "none", 9);
    o.cache_features = 2;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
    o.freeze = "backbone:2,none";
    must(cxr_train_opts_check(&o, &error));
}

/* ---- Runs ---- */

typedef struct watch {
    int steps, stop; /* stops after `stop` steps; 0: never */
    int phases;      /* that the log says have begun */
    int epochs;
    double val_loss[8];
    bool copies; /* the checkpoint, as it is when the second phase begins */
} watch;

static void see_step(void *user, const cxr_progress *p)
{
    (void)p;
    ((watch *)user)->steps++;
}

static bool enough(void *user)
{
    const watch *w = user;
    return w->stop > 0 && w->steps >= w->stop;
}

static void see_epoch(void *user, const cxr_epoch *e)
{
    watch *w = user;
    if (w->epochs < 8) w->val_loss[w->epochs++] = e->val_loss;
}

static void copy_file(const char *from, const char *to)
{
    cxr_buf file;
    must(cxr_buf_read(&file, from, 1u << 30, &error));
    must(cxr_file_write(to, file.data, file.len, &error));
    cxr_buf_free(&file);
}

static void see_line(void *user, cxr_level level, const char *line)
{
    watch *w = user;
    (void)level;
    if (strncmp(line, "from epoch ", 11) != 0) return;
    if (++w->phases == 2 && w->copies) copy_file(toy_path("run/checkpoint.safetensors"), toy_path("between"));
}

static cxr_hooks watching(watch *w)
{
    return (cxr_hooks){.log = {see_line, w}, .progress = see_step, .epoch = see_epoch, .should_stop = enough, .user = w};
}

/* Three epochs of six steps; the cut and the size each change once, at different epochs. */
static cxr_train_opts staged(void)
{
    cxr_train_opts o = toy_training("run", "layer4:1,layer3", 3);
    o.early_sizes = "40:2";
    o.deterministic = true;
    o.optimizer = CXR_ADAMW;
    o.weight_decay = 0.01f;
    o.ema = 0.9f;
    o.schedule = CXR_ONECYCLE;
    o.checkpoint_seconds = 1e9; /* no file between but where it is stopped: best parameters wait in memory over phases */
    return o;
}

static void same_file(const char *name, const char *a, const char *b)
{
    char path[512], x[65], y[65];
    (void)snprintf(path, sizeof path, "%s/%s/%s", toy_root, a, name);
    must(cxr_sha256_file(path, x, &error));
    (void)snprintf(path, sizeof path, "%s/%s/%s", toy_root, b, name);
    must(cxr_sha256_file(path, y, &error));
    if (strcmp(x, y) != 0) fail_msg("%s differs between %s and %s", name, a, b);
}

/* The receipts inside may differ. */
static void same_params(const char *a, const char *b, const char *which)
{
    char path[512];
    cxr_model *x = NULL, *y = NULL;
    (void)snprintf(path, sizeof path, "%s/%s/weights/%s.safetensors", toy_root, a, which);
    must(cxr_model_open(&x, path, &error));
    (void)snprintf(path, sizeof path, "%s/%s/weights/%s.safetensors", toy_root, b, which);
    must(cxr_model_open(&y, path, &error));
    for (int i = 0; i < x->graph.param_count; i++) {
        const cxr_param *p = &x->graph.params[i];
        if (memcmp(x->params + p->offset, y->params + p->offset, p->count * sizeof(float)) != 0)
            fail_msg("%s.safetensors: %s differs between %s and %s", which, p->name, a, b);
    }
    cxr_model_close(&x);
    cxr_model_close(&y);
}

/* Runs are made under one name, which the receipt holds, and moved. */
static void move(const char *to)
{
    assert_int_equal(rename(toy_path("run"), toy_path(to)), 0);
}

/* Trains `o` unbroken, and again stopped after each number of steps in `places`. */
static void resumed_equals(const char *name, cxr_train_opts *o, const int *places, int count)
{
    cxr_train_result whole, r;
    watch w = {0};
    cxr_hooks hooks = watching(&w);
    must(cxr_train(o, &hooks, &whole, &error));
    move(name);
    for (int i = 0; i < count; i++) {
        char stopped[64];
        o->data = toy_path("data"); /* paths are lent for a few calls */
        o->out = toy_path("run");
        watch b = {.stop = places[i]};
        hooks = watching(&b);
        if (cxr_train(o, &hooks, NULL, &error) != CXR_ESTOPPED) fail_msg("%s", error.text);
        b.stop = 0;
        must(cxr_resume(toy_path("run"), 0, &hooks, &r, &error));
        assert_true(r.best_epoch == whole.best_epoch && r.best_val_loss == whole.best_val_loss);
        assert_true(b.epochs == w.epochs && memcmp(b.val_loss, w.val_loss, sizeof w.val_loss) == 0);
        (void)snprintf(stopped, sizeof stopped, "%s-%d", name, places[i]);
        move(stopped);
        same_file("weights/best.safetensors", name, stopped);
        same_file("weights/last.safetensors", name, stopped);
    }
}

static void stopped_in_any_phase_equals_unbroken(void **state)
{
    (void)state;
    cxr_train_opts o = staged();
    static const int places[] = {3, 6, 8, 12}; /* in a phase, and between two */
    resumed_equals("staged", &o, places, 4);
}

/* A run that dies between two phases leaves a checkpoint in which the second has not begun. */
static void killed_between_phases_equals_unbroken(void **state)
{
    (void)state;
    cxr_train_opts o = staged();
    watch w = {.copies = true};
    const cxr_hooks hooks = watching(&w);
    o.checkpoint_seconds = 0; /* written after each epoch */
    must(cxr_train(&o, &hooks, NULL, &error));
    copy_file(toy_path("between"), toy_path("run/checkpoint.safetensors"));
    assert_int_equal(unlink(toy_path("run/weights/best.safetensors")), 0);
    assert_int_equal(unlink(toy_path("run/weights/last.safetensors")), 0);
    must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
    move("killed");
    same_params("staged", "killed", "best");
    same_params("staged", "killed", "last");
}

/* The same with kept features, whose feed and store belong to a cut and a size. */
static void kept_features_follow_the_cut(void **state)
{
    (void)state;
    cxr_train_opts o = staged();
    static const int places[] = {6, 9};
    o.freeze = "backbone:2,none";
    o.early_sizes = NULL;
    o.ema = 0;
    o.cache_features = 1;
    resumed_equals("features", &o, places, 2);
    char cache[256];
    (void)snprintf(cache, sizeof cache, "%s/cache", toy_root);
    o.cache = CXR_CACHE_DISK;
    o.cache_dir = cache;
    o.early_sizes = "40:1";
    resumed_equals("disk", &o, places, 1);
    o.cache = CXR_CACHE_OFF; /* at the same cut records of two sizes are as long: one taken for the other would show here */
    o.cache_features = 0;
    o.augment = (cxr_augment){0};
    o.data = toy_path("data");
    o.out = toy_path("computed");
    must(cxr_train(&o, NULL, NULL, &error));
    o.cache = CXR_CACHE_DISK;
    o.data = toy_path("data");
    o.out = toy_path("kept");
    must(cxr_train(&o, NULL, NULL, &error));
    same_params("computed", "kept", "last");
}

/* Where epochs end faster than files are written, the best one's parameters wait in memory, also those that a later phase of the
 * wait unfreezes. */
static void the_best_epoch_outlives_its_phase(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("waits", "layer4:1,layer3", 2);
    cxr_train_result r;
    o.lr = 0.1f; /* too high for layer4, so that the first epoch stays the best */
    o.checkpoint_seconds = 1e9;
    must(cxr_train(&o, NULL, &r, &error));
    assert_int_equal(r.best_epoch, 1);
    o = toy_training("writes", "layer4:1,layer3", 2);
    o.lr = 0.1f;
    must(cxr_train(&o, NULL, &r, &error));
    same_params("waits", "writes", "best");
    same_params("waits", "writes", "last");
}

/* Teachers see the pixels that the student sees, whatever their size. */
static void teachers_follow_the_size(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("pupil", "backbone", 2);
    o.early_sizes = "40:1";
    o.teachers[0] = toy_path("staged/weights/last.safetensors");
    o.teacher_count = 1;
    must(cxr_train(&o, NULL, NULL, &error));
}

static void what_is_frozen_stays_until_its_phase(void **state)
{
    (void)state;
    cxr_train_opts o = staged();
    cxr_model *start = NULL, *first = NULL, *last = NULL;
    watch w = {.stop = 6};
    const cxr_hooks hooks = watching(&w);
    must(cxr_model_build(&start, &o, NULL, 2, &error));
    assert_int_equal(cxr_train(&o, &hooks, NULL, &error), CXR_ESTOPPED);
    must(cxr_model_open(&first, toy_path("run/checkpoint.safetensors"), &error));
    must(cxr_model_open(&last, toy_path("staged/weights/last.safetensors"), &error));
    assert_string_equal(last->freeze, "layer3");
    assert_int_equal(last->preprocess.size, 32);
    const cxr_graph *g = &start->graph;
    int layer3 = 0, layer4 = 0;
    must(cxr_graph_cut(g, "layer3", &layer3, &error));
    must(cxr_graph_cut(g, "layer4", &layer4, &error));
    for (int i = 0; i < g->param_count; i++) {
        const cxr_param *p = &g->params[i];
        const size_t bytes = p->count * sizeof(float);
        const bool moved_first = memcmp(first->params + p->offset, start->params + p->offset, bytes) != 0;
        const bool moved_last = memcmp(last->params + p->offset, start->params + p->offset, bytes) != 0;
        if (moved_first != (p->node > layer4) || moved_last != (p->node > layer3))
            fail_msg("%s: %s in the first phase, %s in the last", p->name, moved_first ? "moved" : "still",
                     moved_last ? "moved" : "still");
    }
    cxr_model_close(&start);
    cxr_model_close(&first);
    cxr_model_close(&last);
    move("first");
}

/* What is chosen is of the model's size, and early stopping waits for it; no file of another size's epoch is called best. */
static void the_best_epoch_has_the_final_size(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("sizes", "backbone", 9);
    cxr_train_result r;
    watch w = {0};
    const cxr_hooks hooks = watching(&w);
    o.early_sizes = "64:2,48:2";
    o.lr = 1e-30f; /* it learns nothing: without phases the first epoch is the best and it stops after the third */
    o.head_count = 0;
    o.early_stop = 2;
    must(cxr_train(&o, &hooks, &r, &error));
    assert_int_equal(r.best_epoch, 5);
    assert_int_equal(r.epochs_done, 6 + 1);
    assert_int_equal(w.phases, 3);
    assert_true(w.val_loss[0] != w.val_loss[2] && w.val_loss[2] != w.val_loss[4]); /* validated at the phase's size */
    assert_true(r.best_val_loss == w.val_loss[4]);

    watch early = {.stop = 8};
    const cxr_hooks stopping = watching(&early);
    o.out = toy_path("early");
    assert_int_equal(cxr_train(&o, &stopping, &r, &error), CXR_ESTOPPED);
    assert_int_equal(r.best_epoch, 0);
    assert_false(cxr_path_exists(toy_path("early/weights/best.safetensors")));
    assert_true(cxr_path_exists(toy_path("early/weights/last.safetensors")));
}

/* Trains `o` until it is in its second epoch of six steps, and changes what its checkpoint says. */
static void stop_and_change(cxr_train_opts *o, const char *from, const char *to)
{
    watch w = {.stop = 8};
    const cxr_hooks hooks = watching(&w);
    o->data = toy_path("data"); /* paths are lent for a few calls */
    o->out = toy_path("run");
    assert_int_equal(cxr_train(o, &hooks, NULL, &error), CXR_ESTOPPED);
    const char *path = toy_path("run/checkpoint.safetensors");
    cxr_buf file;
    must(cxr_buf_read(&file, path, 1u << 30, &error));
    char *at = memmem(file.data, file.len, from, strlen(from));
    assert_true(at != NULL && strlen(from) == strlen(to));
    memcpy(at, to, strlen(to));
    must(cxr_file_write(path, file.data, file.len, &error));
    cxr_buf_free(&file);
}

/* Adam's first steps on what is unfrozen are those of a new optimiser: the step at which it began decides them. */
static void the_beginning_of_a_phase_is_in_the_checkpoint(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("run", "layer4:1,layer3", 2);
    must(cxr_train(&o, NULL, NULL, &error));
    move("begins");
    stop_and_change(&o, "unfrozen\\\":[0,6]", "unfrozen\\\":[0,0]");
    must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
    char path[512], x[65], y[65];
    (void)snprintf(path, sizeof path, "%s/begins/weights/last.safetensors", toy_root);
    must(cxr_sha256_file(path, x, &error));
    must(cxr_sha256_file(toy_path("run/weights/last.safetensors"), y, &error));
    assert_string_not_equal(x, y);
    move("begins-changed");
    stop_and_change(&o, "unfrozen\\\":[0,6]", "unfrozen\\\":[0,9]"); /* after 8 steps */
    assert_int_equal(cxr_resume(toy_path("run"), 0, NULL, NULL, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "does not fit"));
    move("begins-late");
}

/* A checkpoint of a version that knew no phases does not say when they began. */
static void a_checkpoint_without_phases_resumes(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("run", "layer4", 2);
    must(cxr_train(&o, NULL, NULL, &error));
    move("plain");
    stop_and_change(&o, "\\\"unfrozen\\\":[0]", "\\\"unwritable\\\":0"); /* a key that nobody knows */
    must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
    move("plain-old");
    same_file("weights/last.safetensors", "plain", "plain-old");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_phases_are_read),
        cmocka_unit_test(bad_phases_are_named),
        cmocka_unit_test(features_are_kept_where_something_is_frozen),
        cmocka_unit_test(stopped_in_any_phase_equals_unbroken),
        cmocka_unit_test(killed_between_phases_equals_unbroken),
        cmocka_unit_test(kept_features_follow_the_cut),
        cmocka_unit_test(what_is_frozen_stays_until_its_phase),
        cmocka_unit_test(the_best_epoch_has_the_final_size),
        cmocka_unit_test(the_best_epoch_outlives_its_phase),
        cmocka_unit_test(teachers_follow_the_size),
        cmocka_unit_test(the_beginning_of_a_phase_is_in_the_checkpoint),
        cmocka_unit_test(a_checkpoint_without_phases_resumes),
    };
    if (!toy_create()) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_remove();
    return failed;
}
