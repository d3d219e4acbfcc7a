/* Phantoms: a data set of the published one's form, readable, repeatable, with no shortcut by brightness or size. */
#include "base/hash.h"
#include "data/dataset.h"
#include "data/image.h"
#include "data/phantom.h"
#include "data/scratch.h"
#include <math.h>

static char *dir;

static int set_up(void **state)
{
    (void)state;
    dir = scratch_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

static cxr_dataset write_set(const char *name, int size, uint64_t seed)
{
    cxr_phantom_opts o;
    cxr_phantom_opts_default(&o);
    char *path = cxr_path_join(dir, name);
    o = (cxr_phantom_opts){.out = path, .train = 12, .val = 16, .test = 4, .size = size, .seed = seed};
    cxr_error err = {0};
    cxr_dataset d;
    if (cxr_phantom(&o, &err) != CXR_OK) fail_msg("%s", err.text);
    if (cxr_dataset_open(&d, path, "auto", &err) != CXR_OK) fail_msg("%s", err.text);
    cxr_mem_free(path);
    return d;
}

static void a_set_has_splits_classes_and_patients(void **state)
{
    (void)state;
    cxr_dataset d = write_set("a", 64, 1);
    const size_t want[] = {12, 16, 4};
    assert_int_equal(d.class_count, 2);
    assert_string_equal(d.classes[0], "NORMAL");
    assert_string_equal(d.classes[1], "PNEUMONIA");
    for (int s = 0; s < 3; s++)
        for (int c = 0; c < 2; c++) assert_int_equal(cxr_dataset_count(&d, (cxr_split)s, c), want[s]);
    size_t shared = 0;
    for (size_t i = 1; i < d.count; i++) {
        assert_string_not_equal(d.samples[i].group, d.samples[i].key); /* every name tells its patient */
        shared += strcmp(d.samples[i].group, d.samples[i - 1].group) == 0;
    }
    assert_true(shared > 10);
    cxr_split_report report;
    assert_int_equal(cxr_dataset_split(&d, 0.1, 1, &report, NULL), CXR_OK);
    assert_false(report.carved);
    assert_int_equal(report.crossing, 0);
    cxr_dataset_close(&d);
}

static void pictures_differ_in_size_about_the_one_asked_for(void **state)
{
    (void)state;
    cxr_dataset d = write_set("b", 80, 2);
    cxr_limits lim;
    cxr_limits_default(&lim);
    double side = 0.0;
    int least = 1000, most = 0;
    for (size_t i = 0; i < d.count; i++) {
        cxr_image img;
        assert_int_equal(cxr_image_load(&img, d.samples[i].path, NULL, &lim, NULL), CXR_OK);
        side += sqrt((double)img.width * (double)img.height) / (double)d.count;
        least = img.width < least ? img.width : least;
        most = img.width > most ? img.width : most;
        assert_true(img.width >= img.height && img.width < 2 * img.height);
        cxr_image_free(&img);
    }
    assert_true(fabs(side - 80.0) < 4.0); /* uniform within 15 %: three standard errors of 64 images are 2.6 */
    assert_true(most > least + 15);
    cxr_dataset_close(&d);
}

static void the_seed_alone_decides(void **state)
{
    (void)state;
    cxr_dataset a = write_set("c", 64, 5), b = write_set("d", 64, 5), c = write_set("e", 64, 6);
    size_t same = 0;
    char x[65], y[65], z[65];
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        assert_string_equal(a.samples[i].key, b.samples[i].key);
        assert_int_equal(cxr_sha256_file(a.samples[i].path, x, NULL), CXR_OK);
        assert_int_equal(cxr_sha256_file(b.samples[i].path, y, NULL), CXR_OK);
        assert_int_equal(cxr_sha256_file(c.samples[i].path, z, NULL), CXR_OK);
        assert_string_equal(x, y);
        same += strcmp(x, z) == 0;
    }
    assert_int_equal(same, 0);
    cxr_dataset_close(&a);
    cxr_dataset_close(&b);
    cxr_dataset_close(&c);
}

static double mean_grey(uint64_t key, bool ill, int *width)
{
    cxr_patient p;
    cxr_exposure e;
    cxr_image img;
    cxr_patient_draw(&p, key, ill);
    cxr_exposure_draw(&e, ~key, 64);
    assert_int_equal(cxr_phantom_render(&img, &p, &e, NULL), CXR_OK);
    double sum = 0.0;
    const size_t n = (size_t)img.width * (size_t)img.height;
    for (size_t i = 0; i < n; i++) sum += img.pixels[i];
    *width = img.width;
    cxr_image_free(&img);
    return sum / (double)n;
}

/* The share of pairs that mean grey, or width, puts in the right order: 0.5 tells nothing. One standard error of 150 + 150
 * alike is 0.033 (Hanley and McNeil 1982): 0.12 allows three and a half, and the little that opacities brighten. */
static void brightness_and_size_tell_little(void **state)
{
    (void)state;
    enum { N = 150 };
    double grey[2][N];
    int width[2][N];
    for (int c = 0; c < 2; c++)
        for (int i = 0; i < N; i++) grey[c][i] = mean_grey((uint64_t)(1 + i + N * c) * 7919, c == 1, &width[c][i]);
    double by_grey = 0.0, by_width = 0.0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            by_grey += (grey[1][j] > grey[0][i]) + 0.5 * (grey[1][j] == grey[0][i]);
            by_width += (width[1][j] > width[0][i]) + 0.5 * (width[1][j] == width[0][i]);
        }
    assert_true(fabs(by_grey / (N * N) - 0.5) < 0.12);
    assert_true(fabs(by_width / (N * N) - 0.5) < 0.12);
}

/* The same patient and exposure with disease and without: different in the lungs, never darker. */
static void disease_is_seen_in_the_lungs(void **state)
{
    (void)state;
    for (uint64_t key = 1; key <= 50; key++) {
        cxr_patient ill, well;
        cxr_exposure e;
        cxr_image a, b;
        cxr_patient_draw(&ill, key, true);
        cxr_patient_draw(&well, key, false);
        cxr_exposure_draw(&e, key + 1000, 64);
        e.noise = 0.0f;
        assert_int_equal(cxr_phantom_render(&a, &ill, &e, NULL), CXR_OK);
        assert_int_equal(cxr_phantom_render(&b, &well, &e, NULL), CXR_OK);
        int most = 0;
        for (int i = 0; i < a.width * a.height; i++) {
            assert_true(a.pixels[i] >= b.pixels[i]);
            most = a.pixels[i] - b.pixels[i] > most ? a.pixels[i] - b.pixels[i] : most;
        }
        assert_in_range(well.opacities, 0, 0);
        assert_in_range(ill.opacities, 1, CXR_MAX_OPACITIES);
        assert_true(most >= 20);
        cxr_image_free(&a);
        cxr_image_free(&b);
    }
}

static void expect_refusal(cxr_phantom_opts o, cxr_status status, const char *sentence)
{
    cxr_error err = {0};
    assert_int_equal(cxr_phantom(&o, &err), status);
    assert_non_null(strstr(err.text, sentence));
}

static void bad_options_and_full_folders_are_refused(void **state)
{
    (void)state;
    scratch_write(dir, "full/thing", "kept");
    scratch_write(dir, "file", "kept");
    char *full = cxr_path_join(dir, "full"), *below = cxr_path_join(dir, "file/x"), *fresh = cxr_path_join(dir, "fresh");
    cxr_phantom_opts o;
    cxr_phantom_opts_default(&o);
    assert_int_equal(o.train, 240);
    assert_int_equal(o.size, 256);
    expect_refusal(o, CXR_EUSAGE, "need a folder");
    o.out = full;
    expect_refusal(o, CXR_ECREATE, "full: not empty; nothing was written");
    o.out = below;
    expect_refusal(o, CXR_ECREATE, "file/x: cannot create folder");
    o.out = fresh;
    o.size = 63;
    expect_refusal(o, CXR_EUSAGE, "phantom size 63 is outside 64..4096");
    o.size = 64;
    o.val = -1;
    expect_refusal(o, CXR_EUSAGE, "-1 phantoms are outside 0..1000000");
    o.val = o.train = 0;
    expect_refusal(o, CXR_EUSAGE, "at least 1 is needed");
    assert_false(cxr_path_exists(fresh));
    cxr_mem_free(full);
    cxr_mem_free(below);
    cxr_mem_free(fresh);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        char *path = cxr_mem_printf("%s/alloc%ld", dir, n);
        const cxr_phantom_opts o = {.out = path, .train = 1, .size = 64};
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_phantom(&o, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        cxr_mem_free(path);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_has_splits_classes_and_patients),
        cmocka_unit_test(pictures_differ_in_size_about_the_one_asked_for),
        cmocka_unit_test(the_seed_alone_decides),
        cmocka_unit_test(brightness_and_size_tell_little),
        cmocka_unit_test(disease_is_seen_in_the_lungs),
        cmocka_unit_test(bad_options_and_full_folders_are_refused),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
