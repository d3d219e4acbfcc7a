/* Two models on the same images against scipy's tests and numpy's paired draws on tests/fixtures/compare.json
 * (tools/golden/make_compare.py). */
#include "base/mem.h"
#include "eval/compare.h"
#include "eval/figures.h"
#include "golden_json.h"
#include "predictions.h"
#include <math.h>
#include <string.h>

/* Figures and percentiles as in test_bootstrap.c; p-values pass through erfc. */
#define TOLERANCE 1e-11

static bool agrees(double got, const json_t *want)
{
    if (json_is_null(want)) return isnan(got);
    return json_is_number(want) && fabs(got - json_number_value(want)) <= TOLERANCE;
}

static void equal_to_mcnemar_of_scipy(void **state)
{
    (void)state;
    const json_t *rows = json_object_get(golden, "mcnemar"), *row;
    size_t i;
    assert_true(json_array_size(rows) >= 9);
    json_array_foreach(rows, i, row)
    {
        const uint64_t a = (uint64_t)json_integer_value(json_array_get(row, 0)),
                       b = (uint64_t)json_integer_value(json_array_get(row, 1));
        assert_true(agrees(cxr_mcnemar(a, b), json_array_get(row, 2)));
        assert_true(agrees(cxr_mcnemar(b, a), json_array_get(row, 2)));
    }
}

typedef struct sides {
    cxr_predictions p[2];
    int *decided[2];
    const char **groups;
} sides;

static sides load(const json_t *c)
{
    sides s = {.groups = NULL};
    const json_t *names = json_object_get(c, "group");
    s.groups = calloc(json_array_size(names), sizeof *s.groups);
    assert_non_null(s.groups);
    for (size_t i = 0; i < json_array_size(names); i++) s.groups[i] = json_string_value(json_array_get(names, i));
    for (size_t k = 0; k < 2; k++) {
        const json_t *side = json_array_get(json_object_get(c, "sides"), k), *decided = json_object_get(side, "decided");
        s.p[k] = load_predictions(side);
        s.decided[k] = calloc(s.p[k].n, sizeof *s.decided[k]);
        assert_non_null(s.decided[k]);
        for (size_t i = 0; i < s.p[k].n; i++) s.decided[k][i] = (int)json_integer_value(json_array_get(decided, i));
    }
    return s;
}

static void drop(sides *s)
{
    for (int k = 0; k < 2; k++) {
        drop_predictions(&s->p[k]);
        free(s->decided[k]);
    }
    free(s->groups);
}

static int wrong_figure(const cxr_comparison *c, const json_t *want, int f)
{
    const char *name = cxr_figure_names[f];
    const json_t *both = json_object_get(want, "sides"), *ci = json_object_get(json_object_get(want, "ci95"), name);
    const json_t *a = json_object_get(json_object_get(json_array_get(both, 0), "value"), name),
                 *b = json_object_get(json_object_get(json_array_get(both, 1), "value"), name);
    int wrong = !agrees(c->a[f], a) + !agrees(c->b[f], b);
    wrong += fabs(c->difference[f] - (json_number_value(b) - json_number_value(a))) > TOLERANCE;
    if (json_is_null(ci))
        wrong += !isnan(c->ci95[f][0]) + !isnan(c->ci95[f][1]);
    else
        wrong += !agrees(c->ci95[f][0], json_array_get(ci, 0)) + !agrees(c->ci95[f][1], json_array_get(ci, 1));
    if (wrong > 0) print_error("%s: %s differs\n", json_string_value(json_object_get(want, "name")), name);
    return wrong;
}

static void equal_to_numpy_on_the_same_draws(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(golden, "cases"), *want;
    size_t i;
    int wrong = 0;
    assert_int_equal(json_array_size(cases), 2);
    json_array_foreach(cases, i, want)
    {
        sides s = load(want);
        cxr_comparison c = {0};
        assert_int_equal(
            cxr_compare_sides(&c, (cxr_side){&s.p[0], s.decided[0]}, (cxr_side){&s.p[1], s.decided[1]}, s.groups, 2, NULL),
            CXR_OK);
        for (int f = 0; f < CXR_METRICS; f++) wrong += wrong_figure(&c, want, f);
        assert_true(agrees(c.auroc_p, json_object_get(want, "auroc_p")));
        assert_true(agrees(c.mcnemar_p, json_object_get(want, "mcnemar_p")));
        assert_int_equal(c.only_a, json_integer_value(json_array_get(json_object_get(want, "only"), 0)));
        assert_int_equal(c.only_b, json_integer_value(json_array_get(json_object_get(want, "only"), 1)));
        assert_int_equal(c.positive, c.classes == 2 ? 1 : -1);
        drop(&s);
    }
    assert_int_equal(wrong, 0);
}

static void a_model_equals_itself(void **state)
{
    (void)state;
    sides s = load(json_array_get(json_object_get(golden, "cases"), 0));
    const cxr_side side = {&s.p[0], s.decided[0]};
    cxr_comparison c = {0};
    assert_int_equal(cxr_compare_sides(&c, side, side, NULL, 1, NULL), CXR_OK);
    for (int f = 0; f < CXR_METRICS; f++) assert_true(c.difference[f] == 0.0 && isnan(c.ci95[f][0]) && isnan(c.ci95[f][1]));
    assert_true(isnan(c.auroc_p) && c.mcnemar_p == 1.0 && c.mcnemar_exact);
    drop(&s);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    sides s = load(json_array_get(json_object_get(golden, "cases"), 0));
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_comparison c = {0};
        cxr_mem_fail_at(n);
        const cxr_status st =
            cxr_compare_sides(&c, (cxr_side){&s.p[0], s.decided[0]}, (cxr_side){&s.p[1], s.decided[1]}, s.groups, 1, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
    drop(&s);
}

int main(void)
{
    if (!open_golden(FIXTURES "/compare.json")) return GOLDEN_MISSING;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_mcnemar_of_scipy),
        cmocka_unit_test(equal_to_numpy_on_the_same_draws),
        cmocka_unit_test(a_model_equals_itself),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return close_golden(cmocka_run_group_tests(tests, NULL, NULL));
}
