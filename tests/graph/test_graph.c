/* The graph against torchvision (fixtures/graph.txt): parameter names and shapes, output shapes, costs; and the passes: cuts,
 * fusion groups, folded batch norms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/ref_ops.h"
#include "base/mem.h"
#include "golden.h"
#include "graph/graph.h"
#include "graph/params.h"
#include <stdio.h>
#include <string.h>

static cxr_golden *golden;
static const char *const archs[] = {"resnet18", "resnet34"};
static const int sizes[] = {97, 128, 224};

static void network_open(cxr_graph *g, const char *arch, int size, bool head)
{
    const cxr_preprocess pre = {.size = size, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    cxr_error err = {0};
    *g = (cxr_graph){0};
    cxr_status st = cxr_graph_resnet(g, arch, &pre, &err);
    if (st == CXR_OK && head) st = cxr_graph_head(g, (const int[]){256, 128}, 2, 0.5f, 2, &err);
    if (st != CXR_OK) fail_msg("%s", err.text);
}

static double golden_number(const char *arch, const char *name)
{
    const float *value = cxr_golden_get(golden, 1, "%s.%s", arch, name);
    if (value == NULL) fail_msg("%s.%s is not in the fixture", arch, name);
    return (double)value[0];
}

static int node_named(const cxr_graph *g, const char *name)
{
    for (int i = 0; i < g->node_count; i++)
        if (strcmp(g->nodes[i].name, name) == 0) return i;
    fail_msg("no node is named %s", name);
    return -1;
}

static void test_parameters_are_torchvisions(void **state)
{
    (void)state;
    for (int a = 0; a < 2; a++) {
        cxr_graph g;
        network_open(&g, archs[a], 224, true);
        assert_int_equal(g.param_count, (int)golden_number(archs[a], "params"));
        for (int i = 0; i < g.param_count; i++) {
            const cxr_param *p = &g.params[i];
            const float *dims = cxr_golden_get(golden, (size_t)p->rank, "%s.param.%s", archs[a], p->name);
            if (dims == NULL) fail_msg("%s of rank %d is not torchvision's", p->name, p->rank);
            size_t count = 1;
            for (int k = 0; k < p->rank; k++) {
                assert_int_equal(p->dims[k], (int)dims[k]);
                count *= (size_t)p->dims[k];
            }
            assert_int_equal(p->count, count);
            assert_int_equal(p->offset % 16, 0);
            assert_int_equal(cxr_graph_find_param(&g, p->name), i);
            if (i > 0) assert_true(p->offset >= p[-1].offset + p[-1].count);
        }
        assert_int_equal(cxr_graph_find_param(&g, "conv1.bias"), -1);
        cxr_graph_free(&g);
    }
}

static void test_backbone_size(void **state)
{
    (void)state;
    for (int a = 0; a < 2; a++) {
        cxr_graph g;
        size_t learnable = 0;
        network_open(&g, archs[a], 224, false);
        for (int i = 0; i < g.param_count; i++)
            if (cxr_param_learnable(&g.params[i])) learnable += g.params[i].count;
        assert_int_equal(learnable, a == 0 ? 11176512 : 21284672); /* all of torchvision's but fc */
        assert_true((float)learnable == (float)golden_number(archs[a], "learnable"));
        cxr_graph_free(&g);
    }
}

static void test_shapes_are_torchvisions(void **state)
{
    (void)state;
    for (int c = 0; c < 6; c++) {
        cxr_graph g;
        char prefix[32];
        int known = 0;
        network_open(&g, archs[c / 3], sizes[c % 3], true);
        (void)snprintf(prefix, sizeof prefix, "%s.%d", archs[c / 3], sizes[c % 3]);
        for (int i = 0; i < g.node_count; i++) {
            const cxr_shape s = g.nodes[i].shape;
            const float *want = cxr_golden_get(golden, 3, "%s.shape.%s", prefix, g.nodes[i].name);
            if (want == NULL) continue;
            if (s.c != (int)want[0] || s.h != (int)want[1] || s.w != (int)want[2])
                fail_msg("%s is (%d, %d, %d), torchvision's (%g, %g, %g)", g.nodes[i].name, s.c, s.h, s.w, (double)want[0],
                         (double)want[1], (double)want[2]);
            known++;
        }
        assert_int_equal(known, (int)golden_number(prefix, "shapes"));
        cxr_graph_free(&g);
    }
}

static void test_cost_is_pytorchs(void **state)
{
    (void)state;
    for (int c = 0; c < 6; c++) {
        cxr_graph g;
        char prefix[32];
        double flop = 0.0;
        network_open(&g, archs[c / 3], sizes[c % 3], false);
        (void)snprintf(prefix, sizeof prefix, "%s.%d", archs[c / 3], sizes[c % 3]);
        for (int i = 0; i < g.node_count; i++) flop += cxr_graph_flop(&g, i);
        assert_true(cxr_close(flop / 1e9, golden_number(prefix, "gflop"), 0.0, 1e-6)); /* the fixture is read as f32 */
        cxr_graph_free(&g);
    }
}

/* ---- Passes ---- */

static void test_cuts(void **state)
{
    (void)state;
    static const char *const cuts[][2] = {{"none", "normalize"},  {"layer1", "layer1.2"}, {"layer2", "layer2.3"},
                                          {"layer3", "layer3.5"}, {"layer4", "layer4.2"}, {"backbone", "avgpool"}};
    cxr_graph g;
    cxr_error err = {0};
    int last = 0;
    network_open(&g, "resnet34", 64, true);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        assert_int_equal(cxr_graph_cut(&g, cuts[i][0], &last, &err), CXR_OK);
        assert_int_equal(last, node_named(&g, cuts[i][1]));
        for (int k = last + 1; k < g.node_count; k++) /* nothing right of the cut reads past it */
            assert_true(g.nodes[k].in[0] >= last && (g.nodes[k].in[1] < 0 || g.nodes[k].in[1] >= last));
    }
    assert_int_equal(cxr_graph_cut(&g, "layer", &last, &err), CXR_EUSAGE);
    assert_int_equal(cxr_graph_cut(&g, "conv1", &last, &err), CXR_EUSAGE);
    assert_non_null(strstr(err.text, "\"conv1\""));
    cxr_graph_free(&g);
}

/* Every node of the span is in exactly one group, in order, and an add's other operand was made by an earlier group. */
static void check_groups(const cxr_graph *g, const cxr_fused *groups, int count, int first, int last)
{
    int next = first;
    for (int i = 0; i < count; i++) {
        const cxr_fused *f = &groups[i];
        const int nodes = 1 + (f->batchnorm >= 0) + (f->add_input >= 0) + f->relu;
        assert_int_equal(f->node, next);
        assert_int_equal(f->output, next + nodes - 1);
        assert_true(f->add_input < f->node);
        for (int k = f->node; k < f->output; k++) assert_int_equal(cxr_graph_uses(g, k, first, last), 1);
        next = f->output + 1;
    }
    assert_int_equal(next, last + 1);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void test_every_convolution_fuses(void **state)
{
    (void)state;
    cxr_graph g;
    cxr_fused groups[128];
    int convolutions = 0;
    network_open(&g, "resnet18", 64, true);
    const int last = g.node_count - 1, count = cxr_graph_fuse(&g, 1, last, groups);
    check_groups(&g, groups, count, 1, last);
    for (int i = 0; i < count; i++) {
        const cxr_fused *f = &groups[i];
        const char *name = g.nodes[f->node].name;
        if (g.nodes[f->node].op != CXR_OP_CONV) {
            assert_true(f->output == f->node && f->batchnorm < 0 && f->add_input < 0 && !f->relu);
            continue;
        }
        convolutions++;
        assert_int_equal(f->batchnorm, f->node + 1);
        assert_int_equal(f->add_input >= 0, ends_with(name, ".conv2"));
        assert_int_equal(f->relu, !ends_with(name, ".downsample.0"));
    }
    assert_int_equal(convolutions, 20);
    assert_int_equal(groups[0].node, 1);
    cxr_graph_free(&g);
}

static void test_grey_joins_the_first_convolution(void **state)
{
    (void)state;
    cxr_graph g;
    cxr_fused groups[128];
    network_open(&g, "resnet18", 64, true);
    const int last = g.node_count - 1, before = cxr_graph_fuse(&g, 1, last, groups);
    const int count = cxr_graph_fuse_grey(&g, 1, last, groups, before), pool = node_named(&g, "maxpool");
    assert_int_equal(count, before - 1);
    assert_true(groups[0].node == node_named(&g, "conv1") && groups[0].normalize == 1 && !groups[0].relu);
    assert_true(groups[1].node == pool && groups[1].relu && groups[1].normalize == -1);
    assert_int_equal(groups[0].output, pool - 1);
    for (int i = 2; i < count; i++) assert_int_equal(groups[i].normalize, -1);
    const int rest = cxr_graph_fuse(&g, 2, last, groups);
    assert_int_equal(cxr_graph_fuse_grey(&g, 2, last, groups, rest), rest);
    assert_int_equal(cxr_graph_fuse_grey(&g, 1, 1, groups, cxr_graph_fuse(&g, 1, 1, groups)), 1);
    cxr_graph_free(&g);
}

static void test_add_reads_the_shortcut(void **state)
{
    (void)state;
    cxr_graph g;
    cxr_fused groups[128];
    network_open(&g, "resnet18", 64, false);
    const int count = cxr_graph_fuse(&g, 1, g.node_count - 1, groups);
    for (int i = 0; i < count; i++) {
        const char *name = g.nodes[groups[i].node].name;
        if (strcmp(name, "layer1.1.conv2") == 0) assert_int_equal(groups[i].add_input, node_named(&g, "layer1.0"));
        if (strcmp(name, "layer2.0.conv2") == 0) assert_int_equal(groups[i].add_input, node_named(&g, "layer2.0.downsample.1"));
    }
    cxr_graph_free(&g);
}

/* The groups of a part: what a cut leaves on either side. */
static void test_groups_of_parts(void **state)
{
    (void)state;
    cxr_graph g;
    cxr_fused groups[128];
    network_open(&g, "resnet18", 64, true);
    for (int cut = 1; cut < g.node_count - 1; cut++) {
        check_groups(&g, groups, cxr_graph_fuse(&g, 1, cut, groups), 1, cut);
        check_groups(&g, groups, cxr_graph_fuse(&g, cut + 1, g.node_count - 1, groups), cut + 1, g.node_count - 1);
    }
    cxr_graph_free(&g);
}

/* conv -> bn, both read again later: neither may disappear into a group. */
static void test_shared_values_stay(void **state)
{
    (void)state;
    cxr_graph g = {0};
    cxr_fused groups[8];
    const int conv = cxr_graph_conv(&g, cxr_graph_input(&g, 8, 8), "conv", 1, 3, 1, 1);
    const int bn = cxr_graph_batchnorm(&g, conv, "bn");
    const int relu = cxr_graph_relu(&g, bn, "relu");
    const int add = cxr_graph_add(&g, relu, bn);
    (void)cxr_graph_add(&g, add, conv);
    assert_int_equal(g.status, CXR_OK);
    assert_int_equal(cxr_graph_fuse(&g, 1, 5, groups), 5);
    for (int i = 0; i < 5; i++) assert_true(groups[i].node == i + 1 && groups[i].output == i + 1);
    cxr_graph_free(&g);
}

/* conv + bn by the reference operators against the folded convolution. Folding rounds each weight once: 6e-8 times the root of 27
 * products, and the bias once. */
static void test_fold(void **state)
{
    (void)state;
    cxr_graph g = {0};
    const int conv = cxr_graph_conv(
        &g, cxr_graph_normalize(&g, cxr_graph_input(&g, 9, 9), (const float[]){0, 0, 0}, (const float[]){1, 1, 1}), "conv", 4,
        3, 1, 1);
    const int bn = cxr_graph_batchnorm(&g, conv, "bn");
    const cxr_slide s = {1, 3, 9, 9, 4, 9, 9, 3, 1, 1};
    float *params = cxr_params_new(&g), x[3 * 81], y[4 * 81], want[4 * 81], weight[4 * 27], bias[4];
    double mean[4], var[4];
    assert_non_null(params);
    cxr_keyed_params(&g, params, 3);
    cxr_keyed_fill(x, 3 * 81, cxr_keyed(3, 1), -1, 1);
    for (int c = 0; c < 4; c++) {
        mean[c] = (double)params[cxr_graph_param(&g, bn, CXR_BN_MEAN)->offset + (size_t)c];
        var[c] = (double)params[cxr_graph_param(&g, bn, CXR_BN_VAR)->offset + (size_t)c];
    }
    cxr_ref_conv(y, x, params + cxr_graph_param(&g, conv, CXR_WEIGHT)->offset, &s);
    cxr_ref_batchnorm(want, y, mean, var, params + cxr_graph_param(&g, bn, CXR_BN_WEIGHT)->offset,
                      params + cxr_graph_param(&g, bn, CXR_BN_BIAS)->offset, 1e-5, 1, 4, 81);
    cxr_fold_batchnorm(&g, params, conv, bn, weight, bias);
    cxr_ref_conv(y, x, weight, &s);
    for (int i = 0; i < 4 * 81; i++) y[i] += bias[i / 81];
    assert_true(cxr_gap_of(y, want, 4 * 81).gap <= 1e-6);
    cxr_mem_free(params);
    cxr_graph_free(&g);
}

/* ---- Failures ---- */

static void test_impossible_graphs(void **state)
{
    (void)state;
    const cxr_preprocess pre = {.size = 64, .std = {1, 1, 1}}, none = {.size = 0, .std = {1, 1, 1}};
    cxr_error err = {0};
    cxr_graph g = {0};
    assert_int_equal(cxr_graph_resnet(&g, "resnet19", &pre, &err), CXR_EUSAGE);
    assert_non_null(strstr(err.text, "resnet19"));
    assert_int_equal(cxr_graph_resnet(&g, "resnet18", &none, &err), CXR_EUSAGE);
    cxr_graph_free(&g);
    for (int stride = 1; stride < 4; stride++) { /* a 3 x 3 window does not fit 2 x 2, whatever the stride */
        (void)cxr_graph_conv(&g, cxr_graph_input(&g, 2, 2), "conv", 1, 3, stride, 0);
        assert_int_equal(g.status, CXR_EUSAGE);
        cxr_graph_free(&g);
    }
    const int a = cxr_graph_input(&g, 2, 2), b = cxr_graph_conv(&g, a, "conv", 2, 1, 1, 0);
    (void)cxr_graph_add(&g, a, b);
    assert_int_equal(g.status, CXR_EUSAGE);
    assert_int_equal(cxr_graph_relu(&g, b, NULL), 0); /* later appends do nothing */
    assert_int_equal(g.node_count, 2);
    cxr_graph_free(&g);
}

static void test_every_allocation_can_fail(void **state)
{
    (void)state;
    const cxr_preprocess pre = {.size = 64, .std = {1, 1, 1}};
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_graph g = {0};
        cxr_error err = {0};
        cxr_mem_fail_at(n);
        cxr_status st = cxr_graph_resnet(&g, "resnet34", &pre, &err);
        if (st == CXR_OK) st = cxr_graph_head(&g, (const int[]){8}, 1, 0.5f, 2, &err);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_graph_free(&g);
    }
}

int main(void)
{
    golden = cxr_golden_open(FIXTURES "/graph.txt");
    if (golden == NULL) return CXR_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_are_torchvisions),
        cmocka_unit_test(test_backbone_size),
        cmocka_unit_test(test_shapes_are_torchvisions),
        cmocka_unit_test(test_cost_is_pytorchs),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_every_convolution_fuses),
        cmocka_unit_test(test_grey_joins_the_first_convolution),
        cmocka_unit_test(test_add_reads_the_shortcut),
        cmocka_unit_test(test_groups_of_parts),
        cmocka_unit_test(test_shared_values_stay),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_impossible_graphs),
        cmocka_unit_test(test_every_allocation_can_fail),
    };
    const int failed = cmocka_run_group_tests_name("graph", tests, NULL, NULL);
    cxr_golden_close(&golden);
    return failed != 0;
}
