/* Figures over perturbed images: each perturbation's own are those of its predictions alone, and what is made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compare.h"
#include "data/perturb.h"
#include "eval/figures.h"
#include "eval/robust.h"
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 30, ALL = IMAGES * CXR_PERTURBATIONS };
static const char *const names[] = {"a", "b", "c"};
static const char *paths[ALL];
static int labels[ALL];
static float probabilities[ALL * 3];

/* Scores that know the label the less, the later the perturbation. */
static cxr_predictions make(int classes)
{
    for (size_t i = 0; i < ALL; i++) {
        const size_t image = i / CXR_PERTURBATIONS, which = i % CXR_PERTURBATIONS;
        float *p = probabilities + i * (size_t)classes, sum = 0.0f;
        paths[i] = "x";
        labels[i] = (int)image % classes;
        for (int k = 0; k < classes; k++) {
            p[k] = 0.05f + cxr_rng_uniform(11, i * 3 + (uint64_t)k) + (k == labels[i] ? 2.0f / (1.0f + (float)which) : 0.0f);
            sum += p[k];
        }
        for (int k = 0; k < classes; k++) p[k] /= sum;
    }
    return (cxr_predictions){
        .n = ALL, .classes = classes, .class_names = names, .path = paths, .label = labels, .probability = probabilities};
}

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* A row's figures are those of cxr_metrics_compute() on predictions picked by hand. */
static void check_row(const cxr_robustness *r, const cxr_predictions *all, int which, int positive, double threshold)
{
    const char *path[IMAGES];
    int label[IMAGES];
    float probability[IMAGES * 3];
    const int classes = all->classes;
    for (int i = 0; i < IMAGES; i++) {
        path[i] = "x";
        label[i] = i % classes;
        for (int k = 0; k < classes; k++)
            probability[i * classes + k] = probabilities[(i * CXR_PERTURBATIONS + which) * classes + k];
    }
    cxr_metrics *m = NULL;
    const cxr_predictions one = {IMAGES, classes, names, path, label, probability};
    assert_int_equal(cxr_metrics_compute(&m, &one, positive, threshold, NULL), CXR_OK);
    assert_int_equal(r->each[which]->n, IMAGES);
    assert_string_equal(r->names[which], cxr_perturbation_name(which));
    for (int f = 0; f < CXR_METRICS; f++) assert_true(same(r->each[which]->value[f], m->value[f]));
    cxr_metrics_free(&m);
}

static void check(int classes, int positive, double threshold)
{
    const cxr_predictions all = make(classes);
    cxr_robustness *r = NULL;
    assert_int_equal(cxr_robustness_compute(&r, &all, positive, threshold, NULL), CXR_OK);
    assert_int_equal(r->count, CXR_PERTURBATIONS);
    assert_int_equal(r->pooled->n, ALL);
    for (int k = 0; k < r->count; k++) check_row(r, &all, k, positive, threshold);
    for (int f = 0; f < CXR_METRICS; f++) {
        const bool loss = cxr_figure_low_is_good(f);
        double sum = 0.0, worst = loss ? -INFINITY : INFINITY;
        for (int k = 0; k < r->count; k++) {
            sum += r->each[k]->value[f];
            worst = loss ? fmax(worst, r->each[k]->value[f]) : fmin(worst, r->each[k]->value[f]);
        }
        assert_true(cxr_close(r->mean[f], sum / r->count, 1e-12, 0.0)); /* another order of additions */
        assert_true(r->worst[f] == worst);
    }
    /* of as many images each, the pooled loss and accuracy are the means */
    assert_true(cxr_close(r->pooled->value[0], r->mean[0], 1e-12, 0.0));
    assert_true(cxr_close(r->pooled->value[CXR_LOSS], r->mean[CXR_LOSS], 1e-12, 0.0));
    assert_true(r->worst[7] < r->each[0]->value[7]);
    cxr_robustness_free(&r);
    assert_null(r);
}

static void test_two_classes(void **state)
{
    (void)state;
    check(2, 1, 0.4);
    check(2, 0, 0.6);
}

static void test_three_classes(void **state)
{
    (void)state;
    check(3, -1, 0.5);
}

/* One class only: no area under any curve, so no mean of it and no worst. */
static void test_undefined(void **state)
{
    (void)state;
    const cxr_predictions all = make(2);
    memset(labels, 0, sizeof labels);
    cxr_robustness *r = NULL;
    assert_int_equal(cxr_robustness_compute(&r, &all, 1, 0.5, NULL), CXR_OK);
    assert_true(isnan(r->mean[7]) && isnan(r->worst[7]) && isnan(r->pooled->value[7]));
    assert_true(isfinite(r->mean[0]) && isfinite(r->worst[0]));
    cxr_robustness_free(&r);
}

static const char *groups[ALL];

/* Two images of each patient. */
static void make_groups(void)
{
    static const char *const patients[IMAGES / 2] = {"0", "1", "2",  "3",  "4",  "5",  "6", "7",
                                                     "8", "9", "10", "11", "12", "13", "14"};
    for (size_t i = 0; i < ALL; i++) groups[i] = patients[i / CXR_PERTURBATIONS / 2];
}

static bool same_ends(const double a[2], const double b[2])
{
    return same(a[0], b[0]) && same(a[1], b[1]);
}

/* Of a way: those of cxr_metrics_intervals() on its predictions, which `which` copies of one way in all have too. */
static void check_intervals(int classes, int positive)
{
    cxr_predictions all = make(classes);
    make_groups();
    for (size_t i = 0; i < ALL; i++) { /* every way gives what the last does, which makes errors */
        const size_t last = i / CXR_PERTURBATIONS * CXR_PERTURBATIONS + CXR_PERTURBATIONS - 1;
        memmove(all.probability + i * (size_t)classes, probabilities + last * (size_t)classes, (size_t)classes * sizeof(float));
    }
    const char *path[IMAGES], *of[IMAGES];
    int label[IMAGES];
    float probability[IMAGES * 3];
    for (int i = 0; i < IMAGES; i++) {
        path[i] = "x";
        of[i] = groups[i * CXR_PERTURBATIONS];
        label[i] = all.label[i * CXR_PERTURBATIONS];
        memcpy(probability + i * classes, all.probability + i * CXR_PERTURBATIONS * classes, (size_t)classes * sizeof(float));
    }
    const cxr_predictions one = {IMAGES, classes, names, path, label, probability};
    cxr_metrics *m = NULL;
    cxr_robustness *r = NULL;
    assert_int_equal(cxr_metrics_compute(&m, &one, positive, 0.5, NULL), CXR_OK);
    assert_int_equal(cxr_metrics_intervals(m, &one, of, 1, NULL), CXR_OK);
    assert_int_equal(cxr_robustness_compute(&r, &all, positive, 0.5, NULL), CXR_OK);
    assert_true(isnan(r->mean_ci95[0][0]) && isnan(r->each[0]->ci95[0][0]));
    assert_int_equal(cxr_robustness_intervals(r, &all, groups, 2, NULL), CXR_OK);
    for (int f = 0; f < CXR_METRICS; f++) {
        const double *mean = r->mean_ci95[f], *pooled = r->pooled->ci95[f];
        for (int k = 0; k < r->count; k++) assert_true(same_ends(r->each[k]->ci95[f], m->ci95[f]));
        /* Ways that say the same are known no better together; sums of 20 equal numbers round. */
        assert_true(mean[0] < mean[1]);
        assert_true(cxr_close(mean[0], pooled[0], 1e-12, 0.0) && cxr_close(mean[1], pooled[1], 1e-12, 0.0));
    }
    cxr_metrics_free(&m);
    cxr_robustness_free(&r);
}

static void test_intervals(void **state)
{
    (void)state;
    check_intervals(2, 1);
    check_intervals(3, -1);
}

static void test_every_allocation_can_fail(void **state)
{
    (void)state;
    cxr_predictions all = make(3);
    bool fired = true;
    make_groups();
    all.n = 2 * (size_t)CXR_PERTURBATIONS;          /* the draws take most of the time */
    for (long n = 0; fired; n += n < 60 ? 1 : 13) { /* later ways allocate what the first does */
        cxr_robustness *r = NULL;
        cxr_mem_fail_at(n);
        cxr_status st = cxr_robustness_compute(&r, &all, -1, 0.5, NULL);
        if (st == CXR_OK) st = cxr_robustness_intervals(r, &all, groups, 1, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        assert_true(fired || r != NULL);
        cxr_robustness_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_classes),
        cmocka_unit_test(test_three_classes),
        cmocka_unit_test(test_undefined),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
