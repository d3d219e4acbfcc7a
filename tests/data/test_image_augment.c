/* The numbers behind the augmentations have the documented distributions and never leave their ranges. The bounds of a mean
 * or share over N draws are five standard errors: with a fixed key they hold or fail for good. */
#include "base/rng.h"
#include "golden_images.h"
#include <math.h>

enum { N = 20000 };

static cxr_draw draw(const cxr_augment *aug, int width, int height, int i)
{
    cxr_draw d;
    cxr_draw_make(&d, aug, width, height, cxr_rng_key(1, CXR_FOR_TEST, 0, (uint64_t)i));
    return d;
}

/* Of N draws from the uniform distribution on [low, high]. */
static void assert_uniform(double sum, double squares, double low, double high)
{
    const double mean = sum / N, variance = squares / N - mean * mean, width = high - low;
    assert_true(fabs(mean - (low + high) / 2) <= 5 * width / sqrt(12.0 * N));
    assert_true(fabs(variance - width * width / 12) <= 5 * width * width * sqrt(1.0 / 180 / N));
}

static void flip_has_its_probability(void **state)
{
    (void)state;
    const float shares[] = {0, 0.1f, 0.5f, 1};
    for (size_t s = 0; s < 4; s++) {
        const cxr_augment aug = {.flip = shares[s]};
        int flips = 0;
        for (int i = 0; i < N; i++) flips += draw(&aug, 10, 10, i).flip;
        const double p = shares[s];
        assert_true(fabs(flips - p * N) <= 5 * sqrt(p * (1 - p) * N));
    }
}

static void ranges_are_uniform(void **state)
{
    (void)state;
    enum { RANGES = 6 };
    const cxr_augment aug = {
        .rotate_degrees = 10, .brightness = 0.4f, .contrast = 0.2f, .zoom = 0.3f, .gamma = 1, .noise = 0.1f};
    double sum[RANGES] = {0}, squares[RANGES] = {0};
    const double low[RANGES] = {-10, 0.6, 0.8, 0.7, -log(2), 0}, high[RANGES] = {10, 1.4, 1.2, 1.3, log(2), 0.1};
    for (int i = 0; i < N; i++) {
        const cxr_draw d = draw(&aug, 10, 10, i);
        const double v[RANGES] = {d.degrees, d.brightness, d.contrast, d.zoom, log(d.gamma), d.noise};
        for (int k = 0; k < RANGES; k++) {
            assert_true(v[k] >= low[k] - 1e-6 && v[k] <= high[k] + 1e-6);
            sum[k] += v[k];
            squares[k] += v[k] * v[k];
        }
    }
    for (int k = 0; k < RANGES; k++) assert_uniform(sum[k], squares[k], low[k], high[k]);
}

/* Area of 1000 x 1000: tries that do not fit are drawn anew, so that of the scale only what fits at its ratio remains;
 * below 3/4 every ratio fits and the scale stays uniform. */
static void crops_have_scale_and_ratio(void **state)
{
    (void)state;
    const cxr_augment aug = {.crop_min_scale = 0.2f};
    double low_half = 0, high_half = 0, log_ratio = 0, left = 0;
    for (int i = 0; i < N; i++) {
        const cxr_draw d = draw(&aug, 1000, 1000, i);
        const cxr_crop c = d.crop;
        assert_true(d.cropped && c.left >= 0 && c.top >= 0 && c.left + c.width <= 1000 && c.top + c.height <= 1000);
        const double area = c.width * 1e-6 * c.height, ratio = (double)c.width / c.height;
        assert_true(area >= 0.2 - 2e-3 && area <= 1.0 && ratio >= 0.745 && ratio <= 1.343);
        low_half += area < 0.475;
        high_half += area >= 0.475 && area < 0.75;
        log_ratio += log(ratio);
        left += c.width == 1000 ? 0.5 : (double)c.left / (1000 - c.width);
    }
    assert_true(fabs(low_half - high_half) <= 5 * sqrt(low_half + high_half));
    assert_true(low_half > 0.34 * N && high_half > 0.34 * N);
    const double spread = 2 * log(4.0 / 3.0) / sqrt(12.0);
    assert_true(fabs(log_ratio / N) <= 5 * spread / sqrt(N));
    assert_true(fabs(left / N - 0.5) <= 5 / sqrt(12.0 * N));
}

static void crops_of_awkward_images_fall_back_to_the_middle(void **state)
{
    (void)state;
    const cxr_augment aug = {.crop_min_scale = 0.9f};
    for (int i = 0; i < 100; i++) {
        const cxr_crop wide = draw(&aug, 900, 30, i).crop, tall = draw(&aug, 30, 900, i).crop, one = draw(&aug, 1, 1, i).crop;
        assert_true(wide.width == 40 && wide.height == 30 && wide.left == 430 && wide.top == 0);
        assert_true(tall.width == 30 && tall.height == 40 && tall.left == 0 && tall.top == 430);
        assert_true(one.width == 1 && one.height == 1 && one.left == 0 && one.top == 0);
    }
}

static void qualities_are_uniform(void **state)
{
    (void)state;
    const cxr_augment aug = {.jpeg_quality = 91};
    int count[10] = {0};
    for (int i = 0; i < N; i++) {
        const int quality = draw(&aug, 10, 10, i).quality;
        assert_in_range(quality, 91, 100);
        count[quality - 91]++;
    }
    for (int q = 0; q < 10; q++) assert_true(abs(count[q] - N / 10) <= 5 * sqrt(N * 0.1 * 0.9));
}

/* Mean, spread and tails of what is added to a grey that nothing clips; the tails of a normal distribution hold 4.6 % beyond
 * two standard deviations and 0.27 % beyond three. */
static void noise_is_close_to_normal(void **state)
{
    (void)state;
    enum { SIDE = 400, PIXELS = SIDE * SIDE };
    cxr_image img;
    assert_int_equal(cxr_image_new(&img, SIDE, SIDE, NULL), CXR_OK);
    memset(img.pixels, 128, PIXELS);
    cxr_image_noise(&img, 0.1f, 17);
    double sum = 0, squares = 0;
    int beyond2 = 0, beyond3 = 0;
    for (int i = 0; i < PIXELS; i++) {
        const double x = (img.pixels[i] - 128) / 25.5;
        sum += x;
        squares += x * x;
        beyond2 += fabs(x) > 2;
        beyond3 += fabs(x) > 3;
    }
    assert_true(fabs(sum / PIXELS) <= 5 / sqrt(PIXELS));
    assert_true(fabs(squares / PIXELS - 1) <= 5 * sqrt(2.0 / PIXELS));
    assert_true(beyond2 > 0.04 * PIXELS && beyond2 < 0.05 * PIXELS && beyond3 > 0.001 * PIXELS && beyond3 < 0.003 * PIXELS);
    cxr_image_free(&img);
}

static void rectangles_are_erased_inside(void **state)
{
    (void)state;
    enum { SIDE = 64, TRIES = 2000 };
    const cxr_augment aug = {.erase = 0.5f};
    cxr_image img;
    assert_int_equal(cxr_image_new(&img, SIDE, SIDE, NULL), CXR_OK);
    int erased = 0;
    for (int i = 0; i < TRIES; i++) {
        memset(img.pixels, 255, SIDE * SIDE);
        assert_int_equal(cxr_image_augment(&img, &aug, cxr_rng_key(2, CXR_FOR_TEST, 0, (uint64_t)i), NULL), CXR_OK);
        int grey = 0;
        for (int p = 0; p < SIDE * SIDE; p++) grey += img.pixels[p] == 114;
        assert_true(grey == 0 || (grey >= 0.015 * SIDE * SIDE && grey <= 0.34 * SIDE * SIDE));
        erased += grey > 0;
    }
    assert_true(abs(erased - TRIES / 2) <= 5 * sqrt(TRIES * 0.25));
    cxr_image_free(&img);
}

static void nothing_asked_changes_nothing(void **state)
{
    (void)state;
    const cxr_augment none = {0};
    const cxr_draw d = draw(&none, 7, 5, 3);
    assert_true(!d.flip && !d.cropped && !d.erase && d.degrees == 0 && d.brightness == 1 && d.contrast == 1);
    assert_true(d.zoom == 1 && d.gamma == 1 && d.noise == 0 && d.quality == 0);
    assert_false(cxr_augment_is_random(&none));
    assert_true(d.crop.left == 0 && d.crop.top == 0 && d.crop.width == 7 && d.crop.height == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flip_has_its_probability),     cmocka_unit_test(ranges_are_uniform),
        cmocka_unit_test(crops_have_scale_and_ratio),   cmocka_unit_test(crops_of_awkward_images_fall_back_to_the_middle),
        cmocka_unit_test(qualities_are_uniform),        cmocka_unit_test(noise_is_close_to_normal),
        cmocka_unit_test(rectangles_are_erased_inside), cmocka_unit_test(nothing_asked_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
