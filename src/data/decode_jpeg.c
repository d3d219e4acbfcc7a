/* JPEG through libjpeg. Dimensions are checked after the header, scans while they are read, and memory is capped. libjpeg
 * reports errors by longjmp: everything that changes lives in `struct reader`, which the frame that calls setjmp only points
 * to, so no local is clobbered and all of libjpeg's memory is released in one place. */
#include "base/mem.h"
#include "data/decode.h"
#include "data/resize.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#define EXIF_MARKER (JPEG_APP0 + 1)

struct reader {
    struct jpeg_decompress_struct jpeg; /* first: libjpeg's callbacks get its address */
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    cxr_status status;
    cxr_error *err;
    const cxr_source *src;
    cxr_image *out;
    cxr_image_info *info;
};

static _Noreturn void stop(struct reader *r, cxr_status status)
{
    r->status = status;
    longjmp(r->failed, 1);
}

static _Noreturn void on_error(j_common_ptr jpeg)
{
    struct reader *r = (struct reader *)jpeg;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    const bool memory = jpeg->err->msg_code == JERR_OUT_OF_MEMORY || jpeg->err->msg_code == JERR_NO_BACKING_STORE;
    stop(r, cxr_fail(r->err, memory ? CXR_ENOMEM : CXR_EDATA, "%s: cannot read this JPEG: %s", r->src->name, text));
}

/* Warnings after which no data is missing: stray bytes between segments, odd version numbers, scans out of order. */
static bool is_harmless(int code)
{
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM ||
           code == JWRN_BOGUS_PROGRESSION;
}

/* Level -1 is a warning: libjpeg would go on with pixels it made up. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0 && !is_harmless(jpeg->err->msg_code)) on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
    struct reader *r = (struct reader *)jpeg;
    const uint32_t most = r->src->limits->max_scans;
    if ((uint64_t)r->jpeg.input_scan_number <= most) return;
    stop(r, cxr_fail(r->err, CXR_ELIMIT, "%s: more than %u scans in this JPEG", r->src->name, most));
}

static void read_orientation(struct reader *r)
{
    static const char head[6] = "Exif\0";
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m != NULL; m = m->next) {
        if (m->marker != EXIF_MARKER || m->data_length < sizeof head || memcmp(m->data, head, sizeof head) != 0) continue;
        const cxr_status st = cxr_decode_orientation(&r->info->orientation, m->data, m->data_length, r->err);
        if (st != CXR_OK) stop(r, st);
        return;
    }
}

static void read_info(struct reader *r)
{
    const int channels = r->jpeg.num_components;
    *r->info = (cxr_image_info){.format = "JPEG",
                                .mode = channels == 1   ? "grey"
                                        : channels == 4 ? "CMYK"
                                                        : "RGB",
                                .depth = r->jpeg.data_precision,
                                .width = (int)r->jpeg.image_width,
                                .height = (int)r->jpeg.image_height,
                                .orientation = 1};
    read_orientation(r);
}

static void take_rgb(uint8_t *grey, cxr_chroma *chroma, unsigned r, unsigned g, unsigned b)
{
    *grey = cxr_luma(r, g, b);
    if (chroma != NULL) cxr_chroma_add(chroma, (int)r, (int)g, (int)b);
}

/* Grey of one row of CMYK. Adobe stores it inverted, and so does every writer met in practice: PIL assumes it too. */
static void take_cmyk(uint8_t *grey, cxr_chroma *chroma, const uint8_t *cmyk, size_t width)
{
    for (size_t x = 0; x < width; x++, cmyk += 4) {
        const unsigned k = cmyk[3];
        take_rgb(&grey[x], chroma, k - cxr_mul255(255u - cmyk[0], k), k - cxr_mul255(255u - cmyk[1], k),
                 k - cxr_mul255(255u - cmyk[2], k));
    }
}

/* One row of three samples a pixel; of YCbCr the grey is its own Y. */
static void take_colour(uint8_t *grey, cxr_chroma *chroma, const uint8_t *row, size_t width, bool rgb)
{
    for (size_t x = 0; x < width; x++, row += 3) {
        if (rgb) {
            take_rgb(&grey[x], chroma, row[0], row[1], row[2]);
            continue;
        }
        grey[x] = row[0];
        chroma->count[0][row[1]]++;
        chroma->count[1][row[2]]++;
    }
}

static void read_rows(struct reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    const size_t width = jpeg->output_width;
    const J_COLOR_SPACE space = jpeg->out_color_space;
    JSAMPARRAY ink = NULL;
    if (space != JCS_GRAYSCALE)
        ink = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, jpeg->output_width * (space == JCS_CMYK ? 4 : 3), 1);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = r->out->pixels + width * jpeg->output_scanline;
        (void)jpeg_read_scanlines(jpeg, ink != NULL ? ink : &row, 1);
        if (space == JCS_CMYK)
            take_cmyk(row, r->src->chroma, ink[0], width);
        else if (ink != NULL)
            take_colour(row, r->src->chroma, ink[0], width, space == JCS_RGB);
    }
}

/* Grey straight from the file: the luma of YCbCr, or libjpeg's ITU-R 601 sum of RGB, which rounds as cxr_luma does. Where chroma
 * is asked for the samples come as they are, with the same luma. */
static void choose_output(struct reader *r)
{
    const J_COLOR_SPACE space = r->jpeg.jpeg_color_space;
    switch (space) {
    case JCS_GRAYSCALE: r->jpeg.out_color_space = JCS_GRAYSCALE; return;
    case JCS_YCbCr:
    case JCS_RGB: r->jpeg.out_color_space = r->src->chroma == NULL ? JCS_GRAYSCALE : space; return;
    case JCS_CMYK:
    case JCS_YCCK: r->jpeg.out_color_space = JCS_CMYK; return;
    default:
        stop(r,
             cxr_fail(r->err, CXR_EDATA, "%s: a JPEG of %d components is not supported", r->src->name, r->jpeg.num_components));
    }
}

/* Both sides stay at least this many times what they become: Pillow finds the result hardly told from that of full size. */
#define REDUCING_GAP 3

static bool is_larger(int64_t side, int64_t becomes, int64_t times)
{
    return side / (REDUCING_GAP * becomes) >= times;
}

/* The rules treat width and height alike, so the stored sides do as well as the upright ones. */
static void choose_scale(struct reader *r)
{
    const cxr_preprocess *target = r->src->target;
    if (target == NULL) return;
    const int width = (int)r->jpeg.image_width, height = (int)r->jpeg.image_height;
    const cxr_extent e = cxr_resized_by_rule(width, height, target->rule, target->size);
    unsigned scale = 8;
    while (scale > 1 && !(is_larger(width, e.width, scale) && is_larger(height, e.height, scale))) scale /= 2;
    r->jpeg.scale_num = 1;
    r->jpeg.scale_denom = scale;
}

static void decode(struct reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &r->progress;
    jpeg_mem_src(jpeg, r->src->data, r->src->len);
    jpeg_save_markers(jpeg, EXIF_MARKER, 0xFFFF);
    (void)jpeg_read_header(jpeg, TRUE);
    const uint64_t width = jpeg->image_width, height = jpeg->image_height;
    cxr_status st = cxr_decode_check_size(r->src, width, height, r->err);
    if (st != CXR_OK) stop(r, st);
    read_info(r);
    choose_output(r);
    choose_scale(r);
    /* The most that a legal file needs: two-byte coefficients of four components, padded to blocks. */
    jpeg->mem->max_memory_to_use = (long)(8 * width * height) + (64L << 20);
    (void)jpeg_start_decompress(jpeg);
    st = cxr_image_new(r->out, (int)jpeg->output_width, (int)jpeg->output_height, r->err);
    if (st != CXR_OK) stop(r, st);
    read_rows(r);
    (void)jpeg_finish_decompress(jpeg);
}

static cxr_status decode_guarded(struct reader *r)
{
    if (setjmp(r->failed) != 0) return r->status;
    decode(r);
    return CXR_OK;
}

cxr_status cxr_decode_jpeg(cxr_image *out, cxr_image_info *info, const cxr_source *src, cxr_error *err)
{
    struct reader r = {.err = err, .src = src, .out = out, .info = info};
    r.jpeg.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.progress.progress_monitor = on_progress;
    const cxr_status st = decode_guarded(&r);
    jpeg_destroy_decompress(&r.jpeg);
    return st;
}
