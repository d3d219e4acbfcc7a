#include "data/perturb.h"
#include "base/rng.h"
#include "data/resize.h"
#include <math.h>
#include <string.h>

typedef enum kind { NONE, CONTRAST, BRIGHTNESS, GAMMA, ZOOM, CROP, ROTATE, NOISE, JPEG, COARSEN, BORDER } kind;

/* The names are those of tables and files; the order decides the noise. */
static const struct perturbation {
    const char *name;
    kind kind;
    float level;
    double x, y; /* of a crop: where it lies, from 0 (left, top) to 1 */
} perturbations[CXR_PERTURBATIONS] = {
    {"none", NONE, 0, 0, 0},
    {"contrast 0.5", CONTRAST, 0.5f, 0, 0},
    {"contrast 0.75", CONTRAST, 0.75f, 0, 0},
    {"contrast 1.33", CONTRAST, 1.33f, 0, 0},
    {"brightness 0.7", BRIGHTNESS, 0.7f, 0, 0},
    {"brightness 1.3", BRIGHTNESS, 1.3f, 0, 0},
    {"gamma 0.6", GAMMA, 0.6f, 0, 0},
    {"gamma 1.6", GAMMA, 1.6f, 0, 0},
    {"zoom 0.8", ZOOM, 0.8f, 0, 0},
    {"crop 0.8", CROP, 0.8f, 0.5, 0.5},
    {"crop 0.6", CROP, 0.6f, 0.5, 0.5},
    {"crop 0.8 top left", CROP, 0.8f, 0, 0},
    {"crop 0.8 bottom right", CROP, 0.8f, 1, 1},
    {"rotate -10", ROTATE, -10, 0, 0},
    {"rotate 10", ROTATE, 10, 0, 0},
    {"noise 0.03", NOISE, 0.03f, 0, 0},
    {"noise 0.06", NOISE, 0.06f, 0, 0},
    {"jpeg 30", JPEG, 30, 0, 0},
    {"jpeg 10", JPEG, 10, 0, 0},
    {"half resolution", COARSEN, 0.5f, 0, 0},
    {"black border", BORDER, 0.1f, 0, 0},
};

const char *cxr_perturbation_name(int which)
{
    return which >= 0 && which < CXR_PERTURBATIONS ? perturbations[which].name : NULL;
}

static cxr_status change(cxr_image *img, const struct perturbation *p, uint64_t key, cxr_error *err)
{
    switch (p->kind) {
    case NONE:
    case CROP: break; /* see part_of() */
    case CONTRAST: cxr_image_contrast(img, p->level); break;
    case BRIGHTNESS: cxr_image_brightness(img, p->level); break;
    case GAMMA: cxr_image_gamma(img, p->level); break;
    case NOISE: cxr_image_noise(img, p->level, key); break;
    case BORDER: cxr_image_border(img, p->level); break;
    case ZOOM: return cxr_image_zoom(img, p->level, err);
    case ROTATE: return cxr_image_rotate(img, p->level, err);
    case JPEG: return cxr_image_recompress(img, (int)p->level, err);
    case COARSEN: return cxr_image_coarsen(img, p->level, err);
    }
    return CXR_OK;
}

/* `share` of a side, at least a pixel. */
static int share_of(int side, float share)
{
    const int n = (int)nearbyint(side * (double)share);
    return n < 1 ? 1 : n;
}

/* All of the picture, unless it is cropped. */
static cxr_view part_of(const cxr_image *img, const struct perturbation *p)
{
    cxr_view v = {img->pixels, (size_t)img->width, img->width, img->height};
    if (p->kind != CROP) return v;
    v.width = share_of(img->width, p->level);
    v.height = share_of(img->height, p->level);
    v.pixels += (size_t)(p->y * (img->height - v.height)) * v.stride + (size_t)(p->x * (img->width - v.width));
    return v;
}

static cxr_status reduce(cxr_image *out, const cxr_image *in, int size, cxr_error *err)
{
    const int side = size > CXR_PERTURBED_SIDE ? size : CXR_PERTURBED_SIDE;
    const int shorter = in->width < in->height ? in->width : in->height;
    if (shorter > side) {
        const double factor = (double)side / shorter;
        return cxr_image_resize(out, in, (int)nearbyint(in->width * factor), (int)nearbyint(in->height * factor), NULL, err);
    }
    const cxr_status st = cxr_image_new(out, in->width, in->height, err);
    if (st == CXR_OK) memcpy(out->pixels, in->pixels, (size_t)in->width * (size_t)in->height);
    return st;
}

cxr_status cxr_image_perturb(uint8_t *out, const cxr_image *in, const cxr_preprocess *pre, uint64_t image, cxr_error *err)
{
    const size_t square = (size_t)pre->size * (size_t)pre->size;
    cxr_image picture = {0}, changed = {0};
    cxr_status st = cxr_image_to_input(out, in, pre, NULL, 0, err);
    if (st == CXR_OK) st = reduce(&picture, in, pre->size, err);
    if (st == CXR_OK) st = cxr_image_new(&changed, picture.width, picture.height, err);
    for (int i = 1; st == CXR_OK && i < CXR_PERTURBATIONS; i++) {
        memcpy(changed.pixels, picture.pixels, (size_t)picture.width * (size_t)picture.height);
        st = change(&changed, &perturbations[i], cxr_rng_key(1, CXR_FOR_PERTURBATION, (uint64_t)i, image), err);
        const cxr_view part = part_of(&changed, &perturbations[i]);
        if (st == CXR_OK) st = cxr_resize_by_rule(out + (size_t)i * square, &part, pre->rule, pre->size, err);
    }
    cxr_image_free(&picture);
    cxr_image_free(&changed);
    return st;
}
