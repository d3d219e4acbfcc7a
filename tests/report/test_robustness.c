/* cxr evaluate --robustness as a library call: that the images as they are give what cxr_evaluate() gives, that threads change
 * nothing, and the files. The network is a random one: it need not be right to be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "data/csv.h"
#include "eval/figures.h"
#include "model/model.h"
#include "train/toy.h"
#include <jansson.h>
#include <math.h>

static cxr_error error;
static cxr_model *model;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const classes[] = {"A", "B"};
    const cxr_train_opts o = toy_training("unused", "none", 1);
    return !toy_create() || cxr_model_build(&model, &o, classes, 2, NULL) != CXR_OK;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_model_close(&model);
    toy_remove();
    return 0;
}

static cxr_evaluate_opts options(void)
{
    cxr_evaluate_opts o;
    cxr_evaluate_opts_default(&o);
    o.data = toy_path("data");
    o.split = "val";
    o.run.threads = 1;
    o.run.deterministic = true;
    return o;
}

static cxr_robustness *measured(const cxr_evaluate_opts *o)
{
    cxr_robustness *r = NULL;
    must(cxr_evaluate_robustness(model, o, NULL, &r, &error));
    return r;
}

/* Another batch may run other kernels, whose sums are rounded in another order: figures of ranks and counts stay, losses move by
 * some float roundings. */
static void none_is_the_plain_evaluation(void **state)
{
    (void)state;
    const cxr_evaluate_opts o = options();
    cxr_metrics *plain = NULL;
    must(cxr_evaluate(model, &o, NULL, &plain, &error));
    cxr_robustness *r = measured(&o);
    assert_string_equal(r->names[0], "none");
    assert_int_equal(r->each[0]->n, 32);
    for (int f = 0; f < CXR_METRICS; f++) {
        const double a = plain->value[f], b = r->each[0]->value[f];
        if (!((isnan(a) && isnan(b)) || fabs(a - b) <= 1e-5)) fail_msg("%s: %.9g, plain %.9g", plain->names[f], b, a);
    }
    for (int k = 1; k < r->count; k++) assert_true(r->each[k]->value[CXR_LOSS] != r->each[0]->value[CXR_LOSS]);
    cxr_metrics_free(&plain);
    cxr_robustness_free(&r);
}

static void threads_and_repetition_change_nothing(void **state)
{
    (void)state;
    cxr_evaluate_opts o = options();
    cxr_robustness *one = measured(&o), *again = measured(&o);
    o.run.device = CXR_DEVICE_REFERENCE; /* slow, and its sums do not depend on threads */
    o.split = "test";
    cxr_robustness *ref = measured(&o);
    o.run.threads = 3;
    cxr_robustness *three = measured(&o);
    for (int k = 0; k < one->count; k++) {
        assert_memory_equal(one->each[k]->value, again->each[k]->value, sizeof one->each[k]->value);
        assert_memory_equal(ref->each[k]->value, three->each[k]->value, sizeof ref->each[k]->value);
    }
    cxr_robustness_free(&one);
    cxr_robustness_free(&again);
    cxr_robustness_free(&ref);
    cxr_robustness_free(&three);
}

static void check_end(const cxr_csv *t, size_t row, const char *column, double want)
{
    const int c = cxr_csv_column(t, column);
    assert_true(c >= 0);
    if (isnan(want))
        assert_string_equal(t->rows[row][c], "");
    else
        assert_true(fabs(strtod(t->rows[row][c], NULL) - want) < 1e-8); /* nine digits */
}

static void check_table(const cxr_robustness *r)
{
    cxr_csv t;
    must(cxr_csv_read(&t, toy_path("figures/robustness.csv"), &error));
    assert_int_equal(t.columns, 2 + 3 * CXR_METRICS);
    for (size_t k = 0; k < (size_t)r->count; k++) {
        check_end(&t, k + 1, "accuracy_low", r->each[k]->ci95[CXR_ACCURACY][0]);
        check_end(&t, k + 1, "auroc_high", r->each[k]->ci95[CXR_AUROC][1]);
        assert_true(r->each[k]->ci95[CXR_ACCURACY][0] < r->each[k]->ci95[CXR_ACCURACY][1]);
    }
    check_end(&t, (size_t)r->count + 1, "loss_low", r->mean_ci95[CXR_LOSS][0]);
    check_end(&t, (size_t)r->count + 2, "loss_low", (double)NAN);
    check_end(&t, (size_t)r->count + 3, "loss_high", r->pooled->ci95[CXR_LOSS][1]);
    cxr_csv_free(&t);
}

static void files_hold_the_table(void **state)
{
    (void)state;
    cxr_evaluate_opts o = options();
    o.out = toy_path("figures");
    cxr_robustness *r = measured(&o);
    cxr_buf text;
    must(cxr_buf_read(&text, toy_path("figures/robustness.csv"), 100000, &error));
    int lines = 0;
    for (size_t i = 0; i < text.len; i++) lines += text.data[i] == '\n';
    assert_int_equal(lines, 1 + r->count + 3);
    assert_memory_equal(text.data, "perturbation,images,accuracy,balanced_accuracy,sensitivity,", 59);
    cxr_buf_free(&text);
    check_table(r);
    json_t *o2 = json_load_file(toy_path("figures/robustness.json"), 0, NULL), *ways = json_object_get(o2, "perturbations");
    assert_int_equal(json_object_size(ways), r->count);
    assert_true(json_number_value(json_object_get(json_object_get(o2, "pooled"), "loss")) == r->pooled->value[CXR_LOSS]);
    assert_true(json_number_value(json_object_get(json_object_get(ways, "jpeg 10"), "loss")) == r->each[18]->value[CXR_LOSS]);
    assert_true(json_number_value(json_object_get(json_object_get(o2, "worst"), "loss")) == r->worst[CXR_LOSS]);
    const json_t *ci95 = json_object_get(json_object_get(ways, "none"), "ci95");
    assert_int_equal(json_object_size(ci95), CXR_METRICS);
    assert_true(json_number_value(json_array_get(json_object_get(ci95, "accuracy"), 1)) == r->each[0]->ci95[CXR_ACCURACY][1]);
    assert_true(json_is_null(json_object_get(json_object_get(o2, "worst"), "ci95")));
    json_decref(o2);
    cxr_robustness_free(&r);
    must(cxr_buf_read(&text, toy_path("figures/robustness.png"), 10000000, &error));
    cxr_buf_free(&text);
    must(cxr_buf_read(&text, toy_path("figures/robustness.svg"), 10000000, &error));
    cxr_buf_free(&text);
}

static void unreadable_images_stop_or_are_left_out(void **state)
{
    (void)state;
    cxr_evaluate_opts o = options();
    cxr_robustness *r = NULL;
    must(cxr_file_write(toy_path("data/val/A/3.jpeg"), "no image", 8, &error));
    assert_int_equal(cxr_evaluate_robustness(model, &o, NULL, &r, &error), CXR_EDATA);
    assert_null(r);
    assert_non_null(strstr(error.text, "val/A/3.jpeg"));
    o.skip_unreadable = true;
    r = measured(&o);
    assert_int_equal(r->each[0]->n, 31);
    assert_int_equal(r->pooled->n, 31 * r->count);
    cxr_robustness_free(&r);
    o.data = NULL;
    assert_int_equal(cxr_evaluate_robustness(model, &o, NULL, &r, &error), CXR_EUSAGE);
    assert_null(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_the_plain_evaluation),
        cmocka_unit_test(threads_and_repetition_change_nothing),
        cmocka_unit_test(files_hold_the_table),
        cmocka_unit_test(unreadable_images_stop_or_are_left_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
