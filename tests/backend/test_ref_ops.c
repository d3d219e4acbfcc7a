/* The reference operators against PyTorch (fixtures/ops.txt, float64) and, backward, against finite differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "backend/ref_ops.h"
#include "base/mem.h"
#include "golden.h"
#include <stdlib.h>
#include <string.h>

#define SEED 20240607u /* tools/make_golden.py */

/* Both sides compute in double; results are rounded to f32 once (backward adds to zero): 6e-8, and PyTorch's printed 9 digits. */
#define GOLDEN_TOLERANCE 2e-7
/* Central differences of f32 outputs: the rounding of inputs x + e d (6e-8 / e) and outputs, and e^2 of the third derivative. */
#define DIFFERENCE_TOLERANCE 1e-3
#define STEP                 1e-2

enum { X = 1, W, B, DY, X2 }; /* slots of keyed inputs, as in tools/golden/operators.py */

static cxr_golden *golden;

static float *floats(size_t count)
{
    float *p = cxr_mem_new(count, sizeof *p);
    assert_non_null(p);
    return p;
}

static float *made(int i, int slot, size_t count, float low, float high)
{
    float *p = floats(count);
    cxr_keyed_fill(p, count, cxr_keyed(SEED, (uint64_t)(16 * i + slot)), low, high);
    return p;
}

/* The integers that build case i of an operator; false when there is no such case. At least one must exist. */
static bool shape_of(const char *op, int i, int count, size_t shape[8])
{
    const float *s = cxr_golden_get(golden, (size_t)count, "%s.%d.shape", op, i);
    for (int k = 0; s != NULL && k < count; k++) shape[k] = (size_t)s[k];
    if (i == 0) assert_non_null(s);
    return s != NULL;
}

static void check(const char *op, int i, const char *what, const float *got, size_t count)
{
    const float *ref = cxr_golden_get(golden, count, "%s.%d.%s", op, i, what);
    if (ref == NULL) fail_msg("%s.%d.%s is not in the fixture with %zu numbers", op, i, what, count);
    const cxr_gap worst = cxr_gap_of(got, ref, count);
    if (!(worst.gap <= GOLDEN_TOLERANCE))
        fail_msg("%s.%d.%s: gap %.3g at %zu: got %.9g, PyTorch %.9g", op, i, what, worst.gap, worst.at, worst.got, worst.ref);
}

static void release(float **arrays, size_t count)
{
    for (size_t i = 0; i < count; i++) cxr_mem_free(arrays[i]);
}
#define RELEASE(...) release((float *[]){__VA_ARGS__}, sizeof((float *[]){__VA_ARGS__}) / sizeof(float *))

/* ---- Finite differences ---- */

/* f(ctx, x) is a scalar function of an array. The central difference along a keyed direction must equal gradient . direction. */
static void check_difference(const char *what, double (*f)(void *ctx, const float *x), void *ctx, const float *x,
                             const float *gradient, size_t count, double step)
{
    float *d = made(99, X, count, -1.0f, 1.0f), *moved = floats(count);
    double dot = 0.0, side[2];
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < count; i++) moved[i] = (float)((double)x[i] + (s == 0 ? -step : step) * (double)d[i]);
        side[s] = f(ctx, moved);
    }
    for (size_t i = 0; i < count; i++) dot += (double)gradient[i] * (double)d[i];
    const double number = (side[1] - side[0]) / (2.0 * step);
    if (!cxr_close(dot, number, DIFFERENCE_TOLERANCE * 0.1, DIFFERENCE_TOLERANCE))
        fail_msg("%s: gradient along a direction %.9g, central difference %.9g", what, dot, number);
    RELEASE(d, moved);
}

static double dot_of(const float *a, const float *b, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* ---- Convolution ---- */

typedef struct conv_case {
    cxr_slide s;
    float *x, *w, *y, *dy;
    size_t nx, nw, ny;
} conv_case;

static double conv_of_x(void *ctx, const float *x)
{
    conv_case *c = ctx;
    cxr_ref_conv(c->y, x, c->w, &c->s);
    return dot_of(c->y, c->dy, c->ny);
}

static double conv_of_w(void *ctx, const float *w)
{
    conv_case *c = ctx;
    cxr_ref_conv(c->y, c->x, w, &c->s);
    return dot_of(c->y, c->dy, c->ny);
}

static cxr_slide slide(size_t n, size_t c, size_t h, size_t w, size_t out, size_t kernel, size_t stride, size_t pad)
{
    cxr_slide s = {.n = (ptrdiff_t)n, .c = (ptrdiff_t)c, .h = (ptrdiff_t)h, .w = (ptrdiff_t)w, .out = (ptrdiff_t)out};
    s.kernel = (ptrdiff_t)kernel;
    s.stride = (ptrdiff_t)stride;
    s.pad = (ptrdiff_t)pad;
    s.oh = (s.h + 2 * s.pad - s.kernel) / s.stride + 1;
    s.ow = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
    return s;
}

static void test_conv(void **state)
{
    (void)state;
    size_t v[8];
    for (int i = 0; shape_of("conv", i, 8, v); i++) {
        conv_case c = {.s = slide(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])};
        c.nx = v[0] * v[1] * v[2] * v[3];
        c.nw = v[4] * v[1] * v[5] * v[5];
        c.ny = v[0] * v[4] * (size_t)c.s.oh * (size_t)c.s.ow;
        c.x = made(i, X, c.nx, -1, 1);
        c.w = made(i, W, c.nw, -1, 1);
        c.dy = made(i, DY, c.ny, -1, 1);
        c.y = floats(c.ny);
        float *dx = floats(c.nx), *dw = floats(c.nw);
        double *scratch = cxr_mem_new(cxr_ref_conv_scratch(&c.s), sizeof *scratch);
        assert_non_null(scratch);
        cxr_ref_conv(c.y, c.x, c.w, &c.s);
        cxr_ref_conv_backward(dx, dw, c.dy, c.x, c.w, &c.s, scratch);
        check("conv", i, "y", c.y, c.ny);
        check("conv", i, "dx", dx, c.nx);
        check("conv", i, "dw", dw, c.nw);
        check_difference("convolution dx", conv_of_x, &c, c.x, dx, c.nx, 0.5); /* linear: a long step only helps */
        check_difference("convolution dw", conv_of_w, &c, c.w, dw, c.nw, 0.5);
        cxr_mem_free(scratch);
        RELEASE(c.x, c.w, c.y, c.dy, dx, dw);
    }
}

/* ---- Batch norm ---- */

typedef struct norm_case {
    size_t n, c, hw;
    float *x, *gamma, *beta, *y, *dy;
    double mean[8], var[8];
} norm_case;

static double norm_run(norm_case *c, const float *x, const float *gamma, const float *beta)
{
    cxr_ref_moments(c->mean, c->var, x, c->n, c->c, c->hw);
    cxr_ref_batchnorm(c->y, x, c->mean, c->var, gamma, beta, (double)1e-5f, c->n, c->c, c->hw);
    return dot_of(c->y, c->dy, c->n * c->c * c->hw);
}

static double norm_of_x(void *ctx, const float *x)
{
    norm_case *c = ctx;
    return norm_run(c, x, c->gamma, c->beta);
}

static double norm_of_gamma(void *ctx, const float *gamma)
{
    norm_case *c = ctx;
    return norm_run(c, c->x, gamma, c->beta);
}

static double norm_of_beta(void *ctx, const float *beta)
{
    norm_case *c = ctx;
    return norm_run(c, c->x, c->gamma, beta);
}

static void check_inference_norm(int i, norm_case *c, size_t count)
{
    float *mean = made(i, X2, c->c, -1, 1), *var = made(i, X2, c->c, 0.5f, 1.5f);
    for (size_t k = 0; k < c->c; k++) {
        c->mean[k] = (double)mean[k];
        c->var[k] = (double)var[k];
    }
    cxr_ref_batchnorm(c->y, c->x, c->mean, c->var, c->gamma, c->beta, 1e-5, c->n, c->c, c->hw);
    check("batchnorm", i, "infer", c->y, count);
    RELEASE(mean, var);
}

static void test_batchnorm(void **state)
{
    (void)state;
    size_t v[8];
    for (int i = 0; shape_of("batchnorm", i, 4, v); i++) {
        norm_case c = {.n = v[0], .c = v[1], .hw = v[2] * v[3]};
        const size_t count = c.n * c.c * c.hw;
        c.x = made(i, X, count, -1, 2);
        c.gamma = made(i, W, c.c, -1, 1);
        c.beta = made(i, B, c.c, -1, 1);
        c.dy = made(i, DY, count, -1, 1);
        c.y = floats(count);
        float *dx = floats(count), *dgamma = floats(c.c), *dbeta = floats(c.c);
        check_inference_norm(i, &c, count);
        (void)norm_run(&c, c.x, c.gamma, c.beta);
        check("batchnorm", i, "y", c.y, count);
        cxr_ref_batchnorm_backward(dx, dgamma, dbeta, c.dy, c.x, c.mean, c.var, c.gamma, 1e-5, c.n, c.c, c.hw);
        /* Two values normalise to -1 and 1 whatever they are: dx is zero but for epsilon. */
        if (c.n * c.hw > 2) check("batchnorm", i, "dx", dx, count);
        check("batchnorm", i, "dgamma", dgamma, c.c);
        check("batchnorm", i, "dbeta", dbeta, c.c);
        if (c.n * c.hw > 2) check_difference("batch norm dx", norm_of_x, &c, c.x, dx, count, STEP * 0.1);
        check_difference("batch norm dgamma", norm_of_gamma, &c, c.gamma, dgamma, c.c, 0.5);
        check_difference("batch norm dbeta", norm_of_beta, &c, c.beta, dbeta, c.c, 0.5);
        RELEASE(c.x, c.gamma, c.beta, c.y, c.dy, dx, dgamma, dbeta);
    }
}

/* ---- Pools ---- */

/* Values 0..3 in f32, so that windows hold ties: the gradient must go to PyTorch's choice. */
static void test_maxpool(void **state)
{
    (void)state;
    size_t v[8];
    for (int i = 0; shape_of("maxpool", i, 7, v); i++) {
        const cxr_slide s = slide(v[0], v[1], v[2], v[3], v[1], v[4], v[5], v[6]);
        const size_t nx = v[0] * v[1] * v[2] * v[3], ny = v[0] * v[1] * (size_t)s.oh * (size_t)s.ow;
        float *x = made(i, X, nx, 0, 4), *dy = made(i, DY, ny, -1, 1), *y = floats(ny), *dx = floats(nx);
        for (size_t k = 0; k < nx; k++) x[k] = floorf(x[k]);
        cxr_ref_maxpool(y, x, &s);
        cxr_ref_maxpool_backward(dx, dy, x, &s);
        check("maxpool", i, "y", y, ny);
        check("maxpool", i, "dx", dx, nx);
        RELEASE(x, y, dx, dy);
    }
}

static void test_maxpool_of_nan(void **state)
{
    (void)state;
    const cxr_slide s = slide(1, 1, 2, 3, 1, 2, 1, 0);
    const float x[6] = {1, NAN, 2, 3, 4, 5}, dy[2] = {1, 1};
    float y[2], dx[6] = {0};
    cxr_ref_maxpool(y, x, &s);
    cxr_ref_maxpool_backward(dx, dy, x, &s);
    assert_true(isnan(y[0]) && isnan(y[1]));
    assert_true(dx[1] == 2.0f);
}

static void test_avgpool(void **state)
{
    (void)state;
    size_t v[8];
    for (int i = 0; shape_of("avgpool", i, 4, v); i++) {
        const size_t nc = v[0] * v[1], hw = v[2] * v[3];
        float *x = made(i, X, nc * hw, -1, 1), *dy = made(i, DY, nc, -1, 1), *y = floats(nc), *dx = floats(nc * hw);
        cxr_ref_avgpool(y, x, nc, hw);
        cxr_ref_avgpool_backward(dx, dy, nc, hw);
        check("avgpool", i, "y", y, nc);
        check("avgpool", i, "dx", dx, nc * hw);
        RELEASE(x, y, dx, dy);
    }
}

/* ---- Element by element, linear, log-softmax ---- */

static void test_relu(void **state)
{
    (void)state;
    size_t v[8];
    for (int i = 0; shape_of("relu", i, 4, v); i++) {
        const size_t count = v[0] * v[1] * v[2] * v[3];
        float *x = made(i, X, count, -1, 1), *dy = made(i, DY, count, -1, 1), *y = floats(count), *dx = floats(count);
        cxr_ref_relu(y, x, count);
        cxr_ref_relu_backward(dx, dy, y, count);
        check("relu", i, "y", y, count);
        check("relu", i, "dx", dx, count);
        RELEASE(x, y, dx, dy);
    }
    float nan = NAN, out;
    cxr_ref_relu(&out, &nan, 1);
    assert_true(isnan(out)); /* a NaN must reach the loss, which stops on it */
}

static void test_dropout(void **state)
{
    (void)state;
    static const float rates[] = {0.5f, 0.25f, 0.0f};
    size_t v[8];
    for (int i = 0; shape_of("dropout", i, 4, v); i++) {
        const size_t count = v[0] * v[1] * v[2] * v[3];
        const uint64_t key = cxr_keyed(SEED, (uint64_t)(16 * i + X2));
        float *x = made(i, X, count, -1, 1), *dy = made(i, DY, count, -1, 1), *y = floats(count), *dx = floats(count);
        cxr_ref_dropout(y, x, count, rates[i], key, 40 + i);
        cxr_ref_dropout_backward(dx, dy, count, rates[i], key, 40 + i);
        check("dropout", i, "y", y, count);
        check("dropout", i, "dx", dx, count);
        RELEASE(x, y, dx, dy);
    }
}

static void test_normalize(void **state)
{
    (void)state;
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    size_t v[8];
    for (int i = 0; shape_of("normalize", i, 4, v); i++) {
        const size_t hw = v[2] * v[3], count = v[0] * hw;
        uint8_t *pixels = cxr_mem_new(count, 1);
        assert_non_null(pixels);
        float *x = floats(count), *y = floats(3 * count);
        cxr_keyed_pixels(pixels, count, cxr_keyed(SEED, (uint64_t)(16 * i + X)));
        for (size_t k = 0; k < count; k++) x[k] = (float)pixels[k];
        cxr_ref_normalize(y, x, v[0], hw, mean, std);
        check("normalize", i, "y", y, 3 * count);
        cxr_mem_free(pixels);
        RELEASE(x, y);
    }
}

static void test_add(void **state)
{
    (void)state;
    const float a[3] = {1, 2, 3}, b[3] = {10, 20, 30};
    float y[3], dx[3] = {100, 100, 100};
    cxr_ref_add(y, a, b, 3);
    cxr_ref_accumulate(dx, y, 3);
    for (int i = 0; i < 3; i++) assert_true(y[i] == a[i] + b[i] && dx[i] == 100.0f + y[i]);
}

typedef struct linear_case {
    size_t n, in, out;
    float *x, *w, *b, *y, *dy;
} linear_case;

static double linear_of_x(void *ctx, const float *x)
{
    linear_case *c = ctx;
    cxr_ref_linear(c->y, x, c->w, c->b, c->n, c->in, c->out);
    return dot_of(c->y, c->dy, c->n * c->out);
}

static double linear_of_w(void *ctx, const float *w)
{
    linear_case *c = ctx;
    cxr_ref_linear(c->y, c->x, w, c->b, c->n, c->in, c->out);
    return dot_of(c->y, c->dy, c->n * c->out);
}

static double linear_of_b(void *ctx, const float *b)
{
    linear_case *c = ctx;
    cxr_ref_linear(c->y, c->x, c->w, b, c->n, c->in, c->out);
    return dot_of(c->y, c->dy, c->n * c->out);
}

static void test_linear(void **state)
{
    (void)state;
    size_t v[8];
    for (int i = 0; shape_of("linear", i, 3, v); i++) {
        linear_case c = {.n = v[0], .in = v[1], .out = v[2]};
        const size_t nx = c.n * c.in, nw = c.out * c.in, ny = c.n * c.out;
        c.x = made(i, X, nx, -1, 1);
        c.w = made(i, W, nw, -1, 1);
        c.b = made(i, B, c.out, -1, 1);
        c.dy = made(i, DY, ny, -1, 1);
        c.y = floats(ny);
        float *dx = floats(nx), *dw = floats(nw), *db = floats(c.out);
        cxr_ref_linear(c.y, c.x, c.w, c.b, c.n, c.in, c.out);
        cxr_ref_linear_backward(dx, dw, db, c.dy, c.x, c.w, c.n, c.in, c.out);
        check("linear", i, "y", c.y, ny);
        check("linear", i, "dx", dx, nx);
        check("linear", i, "dw", dw, nw);
        check("linear", i, "db", db, c.out);
        check_difference("linear dx", linear_of_x, &c, c.x, dx, nx, 0.5);
        check_difference("linear dw", linear_of_w, &c, c.w, dw, nw, 0.5);
        check_difference("linear db", linear_of_b, &c, c.b, db, c.out, 0.5);
        RELEASE(c.x, c.w, c.b, c.y, c.dy, dx, dw, db);
    }
}

typedef struct softmax_case {
    size_t n, c, hw;
    float *y, *dy;
} softmax_case;

static double softmax_of_x(void *ctx, const float *x)
{
    softmax_case *c = ctx;
    cxr_ref_logsoftmax(c->y, x, c->n, c->c, c->hw);
    return dot_of(c->y, c->dy, c->n * c->c * c->hw);
}

static void test_logsoftmax(void **state)
{
    (void)state;
    size_t v[8];
    for (int i = 0; shape_of("logsoftmax", i, 4, v); i++) {
        softmax_case c = {.n = v[0], .c = v[1], .hw = v[2] * v[3]};
        const size_t count = c.n * c.c * c.hw;
        float *x = made(i, X, count, -30, 30), *dx = floats(count);
        c.dy = made(i, DY, count, -1, 1);
        c.y = floats(count);
        (void)softmax_of_x(&c, x);
        cxr_ref_logsoftmax_backward(dx, c.dy, c.y, c.n, c.c, c.hw);
        check("logsoftmax", i, "y", c.y, count);
        check("logsoftmax", i, "dx", dx, count);
        check_difference("log-softmax dx", softmax_of_x, &c, x, dx, count, STEP);
        RELEASE(x, dx, c.y, c.dy);
    }
}

/* Finite differences of the operators with kinks, on inputs that stay clear of them: values i * 0.1, shuffled, signs alternate. */
typedef struct kink_case {
    cxr_slide s;
    float *y, *dy;
    size_t nx, ny;
    int op; /* 0 relu, 1 max pool, 2 average pool, 3 dropout */
} kink_case;

static double kink_of_x(void *ctx, const float *x)
{
    kink_case *c = ctx;
    switch (c->op) {
    case 0: cxr_ref_relu(c->y, x, c->nx); break;
    case 1: cxr_ref_maxpool(c->y, x, &c->s); break;
    case 2: cxr_ref_avgpool(c->y, x, 6, 30); break;
    default: cxr_ref_dropout(c->y, x, c->nx, 0.3f, 7, 5); break;
    }
    return dot_of(c->y, c->dy, c->ny);
}

static void kink_backward(const kink_case *c, float *dx, const float *x)
{
    switch (c->op) {
    case 0: cxr_ref_relu_backward(dx, c->dy, c->y, c->nx); break;
    case 1: cxr_ref_maxpool_backward(dx, c->dy, x, &c->s); break;
    case 2: cxr_ref_avgpool_backward(dx, c->dy, 6, 30); break;
    default: cxr_ref_dropout_backward(dx, c->dy, c->nx, 0.3f, 7, 5); break;
    }
}

static void test_differences_of_kinks(void **state)
{
    (void)state;
    static const char *const names[] = {"relu dx", "max pool dx", "average pool dx", "dropout dx"};
    for (int op = 0; op < 4; op++) {
        kink_case c = {.s = slide(2, 3, 5, 6, 3, 3, 2, 1), .nx = 180, .op = op};
        c.ny = op == 1 ? 6 * (size_t)c.s.oh * (size_t)c.s.ow : op == 2 ? 6 : c.nx;
        float *x = floats(c.nx), *dx = floats(c.nx);
        c.y = floats(c.ny);
        c.dy = made(op, DY, c.ny, -1, 1);
        for (size_t i = 0; i < c.nx; i++) x[i] = (i % 2 == 0 ? 0.1f : -0.1f) * (float)((i * 77) % 180 + 1);
        (void)kink_of_x(&c, x);
        kink_backward(&c, dx, x);
        check_difference(names[op], kink_of_x, &c, x, dx, c.nx, STEP);
        RELEASE(x, dx, c.y, c.dy);
    }
}

/* Every backward adds to what the gradient holds, and skips a NULL input gradient. */
static void test_backward_adds(void **state)
{
    (void)state;
    const float x[2] = {1, 2}, dy[1] = {3}, w[2] = {4, 5};
    float dx[2] = {100, 100}, dw[2] = {10, 10}, db[1] = {1};
    cxr_ref_linear_backward(dx, dw, db, dy, x, w, 1, 2, 1);
    assert_true(dx[0] == 112.0f && dx[1] == 115.0f && dw[0] == 13.0f && dw[1] == 16.0f && db[0] == 4.0f);
    cxr_ref_linear_backward(NULL, dw, db, dy, x, w, 1, 2, 1);
    assert_true(dw[0] == 16.0f && db[0] == 7.0f);
    const cxr_slide s = slide(1, 1, 1, 2, 1, 1, 1, 0);
    const float dy2[2] = {1, 1}, w1[1] = {4};
    double scratch[2];
    cxr_ref_conv_backward(dx, dw, dy2, x, w1, &s, scratch);
    assert_true(dx[0] == 116.0f && dx[1] == 119.0f && dw[0] == 19.0f);
    cxr_ref_conv_backward(NULL, dw, dy2, x, w1, &s, scratch);
    assert_true(dw[0] == 22.0f);
}

int main(void)
{
    golden = cxr_golden_open(FIXTURES "/ops.txt");
    if (golden == NULL) return CXR_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),           cmocka_unit_test(test_batchnorm),  cmocka_unit_test(test_maxpool),
        cmocka_unit_test(test_maxpool_of_nan), cmocka_unit_test(test_avgpool),    cmocka_unit_test(test_relu),
        cmocka_unit_test(test_dropout),        cmocka_unit_test(test_normalize),  cmocka_unit_test(test_add),
        cmocka_unit_test(test_linear),         cmocka_unit_test(test_logsoftmax), cmocka_unit_test(test_differences_of_kinks),
        cmocka_unit_test(test_backward_adds),
    };
    const int failed = cmocka_run_group_tests_name("reference operators", tests, NULL, NULL);
    cxr_golden_close(&golden);
    return failed != 0;
}
