/* Several seeds as one: what differs between them and what does not, their table, that a stop anywhere changes nothing, and the
 * model that learns from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "compare.h"
#include "model/model.h"
#include "toy.h"
#include <math.h>

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

/* Two seeds on a folder of classes, whose split is drawn: 4 steps each, and 4 of the model that learns from both. */
static cxr_train_opts two_seeds(const char *out)
{
    cxr_train_opts o = toy_training(out, "layer3", 1);
    o.data = toy_path("data/train");
    o.seed = 5;
    o.seeds = 2;
    o.then_distil = true;
    return o;
}

static cxr_seeds last_table;
static int steps, stop_after;

static void count_step(void *user, const cxr_progress *p)
{
    (void)user;
    (void)p;
    steps++;
}

static bool enough(void *user)
{
    (void)user;
    return stop_after > 0 && steps >= stop_after;
}

static void keep_table(void *user, const cxr_seeds *s)
{
    (void)user;
    last_table = *s;
}

static const cxr_hooks hooks = {.progress = count_step, .should_stop = enough, .seeds = keep_table};

static bool same_files(const char *a, const char *b)
{
    char x[65], y[65];
    must(cxr_sha256_file(toy_path(a), x, &error));
    must(cxr_sha256_file(toy_path(b), y, &error));
    return strcmp(x, y) == 0;
}

static bool same_parameters(const char *a, const char *b)
{
    cxr_model *x = NULL, *y = NULL;
    must(cxr_model_open(&x, toy_path(a), &error));
    must(cxr_model_open(&y, toy_path(b), &error));
    const bool same = memcmp(x->params, y->params, x->graph.float_count * sizeof(float)) == 0;
    cxr_model_close(&x);
    cxr_model_close(&y);
    return same;
}

static void seeds_share_the_split_and_nothing_else(void **state)
{
    (void)state;
    cxr_train_opts o = two_seeds("whole");
    cxr_train_result r;
    must(cxr_train(&o, &hooks, &r, &error));
    assert_int_equal(steps, 12);
    assert_true(same_files("whole/seed-5/split.csv", "whole/seed-6/split.csv"));
    assert_true(same_files("whole/seed-5/split.csv", "whole/distilled/split.csv"));
    assert_false(same_parameters("whole/seed-5/weights/last.safetensors", "whole/seed-6/weights/last.safetensors"));

    cxr_model *m = NULL;
    must(cxr_model_open(&m, toy_path("whole/distilled/weights/best.safetensors"), &error));
    const char *teachers = strstr(m->receipt, "\"teachers\": [");
    assert_true(teachers != NULL && strstr(teachers, "whole/seed-5/weights/best.safetensors") != NULL &&
                strstr(teachers, "whole/seed-6/weights/best.safetensors") != NULL);
    cxr_model_close(&m);

    o = two_seeds("alone");
    o.seeds = 1;
    o.then_distil = false;
    must(cxr_train(&o, NULL, NULL, &error));
    assert_true(same_parameters("whole/seed-5/weights/last.safetensors", "alone/weights/last.safetensors"));
    o.out = toy_path("other");
    o.seed = 6;
    must(cxr_train(&o, NULL, NULL, &error));
    assert_false(same_files("whole/seed-6/split.csv", "other/split.csv"));
    o.out = toy_path("second");
    o.split_seed = 5;
    must(cxr_train(&o, NULL, NULL, &error));
    assert_true(same_parameters("whole/seed-6/weights/last.safetensors", "second/weights/last.safetensors"));
}

static void the_table_has_mean_and_deviation(void **state)
{
    (void)state;
    const cxr_seeds *s = &last_table;
    assert_true(s->count == 2 && s->of == 2 && s->seed[0] == 5 && s->seed[1] == 6);
    assert_true(isnan(s->mean[2])); /* nothing was fitted on perturbed images */
    for (int k = 0; k < 2; k++) {
        const double a = s->value[0][k], b = s->value[1][k];
        assert_true(cxr_close(s->mean[k], 0.5 * (a + b), 1e-15, 1e-12));
        assert_true(cxr_close(s->sd[k], fabs(a - b) / sqrt(2.0), 1e-15, 1e-12)); /* of a sample of two */
    }
    char line[256];
    double loss = 0, accuracy = 0;
    FILE *f = fopen(toy_path("whole/seeds.csv"), "r");
    assert_true(f != NULL && fgets(line, sizeof line, f) != NULL);
    assert_string_equal(
        line, "seed,best_epoch,val_loss,val_accuracy,perturbed_auroc,perturbed_loss,perturbed_accuracy,perturbed_balanced\n");
    for (int i = 0; i < 3; i++) assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(sscanf(line, "mean,,%lf,%lf", &loss, &accuracy), 2);
    assert_true(cxr_close(loss, s->mean[0], 0, 1e-8) && cxr_close(accuracy, s->mean[1], 0, 1e-8)); /* nine digits are written */
    assert_true(fgets(line, sizeof line, f) != NULL && sscanf(line, "sd,,%lf,%lf", &loss, &accuracy) == 2);
    assert_true(cxr_close(loss, s->sd[0], 0, 1e-8) && fgets(line, sizeof line, f) == NULL);
    (void)fclose(f);
}

static int ledger_lines(const char *name)
{
    int lines = 0;
    FILE *f = fopen(toy_path(name), "r");
    for (int c; f != NULL && (c = fgetc(f)) != EOF;) lines += c == '\n';
    if (f != NULL) (void)fclose(f);
    return lines;
}

/* Each member's run counts the reading; one whose run took other images for validation would be asked what it learned from. */
static void seeds_are_evaluated_together(void **state)
{
    (void)state;
    static const char *const second[] = {"whole/seed-6/weights/best.safetensors", "other/weights/best.safetensors"};
    for (int i = 0; i < 2; i++) {
        cxr_model *m = NULL, *joining = NULL;
        cxr_metrics *x = NULL;
        cxr_evaluate_opts o;
        cxr_evaluate_opts_default(&o);
        o.data = toy_path("data/train");
        o.split = "val";
        must(cxr_model_open(&m, toy_path("whole/seed-5/weights/best.safetensors"), &error));
        must(cxr_model_open(&joining, toy_path(second[i]), &error));
        must(cxr_model_join(m, &joining, &error));
        if (i == 0) must(cxr_evaluate(m, &o, NULL, &x, &error));
        if (i == 1) assert_int_equal(cxr_evaluate(m, &o, NULL, &x, &error), CXR_EDATA);
        if (i == 1) assert_non_null(strstr(error.text, "other: its val images"));
        cxr_metrics_free(&x);
        cxr_model_close(&m);
    }
    assert_int_equal(ledger_lines("whole/seed-5/ledger.csv"), 2); /* with its header */
    assert_int_equal(ledger_lines("whole/seed-6/ledger.csv"), 2);
    assert_int_equal(ledger_lines("other/ledger.csv"), 0);
}

/* In the first seed, in the second, and in the model that learns from them. */
static void stopped_and_resumed_equals_unbroken(void **state)
{
    (void)state;
    static const int places[] = {2, 6, 10};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        cxr_train_opts o = two_seeds("stopped");
        steps = 0;
        stop_after = places[i];
        assert_int_equal(cxr_train(&o, &hooks, NULL, &error), CXR_ESTOPPED);
        assert_int_equal(cxr_train(&o, &hooks, NULL, &error), CXR_ECREATE);
        stop_after = 0;
        must(cxr_resume(toy_path("stopped"), 0, &hooks, NULL, &error));
        assert_int_equal(steps, 12);
        assert_true(same_files("whole/seeds.csv", "stopped/seeds.csv"));
        assert_true(same_parameters("whole/seed-6/weights/best.safetensors", "stopped/seed-6/weights/best.safetensors"));
        assert_true(same_parameters("whole/distilled/weights/best.safetensors", "stopped/distilled/weights/best.safetensors"));
        must(cxr_resume(toy_path("stopped"), 0, &hooks, NULL, &error)); /* finished: nothing is left to do */
        assert_int_equal(steps, 12);
        char name[32];
        (void)snprintf(name, sizeof name, "stopped%zu", i);
        assert_int_equal(rename(toy_path("stopped"), toy_path(name)), 0);
    }
}

static void what_is_refused_leaves_nothing(void **state)
{
    (void)state;
    cxr_train_opts o = two_seeds("refused");
    o.freeze = "layer9";
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    o = two_seeds("refused");
    o.seed = 0;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    o = two_seeds("refused");
    o.seeds = 17; /* more than there may be teachers */
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    o = two_seeds("refused");
    o.device = CXR_DEVICE_CUDA; /* the first run finds that out */
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUNAVAILABLE);
    o = two_seeds("refused");
    o.weights = toy_path("nowhere.pth");
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_ENOINPUT);
    assert_false(cxr_path_exists(toy_path("refused")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_share_the_split_and_nothing_else), cmocka_unit_test(the_table_has_mean_and_deviation),
        cmocka_unit_test(seeds_are_evaluated_together),           cmocka_unit_test(stopped_and_resumed_equals_unbroken),
        cmocka_unit_test(what_is_refused_leaves_nothing),
    };
    if (!toy_create()) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_remove();
    return failed;
}
