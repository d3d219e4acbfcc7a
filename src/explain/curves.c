#include "explain/curves.h"
#include "base/mem.h"
#include "data/hide.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLUR (1.0f / 16.0f)

typedef struct ranked {
    double value;
    uint32_t pixel;
} ranked;

static int by_importance(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? 1 : -1;
    return x->pixel < y->pixel ? -1 : x->pixel > y->pixel;
}

typedef struct course {
    const uint8_t *image, *blurred;
    const uint8_t *step; /* of each pixel, at which it is taken or put, 0..STEPS - 1 */
    size_t pixels;
    uint8_t grey;
    int classes, class_index;
    double temperature;
    cxr_curves *curves;
} course;

/* At which step each pixel's turn comes. */
static cxr_status order_pixels(uint8_t *step, const cxr_heat *heat, int size, cxr_error *err)
{
    const size_t n = (size_t)size * (size_t)size;
    ranked *order = cxr_mem_new(n, sizeof *order);
    if (order == NULL) return cxr_mem_fail(err, "the order of pixels");
    for (size_t i = 0; i < n; i++) {
        const double x = ((double)(i % (size_t)size) + 0.5) / size, y = ((double)(i / (size_t)size) + 0.5) / size;
        order[i] = (ranked){cxr_heat_at(heat, x * heat->width, y * heat->height), (uint32_t)i};
    }
    qsort(order, n, sizeof *order, by_importance);
    for (size_t i = 0; i < n; i++) step[order[i].pixel] = (uint8_t)(i * CXR_CURVE_STEPS / n);
    cxr_mem_free(order);
    return CXR_OK;
}

/* First the steps of deletion, then those of insertion. */
static void change(void *ctx, int i, uint8_t *out)
{
    const course *c = ctx;
    const bool insert = i > CXR_CURVE_STEPS;
    const int taken = insert ? i - CXR_CURVE_STEPS - 1 : i;
    for (size_t p = 0; p < c->pixels; p++) {
        const bool turned = c->step[p] < taken;
        if (insert)
            out[p] = turned ? c->image[p] : c->blurred[p];
        else
            out[p] = turned ? c->grey : c->image[p];
    }
}

/* softmax(logits / temperature) at the class. */
static void keep(void *ctx, int i, const float *logits)
{
    const course *c = ctx;
    double sum = 0.0;
    for (int k = 0; k < c->classes; k++) sum += exp(((double)logits[k] - (double)logits[c->class_index]) / c->temperature);
    float *to = i > CXR_CURVE_STEPS ? c->curves->insertion + i - CXR_CURVE_STEPS - 1 : c->curves->deletion + i;
    *to = (float)(1.0 / sum);
}

static double area(const float *y)
{
    double sum = 0.0;
    for (int i = 0; i < CXR_CURVE_STEPS; i++) sum += ((double)y[i] + (double)y[i + 1]) / 2.0;
    return sum / CXR_CURVE_STEPS;
}

cxr_status cxr_curves_make(cxr_curves *out, const cxr_heat *heat, const cxr_variants *v, const uint8_t *image, int class_index,
                           double temperature, cxr_error *err)
{
    course c = {.image = image,
                .pixels = (size_t)v->size * (size_t)v->size,
                .classes = v->probe->classes,
                .class_index = class_index,
                .temperature = temperature,
                .curves = out};
    c.grey = cxr_mean_grey(image, c.pixels);
    cxr_image blurred;
    cxr_status st = cxr_image_new(&blurred, v->size, v->size, err);
    if (st != CXR_OK) return st;
    memcpy(blurred.pixels, image, c.pixels);
    uint8_t *step = cxr_mem_new(c.pixels, 1);
    c.step = step;
    st = step == NULL ? cxr_mem_fail(err, "the order of pixels") : cxr_image_coarsen(&blurred, BLUR, err);
    c.blurred = blurred.pixels;
    if (st == CXR_OK) st = order_pixels(step, heat, v->size, err);
    if (st == CXR_OK) st = cxr_variants_run(v, 2 * (CXR_CURVE_STEPS + 1), change, keep, &c, err);
    out->deletion_area = area(out->deletion);
    out->insertion_area = area(out->insertion);
    cxr_mem_free(step);
    cxr_image_free(&blurred);
    return st;
}

cxr_status cxr_curves_write(const char *path, const cxr_curves *c, cxr_error *err)
{
    cxr_output out;
    const cxr_status st = cxr_output_open(&out, path, err);
    if (st != CXR_OK) return st;
    (void)fputs("fraction,deletion,insertion\n", out.stream);
    for (int i = 0; i <= CXR_CURVE_STEPS; i++)
        (void)fprintf(out.stream, "%.5f,%.9g,%.9g\n", (double)i / CXR_CURVE_STEPS, (double)c->deletion[i],
                      (double)c->insertion[i]);
    return cxr_output_place(&out, err);
}
