/* Logistic regression and its out-of-fold probabilities against scikit-learn on tests/fixtures/logistic.json
 * (tools/golden/make_logistic.py). */
#include "base/mem.h"
#include "inspect/logistic.h"
#include "inspect/shift.h"
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Both stop where the gradient is 1e-9 of what it was or less; the least curvature is the penalty's. */
#define WEIGHT_TOLERANCE 1e-7
/* Standardised features are rounded to float here. */
#define SCORE_TOLERANCE 1e-6

static json_t *golden;

typedef struct example {
    const json_t *json;
    size_t n, width;
    int folds, *fold;
    float *x;
    bool *second;
    double c;
} example;

static void example_open(example *e, const json_t *c)
{
    *e = (example){.json = c, .n = (size_t)json_integer_value(json_object_get(c, "n"))};
    e->width = (size_t)json_integer_value(json_object_get(c, "width"));
    e->folds = (int)json_integer_value(json_object_get(c, "folds"));
    e->c = json_number_value(json_object_get(c, "c"));
    e->x = calloc(e->n * e->width, sizeof *e->x);
    e->second = calloc(e->n, sizeof *e->second);
    e->fold = calloc(e->n, sizeof *e->fold);
    assert_true(e->x != NULL && e->second != NULL && e->fold != NULL);
    assert_int_equal(json_array_size(json_object_get(c, "x")), e->n * e->width);
    for (size_t i = 0; i < e->n * e->width; i++) e->x[i] = (float)json_number_value(json_array_get(json_object_get(c, "x"), i));
    for (size_t i = 0; i < e->n; i++) {
        e->second[i] = json_integer_value(json_array_get(json_object_get(c, "second"), i)) == 1;
        e->fold[i] = (int)json_integer_value(json_array_get(json_object_get(c, "fold"), i));
    }
}

static void example_close(example *e)
{
    free(e->x);
    free(e->second);
    free(e->fold);
}

static bool close_to(double got, const json_t *want, double tolerance)
{
    return json_is_number(want) && fabs(got - json_number_value(want)) <= tolerance * fmax(1.0, fabs(json_number_value(want)));
}

static void weights_are_those_of_scikit_learn(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(golden, "cases"), *c;
    size_t k;
    assert_int_equal(json_array_size(cases), 4);
    json_array_foreach(cases, k, c)
    {
        example e;
        example_open(&e, c);
        double *w = calloc(e.width + 1, sizeof *w);
        const cxr_points p = {e.n, e.width, e.x, e.second};
        assert_non_null(w);
        assert_int_equal(cxr_logistic_fit(w, &p, e.c, NULL), CXR_OK);
        for (size_t i = 0; i <= e.width; i++)
            if (!close_to(w[i], json_array_get(json_object_get(c, "weights"), i), WEIGHT_TOLERANCE))
                fail_msg("%s: weight %zu is %.9g", json_string_value(json_object_get(c, "name")), i, w[i]);
        free(w);
        example_close(&e);
    }
}

static void scores_are_of_the_other_folds(void **state)
{
    (void)state;
    const json_t *c;
    size_t k;
    json_array_foreach(json_object_get(golden, "cases"), k, c)
    {
        example e;
        example_open(&e, c);
        float *score = calloc(e.n, sizeof *score), *again = calloc(e.n, sizeof *again);
        assert_true(score != NULL && again != NULL);
        assert_int_equal(cxr_out_of_fold(score, e.x, e.second, e.fold, e.n, e.width, e.folds, e.c, 1, NULL), CXR_OK);
        assert_int_equal(cxr_out_of_fold(again, e.x, e.second, e.fold, e.n, e.width, e.folds, e.c, 3, NULL), CXR_OK);
        for (size_t i = 0; i < e.n; i++) {
            if (!close_to((double)score[i], json_array_get(json_object_get(c, "out_of_fold"), i), SCORE_TOLERANCE))
                fail_msg("%s: score %zu is %.9g", json_string_value(json_object_get(c, "name")), i, (double)score[i]);
            assert_true(score[i] == again[i]); /* with any number of threads */
        }
        free(score);
        free(again);
        example_close(&e);
    }
}

static void what_cannot_be_fitted_is_refused(void **state)
{
    (void)state;
    double w[2];
    cxr_error err;
    const float x[2] = {1.0f, 2.0f}, bad[2] = {1.0f, NAN};
    assert_int_equal(cxr_logistic_fit(w, &(cxr_points){2, 1, x, (bool[]){true, true}}, 1.0, &err), CXR_EDATA);
    assert_int_equal(cxr_logistic_fit(w, &(cxr_points){0, 1, x, NULL}, 1.0, &err), CXR_EDATA);
    assert_int_equal(cxr_logistic_fit(w, &(cxr_points){2, 1, bad, (bool[]){true, false}}, 1.0, &err), CXR_EDATA);
    assert_int_equal(cxr_logistic_fit(w, &(cxr_points){2, 1, x, (bool[]){true, false}}, 0.0, &err), CXR_EUSAGE);
    assert_int_equal(cxr_logistic_fit(w, &(cxr_points){2, 1, x, (bool[]){true, false}}, (double)NAN, &err), CXR_EUSAGE);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    const float x[4] = {1.0f, 2.0f, 3.0f, 5.0f};
    const bool second[4] = {false, true, false, true};
    const int fold[4] = {0, 0, 1, 1};
    bool fired = true;
    for (long n = 0; fired; n++) {
        float score[4];
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_out_of_fold(score, x, second, fold, 4, 1, 2, 1.0, 1, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
}

int main(void)
{
    golden = json_load_file(FIXTURES "/logistic.json", 0, NULL);
    if (golden == NULL) return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_scikit_learn),
        cmocka_unit_test(scores_are_of_the_other_folds),
        cmocka_unit_test(what_cannot_be_fitted_is_refused),
        cmocka_unit_test(every_allocation_can_fail),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(golden);
    return failed;
}
