/* What is drawn for mixing has the distributions of the papers, and mixing does to pixels what it says. Bounds are five standard
 * errors: with a fixed key they hold or fail for good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/mix.h"
#include "data/subset.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 20000, SIDE = 64 };

static cxr_mix draw(float mixup, float cutmix, int i)
{
    cxr_mix m;
    cxr_mix_draw(&m, mixup, cutmix, SIDE, cxr_rng_key(3, CXR_FOR_TEST, 0, (uint64_t)i));
    return m;
}

/* Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)); for a = 1 it is uniform. */
static void shares_have_the_beta_distribution(void **state)
{
    (void)state;
    static const float as[] = {0.1f, 0.2f, 0.5f, 1};
    for (size_t k = 0; k < 4; k++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < N; i++) {
            const cxr_mix m = draw(as[k], 0, i);
            assert_true(!m.cut && m.share >= 0 && m.share <= 1);
            sum += m.share - 0.5;
            squares += (m.share - 0.5) * (m.share - 0.5);
        }
        const double variance = 1 / (4 * (2 * (double)as[k] + 1));
        assert_true(fabs(sum / N) <= 5 * sqrt(variance / N));
        assert_true(fabs(squares / N - variance) <= 5 * 0.25 / sqrt(N)); /* (share - 1/2)^2 is at most 1/4 */
    }
    double below = 0;
    for (int i = 0; i < N; i++) below += draw(1, 0, i).share < 0.1;
    assert_true(fabs(below / N - 0.1) <= 5 * sqrt(0.09 / N));
}

/* The share is what is left of the image, whatever the edges cut off; in the middle of the image the area is the share drawn. */
static void patches_leave_the_share(void **state)
{
    (void)state;
    double middle = 0;
    for (int i = 0; i < N; i++) {
        const cxr_mix m = draw(0, 1, i);
        const cxr_crop p = m.patch;
        assert_true(m.cut && p.left >= 0 && p.top >= 0 && p.left + p.width <= SIDE && p.top + p.height <= SIDE);
        assert_true(fabs(m.share - (1 - (double)p.width * p.height / (SIDE * SIDE))) < 1e-12);
        middle += p.left + 0.5 * p.width - 0.5 * SIDE;
    }
    assert_true(fabs(middle / N) <= 5 * SIDE / sqrt(12.0 * N) + 0.5);
}

static void both_take_turns(void **state)
{
    (void)state;
    int cuts = 0;
    for (int i = 0; i < N; i++) cuts += draw(0.2f, 1, i).cut;
    assert_true(abs(cuts - N / 2) <= 5 * sqrt(N * 0.25));
    const cxr_mix none = draw(0, 0, 0);
    assert_true(!none.cut && none.share == 1);
}

static void fill(uint8_t *pixels, int n)
{
    for (size_t i = 0, count = (size_t)n * SIDE * SIDE; i < count; i++) pixels[i] = (uint8_t)cxr_rng_u64(5, i);
}

static void pairs_are_blended(void **state)
{
    (void)state;
    static uint8_t before[3 * SIDE * SIDE], after[3 * SIDE * SIDE];
    const cxr_mix m = {.share = 0.3};
    fill(before, 3);
    memcpy(after, before, sizeof after);
    cxr_mix_apply(&m, after, 3, SIDE);
    for (int n = 0; n < 3; n++)
        for (int i = 0; i < SIDE * SIDE; i++) {
            const double want = 0.3 * before[n * SIDE * SIDE + i] + 0.7 * before[(2 - n) * SIDE * SIDE + i];
            assert_true(fabs(after[n * SIDE * SIDE + i] - want) <= 0.51); /* rounded, the share to 16 bits */
        }
}

static void pairs_swap_a_patch(void **state)
{
    (void)state;
    static uint8_t before[2 * SIDE * SIDE], after[2 * SIDE * SIDE];
    const cxr_mix m = {.share = 0.5, .cut = true, .patch = {10, 20, 30, 5}};
    fill(before, 2);
    memcpy(after, before, sizeof after);
    cxr_mix_apply(&m, after, 2, SIDE);
    for (int n = 0; n < 2; n++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                const bool inside = x >= 10 && x < 40 && y >= 20 && y < 25;
                const int from = inside ? 1 - n : n;
                assert_int_equal(after[(n * SIDE + y) * SIDE + x], before[(from * SIDE + y) * SIDE + x]);
            }
}

/* 900 images of class 0, 90 of class 2, 10 of class 3: a third of the draws each, any image of a class as likely as another. */
static void balanced_draws_are(void **state)
{
    (void)state;
    static int labels[1000];
    static uint32_t order[1000];
    for (int i = 0; i < 1000; i++) labels[i] = i < 900 ? 0 : i < 990 ? 2 : 3;
    const cxr_subset s = {.labels = labels, .count = 1000};
    double drawn[4] = {0}, early = 0;
    enum { TURNS = 20 };
    for (uint64_t t = 0; t < TURNS; t++) {
        cxr_subset_draw_balanced(&s, order, cxr_rng_key(4, CXR_FOR_TEST, t, 0));
        for (int i = 0; i < 1000; i++) {
            assert_in_range(order[i], 0, 999);
            drawn[labels[order[i]]] += 1;
            early += order[i] < 450;
        }
    }
    const double n = 1000.0 * TURNS, third = n / 3, error = 5 * sqrt(n * 2 / 9);
    assert_true(fabs(drawn[0] - third) <= error && fabs(drawn[2] - third) <= error && fabs(drawn[3] - third) <= error);
    assert_true(fabs(early - drawn[0] / 2) <= 5 * sqrt(drawn[0] / 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_have_the_beta_distribution),
        cmocka_unit_test(patches_leave_the_share),
        cmocka_unit_test(both_take_turns),
        cmocka_unit_test(pairs_are_blended),
        cmocka_unit_test(pairs_swap_a_patch),
        cmocka_unit_test(balanced_draws_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
