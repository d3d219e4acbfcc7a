/* Training in bf16 on the CPU backend against the reference one, which computes in f32: operators, blocks, a whole network; the
 * same bits again. Skips itself where the processor has no bf16, after seeing the sentence that says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agree.h"
#include "backend/onednn.h"
#include "base/mem.h"
#include "bf16.h"
#include "golden.h"
#include "graph/params.h"
#include <stdio.h>
#include <string.h>

static const cxr_backend *const cpu = &cxr_backend_cpu;
static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

/* A graph whose node 1 stands for an input of any shape: the span begins at node 2. */
static void open_graph(cxr_graph *g, cxr_shape in)
{
    *g = (cxr_graph){0};
    const int x = cxr_graph_relu(g, cxr_graph_input(g, in.h, in.w), "x");
    assert_int_equal(g->status, CXR_OK);
    g->nodes[x].shape = in;
}

/* Trains two steps on both backends. Output, running statistics and gradients may be off, in L2, by these shares. */
static void check(const cxr_graph *g, const char *what, int first, int n, cxr_tolerance limit)
{
    const int last = g->node_count - 1;
    const cxr_agree_case c = {.g = g,
                              .first = first,
                              .last = last,
                              .mode = CXR_TRAIN,
                              .n = n,
                              .threads = 1 + n % 2,
                              .precision = CXR_PRECISION_BF16,
                              .seed = 5 + (uint64_t)n};
    cxr_answer got, ref;
    must(cxr_answer_of(&got, cpu, &c, &error));
    must(cxr_answer_of(&ref, &cxr_backend_reference, &c, &error));
    const double out = cxr_share(got.out, ref.out, (size_t)n * cxr_shape_count(g->nodes[last].shape));
    if (!(out <= limit.forward)) fail_msg("%s: output off by %.3g of its size", what, out);
    for (int i = 0; i < g->param_count; i++) {
        const cxr_param *p = &g->params[i];
        if (p->node < first || cxr_gradient_is_noise(g, p)) continue;
        const bool learnable = cxr_param_learnable(p);
        const float *x = learnable ? got.grads : got.params, *y = learnable ? ref.grads : ref.params;
        const double off = cxr_share(x + p->offset, y + p->offset, p->count);
        if (!(off <= (learnable ? limit.backward : limit.forward))) fail_msg("%s: %s off by %.3g", what, p->name, off);
    }
    cxr_answer_free(&got);
    cxr_answer_free(&ref);
}

typedef struct conv_case {
    cxr_shape in;
    int out, kernel, stride, pad;
} conv_case;

static void test_convolutions(void **state)
{
    (void)state;
    if (!bf16_here(CXR_TRAIN)) return;
    static const conv_case cases[] = {{{3, 32, 32}, 64, 7, 2, 3},  {{64, 8, 8}, 64, 3, 1, 1},   {{64, 7, 9}, 128, 3, 2, 1},
                                      {{64, 8, 8}, 128, 1, 2, 0},  {{17, 12, 12}, 33, 3, 2, 0}, {{5, 7, 9}, 6, 3, 1, 1},
                                      {{256, 4, 4}, 512, 3, 1, 1}, {{32, 1, 1}, 64, 1, 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const conv_case *c = &cases[i];
        char name[64];
        (void)snprintf(name, sizeof name, "convolution %zu", i);
        cxr_graph g;
        open_graph(&g, c->in);
        const int x = cxr_graph_conv(&g, 1, "before", c->in.c, 1, 1, 0);
        (void)cxr_graph_conv(&g, x, "conv", c->out, c->kernel, c->stride, c->pad);
        for (int n = 1; n <= 5; n += 2) check(&g, name, 2, n, CXR_TOLERANCE_BF16_TRAINING);
        cxr_graph_free(&g);
    }
}

/* A residual block with and without a convolution on its side, then pools and a head. */
static void open_block(cxr_graph *g, cxr_shape in, bool strided)
{
    open_graph(g, in);
    const int out = strided ? 2 * in.c : in.c, stride = strided ? 2 : 1;
    const int start = cxr_graph_conv(g, 1, "start", in.c, 3, 1, 1);
    const int x = cxr_graph_relu(g, cxr_graph_batchnorm(g, start, "start.bn"), "x0");
    const int side = strided ? cxr_graph_batchnorm(g, cxr_graph_conv(g, x, "side", out, 1, stride, 0), "side.bn") : x;
    int y = cxr_graph_relu(g, cxr_graph_batchnorm(g, cxr_graph_conv(g, x, "c1", out, 3, stride, 1), "b1"), "r1");
    y = cxr_graph_batchnorm(g, cxr_graph_conv(g, y, "c2", out, 3, 1, 1), "b2");
    y = cxr_graph_relu(g, cxr_graph_add(g, y, side), "r2");
    y = cxr_graph_avgpool(g, cxr_graph_maxpool(g, y, "maxpool", 3, 2, 1), "avgpool");
    (void)cxr_graph_logsoftmax(g, cxr_graph_linear(g, y, "fc", 2), "logsoftmax");
    assert_int_equal(g->status, CXR_OK);
}

static void test_blocks(void **state)
{
    (void)state;
    if (!bf16_here(CXR_TRAIN)) return;
    static const cxr_shape shapes[] = {{64, 16, 16}, {16, 9, 11}, {24, 13, 7}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int strided = 0; strided < 2; strided++) {
            cxr_graph g;
            open_block(&g, shapes[i], strided != 0);
            check(&g, strided ? "strided block" : "block", 2, 8, CXR_TOLERANCE_BF16_TRAINING_CHAIN);
            cxr_graph_free(&g);
        }
    }
}

/* Two runs on the same number of threads give the same bits. */
static void test_determinism(void **state)
{
    (void)state;
    if (!bf16_here(CXR_TRAIN)) return;
    cxr_graph g;
    open_block(&g, (cxr_shape){64, 16, 16}, true);
    const cxr_agree_case c = {.g = &g,
                              .first = 2,
                              .last = g.node_count - 1,
                              .mode = CXR_TRAIN,
                              .n = 6,
                              .threads = 2,
                              .precision = CXR_PRECISION_BF16,
                              .seed = 3};
    cxr_answer a, b;
    must(cxr_answer_of(&a, cpu, &c, &error));
    must(cxr_answer_of(&b, cpu, &c, &error));
    assert_memory_equal(a.grads, b.grads, g.float_count * sizeof(float));
    assert_memory_equal(a.params, b.params, g.float_count * sizeof(float));
    cxr_answer_free(&a);
    cxr_answer_free(&b);
    cxr_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_determinism),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
