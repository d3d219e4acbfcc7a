/* The CPU backend against the reference one: every operator and every pattern that it fuses, over many shapes, for inference,
 * training and explaining. ctest runs this program again with the instruction set capped at AVX2 and at SSE4.1 (tests.cmake). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agree.h"
#include <stdio.h>

/* Some operators in a row: each one's rounding, grown by a batch norm over few values. */
#define CHAIN ((cxr_tolerance){2e-4, 2e-3})

typedef struct op_case {
    cxr_shape in;
    int out, kernel, stride, pad; /* what the builder needs of them */
} op_case;

typedef int op_build(cxr_graph *g, int x, const op_case *c);

/* A graph whose node 1 stands for an input of any shape: the span begins at node 2. */
static void open_graph(cxr_graph *g, cxr_shape in)
{
    *g = (cxr_graph){0};
    const int x = cxr_graph_relu(g, cxr_graph_input(g, in.h, in.w), "x");
    assert_int_equal(g->status, CXR_OK);
    g->nodes[x].shape = in;
}

static void check(const cxr_graph *g, const char *what, cxr_mode mode, int n, int threads, cxr_tolerance tolerance)
{
    static const char *const modes[] = {"inference", "training", "explaining"};
    char report[512];
    const cxr_agree_case c = {.g = g,
                              .first = 2,
                              .last = g->node_count - 1,
                              .mode = mode,
                              .n = n,
                              .max_batch = n + n % 2, /* sometimes less than a full batch */
                              .threads = threads,
                              .seed = 11 + (uint64_t)n,
                              .tolerance = tolerance};
    if (!cxr_agree(&cxr_backend_cpu, &cxr_backend_reference, &c, report, sizeof report))
        fail_msg("%s, %s, %d images, %d threads: %s", what, modes[mode], n, threads, report);
}

/* Every mode, alone (`tolerance`) and behind a 1 x 1 convolution, whose gradient shows the operator's own. */
static void check_both(const char *what, op_build *build, const op_case *c, int least, cxr_tolerance tolerance)
{
    char name[128];
    (void)snprintf(name, sizeof name, "%s of (%d, %d, %d) to %d, kernel %d, stride %d, padding %d", what, c->in.c, c->in.h,
                   c->in.w, c->out, c->kernel, c->stride, c->pad);
    static const int images[] = {1, 2, 5};
    for (int behind = 0; behind < 2; behind++) {
        cxr_graph g;
        open_graph(&g, c->in);
        const int x = behind ? cxr_graph_conv(&g, 1, "before", c->in.c, 1, 1, 0) : 1;
        (void)build(&g, x, c);
        assert_int_equal(g.status, CXR_OK);
        const cxr_tolerance limit = behind ? CHAIN : tolerance;
        for (int i = 0; i < 3; i++) {
            check(&g, name, CXR_INFER, images[i], 1 + i % 2, limit);
            check(&g, name, CXR_EXPLAIN, images[i], 1 + i % 2, limit);
            if (images[i] >= least) check(&g, name, CXR_TRAIN, images[i], 1 + i % 2, limit);
        }
        cxr_graph_free(&g);
    }
}

/* ---- Convolution ---- */

static const op_case convolutions[] = {
    {{3, 32, 32}, 64, 7, 2, 3},  {{3, 17, 23}, 64, 7, 2, 3},  {{2, 9, 9}, 16, 3, 1, 1},   {{64, 8, 8}, 64, 3, 1, 1},
    {{64, 9, 7}, 64, 3, 1, 1},   {{64, 8, 8}, 128, 3, 2, 1},  {{64, 7, 9}, 128, 3, 2, 1}, {{64, 8, 8}, 128, 1, 2, 0},
    {{48, 13, 11}, 80, 3, 1, 1}, {{5, 7, 9}, 6, 3, 1, 1},     {{16, 5, 5}, 32, 5, 1, 2},  {{17, 12, 12}, 33, 3, 2, 0},
    {{32, 2, 2}, 32, 3, 1, 1},   {{32, 1, 1}, 32, 3, 1, 1},   {{20, 6, 6}, 24, 1, 1, 0},  {{96, 4, 4}, 48, 3, 1, 0},
    {{32, 1, 1}, 64, 1, 1, 0},   {{256, 4, 4}, 256, 3, 1, 1},
};
enum { CONVOLUTIONS = sizeof convolutions / sizeof convolutions[0] };

static int conv(cxr_graph *g, int x, const op_case *c)
{
    return cxr_graph_conv(g, x, "conv", c->out, c->kernel, c->stride, c->pad);
}

static int conv_bn(cxr_graph *g, int x, const op_case *c)
{
    return cxr_graph_batchnorm(g, conv(g, x, c), "bn");
}

static int conv_bn_relu(cxr_graph *g, int x, const op_case *c)
{
    return cxr_graph_relu(g, conv_bn(g, x, c), "relu");
}

static int conv_relu(cxr_graph *g, int x, const op_case *c)
{
    return cxr_graph_relu(g, conv(g, x, c), "relu");
}

static void test_conv(void **state)
{
    (void)state;
    for (int i = 0; i < CONVOLUTIONS; i++) {
        const bool single = convolutions[i].in.h == 1; /* a batch norm needs more than two values */
        check_both("convolution", conv, &convolutions[i], 1, cxr_tolerance_of(CXR_OP_CONV));
        check_both("convolution, ReLU", conv_relu, &convolutions[i], 1, CHAIN);
        check_both("convolution, batch norm", conv_bn, &convolutions[i], single ? 5 : 2, CHAIN);
        check_both("convolution, batch norm, ReLU", conv_bn_relu, &convolutions[i], single ? 5 : 2, CHAIN);
    }
}

/* ---- Adds: what a convolution may add in place, and what must survive it ---- */

static int conv3(cxr_graph *g, int x, const char *name)
{
    return cxr_graph_conv(g, x, name, g->nodes[x].shape.c, 3, 1, 1);
}

/* The other operand is the span's input when the operator stands first. */
static int add_input(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    const int y = cxr_graph_batchnorm(g, conv3(g, x, "conv"), "bn");
    return cxr_graph_relu(g, cxr_graph_add(g, y, x), "relu");
}

static int residual_block(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    int y = cxr_graph_relu(g, cxr_graph_batchnorm(g, conv3(g, x, "conv1"), "bn1"), "relu1");
    y = cxr_graph_batchnorm(g, conv3(g, y, "conv2"), "bn2");
    return cxr_graph_relu(g, cxr_graph_add(g, x, y), "block");
}

static int downsampling_block(cxr_graph *g, int x, const op_case *c)
{
    const int side = cxr_graph_batchnorm(g, cxr_graph_conv(g, x, "side", c->out, 1, 2, 0), "side_bn");
    int y = cxr_graph_relu(g, cxr_graph_batchnorm(g, cxr_graph_conv(g, x, "conv1", c->out, 3, 2, 1), "bn1"), "relu1");
    y = cxr_graph_batchnorm(g, conv3(g, y, "conv2"), "bn2");
    return cxr_graph_relu(g, cxr_graph_add(g, y, side), "block");
}

static int two_blocks(cxr_graph *g, int x, const op_case *c)
{
    const int side = downsampling_block(g, x, c);
    const int y = cxr_graph_batchnorm(g, conv3(g, side, "conv3"), "bn3");
    return cxr_graph_relu(g, cxr_graph_add(g, y, side), "second");
}

/* The operand is read again after the add: it must not be overwritten. */
static int operand_survives(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    const int a = conv3(g, x, "a");
    const int b = conv3(g, conv3(g, a, "b1"), "b2");
    return cxr_graph_add(g, cxr_graph_relu(g, cxr_graph_add(g, b, a), "sum"), a);
}

/* The operand is the convolution's own input, and what was added is read twice. */
static int sum_read_twice(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    const int a = conv3(g, x, "a"), b = cxr_graph_add(g, conv3(g, a, "b"), a);
    return cxr_graph_add(g, cxr_graph_relu(g, b, "relu"), b);
}

static int doubled(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    const int a = conv3(g, x, "a");
    return cxr_graph_add(g, a, a);
}

/* An alias (dropout while inferring) of what is added and read again. */
static int add_of_alias(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    const int a = conv3(g, x, "a"), alias = cxr_graph_dropout(g, a, "dropout", 0.25f);
    const int b = conv3(g, conv3(g, a, "b1"), "b2");
    return cxr_graph_add(g, cxr_graph_relu(g, cxr_graph_add(g, b, alias), "sum"), a);
}

/* Operands of different layouts: a convolution's and the span's. */
static int add_late(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    const int y = cxr_graph_relu(g, conv3(g, x, "a"), "relu");
    return cxr_graph_add(g, conv3(g, y, "b"), x);
}

static void test_add(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        op_build *build;
    } patterns[] = {
        {"add of the input", add_input},
        {"residual block", residual_block},
        {"downsampling block", downsampling_block},
        {"two blocks", two_blocks},
        {"operand read again", operand_survives},
        {"sum read twice", sum_read_twice},
        {"a + a", doubled},
        {"add of an alias", add_of_alias},
        {"add of two layouts", add_late},
    };
    static const op_case shapes[] = {{{64, 8, 8}, 128, 0, 0, 0}, {{32, 7, 9}, 48, 0, 0, 0}, {{5, 6, 6}, 7, 0, 0, 0}};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
            check_both(patterns[i].name, patterns[i].build, &shapes[k], 2, CHAIN);
}

/* ---- One operator ---- */

static int batchnorm(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    return cxr_graph_batchnorm(g, x, "bn");
}

static int batchnorm_relu(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    return cxr_graph_relu(g, cxr_graph_batchnorm(g, x, "bn"), "relu");
}

/* The ReLU is not the only reader: it cannot be fused. */
static int batchnorm_read_twice(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    const int b = cxr_graph_batchnorm(g, x, "bn");
    return cxr_graph_add(g, cxr_graph_relu(g, b, "relu"), b);
}

static int relu(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    return cxr_graph_relu(g, x, "relu");
}

static int maxpool(cxr_graph *g, int x, const op_case *c)
{
    return cxr_graph_maxpool(g, x, "pool", c->kernel, c->stride, c->pad);
}

static int avgpool(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    return cxr_graph_avgpool(g, x, "pool");
}

static int linear(cxr_graph *g, int x, const op_case *c)
{
    return cxr_graph_linear(g, x, "linear", c->out);
}

static int dropout(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    return cxr_graph_dropout(g, x, "dropout", 0.5f);
}

static int logsoftmax(cxr_graph *g, int x, const op_case *c)
{
    (void)c;
    return cxr_graph_logsoftmax(g, x, "logsoftmax");
}

static void test_batchnorm(void **state)
{
    (void)state;
    static const op_case shapes[] = {
        {.in = {64, 8, 8}}, {.in = {5, 7, 9}}, {.in = {17, 3, 3}}, {.in = {256, 1, 1}}, {.in = {6, 1, 1}}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const int least = shapes[i].in.h == 1 ? 5 : 2;
        check_both("batch norm", batchnorm, &shapes[i], least, cxr_tolerance_of(CXR_OP_BATCHNORM));
        check_both("batch norm, ReLU", batchnorm_relu, &shapes[i], least, cxr_tolerance_of(CXR_OP_BATCHNORM));
        check_both("batch norm, read twice", batchnorm_read_twice, &shapes[i], least, cxr_tolerance_of(CXR_OP_BATCHNORM));
    }
}

static void test_pools(void **state)
{
    (void)state;
    static const op_case windows[] = {{{64, 16, 16}, 0, 3, 2, 1},
                                      {{64, 15, 9}, 0, 3, 2, 1},
                                      {{5, 8, 8}, 0, 3, 2, 1},
                                      {{16, 6, 6}, 0, 2, 2, 0},
                                      {{20, 7, 7}, 0, 3, 1, 1}};
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++)
        check_both("max pool", maxpool, &windows[i], 1, cxr_tolerance_of(CXR_OP_MAXPOOL));
    static const op_case maps[] = {
        {.in = {512, 4, 4}}, {.in = {64, 7, 5}}, {.in = {5, 6, 6}}, {.in = {16, 32, 32}}, {.in = {32, 1, 1}}};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        check_both("average pool", avgpool, &maps[i], 1, cxr_tolerance_of(CXR_OP_AVGPOOL));
}

static void test_linear(void **state)
{
    (void)state;
    static const op_case shapes[] = {{{512, 1, 1}, 256, 0, 0, 0}, {{256, 1, 1}, 128, 0, 0, 0}, {{128, 1, 1}, 2, 0, 0, 0},
                                     {{7, 1, 1}, 5, 0, 0, 0},     {{16, 3, 3}, 10, 0, 0, 0},   {{5, 4, 2}, 3, 0, 0, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_both("linear", linear, &shapes[i], 1, cxr_tolerance_of(CXR_OP_LINEAR));
}

static void test_elementwise(void **state)
{
    (void)state;
    static const op_case shapes[] = {{.in = {128, 1, 1}}, {.in = {2, 1, 1}}, {.in = {5, 3, 4}}, {.in = {32, 4, 4}}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        check_both("ReLU", relu, &shapes[i], 1, cxr_tolerance_of(CXR_OP_RELU));
        check_both("dropout", dropout, &shapes[i], 1, cxr_tolerance_of(CXR_OP_DROPOUT));
        check_both("log-softmax", logsoftmax, &shapes[i], 1, cxr_tolerance_of(CXR_OP_LOGSOFTMAX));
    }
}

static void test_normalize(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {7, 5}, {32, 32}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cxr_graph g = {0};
        char report[512];
        (void)cxr_graph_normalize(&g, cxr_graph_input(&g, sizes[i][0], sizes[i][1]), (float[]){0.485f, 0.456f, 0.406f},
                                  (float[]){0.229f, 0.224f, 0.225f});
        cxr_agree_case c = {.g = &g, .first = 1, .last = 1, .n = 3, .seed = 5};
        c.tolerance = cxr_tolerance_of(CXR_OP_NORMALIZE);
        if (!cxr_agree(&cxr_backend_cpu, &cxr_backend_reference, &c, report, sizeof report)) fail_msg("%s", report);
        cxr_graph_free(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),      cmocka_unit_test(test_add),    cmocka_unit_test(test_batchnorm),
        cmocka_unit_test(test_pools),     cmocka_unit_test(test_linear), cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_normalize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
