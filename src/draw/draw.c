#include "draw/draw.h"
#include "base/mem.h"
#include "draw/png.h"
#include <cairo-svg.h>
#include <math.h>

#define PNG_SCALE    2.0
#define PNG_MAX_SIDE 12000.0 /* a matrix of very many classes is drawn coarser rather than refused */

static cairo_status_t to_stream(void *stream, const unsigned char *data, unsigned int len)
{
    return fwrite(data, 1, len, stream) == len ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static void draw_on(cairo_t *cr, const cxr_figure *fig)
{
    cairo_font_options_t *exact = cairo_font_options_create(); /* glyphs are placed alike at every scale */
    cairo_font_options_set_hint_style(exact, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(exact, CAIRO_HINT_METRICS_OFF);
    cairo_font_options_set_antialias(exact, CAIRO_ANTIALIAS_GRAY);
    cairo_set_font_options(cr, exact);
    cairo_font_options_destroy(exact);
    cairo_set_source_rgb(cr, 1.0, 1.0, 1.0);
    cairo_paint(cr);
    fig->draw(cr, fig->content);
}

static cairo_status_t draw_svg(const cxr_figure *fig, FILE *stream)
{
    cairo_surface_t *surface = cairo_svg_surface_create_for_stream(to_stream, stream, fig->width, fig->height);
    cairo_svg_surface_set_document_unit(surface, CAIRO_SVG_UNIT_PX);
    cairo_t *cr = cairo_create(surface);
    draw_on(cr, fig);
    cairo_status_t status = cairo_status(cr);
    cairo_destroy(cr);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    return status;
}

static cxr_status drawing_failed(cairo_status_t drawn, const char *path, cxr_error *err)
{
    if (drawn == CAIRO_STATUS_NO_MEMORY) return cxr_mem_fail(err, path);
    if (drawn == CAIRO_STATUS_INVALID_STRING) return cxr_fail(err, CXR_EDATA, "%s: a name to be drawn is not UTF-8", path);
    return cxr_fail(err, CXR_EINTERNAL, "%s: cannot draw: %s", path, cairo_status_to_string(drawn));
}

cxr_status cxr_figure_encode(cxr_buf *out, const cxr_figure *fig, double dense, const char *name, cxr_error *err)
{
    const double scale = fmin(dense, PNG_MAX_SIDE / fmax(fig->width, fig->height));
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(fig->width * scale), (int)ceil(fig->height * scale));
    cairo_t *cr = cairo_create(surface);
    cairo_scale(cr, scale, scale);
    draw_on(cr, fig);
    const cairo_status_t drawn = cairo_status(cr);
    cairo_destroy(cr);
    *out = (cxr_buf){0};
    const cxr_status st =
        drawn == CAIRO_STATUS_SUCCESS ? cxr_surface_png(out, surface, name, err) : drawing_failed(drawn, name, err);
    cairo_surface_destroy(surface);
    return st;
}

cxr_status cxr_figure_png(const cxr_figure *fig, const char *path, cxr_error *err)
{
    cxr_buf png;
    cxr_status st = cxr_figure_encode(&png, fig, PNG_SCALE, path, err);
    if (st == CXR_OK) st = cxr_file_write(path, png.data, png.len, err);
    cxr_buf_free(&png);
    return st;
}

cxr_status cxr_figure_svg(const cxr_figure *fig, const char *path, cxr_error *err)
{
    cxr_output out;
    const cxr_status st = cxr_output_open(&out, path, err);
    if (st != CXR_OK) return st;
    const cairo_status_t drawn = draw_svg(fig, out.stream);
    if (drawn == CAIRO_STATUS_SUCCESS || ferror(out.stream)) return cxr_output_commit(&out, err);
    cxr_output_discard(&out);
    return drawing_failed(drawn, path, err);
}

cxr_status cxr_figure_save(const cxr_figure *fig, const char *base, cxr_error *err)
{
    char *png = cxr_mem_printf("%s.png", base), *svg = cxr_mem_printf("%s.svg", base);
    cxr_status st = png != NULL && svg != NULL ? CXR_OK : cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_figure_png(fig, png, err);
    if (st == CXR_OK) st = cxr_figure_svg(fig, svg, err);
    cxr_mem_free(svg);
    cxr_mem_free(png);
    return st;
}

void cxr_set_colour(cairo_t *cr, cxr_colour c)
{
    cairo_set_source_rgb(cr, c.r, c.g, c.b);
}

static void set_font(cairo_t *cr, cxr_font font)
{
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           font.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, font.size);
}

double cxr_text_width(cairo_t *cr, cxr_font font, const char *text)
{
    cairo_text_extents_t size = {0};
    set_font(cr, font);
    cairo_text_extents(cr, text, &size);
    return size.x_advance;
}

void cxr_text(cairo_t *cr, cxr_font font, double x, double y, double anchor, const char *text)
{
    const double width = cxr_text_width(cr, font, text);
    cxr_set_colour(cr, font.colour);
    cairo_move_to(cr, x - anchor * width, y);
    cairo_show_text(cr, text);
    cairo_new_path(cr);
}

void cxr_text_turned(cairo_t *cr, cxr_font font, double x, double y, double angle, double anchor, const char *text)
{
    cairo_save(cr);
    cairo_translate(cr, x, y);
    cairo_rotate(cr, angle);
    cxr_text(cr, font, 0.0, 0.0, anchor, text);
    cairo_restore(cr);
}
