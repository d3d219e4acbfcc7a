#include "explain/figure.h"
#include "draw/draw.h"
#include <math.h>
#include <string.h>

#define PANEL  300.0 /* of an image, its longer side; the PNG has twice as many pixels */
#define EDGE   24.0
#define GAP    16.0
#define HEAD   52.0 /* title and subtitle */
#define FOOT   24.0 /* the note */
#define BAR    14.0
#define LABELS 34.0 /* right of the bar */
#define DENSE  2    /* pixels of the overlay for each unit */

#define OPAQUE 0.62 /* of the overlay, where the map is highest */
#define CLEAR  0.45 /* share of the maximum from which on it is that opaque; none at 0 */

typedef struct scene {
    const cxr_heat_figure *f;
    cairo_surface_t *image, *overlay;
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

static double largest(const cxr_heat_figure *f)
{
    double most = 0.0;
    for (int i = 0; i < f->width * f->height; i++) most = fmax(most, (double)f->map[i]);
    return most;
}

/* The map between the centres of its cells, bilinear; x and y count cells from the map's edge. */
static double between(const cxr_heat_figure *f, double x, double y)
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

static uint32_t heat_pixel(double share)
{
    const cxr_colour c = colour_of(share);
    const double alpha = OPAQUE * fmin(share / CLEAR, 1.0), full = 255.0 * alpha; /* cairo's colours are multiplied by alpha */
    return (uint32_t)lround(full) << 24 | (uint32_t)lround(full * c.r) << 16 | (uint32_t)lround(full * c.g) << 8 |
           (uint32_t)lround(full * c.b);
}

static void paint_heat(const scene *s)
{
    const int w = cairo_image_surface_get_width(s->overlay), h = cairo_image_surface_get_height(s->overlay);
    const int stride = cairo_image_surface_get_stride(s->overlay);
    unsigned char *rows = cairo_image_surface_get_data(s->overlay);
    const cxr_box box = seen(s->f->preprocess, w, h);
    const double most = largest(s->f);
    if (rows == NULL || !(most > 0.0)) return;
    cairo_surface_flush(s->overlay);
    for (int y = 0; y < h; y++) {
        const double v = (y + 0.5 - box.top) / (box.bottom - box.top);
        for (int x = 0; x < w; x++) {
            const double u = (x + 0.5 - box.left) / (box.right - box.left);
            const bool inside = u >= 0.0 && u <= 1.0 && v >= 0.0 && v <= 1.0;
            const double share = inside ? between(s->f, u * s->f->width, v * s->f->height) / most : 0.0;
            const uint32_t pixel = heat_pixel(share);
            memcpy(rows + (size_t)y * (size_t)stride + (size_t)x * sizeof pixel, &pixel, sizeof pixel);
        }
    }
    cairo_surface_mark_dirty(s->overlay);
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
    cairo_save(cr);
    cairo_translate(cr, x, y);
    cairo_scale(cr, 1.0 / DENSE, 1.0 / DENSE);
    cairo_set_source_surface(cr, surface, 0.0, 0.0);
    cairo_paint(cr);
    cairo_restore(cr);
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
    place(cr, s->image, EDGE, top);
    place(cr, s->image, second, top);
    place(cr, s->overlay, second, top);
    draw_bar(cr, second + s->w + GAP, top, s->h);
    if (s->f->note != NULL) cxr_text(cr, (cxr_font){11.5, false, CXR_INK}, EDGE, top + s->h + 20.0, 0.0, s->f->note);
}

static cxr_status draw(scene *s, const cxr_image *img, const char *path, cxr_error *err)
{
    s->image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, img->width, img->height);
    s->overlay = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, img->width, img->height);
    paint_grey(s->image, img);
    paint_heat(s);
    const double width = fmax(2.0 * EDGE + 2.0 * s->w + 2.0 * GAP + BAR + LABELS, 480.0);
    const double height = 2.0 * EDGE + HEAD + s->h + (s->f->note != NULL ? FOOT : 0.0);
    const cxr_figure figure = {width, height, draw_scene, s};
    const cxr_status st = cxr_figure_png(&figure, path, err);
    cairo_surface_destroy(s->image);
    cairo_surface_destroy(s->overlay);
    return st;
}

/* The image's longer side fills a panel; one that is very long and narrow gets a few pixels of width. */
static void panel_size(const cxr_image *img, double *w, double *h)
{
    const double scale = PANEL / fmax(img->width, img->height);
    *w = fmax(round(img->width * scale), 4.0);
    *h = fmax(round(img->height * scale), 4.0);
}

cxr_status cxr_heat_figure_write(const cxr_heat_figure *f, const char *image, const cxr_limits *limits, const char *path,
                                 cxr_error *err)
{
    const cxr_preprocess target = {.rule = CXR_RESIZE_FIT, .size = (int)PANEL};
    cxr_image decoded = {0}, shown = {0};
    scene s = {.f = f};
    cxr_status st = cxr_image_load(&decoded, image, &target, limits, err);
    if (st == CXR_OK) {
        panel_size(&decoded, &s.w, &s.h);
        st = cxr_image_resize(&shown, &decoded, (int)s.w * DENSE, (int)s.h * DENSE, NULL, err);
    }
    if (st == CXR_OK) st = draw(&s, &shown, path, err);
    cxr_image_free(&decoded);
    cxr_image_free(&shown);
    return st;
}
