/* What a run's end fits: that both model files carry it and every figure uses it, that a broken-off run ends with the same files,
 * and that nothing changes where nothing is fitted. The data are toys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "eval/fit.h"
#include "model/model.h"
#include "train/toy.h"
#include <math.h>

static cxr_error error;
static cxr_train_result fitted;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static cxr_train_opts fitting(cxr_fit fit)
{
    cxr_train_opts o = toy_training("run", "layer4", 3);
    o.augment = (cxr_augment){0};
    o.deterministic = true;
    o.fit = fit;
    return o;
}

/* Receipts name the run folder, so compared runs are made under one name and moved. */
static void move(const char *to)
{
    assert_int_equal(rename(toy_path("run"), toy_path(to)), 0);
}

static cxr_model *opened(const char *name)
{
    cxr_model *m = NULL;
    must(cxr_model_open(&m, toy_path(name), &error));
    return m;
}

static void same_file(const char *a, const char *b)
{
    char x[65], y[65];
    must(cxr_sha256_file(toy_path(a), x, &error));
    must(cxr_sha256_file(toy_path(b), y, &error));
    if (strcmp(x, y) != 0) fail_msg("%s and %s differ", a, b);
}

static cxr_robustness *measured(const cxr_model *m)
{
    cxr_evaluate_opts o;
    cxr_robustness *r = NULL;
    cxr_evaluate_opts_default(&o);
    o.data = toy_path("data");
    o.split = "val";
    o.split_file = toy_path("fitted/split.csv");
    o.run.threads = 1;
    o.run.deterministic = true;
    must(cxr_evaluate_robustness(m, &o, NULL, &r, &error));
    return r;
}

static void a_run_is_fitted(void **state)
{
    (void)state;
    const cxr_train_opts o = fitting(CXR_FIT_PERTURBED);
    must(cxr_train(&o, NULL, &fitted, &error));
    move("fitted");
    assert_true(fitted.temperature >= CXR_FITTED_COLDEST && fitted.temperature <= CXR_FITTED_HOTTEST);
    assert_true(fitted.temperature != 1.0 && fitted.threshold > 0.0 && fitted.threshold < 1.0);
    static const char *const names[] = {"fitted/weights/best.safetensors", "fitted/weights/last.safetensors"};
    for (int i = 0; i < 2; i++) {
        cxr_model *m = opened(names[i]);
        assert_true(m->temperature != 1.0);
        if (i == 0) assert_true(m->temperature == fitted.temperature && m->threshold == fitted.threshold);
        assert_true(m->rule_out >= 0.0 && m->rule_in <= 1.0);
        cxr_model_close(&m);
    }
    assert_int_equal(fitted.best_epoch, o.epochs); /* what was fitted of the best is the last one's */
    same_file(names[0], names[1]);
    assert_true(cxr_path_exists(toy_path("fitted/robustness.csv")) && cxr_path_exists(toy_path("fitted/robustness.json")));
}

/* What training reported is what the file gives to who evaluates it: to float roundings, since a probability was exponentiated
 * before it was tempered there. At the fitted temperature no other has a lower loss. */
static void evaluation_uses_what_was_fitted(void **state)
{
    (void)state;
    cxr_model *m = opened("fitted/weights/best.safetensors");
    cxr_robustness *r = measured(m);
    assert_true(r->pooled->threshold == fitted.threshold);
    assert_true(fabs(r->pooled->value[0] - fitted.perturbed_accuracy) < 2e-3); /* an image beside the threshold, of 672 */
    assert_true(fabs(r->pooled->value[1] - fitted.perturbed_balanced_accuracy) < 2e-3);
    assert_true(fabs(r->pooled->value[7] - fitted.perturbed_auroc) < 1e-5);
    assert_true(fabs(r->pooled->value[9] - fitted.perturbed_loss) < 1e-5);
    const double factors[] = {0.9, 1.1};
    for (int i = 0; i < 2; i++) {
        m->temperature = fitted.temperature * factors[i];
        cxr_robustness *other = measured(m);
        assert_true(other->pooled->value[9] > r->pooled->value[9]);
        cxr_robustness_free(&other);
    }
    cxr_robustness_free(&r);
    cxr_model_close(&m);
}

static void predicted(void *user, const cxr_prediction *p)
{
    float *out = user;
    assert_int_equal(p->status, CXR_OK);
    memcpy(out, p->probabilities, 2 * sizeof *out);
}

/* The odds go to the power of 1 / T. */
static void prediction_uses_the_temperature(void **state)
{
    (void)state;
    cxr_model *m = opened("fitted/weights/best.safetensors");
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    o.threads = 1;
    const char *image = toy_path("data/test/A/1.jpeg");
    float warm[2], plain[2];
    must(cxr_predict(m, &image, 1, &o, NULL, predicted, warm, &error));
    m->temperature = 1.0;
    must(cxr_predict(m, &image, 1, &o, NULL, predicted, plain, &error));
    const double odds = log((double)warm[1] / (double)warm[0]), before = log((double)plain[1] / (double)plain[0]);
    assert_true(fabs(odds * fitted.temperature - before) <= 1e-4 * fmax(1.0, fabs(before)));
    assert_true(warm[0] != plain[0]);
    cxr_model_close(&m);
}

typedef struct breaker {
    int steps;
    bool fitting;
} breaker;

static void count_step(void *user, const cxr_progress *p)
{
    (void)p;
    ((breaker *)user)->steps++;
}

static void hear(void *user, cxr_level level, const char *line)
{
    (void)level;
    if (strstr(line, "fitting temperature") != NULL) ((breaker *)user)->fitting = true;
}

static bool stop_early(void *user)
{
    return ((breaker *)user)->steps >= 8;
}

static bool stop_while_fitting(void *user)
{
    return ((breaker *)user)->fitting;
}

/* As if the run had been killed before the last model's file was written. */
static void undo_last(void)
{
    cxr_model *m = opened("run/weights/last.safetensors");
    m->temperature = 1.0;
    m->threshold = 0.5;
    must(cxr_model_write(m, m->path, NULL, 0, NULL, 0, &error));
    cxr_model_close(&m);
}

/* Stopped while it trained, while it was fitted, and with one file written; and a finished run, which is not fitted again. */
static void resumed_equals_unbroken(void **state)
{
    (void)state;
    bool (*const stops[])(void *) = {stop_early, stop_while_fitting, NULL, NULL};
    for (int i = 0; i < 4; i++) {
        const cxr_train_opts o = fitting(CXR_FIT_PERTURBED);
        breaker b = {0};
        const cxr_hooks hooks = {.log = {hear, &b}, .progress = count_step, .should_stop = stops[i], .user = &b};
        cxr_train_result r;
        const cxr_status st = cxr_train(&o, &hooks, NULL, &error);
        if (st != (i < 2 ? CXR_ESTOPPED : CXR_OK)) fail_msg("stop %d: %s", i, error.text);
        if (i == 2) undo_last();
        breaker again = {0};
        const cxr_hooks listening = {.log = {hear, &again}};
        must(cxr_resume(toy_path("run"), 0, &listening, &r, &error));
        assert_true(again.fitting == (i < 3));
        assert_true(r.temperature == fitted.temperature && r.perturbed_auroc == fitted.perturbed_auroc);
        char name[32];
        (void)snprintf(name, sizeof name, "broken%d", i);
        move(name);
        static const char *const files[] = {"weights/best.safetensors", "weights/last.safetensors", "robustness.csv"};
        for (int k = 0; k < 3; k++) {
            char a[64], c[64];
            (void)snprintf(a, sizeof a, "fitted/%s", files[k]);
            (void)snprintf(c, sizeof c, "%s/%s", name, files[k]);
            same_file(a, c);
        }
    }
}

/* The network is the same with and without; plain validation gives its own numbers and no table. */
static void fitting_changes_no_weight(void **state)
{
    (void)state;
    cxr_model *a = opened("fitted/weights/best.safetensors");
    for (cxr_fit fit = CXR_FIT_NONE; fit <= CXR_FIT_VAL; fit++) {
        const cxr_train_opts o = fitting(fit);
        cxr_train_result r;
        must(cxr_train(&o, NULL, &r, &error));
        assert_false(cxr_path_exists(toy_path("run/robustness.csv")));
        cxr_model *b = opened("run/weights/best.safetensors");
        assert_memory_equal(a->params, b->params, a->graph.float_count * sizeof(float));
        assert_true(r.temperature == b->temperature && r.threshold == b->threshold);
        assert_true((fit == CXR_FIT_NONE) == (b->temperature == 1.0 && b->threshold == 0.5));
        assert_true((fit == CXR_FIT_NONE) == isnan(b->rule_out));
        assert_true(b->temperature != a->temperature && isnan(r.perturbed_auroc) && isnan(r.perturbed_loss));
        cxr_model_close(&b);
        move(fit == CXR_FIT_NONE ? "none" : "val");
    }
    cxr_model_close(&a);
}

static void a_copy_in_8_bits_keeps_them(void **state)
{
    (void)state;
    cxr_model *m = opened("fitted/weights/best.safetensors");
    cxr_quantize_opts o;
    cxr_quantize_opts_default(&o);
    o.data = toy_path("data");
    o.out = toy_path("int8.safetensors");
    o.images = 20;
    o.max_loss = 1.0;
    o.run.threads = 1;
    const cxr_status st = cxr_quantize(m, &o, NULL, NULL, &error);
    cxr_model_close(&m);
    if (st == CXR_EUNAVAILABLE) return;
    must(st);
    m = opened("int8.safetensors");
    assert_true(m->temperature == fitted.temperature && m->threshold == fitted.threshold && !isnan(m->rule_out));
    cxr_model_close(&m);
}

static cxr_calibrate_opts calibrating(cxr_fit fit)
{
    cxr_calibrate_opts o;
    cxr_calibrate_opts_default(&o);
    o.data = toy_path("data");
    o.out = toy_path("calibrated.safetensors");
    o.split_file = toy_path("fitted/split.csv"); /* the runs were moved */
    o.fit = fit;
    o.run.threads = 1;
    o.run.deterministic = true;
    o.run.tta = CXR_TTA_CROPS; /* ignored */
    return o;
}

/* Down to the text in the file. */
static void assert_same_scope(const cxr_scope *a, const cxr_scope *b)
{
    assert_true(a != NULL && b != NULL);
    json_t *one = cxr_scope_json(a), *other = cxr_scope_json(b);
    assert_int_equal(json_equal(one, other), 1);
    json_decref(one);
    json_decref(other);
}

/* A run that was not fitted, calibrated, is the run that was: byte for byte but for what its receipt says. */
static void calibrating_is_what_training_does(void **state)
{
    (void)state;
    static const char *const names[] = {"val", "fitted"};
    for (int i = 0; i < 2; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s/weights/best.safetensors", names[i]);
        cxr_model *want = opened(name), *m = opened("none/weights/best.safetensors"), *got;
        const cxr_calibrate_opts o = calibrating(i == 0 ? CXR_FIT_VAL : CXR_FIT_PERTURBED);
        cxr_calibrate_report r;
        must(cxr_calibrate(m, &o, NULL, &r, &error));
        assert_int_equal(r.n, 32);
        assert_true(r.before.temperature == 1.0 && isnan(r.before.rule_in));
        assert_true(r.after.temperature == want->temperature && r.after.threshold == want->threshold);
        assert_true(r.after.rule_out == want->rule_out && r.after.rule_in == want->rule_in);
        got = opened("calibrated.safetensors");
        assert_true(got->temperature == want->temperature && got->threshold == want->threshold);
        assert_true(got->rule_out == want->rule_out && got->rule_in == want->rule_in);
        assert_memory_equal(got->params, want->params, want->graph.float_count * sizeof(float));
        assert_string_equal(got->receipt, m->receipt);
        assert_same_scope(got->scope, want->scope);
        cxr_model_close(&got);
        cxr_model_close(&m);
        cxr_model_close(&want);
    }
}

/* What was fitted stays where it is asked to, to the bit; what an older model lacks comes in. */
static void calibrating_keeps_what_it_is_told_to(void **state)
{
    (void)state;
    cxr_model *m = opened("fitted/weights/best.safetensors"), *fresh = opened("fitted/weights/best.safetensors"), *got;
    assert_int_equal(m->scope->images, 42);
    assert_int_equal(m->scope->held, 32);
    m->temperature = 0.1 + 0.2;
    m->threshold = 0.7;
    m->rule_out = m->rule_in = (double)NAN;
    cxr_scope_free(&m->scope);
    cxr_calibrate_opts o = calibrating(CXR_FIT_PERTURBED);
    o.keep = true;
    must(cxr_calibrate(m, &o, NULL, NULL, &error));
    got = opened("calibrated.safetensors");
    assert_true(got->temperature == 0.1 + 0.2 && got->threshold == 0.7 && !isnan(got->rule_out) && !isnan(got->rule_in));
    assert_same_scope(got->scope, fresh->scope);
    cxr_model_close(&got);
    cxr_model_close(&fresh);
    cxr_model_close(&m);
}

/* The temperature's loss weighs the classes as the training's did; here a class has a single image of 17. */
static void calibrating_weighs_as_training_did(void **state)
{
    (void)state;
    char row[64];
    FILE *f = fopen(toy_path("few.csv"), "we");
    assert_non_null(f);
    (void)fputs("path,label,split,group\n", f);
    for (int i = 0; i < 21; i++) (void)fprintf(f, "train/A/%d.jpeg,A,train,A%d\ntrain/B/%d.jpeg,B,train,B%d\n", i, i, i, i);
    for (int i = 0; i < 16; i++) {
        (void)snprintf(row, sizeof row, "val/A/%d.jpeg,A,val,a%d\n", i, i);
        (void)fputs(row, f);
    }
    (void)fputs("val/B/0.jpeg,B,val,b\n", f);
    assert_int_equal(fclose(f), 0);
    double temperature[2];
    for (int i = 0; i < 2; i++) {
        cxr_model *m = opened("none/weights/best.safetensors");
        cxr_mem_free(m->receipt);
        m->receipt = cxr_mem_strdup(i == 0 ? "{\"args\":{\"class_weights\":true}}" : "{\"args\":{\"class_weights\":false}}");
        cxr_calibrate_opts o = calibrating(CXR_FIT_PERTURBED);
        cxr_calibrate_report r;
        o.split_file = toy_path("few.csv");
        must(cxr_calibrate(m, &o, NULL, &r, &error));
        assert_int_equal(r.n, 17);
        temperature[i] = r.after.temperature;
        cxr_model_close(&m);
    }
    assert_true(temperature[0] != temperature[1]);
}

/* The validation images of another data set's default split may have trained the model: that is said. */
static void hear_warning(void *user, cxr_level level, const char *line)
{
    if (level == CXR_WARNING && strstr(line, "not trained on") != NULL) ++*(int *)user;
}

static void what_cannot_be_calibrated(void **state)
{
    (void)state;
    cxr_model *m = opened("none/weights/best.safetensors"), *other = opened("val/weights/best.safetensors");
    cxr_calibrate_opts o = calibrating(CXR_FIT_NONE);
    o.out = toy_path("never.safetensors");
    assert_int_equal(cxr_calibrate(m, &o, NULL, NULL, &error), CXR_EUSAGE);
    o.fit = CXR_FIT_VAL;
    o.data = NULL;
    assert_int_equal(cxr_calibrate(m, &o, NULL, NULL, &error), CXR_EUSAGE);
    o = calibrating(CXR_FIT_VAL);
    o.out = toy_path("never.safetensors");
    o.split_file = toy_path("test_only.csv");
    FILE *f = fopen(o.split_file, "we");
    assert_non_null(f);
    (void)fputs("path,label,split,group\ntest/A/0.jpeg,A,test,a\n", f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(cxr_calibrate(m, &o, NULL, NULL, &error), CXR_EDATA); /* of test nothing is taken */
    assert_non_null(strstr(error.text, "no image in split \"val\""));
    int warnings = 0;
    const cxr_hooks hooks = {.log = {hear_warning, &warnings}};
    o.split_file = NULL;
    o.data = toy_path("data/train"); /* class folders only: validation is carved */
    o.out = toy_path("warned.safetensors");
    must(cxr_calibrate(m, &o, &hooks, NULL, &error));
    assert_int_equal(warnings, 1);
    must(cxr_model_join(m, &other, &error));
    o.out = toy_path("never.safetensors");
    assert_int_equal(cxr_calibrate(m, &o, NULL, NULL, &error), CXR_EUSAGE);
    assert_false(cxr_path_exists(toy_path("never.safetensors")));
    cxr_model_close(&m);
}

static int set_up(void **state)
{
    (void)state;
    return !toy_create();
}

static int tear_down(void **state)
{
    (void)state;
    toy_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_fitted),
        cmocka_unit_test(evaluation_uses_what_was_fitted),
        cmocka_unit_test(prediction_uses_the_temperature),
        cmocka_unit_test(resumed_equals_unbroken),
        cmocka_unit_test(fitting_changes_no_weight),
        cmocka_unit_test(a_copy_in_8_bits_keeps_them),
        cmocka_unit_test(calibrating_is_what_training_does),
        cmocka_unit_test(calibrating_keeps_what_it_is_told_to),
        cmocka_unit_test(calibrating_weighs_as_training_did),
        cmocka_unit_test(what_cannot_be_calibrated),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
