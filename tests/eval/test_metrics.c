/* Figures against scikit-learn's on tests/fixtures/metrics.json (tools/golden/make_metrics.py), and what has none. */
#include "base/mem.h"
#include "eval/metrics.h"
#include "golden_json.h"
#include "model/model.h"
#include "predictions.h"
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Figures are quotients of sums of at most 48 doubles of the size of the result: a few hundred roundings of 2^-53. The
 * order of the sums differs from scikit-learn's. */
#define TOLERANCE 1e-13

static const char *const class_names[] = {"a", "b", "c", "d", "e"};

/* Undefined (null) must be NaN here, and nothing else may be. */
static bool agrees(double got, const json_t *want)
{
    if (json_is_null(want)) return isnan(got);
    return json_is_number(want) && fabs(got - json_number_value(want)) <= TOLERANCE * fmax(1.0, fabs(got));
}

static int wrong_confusion(const cxr_metrics *m, const json_t *rows)
{
    int wrong = 0;
    for (int i = 0; i < m->classes; i++)
        for (int j = 0; j < m->classes; j++) {
            const json_t *want = json_array_get(json_array_get(rows, (size_t)i), (size_t)j);
            wrong += !json_is_integer(want) || m->confusion[i * m->classes + j] != (uint64_t)json_integer_value(want);
        }
    return wrong;
}

static int wrong_figure(const cxr_metrics *m, int f, const json_t *c)
{
    const char *name = m->names[f];
    int wrong = !agrees(m->value[f], json_object_get(json_object_get(c, "value"), name));
    const json_t *per_class = json_object_get(json_object_get(c, "per_class"), name);
    wrong += (m->per_class[f] == NULL) != (per_class == NULL);
    for (size_t k = 0; m->per_class[f] != NULL && k < (size_t)m->classes; k++)
        wrong += !agrees(m->per_class[f][k], json_array_get(per_class, k));
    if (wrong > 0) print_error("%s: %s differs\n", json_string_value(json_object_get(c, "name")), name);
    return wrong;
}

static void equal_to_scikit_learn(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(golden, "cases"), *c;
    size_t i;
    int wrong = 0;
    assert_true(json_array_size(cases) > 100);
    json_array_foreach(cases, i, c)
    {
        cxr_predictions p = load_predictions(c);
        cxr_metrics *m;
        cxr_error err = {0};
        assert_int_equal(cxr_metrics_compute(&m, &p, (int)json_integer_value(json_object_get(c, "positive")),
                                             json_number_value(json_object_get(c, "threshold")), &err),
                         CXR_OK);
        assert_int_equal(m->n, p.n);
        wrong += wrong_confusion(m, json_object_get(c, "confusion"));
        for (int f = 0; f < CXR_METRICS; f++) wrong += wrong_figure(m, f, c);
        cxr_metrics_free(&m);
        assert_null(m);
        drop_predictions(&p);
    }
    assert_int_equal(wrong, 0);
}

static void names_are_in_the_promised_order(void **state)
{
    (void)state;
    static const char *const want[] = {"accuracy",    "balanced_accuracy",
                                       "sensitivity", "specificity",
                                       "ppv",         "npv",
                                       "f1",          "auroc",
                                       "auprc",       "loss",
                                       "mcc",         "brier",
                                       "ece"};
    cxr_predictions p = {2, 2, class_names, (const char *[]){"x", "y"}, (int[]){0, 1}, (float[]){.9f, .1f, .2f, .8f}};
    cxr_metrics *m;
    assert_int_equal(cxr_metrics_compute(&m, &p, 1, 0.5, NULL), CXR_OK);
    for (int f = 0; f < CXR_METRICS; f++) assert_string_equal(m->names[f], want[f]);
    assert_int_equal(m->positive, 1);
    assert_true(m->threshold == 0.5);
    cxr_metrics_free(&m);
    cxr_metrics_free(&m);
    cxr_metrics_free(NULL);
}

static void refuse(cxr_status want, const cxr_predictions *p, int positive, double threshold, const char *says)
{
    cxr_metrics *m = (cxr_metrics *)&m;
    cxr_error err = {0};
    assert_int_equal(cxr_metrics_compute(&m, p, positive, threshold, &err), want);
    assert_null(m);
    if (strstr(err.text, says) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void what_has_no_figures_is_refused(void **state)
{
    (void)state;
    float probability[] = {.9f, .1f, .2f, .8f};
    int label[] = {0, 1};
    const char *path[] = {"x.jpg", "y.jpg"};
    cxr_predictions p = {2, 2, class_names, path, label, probability};
    static const float bad[] = {NAN, -0.001f, 1.0001f, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        probability[3] = bad[i];
        refuse(CXR_EDATA, &p, 1, 0.5, "y.jpg: probability");
    }
    probability[3] = .8f;
    label[1] = 2;
    refuse(CXR_EDATA, &p, 1, 0.5, "y.jpg: label 2");
    label[1] = -1;
    refuse(CXR_EDATA, &p, 1, 0.5, "y.jpg: label -1");
    label[1] = 1;
    refuse(CXR_EUSAGE, &p, 2, 0.5, "class 2");
    refuse(CXR_EUSAGE, &p, -1, 0.5, "class -1");
    refuse(CXR_EUSAGE, &p, 1, (double)NAN, "threshold");
    p.n = 0;
    refuse(CXR_EDATA, &p, 1, 0.5, "one image");
    p.n = 2;
    p.classes = 1;
    refuse(CXR_EDATA, &p, 0, 0.5, "2 classes");
    p.classes = 3;
    refuse(CXR_EUSAGE, &p, 0, 0.5, "class 0");
}

static void decides_by_threshold_or_the_most_probable(void **state)
{
    (void)state;
    const float half[] = {.5f, .5f}, three[] = {.2f, .4f, .4f};
    assert_int_equal(cxr_decide(half, 2, 1, 0.5), 1);
    assert_int_equal(cxr_decide(half, 2, 0, 0.5), 0);
    assert_int_equal(cxr_decide(half, 2, 1, 0.5000001), 0);
    assert_int_equal(cxr_decide(half, 2, -1, 0.9), 0);
    assert_int_equal(cxr_decide(three, 3, -1, 0.9), 1);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    const cxr_predictions p = {
        2, 3, class_names, (const char *[]){"x", "y"}, (int[]){0, 1}, (float[]){.5f, .25f, .25f, .2f, .5f, .3f}};
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_metrics *m;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_metrics_compute(&m, &p, -1, 0.5, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        assert_true((m == NULL) == fired);
        cxr_metrics_free(&m);
    }
}

int main(void)
{
    if (!open_golden(FIXTURES "/metrics.json")) return GOLDEN_MISSING;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_scikit_learn),          cmocka_unit_test(names_are_in_the_promised_order),
        cmocka_unit_test(what_has_no_figures_is_refused), cmocka_unit_test(decides_by_threshold_or_the_most_probable),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return close_golden(cmocka_run_group_tests(tests, NULL, NULL));
}
