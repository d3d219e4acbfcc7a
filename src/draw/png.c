#include "draw/png.h"
#include "base/mem.h"
#include <spng.h>
#include <stdlib.h>
#include <string.h>

/* Cairo's pixels are 0xAARRGGBB in the machine's order. */
static void to_rgb(uint8_t *rgb, const unsigned char *row, int width)
{
    for (int x = 0; x < width; x++, rgb += 3) {
        uint32_t pixel;
        memcpy(&pixel, row + (size_t)x * sizeof pixel, sizeof pixel);
        rgb[0] = (uint8_t)(pixel >> 16);
        rgb[1] = (uint8_t)(pixel >> 8);
        rgb[2] = (uint8_t)pixel;
    }
}

/* Level 1 on differences from the row above: of spng's settings the fast one that still halves a photograph. */
static int encode(spng_ctx *ctx, const uint8_t *rgb, int width, int height)
{
    struct spng_ihdr head = {
        .width = (uint32_t)width, .height = (uint32_t)height, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    int bad = spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    if (bad == 0) bad = spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, 1);
    if (bad == 0) bad = spng_set_option(ctx, SPNG_FILTER_CHOICE, SPNG_FILTER_CHOICE_UP);
    if (bad == 0) bad = spng_set_ihdr(ctx, &head);
    const size_t len = (size_t)width * (size_t)height * 3;
    return bad == 0 ? spng_encode_image(ctx, rgb, len, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE) : bad;
}

static cxr_status take(cxr_buf *out, spng_ctx *ctx, const char *name, cxr_error *err)
{
    int bad = 0;
    size_t len = 0;
    void *png = spng_get_png_buffer(ctx, &len, &bad); /* from malloc, ours to free */
    if (png == NULL) return cxr_fail(err, CXR_EINTERNAL, "%s: cannot encode it as PNG: %s", name, spng_strerror(bad));
    out->data = cxr_mem_new(len, 1);
    if (out->data != NULL) memcpy(out->data, png, out->len = len);
    free(png);
    return out->data != NULL ? CXR_OK : cxr_mem_fail(err, name);
}

cxr_status cxr_surface_png(cxr_buf *out, cairo_surface_t *surface, const char *name, cxr_error *err)
{
    const int width = cairo_image_surface_get_width(surface), height = cairo_image_surface_get_height(surface);
    *out = (cxr_buf){0};
    cairo_surface_flush(surface);
    const unsigned char *rows = cairo_image_surface_get_data(surface);
    if (rows == NULL) return cxr_mem_fail(err, name);
    const size_t stride = (size_t)cairo_image_surface_get_stride(surface), row = (size_t)width * 3;
    uint8_t *rgb = cxr_mem_new((size_t)height * row, 1);
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    cxr_status st = rgb == NULL || ctx == NULL ? cxr_mem_fail(err, name) : CXR_OK;
    for (int y = 0; y < height && st == CXR_OK; y++) to_rgb(rgb + (size_t)y * row, rows + (size_t)y * stride, width);
    const int bad = st == CXR_OK ? encode(ctx, rgb, width, height) : 0;
    if (bad == SPNG_EMEM)
        st = cxr_mem_fail(err, name);
    else if (bad != 0)
        st = cxr_fail(err, CXR_EINTERNAL, "%s: cannot encode it as PNG: %s", name, spng_strerror(bad));
    if (st == CXR_OK) st = take(out, ctx, name, err);
    spng_ctx_free(ctx); /* accepts NULL */
    cxr_mem_free(rgb);
    return st;
}
