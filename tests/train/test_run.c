/* Whole runs on a toy data set: what they leave, that they learn, that a broken-off run ends with the same bits as an unbroken
 * one, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/bf16.h"
#include "base/hash.h"
#include "compare.h"
#include "model/model.h"
#include "toy.h"
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static cxr_error error;

static cxr_train_opts toy_opts(const char *out)
{
    return toy_training(out, "layer3", 2);
}

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static void sha_of(char hex[65], const char *run, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", run, name);
    must(cxr_sha256_file(path, hex, &error));
}

static bool has(const char *run, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", toy_path(run), name);
    return cxr_path_exists(path);
}

/* Stops, or dies, at the n-th step of the run. */
typedef struct breaker {
    int steps, at;
    bool die;
} breaker;

static void count_step(void *user, const cxr_progress *p)
{
    breaker *b = user;
    (void)p;
    if (++b->steps == b->at && b->die) _exit(9); /* as abrupt as kill -9: nothing is flushed, no handler runs */
}

static bool stop_at(void *user)
{
    const breaker *b = user;
    return !b->die && b->at > 0 && b->steps >= b->at;
}

static cxr_hooks breaking(breaker *b)
{
    return (cxr_hooks){.progress = count_step, .should_stop = stop_at, .user = b};
}

/* Compares everything that a resumed run must share with the unbroken one. */
static void same_weights(const char *a, const char *b)
{
    static const char *const files[] = {"weights/best.safetensors", "weights/last.safetensors", "split.csv"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char x[65], y[65];
        sha_of(x, a, files[i]);
        sha_of(y, b, files[i]);
        if (strcmp(x, y) != 0) fail_msg("%s differs between %s and %s", files[i], a, b);
    }
}

static cxr_train_result unbroken;

/* The receipt inside a model names the run folder, so compared runs are made under one name and moved. */
static void move(const char *to)
{
    (void)rename(toy_path("run"), toy_path(to));
}

static void a_run_leaves_its_files_and_learns(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("run");
    must(cxr_train(&o, NULL, &unbroken, &error));
    assert_int_equal(unbroken.epochs_done, 2);
    assert_true(unbroken.best_epoch >= 1 && unbroken.best_val_accuracy >= 0.5);
    static const char *const files[] = {"args.json",   "split.csv",
                                        "results.csv", "results.png",
                                        "results.svg", "weights/best.safetensors",
                                        "log.txt",     "weights/last.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (!has("run", files[i])) fail_msg("the run has no %s", files[i]);
    move("unbroken");
}

static void a_run_learns_the_toy(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("learns");
    cxr_train_result r;
    o.freeze = "none";
    o.epochs = 6;
    o.augment = (cxr_augment){0};
    must(cxr_train(&o, NULL, &r, &error));
    if (!(r.best_val_accuracy >= 0.95)) fail_msg("validation accuracy %.3f after six epochs", r.best_val_accuracy);
}

static void stopped_and_resumed_equals_unbroken(void **state)
{
    (void)state;
    const int places[] = {1, 3, 6, 8}; /* 6 steps an epoch: in the first, at its end, in the second */
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        cxr_train_opts o = toy_opts("run");
        breaker b = {.at = places[i]};
        const cxr_hooks hooks = breaking(&b);
        cxr_train_result r = {0};
        assert_int_equal(cxr_train(&o, &hooks, &r, &error), CXR_ESTOPPED);
        must(cxr_resume(toy_path("run"), 0, NULL, &r, &error));
        assert_true(r.best_val_loss == unbroken.best_val_loss && r.best_epoch == unbroken.best_epoch);
        char name[32];
        (void)snprintf(name, sizeof name, "stopped%d", places[i]);
        move(name);
        same_weights(toy_path("unbroken"), toy_path(name));
    }
}

/* The weights go their way untouched by their average, which is the model, also across a stop. */
static void an_average_is_kept_beside_the_weights(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("run");
    o.ema = 0.9f;
    must(cxr_train(&o, NULL, NULL, &error));
    move("average");
    breaker b = {.at = 8};
    const cxr_hooks hooks = breaking(&b);
    assert_int_equal(cxr_train(&o, &hooks, NULL, &error), CXR_ESTOPPED);
    must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
    move("average-stopped");
    same_weights(toy_path("average"), toy_path("average-stopped"));

    cxr_model *plain = NULL, *average = NULL;
    cxr_weights checkpoint;
    must(cxr_model_open(&plain, toy_path("unbroken/weights/last.safetensors"), &error));
    must(cxr_model_open(&average, toy_path("average/weights/last.safetensors"), &error));
    must(cxr_weights_open(&checkpoint, toy_path("average/checkpoint.safetensors"), &error));
    const cxr_weight *w = cxr_weights_find(&checkpoint, "optim.weights");
    const size_t count = plain->graph.float_count;
    assert_true(w != NULL && w->count < count);
    float *kept = cxr_mem_new(w->count, sizeof *kept);
    must(cxr_weights_load(&checkpoint, w, kept, &error));
    assert_memory_equal(kept, plain->params + count - w->count, w->count * sizeof *kept);
    assert_memory_not_equal(average->params + count - w->count, kept, w->count * sizeof *kept);
    cxr_mem_free(kept);
    cxr_weights_free(&checkpoint);
    cxr_model_close(&plain);
    cxr_model_close(&average);
}

/* Also with batches that are drawn, mixed and transformed in every way there is. */
/* What the last epoch's end left in last.safetensors; the hook of an epoch comes before it is written. */
typedef struct ends {
    float *params[5]; /* by epoch; whole canonical arrays */
    double loss[5];
} ends;

static void keep_end(ends *e, int epoch)
{
    cxr_model *m = NULL;
    must(cxr_model_open(&m, toy_path("run/weights/last.safetensors"), &error));
    const size_t count = m->graph.float_count;
    e->params[epoch] = cxr_mem_new(count, sizeof(float));
    memcpy(e->params[epoch], m->params, count * sizeof(float));
    cxr_model_close(&m);
}

static void at_end(void *user, const cxr_epoch *row)
{
    ends *e = user;
    e->loss[row->epoch] = row->val_loss;
    if (row->epoch > 1) keep_end(e, row->epoch - 1);
}

static void train_and_keep_ends(ends *e, int swa)
{
    const cxr_hooks hooks = {.epoch = at_end, .user = e};
    cxr_train_opts o = toy_opts("run");
    o.epochs = 4;
    o.swa = swa;
    must(cxr_train(&o, &hooks, NULL, &error));
    keep_end(e, 4);
}

/* The weights go as they would without; the model is they, and from the second averaged epoch on the mean. */
static void the_model_is_the_mean_of_the_last_epochs(void **state)
{
    (void)state;
    ends plain = {0}, swa = {0};
    train_and_keep_ends(&plain, 0);
    move("ends");
    train_and_keep_ends(&swa, 3);
    move("swa");
    cxr_model *m = NULL;
    must(cxr_model_open(&m, toy_path("swa/weights/last.safetensors"), &error));
    for (int e = 1; e <= 4; e++) {
        assert_true((plain.loss[e] == swa.loss[e]) == (e <= 2)); /* what is validated is the mean */
        for (size_t i = 0; i < m->graph.float_count; i++) {
            double want = (double)plain.params[e][i];
            if (e == 3) want = 0.5 * (want + (double)plain.params[2][i]);
            if (e == 4) want = (want + (double)plain.params[2][i] + (double)plain.params[3][i]) / 3.0;
            const double atol = e > 2 ? 1e-6 : 0.0; /* two roundings of float32 */
            if (!cxr_close((double)swa.params[e][i], want, atol, atol)) fail_msg("epoch %d: number %zu is off", e, i);
        }
    }
    for (int e = 1; e <= 4; e++) {
        cxr_mem_free(plain.params[e]);
        cxr_mem_free(swa.params[e]);
    }
    cxr_model_close(&m);
    breaker b = {.at = 20}; /* of 24: the last epoch */
    const cxr_hooks hooks = breaking(&b);
    cxr_train_opts o = toy_opts("run");
    o.epochs = 4;
    o.swa = 3;
    assert_int_equal(cxr_train(&o, &hooks, NULL, &error), CXR_ESTOPPED);
    must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
    move("swa-stopped");
    same_weights(toy_path("swa"), toy_path("swa-stopped"));
}

static void any_recipe_resumes_bit_for_bit(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("run");
    o.augment = (cxr_augment){.flip = 0.5f,
                              .rotate_degrees = 10,
                              .crop_min_scale = 0.5f,
                              .brightness = 0.2f,
                              .contrast = 0.2f,
                              .zoom = 0.2f,
                              .gamma = 0.3f,
                              .noise = 0.05f,
                              .jpeg_quality = 50,
                              .erase = 0.3f};
    o.mixup = 0.2f;
    o.cutmix = 1;
    o.balanced = true;
    o.threads = 2;
    cxr_train_result whole, r;
    must(cxr_train(&o, NULL, &whole, &error));
    move("recipe");
    breaker b = {.at = 8};
    const cxr_hooks hooks = breaking(&b);
    assert_int_equal(cxr_train(&o, &hooks, NULL, &error), CXR_ESTOPPED);
    must(cxr_resume(toy_path("run"), 0, NULL, &r, &error));
    move("recipe-stopped");
    same_weights(toy_path("recipe"), toy_path("recipe-stopped"));
    assert_true(whole.best_val_loss == r.best_val_loss);
    o.cache_features = 2;
    o.out = toy_path("contradiction");
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
}

/* The same in bf16, and with only what is frozen in it: parameters and moments are f32 in both, and the rest is made of them. */
static void in_bf16_resumed_equals_unbroken(void **state)
{
    (void)state;
    static const cxr_precision precisions[] = {CXR_PRECISION_BF16, CXR_PRECISION_AUTO};
    for (size_t i = 0; bf16_here(CXR_TRAIN) && i < 2; i++) {
        for (int at = 0; at <= 8; at += 8) { /* 0: unbroken; 8: in the second epoch */
            cxr_train_opts o = toy_opts("run");
            breaker b = {.at = at};
            const cxr_hooks hooks = breaking(&b);
            o.precision = precisions[i];
            assert_int_equal(cxr_train(&o, &hooks, NULL, &error), at > 0 ? CXR_ESTOPPED : CXR_OK);
            if (at > 0) must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
            char name[32];
            (void)snprintf(name, sizeof name, "precision%zu-%d", i, at);
            move(name);
        }
        same_weights(toy_path(i == 0 ? "precision0-0" : "precision1-0"), toy_path(i == 0 ? "precision0-8" : "precision1-8"));
    }
}

/* What the killed process does: trains with a checkpoint after every step and dies at the given one. */
static int be_the_victim(const char *root, int at)
{
    (void)snprintf(toy_root, sizeof toy_root, "%s", root);
    cxr_train_opts o = toy_opts("run");
    breaker b = {.at = at, .die = true};
    const cxr_hooks hooks = breaking(&b);
    o.checkpoint_seconds = 1e-9;
    return cxr_train(&o, &hooks, NULL, NULL) == CXR_OK ? 0 : 1;
}

static void killed_and_resumed_equals_unbroken(void **state)
{
    (void)state;
    for (int at = 2; at <= 11; at += 4) {
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0) {
            char number[16];
            (void)snprintf(number, sizeof number, "%d", at);
            (void)execl("/proc/self/exe", "test_run", toy_root, number,
                        (char *)NULL); /* OpenMP's threads do not survive fork */
            _exit(127);
        }
        int status = 0;
        assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 9);
        must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
        char name[32];
        (void)snprintf(name, sizeof name, "killed%d", at);
        move(name);
        cxr_model *a = NULL, *b = NULL;
        char path[512];
        (void)snprintf(path, sizeof path, "%s/weights/last.safetensors", toy_path(name));
        must(cxr_model_open(&a, toy_path("unbroken/weights/last.safetensors"), &error));
        must(cxr_model_open(&b, path, &error));
        assert_memory_equal(a->params, b->params, a->graph.float_count * sizeof(float));
        cxr_model_close(&a);
        cxr_model_close(&b);
    }
}

static void frozen_layers_do_not_drift(void **state)
{
    (void)state;
    cxr_model *trained = NULL, *start = NULL;
    cxr_train_opts o = toy_opts("run");
    must(cxr_model_open(&trained, toy_path("unbroken/weights/last.safetensors"), &error));
    must(cxr_model_build(&start, &o, NULL, 2, &error));
    int cut = 0;
    must(cxr_graph_cut(&start->graph, o.freeze, &cut, &error));
    bool moved = false;
    for (int i = 0; i < start->graph.param_count; i++) {
        const cxr_param *p = &start->graph.params[i];
        const bool same = memcmp(trained->params + p->offset, start->params + p->offset, p->count * sizeof(float)) == 0;
        if (p->node <= cut && !same) fail_msg("%s is frozen and changed", p->name);
        moved = moved || !same;
    }
    assert_true(moved);
    cxr_model_close(&trained);
    cxr_model_close(&start);
}

static void a_folder_with_a_run_is_refused(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("unbroken");
    char before[65], after[65];
    sha_of(before, toy_path("unbroken"), "args.json");
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_ECREATE);
    assert_non_null(strstr(error.text, "already holds a run"));
    sha_of(after, toy_path("unbroken"), "args.json");
    assert_string_equal(before, after);
}

static void a_loss_that_is_not_a_number_stops(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("nan");
    o.lr = 1e3f;
    o.optimizer = CXR_SGD;
    o.freeze = "none";
    o.epochs = 50;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EDATA);
    /* The loss, or, where an epoch ended before it showed there, a parameter that would have been saved. */
    if (strstr(error.text, "the loss is ") == NULL && strstr(error.text, "NaN or an infinity") == NULL)
        fail_msg("%s", error.text);
    assert_true(has("nan", "checkpoint.safetensors")); /* what was good stays */
}

static void unreadable_images_stop_or_are_skipped(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("unreadable");
    const char *bad = toy_path("data/train/A/bad.jpeg");
    must(cxr_file_write(bad, "not an image", 12, &error));
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "bad.jpeg"));
    o.out = toy_path("skipped");
    o.skip_unreadable = true;
    o.epochs = 1;
    must(cxr_train(&o, NULL, NULL, &error));
    assert_int_equal(unlink(bad), 0);
}

static void early_stop_counts_epochs_without_gain(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("early");
    cxr_train_result r;
    o.lr = 1e-30f; /* nothing changes but running statistics; no validation loss is lower for long */
    o.freeze = "backbone";
    o.head_count = 0;
    o.epochs = 10;
    o.early_stop = 2;
    must(cxr_train(&o, NULL, &r, &error));
    assert_int_equal(r.epochs_done, 3);
    assert_int_equal(r.best_epoch, 1);
}

static void bad_options_are_named(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("bad");
    o.lr = -1.0f;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    assert_non_null(strstr(error.text, "lr"));
    o = toy_opts("bad");
    o.freeze = "layer9";
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    o = toy_opts("bad");
    o.device = CXR_DEVICE_CUDA;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUNAVAILABLE);
    o = toy_opts("bad");
    o.data = toy_path("nowhere");
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_ENOINPUT);
    assert_false(cxr_path_exists(toy_path("bad")));
}

static void a_run_in_use_is_not_resumed(void **state)
{
    (void)state;
    FILE *log = fopen(toy_path("unbroken/log.txt"), "a");
    assert_true(log != NULL && flock(fileno(log), LOCK_EX | LOCK_NB) == 0);
    assert_int_equal(cxr_resume(toy_path("unbroken"), 0, NULL, NULL, &error), CXR_EUNAVAILABLE);
    assert_non_null(strstr(error.text, "another process"));
    (void)fclose(log);
    must(cxr_resume(toy_path("unbroken"), 0, NULL, NULL, &error)); /* finished: nothing is left to do */
}

/* The run's own split decides what its validation images are, and each reading is written down. */
static void evaluation_uses_the_runs_split_and_keeps_the_ledger(void **state)
{
    (void)state;
    cxr_model *m = NULL;
    cxr_metrics *x = NULL;
    cxr_evaluate_opts o;
    cxr_evaluate_opts_default(&o);
    o.data = toy_path("data");
    must(cxr_model_open(&m, toy_path("unbroken/weights/best.safetensors"), &error));
    static const char *const splits[] = {"val", "test", "all"};
    static const size_t counts[] = {32, 10, 84};
    for (int i = 0; i < 3; i++) {
        o.split = splits[i];
        must(cxr_evaluate(m, &o, NULL, &x, &error));
        assert_int_equal(x->n, counts[i]);
        cxr_metrics_free(&x);
    }
    const char *args = toy_path("unbroken/args.json"), *aside = toy_path("aside.json");
    assert_int_equal(rename(args, aside), 0);
    must(cxr_file_write(args, "{", 1, &error));
    o.split = "val"; /* by another split these would be training images */
    assert_int_equal(cxr_evaluate(m, &o, NULL, &x, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "args.json"));
    assert_int_equal(rename(aside, args), 0);
    cxr_model_close(&m);
    char line[512] = "";
    FILE *ledger = fopen(toy_path("unbroken/ledger.csv"), "r");
    assert_true(ledger != NULL && fgets(line, sizeof line, ledger) != NULL);
    assert_string_equal(line, "time,model,data,split,images,correct,tta\n");
    for (int i = 0; i < 3; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, ",%s,%zu,", splits[i], counts[i]);
        assert_true(fgets(line, sizeof line, ledger) != NULL && strstr(line, want) != NULL);
    }
    assert_null(fgets(line, sizeof line, ledger));
    (void)fclose(ledger);
}

/* Those left out are in no split, before and after a stop, and the model's own training images are the few. */
static void few_images_are_the_training_split(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("run");
    o.train_images = 10;
    must(cxr_train(&o, NULL, NULL, &error));
    move("few");
    breaker b = {.at = 3};
    const cxr_hooks hooks = breaking(&b);
    assert_int_equal(cxr_train(&o, &hooks, NULL, &error), CXR_ESTOPPED);
    must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
    move("few-stopped");
    same_weights(toy_path("few"), toy_path("few-stopped"));
    cxr_model *m = NULL;
    must(cxr_model_open(&m, toy_path("few/weights/last.safetensors"), &error));
    cxr_evaluate_opts e;
    cxr_evaluate_opts_default(&e);
    e.data = toy_path("data");
    static const char *const splits[] = {"train", "val", "test", "all"};
    static const size_t counts[] = {10, 32, 10, 84};
    for (int i = 0; i < 4; i++) {
        cxr_metrics *x = NULL;
        e.split = splits[i];
        must(cxr_evaluate(m, &e, NULL, &x, &error));
        assert_int_equal(x->n, counts[i]);
        cxr_metrics_free(&x);
    }
    cxr_model_close(&m);
    o = toy_opts("many");
    o.train_images = 43;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    assert_false(cxr_path_exists(toy_path("many")));
}

static void a_changed_data_set_is_not_resumed(void **state)
{
    (void)state;
    cxr_train_opts o = toy_opts("run");
    breaker b = {.at = 2};
    const cxr_hooks hooks = breaking(&b);
    assert_int_equal(cxr_train(&o, &hooks, NULL, &error), CXR_ESTOPPED);
    assert_true(rename(toy_path("data/train/A/3.jpeg"), toy_path("moved.jpeg")) == 0);
    assert_int_equal(cxr_resume(toy_path("run"), 0, NULL, NULL, &error), CXR_EDATA);
    assert_true(rename(toy_path("moved.jpeg"), toy_path("data/train/A/3.jpeg")) == 0);
    must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
}

int main(int argc, char **argv)
{
    if (argc == 3) return be_the_victim(argv[1], atoi(argv[2]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_leaves_its_files_and_learns),
        cmocka_unit_test(a_run_learns_the_toy),
        cmocka_unit_test(stopped_and_resumed_equals_unbroken),
        cmocka_unit_test(an_average_is_kept_beside_the_weights),
        cmocka_unit_test(the_model_is_the_mean_of_the_last_epochs),
        cmocka_unit_test(any_recipe_resumes_bit_for_bit),
        cmocka_unit_test(in_bf16_resumed_equals_unbroken),
        cmocka_unit_test(killed_and_resumed_equals_unbroken),
        cmocka_unit_test(frozen_layers_do_not_drift),
        cmocka_unit_test(a_folder_with_a_run_is_refused),
        cmocka_unit_test(a_loss_that_is_not_a_number_stops),
        cmocka_unit_test(unreadable_images_stop_or_are_skipped),
        cmocka_unit_test(early_stop_counts_epochs_without_gain),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(a_run_in_use_is_not_resumed),
        cmocka_unit_test(evaluation_uses_the_runs_split_and_keeps_the_ledger),
        cmocka_unit_test(few_images_are_the_training_split),
        cmocka_unit_test(a_changed_data_set_is_not_resumed),
    };
    if (!toy_create()) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_remove();
    return failed;
}
