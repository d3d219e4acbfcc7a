/* The first convolution reads grey pixels; normalising is folded into it. Against the reference, which normalises: many
 * geometries, so that borders on every side are seen, with normalisings that make the padding's zero far from any pixel. ctest
 * runs this program again with the instruction set capped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agree.h"
#include "base/mem.h"
#include "bf16.h"
#include "golden.h"
#include "graph/params.h"
#include <stdio.h>
#include <string.h>

typedef struct geometry {
    int height, width, out, kernel, stride, pad;
} geometry;

static const geometry geometries[] = {
    {32, 32, 64, 7, 2, 3}, {33, 47, 64, 7, 2, 3}, {20, 31, 16, 3, 1, 1},  {9, 40, 32, 5, 1, 2},
    {24, 24, 48, 7, 2, 0}, {17, 18, 16, 3, 2, 1}, {16, 16, 64, 4, 4, 0},  {5, 6, 16, 7, 2, 3},
    {12, 9, 32, 7, 3, 6},  {40, 40, 20, 7, 2, 3}, {30, 28, 64, 11, 4, 2}, {30, 28, 16, 13, 4, 2},
};
enum { GEOMETRIES = sizeof geometries / sizeof geometries[0] };

static const float means[][3] = {{0.485f, 0.456f, 0.406f}, {0.0f, 0.0f, 0.0f}, {0.9f, -2.0f, 4.0f}};
static const float stds[][3] = {{0.229f, 0.224f, 0.225f}, {1.0f, 0.5f, 0.1f}, {0.5f, 2.0f, 1.0f}};

enum tail { CONV, CONV_RELU, CONV_BN, CONV_BN_RELU, POOL, RELU_POOL, BN_POOL, POOL_AND_RELU_READ, TAILS };

static void open_graph(cxr_graph *g, const geometry *s, int norm, enum tail tail)
{
    *g = (cxr_graph){0};
    int x = cxr_graph_normalize(g, cxr_graph_input(g, s->height, s->width), means[norm], stds[norm]);
    x = cxr_graph_conv(g, x, "conv1", s->out, s->kernel, s->stride, s->pad);
    const bool bn = tail == CONV_BN || tail == CONV_BN_RELU || tail >= POOL,
               relu = tail != CONV && tail != CONV_BN && tail != BN_POOL;
    if (bn) x = cxr_graph_batchnorm(g, x, "bn1");
    if (relu) x = cxr_graph_relu(g, x, "relu");
    if (tail == POOL || tail == RELU_POOL || tail == BN_POOL) x = cxr_graph_maxpool(g, x, "maxpool", 3, 2, 1);
    if (tail == RELU_POOL) x = cxr_graph_relu(g, x, "again");
    if (tail == POOL_AND_RELU_READ) x = cxr_graph_add(g, x, cxr_graph_maxpool(g, x, "maxpool", 3, 1, 1));
    assert_int_equal(g->status, CXR_OK);
}

static void check(const geometry *s, int norm, enum tail tail, cxr_precision precision)
{
    cxr_graph g;
    char report[512];
    open_graph(&g, s, norm, tail);
    for (int n = 1; n <= 5; n += 4) {
        const cxr_agree_case c = {.g = &g,
                                  .first = 1,
                                  .last = g.node_count - 1,
                                  .mode = CXR_INFER,
                                  .n = n,
                                  .max_batch = 6,
                                  .threads = 1 + n % 2 + n / 5,
                                  .precision = precision,
                                  .seed = 5,
                                  .tolerance =
                                      precision == CXR_PRECISION_F32 ? cxr_tolerance_of(CXR_OP_CONV) : CXR_TOLERANCE_BF16_CONV};
        if (!cxr_agree(&cxr_backend_cpu, &cxr_backend_reference, &c, report, sizeof report))
            fail_msg("(%d, %d) to %d, kernel %d, stride %d, padding %d, normalising %d, tail %d, precision %d, %d images: %s",
                     s->height, s->width, s->out, s->kernel, s->stride, s->pad, norm, (int)tail, (int)precision, n, report);
    }
    cxr_graph_free(&g);
}

static void test_f32(void **state)
{
    (void)state;
    for (int i = 0; i < GEOMETRIES; i++)
        for (int norm = 0; norm < 3; norm++)
            for (int tail = 0; tail < TAILS; tail++) check(&geometries[i], norm, (enum tail)tail, CXR_PRECISION_F32);
}

/* The ImageNet normalising: with others the weights of q and of the constant nearly cancel, and bf16 keeps 8 bits of each. */
static void test_bf16(void **state)
{
    (void)state;
    for (int i = 0; bf16_here(CXR_INFER) && i < GEOMETRIES; i++)
        for (int tail = 0; tail < TAILS; tail++) check(&geometries[i], 0, (enum tail)tail, CXR_PRECISION_BF16);
}

/* The output of a program for one image. */
static void run_image(const cxr_backend *b, const cxr_graph *g, float *params, const uint8_t *pixels, cxr_precision precision,
                      float *host)
{
    cxr_error error = {0};
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 1, .threads = 1, .precision = precision};
    cxr_program *p = NULL;
    cxr_tensor *in = NULL;
    const cxr_tensor *out = NULL;
    assert_int_equal(b->compile(&p, g, 1, g->node_count - 1, params, &o, &error), CXR_OK);
    assert_int_equal(b->tensor_new(&in, CXR_U8, 1, g->nodes[0].shape, &error), CXR_OK);
    assert_int_equal(b->tensor_write(in, 1, pixels, &error), CXR_OK);
    assert_int_equal(b->forward(p, in, 0, &out, &error), CXR_OK);
    assert_int_equal(b->tensor_read(out, host, &error), CXR_OK);
    b->tensor_free(&in);
    b->close(&p);
}

/* The outputs whose windows lie inside the image, row by row; how many. */
static size_t keep_inside(const cxr_graph *g, float *x)
{
    const cxr_shape s = g->nodes[2].shape;
    const cxr_inside in = cxr_conv_inside(g, 2);
    size_t count = 0;
    for (int c = 0; c < s.c; c++)
        for (int row = in.y0; row < in.y1; row++)
            for (int column = in.x0; column < in.x1; column++) x[count++] = x[(c * s.h + row) * s.w + column];
    return count;
}

/* Large weights whose sum over each kernel is zero: an image of one level cancels but for what rounding leaves of the sum. */
static void balance_kernels(const cxr_graph *g, float *params)
{
    const cxr_param *w = cxr_graph_param(g, 2, CXR_WEIGHT);
    const size_t taps = (size_t)w->dims[2] * (size_t)w->dims[3];
    for (size_t at = 0; at < w->count; at += taps) {
        float *kernel = params + w->offset + at, mean = 0.0f;
        for (size_t i = 0; i < taps; i++) mean += kernel[i] / (float)taps;
        for (size_t i = 0; i < taps; i++) kernel[i] = 16.0f * (kernel[i] - mean);
    }
}

/* Images of one grey level: in f32 what the border lacks shows at once; in bf16, inside, a kernel whose sum was rounded away. */
static void check_levels(cxr_precision precision, double limit)
{
    enum { OUT = 64 * 16 * 16 };
    static float got[OUT], want[OUT];
    cxr_graph g;
    open_graph(&g, &geometries[0], 0, CONV_BN);
    float *params = cxr_params_new(&g);
    assert_non_null(params);
    cxr_keyed_params(&g, params, 3);
    if (precision == CXR_PRECISION_BF16) balance_kernels(&g, params);
    for (int level = 0; level < 256; level += 51) {
        uint8_t pixels[32 * 32];
        size_t count = OUT;
        memset(pixels, level, sizeof pixels);
        run_image(&cxr_backend_cpu, &g, params, pixels, precision, got);
        run_image(&cxr_backend_reference, &g, params, pixels, CXR_PRECISION_F32, want);
        if (precision == CXR_PRECISION_BF16) {
            count = keep_inside(&g, got);
            assert_int_equal(keep_inside(&g, want), count);
        }
        const cxr_gap worst = cxr_gap_of(got, want, count);
        if (!(worst.gap <= limit)) fail_msg("precision %d, level %d: gap %.3g", (int)precision, level, worst.gap);
    }
    cxr_mem_free(params);
    cxr_graph_free(&g);
}

static void test_levels(void **state)
{
    (void)state;
    check_levels(CXR_PRECISION_F32, cxr_tolerance_of(CXR_OP_CONV).forward);
    if (bf16_here(CXR_INFER)) check_levels(CXR_PRECISION_BF16, CXR_TOLERANCE_BF16_LEVEL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
