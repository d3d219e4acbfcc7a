/* cxr_inspect on phantoms among which faults were planted: each check finds its own, and nothing else. */
#include "base/file.h"
#include "base/mem.h"
#include "data/image.h"
#include "data/scratch.h"
#include <fts.h>
#include <jansson.h>
#include <math.h>

static char *root;

static const char *in_root(const char *name)
{
    static char ring[8][300];
    static int at;
    char *path = ring[at++ % 8];
    (void)snprintf(path, sizeof ring[0], "%s/%s", root, name);
    return path;
}

static void remove_tree(const char *path)
{
    char *const roots[] = {(char *)(uintptr_t)path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL, NULL);
    for (FTSENT *e; walk != NULL && (e = fts_read(walk)) != NULL;)
        if (e->fts_info != FTS_D) (void)remove(e->fts_accpath);
    if (walk != NULL) (void)fts_close(walk);
}

static int make_phantoms(void **state)
{
    cxr_phantom_opts o;
    (void)state;
    root = scratch_new();
    cxr_phantom_opts_default(&o);
    o.out = in_root("data");
    o.train = 24;
    o.val = 0;
    o.test = 12;
    o.size = 96;
    return cxr_phantom(&o, NULL) != CXR_OK;
}

static int remove_phantoms(void **state)
{
    (void)state;
    remove_tree(root);
    cxr_mem_free(root);
    return 0;
}

static cxr_image load(const char *name)
{
    cxr_limits limits;
    cxr_image img;
    cxr_limits_default(&limits);
    assert_int_equal(cxr_image_load(&img, in_root(name), NULL, &limits, NULL), CXR_OK);
    return img;
}

/* Takes the image. */
static void save(cxr_image *img, const char *name)
{
    assert_int_equal(cxr_image_write_jpeg(img, in_root(name), 92, NULL), CXR_OK);
    cxr_image_free(img);
}

static void copy(const char *from, const char *to)
{
    cxr_buf file;
    assert_int_equal(cxr_buf_read(&file, in_root(from), 1 << 24, NULL), CXR_OK);
    assert_int_equal(cxr_file_write(in_root(to), file.data, file.len, NULL), CXR_OK);
    cxr_buf_free(&file);
}

static cxr_inspection *inspect(const char *data, const char *out)
{
    cxr_inspect_opts o;
    cxr_inspection *i = NULL;
    cxr_inspect_opts_default(&o);
    o.data = in_root(data);
    o.out = out != NULL ? in_root(out) : NULL;
    o.run.threads = 2;
    assert_int_equal(cxr_inspect(&o, NULL, &i, NULL), CXR_OK);
    return i;
}

static const cxr_data_check *check(const cxr_inspection *i, const char *name)
{
    for (size_t k = 0; k < i->check_count; k++)
        if (strcmp(i->checks[k].name, name) == 0) return &i->checks[k];
    fail_msg("no check is called %s", name);
    return NULL;
}

static bool tells(const cxr_data_check *c, const char *a, const char *b)
{
    for (size_t n = 0; n < c->line_count; n++)
        if (strstr(c->lines[n], a) != NULL && strstr(c->lines[n], b) != NULL) return true;
    return false;
}

static size_t films_of_one_patient; /* pictures of a phantom patient differ in pose alone: they are near duplicates */

static void clean_data_has_no_problem(void **state)
{
    (void)state;
    cxr_inspection *i = inspect("data", NULL);
    assert_int_equal(i->images, 72);
    assert_int_equal(i->counts[0][0], 24);
    assert_int_equal(i->counts[1][2], 12);
    assert_string_equal(i->class_names[1], "PNEUMONIA");
    for (size_t k = 0; k < i->check_count; k++)
        if (i->checks[k].verdict == CXR_VERDICT_PROBLEM) fail_msg("%s: %s", i->checks[k].name, i->checks[k].says);
    films_of_one_patient = check(i, "near-duplicates")->line_count;
    assert_int_equal(check(i, "suspects")->verdict, CXR_VERDICT_OK);
    assert_int_equal(check(i, "groups")->verdict, CXR_VERDICT_OK);
    assert_int_equal(check(i, "shift")->verdict, CXR_VERDICT_SKIPPED);
    assert_true(i->verdict != CXR_VERDICT_PROBLEM);
    cxr_inspection_free(&i);
    assert_null(i);
}

#define FILM "data/train/NORMAL/IM-0001-0001.jpeg"

/* The film as it is, in another split, class and patient. */
static void identical_files_are_found(void **state)
{
    (void)state;
    copy(FILM, "data/test/PNEUMONIA/person900_1.jpeg");
    cxr_inspection *i = inspect("data", NULL);
    const cxr_data_check *c = check(i, "duplicates");
    assert_int_equal(c->verdict, CXR_VERDICT_PROBLEM);
    assert_int_equal(c->line_count, 1);
    assert_true(tells(c, "IM-0001-0001", "person900_1"));
    c = check(i, "labels");
    assert_int_equal(c->verdict, CXR_VERDICT_PROBLEM);
    assert_int_equal(c->line_count, 1);
    assert_int_equal(check(i, "near-duplicates")->line_count, films_of_one_patient); /* not told twice */
    assert_int_equal(i->verdict, CXR_VERDICT_PROBLEM);
    cxr_inspection_free(&i);
    assert_int_equal(remove(in_root("data/test/PNEUMONIA/person900_1.jpeg")), 0);
}

/* Saved again and darker; cropped by a few pixels; both in the same class, the one across splits. */
static void near_duplicates_are_found(void **state)
{
    (void)state;
    cxr_image img = load(FILM), part;
    const cxr_box inner = {0.02 * img.width, 0.03 * img.height, 0.97 * img.width, 0.99 * img.height};
    assert_int_equal(cxr_image_resize(&part, &img, 120, 100, &inner, NULL), CXR_OK);
    save(&part, "data/train/NORMAL/IM-0901-0001.jpeg");
    assert_int_equal(cxr_image_recompress(&img, 40, NULL), CXR_OK);
    cxr_image_brightness(&img, 0.8f);
    save(&img, "data/test/NORMAL/IM-0902-0001.jpeg");
    cxr_inspection *i = inspect("data", NULL);
    const cxr_data_check *c = check(i, "near-duplicates");
    assert_int_equal(c->verdict, CXR_VERDICT_PROBLEM);
    assert_true(tells(c, "IM-0001-0001", "IM-0901-0001"));
    assert_true(tells(c, "IM-0001-0001", "IM-0902-0001"));
    assert_non_null(strstr(c->lines[0], "IM-0902")); /* across splits comes first */
    assert_int_equal(check(i, "duplicates")->line_count, 0);
    assert_int_equal(check(i, "labels")->verdict, CXR_VERDICT_OK);
    cxr_inspection_free(&i);
    assert_int_equal(remove(in_root("data/train/NORMAL/IM-0901-0001.jpeg")), 0);
    assert_int_equal(remove(in_root("data/test/NORMAL/IM-0902-0001.jpeg")), 0);
}

static void invert(cxr_image *img)
{
    for (int p = 0; p < img->width * img->height; p++) img->pixels[p] = (uint8_t)(255 - img->pixels[p]);
}

/* A quarter to the left. */
static void save_turned(const char *from, const char *to)
{
    cxr_image img = load(from), out;
    assert_int_equal(cxr_image_new(&out, img.height, img.width, NULL), CXR_OK);
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++) out.pixels[y * out.width + x] = img.pixels[x * img.width + img.width - 1 - y];
    cxr_image_free(&img);
    save(&out, to);
}

static void suspects_are_found(void **state)
{
    (void)state;
    cxr_image img = load(FILM);
    invert(&img);
    save(&img, "data/train/NORMAL/IM-0911-0001.jpeg");
    img = load("data/train/NORMAL/IM-0002-0001.jpeg");
    assert_int_equal(cxr_image_rotate(&img, 180.0f, NULL), CXR_OK);
    save(&img, "data/train/NORMAL/IM-0912-0001.jpeg");
    save_turned("data/train/NORMAL/IM-0003-0001.jpeg", "data/train/NORMAL/IM-0914-0001.jpeg");
    assert_int_equal(cxr_image_new(&img, 90, 90, NULL), CXR_OK);
    memset(img.pixels, 90, 90 * 90);
    save(&img, "data/train/NORMAL/IM-0913-0001.jpeg");
    cxr_inspection *i = inspect("data", NULL);
    const cxr_data_check *c = check(i, "suspects");
    assert_int_equal(c->verdict, CXR_VERDICT_LOOK);
    assert_int_equal(c->line_count, 3);
    assert_true(tells(c, "IM-0914", "turned a quarter to the left"));
    assert_true(tells(c, "IM-0911", "inverted"));
    assert_true(tells(c, "IM-0912", "upside down"));
    c = check(i, "blank");
    assert_int_equal(c->verdict, CXR_VERDICT_PROBLEM);
    assert_int_equal(c->line_count, 1);
    assert_true(tells(c, "IM-0913", ""));
    cxr_inspection_free(&i);
    assert_int_equal(remove(in_root("data/train/NORMAL/IM-0911-0001.jpeg")), 0);
    assert_int_equal(remove(in_root("data/train/NORMAL/IM-0912-0001.jpeg")), 0);
    assert_int_equal(remove(in_root("data/train/NORMAL/IM-0913-0001.jpeg")), 0);
    assert_int_equal(remove(in_root("data/train/NORMAL/IM-0914-0001.jpeg")), 0);
}

static void fixture(const char *name, const char *to)
{
    cxr_buf file;
    char path[300];
    (void)snprintf(path, sizeof path, FIXTURES "/images/%s", name);
    assert_int_equal(cxr_buf_read(&file, path, 1 << 24, NULL), CXR_OK);
    assert_int_equal(cxr_file_write(in_root(to), file.data, file.len, NULL), CXR_OK);
    cxr_buf_free(&file);
}

/* The modes are told in inspect.json. */
static void kinds_of_files_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *file, *format, *mode;
        int depth, orientation;
    } kinds[] = {{"palette_4.png", "PNG", "palette", 4, 1},
                 {"grey_16.png", "PNG", "grey", 16, 1},
                 {"rgba_8.png", "PNG", "RGB and alpha", 8, 1},
                 {"grey_alpha_16.png", "PNG", "grey and alpha", 16, 1},
                 {"cmyk.jpg", "JPEG", "CMYK", 8, 1},
                 {"colour_420.jpg", "JPEG", "RGB", 8, 1},
                 {"exif_6.jpg", "JPEG", "grey", 8, 6},
                 {"exif_6.png", "PNG", "grey", 8, 6},
                 {"grey.jpg", "JPEG", "grey", 8, 1}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    char name[100];
    for (size_t k = 0; k < KINDS; k++) {
        (void)snprintf(name, sizeof name, "kinds/%c/%zu.%s", k % 2 == 0 ? 'A' : 'B', k, strrchr(kinds[k].file, '.') + 1);
        assert_int_equal(cxr_make_folders(in_root(k % 2 == 0 ? "kinds/A" : "kinds/B"), NULL), CXR_OK);
        fixture(kinds[k].file, name);
    }
    fixture("mislabelled.jpg", "kinds/A/mislabelled.jpg");
    scratch_write(root, "kinds/B/text.png", "no picture\n");
    cxr_inspection *i = inspect("kinds", "out");
    json_t *o = json_load_file(in_root("out/inspect.json"), 0, NULL);
    const json_t *list = json_object_get(o, "kinds"), *row;
    size_t at, found = 0;
    for (size_t k = 0; k < KINDS; k++)
        json_array_foreach(list, at, row) found +=
            strcmp(json_string_value(json_object_get(row, "format")), kinds[k].format) == 0 &&
            strcmp(json_string_value(json_object_get(row, "mode")), kinds[k].mode) == 0 &&
            json_integer_value(json_object_get(row, "depth")) == kinds[k].depth &&
            json_integer_value(json_object_get(row, "orientation")) == kinds[k].orientation;
    assert_int_equal(found, KINDS);
    json_decref(o);
    assert_true(tells(check(i, "formats"), "mislabelled.jpg", "PNG by content"));
    assert_int_equal(check(i, "formats")->line_count, 1);
    assert_int_equal(check(i, "orientation")->line_count, 2);
    assert_int_equal(check(i, "readable")->verdict, CXR_VERDICT_PROBLEM);
    assert_true(tells(check(i, "readable"), "kinds/B/text.png", "neither a JPEG nor a PNG image"));
    assert_int_equal(check(i, "suspects")->verdict, CXR_VERDICT_SKIPPED);
    assert_true(cxr_path_exists(in_root("out/inspect.html")));
    cxr_inspection_free(&i);
}

static void groups_that_cross_are_counted(void **state)
{
    (void)state;
    copy("data/train/NORMAL/IM-0002-0001.jpeg", "data/test/NORMAL/IM-0001-0009.jpeg");
    cxr_inspection *i = inspect("data", NULL);
    const cxr_data_check *c = check(i, "groups");
    assert_int_equal(c->verdict, CXR_VERDICT_LOOK);
    assert_int_equal(c->line_count, 1);
    assert_true(tells(c, "NORMAL/IM-0001", "test/NORMAL/IM-0001-0009.jpeg"));
    assert_non_null(strstr(c->says, "file-name group, unverified"));
    cxr_inspection_free(&i);
    assert_int_equal(remove(in_root("data/test/NORMAL/IM-0001-0009.jpeg")), 0);
}

/* A network of random weights sees brightness well enough. */
static void a_shift_is_told(void **state)
{
    (void)state;
    cxr_train_opts t;
    cxr_inspect_opts o;
    cxr_inspection *i = NULL;
    cxr_model *m = NULL;
    cxr_train_opts_default(&t);
    t.preprocess.size = 32;
    assert_int_equal(cxr_model_new(&m, &t, 2, NULL), CXR_OK);
    cxr_inspect_opts_default(&o);
    o.data = in_root("data");
    o.model = m;
    o.run.deterministic = true;
    o.run.threads = 1;
    assert_int_equal(cxr_inspect(&o, NULL, &i, NULL), CXR_OK);
    assert_int_equal(check(i, "shift")->verdict, CXR_VERDICT_OK);
    cxr_inspection_free(&i);
    static const char *const classes[2] = {"NORMAL", "PNEUMONIA"};
    char name[100], dark[100];
    for (int k = 0; k < 2; k++)
        for (int n = 1; n < 40; n++)
            for (int p = 1; p <= 3; p++) {
                (void)snprintf(name, sizeof name, k == 0 ? "data/test/%s/IM-%04d-%04d.jpeg" : "data/test/%s/person%d_%d.jpeg",
                               classes[k], n, p);
                if (!cxr_path_exists(in_root(name))) continue;
                (void)snprintf(dark, sizeof dark, "dark/%s", name + 5);
                assert_int_equal(cxr_make_folders(in_root(k == 0 ? "dark/test/NORMAL" : "dark/test/PNEUMONIA"), NULL), CXR_OK);
                cxr_image img = load(name);
                cxr_image_brightness(&img, 0.5f);
                save(&img, dark);
            }
    assert_int_equal(rename(in_root("data/train"), in_root("dark/train")), 0);
    o.data = in_root("dark");
    assert_int_equal(cxr_inspect(&o, NULL, &i, NULL), CXR_OK);
    assert_int_equal(rename(in_root("dark/train"), in_root("data/train")), 0);
    const cxr_data_check *c = check(i, "shift");
    assert_int_equal(c->verdict, CXR_VERDICT_LOOK);
    assert_int_equal(c->line_count, 24);
    assert_non_null(strstr(c->lines[0], "most like test  test/"));
    const json_t *x = NULL;
    json_t *all = json_loads(i->json, 0, NULL);
    x = json_object_get(json_object_get(json_object_get(all, "shift"), "auroc"), "value");
    assert_true(json_number_value(x) > 0.9);
    json_decref(all);
    cxr_inspection_free(&i);
    cxr_model_close(&m);
}

static void the_same_with_any_number_of_threads(void **state)
{
    (void)state;
    cxr_inspect_opts o;
    cxr_inspection *one = NULL, *three = NULL;
    cxr_inspect_opts_default(&o);
    o.data = in_root("data");
    o.run.threads = 1;
    assert_int_equal(cxr_inspect(&o, NULL, &one, NULL), CXR_OK);
    o.run.threads = 3;
    assert_int_equal(cxr_inspect(&o, NULL, &three, NULL), CXR_OK);
    assert_string_equal(one->json, three->json);
    cxr_inspection_free(&one);
    cxr_inspection_free(&three);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    const char *const files[] = {"few/train/A/1.png", "few/train/B/2.png", "few/test/A/3.png"};
    const char *const folders[] = {"few/train/A", "few/train/B", "few/test/A"};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(cxr_make_folders(in_root(folders[k]), NULL), CXR_OK);
        fixture(k == 1 ? "grey_8.png" : "grey_4.png", files[k]);
    }
    cxr_inspect_opts o;
    cxr_inspect_opts_default(&o);
    o.data = in_root("few");
    o.out = in_root("few-out");
    o.run.threads = 1;
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_inspection *i = NULL;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_inspect(&o, NULL, &i, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (fired && st == CXR_OK) assert_true(i != NULL); /* a thumbnail that did not fit is a line of text */
        if (!fired) assert_int_equal(st, CXR_OK);
        if (st != CXR_OK) assert_true(st == CXR_ENOMEM && i == NULL);
        cxr_inspection_free(&i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_data_has_no_problem), cmocka_unit_test(identical_files_are_found),
        cmocka_unit_test(near_duplicates_are_found), cmocka_unit_test(suspects_are_found),
        cmocka_unit_test(kinds_of_files_are_told),   cmocka_unit_test(groups_that_cross_are_counted),
        cmocka_unit_test(a_shift_is_told),           cmocka_unit_test(the_same_with_any_number_of_threads),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, make_phantoms, remove_phantoms);
}
