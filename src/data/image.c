#include "data/image.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/decode.h"
#include "data/resize.h"
#include <math.h>
#include <string.h>
#include <turbojpeg.h>

void cxr_limits_default(cxr_limits *o)
{
    *o = (cxr_limits){.max_pixels = 100000000, .max_bytes = (uint64_t)256 << 20, .max_scans = 100};
}

cxr_status cxr_image_new(cxr_image *out, int width, int height, cxr_error *err)
{
    *out = (cxr_image){0};
    if (width < 1 || height < 1) return cxr_fail(err, CXR_EINTERNAL, "an image of %d x %d pixels was asked for", width, height);
    uint8_t *pixels = cxr_mem_new((size_t)width, (size_t)height);
    if (pixels == NULL) return cxr_mem_fail(err, "an image");
    *out = (cxr_image){pixels, width, height};
    return CXR_OK;
}

void cxr_image_free(cxr_image *img)
{
    cxr_mem_free(img->pixels);
    *img = (cxr_image){0};
}

/* Turns pixels as an EXIF orientation says: where the first pixel lies in the stored image, and the steps to the right and
 * downwards from there. */
static cxr_status orient(cxr_image *img, int orientation, cxr_error *err)
{
    if (orientation == 1) return CXR_OK;
    const ptrdiff_t w = img->width, h = img->height, last = w * h - 1;
    const struct {
        ptrdiff_t origin, right, down;
    } walks[9] = {[2] = {w - 1, -1, w},        [3] = {last, -1, -w}, [4] = {last - w + 1, 1, -w}, [5] = {0, w, 1},
                  [6] = {last - w + 1, -w, 1}, [7] = {last, -w, -1}, [8] = {w - 1, w, -1}};
    const bool turned = orientation >= 5;
    cxr_image out;
    const cxr_status st = cxr_image_new(&out, turned ? img->height : img->width, turned ? img->width : img->height, err);
    if (st != CXR_OK) return st;
    uint8_t *to = out.pixels;
    for (int y = 0; y < out.height; y++) {
        const uint8_t *from = img->pixels + walks[orientation].origin + y * walks[orientation].down;
        for (int x = 0; x < out.width; x++) *to++ = from[x * walks[orientation].right];
    }
    cxr_image_free(img);
    *img = out;
    return CXR_OK;
}

static cxr_status decode_any(cxr_image *out, cxr_image_info *info, const cxr_source *src, cxr_error *err)
{
    static const uint8_t jpeg[3] = {0xFF, 0xD8, 0xFF}, png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    if (src->len == 0) return cxr_fail(err, CXR_EDATA, "%s: the file is empty", src->name);
    if (src->len > src->limits->max_bytes)
        return cxr_fail(err, CXR_ELIMIT, "%s: %zu bytes, limit %llu", src->name, src->len,
                        (unsigned long long)src->limits->max_bytes);
    if (src->len >= sizeof jpeg && memcmp(src->data, jpeg, sizeof jpeg) == 0) return cxr_decode_jpeg(out, info, src, err);
    if (src->len >= sizeof png && memcmp(src->data, png, sizeof png) == 0) return cxr_decode_png(out, info, src, err);
    return cxr_fail(err, CXR_EDATA, "%s: neither a JPEG nor a PNG image", src->name);
}

static cxr_status decode_upright(cxr_image *out, cxr_image_info *info, const cxr_source *src, cxr_error *err)
{
    cxr_image_info found = {.orientation = 1};
    *out = (cxr_image){0};
    cxr_status st = decode_any(out, &found, src, err);
    if (st == CXR_OK) st = orient(out, found.orientation, err);
    if (st != CXR_OK) cxr_image_free(out);
    if (info != NULL) *info = found;
    return st;
}

cxr_status cxr_image_decode_info(cxr_image *out, cxr_image_info *info, const void *data, size_t len, const char *name,
                                 const cxr_preprocess *target, const cxr_limits *lim, cxr_error *err)
{
    return decode_upright(out, info, &(cxr_source){data, len, name, target, lim, NULL}, err);
}

cxr_status cxr_image_decode(cxr_image *out, const void *data, size_t len, const char *name, const cxr_preprocess *target,
                            const cxr_limits *lim, cxr_error *err)
{
    return cxr_image_decode_info(out, NULL, data, len, name, target, lim, err);
}

cxr_status cxr_image_load(cxr_image *out, const char *path, const cxr_preprocess *target, const cxr_limits *lim, cxr_error *err)
{
    cxr_buf file;
    *out = (cxr_image){0};
    cxr_status st = cxr_buf_read(&file, path, lim->max_bytes, err);
    if (st == CXR_OK) st = cxr_image_decode(out, file.data, file.len, path, target, lim, err);
    cxr_buf_free(&file);
    return st;
}

cxr_status cxr_image_thumbnail(cxr_image *out, const char *path, int side, const cxr_limits *lim, cxr_error *err)
{
    const cxr_preprocess target = {.rule = CXR_RESIZE_FIT, .size = side};
    cxr_image decoded;
    *out = (cxr_image){0};
    cxr_status st = cxr_image_load(&decoded, path, &target, lim, err);
    if (st != CXR_OK) return st;
    const cxr_extent e = cxr_resized_by_rule(decoded.width, decoded.height, CXR_RESIZE_FIT, side);
    st = cxr_image_resize(out, &decoded, (int)e.width, (int)e.height, NULL, err);
    cxr_image_free(&decoded);
    return st;
}

/* The mean distance from the mean. */
static double spread(const uint32_t count[256])
{
    double n = 0.0, sum = 0.0, distance = 0.0;
    for (int v = 0; v < 256; v++) {
        n += count[v];
        sum += (double)count[v] * v;
    }
    for (int v = 0; n > 0.0 && v < 256; v++) distance += count[v] * fabs(v - sum / n);
    return n > 0.0 ? distance / n : 0.0;
}

cxr_status cxr_image_decode_coloured(cxr_image *out, double *colour, const void *data, size_t len, const char *name,
                                     const cxr_preprocess *target, const cxr_limits *lim, cxr_error *err)
{
    cxr_chroma chroma = {0};
    const cxr_status st = decode_upright(out, NULL, &(cxr_source){data, len, name, target, lim, &chroma}, err);
    *colour = spread(chroma.count[0]) + spread(chroma.count[1]);
    return st;
}

cxr_status cxr_image_load_coloured(cxr_image *out, double *colour, const char *path, const cxr_preprocess *target,
                                   const cxr_limits *lim, cxr_error *err)
{
    cxr_buf file;
    *out = (cxr_image){0};
    *colour = 0.0;
    cxr_status st = cxr_buf_read(&file, path, lim->max_bytes, err);
    if (st == CXR_OK) st = cxr_image_decode_coloured(out, colour, file.data, file.len, path, target, lim, err);
    cxr_buf_free(&file);
    return st;
}

cxr_status cxr_image_encode_jpeg(cxr_buf *out, const cxr_image *img, int quality, const char *name, cxr_error *err)
{
    *out = (cxr_buf){0};
    tjhandle encoder = tjInitCompress();
    if (encoder == NULL) return cxr_mem_fail(err, "a JPEG encoder");
    unsigned char *jpeg = NULL;
    unsigned long len = 0;
    cxr_status st = CXR_OK;
    if (tjCompress2(encoder, img->pixels, img->width, 0, img->height, TJPF_GRAY, &jpeg, &len, TJSAMP_GRAY, quality,
                    TJFLAG_ACCURATEDCT) != 0)
        st = cxr_fail(err, CXR_EDATA, "%s: cannot encode as JPEG: %s", name, tjGetErrorStr2(encoder));
    if (st == CXR_OK) {
        out->data = cxr_mem_new(len, 1);
        if (out->data == NULL)
            st = cxr_mem_fail(err, "an encoded image");
        else
            memcpy(out->data, jpeg, out->len = len);
    }
    tjFree(jpeg);
    (void)tjDestroy(encoder);
    return st;
}

cxr_status cxr_image_write_jpeg(const cxr_image *img, const char *path, int quality, cxr_error *err)
{
    cxr_buf jpeg;
    cxr_status st = cxr_image_encode_jpeg(&jpeg, img, quality, path, err);
    if (st == CXR_OK) st = cxr_file_write(path, jpeg.data, jpeg.len, err);
    cxr_buf_free(&jpeg);
    return st;
}
