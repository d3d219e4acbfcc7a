/* What is hidden of a picture: its lungs, its chest, all but its chest. */
#include "base/rng.h"
#include "data/hide.h"
#include "data/lungs.h"
#include "data/phantom.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 64, SQUARE = SIZE * SIZE, NONE = 0, LUNGS, CHEST, SURROUNDINGS };

static const cxr_preprocess pre = {.rule = CXR_RESIZE_SQUASH, .size = SIZE, .mean = {0.2f, 0.3f, 0.4f}};
#define GREY 77 /* 0.3 x 255, rounded to even: 76.5 has no float */

static void make(uint8_t out[CXR_HIDINGS * SQUARE], const cxr_image *img)
{
    cxr_error err = {0};
    if (cxr_image_hide(out, img, &pre, 0, &err) != CXR_OK) fail_msg("%s", err.text);
}

static void expect(const uint8_t *out, const cxr_lungs *l)
{
    int lungs = 0;
    for (int i = 0; i < SQUARE; i++) {
        const double x = (i % SIZE + 0.5) / SIZE, y = (i / SIZE + 0.5) / SIZE;
        const bool held = cxr_lungs_hold(l, x, y), framed = cxr_lungs_frame(l, x, y);
        lungs += held;
        assert_in_range(out[LUNGS * SQUARE + i], held ? GREY - 1 : out[i], held ? GREY : out[i]);
        assert_in_range(out[CHEST * SQUARE + i], framed ? GREY - 1 : out[i], framed ? GREY : out[i]);
        assert_in_range(out[SURROUNDINGS * SQUARE + i], framed ? out[i] : GREY - 1, framed ? out[i] : GREY);
    }
    assert_true(lungs > SQUARE / 10);
}

static void what_is_hidden_lies_where_the_lungs_do(void **state)
{
    (void)state;
    static uint8_t out[CXR_HIDINGS * SQUARE], input[SQUARE];
    cxr_patient p;
    cxr_exposure e;
    cxr_image img;
    cxr_lungs l;
    cxr_patient_draw(&p, cxr_rng_key(2, CXR_FOR_TEST, 0, 0), true);
    cxr_exposure_draw(&e, cxr_rng_key(2, CXR_FOR_TEST, 0, 1), 200);
    assert_int_equal(cxr_phantom_render(&img, &p, &e, NULL), CXR_OK);
    make(out, &img);
    assert_int_equal(cxr_image_to_input(input, &img, &pre, NULL, 0, NULL), CXR_OK);
    assert_memory_equal(out, input, SQUARE);
    cxr_lungs_estimate(&l, input, SIZE, SIZE);
    assert_true(l.found);
    expect(out, &l);
    memset(img.pixels, 200, (size_t)(img.width * img.height)); /* no lungs: where they mostly are */
    make(out, &img);
    cxr_lungs_typical(&l);
    expect(out, &l);
    cxr_image_free(&img);
}

static void ways_have_names(void **state)
{
    (void)state;
    assert_string_equal(cxr_hiding_name(CHEST), "chest");
    assert_null(cxr_hiding_name(-1));
    assert_null(cxr_hiding_name(CXR_HIDINGS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_hidden_lies_where_the_lungs_do),
        cmocka_unit_test(ways_have_names),
    };
    return cmocka_run_group_tests_name("hide", tests, NULL, NULL);
}
