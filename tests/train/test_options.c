/* args.json: what goes in comes out; what does not belong there is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/file.h"
#include "train/options.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char path[] = "/tmp/cxr-test-args.json";
static cxr_error error;

static cxr_train_opts unusual(void)
{
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    o.data = "/a \"quoted\" place";
    o.out = "out";
    o.allow_missing = "layer4.*";
    o.head_count = 3;
    o.head[0] = 7, o.head[1] = 8, o.head[2] = 9;
    o.lr = 0.1f / 3.0f;
    o.seed = 9007199254740993u; /* not a double */
    o.schedule = CXR_ONECYCLE;
    o.preprocess.rule = CXR_RESIZE_CROP;
    o.class_weights = true;
    o.teachers[0] = "/one", o.teachers[1] = "/two, three";
    o.teacher_count = 2;
    o.freeze = "backbone:1,layer3:2,none";
    o.early_sizes = "96:4";
    return o;
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    const cxr_train_opts o = unusual();
    char *text = cxr_train_opts_json(&o);
    assert_non_null(text);
    assert_int_equal(cxr_file_write(path, text, strlen(text), &error), CXR_OK);
    cxr_saved_opts back;
    if (cxr_train_opts_read(&back, path, &error) != CXR_OK) fail_msg("%s", error.text);
    char *again = cxr_train_opts_json(&back.opts);
    assert_string_equal(text, again);
    assert_true(back.opts.seed == o.seed && back.opts.lr == o.lr && back.opts.head[2] == 9 && back.opts.weights == NULL);
    assert_string_equal(back.opts.data, o.data);
    assert_true(back.opts.teacher_count == 2 && strcmp(back.opts.teachers[1], "/two, three") == 0);
    assert_string_equal(back.opts.freeze, o.freeze);
    assert_string_equal(back.opts.early_sizes, o.early_sizes);
    cxr_saved_opts_free(&back);
    free(text);
    free(again);
}

static void recipes_pass_the_check(void **state)
{
    (void)state;
    static const char *const names[] = {"finetune", "article"};
    for (int i = 0; i < 2; i++) {
        cxr_train_opts o;
        assert_int_equal(cxr_train_opts_recipe(&o, names[i], &error), CXR_OK);
        assert_string_equal(o.recipe, names[i]);
        o.data = o.out = "folder";
        assert_int_equal(cxr_train_opts_check(&o, &error), CXR_OK);
        assert_int_equal(strcmp(o.freeze, "none") == 0, i == 0);
    }
    cxr_train_opts o;
    assert_int_equal(cxr_train_opts_recipe(&o, "mine", &error), CXR_EUSAGE);
}

static void damaged_arguments_are_refused(void **state)
{
    (void)state;
    const cxr_train_opts o = unusual();
    char *text = cxr_train_opts_json(&o);
    static const char *const damage[][2] = {{"\"lr\"", "\"rl\""},
                                            {"onecycle", "twocycle"},
                                            {"\"epochs\": 5", "\"epochs\": 0"},
                                            {"\"epochs\": 5", "\"epochs\": 1e9"},
                                            {"crop\"", "crop"},
                                            {"\"teachers\": [", "\"teachers\": [7,"},
                                            {"\"head\": [", "\"head\": [1.5,"},
                                            {"\"head\": [", "\"head\": [4294967297,"}}; /* 1 in 32 bits */
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        const char *at = strstr(text, damage[i][0]);
        assert_non_null(at);
        char *bad = NULL;
        assert_true(asprintf(&bad, "%.*s%s%s", (int)(at - text), text, damage[i][1], at + strlen(damage[i][0])) > 0);
        assert_int_equal(cxr_file_write(path, bad, strlen(bad), &error), CXR_OK);
        cxr_saved_opts back;
        if (cxr_train_opts_read(&back, path, &error) != CXR_EDATA) fail_msg("%s accepted", damage[i][1]);
        free(bad);
    }
    free(text);
}

/* Arguments that an earlier version wrote lack what it did not know. */
static void an_absent_option_keeps_its_default(void **state)
{
    (void)state;
    static const char few[] = "{\"data\": \"d\", \"out\": \"o\", \"epochs\": 7}";
    cxr_train_opts want;
    cxr_train_opts_default(&want);
    assert_int_equal(cxr_file_write(path, few, strlen(few), &error), CXR_OK);
    cxr_saved_opts back;
    if (cxr_train_opts_read(&back, path, &error) != CXR_OK) fail_msg("%s", error.text);
    assert_int_equal(back.opts.epochs, 7);
    assert_true(back.opts.teacher_count == 0 && back.opts.distil == want.distil);
    assert_true(back.opts.layer_decay == 1.0f && back.opts.lr == want.lr && back.opts.head_count == want.head_count);
    assert_null(back.opts.early_sizes);
    cxr_saved_opts_free(&back);
    static const char newer[] = "{\"data\": \"d\", \"out\": \"o\", \"not_yet\": 7}";
    assert_int_equal(cxr_file_write(path, newer, strlen(newer), &error), CXR_OK);
    assert_int_equal(cxr_train_opts_read(&back, path, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "not_yet"));
}

static void values_out_of_range_are_named(void **state)
{
    (void)state;
    cxr_train_opts o = unusual();
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_OK);
    o.dropout = 1.0f;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
    assert_non_null(strstr(error.text, "dropout"));
    o = unusual();
    o.clip_norm = 0.0f / 0.0f;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
    o = unusual();
    o.optimizer = (cxr_optimizer)17;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
    o = unusual();
    o.head[1] = 0;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
    o = unusual();
    o.swa = 5;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_OK);
    o.swa = 6;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
    assert_non_null(strstr(error.text, "there are not that many to average"));
    o.swa = 2;
    o.ema = 0.5f;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
    assert_non_null(strstr(error.text, "one average or the other"));
    o.ema = 0;
    o.early_stop = 1;
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
    assert_non_null(strstr(error.text, "must be known before"));
    o = unusual();
    o.out = "";
    assert_int_equal(cxr_train_opts_check(&o, &error), CXR_EUSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),        cmocka_unit_test(recipes_pass_the_check),
        cmocka_unit_test(damaged_arguments_are_refused), cmocka_unit_test(an_absent_option_keeps_its_default),
        cmocka_unit_test(values_out_of_range_are_named),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
