/* Our Winograd convolution against plain loops in double: all three passes, whole and cut tiles, few and many of them, more
 * than pass through memory at once; the same bits on any number of threads; nothing read or written beyond its scratch
 * memory. Without AVX-512 there is nothing to test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/onednn_plan.h"
#include "backend/winograd.h"
#include "base/mem.h"
#include "compare.h"
#include "golden.h"
#include <stdint.h>
#include <string.h>

/* The gap of compare.h. The transforms' constants span a factor of 30 and each output is a sum of up to 9 * 160 products: 1e-5
 * was seen. */
#define LIMIT 5e-5

#define CANARY 1024 /* floats behind the scratch memory */

static const cxr_winograd cases[] = {
    {2, 16, 16, 4, 4, 1},   {3, 32, 48, 9, 7, 2}, {5, 48, 32, 8, 12, 2},   {64, 32, 16, 4, 4, 2}, {9, 64, 128, 4, 4, 2},
    {7, 160, 144, 5, 5, 3}, {1, 16, 32, 1, 1, 1}, {40, 16, 32, 16, 16, 1}, {3, 96, 16, 33, 2, 2}, {5, 16, 16, 124, 124, 2}};
enum { CASES = sizeof cases / sizeof cases[0] };

/* What the passes read, what they should give, and what they gave; activations in blocks of 16 channels. */
typedef struct life {
    cxr_winograd c;
    size_t x_count, y_count, w_count;
    float *x, *dy, *w;
    float *y_ref, *dx_ref, *dw_ref;
    float *y, *dx, *dw;
} life;

static float *new_floats(size_t count)
{
    float *p = cxr_mem_new_aligned(count, sizeof *p);
    assert_non_null(p);
    return p;
}

static float *filled(size_t count, uint64_t key)
{
    float *p = new_floats(count);
    cxr_keyed_fill(p, count, cxr_keyed(3, key), -1.0f, 1.0f);
    return p;
}

static size_t place(const cxr_winograd *c, size_t channels, size_t n, size_t channel, size_t y, size_t x)
{
    return (((n * (channels / 16) + channel / 16) * c->h + y) * c->w + x) * 16 + channel % 16;
}

/* Adds one tap between an input and an output channel of one image, to the sums of all three passes. */
static void add_tap(const life *l, double *y, double *dx, double *dw, size_t n, size_t i, size_t o, size_t k)
{
    const cxr_winograd *c = &l->c;
    const double w = (double)l->w[(o * c->in + i) * 9 + k];
    double sum = 0.0;
    for (size_t row = 0; row < c->h; row++) {
        for (size_t column = 0; column < c->w; column++) {
            const size_t from_row = row + k / 3 - 1, from_column = column + k % 3 - 1;
            if (from_row >= c->h || from_column >= c->w) continue;
            const size_t at_x = place(c, c->in, n, i, from_row, from_column), at_y = place(c, c->out, n, o, row, column);
            y[at_y] += w * (double)l->x[at_x];
            dx[at_x] += w * (double)l->dy[at_y];
            sum += (double)l->x[at_x] * (double)l->dy[at_y];
        }
    }
    dw[(o * c->in + i) * 9 + k] += sum;
}

static float *rounded(double *from, size_t count)
{
    float *to = new_floats(count);
    for (size_t i = 0; i < count; i++) to[i] = (float)from[i];
    cxr_mem_free(from);
    return to;
}

static void open_life(life *l, const cxr_winograd *c)
{
    *l = (life){.c = *c, .w_count = c->in * c->out * 9};
    l->x_count = c->n * c->in * c->h * c->w;
    l->y_count = c->n * c->out * c->h * c->w;
    l->x = filled(l->x_count, 1);
    l->dy = filled(l->y_count, 2);
    l->w = filled(l->w_count, 3);
    double *y = cxr_mem_new(l->y_count, sizeof *y), *dx = cxr_mem_new(l->x_count, sizeof *dx);
    double *dw = cxr_mem_new(l->w_count, sizeof *dw);
    assert_true(y != NULL && dx != NULL && dw != NULL);
    for (size_t n = 0; n < c->n; n++)
        for (size_t o = 0; o < c->out; o++)
            for (size_t i = 0; i < c->in; i++)
                for (size_t k = 0; k < 9; k++) add_tap(l, y, dx, dw, n, i, o, k);
    l->y_ref = rounded(y, l->y_count);
    l->dx_ref = rounded(dx, l->x_count);
    l->dw_ref = rounded(dw, l->w_count);
    l->y = new_floats(l->y_count);
    l->dx = new_floats(l->x_count);
    l->dw = new_floats(l->w_count);
}

static void close_life(life *l)
{
    float *const all[] = {l->x, l->dy, l->w, l->y_ref, l->dx_ref, l->dw_ref, l->y, l->dx, l->dw};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) cxr_mem_free(all[i]);
}

/* Scratch memory that begins as not-a-number: what a pass reads of it, it must have written. */
static void run_pass(const life *l, cxr_winograd_pass pass)
{
    const size_t count = cxr_winograd_scratch(&l->c, pass);
    float *scratch = new_floats(count + CANARY);
    memset(scratch, 0xff, (count + CANARY) * sizeof *scratch);
    switch (pass) {
    case CXR_WINOGRAD_FORWARD: cxr_winograd_forward(&l->c, l->x, l->w, l->y, scratch); break;
    case CXR_WINOGRAD_DATA: cxr_winograd_data(&l->c, l->dy, l->w, l->dx, scratch); break;
    case CXR_WINOGRAD_WEIGHTS: cxr_winograd_weights(&l->c, l->x, l->dy, l->dw, scratch); break;
    }
    const unsigned char *behind = (const unsigned char *)(scratch + count);
    for (size_t i = 0; i < CANARY * sizeof *scratch; i++) assert_int_equal(behind[i], 0xff);
    cxr_mem_free(scratch);
}

static void run_all(const life *l)
{
    memset(l->y, 0xff, l->y_count * sizeof(float));
    memset(l->dx, 0xff, l->x_count * sizeof(float));
    memset(l->dw, 0, l->w_count * sizeof(float));
    for (int pass = CXR_WINOGRAD_FORWARD; pass <= CXR_WINOGRAD_WEIGHTS; pass++) run_pass(l, (cxr_winograd_pass)pass);
}

static void near(const char *what, const life *l, const float *got, const float *ref, size_t count)
{
    const cxr_gap worst = cxr_gap_of(got, ref, count);
    if (!(worst.gap <= LIMIT))
        fail_msg("%s, %zu x (%zu, %zu, %zu) to %zu: gap %.3g at %zu: got %.9g, reference %.9g", what, l->c.n, l->c.in, l->c.h,
                 l->c.w, l->c.out, worst.gap, worst.at, worst.got, worst.ref);
}

static void test_passes(void **state)
{
    (void)state;
    for (int i = 0; cxr_lanes() == 16 && i < CASES; i++) {
        life l;
        open_life(&l, &cases[i]);
        run_all(&l);
        near("forward", &l, l.y, l.y_ref, l.y_count);
        near("backward to the data", &l, l.dx, l.dx_ref, l.x_count);
        near("backward to the weights", &l, l.dw, l.dw_ref, l.w_count);
        run_pass(&l, CXR_WINOGRAD_WEIGHTS); /* adds */
        for (size_t k = 0; k < l.w_count; k++) l.dw_ref[k] *= 2.0f;
        near("twice", &l, l.dw, l.dw_ref, l.w_count);
        close_life(&l);
    }
}

static void test_threads(void **state)
{
    (void)state;
    for (int i = 0; cxr_lanes() == 16 && i < CASES - 1; i++) {
        life l;
        open_life(&l, &cases[i]);
        l.c.threads = 1;
        run_all(&l);
        memcpy(l.y_ref, l.y, l.y_count * sizeof(float));
        memcpy(l.dx_ref, l.dx, l.x_count * sizeof(float));
        memcpy(l.dw_ref, l.dw, l.w_count * sizeof(float));
        for (l.c.threads = 2; l.c.threads <= 5; l.c.threads++) {
            run_all(&l);
            assert_memory_equal(l.y, l.y_ref, l.y_count * sizeof(float));
            assert_memory_equal(l.dx, l.dx_ref, l.x_count * sizeof(float));
            assert_memory_equal(l.dw, l.dw_ref, l.w_count * sizeof(float));
        }
        close_life(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_passes), cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
