#include "data/hide.h"
#include "data/lungs.h"
#include <math.h>

typedef enum hiding { NONE, LUNGS, CHEST, SURROUNDINGS } hiding;

static const char *const names[CXR_HIDINGS] = {"none", "lungs", "chest", "surroundings"};

const char *cxr_hiding_name(int which)
{
    return which >= 0 && which < CXR_HIDINGS ? names[which] : NULL;
}

uint8_t cxr_mean_grey(const uint8_t *pixels, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += pixels[i];
    return (uint8_t)((sum + n / 2) / n);
}

/* What the network takes for 0: the same for every image, since an image's own mean would tell how white its lungs are. */
static uint8_t neutral_grey(const cxr_preprocess *pre)
{
    const double mean = ((double)pre->mean[0] + (double)pre->mean[1] + (double)pre->mean[2]) / 3.0;
    return (uint8_t)lrint(255.0 * fmin(fmax(mean, 0.0), 1.0));
}

static bool is_hidden(hiding h, const cxr_lungs *l, double x, double y)
{
    switch (h) {
    case LUNGS: return cxr_lungs_hold(l, x, y);
    case CHEST: return cxr_lungs_frame(l, x, y);
    case SURROUNDINGS: return !cxr_lungs_frame(l, x, y);
    default: return false;
    }
}

static void hide(uint8_t *out, const uint8_t *square, int size, hiding h, const cxr_lungs *l, uint8_t grey)
{
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++, out++, square++)
            *out = is_hidden(h, l, (x + 0.5) / size, (y + 0.5) / size) ? grey : *square;
}

cxr_status cxr_image_hide(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image, cxr_error *err)
{
    (void)image;
    const size_t square = (size_t)pre->size * (size_t)pre->size;
    const cxr_status st = cxr_image_to_input(out, in, pre, NULL, 0, err);
    if (st != CXR_OK) return st;
    cxr_lungs lungs;
    cxr_lungs_estimate(&lungs, out, pre->size, pre->size);
    if (!lungs.found) cxr_lungs_typical(&lungs);
    const uint8_t grey = neutral_grey(pre);
    for (int h = LUNGS; h < CXR_HIDINGS; h++) hide(out + (size_t)h * square, out, pre->size, (hiding)h, &lungs, grey);
    return CXR_OK;
}
