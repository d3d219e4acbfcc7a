/* Decoded images: with every cache the pixels that decoding gives, from the cache where they are in it, and never those of a
 * file that has changed since. */
#include "base/hash.h"
#include "data/decoded.h"
#include "data/scratch.h"
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <zlib.h>

#define IMAGES 12
#define SIZE   32
#define BYTES  ((size_t)SIZE * SIZE)

typedef struct fixture {
    char *dir, *cache_dir;
    char *paths[IMAGES];
    cxr_preprocess pre;
    cxr_hooks hooks;
    cxr_decoded_opts opts;
    char last[512]; /* line of the log */
    int lines;
} fixture;

static void on_line(void *user, cxr_level level, const char *line)
{
    fixture *f = user;
    (void)level;
    f->lines++;
    (void)snprintf(f->last, sizeof f->last, "%s", line);
}

static void write_picture(const char *path, int width, int height, int seed)
{
    cxr_image img;
    assert_int_equal(cxr_image_new(&img, width, height, NULL), CXR_OK);
    for (int p = 0; p < img.width * img.height; p++) img.pixels[p] = (uint8_t)(seed * 6 + p % img.width);
    assert_int_equal(cxr_image_write_jpeg(&img, path, 90, NULL), CXR_OK);
    cxr_image_free(&img);
}

static void write_image(const char *path, int seed)
{
    write_picture(path, 40 + seed % 9, 50, seed);
}

static int set_up(void **state)
{
    fixture *f = cxr_mem_new(1, sizeof *f);
    f->dir = scratch_new();
    f->cache_dir = scratch_new();
    for (int i = 0; i < IMAGES; i++) {
        f->paths[i] = cxr_mem_printf("%s/%02d.jpg", f->dir, i);
        write_image(f->paths[i], i);
    }
    cxr_preprocess_default(&f->pre);
    f->pre.size = SIZE;
    f->hooks.log.write = on_line;
    f->hooks.log.user = f;
    f->opts = (cxr_decoded_opts){.paths = (const char *const *)f->paths,
                                 .count = IMAGES,
                                 .preprocess = &f->pre,
                                 .cache = CXR_CACHE_DISK,
                                 .cache_dir = f->cache_dir,
                                 .hooks = &f->hooks};
    cxr_limits_default(&f->opts.limits);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < IMAGES; i++) cxr_mem_free(f->paths[i]);
    scratch_remove(f->dir);
    scratch_remove(f->cache_dir);
    cxr_mem_free(f);
    return 0;
}

static cxr_decoded *opened(const fixture *f)
{
    cxr_decoded *d = NULL;
    cxr_error err = {0};
    if (cxr_decoded_open(&d, &f->opts, &err) != CXR_OK) fail_msg("%s", err.text);
    return d;
}

static void decode(const fixture *f, size_t i, uint8_t *square)
{
    cxr_image img;
    assert_int_equal(cxr_image_load(&img, f->paths[i], &f->pre, &f->opts.limits, NULL), CXR_OK);
    assert_int_equal(cxr_image_to_input(square, &img, &f->pre, NULL, 0, NULL), CXR_OK);
    cxr_image_free(&img);
}

/* Whether image i comes out of `d` as its file says. */
static bool is_right(const fixture *f, cxr_decoded *d, size_t i)
{
    uint8_t got[BYTES], want[BYTES];
    cxr_error err = {0};
    if (cxr_decoded_square(d, i, got, &err) != CXR_OK) fail_msg("%s", err.text);
    decode(f, i, want);
    return memcmp(got, want, BYTES) == 0;
}

static void every_cache_gives_the_decoded_pixels(void **state)
{
    fixture *f = *state;
    const cxr_cache caches[] = {CXR_CACHE_OFF, CXR_CACHE_RAM, CXR_CACHE_DISK, CXR_CACHE_DISK};
    for (size_t c = 0; c < 4; c++) {
        f->opts.cache = caches[c];
        cxr_decoded *d = opened(f);
        for (int round = 0; round < 3; round++)
            for (size_t i = 0; i < IMAGES; i++) assert_true(is_right(f, d, i));
        cxr_decoded_close(&d);
        assert_null(d);
    }
    assert_int_equal(f->lines, 0);
    cxr_decoded_close(NULL);
}

/* Squares are of images decoded at a fraction, as prediction has them; random crops are of all pixels. */
static void large_images_are_scaled_unless_whole(void **state)
{
    fixture *f = *state;
    write_picture(f->paths[0], 200, 210, 3);
    for (int c = CXR_CACHE_RAM; c <= CXR_CACHE_OFF; c++) {
        f->opts.cache = (cxr_cache)c;
        cxr_decoded *d = opened(f);
        for (int round = 0; round < 2; round++) assert_true(is_right(f, d, 0));
        cxr_decoded_close(&d);
    }
    cxr_image whole, scaled;
    bool lent;
    f->opts.whole = true;
    cxr_decoded *d = opened(f);
    assert_int_equal(cxr_decoded_whole(d, 0, &whole, &lent, NULL), CXR_OK);
    assert_int_equal(cxr_image_load(&scaled, f->paths[0], &f->pre, &f->opts.limits, NULL), CXR_OK);
    assert_int_equal(whole.width, 200);
    assert_int_equal(scaled.width, 100);
    cxr_image_free(&scaled);
    if (!lent) cxr_image_free(&whole);
    cxr_decoded_close(&d);
}

static void an_image_is_read_once_in_a_run(void **state)
{
    fixture *f = *state;
    uint8_t want[BYTES], got[BYTES];
    decode(f, 4, want);
    for (cxr_cache cache = CXR_CACHE_RAM; cache <= CXR_CACHE_DISK; cache++) {
        f->opts.cache = cache;
        cxr_decoded *d = opened(f);
        assert_true(is_right(f, d, 4));
        assert_int_equal(unlink(f->paths[4]), 0);
        assert_int_equal(cxr_decoded_square(d, 4, got, NULL), CXR_OK);
        assert_memory_equal(got, want, BYTES);
        cxr_decoded_close(&d);
        d = opened(f); /* a new run wants the file */
        assert_int_equal(cxr_decoded_square(d, 4, got, NULL), CXR_ENOINPUT);
        cxr_decoded_close(&d);
        write_image(f->paths[4], 4);
    }
}

/* Inverts image i's pixels in the one cache file there is, with a checksum to match. */
static void invert_record(const fixture *f, size_t i)
{
    const size_t n = BYTES + 64;
    const off_t entry_at = (off_t)(64 + 8 * i), record_at = (off_t)(64 + 8 * IMAGES + i * n);
    uint8_t record[BYTES + 64];
    char *pattern = cxr_path_join(f->cache_dir, "pixels-*.cache");
    glob_t found;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    const int fd = open(found.gl_pathv[0], O_RDWR);
    assert_int_equal(pread(fd, record, n, record_at), n);
    for (size_t p = 0; p < BYTES; p++) record[p] = (uint8_t)~record[p];
    const uint64_t entry = (uint64_t)1 << 32 | crc32_z(0, record, n);
    assert_int_equal(pwrite(fd, record, n, record_at), n);
    assert_int_equal(pwrite(fd, &entry, sizeof entry, entry_at), sizeof entry);
    assert_int_equal(close(fd), 0);
    globfree(&found);
    cxr_mem_free(pattern);
}

static void read_all(const fixture *f)
{
    cxr_decoded *d = opened(f);
    for (size_t i = 0; i < IMAGES; i++) assert_true(is_right(f, d, i));
    cxr_decoded_close(&d);
}

static void a_later_run_takes_the_record_of_an_unchanged_file(void **state)
{
    fixture *f = *state;
    read_all(f);
    invert_record(f, 7);
    write_image(f->paths[7], 7); /* written anew with the same content: not changed */
    cxr_decoded *d = opened(f);
    uint8_t got[BYTES], want[BYTES];
    decode(f, 7, want);
    for (size_t p = 0; p < BYTES; p++) want[p] = (uint8_t)~want[p];
    for (int round = 0; round < 2; round++) {
        assert_int_equal(cxr_decoded_square(d, 7, got, NULL), CXR_OK);
        assert_memory_equal(got, want, BYTES);
    }
    assert_true(is_right(f, d, 6));
    cxr_decoded_close(&d);
}

static void a_changed_file_is_decoded_again(void **state)
{
    fixture *f = *state;
    read_all(f);
    struct stat before, after;
    assert_int_equal(stat(f->paths[7], &before), 0);
    const int fd = open(f->paths[7], O_RDWR); /* one byte of the picture, with the size and the times as before */
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, before.st_size - 9), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, before.st_size - 9), 1);
    assert_int_equal(futimens(fd, (const struct timespec[]){before.st_atim, before.st_mtim}), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(stat(f->paths[7], &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    read_all(f);
    read_all(f);
}

/* Told what the files held, no cache gives the pixels of anything else, and a record on disk of that content counts without
 * the file. */
static void known_contents_are_kept_to(void **state)
{
    fixture *f = *state;
    char contents[IMAGES][65];
    uint8_t got[BYTES];
    for (int i = 0; i < IMAGES; i++) assert_int_equal(cxr_sha256_file(f->paths[i], contents[i], NULL), CXR_OK);
    f->opts.contents = (const char(*)[65])contents;
    for (int c = CXR_CACHE_RAM; c <= CXR_CACHE_OFF; c++)
        for (int whole = 0; whole < 2; whole++) {
            f->opts.cache = (cxr_cache)c;
            f->opts.whole = whole == 1;
            cxr_decoded *d = opened(f);
            cxr_error err = {0};
            cxr_image image = {0};
            bool lent;
            if (whole == 0) assert_true(is_right(f, d, 3));
            write_image(f->paths[5], 6);
            const cxr_status st =
                whole == 1 ? cxr_decoded_whole(d, 5, &image, &lent, &err) : cxr_decoded_square(d, 5, got, &err);
            assert_int_equal(st, CXR_EDATA);
            assert_non_null(strstr(err.text, "05.jpg: changed since this run read it first"));
            write_image(f->paths[5], 5);
            cxr_decoded_close(&d);
        }
    f->opts.cache = CXR_CACHE_DISK;
    f->opts.whole = false;
    assert_int_equal(unlink(f->paths[3]), 0);
    cxr_decoded *d = opened(f);
    assert_int_equal(cxr_decoded_square(d, 3, got, NULL), CXR_OK);
    write_image(f->paths[3], 3);
    assert_true(is_right(f, d, 3));
    contents[3][0] = contents[3][0] == 'a' ? 'b' : 'a'; /* the record is of another content */
    assert_int_equal(cxr_decoded_square(d, 3, got, NULL), CXR_EDATA);
    cxr_decoded_close(&d);
}

static void other_settings_have_another_file(void **state)
{
    fixture *f = *state;
    read_all(f);
    f->pre.rule = CXR_RESIZE_FIT;
    read_all(f);
    f->opts.limits.max_pixels = 100; /* too few: a record made under another limit must not hide it */
    cxr_decoded *d = opened(f);
    uint8_t got[BYTES];
    assert_int_equal(cxr_decoded_square(d, 0, got, NULL), CXR_ELIMIT);
    cxr_decoded_close(&d);
}

static void whole_images_are_kept_up_to_a_limit(void **state)
{
    fixture *f = *state;
    f->opts.whole = true;
    for (int c = 0; c < 3; c++) {
        f->opts.cache = (const cxr_cache[]){CXR_CACHE_RAM, CXR_CACHE_DISK, CXR_CACHE_OFF}[c];
        f->opts.max_bytes = 3 * 50 * 50; /* three images of 40 to 48 x 50 pixels */
        cxr_decoded *d = opened(f);
        int kept = 0;
        for (size_t k = 0; k < 2 * IMAGES; k++) {
            cxr_image want, got;
            bool lent;
            const size_t i = k % IMAGES;
            assert_int_equal(cxr_image_load(&want, f->paths[i], NULL, &f->opts.limits, NULL), CXR_OK);
            assert_int_equal(cxr_decoded_whole(d, i, &got, &lent, NULL), CXR_OK);
            assert_int_equal(got.width, want.width);
            assert_memory_equal(got.pixels, want.pixels, (size_t)(want.width * want.height));
            kept += lent && k >= IMAGES;
            if (!lent) cxr_image_free(&got);
            cxr_image_free(&want);
        }
        assert_int_equal(kept, c == 0 ? 3 : 0);
        cxr_decoded_close(&d);
    }
    assert_int_equal(f->lines, 2); /* full; not on disk */
    assert_string_equal(f->last, "images for random crops are not kept on disk: they are decoded each time");
}

static void a_bad_image_is_never_kept(void **state)
{
    fixture *f = *state;
    assert_int_equal(cxr_file_write(f->paths[2], "not a picture", 13, NULL), CXR_OK);
    for (int c = CXR_CACHE_RAM; c <= CXR_CACHE_OFF; c++) {
        f->opts.cache = (cxr_cache)c;
        cxr_decoded *d = opened(f);
        uint8_t got[BYTES];
        for (int round = 0; round < 2; round++) assert_int_equal(cxr_decoded_square(d, 2, got, NULL), CXR_EDATA);
        cxr_image image;
        bool lent;
        assert_int_equal(cxr_decoded_whole(d, 2, &image, &lent, NULL), CXR_EDATA);
        assert_false(lent);
        assert_null(image.pixels);
        cxr_decoded_close(&d);
    }
}

static cxr_status squares_and_wholes(const fixture *f)
{
    for (int c = CXR_CACHE_RAM; c <= CXR_CACHE_OFF; c++)
        for (int whole = 0; whole < 2; whole++) {
            cxr_decoded_opts o = f->opts;
            cxr_decoded *d = NULL;
            uint8_t square[BYTES];
            cxr_image image = {0};
            bool lent = true;
            o.cache = (cxr_cache)c;
            o.whole = whole == 1;
            cxr_status st = cxr_decoded_open(&d, &o, NULL);
            if (st == CXR_OK)
                st = o.whole ? cxr_decoded_whole(d, 1, &image, &lent, NULL) : cxr_decoded_square(d, 1, square, NULL);
            if (!lent) cxr_image_free(&image);
            cxr_decoded_close(&d);
            if (st != CXR_OK) return st;
        }
    return CXR_OK;
}

static void every_allocation_can_fail(void **state)
{
    fixture *f = *state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        scratch_empty(f->cache_dir);
        cxr_mem_fail_at(n);
        const cxr_status st = squares_and_wholes(f);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
}

#define ON(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(every_cache_gives_the_decoded_pixels),
        ON(large_images_are_scaled_unless_whole),
        ON(an_image_is_read_once_in_a_run),
        ON(a_later_run_takes_the_record_of_an_unchanged_file),
        ON(a_changed_file_is_decoded_again),
        ON(known_contents_are_kept_to),
        ON(other_settings_have_another_file),
        ON(whole_images_are_kept_up_to_a_limit),
        ON(a_bad_image_is_never_kept),
        ON(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
