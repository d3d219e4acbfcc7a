/* Curves against scikit-learn's on tests/fixtures/curves.json (tools/golden/make_curves.py). */
#include "base/mem.h"
#include "eval/curves.h"
#include "golden_json.h"
#include "predictions.h"
#include <jansson.h>
#include <math.h>

/* Quotients of counts: one rounding on each side. */
#define TOLERANCE 1e-15

/* null is infinity in a threshold, and not defined elsewhere. */
static int wrong(const double *got, const json_t *want, double null)
{
    size_t i;
    const json_t *x;
    int bad = 0;
    json_array_foreach(want, i, x)
    {
        if (json_is_null(x))
            bad += !(isnan(null) ? isnan(got[i]) : got[i] == null);
        else
            bad += !(fabs(got[i] - json_number_value(x)) <= TOLERANCE);
    }
    return bad;
}

static void equal_to_scikit_learn(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(golden, "cases"), *c;
    size_t i;
    int bad = 0;
    assert_true(json_array_size(cases) > 40);
    json_array_foreach(cases, i, c)
    {
        cxr_predictions p = load_predictions(c);
        cxr_figures t;
        cxr_curve k;
        assert_int_equal(cxr_figures_open(&t, &p, 1, 0.5, NULL), CXR_OK);
        assert_int_equal(cxr_curve_open(&k, t.ranked, p.n, NULL), CXR_OK);
        assert_int_equal(k.count, json_array_size(json_object_get(c, "threshold")));
        assert_int_equal(k.count, json_array_size(json_object_get(c, "recall")));
        bad += wrong(k.threshold, json_object_get(c, "threshold"), INFINITY);
        bad += wrong(k.fpr, json_object_get(c, "fpr"), (double)NAN);
        bad += wrong(k.tpr, json_object_get(c, "tpr"), (double)NAN);
        bad += wrong(k.precision, json_object_get(c, "precision"), (double)NAN);
        bad += wrong(k.tpr, json_object_get(c, "recall"), (double)NAN);
        cxr_curve_close(&k);
        cxr_figures_close(&t);
        drop_predictions(&p);
    }
    assert_int_equal(bad, 0);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    const cxr_ranked s[] = {{0.9f, 0, true}, {0.4f, 1, false}};
    for (long n = 0; n <= 4; n++) {
        cxr_curve k;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_curve_open(&k, s, 2, NULL);
        assert_int_equal(st, cxr_mem_fail_fired() ? CXR_ENOMEM : CXR_OK);
        assert_int_equal(st == CXR_OK, n == 4);
        cxr_mem_fail_at(-1);
        cxr_curve_close(&k);
    }
}

int main(void)
{
    if (!open_golden(FIXTURES "/curves.json")) return GOLDEN_MISSING;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_scikit_learn),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return close_golden(cmocka_run_group_tests(tests, NULL, NULL));
}
