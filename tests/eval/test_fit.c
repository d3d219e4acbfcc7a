/* Temperature and thresholds against PyTorch's L-BFGS and scikit-learn's ROC curves on tests/fixtures/fit.json
 * (tools/golden/make_fit.py), and what is at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "compare.h"
#include "eval/fit.h"
#include "golden_json.h"
#include "model/model.h"
#include "predictions.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* L-BFGS stops where the loss is flat to double's precision, which is 1e-8 or so from its minimum. */
#define TOLERANCE 1e-6

static const char *const names[] = {"a", "b", "c", "d"};

static void check_temperature(const json_t *c, const cxr_predictions *p)
{
    double plain = 0.0, balanced = 0.0;
    assert_int_equal(cxr_fit_temperature(&plain, p, false, NULL), CXR_OK);
    assert_int_equal(cxr_fit_temperature(&balanced, p, true, NULL), CXR_OK);
    const double want = json_number_value(json_object_get(c, "temperature"));
    const double want_balanced = json_number_value(json_object_get(c, "balanced"));
    if (!cxr_close(plain, want, 0.0, TOLERANCE)) fail_msg("temperature %.9g, PyTorch %.9g", plain, want);
    if (!cxr_close(balanced, want_balanced, 0.0, TOLERANCE)) fail_msg("balanced %.9g, PyTorch %.9g", balanced, want_balanced);
}

static double youden(const cxr_predictions *p, double threshold)
{
    double right[2] = {0}, all[2] = {0};
    for (size_t i = 0; i < p->n; i++) {
        all[p->label[i]]++;
        right[p->label[i]] += cxr_decide(p->probability + 2 * i, 2, 1, threshold) == p->label[i];
    }
    return right[1] / all[1] + right[0] / all[0] - 1.0;
}

static void check_threshold(const json_t *c, const cxr_predictions *p)
{
    double got = 0.0;
    const int sets = (int)json_integer_value(json_object_get(c, "sets"));
    assert_int_equal(cxr_fit_threshold(&got, p, 1, sets, NULL), CXR_OK);
    const json_t *want = json_object_get(c, "threshold");
    if (json_is_null(want)) {
        assert_true(got == 0.5);
        return;
    }
    const double low = json_number_value(json_object_get(want, "low")), high = json_number_value(json_object_get(want, "high"));
    if (got != 0.5 * (low + high)) fail_msg("threshold %.9g, scikit-learn's lie in %.9g..%.9g", got, low, high);
    if (sets == 1) /* few roundings */
        assert_true(cxr_close(youden(p, got), json_number_value(json_object_get(want, "youden")), 1e-12, 0.0));
}

/* want: the ends between which all thresholds decide alike, or null. */
static void check_rule(double got, const json_t *want)
{
    if (!json_is_array(want)) {
        assert_true(isnan(got));
        return;
    }
    const double low = json_number_value(json_array_get(want, 0)), high = json_number_value(json_array_get(want, 1));
    if (got != 0.5 * (low + high)) fail_msg("threshold %.9g, scikit-learn's lie in %.9g..%.9g", got, low, high);
}

static void check_rules(const json_t *c, const cxr_predictions *p)
{
    double out = 0.0, in = 0.0;
    const json_t *want = json_object_get(c, "rules");
    assert_int_equal(cxr_fit_rules(&out, &in, p, 1, (int)json_integer_value(json_object_get(c, "sets")), NULL), CXR_OK);
    check_rule(out, json_object_get(want, "rule_out"));
    check_rule(in, json_object_get(want, "rule_in"));
}

static void fits_equal_the_references(void **state)
{
    (void)state;
    json_t *cases = json_object_get(golden, "cases");
    size_t i;
    json_t *c;
    int two = 0, several = 0;
    json_array_foreach(cases, i, c)
    {
        cxr_predictions p = load_predictions(c);
        check_temperature(c, &p);
        if (p.classes == 2) check_threshold(c, &p);
        if (p.classes == 2) check_rules(c, &p);
        two += p.classes == 2;
        several += json_integer_value(json_object_get(c, "sets")) > 1;
        drop_predictions(&p);
    }
    assert_true(i >= 60 && two >= 30 && several >= 12);
}

/* Which class is the positive one mirrors everything. */
static void the_other_class_mirrors(void **state)
{
    (void)state;
    const char *path[4] = {"x", "x", "x", "x"};
    int label[4] = {0, 0, 1, 1};
    float p[8] = {0.9f, 0.1f, 0.75f, 0.25f, 0.5f, 0.5f, 0.125f, 0.875f};
    const cxr_predictions all = {4, 2, names, path, label, p};
    double one, other;
    assert_int_equal(cxr_fit_threshold(&one, &all, 1, 1, NULL), CXR_OK);
    assert_int_equal(cxr_fit_threshold(&other, &all, 0, 1, NULL), CXR_OK);
    assert_true(one == 0.375 && other == 0.625);
    memset(label, 0, sizeof label); /* one class only: nothing to part */
    assert_int_equal(cxr_fit_threshold(&one, &all, 1, 1, NULL), CXR_OK);
    assert_true(one == 0.5);
}

/* 20 of each: one positive may be missed and one negative called, and no more. Ties go one way together. */
static void rules_at_their_edges(void **state)
{
    (void)state;
    const char *path[40];
    int label[40];
    float p[80];
    for (int i = 0; i < 40; i++) {
        const int score = i < 20 ? i : i - 4; /* of 64: negatives 0 to 19, positives 16 to 35 */
        path[i] = "x";
        label[i] = i >= 20;
        p[2 * i + 1] = (float)score / 64.0f;
        p[2 * i] = 1.0f - p[2 * i + 1];
    }
    const cxr_predictions all = {40, 2, names, path, label, p};
    double out, in;
    assert_int_equal(cxr_fit_rules(&out, &in, &all, 1, 1, NULL), CXR_OK);
    assert_true(out == 16.5 / 64.0 && in == 18.5 / 64.0);
    p[2 * 21 + 1] = 16.0f / 64.0f; /* the second lowest positive beside the lowest: both or none */
    assert_int_equal(cxr_fit_rules(&out, &in, &all, 1, 1, NULL), CXR_OK);
    assert_true(out == 15.5 / 64.0 && in == 18.5 / 64.0);
    p[2 * 18 + 1] = p[2 * 19 + 1] = 1.0f; /* no threshold parts these two from 1 */
    assert_int_equal(cxr_fit_rules(&out, &in, &all, 1, 1, NULL), CXR_OK);
    assert_true(isnan(in));
    memset(label, 0, sizeof label);
    assert_int_equal(cxr_fit_rules(&out, &in, &all, 1, 1, NULL), CXR_OK);
    assert_true(isnan(out));
    for (int i = 0; i < 40; i++) p[2 * i + 1] = 0.0f; /* all alike: everything is called, or nothing */
    label[0] = 1;
    assert_int_equal(cxr_fit_rules(&out, &in, &all, 1, 1, NULL), CXR_OK);
    assert_true(out == 0.0 && in == 0.5);
}

static void probabilities_are_a_softmax(void **state)
{
    (void)state;
    float x[6] = {logf(0.7f), logf(0.2f), logf(0.1f), 0.0f, -100.0f, -INFINITY}, same[6];
    memcpy(same, x, sizeof x);
    cxr_probabilities(x, 2, 3, 2.0);
    const double sum = sqrt(0.7) + sqrt(0.2) + sqrt(0.1);
    const double want[6] = {sqrt(0.7) / sum, sqrt(0.2) / sum, sqrt(0.1) / sum, 1.0, exp(-50), 0.0};
    for (int i = 0; i < 6; i++) assert_true(cxr_close((double)x[i], want[i], 0.0, 1e-6)); /* of floats */
    cxr_probabilities(same, 2, 3, 1.0);
    for (int i = 0; i < 3; i++) assert_true(same[i] == expf(logf(i == 0 ? 0.7f : i == 1 ? 0.2f : 0.1f)));
    assert_true(same[3] == 1.0f && same[4] == expf(-100.0f) && same[5] == 0.0f);
}

/* Of predictions it is the same, but for what a probability has lost of its logarithm. */
static void tempering_is_the_same(void **state)
{
    (void)state;
    const char *path[1] = {"x"};
    int label[1] = {0};
    for (double t = 0.25; t <= 8.0; t *= 2.0) {
        float logp[3] = {logf(0.6f), logf(0.3999f), logf(1e-4f)}, p[3];
        for (int k = 0; k < 3; k++) p[k] = expf(logp[k]);
        cxr_predictions one = {1, 3, names, path, label, p};
        cxr_temper(&one, t);
        cxr_probabilities(logp, 1, 3, t);
        for (int k = 0; k < 3; k++) assert_true(cxr_close((double)p[k], (double)logp[k], 0.0, 5e-6)); /* 1 / t ulps of a log */
    }
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    cxr_predictions p = load_predictions(json_array_get(json_object_get(golden, "cases"), 0));
    bool fired = true;
    for (long n = 0; fired; n++) {
        double t, threshold;
        cxr_mem_fail_at(n);
        cxr_status st = cxr_fit_temperature(&t, &p, true, NULL);
        if (st == CXR_OK) st = cxr_fit_threshold(&threshold, &p, 1, 1, NULL);
        if (st == CXR_OK) st = cxr_fit_rules(&t, &threshold, &p, 1, 1, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
    drop_predictions(&p);
}

int main(void)
{
    if (!open_golden(FIXTURES "/fit.json")) return GOLDEN_MISSING;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_equal_the_references), cmocka_unit_test(the_other_class_mirrors),
        cmocka_unit_test(rules_at_their_edges),      cmocka_unit_test(probabilities_are_a_softmax),
        cmocka_unit_test(tempering_is_the_same),     cmocka_unit_test(every_allocation_can_fail),
    };
    return close_golden(cmocka_run_group_tests(tests, NULL, NULL));
}
