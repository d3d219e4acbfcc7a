#include "explain/maps.h"
#include "data/hide.h"
#include "explain/cam.h"
#include <math.h>
#include <string.h>

cxr_status cxr_variants_run(const cxr_variants *v, int count, void (*make)(void *ctx, int i, uint8_t *out),
                            void (*logit)(void *ctx, int i, const float *logits), void *ctx, cxr_error *err)
{
    const size_t each = (size_t)v->size * (size_t)v->size;
    cxr_status st = CXR_OK;
    for (int done = 0; done < count && st == CXR_OK; done += v->batch) {
        const int n = count - done < v->batch ? count - done : v->batch;
        for (int i = 0; i < n; i++) make(ctx, done + i, v->pixels + (size_t)i * each);
        st = cxr_probe_run(v->probe, n, v->pixels, err);
        for (int i = 0; i < n && st == CXR_OK; i++)
            logit(ctx, done + i, v->probe->logits + (size_t)i * (size_t)v->probe->classes);
    }
    return st;
}

/* ---- Occlusion ---- */

typedef struct occlusion {
    const uint8_t *image;
    float *map;
    int size, cells, patch, class_index;
    uint8_t grey;
    double whole; /* the logit of the image as it is */
} occlusion;

/* Of variant i > 0; variant 0 is the image. */
static void patch_at(const occlusion *o, int i, int *column, int *row)
{
    const int positions = o->cells - o->patch + 1;
    *column = (i - 1) % positions;
    *row = (i - 1) / positions;
}

static void hide(void *ctx, int i, uint8_t *out)
{
    const occlusion *o = ctx;
    int column, row;
    memcpy(out, o->image, (size_t)o->size * (size_t)o->size);
    if (i == 0) return;
    patch_at(o, i, &column, &row);
    const int left = column * o->size / o->cells, right = (column + o->patch) * o->size / o->cells;
    const int top = row * o->size / o->cells, bottom = (row + o->patch) * o->size / o->cells;
    for (int y = top; y < bottom; y++) memset(out + (size_t)y * (size_t)o->size + left, o->grey, (size_t)(right - left));
}

static void add_loss(void *ctx, int i, const float *logits)
{
    occlusion *o = ctx;
    const double logit = (double)logits[o->class_index];
    int column, row;
    if (i == 0) {
        o->whole = logit;
        return;
    }
    patch_at(o, i, &column, &row);
    for (int y = row; y < row + o->patch; y++)
        for (int x = column; x < column + o->patch; x++) o->map[y * o->cells + x] += (float)(o->whole - logit);
}

/* How many patches hide cell i of a row of cells. */
static int times_hidden(const occlusion *o, int i)
{
    const int positions = o->cells - o->patch + 1, first = i - o->patch + 1 > 0 ? i - o->patch + 1 : 0;
    return (i < positions - 1 ? i : positions - 1) - first + 1;
}

cxr_status cxr_occlusion(float *map, int cells, int patch, const cxr_variants *v, const uint8_t *image, int class_index,
                         cxr_error *err)
{
    occlusion o = {.image = image, .map = map, .size = v->size, .cells = cells, .patch = patch, .class_index = class_index};
    const int positions = cells - patch + 1;
    o.grey = cxr_mean_grey(image, (size_t)v->size * (size_t)v->size);
    for (int i = 0; i < cells * cells; i++) map[i] = 0.0f;
    const cxr_status st = cxr_variants_run(v, 1 + positions * positions, hide, add_loss, &o, err);
    for (int y = 0; y < cells; y++)
        for (int x = 0; x < cells; x++) map[y * cells + x] /= (float)(times_hidden(&o, x) * times_hidden(&o, y));
    return st;
}

/* ---- Any method ---- */

void cxr_maps_size(const cxr_probe *p, cxr_explain_method method, int *height, int *width)
{
    *height = method == CXR_OCCLUSION ? CXR_OCCLUSION_SIDE : p->shape.h;
    *width = method == CXR_OCCLUSION ? CXR_OCCLUSION_SIDE : p->shape.w;
}

static cxr_status occlude_all(float *maps, const cxr_variants *v, int n, const uint8_t *images, const int *classes,
                              cxr_error *err)
{
    const size_t cells = CXR_OCCLUSION_SIDE * CXR_OCCLUSION_SIDE, each = (size_t)v->size * (size_t)v->size;
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < (size_t)n && st == CXR_OK; i++)
        st = cxr_occlusion(maps + i * cells, CXR_OCCLUSION_SIDE, 2, v, images + i * each, classes[i], err);
    return st;
}

static cxr_status grad_cams(float *maps, cxr_explain_method method, cxr_probe *p, int n, const int *classes, cxr_error *err)
{
    const size_t cells = (size_t)p->shape.h * (size_t)p->shape.w, each = cxr_shape_count(p->shape);
    const cxr_status st = cxr_probe_gradients(p, classes, err);
    for (size_t i = 0; i < (size_t)n && st == CXR_OK; i++)
        cxr_cam(maps + i * cells, p->values + i * each, p->gradients + i * each, p->shape.c, cells, method);
    return st;
}

cxr_status cxr_maps_make(float *maps, cxr_explain_method method, const cxr_variants *v, int n, const uint8_t *images,
                         const int *classes, cxr_error *err)
{
    int height, width;
    cxr_maps_size(v->probe, method, &height, &width);
    const cxr_status st = method == CXR_OCCLUSION ? occlude_all(maps, v, n, images, classes, err)
                                                  : grad_cams(maps, method, v->probe, n, classes, err);
    bool good = true;
    for (size_t i = 0; i < (size_t)n * (size_t)height * (size_t)width && st == CXR_OK; i++) good &= isfinite(maps[i]) != 0;
    return good ? st : cxr_fail(err, CXR_EDATA, "the model gives a gradient or logit that is not a number");
}
