/* Images from outside that must be refused, each with its status and a sentence that names the file, and never with wrong
 * pixels; and every allocation failing in turn. */
#include "base/mem.h"
#include "golden_images.h"

static cxr_limits limits;

static int set_limits(void **state)
{
    (void)state;
    cxr_limits_default(&limits);
    return 0;
}

static cxr_buf fixture(const char *name)
{
    char path[512];
    cxr_buf file;
    (void)snprintf(path, sizeof path, IMAGES "%s", name);
    assert_int_equal(cxr_buf_read(&file, path, 1 << 20, NULL), CXR_OK);
    return file;
}

static void refused(const void *data, size_t len, cxr_status want, const char *words)
{
    cxr_image img = {(uint8_t *)&limits, 1, 1};
    cxr_error err = {0};
    assert_int_equal(cxr_image_decode(&img, data, len, "some/file", NULL, &limits, &err), want);
    assert_null(img.pixels);
    assert_int_equal(err.status, want);
    if (strstr(err.text, "some/file: ") != err.text || strstr(err.text, words) == NULL)
        fail_msg("\"%s\" does not begin with the file and say \"%s\"", err.text, words);
}

static void what_is_not_an_image(void **state)
{
    (void)state;
    refused("", 0, CXR_EDATA, "empty");
    refused("GIF89a and more", 15, CXR_EDATA, "neither a JPEG nor a PNG");
    refused("\xFF\xD8", 2, CXR_EDATA, "neither a JPEG nor a PNG");
    limits.max_bytes = 14;
    refused("GIF89a and more", 15, CXR_ELIMIT, "limit 14");
}

static void missing_and_empty_files(void **state)
{
    (void)state;
    cxr_image img;
    cxr_error err = {0};
    assert_int_equal(cxr_image_load(&img, "/nonexistent/a.jpg", NULL, &limits, &err), CXR_ENOINPUT);
    assert_null(img.pixels);
    assert_non_null(strstr(err.text, "/nonexistent/a.jpg"));
    assert_int_equal(cxr_image_load(&img, "/dev/null", NULL, &limits, &err), CXR_EDATA);
    assert_null(img.pixels);
}

/* Copies of the exact length, so that a sanitizer sees any read beyond the end. libspng does not ask for the last chunk's
 * checksum: a PNG that lacks `spare` = 4 bytes is whole, and must then be the same picture. */
static void every_prefix_is_refused(const char *name, size_t spare)
{
    cxr_buf file = fixture(name);
    cxr_image whole, img;
    assert_int_equal(cxr_image_decode(&whole, file.data, file.len, name, NULL, &limits, NULL), CXR_OK);
    for (size_t len = 0; len < file.len; len++) {
        uint8_t *part = malloc(len + 1);
        assert_non_null(part);
        memcpy(part + 1, file.data, len);
        const cxr_status st = cxr_image_decode(&img, part + 1, len, name, NULL, &limits, NULL);
        const bool good = st == CXR_OK && len + spare >= file.len && golden_gap(&img, &whole) == 0;
        if (!good && (st != CXR_EDATA || img.pixels != NULL)) fail_msg("%s cut to %zu bytes: status %d", name, len, (int)st);
        cxr_image_free(&img);
        free(part);
    }
    cxr_image_free(&whole);
    cxr_buf_free(&file);
}

static void truncated_files(void **state)
{
    (void)state;
    static const char *const names[] = {"grey.jpg",   "grey_progressive.jpg", "colour_420.jpg",        "cmyk.jpg",
                                        "exif_6.jpg", "grey_8.png",           "rgba_8_interlaced.png", "palette_clear.png",
                                        "exif_6.png", "grey_16.png",          "grey_8_interlaced.png"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        every_prefix_is_refused(names[i], strstr(names[i], ".png") != NULL ? 4 : 0);
}

/* A flipped bit may leave a legal picture, or one that only differs; it must not crash, leak or give half an image. */
static void flipped_bits(void **state)
{
    (void)state;
    static const char *const names[] = {"grey_progressive.jpg", "ycck.jpg", "exif_5.jpg", "palette_clear.png", "exif_6.png"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cxr_buf file = fixture(names[i]);
        for (size_t bit = 0; bit < 8 * file.len; bit++) {
            file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cxr_image img;
            const cxr_status st = cxr_image_decode(&img, file.data, file.len, names[i], NULL, &limits, NULL);
            assert_true(st == CXR_OK || st == CXR_EDATA || st == CXR_ELIMIT);
            assert_int_equal(st == CXR_OK, img.pixels != NULL);
            cxr_image_free(&img);
            file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        cxr_buf_free(&file);
    }
}

/* The place of a marker 0xFF `code`, searched from the start: the fixtures' tables do not hold it. */
static size_t find_marker(const cxr_buf *file, uint8_t code)
{
    for (size_t i = 0; i + 1 < file->len; i++)
        if (file->data[i] == 0xFF && file->data[i + 1] == code) return i;
    fail_msg("no marker %02x", code);
    return 0;
}

/* The first scan of a progressive JPEG repeated before the rest of the file. */
static cxr_buf with_scans(size_t count)
{
    cxr_buf file = fixture("grey_progressive.jpg");
    const size_t begin = find_marker(&file, 0xDA);
    size_t end = begin + 2;
    while (file.data[end] != 0xFF || file.data[end + 1] == 0) end++;
    const size_t scan = end - begin, len = file.len + scan * count;
    cxr_buf many = {malloc(len), len};
    assert_non_null(many.data);
    memcpy(many.data, file.data, begin);
    for (size_t i = 0; i <= count; i++) memcpy(many.data + begin + i * scan, file.data + begin, scan);
    memcpy(many.data + begin + (count + 1) * scan, file.data + end, file.len - end);
    cxr_buf_free(&file);
    return many;
}

static void too_many_scans(void **state)
{
    (void)state;
    cxr_buf many = with_scans(80000);
    refused(many.data, many.len, CXR_ELIMIT, "more than 100 scans");
    free(many.data);
    cxr_buf file = fixture("grey_progressive.jpg");
    limits.max_scans = 1;
    refused(file.data, file.len, CXR_ELIMIT, "more than 1 scans");
    cxr_buf_free(&file);
}

static void put_be(uint8_t *to, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

/* The fixture with other dimensions in its header. */
static cxr_buf resized_jpeg(uint32_t width, uint32_t height)
{
    cxr_buf file = fixture("grey.jpg");
    const size_t frame = find_marker(&file, 0xC0);
    put_be(file.data + frame + 5, height, 2);
    put_be(file.data + frame + 7, width, 2);
    return file;
}

/* CRC-32 of PNG's chunks (PNG specification, annex D). */
static uint32_t crc(const uint8_t *data, size_t len)
{
    uint32_t c = 0xFFFFFFFFu;
    for (size_t i = 0; i < 8 * len; i++) {
        if (i % 8 == 0) c ^= data[i / 8];
        c = (c >> 1) ^ (c & 1 ? 0xEDB88320u : 0);
    }
    return ~c;
}

static cxr_buf resized_png(uint32_t width, uint32_t height)
{
    cxr_buf file = fixture("grey_8.png");
    put_be(file.data + 16, width, 4);
    put_be(file.data + 20, height, 4);
    put_be(file.data + 29, crc(file.data + 12, 17), 4);
    return file;
}

/* Refused from the header: even the first allocation of pixels would fail here. */
static void too_many_pixels(void **state)
{
    (void)state;
    cxr_buf jpeg = resized_jpeg(20000, 20000), png = resized_png(20000, 20000), huge = resized_png(2147483647, 2147483647);
    refused(jpeg.data, jpeg.len, CXR_ELIMIT, "20000 x 20000 pixels, limit 100000000 pixels");
    refused(png.data, png.len, CXR_ELIMIT, "20000 x 20000 pixels, limit 100000000 pixels");
    refused(huge.data, huge.len, CXR_ELIMIT, "some/file");
    limits.max_pixels = 400000000;
    refused(jpeg.data, jpeg.len, CXR_EDATA, "cannot read this JPEG");
    refused(png.data, png.len, CXR_EDATA, "cannot read this PNG");
    cxr_buf_free(&jpeg);
    cxr_buf_free(&png);
    cxr_buf_free(&huge);
}

static void limit_is_inclusive(void **state)
{
    (void)state;
    cxr_buf file = fixture("grey.jpg");
    cxr_image img;
    limits.max_pixels = 29 * 23;
    assert_int_equal(cxr_image_decode(&img, file.data, file.len, "x", NULL, &limits, NULL), CXR_OK);
    cxr_image_free(&img);
    limits.max_pixels--;
    refused(file.data, file.len, CXR_ELIMIT, "29 x 23");
    cxr_buf_free(&file);
}

static cxr_status decode_to_input(const cxr_buf *file, cxr_error *err)
{
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    const cxr_augment aug = {.flip = 1, .rotate_degrees = 10, .crop_min_scale = 0.5f, .brightness = 0.1f, .contrast = 0.1f};
    static uint8_t input[128 * 128];
    cxr_image img;
    cxr_status st = cxr_image_decode(&img, file->data, file->len, "x", NULL, &limits, err);
    if (st == CXR_OK) st = cxr_image_to_input(input, &img, &pre, &aug, 1, err);
    cxr_image_free(&img);
    return st;
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    static const char *const names[] = {"exif_6.jpg", "ycck.jpg", "exif_6_at_end.png", "rgba_8_interlaced.png",
                                        "palette_clear.png"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cxr_buf file = fixture(names[i]);
        long n = 0;
        for (bool fired = true; fired; n++) {
            cxr_error err = {0};
            cxr_mem_fail_at(n);
            const cxr_status st = decode_to_input(&file, &err);
            fired = cxr_mem_fail_fired();
            cxr_mem_fail_at(-1);
            if (st != (fired ? CXR_ENOMEM : CXR_OK)) fail_msg("%s, allocation %ld: %s", names[i], n, err.text);
        }
        assert_true(n > 8);
        cxr_buf_free(&file);
    }
}

static void reductions_beyond_reason(void **state)
{
    (void)state;
    cxr_image line, out;
    cxr_error err = {0};
    assert_int_equal(cxr_image_new(&line, 9000000, 1, NULL), CXR_OK);
    assert_int_equal(cxr_image_resize(&out, &line, 4, 1, NULL, &err), CXR_ELIMIT);
    assert_null(out.pixels);
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    pre.rule = CXR_RESIZE_CROP;
    assert_int_equal(cxr_image_prepare(&out, &line, &pre, &err), CXR_ELIMIT);
    assert_null(out.pixels);
    pre.rule = CXR_RESIZE_FIT;
    assert_int_equal(cxr_image_prepare(&out, &line, &pre, &err), CXR_OK);
    cxr_image_free(&out);
    cxr_image_free(&line);
}

static void jpegs_are_written(void **state)
{
    (void)state;
    FILE *f = fopen(IMAGES "sources.pgm", "rb");
    assert_non_null(f);
    cxr_image img = golden_next(f), back;
    (void)fclose(f);
    char path[] = "/tmp/cxr_test_image_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(cxr_image_write_jpeg(&img, path, 100, NULL), CXR_OK);
    assert_int_equal(cxr_image_load(&back, path, NULL, &limits, NULL), CXR_OK);
    golden_equal(&back, &img, 2, "a JPEG of quality 100"); /* quantised by 1, rounded before and after */
    cxr_error err = {0};
    assert_int_equal(cxr_image_write_jpeg(&img, "/nonexistent/a.jpg", 90, &err), CXR_ECREATE);
    assert_non_null(strstr(err.text, "/nonexistent/a.jpg"));
    (void)fclose(fdopen(fd, "r"));
    (void)remove(path);
    cxr_image_free(&back);
    cxr_image_free(&img);
}

int main(void)
{
    if (golden_missing()) return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_not_an_image, set_limits),
        cmocka_unit_test_setup(missing_and_empty_files, set_limits),
        cmocka_unit_test_setup(truncated_files, set_limits),
        cmocka_unit_test_setup(flipped_bits, set_limits),
        cmocka_unit_test_setup(too_many_scans, set_limits),
        cmocka_unit_test_setup(too_many_pixels, set_limits),
        cmocka_unit_test_setup(limit_is_inclusive, set_limits),
        cmocka_unit_test_setup(every_allocation_can_fail, set_limits),
        cmocka_unit_test_setup(reductions_beyond_reason, set_limits),
        cmocka_unit_test_setup(jpegs_are_written, set_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
