/* Bilinear resampling with antialias in 8-bit fixed point, bit for bit as Pillow's Image.resize on mode L: a triangle filter
 * widened by the reduction, its weights normalised in double and rounded to 22 bits, first along rows and then along columns
 * with 8 bits kept between. (Pillow 13 takes columns first where that is cheaper, which moves a few pixels by one level.) */
#include "data/resize.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

#define WEIGHT_BITS   22
#define HALF          (1u << (WEIGHT_BITS - 1))
#define MAX_REDUCTION (1 << 21) /* keeps a sum of rounded weights times 255 below 2^32 */

/* The weights of one axis: output i is the sum over j < taps of weight[i * width + j] * input[start + j]. */
typedef struct filter {
    struct span {
        int start, taps;
    } * spans;
    uint32_t *weights;
    double *scratch; /* `width` unnormalised weights */
    int width, count;
} filter;

static int taps_of(const cxr_axis *a)
{
    return 2 * (int)ceil(fmax((a->to - a->from) / a->size, 1.0)) + 1;
}

/* Pillow takes its box as float. */
static void fill_span(filter *f, int i, const cxr_axis *a, int in_size)
{
    const double from = (float)a->from, scale = (double)((float)a->to - (float)a->from) / a->size;
    const double support = fmax(scale, 1.0), centre = from + (a->first + i + 0.5) * scale;
    const int lowest = (int)(centre - support + 0.5), highest = (int)(centre + support + 0.5);
    const int start = lowest > 0 ? lowest : 0, taps = (highest < in_size ? highest : in_size) - start;
    double sum = 0.0;
    for (int j = 0; j < taps; j++) {
        f->scratch[j] = fmax(1.0 - fabs((j + start - centre + 0.5) * (1.0 / support)), 0.0);
        sum += f->scratch[j];
    }
    uint32_t *weights = f->weights + (size_t)i * (size_t)f->width;
    for (int j = 0; j < taps; j++) weights[j] = (uint32_t)(f->scratch[j] / sum * (1 << WEIGHT_BITS) + 0.5);
    f->spans[i] = (struct span){start, taps};
}

static void filter_free(filter *f)
{
    cxr_mem_free(f->spans);
    cxr_mem_free(f->weights);
    cxr_mem_free(f->scratch);
    *f = (filter){0};
}

static cxr_status filter_new(filter *f, const cxr_axis *a, int in_size, cxr_error *err)
{
    *f = (filter){0};
    if ((a->to - a->from) / a->size > MAX_REDUCTION)
        return cxr_fail(err, CXR_ELIMIT, "cannot reduce %g pixels to %d: limit %d to 1", a->to - a->from, a->size,
                        MAX_REDUCTION);
    f->width = taps_of(a);
    f->count = a->count;
    f->spans = cxr_mem_new((size_t)f->count, sizeof *f->spans);
    f->scratch = cxr_mem_new((size_t)f->width, sizeof *f->scratch);
    if (f->spans != NULL && f->scratch != NULL)
        f->weights = cxr_mem_new((size_t)f->count * (size_t)f->width, sizeof *f->weights);
    if (f->weights == NULL) {
        filter_free(f);
        return cxr_mem_fail(err, "resize weights");
    }
    for (int i = 0; i < f->count; i++) fill_span(f, i, a, in_size);
    return CXR_OK;
}

static inline uint8_t to_pixel(uint32_t sum)
{
    const uint32_t value = sum >> WEIGHT_BITS;
    return value > 255 ? 255 : (uint8_t)value;
}

static void resample_row(uint8_t *restrict out, const uint8_t *restrict in, const filter *f)
{
    const uint32_t *weights = f->weights;
    for (int i = 0; i < f->count; i++, weights += f->width) {
        const uint8_t *from = in + f->spans[i].start;
        uint32_t sum = HALF;
        for (int j = 0; j < f->spans[i].taps; j++) sum += from[j] * weights[j];
        out[i] = to_pixel(sum);
    }
}

/* One output row from `taps` rows of `width` pixels. */
static void blend_rows(uint8_t *restrict out, uint32_t *restrict sums, const uint8_t *restrict rows, int width,
                       const uint32_t *restrict weights, int taps)
{
    for (int x = 0; x < width; x++) sums[x] = HALF;
    for (int j = 0; j < taps; j++, rows += width) {
        const uint32_t weight = weights[j];
        for (int x = 0; x < width; x++) sums[x] += rows[x] * weight;
    }
    for (int x = 0; x < width; x++) out[x] = to_pixel(sums[x]);
}

/* Only the input rows that some output row needs pass through the horizontal step. */
static cxr_status resample_with(uint8_t *out, size_t stride, const cxr_view *in, const filter *fx, const filter *fy,
                                cxr_error *err)
{
    const struct span *last = &fy->spans[fy->count - 1];
    const int top = fy->spans[0].start, rows = last->start + last->taps - top;
    const size_t width = (size_t)fx->count;
    uint8_t *narrow = cxr_mem_new((size_t)rows, width);
    uint32_t *sums = cxr_mem_new(width, sizeof *sums);
    if (narrow != NULL && sums != NULL) {
        for (int y = 0; y < rows; y++)
            resample_row(narrow + (size_t)y * width, in->pixels + (size_t)(top + y) * in->stride, fx);
        for (int y = 0; y < fy->count; y++)
            blend_rows(out + (size_t)y * stride, sums, narrow + (size_t)(fy->spans[y].start - top) * width, fx->count,
                       fy->weights + (size_t)y * (size_t)fy->width, fy->spans[y].taps);
    }
    const bool ok = narrow != NULL && sums != NULL;
    cxr_mem_free(narrow);
    cxr_mem_free(sums);
    return ok ? CXR_OK : cxr_mem_fail(err, "resizing");
}

cxr_status cxr_resample(uint8_t *out, size_t stride, const cxr_view *in, const cxr_axis *x, const cxr_axis *y, cxr_error *err)
{
    filter fx, fy = {0};
    cxr_status st = filter_new(&fx, x, in->width, err);
    if (st == CXR_OK) st = filter_new(&fy, y, in->height, err);
    if (st == CXR_OK) st = resample_with(out, stride, in, &fx, &fy, err);
    filter_free(&fx);
    filter_free(&fy);
    return st;
}

cxr_status cxr_image_resize(cxr_image *out, const cxr_image *in, int width, int height, const cxr_box *box, cxr_error *err)
{
    *out = (cxr_image){0};
    const cxr_box all = {0, 0, in->width, in->height}, b = box != NULL ? *box : all;
    if (!(b.left >= 0 && b.left < b.right && b.right <= all.right && b.top >= 0 && b.top < b.bottom && b.bottom <= all.bottom))
        return cxr_fail(err, CXR_EINTERNAL, "a box outside the image was asked for");
    cxr_status st = cxr_image_new(out, width, height, err);
    if (st != CXR_OK) return st;
    const cxr_view view = {in->pixels, (size_t)in->width, in->width, in->height};
    const cxr_axis x = {b.left, b.right, width, 0, width}, y = {b.top, b.bottom, height, 0, height};
    st = cxr_resample(out->pixels, (size_t)width, &view, &x, &y, err);
    if (st != CXR_OK) cxr_image_free(out);
    return st;
}

/* Rounds halves to even, as Python's round(). */
static int rounded(double value)
{
    return (int)nearbyint(value);
}

/* fit is PIL's ImageOps.pad: the longer side becomes `size`. crop is torchvision's Resize(size): the shorter one does. */
cxr_extent cxr_resized_by_rule(int width, int height, cxr_resize_rule rule, int size)
{
    const int shorter = width < height ? width : height;
    cxr_extent e = {size, size};
    if (rule == CXR_RESIZE_CROP) e = (cxr_extent){(int64_t)size * width / shorter, (int64_t)size * height / shorter};
    if (rule == CXR_RESIZE_FIT && width > height) e.height = rounded((double)height / width * size);
    if (rule == CXR_RESIZE_FIT && width < height) e.width = rounded((double)width / height * size);
    if (e.width < 1) e.width = 1;
    if (e.height < 1) e.height = 1;
    return e;
}

/* Centred, black around it. */
static cxr_status resize_fit(uint8_t *out, const cxr_view *in, int size, cxr_error *err)
{
    const cxr_extent e = cxr_resized_by_rule(in->width, in->height, CXR_RESIZE_FIT, size);
    const int width = (int)e.width, height = (int)e.height;
    const cxr_axis x = {0, in->width, width, 0, width}, y = {0, in->height, height, 0, height};
    const size_t left = (size_t)rounded((size - width) * 0.5), top = (size_t)rounded((size - height) * 0.5);
    memset(out, 0, (size_t)size * (size_t)size);
    return cxr_resample(out + top * (size_t)size + left, (size_t)size, in, &x, &y, err);
}

/* torchvision's CenterCrop(size): only the middle of the `whole` pixels is computed. */
static cxr_axis middle_of(int length, int64_t whole, int size)
{
    return (cxr_axis){0, length, (int)whole, rounded((double)(whole - size) / 2.0), size};
}

cxr_status cxr_resize_by_rule(uint8_t *out, const cxr_view *in, cxr_resize_rule rule, int size, cxr_error *err)
{
    cxr_axis x = {0, in->width, size, 0, size}, y = {0, in->height, size, 0, size};
    if (rule == CXR_RESIZE_FIT) return resize_fit(out, in, size, err);
    if (rule == CXR_RESIZE_CROP) {
        const int shorter = in->width < in->height ? in->width : in->height;
        if ((in->width > in->height ? in->width : in->height) / shorter > MAX_REDUCTION / size)
            return cxr_fail(err, CXR_ELIMIT, "an image of %d x %d pixels is too long for a crop", in->width, in->height);
        const cxr_extent e = cxr_resized_by_rule(in->width, in->height, rule, size);
        x = middle_of(in->width, e.width, size);
        y = middle_of(in->height, e.height, size);
    }
    return cxr_resample(out, (size_t)size, in, &x, &y, err);
}
