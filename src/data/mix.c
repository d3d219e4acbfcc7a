#include "data/mix.h"
#include "base/rng.h"
#include <math.h>

/* Part of the format of reproducible runs: append, never renumber. */
enum { DRAW_KIND, DRAW_X, DRAW_Y, DRAW_BETA = 16 };

/* A number of Beta(a, a), 0 < a <= 1, by rejection (Jöhnk 1964): at least half of the pairs are taken. */
static double beta(double a, uint64_t key)
{
    for (uint64_t i = DRAW_BETA;; i += 2) {
        const double u = (double)cxr_rng_uniform(key, i), v = (double)cxr_rng_uniform(key, i + 1);
        const double x = pow(u, 1.0 / a), y = pow(v, 1.0 / a);
        if (x + y > 0.0 && x + y <= 1.0) return x / (x + y);
        if (x + y == 0.0) return u > v ? 1.0 : 0.0; /* both too small for a double: one end or the other */
    }
}

static int clamp(int x, int most)
{
    return x < 0 ? 0 : x > most ? most : x;
}

/* torchvision's v2.CutMix: a rectangle of the image's proportions about any pixel, cut at the edges. */
static void draw_patch(cxr_mix *mix, int size, uint64_t key)
{
    const int half = (int)(0.5 * sqrt(1.0 - mix->share) * size);
    const int x = (int)(size * (double)cxr_rng_uniform(key, DRAW_X)), y = (int)(size * (double)cxr_rng_uniform(key, DRAW_Y));
    const int left = clamp(x - half, size), top = clamp(y - half, size);
    mix->patch = (cxr_crop){left, top, clamp(x + half, size) - left, clamp(y + half, size) - top};
    mix->share = 1.0 - (double)mix->patch.width * mix->patch.height / ((double)size * size);
}

void cxr_mix_draw(cxr_mix *out, float mixup, float cutmix, int size, uint64_t key)
{
    *out = (cxr_mix){.share = 1.0};
    if (mixup == 0.0f && cutmix == 0.0f) return;
    out->cut = mixup == 0.0f || (cutmix > 0.0f && cxr_rng_uniform(key, DRAW_KIND) < 0.5f);
    out->share = beta((double)(out->cut ? cutmix : mixup), key);
    if (out->cut) draw_patch(out, size, key);
}

static void blend(uint8_t *restrict a, uint8_t *restrict b, size_t count, int share)
{
    for (size_t i = 0; i < count; i++) {
        const int x = a[i], y = b[i];
        a[i] = (uint8_t)((x * share + y * (65536 - share) + 32768) >> 16);
        b[i] = (uint8_t)((y * share + x * (65536 - share) + 32768) >> 16);
    }
}

static void swap_patch(uint8_t *restrict a, uint8_t *restrict b, const cxr_crop *patch, size_t stride)
{
    for (int y = patch->top; y < patch->top + patch->height; y++)
        for (size_t i = (size_t)y * stride + (size_t)patch->left, end = i + (size_t)patch->width; i < end; i++) {
            const uint8_t x = a[i];
            a[i] = b[i];
            b[i] = x;
        }
}

void cxr_mix_apply(const cxr_mix *mix, uint8_t *pixels, int n, int size)
{
    const size_t each = (size_t)size * (size_t)size;
    const int share = (int)nearbyint(65536.0 * mix->share);
    for (int i = 0, j = n - 1; i < j; i++, j--) {
        uint8_t *a = pixels + (size_t)i * each, *b = pixels + (size_t)j * each;
        if (mix->cut) {
            swap_patch(a, b, &mix->patch, (size_t)size);
        } else {
            blend(a, b, each, share);
        }
    }
}
