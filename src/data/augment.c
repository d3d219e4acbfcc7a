/* Random transforms of training images, drawn by a key, and the way from a decoded image to the network's input. */
#include "base/rng.h"
#include "data/image.h"
#include "data/resize.h"
#include <math.h>

void cxr_preprocess_default(cxr_preprocess *o)
{
    *o = (cxr_preprocess){
        .rule = CXR_RESIZE_SQUASH, .size = 128, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
}

/* Which number of a sample's key decides what. Part of the format of reproducible runs: append, never renumber. */
enum {
    DRAW_FLIP,
    DRAW_ANGLE,
    DRAW_BRIGHTNESS,
    DRAW_CONTRAST,
    DRAW_ZOOM,
    DRAW_GAMMA,
    DRAW_NOISE,
    DRAW_NOISE_KEY,
    DRAW_QUALITY,
    DRAW_ERASE,
    DRAW_CROP = 16,      /* and 4 per try: 16..55 */
    DRAW_RECTANGLE = 56, /* likewise: 56..95 */
};
enum { CROP_AREA, CROP_RATIO, CROP_TOP, CROP_LEFT, CROP_NUMBERS, CROP_TRIES = 10 };

enum { ERASED = 114 }; /* ImageNet's mean grey, which normalising turns to about 0 */

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

/* torchvision's RandomErasing.get_params with scale (0.02, 0.33) and ratio (0.3, 3.3). False: no try fitted. */
static bool draw_rectangle(cxr_crop *out, int width, int height, uint64_t key)
{
    const double area = (double)width * height;
    for (uint64_t i = DRAW_RECTANGLE; i < DRAW_RECTANGLE + CROP_TRIES * CROP_NUMBERS; i += CROP_NUMBERS) {
        const double target = area * between(0.02, 0.33, key, i + CROP_AREA);
        const double ratio = exp(between(log(0.3), log(3.3), key, i + CROP_RATIO));
        const int h = (int)nearbyint(sqrt(target * ratio)), w = (int)nearbyint(sqrt(target / ratio));
        if (h >= height || w >= width) continue;
        *out = (cxr_crop){one_of(width - w + 1, key, i + CROP_LEFT), one_of(height - h + 1, key, i + CROP_TOP), w, h};
        return true;
    }
    return false;
}

/* From [1 - x, 1 + x]. */
static float factor(float x, uint64_t key, uint64_t i)
{
    return (float)between(1.0 - (double)x, 1.0 + (double)x, key, i);
}

void cxr_draw_make(cxr_draw *out, const cxr_augment *aug, int width, int height, uint64_t key)
{
    const double span = log(1.0 + (double)aug->gamma);
    *out = (cxr_draw){.crop = {0, 0, width, height},
                      .flip = cxr_rng_uniform(key, DRAW_FLIP) < aug->flip,
                      .degrees = (float)between(-aug->rotate_degrees, aug->rotate_degrees, key, DRAW_ANGLE),
                      .zoom = factor(aug->zoom, key, DRAW_ZOOM),
                      .brightness = factor(aug->brightness, key, DRAW_BRIGHTNESS),
                      .contrast = factor(aug->contrast, key, DRAW_CONTRAST),
                      .gamma = (float)exp(between(-span, span, key, DRAW_GAMMA)),
                      .noise = (float)between(0.0, aug->noise, key, DRAW_NOISE),
                      .noise_key = cxr_rng_u64(key, DRAW_NOISE_KEY),
                      .erase = cxr_rng_uniform(key, DRAW_ERASE) < aug->erase};
    out->cropped = aug->crop_min_scale > 0.0f;
    if (out->cropped) out->crop = draw_crop(aug->crop_min_scale, width, height, key);
    if (aug->jpeg_quality > 0) out->quality = aug->jpeg_quality + one_of(101 - aug->jpeg_quality, key, DRAW_QUALITY);
}

bool cxr_augment_is_random(const cxr_augment *a)
{
    return a->flip > 0.0f || a->rotate_degrees > 0.0f || a->crop_min_scale > 0.0f || a->brightness > 0.0f ||
           a->contrast > 0.0f || a->zoom > 0.0f || a->gamma > 0.0f || a->noise > 0.0f || a->jpeg_quality > 0 || a->erase > 0.0f;
}

static cxr_status apply(cxr_image *img, const cxr_draw *draw, uint64_t key, cxr_error *err)
{
    cxr_crop rectangle;
    cxr_status st = CXR_OK;
    if (draw->zoom != 1.0f) st = cxr_image_zoom(img, draw->zoom, err);
    if (draw->flip) cxr_image_flip(img);
    if (st == CXR_OK && draw->degrees != 0.0f) st = cxr_image_rotate(img, draw->degrees, err);
    if (draw->brightness != 1.0f) cxr_image_brightness(img, draw->brightness);
    if (draw->contrast != 1.0f) cxr_image_contrast(img, draw->contrast);
    if (draw->gamma != 1.0f) cxr_image_gamma(img, draw->gamma);
    if (draw->noise > 0.0f) cxr_image_noise(img, draw->noise, draw->noise_key);
    if (st == CXR_OK && draw->quality > 0) st = cxr_image_recompress(img, draw->quality, err);
    if (draw->erase && draw_rectangle(&rectangle, img->width, img->height, key)) cxr_image_fill(img, &rectangle, ERASED);
    return st;
}

cxr_status cxr_image_augment(cxr_image *square, const cxr_augment *aug, uint64_t key, cxr_error *err)
{
    cxr_draw draw;
    cxr_draw_make(&draw, aug, square->width, square->height, key);
    return apply(square, &draw, key, err);
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
    return st == CXR_OK ? apply(&square, &draw, key, err) : st;
}

cxr_status cxr_image_prepare(cxr_image *out, const cxr_image *in, const cxr_preprocess *pre, cxr_error *err)
{
    cxr_status st = cxr_image_new(out, pre->size, pre->size, err);
    if (st == CXR_OK) st = cxr_image_to_input(out->pixels, in, pre, NULL, 0, err);
    if (st != CXR_OK) cxr_image_free(out);
    return st;
}
