/* Weights rounded to bf16: what rounding takes from one is given to the next of its kernel. An image of one level, which kernels
 * whose sums are zero cancel, shows what is left of the sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bf16.h"
#include "golden.h"
#include "tolerance.h"

enum { IN = 16, OUT = 32, SIDE = 14, KERNEL = 7, INSIDE = SIDE - KERNEL + 1, COUNT = OUT * INSIDE * INSIDE };

/* A convolution without padding of something that is not pixels, with or without a batch norm behind it. */
static void open_graph(cxr_graph *g, bool batchnorm)
{
    *g = (cxr_graph){0};
    const int x = cxr_graph_relu(g, cxr_graph_input(g, SIDE, SIDE), "x");
    g->nodes[x].shape.c = IN;
    const int y = cxr_graph_conv(g, x, "conv", OUT, KERNEL, 1, 0);
    if (batchnorm) (void)cxr_graph_batchnorm(g, y, "bn");
    assert_int_equal(g->status, CXR_OK);
}

static void run(const cxr_backend *b, const cxr_graph *g, float *params, float level, cxr_precision precision, float *host)
{
    static float x[IN * SIDE * SIDE];
    cxr_error error = {0};
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 1, .threads = 2, .precision = precision};
    cxr_program *p = NULL;
    cxr_tensor *in = NULL;
    const cxr_tensor *out = NULL;
    for (int i = 0; i < IN * SIDE * SIDE; i++) x[i] = level;
    assert_int_equal(b->compile(&p, g, 2, g->node_count - 1, params, &o, &error), CXR_OK);
    assert_int_equal(b->tensor_new(&in, CXR_F32, 1, g->nodes[1].shape, &error), CXR_OK);
    assert_int_equal(b->tensor_write(in, 1, x, &error), CXR_OK);
    assert_int_equal(b->forward(p, in, 0, &out, &error), CXR_OK);
    assert_int_equal(b->tensor_read(out, host, &error), CXR_OK);
    b->tensor_free(&in);
    b->close(&p);
}

/* Large weights, small sums: a sixteenth for each kernel. */
static void set_sums(const cxr_graph *g, float *params)
{
    const cxr_param *w = cxr_graph_param(g, 2, CXR_WEIGHT);
    const size_t taps = KERNEL * KERNEL;
    for (size_t at = 0; at < w->count; at += taps) {
        float *kernel = params + w->offset + at, mean = 0.0f;
        for (size_t i = 0; i < taps; i++) mean += kernel[i] / (float)taps;
        for (size_t i = 0; i < taps; i++) kernel[i] = 16.0f * (kernel[i] - mean) + 0.0625f / (float)taps;
    }
}

static void check(bool batchnorm)
{
    static float got[COUNT], want[COUNT];
    cxr_graph g;
    open_graph(&g, batchnorm);
    float *params = cxr_params_new(&g);
    assert_non_null(params);
    cxr_keyed_params(&g, params, 3);
    set_sums(&g, params);
    for (float level = 0.5f; level < 3.0f; level += 1.0f) { /* of 8 bits: itself not rounded */
        run(&cxr_backend_cpu, &g, params, level, CXR_PRECISION_BF16, got);
        run(&cxr_backend_reference, &g, params, level, CXR_PRECISION_F32, want);
        const double off = cxr_share(got, want, COUNT);
        if (!(off <= CXR_TOLERANCE_BF16_SUMS)) fail_msg("batch norm %d, level %g: off by %.3g", batchnorm, (double)level, off);
    }
    cxr_mem_free(params);
    cxr_graph_free(&g);
}

static void test_sums(void **state)
{
    (void)state;
    if (!bf16_here(CXR_INFER)) return;
    check(true);
    check(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
