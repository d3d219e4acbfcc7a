/* The median stopping rule, and the file that a search is resumed from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tune/trials.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char path[] = "/tmp/cxr-test-trials.json";
static cxr_error error;

static void add(cxr_trials *trials, cxr_trial_state state, const double *losses, int epochs)
{
    cxr_ended t = {.state = state,
                   .reason = state == CXR_TRIAL_FAILED ? cxr_mem_strdup("a \"reason\"") : NULL,
                   .epochs = epochs,
                   .losses = cxr_mem_new((size_t)epochs, sizeof *losses),
                   .objective = state == CXR_TRIAL_FAILED ? NAN : 0.1,
                   .seconds = 1.5,
                   .values = json_pack("{s:f,s:[i,i],s:b}", "lr", 0.0003, "head", 8, 4, "balanced", 1)};
    memcpy(t.losses, losses, (size_t)epochs * sizeof *losses);
    assert_int_equal(cxr_trials_add(trials, &t, &error), CXR_OK);
}

/* By hand. Means of the first two losses: 0.7, 0.5, 0.9; of the first three: 0.6, 0.8. */
static void stops_what_is_worse_than_the_median(void **state)
{
    (void)state;
    cxr_trials t = {0};
    add(&t, CXR_TRIAL_DONE, (double[]){0.8, 0.6, 0.4}, 3);
    add(&t, CXR_TRIAL_STOPPED, (double[]){0.6, 0.4}, 2);
    add(&t, CXR_TRIAL_FAILED, (double[]){0.1, 0.1, 0.1}, 3);
    add(&t, CXR_TRIAL_DONE, (double[]){1.0, 0.8, 0.6}, 3);
    static const struct {
        double losses[3];
        int epochs, least;
        bool stops;
    } want[] = {
        {{0.81}, 1, 1, true},            /* the median of 0.8, 0.6, 1.0 */
        {{0.8}, 1, 1, false},            /* as good as the median */
        {{0.81}, 1, 3, true},            /* the failed one does not count */
        {{0.81}, 1, 4, false},           /* too few */
        {{0.9, 0.71}, 2, 1, true},       /* the mean so far, not the last loss: the median is 0.7 */
        {{0.69, 0.9}, 2, 1, false},      /* its best, not its last */
        {{0.9, 0.9, 0.71}, 3, 1, true},  /* two have three epochs: halfway from 0.6 to 0.8 */
        {{0.9, 0.9, 0.69}, 3, 1, false}, /* likewise */
        {{0.9, 0.9, 0.71}, 3, 3, false}, /* two are too few */
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        if (cxr_median_stops(&t, want[i].losses, want[i].epochs, want[i].least) != want[i].stops) fail_msg("case %zu", i);
    cxr_trials_free(&t);
    assert_false(cxr_median_stops(&t, (double[]){9.0}, 1, 1)); /* the first trial of all */
}

/* tools/golden/make_median.py says what each search looks like, and prints this with numpy's median and mean. */
static void agrees_with_numpy(void **state)
{
    (void)state;
    static const char want[] = "00000000000001000000000000000000000000000000000000110000000000000000001100010100"
                               "00000110000000101000000001000000000110001000010000001000000011000000001000000000"
                               "00000001011000011100000000000000000010000010000000000001000000000000000000000000";
    for (int c = 0; c < 240; c++) {
        cxr_trials trials = {0};
        double losses[6];
        for (int t = 0; t < c % 9; t++) {
            const uint64_t key = cxr_rng_key((uint64_t)c, CXR_FOR_TEST, (uint64_t)c, (uint64_t)t);
            for (int e = 0; e < 6; e++) losses[e] = (double)cxr_rng_uniform(key, (uint64_t)e);
            add(&trials, (c + t) % 5 == 0 ? CXR_TRIAL_FAILED : CXR_TRIAL_DONE, losses, 1 + (c + 3 * t) % 6);
        }
        const uint64_t key = cxr_rng_key((uint64_t)c, CXR_FOR_TEST, (uint64_t)c, 100);
        for (int e = 0; e < 6; e++) losses[e] = (double)cxr_rng_uniform(key, (uint64_t)e);
        if (cxr_median_stops(&trials, losses, 1 + c % 5, 1 + c % 3) != (want[c] == '1')) fail_msg("search %d", c);
        cxr_trials_free(&trials);
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    cxr_trials t = {.data = "0123456789abcdef"}, back;
    add(&t, CXR_TRIAL_DONE, (double[]){1.0 / 3.0, 0.1, 5e-324}, 3);
    add(&t, CXR_TRIAL_FAILED, (double[]){0.0}, 0);
    add(&t, CXR_TRIAL_STOPPED, (double[]){M_PI}, 1);
    assert_int_equal(cxr_trials_write(&t, path, &error), CXR_OK);
    if (cxr_trials_read(&back, path, &error) != CXR_OK) fail_msg("%s", error.text);
    assert_int_equal(back.count, 3);
    assert_string_equal(back.data, t.data);
    for (int i = 0; i < 3; i++) {
        const cxr_ended *a = &t.items[i], *b = &back.items[i];
        assert_true(a->state == b->state && a->epochs == b->epochs && a->seconds == b->seconds);
        assert_true(a->objective == b->objective || (isnan(a->objective) && isnan(b->objective)));
        assert_memory_equal(a->losses, b->losses, (size_t)a->epochs * sizeof *a->losses);
        assert_true(json_equal(a->values, b->values) == 1);
        assert_true((a->reason == NULL) == (b->reason == NULL));
        if (a->reason != NULL) assert_string_equal(a->reason, b->reason);
    }
    cxr_trials_free(&back);
    cxr_trials_free(&t);
}

static void a_damaged_file_is_refused(void **state)
{
    (void)state;
    static const char good[] = "{\"data_sha256\":\"0\",\"trials\":[{\"state\":\"done\",\"reason\":null,\"seconds\":1.0,"
                               "\"losses\":[0.5],\"values\":{},\"objective\":0.5}]}";
    static const char *const damage[][2] = {
        {"\"done\"", "\"gone\""}, {"\"done\"", "\"failed\""},  {"[0.5]", "[\"x\"]"}, {"[0.5]", "0.5"},    {"{}", "[]"},
        {"\"seconds\":1.0,", ""}, {"\"trials\":[", "\"t\":["}, {"}]}", "}]"},        {":0.5}", ":\"x\"}"}};
    cxr_trials t;
    assert_int_equal(cxr_file_write(path, good, strlen(good), &error), CXR_OK);
    if (cxr_trials_read(&t, path, &error) != CXR_OK) fail_msg("%s", error.text);
    cxr_trials_free(&t);
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        const char *at = strstr(good, damage[i][0]);
        assert_non_null(at);
        char *bad = cxr_mem_printf("%.*s%s%s", (int)(at - good), good, damage[i][1], at + strlen(damage[i][0]));
        assert_int_equal(cxr_file_write(path, bad, strlen(bad), &error), CXR_OK);
        if (cxr_trials_read(&t, path, &error) != CXR_EDATA) fail_msg("accepted: %s", bad);
        assert_non_null(strstr(error.text, path));
        assert_true(t.items == NULL && t.count == 0);
        cxr_mem_free(bad);
    }
    assert_int_equal(cxr_trials_read(&t, "/nowhere/tune.json", &error), CXR_ENOINPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_what_is_worse_than_the_median),
        cmocka_unit_test(agrees_with_numpy),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_damaged_file_is_refused),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
