/* Winograd weights against oneDNN's own change of layout: the same values, for every layout that a processor's kernels ask for.
 * Without AVX-512 there are no such kernels, and nothing to test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/onednn_plan.h"
#include "base/mem.h"
#include "base/rng.h"
#include <string.h>

typedef struct shape {
    int n, in, out, side;
} shape;

/* Whole and padded blocks of channels; from few to many images, which decides the kernel and the order of its blocks. */
static const shape shapes[] = {{1, 64, 64, 32},  {1, 128, 128, 16}, {1, 256, 256, 8}, {1, 24, 40, 16},  {8, 24, 40, 16},
                               {8, 256, 256, 8}, {64, 256, 256, 8}, {8, 64, 64, 32},  {8, 512, 512, 4}, {16, 48, 96, 12}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static dnnl_memory_desc_t any_md(int rank, const dnnl_dims_t dims)
{
    dnnl_memory_desc_t md;
    assert_int_equal(dnnl_memory_desc_init_by_tag(&md, rank, dims, dnnl_f32, dnnl_format_tag_any), dnnl_success);
    return md;
}

/* The layout that the Winograd kernel wants its weights in; false when there is no such kernel. */
static bool wanted(dnnl_memory_desc_t *md, const shape *s, dnnl_engine_t engine)
{
    const dnnl_memory_desc_t x = any_md(4, (const dnnl_dims_t){s->n, s->in, s->side, s->side});
    const dnnl_memory_desc_t w = any_md(4, (const dnnl_dims_t){s->out, s->in, 3, 3});
    const dnnl_memory_desc_t y = any_md(4, (const dnnl_dims_t){s->n, s->out, s->side, s->side});
    const dnnl_dims_t one = {1, 1};
    dnnl_convolution_desc_t d;
    dnnl_primitive_desc_t pd = NULL;
    assert_int_equal(dnnl_convolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_convolution_winograd, &x, &w, NULL, &y,
                                                        one, one, one),
                     dnnl_success);
    if (dnnl_primitive_desc_create(&pd, &d, NULL, engine, NULL) != dnnl_success) return false;
    *md = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    (void)dnnl_primitive_desc_destroy(pd);
    return true;
}

static void reorder(float *to, const dnnl_memory_desc_t *md, float *weights, const shape *s, dnnl_engine_t engine)
{
    dnnl_memory_desc_t plain;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t p;
    dnnl_memory_t a, b;
    dnnl_stream_t stream;
    const dnnl_dims_t dims = {s->out, s->in, 3, 3};
    assert_int_equal(dnnl_memory_desc_init_by_tag(&plain, 4, dims, dnnl_f32, dnnl_abcd), dnnl_success);
    assert_int_equal(dnnl_reorder_primitive_desc_create(&pd, &plain, engine, md, engine, NULL), dnnl_success);
    assert_int_equal(dnnl_primitive_create(&p, pd), dnnl_success);
    assert_int_equal(dnnl_memory_create(&a, &plain, engine, weights), dnnl_success);
    assert_int_equal(dnnl_memory_create(&b, md, engine, to), dnnl_success);
    assert_int_equal(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), dnnl_success);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}};
    assert_int_equal(dnnl_primitive_execute(p, stream, 2, args), dnnl_success);
    assert_int_equal(dnnl_stream_wait(stream), dnnl_success);
    (void)dnnl_stream_destroy(stream);
    (void)dnnl_memory_destroy(b);
    (void)dnnl_memory_destroy(a);
    (void)dnnl_primitive_destroy(p);
    (void)dnnl_primitive_desc_destroy(pd);
}

static void compare(const shape *s, const dnnl_memory_desc_t *md, dnnl_engine_t engine)
{
    const size_t each = (size_t)s->in * 9, count = (size_t)s->out * each;
    const size_t room = dnnl_memory_desc_get_size(md) / sizeof(float);
    float *weights = cxr_mem_new_aligned(count, sizeof *weights), *scaled = cxr_mem_new_aligned(count, sizeof *scaled);
    float *want = cxr_mem_new_aligned(room, sizeof *want), *got = cxr_mem_new_aligned(room, sizeof *got);
    double *scale = cxr_mem_new((size_t)s->out, sizeof *scale);
    assert_true(weights != NULL && scaled != NULL && want != NULL && got != NULL && scale != NULL);
    for (size_t o = 0; o < (size_t)s->out; o++) scale[o] = 0.5 + (double)cxr_rng_uniform(2, o);
    for (size_t i = 0; i < count; i++) {
        weights[i] = cxr_rng_uniform(1, i) - 0.5f;
        scaled[i] = (float)((double)weights[i] * scale[i / each]);
    }
    for (int threads = 1; threads < 4; threads += 2) {
        reorder(want, md, threads == 1 ? weights : scaled, s, engine);
        memset(got, 0xff, room * sizeof *got); /* NaN, unequal to anything */
        cxr_winograd_fill(got, md, weights, threads == 1 ? NULL : scale, threads);
        for (size_t i = 0; i < room; i++)
            if (!(got[i] == want[i]))
                fail_msg("%d images, %d to %d channels, %d x %d: value %zu is %g, not %g", s->n, s->in, s->out, s->side,
                         s->side, i, (double)got[i], (double)want[i]);
    }
    cxr_mem_free(scale);
    cxr_mem_free(got);
    cxr_mem_free(want);
    cxr_mem_free(scaled);
    cxr_mem_free(weights);
}

static void test_weights(void **state)
{
    (void)state;
    dnnl_engine_t engine;
    assert_int_equal(dnnl_engine_create(&engine, dnnl_cpu, 0), dnnl_success);
    for (int i = 0; i < SHAPES; i++) {
        dnnl_memory_desc_t md;
        if (!wanted(&md, &shapes[i], engine)) continue;
        assert_true(cxr_winograd_knows(&md)); /* else the slow way is taken unnoticed */
        compare(&shapes[i], &md, engine);
    }
    (void)dnnl_engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
