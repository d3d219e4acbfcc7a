/* The loader: batches are a function of (seed, epoch, sample), whatever the threads do; bad images are delivered as such; an
 * epoch can be left at any time. */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/loader.h"
#include "data/scratch.h"

#define IMAGES 37
#define SIZE   32

typedef struct fixture {
    char *dir;
    char *paths[IMAGES];
    uint32_t order[IMAGES];
    cxr_preprocess pre;
    cxr_augment augment;
    cxr_loader_opts opts;
} fixture;

static void write_image(const char *path, int i)
{
    cxr_image img;
    assert_int_equal(cxr_image_new(&img, 40 + i, 50 + i % 7, NULL), CXR_OK);
    for (int p = 0; p < img.width * img.height; p++) img.pixels[p] = (uint8_t)(i * 6 + p % img.width);
    assert_int_equal(cxr_image_write_jpeg(&img, path, 90, NULL), CXR_OK);
    cxr_image_free(&img);
}

static int set_up(void **state)
{
    fixture *f = cxr_mem_new(1, sizeof *f);
    f->dir = scratch_new();
    for (int i = 0; i < IMAGES; i++) {
        f->paths[i] = cxr_mem_printf("%s/%02d.jpg", f->dir, i);
        write_image(f->paths[i], i);
    }
    cxr_rng_permutation(cxr_rng_key(7, CXR_FOR_TEST, 0, 0), f->order, IMAGES);
    cxr_preprocess_default(&f->pre);
    f->pre.size = SIZE;
    f->augment =
        (cxr_augment){.flip = 0.5f, .rotate_degrees = 20, .crop_min_scale = 0.5f, .brightness = 0.2f, .contrast = 0.2f};
    f->opts = (cxr_loader_opts){.paths = (const char *const *)f->paths,
                                .count = IMAGES,
                                .preprocess = &f->pre,
                                .augment = &f->augment,
                                .batch_size = 5,
                                .threads = 2,
                                .ahead = 3,
                                .seed = 11,
                                .cache = CXR_CACHE_OFF};
    cxr_limits_default(&f->opts.limits);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < IMAGES; i++) cxr_mem_free(f->paths[i]);
    scratch_remove(f->dir);
    cxr_mem_free(f);
    return 0;
}

/* All images of an epoch, one after the other, and the sizes of its batches. */
typedef struct epoch {
    uint8_t pixels[IMAGES][SIZE * SIZE];
    uint32_t index[IMAGES];
    cxr_status status[IMAGES];
    int sizes[IMAGES + 1]; /* ends with 0 */
    int n;
} epoch;

static void read_epoch(cxr_loader *l, epoch *e)
{
    cxr_batch b;
    memset(e, 0, sizeof *e);
    for (int k = 0;; k++) {
        assert_int_equal(cxr_loader_next(l, &b, NULL, NULL), CXR_OK);
        e->sizes[k] = b.n;
        if (b.n == 0) return;
        assert_true(e->n + b.n <= IMAGES);
        memcpy(e->pixels[e->n], b.pixels, (size_t)b.n * SIZE * SIZE);
        memcpy(&e->index[e->n], b.index, (size_t)b.n * sizeof *b.index);
        for (int i = 0; i < b.n; i++) e->status[e->n + i] = b.errors[i].status;
        e->n += b.n;
    }
}

static epoch *epoch_of(fixture *f, int threads, size_t count, size_t start, uint64_t number, bool join)
{
    f->opts.threads = threads;
    cxr_loader *l = NULL;
    epoch *e = cxr_mem_new(1, sizeof *e);
    assert_int_equal(cxr_loader_open(&l, &f->opts, NULL), CXR_OK);
    assert_int_equal(cxr_loader_start(l, f->order, count, start, number, join, NULL), CXR_OK);
    read_epoch(l, e);
    cxr_loader_close(&l);
    assert_null(l);
    return e;
}

static void equals_the_pictures_made_one_by_one(void **state)
{
    fixture *f = *state;
    epoch *e = epoch_of(f, 3, IMAGES, 0, 4, false);
    assert_int_equal(e->n, IMAGES);
    for (int i = 0; i < IMAGES; i++) {
        cxr_image img;
        uint8_t want[SIZE * SIZE];
        assert_int_equal(e->index[i], f->order[i]);
        assert_int_equal(cxr_image_load(&img, f->paths[f->order[i]], NULL, &f->opts.limits, NULL), CXR_OK);
        const uint64_t key = cxr_rng_key(11, CXR_FOR_AUGMENT, 4, f->order[i]);
        assert_int_equal(cxr_image_to_input(want, &img, &f->pre, &f->augment, key, NULL), CXR_OK);
        assert_memory_equal(e->pixels[i], want, sizeof want);
        cxr_image_free(&img);
    }
    cxr_mem_free(e);
}

/* With replacement every place in the epoch draws transforms of its own, counted from the epoch's start. */
static void an_image_drawn_again_looks_different(void **state)
{
    fixture *f = *state;
    const uint32_t first = f->order[0], third = f->order[2], tenth = f->order[9];
    f->opts.replacement = true;
    f->order[9] = f->order[2] = first;
    epoch *e = epoch_of(f, 3, IMAGES, 0, 4, false), *rest = epoch_of(f, 3, IMAGES, 8, 4, false);
    cxr_image img;
    assert_int_equal(cxr_image_load(&img, f->paths[first], NULL, &f->opts.limits, NULL), CXR_OK);
    static const int places[] = {0, 2, 9};
    for (size_t i = 0; i < 3; i++) {
        uint8_t want[SIZE * SIZE];
        const uint64_t key = cxr_rng_key(11, CXR_FOR_AUGMENT, 4, (uint64_t)places[i]);
        assert_int_equal(cxr_image_to_input(want, &img, &f->pre, &f->augment, key, NULL), CXR_OK);
        assert_memory_equal(e->pixels[places[i]], want, sizeof want);
    }
    assert_memory_equal(rest->pixels[1], e->pixels[9], SIZE * SIZE);
    assert_memory_not_equal(e->pixels[2], e->pixels[9], SIZE * SIZE);
    cxr_image_free(&img);
    cxr_mem_free(e);
    cxr_mem_free(rest);
    f->opts.replacement = false;
    f->order[2] = third;
    f->order[9] = tenth;
}

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    epoch *one = epoch_of(*state, 1, IMAGES, 0, 2, false);
    for (int threads = 2; threads <= 8; threads *= 2) {
        epoch *many = epoch_of(*state, threads, IMAGES, 0, 2, false);
        assert_memory_equal(one, many, sizeof *one);
        cxr_mem_free(many);
    }
    epoch *other = epoch_of(*state, 4, IMAGES, 0, 3, false);
    assert_memory_not_equal(one->pixels, other->pixels, sizeof one->pixels);
    cxr_mem_free(other);
    cxr_mem_free(one);
}

/* Three epochs with one loader, cut short and whole, so that images come from the cache in every state of it. */
static epoch *third_epoch(fixture *f, cxr_cache cache, int threads)
{
    cxr_loader_opts o = f->opts;
    o.threads = threads;
    o.cache = cache;
    o.cache_dir = f->dir;
    cxr_loader *l = NULL;
    epoch *e = cxr_mem_new(1, sizeof *e);
    assert_int_equal(cxr_loader_open(&l, &o, NULL), CXR_OK);
    for (uint64_t number = 0; number < 3; number++) {
        assert_int_equal(cxr_loader_start(l, f->order, number == 0 ? IMAGES / 2 : IMAGES, 0, number, false, NULL), CXR_OK);
        read_epoch(l, e);
    }
    cxr_loader_close(&l);
    return e;
}

static void caches_change_no_pixel(void **state)
{
    fixture *f = *state;
    const cxr_cache caches[] = {CXR_CACHE_RAM, CXR_CACHE_DISK, CXR_CACHE_DISK};
    for (int crop = 0; crop < 2; crop++) {
        f->augment.crop_min_scale = crop == 1 ? 0.5f : 0.0f;
        epoch *want = epoch_of(f, 1, IMAGES, 0, 2, false);
        for (size_t c = 0; c < 3; c++)
            for (int threads = 1; threads <= 4; threads += 3) {
                epoch *got = third_epoch(f, caches[c], threads);
                assert_memory_equal(got, want, sizeof *want);
                cxr_mem_free(got);
            }
        cxr_mem_free(want);
    }
}

static void resumes_at_any_place(void **state)
{
    epoch *whole = epoch_of(*state, 2, IMAGES, 0, 2, false);
    for (size_t start = 0; start <= IMAGES; start += start == 35 ? 1 : 5) {
        epoch *rest = epoch_of(*state, 2, IMAGES, start, 2, false);
        const size_t n = IMAGES - start;
        assert_int_equal(rest->n, n);
        assert_memory_equal(rest->pixels, whole->pixels[start], n * sizeof *rest->pixels);
        assert_memory_equal(rest->index, &whole->index[start], n * sizeof *rest->index);
        cxr_mem_free(rest);
    }
    cxr_mem_free(whole);
}

static void expect_sizes(fixture *f, size_t count, bool join, const int *want, size_t n)
{
    epoch *e = epoch_of(f, 2, count, 0, 1, join);
    assert_memory_equal(e->sizes, want, n * sizeof *want);
    cxr_mem_free(e);
}

static void a_lonely_last_image_is_joined_when_asked(void **state)
{
    fixture *f = *state;
    expect_sizes(f, 11, false, (int[]){5, 5, 1, 0}, 4);
    expect_sizes(f, 11, true, (int[]){5, 6, 0}, 3);
    expect_sizes(f, 12, true, (int[]){5, 5, 2, 0}, 4);
    expect_sizes(f, 10, true, (int[]){5, 5, 0}, 3);
    expect_sizes(f, 6, true, (int[]){6, 0}, 2);
    expect_sizes(f, 1, true, (int[]){1, 0}, 2);
    expect_sizes(f, 0, true, (int[]){0}, 1);
    f->opts.batch_size = 1;
    expect_sizes(f, 3, true, (int[]){1, 2, 0}, 3);
    f->opts.batch_size = 5;
}

static void bad_images_are_black_and_named(void **state)
{
    fixture *f = *state;
    char *missing = cxr_mem_printf("%s/gone.jpg", f->dir), *broken = cxr_mem_printf("%s/broken.jpg", f->dir);
    assert_int_equal(cxr_file_write(broken, "not a picture", 13, NULL), CXR_OK);
    char *kept[2] = {f->paths[3], f->paths[20]};
    f->paths[3] = missing;
    f->paths[20] = broken;
    cxr_loader *l = NULL;
    cxr_batch b;
    uint8_t black[SIZE * SIZE] = {0};
    int bad = 0;
    assert_int_equal(cxr_loader_open(&l, &f->opts, NULL), CXR_OK);
    assert_int_equal(cxr_loader_start(l, f->order, IMAGES, 0, 1, false, NULL), CXR_OK);
    while (cxr_loader_next(l, &b, NULL, NULL) == CXR_OK && b.n > 0)
        for (int i = 0; i < b.n; i++) {
            const bool is_missing = b.index[i] == 3, is_broken = b.index[i] == 20;
            assert_int_equal(b.errors[i].status, is_missing ? CXR_ENOINPUT : is_broken ? CXR_EDATA : CXR_OK);
            if (!is_missing && !is_broken) continue;
            bad++;
            assert_non_null(strstr(b.errors[i].text, is_missing ? "gone.jpg" : "broken.jpg"));
            assert_memory_equal(b.pixels + (size_t)i * SIZE * SIZE, black, sizeof black);
        }
    assert_int_equal(bad, 2);
    cxr_loader_close(&l);
    f->paths[3] = kept[0];
    f->paths[20] = kept[1];
    cxr_mem_free(missing);
    cxr_mem_free(broken);
}

static void an_epoch_can_be_left_and_another_begun(void **state)
{
    fixture *f = *state;
    epoch *want = epoch_of(f, 1, IMAGES, 5, 9, true), *got = cxr_mem_new(1, sizeof *got);
    f->opts.threads = 4;
    cxr_loader *l = NULL;
    cxr_batch b;
    assert_int_equal(cxr_loader_open(&l, &f->opts, NULL), CXR_OK);
    assert_int_equal(cxr_loader_next(l, &b, NULL, NULL), CXR_OK); /* before any epoch */
    assert_int_equal(b.n, 0);
    for (int round = 0; round < 20; round++) {
        assert_int_equal(cxr_loader_start(l, f->order, IMAGES, 0, 8, false, NULL), CXR_OK);
        for (int k = 0; k < round % 4; k++) assert_int_equal(cxr_loader_next(l, &b, NULL, NULL), CXR_OK);
    }
    assert_int_equal(cxr_loader_start(l, f->order, IMAGES, 5, 9, true, NULL), CXR_OK);
    read_epoch(l, got);
    assert_memory_equal(got, want, sizeof *want);
    assert_int_equal(cxr_loader_next(l, &b, NULL, NULL), CXR_OK); /* the end stays the end */
    assert_int_equal(b.n, 0);
    cxr_loader_close(&l);
    cxr_mem_free(want);
    cxr_mem_free(got);
}

static void can_be_closed_at_any_time(void **state)
{
    fixture *f = *state;
    cxr_batch b;
    for (int round = 0; round < 20; round++) {
        cxr_loader *l = NULL;
        assert_int_equal(cxr_loader_open(&l, &f->opts, NULL), CXR_OK);
        if (round > 0) assert_int_equal(cxr_loader_start(l, f->order, IMAGES, 0, 1, false, NULL), CXR_OK);
        for (int k = 1; k < round % 5; k++) assert_int_equal(cxr_loader_next(l, &b, NULL, NULL), CXR_OK);
        cxr_loader_close(&l);
        cxr_loader_close(&l);
    }
    cxr_loader_close(NULL);
}

static void waiting_is_counted(void **state)
{
    fixture *f = *state;
    cxr_loader *l = NULL;
    cxr_batch b;
    double waited = 0.0;
    assert_int_equal(cxr_loader_open(&l, &f->opts, NULL), CXR_OK);
    assert_int_equal(cxr_loader_start(l, f->order, IMAGES, 0, 1, false, NULL), CXR_OK);
    assert_int_equal(cxr_loader_next(l, &b, &waited, NULL), CXR_OK);
    assert_true(waited > 0.0);
    cxr_loader_close(&l);
}

static void senseless_options_are_refused(void **state)
{
    fixture *f = *state;
    cxr_loader *l = NULL;
    cxr_error err = {0};
    cxr_loader_opts o = f->opts;
    o.batch_size = 0;
    assert_int_equal(cxr_loader_open(&l, &o, &err), CXR_EUSAGE);
    assert_string_equal(err.text, "batch size 0 is outside 1..4096");
    o = f->opts;
    o.threads = 0;
    assert_int_equal(cxr_loader_open(&l, &o, &err), CXR_EUSAGE);
    o = f->opts;
    o.ahead = 1;
    assert_int_equal(cxr_loader_open(&l, &o, &err), CXR_EUSAGE);
    assert_null(l);
    assert_int_equal(cxr_loader_open(&l, &f->opts, &err), CXR_OK);
    assert_int_equal(cxr_loader_start(l, f->order, 3, 4, 1, false, &err), CXR_EUSAGE);
    assert_int_equal(cxr_loader_start(l, (uint32_t[]){0, IMAGES}, 2, 0, 1, false, &err), CXR_EUSAGE);
    assert_string_equal(err.text, "order names image 37 of 37");
    cxr_loader_close(&l);
}

static cxr_status two_batches(fixture *f)
{
    cxr_loader *l = NULL;
    cxr_batch b;
    cxr_error err = {0};
    cxr_status st = cxr_loader_open(&l, &f->opts, &err);
    if (st == CXR_OK) st = cxr_loader_start(l, f->order, 10, 0, 1, false, &err);
    for (int k = 0; st == CXR_OK && k < 2; k++) st = cxr_loader_next(l, &b, NULL, &err);
    cxr_loader_close(&l);
    return st;
}

static void every_allocation_can_fail(void **state)
{
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_mem_fail_at(n);
        const cxr_status st = two_batches(*state);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_pictures_made_one_by_one),
        cmocka_unit_test(an_image_drawn_again_looks_different),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(caches_change_no_pixel),
        cmocka_unit_test(resumes_at_any_place),
        cmocka_unit_test(a_lonely_last_image_is_joined_when_asked),
        cmocka_unit_test(bad_images_are_black_and_named),
        cmocka_unit_test(an_epoch_can_be_left_and_another_begun),
        cmocka_unit_test(can_be_closed_at_any_time),
        cmocka_unit_test(waiting_is_counted),
        cmocka_unit_test(senseless_options_are_refused),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
