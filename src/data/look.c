#include "data/look.h"
#include <math.h>

#define BRIGHT 160 /* of a page's paper */
#define NEAR   8   /* grey levels that scanning and compression make of one */

static void count_levels(uint32_t count[256], const cxr_image *img)
{
    const size_t n = (size_t)img->width * (size_t)img->height;
    for (size_t i = 0; i < n; i++) count[img->pixels[i]]++;
}

static double deviation(const uint32_t count[256], double n)
{
    double sum = 0.0, squares = 0.0;
    for (int v = 0; v < 256; v++) sum += (double)count[v] * v;
    for (int v = 0; v < 256; v++) squares += (double)count[v] * (v - sum / n) * (v - sum / n);
    return sqrt(squares / n);
}

static double paper(const uint32_t count[256], double n)
{
    double most = 0.0;
    for (int v = BRIGHT; v < 256; v++) {
        double near = 0.0;
        for (int w = v - NEAR; w <= v + NEAR && w < 256; w++) near += count[w];
        most = fmax(most, near);
    }
    return most / n;
}

cxr_status cxr_look_at(cxr_look *out, const cxr_image *img, double colour, cxr_error *err)
{
    uint32_t count[256] = {0};
    const double n = (double)img->width * img->height, w = img->width, h = img->height;
    count_levels(count, img);
    *out = (cxr_look){.colour = (float)colour,
                      .aspect = (float)(w > h ? w / h : h / w),
                      .contrast = (float)deviation(count, n),
                      .page = (float)paper(count, n)};
    const cxr_preprocess square = {.rule = CXR_RESIZE_SQUASH, .size = CXR_LOOK_SIDE};
    return cxr_image_to_input(out->small, img, &square, NULL, 0, err);
}

/* Where the pixel at (y, x) of the turned square lies in the square. */
static int turned(int y, int x, int quarters)
{
    const int last = CXR_LOOK_SIDE - 1;
    switch (quarters & 3) {
    case 1: return x * CXR_LOOK_SIDE + last - y;
    case 2: return (last - y) * CXR_LOOK_SIDE + last - x;
    case 3: return (last - x) * CXR_LOOK_SIDE + y;
    default: return y * CXR_LOOK_SIDE + x;
    }
}

double cxr_look_likeness(const cxr_look *l, int quarters, const uint8_t other[CXR_LOOK_PIXELS])
{
    int64_t a = 0, b = 0, aa = 0, bb = 0, ab = 0; /* sums of at most 256 * 255 * 255: exact */
    for (int i = 0; i < CXR_LOOK_PIXELS; i++) {
        const int x = l->small[turned(i / CXR_LOOK_SIDE, i % CXR_LOOK_SIDE, quarters)], y = other[i];
        a += x;
        b += y;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    const double sx = (double)(CXR_LOOK_PIXELS * aa - a * a), sy = (double)(CXR_LOOK_PIXELS * bb - b * b);
    return sx > 0.0 && sy > 0.0 ? (double)(CXR_LOOK_PIXELS * ab - a * b) / sqrt(sx * sy) : 0.0;
}
