/* Every perturbation against Pillow and torchvision (tools/golden/make_images.py): equal to the bit, Pillow's resizing being put
 * into cxr's order there. The fixture says names and strengths again, in its own words. */
#include "base/mem.h"
#include "data/perturb.h"
#include "golden_images.h"

enum { SOURCES = 4 };

static void open_sources(cxr_image sources[SOURCES])
{
    FILE *f = fopen(IMAGES "perturb_sources.pgm", "rb");
    assert_non_null(f);
    for (int i = 0; i < SOURCES - 1; i++) sources[i] = golden_next(f);
    (void)fclose(f);
    cxr_image large;
    assert_int_equal(cxr_image_resize(&large, &sources[2], 400, 320, NULL, NULL), CXR_OK); /* is reduced */
    cxr_image_free(&sources[2]);
    cxr_image again;
    assert_int_equal(cxr_image_new(&again, 400, 320, NULL), CXR_OK);
    memcpy(again.pixels, large.pixels, 400 * 320);
    sources[2] = large;
    sources[3] = again;
}

static cxr_preprocess preprocess_of(const char *rule, int size)
{
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    pre.rule = strcmp(rule, "squash") == 0 ? CXR_RESIZE_SQUASH : strcmp(rule, "fit") == 0 ? CXR_RESIZE_FIT : CXR_RESIZE_CROP;
    pre.size = size;
    return pre;
}

static void perturbations_equal_pillow(void **state)
{
    (void)state;
    FILE *list = fopen(IMAGES "perturb.txt", "r"), *images = fopen(IMAGES "perturb.pgm", "rb");
    assert_non_null(list);
    assert_non_null(images);
    cxr_image sources[SOURCES];
    open_sources(sources);
    uint8_t *squares = NULL;
    char rule[16], name[64];
    int source, size, n = 0;
    while (fscanf(list, "%d %15s %d %63[^\n]", &source, rule, &size, name) == 4) {
        const int which = n++ % CXR_PERTURBATIONS;
        const cxr_preprocess pre = preprocess_of(rule, size);
        const size_t square = (size_t)size * (size_t)size;
        if (which == 0) {
            free(squares);
            squares = malloc(CXR_PERTURBATIONS * square);
            assert_non_null(squares);
            assert_int_equal(cxr_image_perturb(squares, &sources[source], &pre, (uint64_t)source, NULL), CXR_OK);
        }
        cxr_image want = golden_next(images);
        const cxr_image got = {squares + (size_t)which * square, size, size};
        assert_string_equal(cxr_perturbation_name(which), name);
        golden_equal(&got, &want, 0, name);
        cxr_image_free(&want);
    }
    assert_int_equal(n, SOURCES * CXR_PERTURBATIONS);
    free(squares);
    for (int i = 0; i < SOURCES; i++) cxr_image_free(&sources[i]);
    (void)fclose(list);
    (void)fclose(images);
}

static void nothing_is_what_the_network_sees(void **state)
{
    (void)state;
    cxr_image sources[SOURCES];
    open_sources(sources);
    static uint8_t squares[CXR_PERTURBATIONS * 40 * 40];
    for (int i = 0; i < SOURCES; i++) {
        const cxr_preprocess pre = preprocess_of("fit", 40);
        cxr_image want;
        assert_int_equal(cxr_image_prepare(&want, &sources[i], &pre, NULL), CXR_OK);
        assert_int_equal(cxr_image_perturb(squares, &sources[i], &pre, 0, NULL), CXR_OK);
        assert_memory_equal(squares, want.pixels, 40 * 40);
        for (int p = 1; p < CXR_PERTURBATIONS; p++) assert_memory_not_equal(squares + p * 40 * 40, want.pixels, 40 * 40);
        cxr_image_free(&want);
        cxr_image_free(&sources[i]);
    }
}

static void one_pixel_can_be_perturbed(void **state)
{
    (void)state;
    uint8_t pixel = 100;
    static uint8_t squares[CXR_PERTURBATIONS * 32 * 32];
    const cxr_image one = {&pixel, 1, 1};
    for (int rule = 0; rule < 3; rule++) {
        const cxr_preprocess pre = preprocess_of(((const char *const[]){"squash", "fit", "crop"})[rule], 32);
        assert_int_equal(cxr_image_perturb(squares, &one, &pre, 0, NULL), CXR_OK);
    }
    assert_null(cxr_perturbation_name(-1));
    assert_null(cxr_perturbation_name(CXR_PERTURBATIONS));
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    cxr_image sources[SOURCES];
    open_sources(sources);
    static uint8_t squares[CXR_PERTURBATIONS * 32 * 32];
    const cxr_preprocess pre = preprocess_of("squash", 32);
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_image_perturb(squares, &sources[2], &pre, 0, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
    for (int i = 0; i < SOURCES; i++) cxr_image_free(&sources[i]);
}

int main(void)
{
    if (golden_missing()) return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perturbations_equal_pillow),
        cmocka_unit_test(nothing_is_what_the_network_sees),
        cmocka_unit_test(one_pixel_can_be_perturbed),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
