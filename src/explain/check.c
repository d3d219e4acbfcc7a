#include "explain/check.h"
#include "base/mem.h"
#include "explain/trust.h"
#include <math.h>

#define SIDE 8 /* of the maps whose ranks are compared, at most */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

cxr_status cxr_check_open(cxr_check *c, cxr_explain_method method, const cxr_backend *backend, const cxr_graph *g,
                          const float *params, const char *layer, const cxr_compile_opts *o, cxr_error *err)
{
    int height, width;
    *c = (cxr_check){.method = method};
    const cxr_status st = cxr_cascade_open(&c->cascade, backend, g, params, layer, o, err);
    if (st != CXR_OK) return st;
    cxr_maps_size(&c->cascade.probe, method, &height, &width);
    c->maps = cxr_mem_new((size_t)o->max_batch * (size_t)height * (size_t)width, sizeof *c->maps);
    return c->maps != NULL ? CXR_OK : cxr_mem_fail(err, "maps");
}

static double alike(const float *a, const float *b, int height, int width)
{
    float x[SIDE * SIDE], y[SIDE * SIDE];
    const int side = smaller(smaller(height, width), SIDE);
    cxr_map_reduce(x, side, a, height, width);
    cxr_map_reduce(y, side, b, height, width);
    return cxr_spearman(x, y, side * side);
}

static cxr_status ask_occlusion(const cxr_variants *v, const uint8_t *image, int class_index, cxr_explanation *e,
                                cxr_error *err)
{
    float hidden[SIDE * SIDE], map[SIDE * SIDE];
    const int side = smaller(smaller(e->height, e->width), SIDE);
    const cxr_status st = cxr_occlusion(hidden, side, 1, v, image, class_index, err);
    for (int i = 0; i < side * side; i++) hidden[i] = fmaxf(hidden[i], 0.0f); /* as the map, what speaks for the class */
    cxr_map_reduce(map, side, e->map, e->height, e->width);
    e->occlusion = cxr_spearman(hidden, map, side * side);
    return st;
}

/* One step of the cascade: adds each map's likeness to `randomised`, which is NaN while there was none. */
static cxr_status ask_random(cxr_check *c, const cxr_variants *v, int n, const uint8_t *images, const int *classes,
                             cxr_explained *each, cxr_error *err)
{
    const cxr_variants random = {&c->cascade.probe, v->pixels, v->batch, v->size};
    cxr_status st = cxr_probe_run(random.probe, n, images, err);
    if (st == CXR_OK) st = cxr_maps_make(c->maps, c->method, &random, n, images, classes, err);
    for (int i = 0; i < n && st == CXR_OK; i++) {
        cxr_explanation *e = &each[i].e;
        if (e->status != CXR_OK) continue;
        const double r = alike(e->map, c->maps + i * e->height * e->width, e->height, e->width);
        if (isnan(r)) continue;
        e->randomised = isnan(e->randomised) ? r : e->randomised + r;
        each[i].compared++;
    }
    return st;
}

cxr_status cxr_check_batch(cxr_check *c, const cxr_variants *v, int n, const uint8_t *images, const int *classes,
                           cxr_explained *each, cxr_error *err)
{
    const size_t pixels = (size_t)v->size * (size_t)v->size;
    const bool compare = c->method != CXR_OCCLUSION; /* with itself it agrees */
    cxr_status st = CXR_OK;
    for (int i = 0; i < n && st == CXR_OK; i++) {
        cxr_explanation *e = &each[i].e;
        const uint8_t *image = images + (size_t)i * pixels;
        cxr_lungs lungs;
        if (e->status != CXR_OK) continue;
        cxr_lungs_estimate(&lungs, image, v->size, v->size);
        cxr_lung_share(&lungs, e->map, e->height, e->width, &e->lungs, &e->lungs_area);
        if (compare) st = ask_occlusion(v, image, classes[i], e, err);
    }
    for (int step = 0; step < CXR_CASCADE_STEPS && st == CXR_OK; step++) {
        st = cxr_cascade_step(&c->cascade, step, err);
        if (st == CXR_OK) st = ask_random(c, v, n, images, classes, each, err);
    }
    for (int i = 0; i < n && st == CXR_OK; i++) {
        cxr_explanation *e = &each[i].e;
        if (e->status != CXR_OK) continue;
        const int side = smaller(smaller(e->height, e->width), SIDE);
        e->randomised /= each[i].compared; /* NaN where nothing was */
        cxr_trust_judge(e, compare ? side * side : 0);
    }
    return st;
}

void cxr_check_close(cxr_check *c)
{
    cxr_cascade_close(&c->cascade);
    cxr_mem_free(c->maps);
    *c = (cxr_check){0};
}
