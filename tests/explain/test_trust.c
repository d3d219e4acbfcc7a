/* What is measured of a map, on numbers of scipy's and by hand, and each verdict; the cascade makes weights random from the head
 * down. */
#include "base/mem.h"
#include "explain/cascade.h"
#include "explain/trust.h"
#include "graph/params.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

/* scipy.stats.spearmanr; exact but for rounding. */
static void spearman_is_scipys(void **state)
{
    (void)state;
    const float a[] = {3, 1, 4, 1, 5, 9, 2, 6}, b[] = {2, 7, 1, 8, 2, 8, 1, 8}, same[] = {1, 1, 1, 1, 1, 1, 1, 1};
    const float bad[] = {1, 2, NAN, 4, 5, 6, 7, 8};
    assert_float_equal(cxr_spearman(a, b, 8), 0.19885368120992467, 1e-6f);
    assert_float_equal(cxr_spearman(a, a, 8), 1.0, 1e-6f);
    assert_true(isnan(cxr_spearman(a, same, 8)) && isnan(cxr_spearman(same, a, 8)));
    assert_true(isnan(cxr_spearman(a, bad, 8)) && isnan(cxr_spearman(bad, a, 8)));
}

static void maps_are_reduced_by_means_of_what_is_positive(void **state)
{
    (void)state;
    const float map[] = {1, 3, -8, 2, 5, 7, 4, 6, 0, 0, 1, 1}; /* 3 x 4 */
    float out[4];
    cxr_map_reduce(out, 2, map, 3, 4);
    const float want[] = {2, 1, 3, 3}; /* one row above, two below */
    for (int i = 0; i < 4; i++) assert_float_equal(out[i], want[i], 1e-6f);
}

static void shares_on_lungs(void **state)
{
    (void)state;
    const cxr_lungs l = {.found = true, .spine = 0.5, .half = 0.5, .top = 0.0, .base = 1.0}, none = {0};
    float map[16 * 16] = {0};
    double share, area, other;
    map[6 * 16 + 4] = 3.0f; /* the middle of the left one */
    cxr_lung_share(&l, map, 16, 16, &share, &area);
    assert_float_equal(share, 1.0, 1e-6f);
    assert_true(area > 0.4 && area < 0.7);
    map[6 * 16 + 7] = 1.0f; /* beside the spine */
    map[6 * 16 + 8] = -5.0f;
    cxr_lung_share(&l, map, 16, 16, &share, &other);
    assert_float_equal(share, 0.75, 1e-6f);
    assert_float_equal(other, area, 1e-9f);
    cxr_lung_share(&none, map, 16, 16, &share, &area);
    assert_true(isnan(share) && isnan(area));
    memset(map, 0, sizeof map);
    cxr_lung_share(&l, map, 16, 16, &share, &area);
    assert_true(isnan(share) && area > 0.4);
}

static void each_verdict_is_reached(void **state)
{
    (void)state;
    static const float some[1] = {1}, nothing[1] = {0};
    static const struct verdict {
        const float *map;
        double occlusion, randomised, lungs, area;
        int cells;
        cxr_trust trust;
        const char *why;
    } each[] = {
        {some, 0.60, 0.10, 0.5, 0.3, 16, CXR_TRUST_YES, NULL},
        {nothing, 0.60, 0.10, 0.5, 0.3, 16, CXR_TRUST_NO, "empty"},
        {some, 0.60, 0.70, 0.5, 0.3, 16, CXR_TRUST_NO, "hardly changes"},
        {some, 0.00, 0.10, 0.5, 0.3, 16, CXR_TRUST_NO, "does not lower"},
        {some, NAN, 0.10, 0.5, 0.3, 16, CXR_TRUST_DOUBTFUL, "nowhere"},
        {some, 0.42, 0.10, 0.5, 0.3, 16, CXR_TRUST_DOUBTFUL, "than chance may"}, /* 1.645 / sqrt(15) is 0.425 */
        {some, 0.42, 0.10, 0.5, 0.3, 64, CXR_TRUST_YES, NULL},
        {some, NAN, 0.10, 0.5, 0.3, 0, CXR_TRUST_YES, NULL}, /* it is occlusion itself */
        {some, 0.60, NAN, 0.5, 0.3, 16, CXR_TRUST_DOUBTFUL, "no map"},
        {some, 0.60, 0.50, 0.5, 0.3, 16, CXR_TRUST_DOUBTFUL, "stays similar"},
        {some, 0.60, 0.10, NAN, NAN, 16, CXR_TRUST_DOUBTFUL, "no lungs"},
        {some, 0.60, 0.10, 0.2, 0.3, 16, CXR_TRUST_DOUBTFUL, "less of it"},
    };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        cxr_explanation e = {.map = each[i].map,
                             .width = 1,
                             .height = 1,
                             .occlusion = each[i].occlusion,
                             .randomised = each[i].randomised,
                             .lungs = each[i].lungs,
                             .lungs_area = each[i].area};
        cxr_trust_judge(&e, each[i].cells);
        assert_int_equal(e.trust, each[i].trust);
        assert_int_equal(e.why == NULL, each[i].why == NULL);
        if (e.why != NULL) assert_non_null(strstr(e.why, each[i].why));
    }
}

/* Step by step more of the parameters are others; those below are the trained ones, and what the network says changes with it. */
static void cascades_from_the_head_down(void **state)
{
    (void)state;
    enum { SIZE = 32 };
    const cxr_preprocess pre = {.size = SIZE, .std = {1, 1, 1}};
    const cxr_compile_opts o = {.max_batch = 1, .threads = 1};
    uint8_t pixels[SIZE * SIZE];
    float before[2] = {0};
    int kept = 0;
    cxr_graph g = {0};
    cxr_cascade c = {0};
    must(cxr_graph_resnet(&g, "resnet18", &pre, &error));
    must(cxr_graph_head(&g, (const int[]){8}, 1, 0.5f, 2, &error));
    float *params = cxr_params_new(&g);
    cxr_params_init(&g, params, 7, NULL);
    for (int i = 0; i < SIZE * SIZE; i++) pixels[i] = (uint8_t)(i * 37);
    must(cxr_cascade_open(&c, &cxr_backend_cpu, &g, params, "layer4", &o, &error));
    for (int step = -1; step < CXR_CASCADE_STEPS; step++) {
        int same = 0; /* convolutions and matrices: norms begin as they end */
        if (step >= 0) must(cxr_cascade_step(&c, step, &error));
        must(cxr_probe_run(&c.probe, 1, pixels, &error));
        for (int i = 0; i < g.param_count; i++)
            same += g.params[i].role == CXR_WEIGHT &&
                    memcmp(c.params + g.params[i].offset, params + g.params[i].offset, g.params[i].count * sizeof *params) == 0;
        assert_true(step < 0 || (same < kept && memcmp(before, c.probe.logits, sizeof before) != 0));
        memcpy(before, c.probe.logits, sizeof before);
        kept = same;
    }
    assert_int_equal(kept, 0);
    cxr_cascade_close(&c);
    cxr_mem_free(params);
    cxr_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spearman_is_scipys),
        cmocka_unit_test(maps_are_reduced_by_means_of_what_is_positive),
        cmocka_unit_test(shares_on_lungs),
        cmocka_unit_test(each_verdict_is_reached),
        cmocka_unit_test(cascades_from_the_head_down),
    };
    return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
