#include "data/tta.h"
#include <math.h>
#include <string.h>

/* A window of the square whose side is `scale` times the input's, at that share of the room that it has. */
typedef struct window {
    double scale, left, top;
} window;

static void cut(uint8_t *out, int size, const cxr_image *from, const window *w)
{
    const double room = from->width - size;
    const size_t left = (size_t)nearbyint(room * w->left), top = (size_t)nearbyint(room * w->top);
    const uint8_t *row = from->pixels + top * (size_t)from->width + left;
    for (int y = 0; y < size; y++, row += from->width) memcpy(out + (size_t)y * (size_t)size, row, (size_t)size);
}

/* Windows of one scale stand together: their square is made once. */
static cxr_status cut_windows(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, const window *windows, int count,
                              cxr_error *err)
{
    const size_t bytes = (size_t)pre->size * (size_t)pre->size;
    cxr_preprocess larger = *pre;
    cxr_image square = {0};
    cxr_status st = CXR_OK;
    for (int i = 0; st == CXR_OK && i < count; i++, out += 2 * bytes) {
        if (i == 0 || windows[i].scale != windows[i - 1].scale) {
            cxr_image_free(&square);
            larger.size = (int)nearbyint(pre->size * windows[i].scale);
            st = cxr_image_prepare(&square, in, &larger, err);
            if (st != CXR_OK) break;
        }
        cut(out, pre->size, &square, &windows[i]);
        memcpy(out + bytes, out, bytes);
        cxr_image_flip(&(cxr_image){out + bytes, pre->size, pre->size});
    }
    cxr_image_free(&square);
    return st;
}

#define SCALES     3
#define CROPS      6
#define LARGER     (8.0 / 7.0) /* 256 for 224 */
#define LARGER_YET (4.0 / 3.0)

static const window scales[SCALES] = {{1, 0, 0}, {LARGER, 0.5, 0.5}, {LARGER_YET, 0.5, 0.5}};
static const window crops[CROPS] = {{1, 0, 0},      {LARGER, 0, 0}, {LARGER, 1, 0},
                                    {LARGER, 0, 1}, {LARGER, 1, 1}, {LARGER, 0.5, 0.5}};

static cxr_status make_one(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image, cxr_error *err)
{
    (void)image;
    return cxr_image_to_input(out, in, pre, NULL, 0, err);
}

static cxr_status make_flip(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image, cxr_error *err)
{
    (void)image;
    return cut_windows(out, in, pre, scales, 1, err);
}

static cxr_status make_scales(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image, cxr_error *err)
{
    (void)image;
    return cut_windows(out, in, pre, scales, SCALES, err);
}

static cxr_status make_crops(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image, cxr_error *err)
{
    (void)image;
    return cut_windows(out, in, pre, crops, CROPS, err);
}

const cxr_squares *cxr_tta_squares(cxr_tta tta)
{
    static const cxr_squares all[] = {[CXR_TTA_NONE] = {1, make_one},
                                      [CXR_TTA_FLIP] = {2, make_flip},
                                      [CXR_TTA_SCALES] = {2 * SCALES, make_scales},
                                      [CXR_TTA_CROPS] = {2 * CROPS, make_crops}};
    return (unsigned)tta < sizeof all / sizeof all[0] ? &all[tta] : NULL;
}
