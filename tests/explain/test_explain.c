/* cxr_explain() from files to files: what it tells is what it writes, in any batch and by any number of threads; bad images,
 * options and folders. */
#include "base/rng.h"
#include "data/image.h"
#include "data/scratch.h"
#include "explain/figure.h"
#include "explain/outputs.h"
#include "model/model.h"
#include <math.h>

enum { IMAGES = 3, SIZE = 64, CELLS = 16 };

static char *dir;
static cxr_model *model;
static cxr_error error;
static char paths[IMAGES][256];

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const names[] = {"NORMAL", "PNEUMONIA"};
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    o.preprocess.size = SIZE;
    o.head[0] = 16;
    o.head_count = 1;
    dir = scratch_new();
    must(cxr_model_build(&model, &o, names, 2, &error));
    for (int i = 0; i < IMAGES; i++) {
        cxr_image img;
        must(cxr_image_new(&img, 60 + 20 * i, 80, &error));
        for (int k = 0; k < img.width * img.height; k++)
            img.pixels[k] = (uint8_t)(cxr_rng_u64(cxr_rng_key(5, CXR_FOR_TEST, (uint64_t)i, 0), (uint64_t)(k / 7)) % 256);
        (void)snprintf(paths[i], sizeof paths[i], "%s/in/%c/%d.jpg", dir, i == 0 ? 'a' : 'b', i);
        scratch_write(dir, i == 0 ? "in/a/x" : "in/b/x", "");
        must(cxr_image_write_jpeg(&img, paths[i], 90, &error));
        cxr_image_free(&img);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_model_close(&model);
    scratch_remove(dir);
    return 0;
}

typedef struct seen {
    int good, bad;
    int explained[IMAGES];
    float maps[IMAGES][CELLS];
    char figure[IMAGES][512], raw[IMAGES][512], reason[512];
} seen;

static void on_row(void *user, const cxr_explanation *e)
{
    seen *s = user;
    if (e->status != CXR_OK) {
        (void)snprintf(s->reason, sizeof s->reason, "%s", e->reason);
        s->bad++;
        return;
    }
    assert_int_equal(e->width * e->height * 4, CELLS); /* 64 / 32 = 2 cells a side at layer4 */
    memcpy(s->maps[s->good], e->map, (size_t)(e->width * e->height) * sizeof(float));
    s->explained[s->good] = e->explained;
    (void)snprintf(s->figure[s->good], sizeof s->figure[0], "%s", e->figure == NULL ? "" : e->figure);
    (void)snprintf(s->raw[s->good], sizeof s->raw[0], "%s", e->raw == NULL ? "" : e->raw);
    s->good++;
}

static cxr_explain_opts options(const char *out)
{
    cxr_explain_opts o;
    cxr_explain_opts_default(&o);
    o.out = out;
    o.run.threads = 1;
    return o;
}

static void check_file(const char *path, const char *begins, size_t length)
{
    cxr_buf file;
    must(cxr_buf_read(&file, path, 1u << 22, &error));
    assert_true(file.len > length && memcmp(file.data, begins, length) == 0);
    cxr_buf_free(&file);
}

static void test_files(void **state)
{
    (void)state;
    char *out = cxr_path_join(dir, "out"), *in = cxr_path_join(dir, "in"), *want = cxr_path_join(dir, "out/b/2.jpg.npy");
    const char *const folders[] = {in};
    cxr_explain_opts o = options(out);
    seen s = {0};
    o.run.batch_size = 2;
    o.run.threads = 3;
    must(cxr_explain(model, folders, 1, &o, NULL, on_row, &s, &error));
    assert_int_equal(s.good, IMAGES);
    assert_string_equal(s.raw[2], want);
    cxr_buf raw;
    must(cxr_buf_read(&raw, want, 4096, &error));
    assert_int_equal(raw.len, 128 + 4 * sizeof(float));
    assert_memory_equal(raw.data, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", 66);
    assert_int_equal(raw.data[127], '\n');
    assert_memory_equal(raw.data + 128, s.maps[2], 4 * sizeof(float));
    cxr_buf_free(&raw);
    for (int i = 0; i < IMAGES; i++) check_file(s.figure[i], "\x89PNG", 4);
    cxr_mem_free(out);
    cxr_mem_free(in);
    cxr_mem_free(want);
}

/* The same map whatever the batch; another for the other class; every layer and method gives one. */
static void test_choices(void **state)
{
    (void)state;
    const char *const all[] = {paths[0], paths[1], paths[2]};
    cxr_explain_opts o = options(NULL);
    seen one = {0}, three = {0}, other = {0};
    o.class_name = "NORMAL";
    must(cxr_explain(model, all, IMAGES, &o, NULL, on_row, &three, &error));
    o.run.batch_size = 1;
    must(cxr_explain(model, all, IMAGES, &o, NULL, on_row, &one, &error));
    for (int i = 0; i < IMAGES; i++)
        for (int k = 0; k < 4; k++) assert_float_equal(one.maps[i][k], three.maps[i][k], 1e-4f * (1.0f + three.maps[i][k]));
    o.class_name = "PNEUMONIA";
    o.method = CXR_GRAD_CAM_PP;
    must(cxr_explain(model, all, IMAGES, &o, NULL, on_row, &other, &error));
    assert_int_equal(one.explained[0], 0);
    assert_int_equal(other.explained[0], 1);
    assert_memory_not_equal(one.maps, other.maps, sizeof one.maps);
    assert_string_equal(one.figure[0], "");
}

/* The grey of a pixel of an overlay, and what the image has there. */
static cxr_image overlay_of(const float map[4])
{
    const cxr_preprocess pre = {.rule = CXR_RESIZE_SQUASH, .size = SIZE};
    const cxr_heat heat = {&pre, map, 2, 2};
    cxr_limits limits;
    cxr_limits_default(&limits);
    cxr_buf png;
    cxr_image got;
    must(cxr_heat_overlay_png(&png, &heat, paths[2], &limits, 100, &error)); /* 100 x 80, as large as the image itself */
    must(cxr_image_decode(&got, png.data, png.len, "overlay", NULL, &limits, &error));
    assert_int_equal(got.width, 100);
    assert_int_equal(got.height, 80);
    cxr_buf_free(&png);
    return got;
}

/* An empty map leaves the image; one hot cell changes its own corner and not the other. */
static void test_overlay(void **state)
{
    (void)state;
    cxr_limits limits;
    cxr_limits_default(&limits);
    cxr_image image, plain = overlay_of((const float[4]){0}), hot = overlay_of((const float[4]){0, 0, 0, 3});
    must(cxr_image_load(&image, paths[2], NULL, &limits, &error));
    for (int i = 0; i < 100 * 80; i++) assert_in_range(plain.pixels[i] + 1, image.pixels[i], image.pixels[i] + 2u);
    assert_int_equal(hot.pixels[0], plain.pixels[0]);
    /* 0.62 of the hottest colour, (0.940, 0.975, 0.131), whose luma is 221, over the image: 1 of rounding thrice */
    assert_true(abs(hot.pixels[8000 - 1] - (int)lround(0.38 * image.pixels[8000 - 1] + 0.62 * 221.4)) <= 3);
    cxr_image_free(&image);
    cxr_image_free(&plain);
    cxr_image_free(&hot);
}

typedef struct checked {
    int n;
    cxr_explanation e[IMAGES];
    bool course;
} checked;

static void on_checked(void *user, const cxr_explanation *e)
{
    checked *c = user;
    c->course = e->curves != NULL && cxr_path_exists(e->curves);
    c->e[c->n++] = *e;
}

static void near(double a, double b)
{
    assert_true(isnan(a) ? isnan(b) : fabs(a - b) < 0.02); /* of ranks of four cells, where rounding decides a tie */
}

/* What is measured does not depend on the batch; an image of noise has no lungs. The network has its random start,
 * by the seed that the test with random weights takes. */
static void test_check_and_curves(void **state)
{
    (void)state;
    char *out = cxr_path_join(dir, "checked");
    const char *const all[] = {paths[0], "absent.png", paths[2]};
    cxr_explain_opts o = options(out);
    checked one = {0}, many = {0};
    o.check = o.curves = true;
    must(cxr_explain(model, all, 3, &o, NULL, on_checked, &many, &error));
    assert_true(many.course);
    o.run.batch_size = 7;
    o.out = NULL;
    must(cxr_explain(model, all, 3, &o, NULL, on_checked, &one, &error));
    assert_int_equal(many.n, 3);
    for (int i = 0; i < 3; i++) {
        const cxr_explanation *e = &many.e[i], *other = &one.e[i];
        near(e->occlusion, other->occlusion);
        near(e->randomised, other->randomised);
        near(e->deletion, other->deletion);
        near(e->insertion, other->insertion);
        if (i == 1)
            assert_true(e->status != CXR_OK && e->trust == CXR_TRUST_UNKNOWN && isnan(e->deletion));
        else
            assert_true(isnan(e->lungs) && fabs(e->randomised - 1.0) < 1e-6 && e->trust == CXR_TRUST_NO && e->deletion > 0.0);
    }
    o.method = CXR_OCCLUSION;
    o.curves = false;
    one.n = 0;
    must(cxr_explain(model, all, 1, &o, NULL, on_checked, &one, &error));
    assert_int_equal(one.e[0].width, 16);
    assert_true(isnan(one.e[0].occlusion) && isnan(one.e[0].deletion) && one.e[0].trust != CXR_TRUST_UNKNOWN);
    cxr_mem_free(out);
}

static void refuse(cxr_explain_opts o, cxr_status want, const char *words)
{
    const char *const all[] = {paths[0]};
    seen s = {0};
    assert_int_equal(cxr_explain(model, all, 1, &o, NULL, on_row, &s, &error), want);
    if (strstr(error.text, words) == NULL) fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_int_equal(s.good, 0);
}

static void test_refuses(void **state)
{
    (void)state;
    cxr_explain_opts o = options(NULL);
    o.layer = "layer9";
    refuse(o, CXR_EUSAGE, "no layer \"layer9\"");
    o = options(NULL);
    o.class_name = "FLU";
    refuse(o, CXR_EUSAGE, "no class \"FLU\"");
    o = options(NULL);
    o.run.batch_size = 0;
    refuse(o, CXR_EUSAGE, "batch size 0");
    o = options(paths[0]);
    refuse(o, CXR_ECREATE, paths[0]);
    const char *const some[] = {paths[0], "absent.png", paths[1]};
    seen s = {0};
    o = options(NULL);
    must(cxr_explain(model, some, 3, &o, NULL, on_row, &s, &error));
    assert_int_equal(s.good, 2);
    assert_int_equal(s.bad, 1);
    assert_non_null(strstr(s.reason, "absent.png"));
}

static void test_names(void **state)
{
    (void)state;
    char *const shared[] = {(char *)(uintptr_t) "d/ab/x", (char *)(uintptr_t) "d/ac/y"};
    assert_int_equal(cxr_common_folders(shared, 2), 2);
    assert_int_equal(cxr_common_folders(shared, 1), 5);
    assert_int_equal(cxr_common_folders(shared, 0), 0);
    static const char *const cases[][2] = {{"a.png", "o/a.png"}, {"/x//./y.png", "o/x/y.png"}, {"../../y", "o/__/__/y"}};
    for (int i = 0; i < 3; i++) {
        char *stem = cxr_output_stem("o", cases[i][0], 0);
        assert_string_equal(stem, cases[i][1]);
        cxr_mem_free(stem);
    }
}

static void test_every_allocation_can_fail(void **state)
{
    (void)state;
    char *out = cxr_path_join(dir, "failing");
    const char *const all[] = {paths[0]};
    cxr_explain_opts o = options(out);
    o.check = o.curves = true;
    o.run.batch_size = 8;
    bool fired = true;
    for (long n = 0; fired; n += 1 + n / 3) {
        seen s = {0};
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_explain(model, all, 1, &o, NULL, on_row, &s, &error);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (!fired) must(st);
        assert_true(!fired || st == CXR_ENOMEM || s.bad == 1);
    }
    cxr_mem_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_overlay),
        cmocka_unit_test(test_check_and_curves),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_allocation_can_fail),
    };
    return cmocka_run_group_tests_name("explain", tests, set_up, tear_down);
}
