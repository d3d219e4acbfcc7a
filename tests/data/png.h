/* Pictures as lossless files, so that the file holds what was drawn. */
#ifndef TESTS_DATA_PNG_H
#define TESTS_DATA_PNG_H
#include "data/image.h"
#include "data/scratch.h"
#include <spng.h>
#include <stdio.h>

/* `samples` of each pixel: 1 grey, 3 RGB. */
static inline void png_write(const char *path, const uint8_t *pixels, int width, int height, int samples)
{
    struct spng_ihdr head = {.width = (uint32_t)width, .height = (uint32_t)height, .bit_depth = 8};
    head.color_type = samples == 3 ? SPNG_COLOR_TYPE_TRUECOLOR : SPNG_COLOR_TYPE_GRAYSCALE;
    FILE *f = fopen(path, "wb");
    spng_ctx *png = spng_ctx_new(SPNG_CTX_ENCODER);
    assert_true(f != NULL && png != NULL);
    assert_int_equal(spng_set_png_file(png, f), 0);
    assert_int_equal(spng_set_ihdr(png, &head), 0);
    const size_t bytes = (size_t)width * (size_t)height * (size_t)samples;
    assert_int_equal(spng_encode_image(png, pixels, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
    spng_ctx_free(png);
    assert_int_equal(fclose(f), 0);
}
#endif
