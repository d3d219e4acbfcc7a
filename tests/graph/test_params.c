/* Initial parameters: the distributions that torchvision and torch.nn draw from, keyed by seed and name alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "golden.h"
#include "graph/params.h"
#include <string.h>

static cxr_golden *golden;

typedef struct moments {
    double mean, std, low, high;
} moments;

static moments moments_of(const float *x, size_t count)
{
    moments m = {.low = INFINITY, .high = -INFINITY};
    double squares = 0.0;
    for (size_t i = 0; i < count; i++) {
        m.mean += (double)x[i] / (double)count;
        squares += (double)x[i] * (double)x[i] / (double)count;
        m.low = fmin(m.low, (double)x[i]);
        m.high = fmax(m.high, (double)x[i]);
    }
    m.std = sqrt(squares - m.mean * m.mean);
    return m;
}

static void network_open(cxr_graph *g, float **params)
{
    const cxr_preprocess pre = {.size = 64, .mean = {0, 0, 0}, .std = {1, 1, 1}};
    cxr_error err = {0};
    *g = (cxr_graph){0};
    assert_int_equal(cxr_graph_resnet(g, "resnet18", &pre, &err), CXR_OK);
    assert_int_equal(cxr_graph_head(g, (const int[]){256, 128}, 2, 0.5f, 2, &err), CXR_OK);
    *params = cxr_params_new(g);
    assert_non_null(*params);
}

static void network_close(cxr_graph *g, float *params)
{
    cxr_mem_free(params);
    cxr_graph_free(g);
}

/* Of n numbers, mean and deviation lie within 5 standard errors: std / sqrt(n), std / sqrt(2 n). */
static void check_one(const cxr_graph *g, const cxr_param *p, const float *x)
{
    const double n = (double)p->count;
    const moments m = moments_of(x, p->count);
    if (p->role == CXR_BN_WEIGHT || p->role == CXR_BN_VAR) {
        assert_true(m.low == 1.0 && m.high == 1.0);
    } else if (p->role == CXR_BN_BIAS || p->role == CXR_BN_MEAN) {
        assert_true(m.low == 0.0 && m.high == 0.0);
    } else if (g->nodes[p->node].op == CXR_OP_CONV) {
        const double std = sqrt(2.0 / (p->dims[0] * p->dims[2] * p->dims[3]));
        assert_true(cxr_close(m.mean, 0.0, 5.0 * std / sqrt(n), 0.0));
        assert_true(cxr_close(m.std, std, 5.0 * std / sqrt(2.0 * n), 0.0));
        assert_true(m.high > 3.0 * std && m.low < -3.0 * std); /* normal, not uniform */
    } else {
        const double bound = 1.0 / sqrt((double)cxr_shape_count(cxr_graph_in_shape(g, p->node)));
        assert_true(m.low >= -bound && m.high < bound);
        if (n < 100) return;
        assert_true(cxr_close(m.mean, 0.0, 5.0 * bound / sqrt(3.0 * n), 0.0));
        assert_true(cxr_close(m.std, bound / sqrt(3.0), 5.0 * bound / sqrt(6.0 * n), 0.0));
    }
}

static void test_distributions(void **state)
{
    (void)state;
    cxr_graph g;
    float *params;
    network_open(&g, &params);
    cxr_params_init(&g, params, 1, NULL);
    for (int i = 0; i < g.param_count; i++) check_one(&g, &g.params[i], params + g.params[i].offset);
    network_close(&g, params);
}

/* The numbers themselves are part of reproducible runs. */
static void test_numbers_are_the_keyed_generators(void **state)
{
    (void)state;
    cxr_graph g;
    float *params;
    const float *want = cxr_golden_get(golden, 8, "init.conv1.weight");
    const bool which[256] = {true};
    assert_non_null(want);
    network_open(&g, &params);
    cxr_params_init(&g, params, 1, which);
    assert_true(cxr_gap_of(params + g.params[0].offset, want, 8).gap <= 2e-7); /* log and cos of two libraries, then f32 */
    network_close(&g, params);
}

static void test_seed_decides(void **state)
{
    (void)state;
    cxr_graph g;
    float *params;
    bool which[256];
    network_open(&g, &params);
    for (int i = 0; i < g.param_count; i++) which[i] = g.params[i].count < 50000; /* enough, and quick */
    float *again = cxr_params_new(&g), *other = cxr_params_new(&g);
    assert_true(again != NULL && other != NULL);
    cxr_params_init(&g, params, 7, which);
    cxr_params_init(&g, again, 7, which);
    cxr_params_init(&g, other, 8, which);
    assert_memory_equal(params, again, g.float_count * sizeof *params);
    for (int i = 0; i < g.param_count; i++) {
        const cxr_param *p = &g.params[i];
        if (which[i] && (p->role == CXR_WEIGHT || p->role == CXR_BIAS))
            assert_memory_not_equal(params + p->offset, other + p->offset, p->count * sizeof *params);
    }
    cxr_mem_free(again);
    cxr_mem_free(other);
    network_close(&g, params);
}

static void test_only_those_asked(void **state)
{
    (void)state;
    cxr_graph g;
    float *params;
    bool which[256] = {false};
    network_open(&g, &params);
    const int weight = cxr_graph_find_param(&g, "fc.0.weight");
    which[weight] = true;
    cxr_params_init(&g, params, 1, which);
    for (int i = 0; i < g.param_count; i++) {
        const moments m = moments_of(params + g.params[i].offset, g.params[i].count);
        assert_int_equal(m.low == 0.0 && m.high == 0.0, i != weight);
    }
    network_close(&g, params);
}

/* Two layers of one shape appended in either order start with the same values under the same names, and unlike each other. */
static void test_order_does_not_matter(void **state)
{
    (void)state;
    static const char *const names[2] = {"one", "two"};
    float start[2][2][9];
    for (int order = 0; order < 2; order++) {
        cxr_graph g = {0};
        int x = cxr_graph_input(&g, 8, 8);
        for (int i = 0; i < 2; i++) x = cxr_graph_conv(&g, x, names[(order + i) % 2], 1, 3, 1, 1);
        float *params = cxr_params_new(&g);
        assert_non_null(params);
        cxr_params_init(&g, params, 5, NULL);
        for (int i = 0; i < 2; i++)
            memcpy(start[order][i], params + cxr_graph_param(&g, x - 1 + (order + i) % 2, CXR_WEIGHT)->offset,
                   sizeof start[order][i]);
        network_close(&g, params);
    }
    assert_memory_equal(start[0], start[1], sizeof start[0]);
    assert_memory_not_equal(start[0][0], start[0][1], sizeof start[0][0]);
}

int main(void)
{
    golden = cxr_golden_open(FIXTURES "/graph.txt");
    if (golden == NULL) return CXR_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions),         cmocka_unit_test(test_numbers_are_the_keyed_generators),
        cmocka_unit_test(test_seed_decides),          cmocka_unit_test(test_only_those_asked),
        cmocka_unit_test(test_order_does_not_matter),
    };
    const int failed = cmocka_run_group_tests_name("parameters", tests, NULL, NULL);
    cxr_golden_close(&golden);
    return failed != 0;
}
