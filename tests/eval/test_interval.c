/* Wilson's, DeLong's and Newcombe's intervals against scipy's and numpy's on tests/fixtures/intervals.json
 * (tools/golden/make_intervals.py). */
#include "base/mem.h"
#include "eval/interval.h"
#include "golden_json.h"
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A few roundings of numbers within 0..1; the mean over up to 200 x 200 pairs is summed in another order. */
#define TOLERANCE 1e-12

static bool agrees(double got, const json_t *want)
{
    if (json_is_null(want)) return isnan(got);
    return json_is_number(want) && fabs(got - json_number_value(want)) <= TOLERANCE;
}

static void equal_to_wilson_of_scipy(void **state)
{
    (void)state;
    const json_t *rows = json_object_get(golden, "wilson"), *row;
    size_t i;
    double ci[2];
    assert_true(json_array_size(rows) > 5);
    json_array_foreach(rows, i, row)
    {
        cxr_wilson((uint64_t)json_integer_value(json_array_get(row, 0)), (uint64_t)json_integer_value(json_array_get(row, 1)),
                   ci);
        assert_true(agrees(ci[0], json_array_get(row, 2)) && agrees(ci[1], json_array_get(row, 3)));
    }
    cxr_wilson(0, 17, ci);
    assert_true(ci[0] == 0.0);
    cxr_wilson(17, 17, ci);
    assert_true(ci[1] == 1.0);
    cxr_wilson(0, 0, ci);
    assert_true(isnan(ci[0]) && isnan(ci[1]));
}

/* The scores as the probability of class 1. */
static cxr_status open_scores(cxr_delong *d, const json_t *label, const json_t *score)
{
    cxr_predictions p = {.n = json_array_size(label), .classes = 2};
    p.label = calloc(p.n, sizeof *p.label);
    p.probability = calloc(p.n, 2 * sizeof *p.probability);
    assert_true(p.label != NULL && p.probability != NULL);
    for (size_t i = 0; i < p.n; i++) {
        p.label[i] = (int)json_integer_value(json_array_get(label, i));
        p.probability[2 * i + 1] = (float)json_number_value(json_array_get(score, i));
    }
    const cxr_status st = cxr_delong_open(d, &p, 1, NULL);
    free(p.label);
    free(p.probability);
    return st;
}

static int wrong_case(const json_t *c)
{
    cxr_delong d[2];
    int wrong = 0;
    const json_t *covariance = json_object_get(c, "covariance");
    for (size_t k = 0; k < 2; k++) {
        double ci[2];
        assert_int_equal(open_scores(&d[k], json_object_get(c, "label"), json_array_get(json_object_get(c, "score"), k)),
                         CXR_OK);
        wrong += !agrees(d[k].auroc, json_array_get(json_object_get(c, "auroc"), k));
        wrong += !agrees(cxr_delong_covariance(&d[k], &d[k]), json_array_get(covariance, k));
        cxr_delong_interval(&d[k], ci);
        const json_t *want = json_array_get(json_object_get(c, "ci95"), k);
        wrong += !agrees(ci[0], json_array_get(want, 0)) + !agrees(ci[1], json_array_get(want, 1));
    }
    wrong += !agrees(cxr_delong_covariance(&d[0], &d[1]), json_array_get(covariance, 2));
    for (int k = 0; k < 2; k++) cxr_delong_close(&d[k]);
    if (wrong > 0) print_error("%s: %d differ\n", json_string_value(json_object_get(c, "name")), wrong);
    return wrong;
}

static void equal_to_delong_in_numpy(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(golden, "delong"), *c;
    size_t i;
    int wrong = 0;
    assert_true(json_array_size(cases) >= 10);
    json_array_foreach(cases, i, c) wrong += wrong_case(c);
    assert_int_equal(wrong, 0);
}

/* Stata's manual, [R] roctab: area 0.8932, standard error 0.0307, from 0.83295 to 0.95339, of the ratings of Hanley and McNeil
 * 1982, on the plain scale. Half a unit of the last digit printed. */
static void equal_to_the_published_example(void **state)
{
    (void)state;
    const json_t *c = json_array_get(json_object_get(golden, "delong"), 0);
    cxr_delong d;
    assert_int_equal(open_scores(&d, json_object_get(c, "label"), json_array_get(json_object_get(c, "score"), 0)), CXR_OK);
    assert_int_equal(d.n, 109);
    const double se = sqrt(cxr_delong_covariance(&d, &d));
    assert_true(fabs(d.auroc - 0.8932) <= 0.5e-4);
    assert_true(fabs(se - 0.0307) <= 0.5e-4);
    assert_true(fabs(d.auroc - CXR_Z95 * se - 0.83295) <= 0.5e-5);
    assert_true(fabs(d.auroc + CXR_Z95 * se - 0.95339) <= 0.5e-5);
    cxr_delong_close(&d);
}

static void one_class_only_has_no_interval(void **state)
{
    (void)state;
    double ci[2];
    cxr_delong d;
    const cxr_predictions p = {.n = 2, .classes = 2, .label = (int[]){1, 1}, .probability = (float[]){.1f, .9f, .8f, .2f}};
    for (int positive = 0; positive < 2; positive++) {
        assert_int_equal(cxr_delong_open(&d, &p, positive, NULL), CXR_OK);
        assert_true(isnan(d.auroc) && isnan(cxr_delong_covariance(&d, &d)));
        cxr_delong_interval(&d, ci);
        assert_true(isnan(ci[0]) && isnan(ci[1]));
        cxr_delong_close(&d);
    }
}

/* Complete separation says nothing of certainty: the interval reaches 1 and has a width. */
static void perfect_separation_has_a_width(void **state)
{
    (void)state;
    double few[2], many[2];
    cxr_newcombe(1.0, 3, 3, few);
    cxr_newcombe(1.0, 300, 300, many);
    assert_true(few[1] == 1.0 && many[1] == 1.0);
    assert_true(few[0] > 0.3 && few[0] < 0.8 && many[0] > 0.98 && many[0] < 1.0);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    const cxr_predictions p = {.n = 2, .classes = 2, .label = (int[]){0, 1}, .probability = (float[]){.9f, .1f, .2f, .8f}};
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_delong d;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_delong_open(&d, &p, 1, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_delong_close(&d);
    }
}

int main(void)
{
    if (!open_golden(FIXTURES "/intervals.json")) return GOLDEN_MISSING;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_wilson_of_scipy),       cmocka_unit_test(equal_to_delong_in_numpy),
        cmocka_unit_test(equal_to_the_published_example), cmocka_unit_test(one_class_only_has_no_interval),
        cmocka_unit_test(perfect_separation_has_a_width), cmocka_unit_test(every_allocation_can_fail),
    };
    return close_golden(cmocka_run_group_tests(tests, NULL, NULL));
}
