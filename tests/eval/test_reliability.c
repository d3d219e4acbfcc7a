/* Calibration and decision curves against scikit-learn, scipy and numpy on tests/fixtures/evidence.json
 * (tools/golden/make_evidence.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compare.h"
#include "eval/benefit.h"
#include "eval/reliability.h"
#include "golden_json.h"
#include "predictions.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#define SUMS 1e-12 /* of doubles, in another order */
#define FIT  1e-7  /* scikit-learn's optimiser stops there */
#define Z    1.959963984540054

static double number(const json_t *o, const char *name)
{
    const json_t *x = json_object_get(o, name);
    assert_true(json_is_number(x));
    return json_number_value(x);
}

static void check_bins(const json_t *table, const cxr_reliability *r)
{
    size_t row = 0;
    for (int k = 0; k < CXR_RELIABILITY_BINS; k++) {
        const cxr_reliability_bin *b = &r->bins[k];
        const json_t *want = json_array_get(table, row);
        assert_true(cxr_close(b->low, k / 10.0, SUMS, 0) && cxr_close(b->high, (k + 1) / 10.0, SUMS, 0));
        if (b->count == 0) {
            assert_true(isnan(b->mean) && isnan(b->observed) && isnan(b->ci95[0]));
            continue;
        }
        assert_int_equal(k, json_integer_value(json_array_get(want, 0)));
        assert_int_equal(b->count, json_integer_value(json_array_get(want, 1)));
        assert_true(cxr_close(b->mean, json_number_value(json_array_get(want, 2)), SUMS, 0));
        assert_true(cxr_close(b->observed, json_number_value(json_array_get(want, 3)), SUMS, 0));
        assert_true(b->ci95[0] <= b->observed && b->observed <= b->ci95[1]);
        row++;
    }
    assert_int_equal(row, json_array_size(table));
}

/* want: [value, standard error], or null. */
static void check_fit(const char *name, const json_t *want, double value, const double ci[2])
{
    if (!json_is_array(want)) {
        assert_true(isnan(value) && isnan(ci[0]) && isnan(ci[1]));
        return;
    }
    const double x = json_number_value(json_array_get(want, 0)), error = json_number_value(json_array_get(want, 1));
    if (!cxr_close(value, x, FIT, FIT)) fail_msg("%s %.12g, not %.12g", name, value, x);
    assert_true(cxr_close(ci[0], x - Z * error, FIT, FIT) && cxr_close(ci[1], x + Z * error, FIT, FIT));
}

static void calibration_equals_the_references(void **state)
{
    (void)state;
    json_t *cases = json_object_get(golden, "calibration");
    size_t i;
    json_t *c;
    json_array_foreach(cases, i, c)
    {
        cxr_predictions p = load_predictions(c);
        cxr_reliability r;
        cxr_reliability_measure(&r, &p, 1);
        check_bins(json_object_get(c, "table"), &r);
        assert_true(cxr_close(r.brier, number(c, "brier"), SUMS, 0));
        assert_true(cxr_close(r.reliability, number(c, "reliability"), SUMS, 0));
        assert_true(cxr_close(r.resolution, number(c, "resolution"), SUMS, 0));
        assert_true(cxr_close(r.uncertainty, number(c, "uncertainty"), SUMS, 0));
        assert_true(cxr_close(r.within_bin_variance, number(c, "within_bin_variance"), SUMS, 0));
        assert_true(cxr_close(r.within_bin_covariance, number(c, "within_bin_covariance"), SUMS, 0));
        assert_true(cxr_close(r.reliability - r.resolution + r.uncertainty + r.within_bin_variance - r.within_bin_covariance,
                              r.brier, SUMS, 0));
        check_fit("slope", json_object_get(c, "slope"), r.slope, r.slope_ci95);
        check_fit("intercept", json_object_get(c, "intercept"), r.intercept, r.intercept_ci95);
        drop_predictions(&p);
    }
    assert_true(i >= 9);
}

/* Which class is the positive one mirrors the diagram, and leaves the slope. */
static void the_other_class_mirrors(void **state)
{
    (void)state;
    cxr_predictions p = load_predictions(json_array_get(json_object_get(golden, "calibration"), 1));
    cxr_reliability a, b;
    cxr_reliability_measure(&a, &p, 1);
    cxr_reliability_measure(&b, &p, 0);
    assert_true(cxr_close(a.brier, b.brier, 1e-6, 0)); /* a float's two probabilities do not add up to 1 */
    assert_true(cxr_close(a.slope, b.slope, 0, 1e-5) && cxr_close(a.intercept, -b.intercept, 1e-5, 0));
    assert_int_equal(a.bins[0].count, b.bins[9].count);
    drop_predictions(&p);
}

static void decision_curves_equal_their_definition(void **state)
{
    (void)state;
    json_t *cases = json_object_get(golden, "decision");
    size_t i;
    json_t *c;
    json_array_foreach(cases, i, c)
    {
        cxr_predictions p = load_predictions(c);
        cxr_benefit rows[CXR_BENEFIT_ROWS];
        const json_t *curve = json_object_get(c, "curve");
        assert_int_equal(json_array_size(curve), CXR_BENEFIT_ROWS);
        cxr_benefit_measure(rows, &p, 1);
        for (size_t k = 0; k < CXR_BENEFIT_ROWS; k++) {
            const json_t *want = json_array_get(curve, k);
            assert_true(rows[k].threshold == json_number_value(json_array_get(want, 0)));
            assert_true(cxr_close(rows[k].model, json_number_value(json_array_get(want, 1)), SUMS, 0));
            assert_true(cxr_close(rows[k].all, json_number_value(json_array_get(want, 2)), SUMS, SUMS));
        }
        drop_predictions(&p);
    }
    assert_true(i >= 3);
}

int main(void)
{
    if (!open_golden(FIXTURES "/evidence.json")) return GOLDEN_MISSING;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibration_equals_the_references),
        cmocka_unit_test(the_other_class_mirrors),
        cmocka_unit_test(decision_curves_equal_their_definition),
    };
    return close_golden(cmocka_run_group_tests(tests, NULL, NULL));
}
