/* What makes two pictures one: phantoms changed as copies are, beside phantoms of other patients. */
#include "base/rng.h"
#include "data/perturb.h"
#include "data/phantom.h"
#include "inspect/duplicates.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATIENTS 24
#define SIDE     160

static uint8_t small[PATIENTS][CXR_SMALL_PIXELS];
static cxr_image films[PATIENTS];

static int draw_films(void **state)
{
    (void)state;
    for (int i = 0; i < PATIENTS; i++) {
        cxr_patient p;
        cxr_exposure e;
        cxr_patient_draw(&p, cxr_rng_key(1, CXR_FOR_TEST, 1, (uint64_t)i), i % 2 == 1);
        cxr_exposure_draw(&e, cxr_rng_key(1, CXR_FOR_TEST, 2, (uint64_t)i), SIDE);
        if (cxr_phantom_render(&films[i], &p, &e, NULL) != CXR_OK) return -1;
        if (cxr_small_make(small[i], &films[i], NULL) != CXR_OK) return -1;
    }
    return 0;
}

static int free_films(void **state)
{
    (void)state;
    for (int i = 0; i < PATIENTS; i++) cxr_image_free(&films[i]);
    return 0;
}

static cxr_image copy_of(const cxr_image *img)
{
    cxr_image out;
    assert_int_equal(cxr_image_new(&out, img->width, img->height, NULL), CXR_OK);
    memcpy(out.pixels, img->pixels, (size_t)img->width * (size_t)img->height);
    return out;
}

/* Takes the image. */
static float likeness_to(cxr_image *changed, int film)
{
    uint8_t other[CXR_SMALL_PIXELS];
    assert_int_equal(cxr_small_make(other, changed, NULL), CXR_OK);
    cxr_image_free(changed);
    return cxr_likeness(small[film], other);
}

static void a_picture_is_like_itself(void **state)
{
    (void)state;
    for (int i = 0; i < PATIENTS; i++) assert_true(cxr_likeness(small[i], small[i]) > 0.9999f);
}

static void copies_are_one_picture(void **state)
{
    (void)state;
    for (int i = 0; i < PATIENTS; i++) {
        cxr_image c = copy_of(&films[i]);
        assert_int_equal(cxr_image_recompress(&c, 30, NULL), CXR_OK);
        assert_true(likeness_to(&c, i) >= (float)CXR_SAME_PICTURE);
        c = copy_of(&films[i]);
        cxr_image_gamma(&c, 1.6f);
        assert_true(likeness_to(&c, i) >= (float)CXR_SAME_PICTURE);
        c = copy_of(&films[i]);
        assert_int_equal(cxr_image_coarsen(&c, 0.5f, NULL), CXR_OK);
        assert_true(likeness_to(&c, i) >= (float)CXR_SAME_PICTURE);
        c = copy_of(&films[i]);
        assert_int_equal(cxr_image_rotate(&c, 3.0f, NULL), CXR_OK);
        assert_true(likeness_to(&c, i) >= (float)CXR_SAME_PICTURE);
    }
}

/* A corner cut off: found in most; where black borders are cut, the two can be laid over each other in a wrong way. */
static void most_cut_copies_are_one_picture(void **state)
{
    (void)state;
    int found = 0;
    for (int i = 0; i < PATIENTS; i++) {
        cxr_image c;
        const cxr_box inner = {0.0, 0.0, 0.95 * films[i].width, 0.95 * films[i].height};
        assert_int_equal(cxr_image_resize(&c, &films[i], SIDE, SIDE, &inner, NULL), CXR_OK);
        found += likeness_to(&c, i) >= (float)CXR_SAME_PICTURE;
    }
    assert_true(found >= PATIENTS * 4 / 5);
}

/* Phantoms are drawn by one rule and more alike than films are, but not one picture. */
static void other_patients_are_not(void **state)
{
    (void)state;
    float most = 0.0f;
    for (int i = 0; i < PATIENTS; i++)
        for (int j = 0; j < i; j++) most = fmaxf(most, cxr_likeness(small[i], small[j]));
    assert_true(most > 0.0f && most < (float)CXR_SAME_PICTURE);
}

static void what_shows_nothing_is_like_nothing(void **state)
{
    (void)state;
    static uint8_t grey[CXR_SMALL_PIXELS];
    memset(grey, 128, sizeof grey);
    assert_true(cxr_likeness(grey, small[0]) == 0.0f && cxr_likeness(small[0], grey) == 0.0f);
    assert_true(cxr_likeness(grey, grey) == 0.0f);
}

static void ranks_do_not_know_exposure(void **state)
{
    (void)state;
    float a[CXR_TINY_PIXELS], b[CXR_TINY_PIXELS];
    uint8_t darker[CXR_SMALL_PIXELS];
    double sum = 0.0;
    for (int i = 0; i < CXR_SMALL_PIXELS; i++) darker[i] = small[0][i] / 2;
    cxr_tiny_make(a, small[0]);
    cxr_tiny_make(b, darker);
    for (int i = 0; i < CXR_TINY_PIXELS; i++) {
        assert_true(fabsf(a[i]) <= 1.0f && fabsf(a[i] - b[i]) < 0.1f); /* halves are rounded: equals share a rank */
        sum += (double)a[i];
    }
    assert_true(fabs(sum) < 1e-3);
    memset(darker, 7, sizeof darker);
    cxr_tiny_make(a, darker);
    for (int i = 0; i < CXR_TINY_PIXELS; i++) assert_true(a[i] == 0.0f);
}

/* The transform of a cosine of one frequency is that frequency alone. */
static void frequencies_are_in_zig_zag_order(void **state)
{
    (void)state;
    static const int order[6][2] = {{1, 0}, {0, 1}, {2, 0}, {1, 1}, {0, 2}, {3, 0}}; /* across, down */
    float tiny[CXR_TINY_PIXELS], f[CXR_HASH_BITS];
    for (int k = 0; k < 6; k++) {
        for (int y = 0; y < CXR_TINY_SIDE; y++)
            for (int x = 0; x < CXR_TINY_SIDE; x++)
                tiny[y * CXR_TINY_SIDE + x] = (float)(cos((x + 0.5) * order[k][0] * acos(-1.0) / CXR_TINY_SIDE) *
                                                      cos((y + 0.5) * order[k][1] * acos(-1.0) / CXR_TINY_SIDE));
        cxr_frequencies(f, tiny);
        for (int i = 0; i < CXR_HASH_BITS; i++) assert_true(i == k ? f[i] > 200.0f : fabsf(f[i]) < 0.01f);
    }
}

static void fingerprints_tell_patients_apart(void **state)
{
    (void)state;
    static float f[PATIENTS][CXR_HASH_BITS];
    float middle[CXR_HASH_BITS] = {0}, tiny[CXR_TINY_PIXELS], g[CXR_HASH_BITS];
    uint8_t other[CXR_SMALL_PIXELS];
    for (int i = 0; i < PATIENTS; i++) {
        cxr_tiny_make(tiny, small[i]);
        cxr_frequencies(f[i], tiny);
        for (int k = 0; k < CXR_HASH_BITS; k++) middle[k] += f[i][k] / PATIENTS;
    }
    int near = 0;
    for (int i = 0; i < PATIENTS; i++) {
        cxr_image c = copy_of(&films[i]);
        assert_int_equal(cxr_image_recompress(&c, 30, NULL), CXR_OK);
        cxr_image_gamma(&c, 1.3f);
        assert_int_equal(cxr_small_make(other, &c, NULL), CXR_OK);
        cxr_image_free(&c);
        cxr_tiny_make(tiny, other);
        cxr_frequencies(g, tiny);
        assert_true(__builtin_popcountll(cxr_fingerprint(f[i], middle) ^ cxr_fingerprint(g, middle)) <= 8);
        for (int j = 0; j < i; j++)
            near += __builtin_popcountll(cxr_fingerprint(f[i], middle) ^ cxr_fingerprint(f[j], middle)) <= 8;
    }
    assert_true(near <= PATIENTS * (PATIENTS - 1) / 2 / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_is_like_itself),           cmocka_unit_test(copies_are_one_picture),
        cmocka_unit_test(most_cut_copies_are_one_picture),    cmocka_unit_test(other_patients_are_not),
        cmocka_unit_test(what_shows_nothing_is_like_nothing), cmocka_unit_test(ranks_do_not_know_exposure),
        cmocka_unit_test(frequencies_are_in_zig_zag_order),   cmocka_unit_test(fingerprints_tell_patients_apart),
    };
    return cmocka_run_group_tests(tests, draw_films, free_films);
}
