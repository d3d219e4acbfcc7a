/* The bootstrap of patients against the same draws in numpy with scikit-learn's figures, on tests/fixtures/intervals.json
 * (tools/golden/make_intervals.py), and which interval each figure has. */
#include "base/mem.h"
#include "eval/bootstrap.h"
#include "eval/interval.h"
#include "golden_json.h"
#include "model/model.h"
#include "predictions.h"
#include <math.h>
#include <string.h>

/* Percentiles of figures that are quotients of sums of some 100 doubles, summed in another order. */
#define TOLERANCE 1e-12

/* Strings are lent by the case. */
static const char **load_groups(const json_t *c)
{
    const json_t *names = json_object_get(c, "group");
    const char **groups = calloc(json_array_size(names), sizeof *groups);
    assert_non_null(groups);
    for (size_t i = 0; i < json_array_size(names); i++) groups[i] = json_string_value(json_array_get(names, i));
    return groups;
}

/* (CXR_METRICS, CXR_DRAWS), to be freed. */
static double *resample(const cxr_predictions *p, const char *const *groups, int positive, double threshold, int threads)
{
    cxr_figures t;
    cxr_clusters c;
    double *draws = calloc(CXR_METRICS * CXR_DRAWS, sizeof *draws);
    assert_non_null(draws);
    assert_int_equal(cxr_clusters_open(&c, groups, p->n, NULL), CXR_OK);
    assert_int_equal(cxr_figures_open(&t, p, positive, threshold, NULL), CXR_OK);
    assert_int_equal(cxr_bootstrap(draws, NULL, &t, &c, threads, NULL), CXR_OK);
    cxr_figures_close(&t);
    cxr_clusters_close(&c);
    return draws;
}

static bool agrees(const double ci[2], const json_t *want)
{
    if (json_is_null(want)) return isnan(ci[0]) && isnan(ci[1]);
    return json_array_size(want) == 2 && fabs(ci[0] - json_real_value(json_array_get(want, 0))) <= TOLERANCE &&
           fabs(ci[1] - json_real_value(json_array_get(want, 1))) <= TOLERANCE;
}

static int positive_of(const json_t *c)
{
    return (int)json_integer_value(json_object_get(c, "positive"));
}

static int wrong_case(const json_t *c)
{
    cxr_predictions p = load_predictions(c);
    const char **groups = load_groups(c);
    double *draws = resample(&p, groups, positive_of(c), json_number_value(json_object_get(c, "threshold")), 2);
    int wrong = 0;
    for (int f = 0; f < CXR_METRICS; f++) {
        double ci[2];
        cxr_bootstrap_interval(draws + f * CXR_DRAWS, ci);
        const bool ok = agrees(ci, json_object_get(json_object_get(c, "ci95"), cxr_figure_names[f]));
        if (!ok)
            print_error("%s: %s: %.17g to %.17g differs\n", json_string_value(json_object_get(c, "name")), cxr_figure_names[f],
                        ci[0], ci[1]);
        wrong += !ok;
    }
    free(draws);
    free(groups);
    drop_predictions(&p);
    return wrong;
}

static void equal_to_numpy_on_the_same_draws(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(golden, "bootstrap"), *c;
    size_t i;
    int wrong = 0;
    assert_true(json_array_size(cases) >= 4);
    json_array_foreach(cases, i, c) wrong += wrong_case(c);
    assert_int_equal(wrong, 0);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    const json_t *c = json_array_get(json_object_get(golden, "bootstrap"), 3);
    cxr_predictions p = load_predictions(c);
    const char **groups = load_groups(c);
    double *one = resample(&p, groups, -1, 0.5, 1), *seven = resample(&p, groups, -1, 0.5, 7);
    double *granted = resample(&p, groups, -1, 0.5, 0);
    assert_memory_equal(one, seven, CXR_METRICS * CXR_DRAWS * sizeof *one);
    assert_memory_equal(one, granted, CXR_METRICS * CXR_DRAWS * sizeof *one);
    free(one);
    free(seven);
    free(granted);
    free(groups);
    drop_predictions(&p);
}

static void groups_are_numbered_by_name(void **state)
{
    (void)state;
    cxr_clusters c;
    assert_int_equal(cxr_clusters_open(&c, (const char *[]){"b", "a", "b", "c"}, 4, NULL), CXR_OK);
    assert_int_equal(c.count, 3);
    assert_memory_equal(c.of, ((uint32_t[]){1, 0, 1, 2}), sizeof(uint32_t[4]));
    cxr_clusters_close(&c);
    assert_int_equal(cxr_clusters_open(&c, NULL, 3, NULL), CXR_OK);
    assert_int_equal(c.count, 3);
    assert_memory_equal(c.of, ((uint32_t[]){0, 1, 2}), sizeof(uint32_t[3]));
    cxr_clusters_close(&c);
}

/* All images of each class thrice, as three of one patient or as three patients: the former says less. */
static void a_patient_counts_once(void **state)
{
    (void)state;
    const json_t *c = json_array_get(json_object_get(golden, "bootstrap"), 0);
    cxr_predictions p = load_predictions(c), thrice = p;
    const size_t n = 3 * p.n;
    const char **groups = load_groups(c), **of = calloc(n, sizeof *of);
    double alone[2], together[2], whole[2];
    thrice.n = n;
    thrice.label = calloc(n, sizeof *thrice.label);
    thrice.probability = calloc(n, 2 * sizeof *thrice.probability);
    assert_true(of != NULL && thrice.label != NULL && thrice.probability != NULL);
    for (size_t i = 0; i < n; i++) {
        of[i] = groups[i / 3];
        thrice.label[i] = p.label[i / 3];
        memcpy(thrice.probability + 2 * i, p.probability + 2 * (i / 3), 2 * sizeof *p.probability);
    }
    double *one = resample(&p, groups, 1, 0.5, 2), *clustered = resample(&thrice, of, 1, 0.5, 2),
           *parted = resample(&thrice, NULL, 1, 0.5, 2);
    cxr_bootstrap_interval(one + CXR_LOSS * CXR_DRAWS, alone);
    cxr_bootstrap_interval(clustered + CXR_LOSS * CXR_DRAWS, together);
    cxr_bootstrap_interval(parted + CXR_LOSS * CXR_DRAWS, whole);
    assert_true(fabs(alone[0] - together[0]) <= TOLERANCE && fabs(alone[1] - together[1]) <= TOLERANCE);
    assert_true(whole[1] - whole[0] < 0.75 * (together[1] - together[0])); /* some 1 / sqrt(3) of it */
    free(one);
    free(clustered);
    free(parted);
    free(thrice.label);
    free(thrice.probability);
    free(of);
    free(groups);
    drop_predictions(&p);
}

static void percentiles_of_what_is_defined(void **state)
{
    (void)state;
    double draws[CXR_DRAWS], ci[2];
    for (int i = 0; i < CXR_DRAWS; i++) draws[i] = (double)((i * 7) % CXR_DRAWS); /* a permutation */
    cxr_bootstrap_interval(draws, ci);
    assert_true(fabs(ci[0] - 0.025 * (CXR_DRAWS - 1)) < 1e-9 && fabs(ci[1] - 0.975 * (CXR_DRAWS - 1)) < 1e-9);
    for (int i = 0; i < CXR_DRAWS; i++) draws[i] = i < CXR_DRAWS / 20 ? (double)NAN : (double)i;
    cxr_bootstrap_interval(draws, ci);
    assert_true(ci[0] > CXR_DRAWS / 20.0 && ci[1] < CXR_DRAWS);
    for (int i = 0; i < CXR_DRAWS; i++) draws[i] = i <= CXR_DRAWS / 20 ? (double)NAN : (double)i;
    cxr_bootstrap_interval(draws, ci);
    assert_true(isnan(ci[0]) && isnan(ci[1]));
    for (int i = 0; i < CXR_DRAWS; i++) draws[i] = 1.0;
    cxr_bootstrap_interval(draws, ci);
    assert_true(isnan(ci[0]) && isnan(ci[1]));
    for (int i = 0; i < CXR_DRAWS; i++) draws[i] = (double)NAN;
    cxr_bootstrap_interval(draws, ci);
    assert_true(isnan(ci[0]) && isnan(ci[1]));
}

/* ---- Through the metrics ---- */

static cxr_metrics *measured(const cxr_predictions *p, const char *const *groups, int positive)
{
    cxr_metrics *m;
    assert_int_equal(cxr_metrics_compute(&m, p, positive, 0.5, NULL), CXR_OK);
    for (int f = 0; f < CXR_METRICS; f++) assert_true(isnan(m->ci95[f][0]) && isnan(m->ci95[f][1]));
    assert_int_equal(cxr_metrics_intervals(m, p, groups, 2, NULL), CXR_OK);
    for (int f = 0; f < CXR_METRICS; f++) {
        const double low = m->ci95[f][0], high = m->ci95[f][1];
        assert_true(isnan(low) == isnan(high));
        if (isnan(m->value[f])) assert_true(isnan(low));
        if (!isnan(low)) assert_true(low <= high);
    }
    return m;
}

static bool same(const double a[2], const double b[2])
{
    return a[0] == b[0] && a[1] == b[1];
}

static void each_figure_has_its_interval(void **state)
{
    (void)state;
    const json_t *c = json_array_get(json_object_get(golden, "bootstrap"), 0);
    cxr_predictions p = load_predictions(c);
    const char **groups = load_groups(c);
    cxr_metrics *m = measured(&p, groups, 1);
    double *draws = resample(&p, groups, 1, 0.5, 1), ci[2];
    const uint64_t *k = m->confusion; /* row 0: tn fp; row 1: fn tp */
    const uint64_t shares[][3] = {{CXR_ACCURACY, k[0] + k[3], p.n},
                                  {CXR_SENSITIVITY, k[3], k[2] + k[3]},
                                  {CXR_SPECIFICITY, k[0], k[0] + k[1]},
                                  {CXR_PPV, k[3], k[1] + k[3]},
                                  {CXR_NPV, k[0], k[0] + k[2]}};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        cxr_wilson(shares[i][1], shares[i][2], ci);
        assert_true(same(m->ci95[shares[i][0]], ci));
    }
    cxr_delong d;
    assert_int_equal(cxr_delong_open(&d, &p, 1, NULL), CXR_OK);
    cxr_delong_interval(&d, ci);
    cxr_delong_close(&d);
    assert_true(same(m->ci95[CXR_AUROC], ci));
    static const int resampled[] = {CXR_BALANCED_ACCURACY, CXR_F1, CXR_AUPRC, CXR_LOSS, CXR_MCC, CXR_BRIER, CXR_ECE};
    for (size_t i = 0; i < sizeof resampled / sizeof *resampled; i++) {
        cxr_bootstrap_interval(draws + resampled[i] * CXR_DRAWS, ci);
        assert_true(same(m->ci95[resampled[i]], ci));
        assert_true(ci[0] < m->value[resampled[i]] && m->value[resampled[i]] < ci[1]);
    }
    free(draws);
    cxr_metrics_free(&m);
    free(groups);
    drop_predictions(&p);
}

/* Class k against the rest as two classes of its own: `hard` takes the decision for the score, else the probability of k. */
static cxr_metrics *against_the_rest(const cxr_predictions *p, const char *const *groups, int k, bool hard)
{
    cxr_predictions two = *p;
    two.classes = 2;
    two.label = calloc(p->n, sizeof *two.label);
    two.probability = calloc(p->n, 2 * sizeof *two.probability);
    assert_true(two.label != NULL && two.probability != NULL);
    for (size_t i = 0; i < p->n; i++) {
        const float *q = p->probability + i * (size_t)p->classes;
        two.label[i] = p->label[i] == k;
        two.probability[2 * i + 1] = hard ? (float)(cxr_decide(q, p->classes, -1, 0.5) == k) : q[k];
        two.probability[2 * i] = 1.0f - two.probability[2 * i + 1];
    }
    cxr_metrics *m = measured(&two, groups, 1);
    free(two.label);
    free(two.probability);
    return m;
}

static void each_class_has_the_intervals_of_itself_against_the_rest(void **state)
{
    (void)state;
    const json_t *c = json_array_get(json_object_get(golden, "bootstrap"), 3);
    cxr_predictions p = load_predictions(c);
    const char **groups = load_groups(c);
    cxr_metrics *m = measured(&p, groups, -1);
    for (int k = 0; k < p.classes; k++)
        for (int hard = 0; hard < 2; hard++) {
            cxr_metrics *two = against_the_rest(&p, groups, k, hard == 1);
            for (int f = CXR_SENSITIVITY; f <= CXR_AUPRC; f++) {
                if (hard == (f == CXR_AUROC || f == CXR_AUPRC)) continue;
                assert_true(m->per_class[f][k] == two->value[f] && !isnan(two->ci95[f][0]));
                assert_true(same(m->per_class_ci95[f][k], two->ci95[f]));
            }
            cxr_metrics_free(&two);
        }
    cxr_metrics_free(&m);
    free(groups);
    drop_predictions(&p);
}

static void little_data_has_few_intervals(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"}, *paths[] = {"x", "y"};
    cxr_predictions p = {2, 2, names, paths, (int[]){0, 1}, (float[]){.9f, .1f, .2f, .8f}};
    cxr_metrics *m = measured(&p, NULL, 1); /* two images, both right */
    assert_true(m->ci95[CXR_ACCURACY][0] > 0.3 && m->ci95[CXR_ACCURACY][1] == 1.0);
    assert_true(m->ci95[CXR_AUROC][0] < 0.5 && m->ci95[CXR_AUROC][1] == 1.0);
    assert_true(isnan(m->ci95[CXR_F1][0]) && isnan(m->ci95[CXR_MCC][0]) && isnan(m->ci95[CXR_AUPRC][0]));
    assert_true(m->ci95[CXR_LOSS][0] < m->ci95[CXR_LOSS][1]);
    cxr_metrics_free(&m);
    m = measured(&p, (const char *[]){"one", "one"}, 1); /* of one patient */
    assert_true(isnan(m->ci95[CXR_LOSS][0]) && isnan(m->ci95[CXR_BRIER][0]) && isnan(m->ci95[CXR_ECE][0]));
    cxr_metrics_free(&m);
    p.label = (int[]){1, 1}; /* one class only */
    m = measured(&p, NULL, 1);
    assert_true(isnan(m->ci95[CXR_AUROC][0]) && isnan(m->ci95[CXR_SPECIFICITY][0]) && isnan(m->ci95[CXR_MCC][0]));
    assert_true(m->ci95[CXR_SENSITIVITY][0] > 0.0);
    cxr_metrics_free(&m);
    p.n = 1;
    m = measured(&p, NULL, 1);
    assert_true(isnan(m->ci95[CXR_LOSS][0]) && m->ci95[CXR_ACCURACY][1] < 1.0);
    cxr_metrics_free(&m);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c"}, *paths[] = {"x", "y"};
    const cxr_predictions two = {2, 2, names, paths, (int[]){0, 1}, (float[]){.9f, .1f, .2f, .8f}},
                          three = {2, 3, names, paths, (int[]){0, 1}, (float[]){.7f, .1f, .2f, .2f, .7f, .1f}};
    for (int classes = 2; classes <= 3; classes++) {
        const cxr_predictions *p = classes == 2 ? &two : &three;
        cxr_metrics *m;
        bool fired = true;
        assert_int_equal(cxr_metrics_compute(&m, p, classes == 2 ? 1 : -1, 0.5, NULL), CXR_OK);
        for (long n = 0; fired; n++) {
            cxr_mem_fail_at(n);
            const cxr_status st = cxr_metrics_intervals(m, p, (const char *[]){"u", "v"}, 2, NULL);
            fired = cxr_mem_fail_fired();
            cxr_mem_fail_at(-1);
            assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        }
        cxr_metrics_free(&m);
    }
}

int main(void)
{
    if (!open_golden(FIXTURES "/intervals.json")) return GOLDEN_MISSING;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_numpy_on_the_same_draws),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(groups_are_numbered_by_name),
        cmocka_unit_test(a_patient_counts_once),
        cmocka_unit_test(percentiles_of_what_is_defined),
        cmocka_unit_test(each_figure_has_its_interval),
        cmocka_unit_test(each_class_has_the_intervals_of_itself_against_the_rest),
        cmocka_unit_test(little_data_has_few_intervals),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return close_golden(cmocka_run_group_tests(tests, NULL, NULL));
}
