#include "explain/figure.h"
#include "base/mem.h"
#include "draw/draw.h"
#include "draw/png.h"
#include <math.h>
#include <string.h>

#define PANEL  224.0 /* of an image, its longer side, as large as the PNG has it: drawing must keep up with predicting */
#define EDGE   24.0
#define GAP    16.0
#define HEAD   52.0 /* title and subtitle */
#define FOOT   24.0 /* the note */
#define BAR    14.0
#define LABELS 34.0 /* right of the bar */

#define OPAQUE 0.62 /* of the overlay, where the map is highest */
#define CLEAR  0.45 /* share of the maximum from which on it is that opaque; none at 0 */

/* Pixels of an image and of the heat over it. */
typedef struct layers {
    cairo_surface_t *image, *heat;
} layers;

typedef struct scene {
    const cxr_heat_figure *f;
    layers layers;
    double w, h; /* of a panel */
} scene;

/* Anchors of the colour map "plasma" (van der Walt, Smith 2015, public domain), evenly spaced: its lightness grows steadily. */
static cxr_colour colour_of(double v)
{
    static const cxr_colour anchors[] = {{0.050, 0.030, 0.528}, {0.361, 0.005, 0.651}, {0.611, 0.090, 0.620},
                                         {0.798, 0.280, 0.469}, {0.929, 0.472, 0.326}, {0.993, 0.699, 0.181},
                                         {0.940, 0.975, 0.131}};
    enum { STEPS = sizeof anchors / sizeof anchors[0] - 1 };
    const double at = fmin(fmax(v, 0.0), 1.0) * STEPS, low = fmin(floor(at), STEPS - 1.0), t = at - low;
    const cxr_colour a = anchors[(int)low], b = anchors[(int)low + 1];
    return (cxr_colour){a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)};
}

static double largest(const cxr_heat *f)
{
    double most = 0.0;
    for (int i = 0; i < f->width * f->height; i++) most = fmax(most, (double)f->map[i]);
    return most;
}

double cxr_heat_at(const cxr_heat *f, double x, double y)
{
    x = fmin(fmax(x - 0.5, 0.0), f->width - 1.0);
    y = fmin(fmax(y - 0.5, 0.0), f->height - 1.0);
    const int x0 = (int)x, y0 = (int)y, x1 = x0 + (x0 + 1 < f->width), y1 = y0 + (y0 + 1 < f->height);
    const double u = x - x0, v = y - y0;
    const float *top = f->map + y0 * f->width, *low = f->map + y1 * f->width;
    return (1 - v) * ((1 - u) * (double)top[x0] + u * (double)top[x1]) + v * ((1 - u) * (double)low[x0] + u * (double)low[x1]);
}

/* Where the network's square input lies on a panel of w x h. */
static cxr_box seen(const cxr_preprocess *pre, double w, double h)
{
    if (pre->rule == CXR_RESIZE_SQUASH) return (cxr_box){0, 0, w, h};
    const double side = pre->rule == CXR_RESIZE_FIT ? fmax(w, h) : fmin(w, h);
    return (cxr_box){(w - side) / 2, (h - side) / 2, (w + side) / 2, (h + side) / 2};
}

#define TONES 256

/* Pixels of shares 0 to 1 of the map's maximum, evenly spaced. Cairo's colours are multiplied by alpha. */
static void make_tones(uint32_t tones[TONES])
{
    for (int i = 0; i < TONES; i++) {
        const double share = i / (TONES - 1.0), full = 255.0 * OPAQUE * fmin(share / CLEAR, 1.0);
        const cxr_colour c = colour_of(share);
        tones[i] = (uint32_t)lround(full) << 24 | (uint32_t)lround(full * c.r) << 16 | (uint32_t)lround(full * c.g) << 8 |
                   (uint32_t)lround(full * c.b);
    }
}

static void paint_heat(cairo_surface_t *to, const cxr_heat *heat)
{
    const int w = cairo_image_surface_get_width(to), h = cairo_image_surface_get_height(to);
    const int stride = cairo_image_surface_get_stride(to);
    unsigned char *rows = cairo_image_surface_get_data(to);
    const cxr_box box = seen(heat->preprocess, w, h);
    const double most = largest(heat);
    uint32_t tones[TONES];
    if (rows == NULL || !(most > 0.0)) return;
    make_tones(tones);
    cairo_surface_flush(to);
    for (int y = 0; y < h; y++) {
        const double v = (y + 0.5 - box.top) / (box.bottom - box.top);
        for (int x = 0; x < w; x++) {
            const double u = (x + 0.5 - box.left) / (box.right - box.left);
            const bool inside = u >= 0.0 && u <= 1.0 && v >= 0.0 && v <= 1.0;
            const double at = inside ? cxr_heat_at(heat, u * heat->width, v * heat->height) : 0.0, share = fmax(at / most, 0.0);
            memcpy(rows + (size_t)y * (size_t)stride + (size_t)x * sizeof *tones, &tones[(int)(share * (TONES - 1) + 0.5)],
                   sizeof *tones);
        }
    }
    cairo_surface_mark_dirty(to);
}

static void paint_grey(cairo_surface_t *to, const cxr_image *img)
{
    const int stride = cairo_image_surface_get_stride(to);
    unsigned char *rows = cairo_image_surface_get_data(to);
    if (rows == NULL) return;
    cairo_surface_flush(to);
    for (int y = 0; y < img->height; y++)
        for (int x = 0; x < img->width; x++) {
            const uint32_t pixel = (uint32_t)img->pixels[(size_t)y * (size_t)img->width + (size_t)x] * 0x010101u;
            memcpy(rows + (size_t)y * (size_t)stride + (size_t)x * sizeof pixel, &pixel, sizeof pixel);
        }
    cairo_surface_mark_dirty(to);
}

static void place(cairo_t *cr, cairo_surface_t *surface, double x, double y)
{
    cairo_set_source_surface(cr, surface, x, y);
    cairo_paint(cr);
}

static void draw_bar(cairo_t *cr, double x, double y, double h)
{
    cairo_pattern_t *ramp = cairo_pattern_create_linear(0.0, y + h, 0.0, y);
    for (int i = 0; i <= 6; i++) {
        const cxr_colour c = colour_of(i / 6.0);
        cairo_pattern_add_color_stop_rgb(ramp, i / 6.0, c.r, c.g, c.b);
    }
    cairo_rectangle(cr, x, y, BAR, h);
    cairo_set_source(cr, ramp);
    cairo_fill(cr);
    cairo_pattern_destroy(ramp);
    static const char *const ticks[] = {"0", "0.5", "1"};
    for (int i = 0; i < 3; i++)
        cxr_text(cr, (cxr_font){10.5, false, CXR_INK}, x + BAR + 6.0, y + h - h * i / 2.0 + 4.0 * (i == 1) + 8.0 * (i == 2),
                 0.0, ticks[i]);
}

static void draw_scene(cairo_t *cr, const void *content)
{
    const scene *s = content;
    const double second = EDGE + s->w + GAP, top = EDGE + HEAD;
    cxr_text(cr, (cxr_font){15.0, true, CXR_INK}, EDGE, EDGE + 12.0, 0.0, s->f->title);
    cxr_text(cr, (cxr_font){11.5, false, CXR_FAINT}, EDGE, EDGE + 31.0, 0.0, s->f->subtitle);
    place(cr, s->layers.image, EDGE, top);
    place(cr, s->layers.image, second, top);
    place(cr, s->layers.heat, second, top);
    draw_bar(cr, second + s->w + GAP, top, s->h);
    if (s->f->note != NULL) cxr_text(cr, (cxr_font){11.5, false, CXR_INK}, EDGE, top + s->h + 20.0, 0.0, s->f->note);
}

/* The image's longer side is `side`; one that is very long and narrow gets a few pixels of width. */
static void panel_size(const cxr_image *img, double side, double *w, double *h)
{
    const double scale = side / fmax(img->width, img->height);
    *w = fmax(round(img->width * scale), 4.0);
    *h = fmax(round(img->height * scale), 4.0);
}

/* The image's panel, w x h, and the heat over it. To be closed also after a failure. */
static cxr_status open_layers(layers *l, double *w, double *h, const cxr_heat *heat, const cxr_image *image, int side,
                              cxr_error *err)
{
    cxr_image shown = {0};
    panel_size(image, side, w, h);
    const cxr_status st = cxr_image_resize(&shown, image, (int)*w, (int)*h, NULL, err);
    if (st == CXR_OK) {
        l->image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, shown.width, shown.height);
        l->heat = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, shown.width, shown.height);
        paint_grey(l->image, &shown);
        paint_heat(l->heat, heat);
    }
    cxr_image_free(&shown);
    return st;
}

static void close_layers(layers *l)
{
    cairo_surface_destroy(l->image); /* accepts NULL */
    cairo_surface_destroy(l->heat);
}

/* No larger than a panel needs. */
static cxr_preprocess panel_target(int side)
{
    return (cxr_preprocess){.rule = CXR_RESIZE_FIT, .size = side};
}

cxr_status cxr_heat_figure_write(const cxr_heat_figure *f, const char *image, const cxr_limits *limits, const char *path,
                                 cxr_error *err)
{
    scene s = {.f = f};
    cxr_buf png = {0};
    cxr_image decoded = {0};
    const cxr_preprocess target = panel_target((int)PANEL);
    cxr_status st = cxr_image_load(&decoded, image, &target, limits, err);
    if (st == CXR_OK) st = open_layers(&s.layers, &s.w, &s.h, &f->heat, &decoded, (int)PANEL, err);
    if (st == CXR_OK) {
        const double width = fmax(2.0 * EDGE + 2.0 * s.w + 2.0 * GAP + BAR + LABELS, 480.0);
        const double height = 2.0 * EDGE + HEAD + s.h + (f->note != NULL ? FOOT : 0.0);
        const cxr_figure figure = {width, height, draw_scene, &s};
        st = cxr_figure_encode(&png, &figure, 1.0, path, err);
        if (st == CXR_OK) st = cxr_file_place(path, png.data, png.len, err);
    }
    close_layers(&s.layers);
    cxr_image_free(&decoded);
    cxr_buf_free(&png);
    return st;
}

static cxr_status overlay(cxr_buf *out, const cxr_heat *heat, const cxr_image *image, const char *name, int side,
                          cxr_error *err)
{
    layers l = {0};
    double w, h;
    cxr_status st = open_layers(&l, &w, &h, heat, image, side, err);
    if (st == CXR_OK) {
        cairo_t *cr = cairo_create(l.image);
        cairo_set_source_surface(cr, l.heat, 0.0, 0.0);
        cairo_paint(cr);
        const cairo_status_t drawn = cairo_status(cr);
        cairo_destroy(cr);
        st = drawn == CAIRO_STATUS_SUCCESS ? cxr_surface_png(out, l.image, name, err) : cxr_mem_fail(err, name);
    }
    close_layers(&l);
    return st;
}

cxr_status cxr_heat_overlay_png(cxr_buf *out, const cxr_heat *heat, const char *image, const cxr_limits *limits, int side,
                                cxr_error *err)
{
    cxr_image decoded = {0};
    const cxr_preprocess target = panel_target(side);
    *out = (cxr_buf){0};
    cxr_status st = cxr_image_load(&decoded, image, &target, limits, err);
    if (st == CXR_OK) st = overlay(out, heat, &decoded, image, side, err);
    cxr_image_free(&decoded);
    return st;
}

cxr_status cxr_heat_overlay_bytes(cxr_buf *out, const cxr_heat *heat, const cxr_buf *file, const char *name,
                                  const cxr_limits *limits, int side, cxr_error *err)
{
    cxr_image decoded = {0};
    const cxr_preprocess target = panel_target(side);
    *out = (cxr_buf){0};
    cxr_status st = cxr_image_decode(&decoded, file->data, file->len, name, &target, limits, err);
    if (st == CXR_OK) st = overlay(out, heat, &decoded, name, side, err);
    cxr_image_free(&decoded);
    return st;
}
