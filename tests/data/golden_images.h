/* The fixtures of tools/golden/make_images.py: binary PGMs one after another, and their comparison. */
#ifndef GOLDEN_IMAGES_H
#define GOLDEN_IMAGES_H
#include "base/file.h"
#include "data/image.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IMAGES FIXTURES "/images/"

/* The next image of `f`; zeroed at its end. */
static inline cxr_image golden_next(FILE *f)
{
    cxr_image img = {0};
    int width, height;
    if (fscanf(f, "P5 %d %d 255", &width, &height) != 2) return img;
    assert_int_equal(fgetc(f), '\n');
    assert_int_equal(cxr_image_new(&img, width, height, NULL), CXR_OK);
    const size_t n = (size_t)width * (size_t)height;
    assert_int_equal(fread(img.pixels, 1, n, f), n);
    return img;
}

/* The largest difference in grey levels; 256 when the sizes differ. */
static inline int golden_gap(const cxr_image *got, const cxr_image *want)
{
    if (got->width != want->width || got->height != want->height) return 256;
    int gap = 0;
    for (size_t i = 0; i < (size_t)want->width * (size_t)want->height; i++) {
        const int d = abs(got->pixels[i] - want->pixels[i]);
        if (d > gap) gap = d;
    }
    return gap;
}

static inline void golden_equal(const cxr_image *got, const cxr_image *want, int tolerance, const char *what)
{
    const int gap = golden_gap(got, want);
    if (gap > tolerance) fail_msg("%s: differs by %d grey levels, tolerance %d", what, gap, tolerance);
}

/* main() leaves with 77 where the fixtures are missing. */
static inline bool golden_missing(void)
{
    return !cxr_path_exists(IMAGES "README.txt");
}
#endif
