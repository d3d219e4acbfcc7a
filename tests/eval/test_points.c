/* Operating points against scikit-learn's counts and a numeric delta method on tests/fixtures/evidence.json
 * (tools/golden/make_evidence.py), and which points a model has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compare.h"
#include "eval/points.h"
#include "golden_json.h"
#include "predictions.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#define TOLERANCE 1e-8 /* the reference's derivatives are central differences */

/* want: [value, [low, high]], or nulls where it is not defined. */
static void check_value(const json_t *want, double value, const double ci[2])
{
    const json_t *x = json_array_get(want, 0), *ends = json_array_get(want, 1);
    if (json_is_null(x)) {
        assert_true(isnan(value) && isnan(ci[0]) && isnan(ci[1]));
        return;
    }
    assert_true(cxr_close(value, json_number_value(x), 0, 1e-12));
    for (size_t i = 0; i < 2; i++)
        if (!cxr_close(ci[i], json_number_value(json_array_get(ends, i)), TOLERANCE, 0))
            fail_msg("end %zu: %.12g, not %.12g", i, ci[i], json_number_value(json_array_get(ends, i)));
    assert_true(ci[0] <= value && value <= ci[1]);
}

static void figures_equal_the_references(void **state)
{
    (void)state;
    json_t *cases = json_object_get(golden, "points");
    size_t i;
    json_t *c;
    json_array_foreach(cases, i, c)
    {
        cxr_predictions p = load_predictions(c);
        const json_t *counts = json_object_get(c, "counts"), *at = json_object_get(c, "at");
        const double prevalence = json_number_value(json_object_get(c, "prevalence"));
        const cxr_counts got = cxr_count_at(&p, 1, json_number_value(json_object_get(c, "threshold")));
        const uint64_t each[] = {got.tp, got.fn, got.fp, got.tn};
        for (size_t k = 0; k < 4; k++) assert_int_equal(each[k], json_integer_value(json_array_get(counts, k)));
        double value, ci[2];
        cxr_ppv_at(&got, prevalence, &value, ci);
        check_value(json_array_get(at, 0), value, ci);
        cxr_npv_at(&got, prevalence, &value, ci);
        check_value(json_array_get(at, 1), value, ci);
        drop_predictions(&p);
    }
    assert_true(i >= 20);
}

/* At the data's own share of positives, they are the plain predictive values. */
static void the_datas_own_prevalence_changes_nothing(void **state)
{
    (void)state;
    json_t *cases = json_object_get(golden, "points");
    cxr_predictions p = load_predictions(json_array_get(cases, 5));
    cxr_metrics *m;
    size_t positives = 0;
    for (size_t i = 0; i < p.n; i++) positives += p.label[i] == 1;
    assert_int_equal(cxr_metrics_compute(&m, &p, 1, 0.5, NULL), CXR_OK);
    cxr_points_measure(m, &p, 0.25, 0.75, (double)positives / (double)p.n);
    assert_int_equal(m->point_count, 3);
    static const double thresholds[] = {0.5, 0.25, 0.75};
    static const char *const names[] = {"balanced", "rule_out", "rule_in"};
    for (int i = 0; i < 3; i++) {
        const cxr_point *point = &m->points[i];
        cxr_metrics *alone;
        assert_string_equal(point->name, names[i]);
        assert_true(point->threshold == thresholds[i]);
        assert_true(cxr_close(point->value[4], point->value[2], 0, 1e-12) &&
                    cxr_close(point->value[5], point->value[3], 0, 1e-12));
        assert_int_equal(cxr_metrics_compute(&alone, &p, 1, thresholds[i], NULL), CXR_OK);
        assert_int_equal(cxr_metrics_intervals(alone, &p, NULL, 1, NULL), CXR_OK);
        for (int f = 0; f < 4; f++) { /* the figures of an evaluation at that threshold */
            assert_true(point->value[f] == alone->value[2 + f]);
            assert_true(point->ci95[f][0] == alone->ci95[2 + f][0] && point->ci95[f][1] == alone->ci95[2 + f][1]);
        }
        cxr_metrics_free(&alone);
    }
    cxr_metrics_free(&m);
    drop_predictions(&p);
}

static void what_a_model_has(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    const char *path[2] = {"x", "y"};
    int label[2] = {0, 1};
    float p[6] = {0.75f, 0.25f, 0.25f, 0.75f, 0.0f, 0.0f};
    const cxr_predictions all = {2, 2, names, path, label, p}, three = {2, 3, names, path, label, p};
    cxr_metrics *m;
    assert_int_equal(cxr_metrics_compute(&m, &all, 1, 0.5, NULL), CXR_OK);
    assert_int_equal(m->point_count, 0);
    cxr_points_measure(m, &all, (double)NAN, (double)NAN, 0.0);
    assert_int_equal(m->point_count, 1);
    assert_string_equal(m->points[0].name, "threshold");
    assert_true(isnan(m->points[0].value[4]) && isnan(m->points[0].ci95[5][1]));
    cxr_points_measure(m, &all, (double)NAN, 0.75, 0.5);
    assert_int_equal(m->point_count, 2);
    assert_string_equal(m->points[1].name, "rule_in");
    assert_true(m->points[1].value[4] == 1.0); /* reached, with >= */
    cxr_metrics_free(&m);
    assert_int_equal(cxr_metrics_compute(&m, &three, -1, 0.5, NULL), CXR_OK);
    cxr_points_measure(m, &three, 0.5, 0.5, 0.5);
    assert_int_equal(m->point_count, 0);
    cxr_metrics_free(&m);
}

int main(void)
{
    if (!open_golden(FIXTURES "/evidence.json")) return GOLDEN_MISSING;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_equal_the_references),
        cmocka_unit_test(the_datas_own_prevalence_changes_nothing),
        cmocka_unit_test(what_a_model_has),
    };
    return close_golden(cmocka_run_group_tests(tests, NULL, NULL));
}
