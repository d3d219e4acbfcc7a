/* What can be done to a picture: each as torchvision or Pillow does it to an image of mode L. */
#include "base/mem.h"
#include "base/rng.h"
#include "data/image.h"
#include "data/resize.h"
#include <math.h>
#include <string.h>

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

static size_t pixel_count(const cxr_image *img)
{
    return (size_t)img->width * (size_t)img->height;
}

static void look_up(cxr_image *img, const uint8_t table[256])
{
    for (size_t i = 0, n = pixel_count(img); i < n; i++) img->pixels[i] = table[img->pixels[i]];
}

/* PIL's Image.blend(grey, image, factor) for one grey level: truncated, clipped. */
static void blend_with(cxr_image *img, int grey, float factor)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++) {
        const float mixed = (float)grey + factor * (float)(v - grey);
        table[v] = mixed <= 0.0f ? 0 : mixed >= 255.0f ? 255 : (uint8_t)mixed;
    }
    look_up(img, table);
}

void cxr_image_brightness(cxr_image *img, float factor)
{
    blend_with(img, 0, factor);
}

void cxr_image_contrast(cxr_image *img, float factor)
{
    const size_t n = pixel_count(img);
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
    memcpy(img->pixels, out.pixels, pixel_count(img));
    cxr_image_free(&out);
    return CXR_OK;
}

void cxr_image_gamma(cxr_image *img, float gamma)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++) table[v] = (uint8_t)(255.999 * pow(v / 255.0, (double)gamma));
    look_up(img, table);
}

/* Sum of the bytes of a random number: eight uniform parts make a bell, twenty times faster than Box-Muller. */
static double bell(uint64_t bits)
{
    const double mean = 8 * 127.5, sd = 209.0207; /* sqrt(8 (256^2 - 1) / 12) */
    int sum = 0;
    for (int i = 0; i < 8; i++) sum += (int)(bits >> 8 * i & 0xFF);
    return (sum - mean) / sd;
}

void cxr_image_noise(cxr_image *img, float sd, uint64_t key)
{
    for (size_t i = 0, n = pixel_count(img); i < n; i++) {
        const double v = nearbyint(img->pixels[i] + 255.0 * (double)sd * bell(cxr_rng_u64(key, i)));
        img->pixels[i] = v <= 0.0 ? 0 : v >= 255.0 ? 255 : (uint8_t)v;
    }
}

/* `in` in the middle of a black image of the same size as `img`, which it fits into. */
static void put_on_black(cxr_image *img, const cxr_image *in)
{
    memset(img->pixels, 0, pixel_count(img));
    uint8_t *to = img->pixels + (size_t)((img->height - in->height) / 2) * (size_t)img->width;
    to += (img->width - in->width) / 2;
    for (int y = 0; y < in->height; y++, to += img->width)
        memcpy(to, in->pixels + (size_t)y * (size_t)in->width, (size_t)in->width);
}

static int scaled_side(int side, float factor)
{
    const int n = (int)nearbyint(side * (double)factor);
    return n < 1 ? 1 : n;
}

cxr_status cxr_image_zoom(cxr_image *img, float factor, cxr_error *err)
{
    const double w = img->width, h = img->height, dx = 0.5 * (w - w / (double)factor), dy = 0.5 * (h - h / (double)factor);
    const cxr_box middle = {dx, dy, w - dx, h - dy};
    const bool closer = factor >= 1.0f;
    cxr_image out;
    const cxr_status st =
        cxr_image_resize(&out, img, closer ? img->width : scaled_side(img->width, factor),
                         closer ? img->height : scaled_side(img->height, factor), closer ? &middle : NULL, err);
    if (st != CXR_OK) return st;
    put_on_black(img, &out);
    cxr_image_free(&out);
    return CXR_OK;
}

cxr_status cxr_image_coarsen(cxr_image *img, float factor, cxr_error *err)
{
    cxr_image small, out = {0};
    cxr_status st = cxr_image_resize(&small, img, scaled_side(img->width, factor), scaled_side(img->height, factor), NULL, err);
    if (st == CXR_OK) st = cxr_image_resize(&out, &small, img->width, img->height, NULL, err);
    if (st == CXR_OK) memcpy(img->pixels, out.pixels, pixel_count(img));
    cxr_image_free(&small);
    cxr_image_free(&out);
    return st;
}

cxr_status cxr_image_recompress(cxr_image *img, int quality, cxr_error *err)
{
    static const char name[] = "an image saved again";
    cxr_limits limits;
    cxr_limits_default(&limits);
    cxr_image out = {0};
    cxr_buf jpeg;
    cxr_status st = cxr_image_encode_jpeg(&jpeg, img, quality, name, err);
    if (st == CXR_OK) st = cxr_image_decode(&out, jpeg.data, jpeg.len, name, NULL, &limits, err);
    if (st == CXR_OK) memcpy(img->pixels, out.pixels, pixel_count(img));
    cxr_image_free(&out);
    cxr_buf_free(&jpeg);
    return st;
}

void cxr_image_fill(cxr_image *img, const cxr_crop *part, uint8_t grey)
{
    for (int y = part->top; y < part->top + part->height; y++)
        memset(img->pixels + (size_t)y * (size_t)img->width + (size_t)part->left, grey, (size_t)part->width);
}

void cxr_image_border(cxr_image *img, float share)
{
    const int w = img->width, h = img->height;
    const int dx = (int)nearbyint(w * (double)share), dy = (int)nearbyint(h * (double)share);
    const cxr_crop edges[] = {{0, 0, w, dy}, {0, h - dy, w, dy}, {0, 0, dx, h}, {w - dx, 0, dx, h}};
    for (int i = 0; i < 4; i++) cxr_image_fill(img, &edges[i], 0);
}
