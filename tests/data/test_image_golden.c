/* Decoding and every transform against Pillow and torchvision (tools/golden/make_images.py). Decoded files carry their
 * tolerance: 0, or 1 where Pillow goes through RGB and back and cxr takes luma directly. So do transforms: 0 but where
 * Pillow 13 resizes columns before rows. */
#include "data/tta.h"
#include "golden_images.h"
#include <math.h>

static void decoded_files_equal_pillow(void **state)
{
    (void)state;
    FILE *list = fopen(IMAGES "decode.txt", "r"), *images = fopen(IMAGES "decode.pgm", "rb");
    assert_non_null(list);
    assert_non_null(images);
    cxr_limits limits;
    cxr_limits_default(&limits);
    char name[64], path[512];
    int tolerance, n = 0;
    while (fscanf(list, "%63s %d", name, &tolerance) == 2) {
        cxr_image want = golden_next(images), got;
        cxr_error err = {0};
        (void)snprintf(path, sizeof path, IMAGES "%s", name);
        if (cxr_image_load(&got, path, NULL, &limits, &err) != CXR_OK) fail_msg("%s", err.text);
        golden_equal(&got, &want, tolerance, name);
        cxr_image_free(&got);
        cxr_image_free(&want);
        n++;
    }
    assert_true(n >= 40);
    (void)fclose(list);
    (void)fclose(images);
}

static cxr_resize_rule rule_of(const char *name)
{
    if (strcmp(name, "squash") == 0) return CXR_RESIZE_SQUASH;
    return strcmp(name, "fit") == 0 ? CXR_RESIZE_FIT : CXR_RESIZE_CROP;
}

static void files_decoded_for_a_target_equal_pillow(void **state)
{
    (void)state;
    FILE *list = fopen(IMAGES "scaled.txt", "r"), *images = fopen(IMAGES "scaled.pgm", "rb");
    assert_non_null(list);
    assert_non_null(images);
    cxr_limits limits;
    cxr_limits_default(&limits);
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    char name[64], rule[16], path[512];
    int tolerance, n = 0, reduced = 0;
    while (fscanf(list, "%63s %d %15s %d", name, &tolerance, rule, &pre.size) == 4) {
        cxr_image want = golden_next(images), got, square, full;
        cxr_error err = {0};
        pre.rule = rule_of(rule);
        (void)snprintf(path, sizeof path, IMAGES "%s", name);
        if (cxr_image_load(&got, path, &pre, &limits, &err) != CXR_OK) fail_msg("%s", err.text);
        assert_int_equal(cxr_image_load(&full, path, NULL, &limits, NULL), CXR_OK);
        assert_int_equal(cxr_image_prepare(&square, &got, &pre, NULL), CXR_OK);
        golden_equal(&square, &want, tolerance, name);
        reduced += got.width < full.width;
        cxr_image_free(&full);
        cxr_image_free(&square);
        cxr_image_free(&got);
        cxr_image_free(&want);
        n++;
    }
    assert_true(n >= 120 && reduced >= 60 && n - reduced >= 20);
    (void)fclose(list);
    (void)fclose(images);
}

static cxr_status apply_rule(cxr_image *img, const char *rule, int size)
{
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    pre.rule = rule_of(rule);
    pre.size = size;
    cxr_image out;
    const cxr_status st = cxr_image_prepare(&out, img, &pre, NULL);
    cxr_image_free(img);
    *img = out;
    return st;
}

static cxr_status apply_augment(cxr_image *img, const char *text)
{
    char rule[16];
    cxr_augment aug;
    unsigned long long key;
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    assert_int_equal(sscanf(text, "%15s %d %llu %f %f %f %f %f %f %f %f %d %f", rule, &pre.size, &key, &aug.flip,
                            &aug.rotate_degrees, &aug.crop_min_scale, &aug.brightness, &aug.contrast, &aug.zoom, &aug.gamma,
                            &aug.noise, &aug.jpeg_quality, &aug.erase),
                     13);
    pre.rule = rule_of(rule);
    cxr_image out;
    assert_int_equal(cxr_image_new(&out, pre.size, pre.size, NULL), CXR_OK);
    const cxr_status st = cxr_image_to_input(out.pixels, img, &pre, &aug, key, NULL);
    cxr_image_free(img);
    *img = out;
    return st;
}

static cxr_status apply_resize(cxr_image *img, const char *text)
{
    int width, height;
    cxr_box box;
    const int n = sscanf(text, "%d %d %lf %lf %lf %lf", &width, &height, &box.left, &box.top, &box.right, &box.bottom);
    assert_true(n == 2 || n == 6);
    cxr_image out;
    const cxr_status st = cxr_image_resize(&out, img, width, height, n == 6 ? &box : NULL, NULL);
    cxr_image_free(img);
    *img = out;
    return st;
}

static cxr_status apply(cxr_image *img, const char *operation, const char *text)
{
    if (strcmp(operation, "resize") == 0) return apply_resize(img, text);
    if (strcmp(operation, "augment") == 0) return apply_augment(img, text);
    if (strcmp(operation, "rule") == 0) {
        char rule[16];
        int size;
        assert_int_equal(sscanf(text, "%15s %d", rule, &size), 2);
        return apply_rule(img, rule, size);
    }
    char *end;
    const float number = strtof(text, &end);
    if (strcmp(operation, "rotate") == 0) return cxr_image_rotate(img, number, NULL);
    if (strcmp(operation, "zoom") == 0) return cxr_image_zoom(img, number, NULL);
    if (strcmp(operation, "jpeg") == 0) return cxr_image_recompress(img, (int)number, NULL);
    if (strcmp(operation, "flip") == 0) {
        cxr_image_flip(img);
    } else if (strcmp(operation, "brightness") == 0) {
        cxr_image_brightness(img, number);
    } else if (strcmp(operation, "gamma") == 0) {
        cxr_image_gamma(img, number);
    } else if (strcmp(operation, "noise") == 0) {
        cxr_image_noise(img, number, strtoull(end, NULL, 10));
    } else {
        assert_string_equal(operation, "contrast");
        cxr_image_contrast(img, number);
    }
    return CXR_OK;
}

static void copy(cxr_image *out, const cxr_image *in)
{
    assert_int_equal(cxr_image_new(out, in->width, in->height, NULL), CXR_OK);
    memcpy(out->pixels, in->pixels, (size_t)in->width * (size_t)in->height);
}

static void transforms_equal_torchvision(void **state)
{
    (void)state;
    enum { SOURCES = 6 };
    FILE *list = fopen(IMAGES "transforms.txt", "r"), *images = fopen(IMAGES "transforms.pgm", "rb");
    FILE *originals = fopen(IMAGES "sources.pgm", "rb");
    assert_non_null(list);
    assert_non_null(images);
    assert_non_null(originals);
    cxr_image sources[SOURCES];
    for (int i = 0; i < SOURCES; i++) sources[i] = golden_next(originals);
    char line[256], operation[16];
    int source, tolerance, n = 0, exact = 0;
    while (fgets(line, sizeof line, list) != NULL) {
        int at = 0;
        assert_int_equal(sscanf(line, "%15s %d %d%n", operation, &source, &tolerance, &at), 3);
        assert_in_range(source, 0, SOURCES - 1);
        cxr_image want = golden_next(images), got;
        copy(&got, &sources[source]);
        assert_int_equal(apply(&got, operation, line + at), CXR_OK);
        golden_equal(&got, &want, tolerance, line);
        exact += tolerance == 0;
        cxr_image_free(&got);
        cxr_image_free(&want);
        n++;
    }
    assert_true(n >= 300 && exact >= 280);
    for (int i = 0; i < SOURCES; i++) cxr_image_free(&sources[i]);
    (void)fclose(list);
    (void)fclose(images);
    (void)fclose(originals);
}

/* The views are pictures one below another. */
static void views_equal_torchvision(void **state)
{
    (void)state;
    enum { SOURCES = 4 };
    FILE *list = fopen(IMAGES "views.txt", "r"), *images = fopen(IMAGES "views.pgm", "rb");
    FILE *originals = fopen(IMAGES "views_sources.pgm", "rb");
    assert_true(list != NULL && images != NULL && originals != NULL);
    cxr_image sources[SOURCES];
    for (int i = 0; i < SOURCES; i++) sources[i] = golden_next(originals);
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    char rule[16];
    int source, tolerance, tta, n = 0, exact = 0;
    while (fscanf(list, "%d %d %15s %d %d", &source, &tolerance, rule, &pre.size, &tta) == 5) {
        assert_in_range(source, 0, SOURCES - 1);
        const cxr_squares *views = cxr_tta_squares((cxr_tta)tta);
        cxr_image want = golden_next(images), got;
        assert_int_equal(cxr_image_new(&got, pre.size, pre.size * views->count, NULL), CXR_OK);
        pre.rule = rule_of(rule);
        assert_int_equal(views->make(got.pixels, &sources[source], &pre, 0, NULL), CXR_OK);
        golden_equal(&got, &want, tolerance, rule);
        exact += tolerance == 0;
        cxr_image_free(&got);
        cxr_image_free(&want);
        n++;
    }
    assert_true(n == 108 && exact >= 70);
    for (int i = 0; i < SOURCES; i++) cxr_image_free(&sources[i]);
    (void)fclose(list);
    (void)fclose(images);
    (void)fclose(originals);
}

int main(void)
{
    if (golden_missing()) return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoded_files_equal_pillow),
        cmocka_unit_test(files_decoded_for_a_target_equal_pillow),
        cmocka_unit_test(transforms_equal_torchvision),
        cmocka_unit_test(views_equal_torchvision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
