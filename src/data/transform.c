/* Augmentations as torchvision applies them to PIL images of mode L, and the way from a decoded image to the network's
 * input. */
#include "base/mem.h"
#include "base/rng.h"
#include "data/image.h"
#include "data/resize.h"
#include <math.h>
#include <string.h>

void cxr_preprocess_default(cxr_preprocess *o)
{
    *o = (cxr_preprocess){
        .rule = CXR_RESIZE_SQUASH, .size = 128, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
}

void cxr_image_flip(cxr_image *img)
{
    const size_t width = (size_t)img->width;
    for (int y = 0; y < img->height; y++) {
        uint8_t *row = img->pixels + (size_t)y * width;
        for (size_t a = 0, b = width - 1; a < b; a++, b--) {
            const uint8_t swap = row[a];
            row[a] = row[b];
            row[b] = swap;
        }
    }
}

/* PIL's Image.blend(grey, image, factor) for one grey level: truncated, clipped. */
static void blend_with(cxr_image *img, int grey, float factor)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++) {
        const float mixed = (float)grey + factor * (float)(v - grey);
        table[v] = mixed <= 0.0f ? 0 : mixed >= 255.0f ? 255 : (uint8_t)mixed;
    }
    const size_t n = (size_t)img->width * (size_t)img->height;
    for (size_t i = 0; i < n; i++) img->pixels[i] = table[img->pixels[i]];
}

void cxr_image_brightness(cxr_image *img, float factor)
{
    blend_with(img, 0, factor);
}

void cxr_image_contrast(cxr_image *img, float factor)
{
    const size_t n = (size_t)img->width * (size_t)img->height;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += img->pixels[i];
    blend_with(img, (int)((double)sum / (double)n + 0.5), factor);
}

/* 16.16 fixed point. */
static int64_t fixed(double value)
{
    return (int64_t)floor(value * 65536.0 + 0.5);
}

/* Rounded to 15 decimals, so that right angles are exact. */
static double rounded15(double value)
{
    return nearbyint(value * 1e15) / 1e15;
}

/* PIL's Image.rotate: the inverse map about (width / 2, height / 2), each output pixel's centre followed in fixed point.
 * (PIL leaves fixed point beyond 32,767 pixels; the network's inputs end at 1,024.) */
static void rotate_into(uint8_t *restrict out, const uint8_t *restrict in, int width, int height, float degrees)
{
    const double radians = -fmod(degrees, 360.0) * (3.14159265358979323846 / 180.0);
    const double cosine = rounded15(cos(radians)), sine = rounded15(sin(radians));
    const double cx = width / 2.0, cy = height / 2.0;
    const double x0 = cosine * -cx + sine * -cy + cx, y0 = -sine * -cx + cosine * -cy + cy;
    const int64_t xx = fixed(cosine), xy = fixed(sine), yx = fixed(-sine), yy = fixed(cosine);
    int64_t row_x = fixed(x0 + cosine * 0.5 + sine * 0.5), row_y = fixed(y0 - sine * 0.5 + cosine * 0.5);
    for (int y = 0; y < height; y++, row_x += xy, row_y += yy) {
        int64_t px = row_x, py = row_y;
        for (int x = 0; x < width; x++, px += xx, py += yx) {
            const uint64_t ix = (uint64_t)(px >> 16), iy = (uint64_t)(py >> 16); /* what is negative is beyond any side */
            const bool inside = ix < (uint64_t)width && iy < (uint64_t)height;
            *out++ = inside ? in[iy * (uint64_t)width + ix] : 0;
        }
    }
}

cxr_status cxr_image_rotate(cxr_image *img, float degrees, cxr_error *err)
{
    cxr_image out;
    const cxr_status st = cxr_image_new(&out, img->width, img->height, err);
    if (st != CXR_OK) return st;
    rotate_into(out.pixels, img->pixels, img->width, img->height, degrees);
    memcpy(img->pixels, out.pixels, (size_t)img->width * (size_t)img->height);
    cxr_image_free(&out);
    return CXR_OK;
}

/* Which number of a sample's key decides what. Part of the format of reproducible runs: append, never renumber. */
enum { DRAW_FLIP = 0, DRAW_ANGLE = 1, DRAW_BRIGHTNESS = 2, DRAW_CONTRAST = 3, DRAW_CROP = 16 /* and 4 per try: 16..55 */ };
enum { CROP_AREA, CROP_RATIO, CROP_TOP, CROP_LEFT, CROP_NUMBERS, CROP_TRIES = 10 };

static double between(double low, double high, uint64_t key, uint64_t i)
{
    return low + (high - low) * (double)cxr_rng_uniform(key, i);
}

static int one_of(int count, uint64_t key, uint64_t i)
{
    return (int)((double)count * (double)cxr_rng_uniform(key, i));
}

/* torchvision's RandomResizedCrop.get_params with scale (min_scale, 1) and ratio (3/4, 4/3). */
static cxr_crop draw_crop(double min_scale, int width, int height, uint64_t key)
{
    const double flat = 4.0 / 3.0, tall = 3.0 / 4.0, area = (double)width * height;
    for (uint64_t i = DRAW_CROP; i < DRAW_CROP + CROP_TRIES * CROP_NUMBERS; i += CROP_NUMBERS) {
        const double target = area * between(min_scale, 1.0, key, i + CROP_AREA);
        const double ratio = exp(between(log(tall), log(flat), key, i + CROP_RATIO));
        const double w = nearbyint(sqrt(target * ratio)), h = nearbyint(sqrt(target / ratio));
        if (!(w >= 1 && w <= width && h >= 1 && h <= height)) continue;
        return (cxr_crop){.left = one_of(width - (int)w + 1, key, i + CROP_LEFT),
                          .top = one_of(height - (int)h + 1, key, i + CROP_TOP),
                          .width = (int)w,
                          .height = (int)h};
    }
    const double ratio = (double)width / height;
    const int w = ratio > flat ? (int)nearbyint(height * flat) : width;
    const int h = ratio < tall ? (int)nearbyint(width / tall) : height;
    return (cxr_crop){(width - w) / 2, (height - h) / 2, w, h};
}

void cxr_draw_make(cxr_draw *out, const cxr_augment *aug, int width, int height, uint64_t key)
{
    *out = (cxr_draw){.crop = {0, 0, width, height},
                      .flip = cxr_rng_uniform(key, DRAW_FLIP) < aug->flip,
                      .degrees = (float)between(-aug->rotate_degrees, aug->rotate_degrees, key, DRAW_ANGLE),
                      .brightness = (float)between(1.0 - aug->brightness, 1.0 + aug->brightness, key, DRAW_BRIGHTNESS),
                      .contrast = (float)between(1.0 - aug->contrast, 1.0 + aug->contrast, key, DRAW_CONTRAST)};
    out->cropped = aug->crop_min_scale > 0.0f;
    if (out->cropped) out->crop = draw_crop(aug->crop_min_scale, width, height, key);
}

static cxr_status apply(cxr_image *img, const cxr_draw *draw, cxr_error *err)
{
    if (draw->flip) cxr_image_flip(img);
    if (draw->degrees != 0.0f) {
        const cxr_status st = cxr_image_rotate(img, draw->degrees, err);
        if (st != CXR_OK) return st;
    }
    if (draw->brightness != 1.0f) cxr_image_brightness(img, draw->brightness);
    if (draw->contrast != 1.0f) cxr_image_contrast(img, draw->contrast);
    return CXR_OK;
}

cxr_status cxr_image_augment(cxr_image *square, const cxr_augment *aug, uint64_t key, cxr_error *err)
{
    cxr_draw draw;
    cxr_draw_make(&draw, aug, square->width, square->height, key);
    return apply(square, &draw, err);
}

cxr_status cxr_image_to_input(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, const cxr_augment *aug,
                              uint64_t key, cxr_error *err)
{
    cxr_view view = {in->pixels, (size_t)in->width, in->width, in->height};
    if (aug == NULL) return cxr_resize_by_rule(out, &view, pre->rule, pre->size, err);
    cxr_draw draw;
    cxr_draw_make(&draw, aug, in->width, in->height, key);
    view.pixels += (size_t)draw.crop.top * view.stride + (size_t)draw.crop.left;
    view.width = draw.crop.width;
    view.height = draw.crop.height;
    const cxr_status st = cxr_resize_by_rule(out, &view, draw.cropped ? CXR_RESIZE_SQUASH : pre->rule, pre->size, err);
    cxr_image square = {out, pre->size, pre->size};
    return st == CXR_OK ? apply(&square, &draw, err) : st;
}

cxr_status cxr_image_prepare(cxr_image *out, const cxr_image *in, const cxr_preprocess *pre, cxr_error *err)
{
    cxr_status st = cxr_image_new(out, pre->size, pre->size, err);
    if (st == CXR_OK) st = cxr_image_to_input(out->pixels, in, pre, NULL, 0, err);
    if (st != CXR_OK) cxr_image_free(out);
    return st;
}
