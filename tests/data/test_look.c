/* What is told of a picture: its colour as Pillow decodes it, its likeness to another as numpy says (fixtures/scope.json), and
 * measures of drawings whose values are known. */
#include "compare.h"
#include "data/look.h"
#include "golden_images.h"
#include <jansson.h>

/* Chroma of RGB is rounded to whole levels from 16 bits of fraction here, from doubles there; a JPEG's is libjpeg's on both sides. */
#define COLOUR_TOLERANCE 0.02

static json_t *golden;

static void load(cxr_image *img, double *colour, const char *name, const cxr_preprocess *target)
{
    cxr_limits limits;
    cxr_limits_default(&limits);
    char path[512];
    cxr_error err = {0};
    (void)snprintf(path, sizeof path, IMAGES "%s", name);
    const cxr_status st = colour == NULL ? cxr_image_load(img, path, target, &limits, &err)
                                         : cxr_image_load_coloured(img, colour, path, target, &limits, &err);
    if (st != CXR_OK) fail_msg("%s", err.text);
}

static void colour_is_that_of_pillow(void **state)
{
    (void)state;
    const char *name;
    const json_t *want;
    int n = 0;
    json_object_foreach(json_object_get(golden, "colour"), name, want)
    {
        cxr_image img;
        double colour;
        load(&img, &colour, name, NULL);
        if (!cxr_close(colour, json_real_value(want), COLOUR_TOLERANCE, 0.0))
            fail_msg("%s: %.6f, Pillow %.6f", name, colour, json_real_value(want));
        cxr_image_free(&img);
        n++;
    }
    assert_true(n >= 12);
}

/* Every fixture, at full size and reduced: whoever asks for the colour sees the same grey pixels. */
static void asking_for_colour_changes_no_pixel(void **state)
{
    (void)state;
    FILE *list = fopen(IMAGES "decode.txt", "r");
    assert_non_null(list);
    const cxr_preprocess small = {.rule = CXR_RESIZE_SQUASH, .size = 32};
    char name[64];
    int tolerance, n = 0, coloured = 0;
    for (; fscanf(list, "%63s %d", name, &tolerance) == 2; n++)
        for (int reduced = 0; reduced < 2; reduced++) {
            cxr_image plain, img;
            double colour;
            load(&plain, NULL, name, reduced ? &small : NULL);
            load(&img, &colour, name, reduced ? &small : NULL);
            golden_equal(&img, &plain, 0, name);
            coloured += colour > 6.0;
            cxr_image_free(&plain);
            cxr_image_free(&img);
        }
    assert_true(n >= 40 && coloured >= 20 && coloured < 2 * n);
    (void)fclose(list);
}

static void likeness_is_pearsons(void **state)
{
    (void)state;
    const json_t *all = json_object_get(golden, "likeness");
    cxr_look look;
    uint8_t other[CXR_LOOK_PIXELS], even[CXR_LOOK_PIXELS] = {7};
    for (size_t i = 0; i < CXR_LOOK_PIXELS; i++) {
        look.small[i] = (uint8_t)json_integer_value(json_array_get(json_object_get(all, "small"), i));
        other[i] = (uint8_t)json_integer_value(json_array_get(json_object_get(all, "other"), i));
    }
    for (int k = 0; k < 4; k++) /* sums are exact; one root and one quotient */
        assert_true(cxr_close(cxr_look_likeness(&look, k, other),
                              json_real_value(json_array_get(json_object_get(all, "likeness"), (size_t)k)), 1e-14, 0.0));
    memset(even, 7, sizeof even);
    assert_true(cxr_look_likeness(&look, 0, even) == 0.0);
}

static cxr_look look_at(int width, int height, int (*grey)(int x, int y))
{
    cxr_image img;
    cxr_look look;
    assert_int_equal(cxr_image_new(&img, width, height, NULL), CXR_OK);
    for (int i = 0; i < width * height; i++) img.pixels[i] = (uint8_t)grey(i % width, i / width);
    assert_int_equal(cxr_look_at(&look, &img, 1.5, NULL), CXR_OK);
    cxr_image_free(&img);
    return look;
}

static int flat(int x, int y)
{
    (void)x;
    (void)y;
    return 90;
}

static int halves(int x, int y)
{
    (void)y;
    return x < 20 ? 0 : 200;
}

/* Of ten rows nine are paper, of 200 to 216. */
static int lines(int x, int y)
{
    return y % 10 == 0 ? 30 : 200 + (x % 2) * 16;
}

/* The same on grey that is no paper, and on two that lie too far apart. */
static int dark_lines(int x, int y)
{
    return y % 10 == 0 ? 30 : 135 + (x % 2) * 16; /* 151 is not within 8 of 160 */
}

static int two_papers(int x, int y)
{
    return y % 10 == 0 ? 30 : 200 + (x % 2) * 17;
}

static void measures_of_drawings(void **state)
{
    (void)state;
    const cxr_look even = look_at(10, 40, flat), half = look_at(40, 10, halves), page = look_at(50, 50, lines);
    assert_true(even.contrast == 0.0f && even.page == 0.0f && even.aspect == 4.0f && even.colour == 1.5f);
    assert_true(half.contrast == 100.0f && half.aspect == 4.0f && half.page == 0.5f);
    assert_true(half.small[0] == 0 && half.small[15] == 200);
    assert_true(cxr_close((double)page.page, 0.9, 1e-7, 0.0)); /* a float's */
    assert_true(look_at(50, 50, dark_lines).page == 0.0f);
    assert_true(cxr_close((double)look_at(50, 50, two_papers).page, 0.45, 1e-7, 0.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colour_is_that_of_pillow),
        cmocka_unit_test(asking_for_colour_changes_no_pixel),
        cmocka_unit_test(likeness_is_pearsons),
        cmocka_unit_test(measures_of_drawings),
    };
    golden = json_load_file(FIXTURES "/scope.json", 0, NULL);
    if (golden == NULL || golden_missing()) return 77;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(golden);
    return failed;
}
