/* 8-bit inference against the reference backend: single convolutions, borders, whole networks; and what a program must keep to:
 * the same bits whatever the batch, fast kernels only, a sentence where it cannot run. The network is calibrated here by the
 * largest value that each node takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agree.h"
#include "backend/onednn.h"
#include "backend/onednn_plan.h"
#include "base/mem.h"
#include "golden.h"
#include "graph/params.h"
#include <math.h>
#include <string.h>

#define SEED 11u
#define SIZE 64
#define N    5

/* Relative error in the mean square. A rounding to 255 steps of a range that is 6 to 10 times the mean square costs about
 * 10 / 255 / sqrt(12) = 1.1 %, weights as much; errors of independent layers add in the square: sqrt(20) of them for the last. */
#define ONE_LAYER 0.02
#define NETWORK   0.10
/* Of the first convolution's output for an image without edges: errors of weights, and of rounding the output. */
#define SMOOTH 0.025
/* Nothing but f32 rounding; an output in 8 bits shows what is more than half of 1 / 127. */
#define FLAT 1e-3

static const cxr_backend *const cpu = &cxr_backend_cpu;
static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static int open_network(cxr_graph *g)
{
    const cxr_preprocess pre = {.size = SIZE, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    *g = (cxr_graph){0};
    must(cxr_graph_resnet(g, "resnet18", &pre, &error));
    return g->node_count - 1;
}

static cxr_agree_case span(const cxr_graph *g, int last, int n, cxr_precision precision)
{
    return (cxr_agree_case){.g = g,
                            .first = 1,
                            .last = last,
                            .mode = CXR_INFER,
                            .n = n,
                            .max_batch = 40,
                            .threads = 2,
                            .precision = precision,
                            .seed = SEED};
}

static float *run(const cxr_backend *b, const cxr_graph *g, int last, int n, cxr_precision precision)
{
    cxr_answer a;
    const cxr_agree_case c = span(g, last, n, precision);
    must(cxr_answer_of(&a, b, &c, &error));
    float *out = a.out;
    a.out = NULL;
    cxr_answer_free(&a);
    return out;
}

static void calibrate(cxr_graph *g)
{
    cxr_fused *groups = cxr_mem_new((size_t)g->node_count, sizeof *groups);
    assert_non_null(groups);
    const int count = cxr_graph_fuse(g, 1, g->node_count - 1, groups);
    for (int i = 0; i < count; i++) {
        if (g->nodes[groups[i].node].op != CXR_OP_CONV) continue;
        const int node = groups[i].output;
        float *out = run(cpu, g, node, N, CXR_PRECISION_F32), peak = 0.0f;
        for (size_t k = 0; k < N * cxr_shape_count(g->nodes[node].shape); k++) peak = fmaxf(peak, fabsf(out[k]));
        g->nodes[node].peak = peak;
        cxr_mem_free(out);
    }
    cxr_mem_free(groups);
}

/* False, with the sentence checked, where the processor has no such kernels. */
static bool int8_here(cxr_graph *g)
{
    cxr_answer a;
    const cxr_agree_case c = span(g, g->node_count - 1, 1, CXR_PRECISION_INT8);
    const cxr_status st = cxr_answer_of(&a, cpu, &c, &error);
    cxr_answer_free(&a);
    if (st == CXR_OK) return true;
    assert_int_equal(st, CXR_EUNAVAILABLE);
    assert_non_null(strstr(error.text, "AVX512_VNNI"));
    return false;
}

static int node_named(const cxr_graph *g, const char *name)
{
    for (int i = 0; i < g->node_count; i++)
        if (strcmp(g->nodes[i].name, name) == 0) return i;
    fail_msg("no node %s", name);
    return -1;
}

static void check(const cxr_graph *g, int last, double limit)
{
    float *got = run(cpu, g, last, N, CXR_PRECISION_INT8), *ref = run(&cxr_backend_reference, g, last, N, CXR_PRECISION_F32);
    const double gap = cxr_share(got, ref, N * cxr_shape_count(g->nodes[last].shape));
    if (!(gap <= limit)) fail_msg("%s: relative error %.4f, limit %.4f", g->nodes[last].name, gap, limit);
    cxr_mem_free(got);
    cxr_mem_free(ref);
}

static void test_agrees_with_the_reference(void **state)
{
    (void)state;
    cxr_graph g;
    const int last = open_network(&g);
    calibrate(&g);
    if (int8_here(&g)) {
        check(&g, 4, ONE_LAYER); /* first convolution, batch norm, ReLU */
        check(&g, node_named(&g, "layer1.0"), NETWORK);
        check(&g, node_named(&g, "layer2.0.downsample.1"), NETWORK);
        check(&g, last, NETWORK);
    }
    cxr_graph_free(&g);
}

/* Outputs at the border lack taps, which a wrong padding would fill with black or with something else. */
static void test_the_border_is_exact(void **state)
{
    (void)state;
    cxr_graph g;
    (void)open_network(&g);
    calibrate(&g);
    if (int8_here(&g)) {
        float *got = run(cpu, &g, 4, N, CXR_PRECISION_INT8), *ref = run(&cxr_backend_reference, &g, 4, N, CXR_PRECISION_F32);
        const size_t side = SIZE / 2, planes = (size_t)N * 64;
        for (size_t p = 0; p < planes; p++)
            for (size_t i = 0; i < side * side; i++) {
                const size_t y = i / side, x = i % side;
                if (y > 1 && y + 1 < side && x > 1 && x + 1 < side) continue;
                const float gap = fabsf(got[p * side * side + i] - ref[p * side * side + i]) / g.nodes[4].peak;
                if (!(gap <= 0.02f)) fail_msg("plane %zu, row %zu, column %zu: off by %g of the range", p, y, x, (double)gap);
            }
        cxr_mem_free(got);
        cxr_mem_free(ref);
    }
    cxr_graph_free(&g);
}

/* Integers add up the same in any order; slices of a batch must not show. */
static void test_a_batch_gives_the_bits_of_its_first_images(void **state)
{
    (void)state;
    cxr_graph g;
    const int last = open_network(&g);
    calibrate(&g);
    if (int8_here(&g)) {
        float *few = run(cpu, &g, last, 1, CXR_PRECISION_INT8), *many = run(cpu, &g, last, 39, CXR_PRECISION_INT8);
        assert_memory_equal(few, many, cxr_shape_count(g.nodes[last].shape) * sizeof *few);
        cxr_mem_free(few);
        cxr_mem_free(many);
    }
    cxr_graph_free(&g);
}

/* Makes the sum of an output channel's `count` weights what it should be. */
static void set_sum(float *w, size_t count, double wanted)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) sum += (double)w[i];
    for (size_t i = 0; i < count; i++) w[i] += (float)((wanted - sum) / (double)count);
}

#define IN  64
#define OUT 32

/* The middle of a 3 x 3 convolution of ones, in 8 bits: the sum of each kernel. False where the processor has none. */
static bool sum_kernels(cxr_graph *g, int conv, float *params, float sums[OUT])
{
    float ones[IN * 25], out[OUT * 25];
    for (size_t i = 0; i < IN * 25; i++) ones[i] = 1.0f;
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 1, .threads = 1, .precision = CXR_PRECISION_INT8};
    cxr_program *p = NULL;
    cxr_tensor *in = NULL;
    const cxr_tensor *y = NULL;
    const cxr_status st = cpu->compile(&p, g, conv, conv, params, &o, &error);
    if (st != CXR_OK) {
        assert_int_equal(st, CXR_EUNAVAILABLE);
        return false;
    }
    must(cpu->tensor_new(&in, CXR_F32, 1, cxr_graph_in_shape(g, conv), &error));
    must(cpu->tensor_write(in, 1, ones, &error));
    must(cpu->forward(p, in, 0, &y, &error));
    must(cpu->tensor_read(y, out, &error));
    for (size_t c = 0; c < OUT; c++) sums[c] = out[c * 25 + 12];
    cpu->tensor_free(&in);
    cpu->close(&p);
    return true;
}

/* A smooth image makes of a kernel the sum of its weights, which is often small. Rounding each weight by itself would be off by
 * the square root of their number; here the sum stays within half a step of the weights, and the output within half of its. */
static void test_sums_of_kernels_stay(void **state)
{
    (void)state;
    cxr_graph g = {0};
    float sums[OUT];
    const int x = cxr_graph_relu(&g, cxr_graph_input(&g, 5, 5), "x");
    assert_int_equal(g.status, CXR_OK);
    g.nodes[x].shape.c = IN;
    g.nodes[x].peak = 1.0f;
    const int conv = cxr_graph_conv(&g, x, "conv", OUT, 3, 1, 1);
    g.nodes[conv].peak = 0.4f;
    float *params = cxr_params_new(&g);
    assert_non_null(params);
    cxr_keyed_params(&g, params, SEED);
    float *w = params + cxr_graph_param(&g, conv, CXR_WEIGHT)->offset;
    for (int c = 0; c < OUT; c++) set_sum(w + c * IN * 9, IN * 9, 0.02 * (c - OUT / 2));
    const bool here = sum_kernels(&g, conv, params, sums);
    for (int c = 0; here && c < OUT; c++) {
        double peak = 0.0;
        for (int i = 0; i < IN * 9; i++) peak = fmax(peak, fabs((double)w[c * IN * 9 + i]));
        const double gap = fabs((double)sums[c] - 0.02 * (c - OUT / 2)), limit = 0.5 * (peak + 0.4) / 127.0 + 1e-5;
        if (!(gap <= limit)) fail_msg("channel %d: off by %g, limit %g", c, gap, limit);
    }
    cxr_mem_free(params);
    cxr_graph_free(&g);
}

#define SIDE   48
#define PLANES 64
#define SPOTS  ((SIDE / 2) * (SIDE / 2))

/* One image through a first convolution; false where the processor has no such kernels. */
static bool run_image(const cxr_backend *b, const cxr_graph *g, float *params, const uint8_t *pixels, cxr_precision precision,
                      float *out)
{
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 1, .threads = 1, .precision = precision};
    cxr_program *p = NULL;
    cxr_tensor *in = NULL;
    const cxr_tensor *y = NULL;
    const cxr_status st = b->compile(&p, g, 1, g->node_count - 1, params, &o, &error);
    if (st != CXR_OK) {
        assert_int_equal(st, CXR_EUNAVAILABLE);
        return false;
    }
    must(b->tensor_new(&in, CXR_U8, 1, g->nodes[0].shape, &error));
    must(b->tensor_write(in, 1, pixels, &error));
    must(b->forward(p, in, 0, &y, &error));
    must(b->tensor_read(y, out, &error));
    b->tensor_free(&in);
    b->close(&p);
    return true;
}

/* Whether a spot's window lies inside the image. */
static bool inside(size_t spot)
{
    const size_t y = spot / (SIDE / 2), x = spot % (SIDE / 2);
    return y >= 2 && x >= 2 && y < SIDE / 2 - 1 && x < SIDE / 2 - 1;
}

/* Makes a kernel of 7 x 7 blind to what is flat or a ramp. */
static void blind(float *w)
{
    double sum = 0.0, down = 0.0, right = 0.0;
    for (int i = 0; i < 49; i++) {
        sum += (double)w[i];
        down += (double)w[i] * (i / 7 - 3);
        right += (double)w[i] * (i % 7 - 3);
    }
    for (int i = 0; i < 49; i++) w[i] -= (float)(sum / 49.0 + down / 196.0 * (i / 7 - 3) + right / 196.0 * (i % 7 - 3));
}

static double amplitude(const cxr_graph *g, const float *x, const float *minus)
{
    double sum = 0.0;
    size_t count = 0;
    for (size_t i = 0; i < PLANES * SPOTS; i++) {
        if (!inside(i % SPOTS)) continue;
        sum += pow((double)x[i] - (minus == NULL ? 0.0 : (double)minus[i]), 2.0);
        count++;
    }
    return sqrt(sum / (double)count) / (double)g->nodes[g->node_count - 1].peak;
}

/* A first convolution of an image that swings by `swing` about the middle grey, in both precisions; `tilt` adds to the sums of
 * kernels what the middle grey hides. Returns the error as a part of `peak` of the output, 0: of its amplitude; -1: no int8. */
static double error_of_smooth(double swing, double tilt, double peak)
{
    static float ref[PLANES * SPOTS], got[PLANES * SPOTS];
    uint8_t pixels[SIDE * SIDE];
    const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    cxr_graph g = {0};
    const int x = cxr_graph_normalize(&g, cxr_graph_input(&g, SIDE, SIDE), mean, std);
    const int conv = cxr_graph_conv(&g, x, "conv1", PLANES, 7, 2, 3);
    float *params = cxr_params_new(&g);
    assert_true(g.status == CXR_OK && params != NULL);
    cxr_keyed_params(&g, params, SEED);
    float *w = params + cxr_graph_param(&g, conv, CXR_WEIGHT)->offset;
    for (size_t i = 0; i < (size_t)PLANES * 3; i++) blind(w + i * 49);
    for (size_t o = 0; o < PLANES; o++)
        for (size_t c = 0; c < 2; c++) { /* the middle grey is as far below the first channel's mean as above the second's */
            const double grey = (120.0 / 255.0 - (double)mean[c]) / (double)std[c];
            for (size_t i = 0; i < 49; i++) w[(o * 3 + c) * 49 + i] += (float)(tilt * (double)o / grey * (c == 0 ? 1.0 : -1.0));
        }
    for (int i = 0; i < SIDE * SIDE; i++)
        pixels[i] = (uint8_t)lrint(120.0 + swing * sin(i / SIDE / 12.0) * sin(i % SIDE / 10.0));
    assert_true(run_image(&cxr_backend_reference, &g, params, pixels, CXR_PRECISION_F32, ref));
    g.nodes[conv].peak = peak > 0.0 ? (float)peak : 1.0f;
    const double size = amplitude(&g, ref, NULL);
    if (!(peak > 0.0)) g.nodes[conv].peak = (float)(5.0 * size);
    const bool here = run_image(cpu, &g, params, pixels, CXR_PRECISION_INT8, got);
    const double gap = here ? amplitude(&g, got, ref) * (peak > 0.0 ? 1.0 : 5.0) : -1.0;
    cxr_mem_free(params);
    cxr_graph_free(&g);
    return gap;
}

/* Kernels that see nothing flat make little of a smooth image, and their rounded weights must add little to it. Errors that do
 * not cancel between taps add three times as much. */
static void test_errors_of_weights_cancel_on_smooth_images(void **state)
{
    (void)state;
    const double gap = error_of_smooth(50.0, 0.0, 0.0);
    if (!(gap <= SMOOTH)) fail_msg("error %.4f of the output, limit %.4f", gap, SMOOTH);
}

/* The middle grey comes out as 0 here; sums of rounded weights that are off make something of it. */
static void test_the_middle_grey_is_exact(void **state)
{
    (void)state;
    const double gap = error_of_smooth(0.0, 0.001, 0.1);
    if (!(gap <= FLAT)) fail_msg("off by %.5f of the range, limit %.5f", gap, FLAT);
}

/* Memory that runs out is not a missing calibration. */
static void test_says_when_memory_runs_out(void **state)
{
    (void)state;
    cxr_graph g;
    (void)open_network(&g);
    calibrate(&g);
    bool ready = false;
    must(cxr_int8_ready(&g, 1, g.node_count - 1, &ready, &error));
    assert_true(ready);
    cxr_mem_fail_at(0);
    assert_int_equal(cxr_int8_ready(&g, 1, g.node_count - 1, &ready, &error), CXR_ENOMEM);
    assert_true(cxr_mem_fail_fired());
    cxr_mem_fail_at(-1);
    cxr_graph_free(&g);
}

static void is_fast(void *user, const cxr_node *node, const char *kernel)
{
    int *convolutions = user;
    if (strstr(kernel, "ref") != NULL) fail_msg("%s runs on %s", node->name, kernel);
    if (node->op == CXR_OP_CONV) *convolutions += strstr(kernel, "vnni") != NULL;
}

static void test_every_convolution_has_an_8_bit_kernel(void **state)
{
    (void)state;
    cxr_graph g;
    (void)open_network(&g);
    calibrate(&g);
    if (int8_here(&g)) {
        cxr_answer a;
        const cxr_agree_case c = span(&g, g.node_count - 1, 1, CXR_PRECISION_F32);
        must(cxr_answer_of(&a, cpu, &c, &error));
        const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 8, .threads = 1, .precision = CXR_PRECISION_INT8};
        cxr_program *p = NULL;
        must(cpu->compile(&p, &g, 1, g.node_count - 1, a.params, &o, &error));
        int convolutions = 0;
        cxr_onednn_kernels(p, is_fast, &convolutions);
        assert_int_equal(convolutions, 20);
        cpu->close(&p);
        cxr_answer_free(&a);
    }
    cxr_graph_free(&g);
}

static void refuse(cxr_graph *g, cxr_mode mode)
{
    cxr_answer a;
    cxr_agree_case c = span(g, g->node_count - 1, 2, CXR_PRECISION_INT8);
    c.mode = mode;
    assert_int_equal(cxr_answer_of(&a, cpu, &c, &error), CXR_EUNAVAILABLE);
    assert_non_null(strstr(error.text, "int8"));
    cxr_answer_free(&a);
}

static void test_refuses_what_it_cannot_do(void **state)
{
    (void)state;
    cxr_graph g;
    (void)open_network(&g);
    refuse(&g, CXR_INFER);
    calibrate(&g);
    refuse(&g, CXR_TRAIN);
    g.nodes[node_named(&g, "layer3.1")].peak = 0.0f;
    refuse(&g, CXR_INFER);
    cxr_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_the_reference),
        cmocka_unit_test(test_the_border_is_exact),
        cmocka_unit_test(test_a_batch_gives_the_bits_of_its_first_images),
        cmocka_unit_test(test_sums_of_kernels_stay),
        cmocka_unit_test(test_errors_of_weights_cancel_on_smooth_images),
        cmocka_unit_test(test_the_middle_grey_is_exact),
        cmocka_unit_test(test_says_when_memory_runs_out),
        cmocka_unit_test(test_every_convolution_has_an_8_bit_kernel),
        cmocka_unit_test(test_refuses_what_it_cannot_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
