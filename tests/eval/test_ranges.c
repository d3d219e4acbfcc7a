/* The range that 8 bits cover: what it is chosen from, and that it is the one of the least squared error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "eval/ranges.h"
#include <math.h>
#include <string.h>

#define COUNT 20000

static cxr_range range;

static void reset(void **state)
{
    (void)state;
    memset(&range, 0, sizeof range);
}

static uint64_t total(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < CXR_RANGE_BINS; i++) sum += range.bins[i];
    return sum;
}

/* Every value but zero is counted once, in the bin of its magnitude, however late the largest comes. */
static void test_bins(void **state)
{
    reset(state);
    cxr_range_add(&range, (const float[]){0.0f, 0.25f, -1.0f}, 3);
    cxr_range_add(&range, (const float[]){-5.0f, 0.0f, 0.5f}, 3);
    assert_true(range.peak == 5.0f);
    assert_true(range.range == 8.0);
    assert_int_equal(total(), 4);
    const double magnitudes[] = {0.25, 0.5, 1.0, 5.0};
    for (int i = 0; i < 4; i++) {
        const size_t bin = (size_t)(magnitudes[i] * CXR_RANGE_BINS / 8.0);
        assert_true(range.bins[bin] + range.bins[bin - 1] == 1); /* the range's end falls into the bin below */
    }
}

static void test_nothing_seen(void **state)
{
    reset(state);
    cxr_range_add(&range, (const float[]){0.0f, -0.0f}, 2);
    assert_int_equal(total(), 0);
    assert_true(cxr_range_choose(&range, 255) == 0.0f);
}

static void test_not_a_number(void **state)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        reset(state);
        cxr_range_add(&range, (const float[]){1.0f, bad[i], 2.0f}, 3);
        cxr_range_add(&range, (const float[]){3.0f}, 1);
        assert_true(!isfinite(range.peak));
    }
}

/* The squared error of values rounded to steps of top / levels and clipped at top. */
static double squared_error(const float *x, int count, double top, int levels)
{
    double sum = 0.0;
    for (int i = 0; i < count; i++) {
        const double step = top / levels, v = fmin(fabs((double)x[i]), top);
        const double d = nearbyint(v / step) * step - fabs((double)x[i]);
        sum += d * d;
    }
    return sum;
}

/* Against rounding itself, for normal values with rare large ones: within a tenth of the least error, the bins being what the
 * choice knows; with few levels the largest value is a far worse choice. */
static void test_least_error(void **state)
{
    static float x[COUNT];
    reset(state);
    for (int i = 0; i < COUNT; i++) x[i] = (float)cxr_rng_normal(3, (uint64_t)i);
    for (int i = 0; i < COUNT; i += 5000) x[i] *= 5.0f;
    cxr_range_add(&range, x, COUNT);
    for (int levels = 15; levels <= 255; levels += 240) {
        const double chosen = (double)cxr_range_choose(&range, levels), got = squared_error(x, COUNT, chosen, levels);
        double least = INFINITY;
        for (int i = 1; i <= 200; i++) least = fmin(least, squared_error(x, COUNT, (double)range.peak * i / 200.0, levels));
        assert_true(chosen <= (double)range.peak);
        assert_true(got <= 1.1 * least);
        assert_true(levels == 255 || got < 0.7 * squared_error(x, COUNT, (double)range.peak, levels));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bins),
        cmocka_unit_test(test_nothing_seen),
        cmocka_unit_test(test_not_a_number),
        cmocka_unit_test(test_least_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
