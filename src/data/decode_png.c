/* PNG through libspng, row by row: whatever the depth and colour, only one row is ever held beside the grey image. */
#include "base/mem.h"
#include "data/decode.h"
#include <inttypes.h>
#include <limits.h>
#include <spng.h>
#include <string.h>

#define CHUNK_LIMIT ((size_t)8 << 20)  /* of one ancillary chunk */
#define CHUNK_CACHE ((size_t)16 << 20) /* of all of them */

typedef struct layout {
    struct spng_ihdr header;
    enum spng_format format;
    uint8_t *row;
    size_t row_size;
} layout;

static cxr_status png_fail(const cxr_source *src, int code, cxr_error *err)
{
    if (code == SPNG_EMEM || cxr_decode_memory_lost()) return cxr_mem_fail(err, src->name);
    const bool limit = code == SPNG_EUSER_WIDTH || code == SPNG_EUSER_HEIGHT || code == SPNG_ECHUNK_LIMITS;
    return cxr_fail(err, limit ? CXR_ELIMIT : CXR_EDATA, "%s: cannot read this PNG: %s", src->name, spng_strerror(code));
}

/* Plain grey up to 8 bits comes as grey; all else as RGBA of 8 bits, of which libspng keeps the high byte. */
static int choose_format(spng_ctx *png, layout *lay)
{
    struct spng_trns transparency;
    const int code = spng_get_trns(png, &transparency);
    if (code != 0 && code != SPNG_ECHUNKAVAIL) return code;
    const bool plain = lay->header.color_type == SPNG_COLOR_TYPE_GRAYSCALE && lay->header.bit_depth <= 8 && code != 0;
    lay->format = plain ? SPNG_FMT_G8 : SPNG_FMT_RGBA8;
    return 0;
}

static int open_png(spng_ctx *png, const cxr_source *src, struct spng_ihdr *header)
{
    const uint32_t side = src->limits->max_pixels < INT_MAX ? (uint32_t)src->limits->max_pixels : (uint32_t)INT_MAX;
    int code = spng_set_image_limits(png, side, side);
    if (code == 0) code = spng_set_chunk_limits(png, CHUNK_LIMIT, CHUNK_CACHE);
    if (code == 0) code = spng_set_crc_action(png, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    if (code == 0) code = spng_set_png_buffer(png, src->data, src->len);
    return code == 0 ? spng_get_ihdr(png, header) : code;
}

/* Every `step`-th pixel from `first`, colour over black. */
static void grey_of_rgba(uint8_t *grey, cxr_chroma *chroma, const uint8_t *rgba, size_t width, size_t first, size_t step)
{
    for (size_t x = first; x < width; x += step) {
        const uint8_t *p = rgba + 4 * x;
        const unsigned r = cxr_mul255(p[0], p[3]), g = cxr_mul255(p[1], p[3]), b = cxr_mul255(p[2], p[3]);
        grey[x] = cxr_luma(r, g, b);
        if (chroma != NULL) cxr_chroma_add(chroma, (int)r, (int)g, (int)b);
    }
}

/* Of an interlaced image libspng fills in only the pixels of the row's pass (PNG specification, 8.2). */
static void take_row(cxr_image *out, cxr_chroma *chroma, const layout *lay, const struct spng_row_info *info)
{
    static const uint8_t pass_first[7] = {0, 4, 0, 2, 0, 1, 0}, pass_step[7] = {8, 8, 4, 4, 2, 2, 1};
    const bool interlaced = lay->header.interlace_method != SPNG_INTERLACE_NONE;
    const size_t width = (size_t)out->width;
    const size_t first = interlaced ? pass_first[info->pass] : 0, step = interlaced ? pass_step[info->pass] : 1;
    uint8_t *grey = out->pixels + width * info->row_num;
    if (lay->format == SPNG_FMT_RGBA8) {
        grey_of_rgba(grey, chroma, lay->row, width, first, step);
    } else {
        for (size_t x = first; x < width; x += step) grey[x] = lay->row[x];
    }
}

static int read_rows(spng_ctx *png, cxr_image *out, cxr_chroma *chroma, const layout *lay)
{
    int code = spng_decode_image(png, NULL, 0, (int)lay->format, SPNG_DECODE_TRNS | SPNG_DECODE_PROGRESSIVE);
    while (code == 0) {
        struct spng_row_info info;
        code = spng_get_row_info(png, &info);
        if (code != 0) break;
        code = spng_decode_row(png, lay->row, lay->row_size);
        if (code == 0 || code == SPNG_EOI) take_row(out, chroma, lay, &info);
    }
    if (code != SPNG_EOI) return code;
    return spng_decode_chunks(png); /* to IEND: a file cut after its pixels is truncated, too */
}

static cxr_image_info info_of(const struct spng_ihdr *h)
{
    static const char *const modes[] = {[SPNG_COLOR_TYPE_GRAYSCALE] = "grey",
                                        [SPNG_COLOR_TYPE_TRUECOLOR] = "RGB",
                                        [SPNG_COLOR_TYPE_INDEXED] = "palette",
                                        [SPNG_COLOR_TYPE_GRAYSCALE_ALPHA] = "grey and alpha",
                                        [SPNG_COLOR_TYPE_TRUECOLOR_ALPHA] = "RGB and alpha"};
    return (cxr_image_info){.format = "PNG",
                            .mode = modes[h->color_type], /* libspng has refused all others */
                            .depth = h->bit_depth,
                            .width = (int)h->width,
                            .height = (int)h->height,
                            .orientation = 1};
}

static cxr_status read_orientation(spng_ctx *png, int *orientation, cxr_error *err)
{
    static const char head[6] = "Exif\0";
    struct spng_exif exif;
    if (spng_get_exif(png, &exif) != 0) return CXR_OK;
    uint8_t *block = cxr_mem_new(sizeof head + exif.length, 1);
    if (block == NULL) return cxr_mem_fail(err, "EXIF data");
    memcpy(block, head, sizeof head);
    memcpy(block + sizeof head, exif.data, exif.length);
    const cxr_status st = cxr_decode_orientation(orientation, block, sizeof head + exif.length, err);
    cxr_mem_free(block);
    return st;
}

static cxr_status decode(cxr_image *out, cxr_image_info *info, spng_ctx *png, layout *lay, const cxr_source *src,
                         cxr_error *err)
{
    int code = open_png(png, src, &lay->header);
    if (code != 0) return png_fail(src, code, err);
    cxr_status st = cxr_decode_check_size(src, lay->header.width, lay->header.height, err);
    if (st != CXR_OK) return st;
    *info = info_of(&lay->header);
    code = choose_format(png, lay);
    if (code != 0) return png_fail(src, code, err);
    st = cxr_image_new(out, (int)lay->header.width, (int)lay->header.height, err);
    if (st != CXR_OK) return st;
    lay->row_size = (size_t)out->width * (lay->format == SPNG_FMT_RGBA8 ? 4 : 1);
    lay->row = cxr_mem_new(lay->row_size, 1);
    if (lay->row == NULL) return cxr_mem_fail(err, src->name);
    code = read_rows(png, out, src->chroma, lay);
    if (code != 0) return png_fail(src, code, err);
    return read_orientation(png, &info->orientation, err);
}

cxr_status cxr_decode_png(cxr_image *out, cxr_image_info *info, const cxr_source *src, cxr_error *err)
{
    struct spng_alloc memory = {cxr_decode_alloc, cxr_decode_realloc, cxr_decode_calloc, cxr_mem_free};
    cxr_decode_memory_reset();
    spng_ctx *png = spng_ctx_new2(&memory, 0);
    if (png == NULL) return cxr_mem_fail(err, src->name);
    layout lay = {0};
    const cxr_status st = decode(out, info, png, &lay, src, err);
    cxr_mem_free(lay.row);
    spng_ctx_free(png);
    return st;
}
