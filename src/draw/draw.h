/* What the figures share: a drawing routine sent to PNG and SVG, text, and the axes of a panel. Units are pixels of the SVG;
 * the PNG has two of its own for each. */
#ifndef CXR_DRAW_DRAW_H
#define CXR_DRAW_DRAW_H
#include "base/file.h"
#include <cairo.h>

typedef struct cxr_figure {
    double width, height;
    void (*draw)(cairo_t *cr, const void *content); /* on white; cairo keeps the first error */
    const void *content;
} cxr_figure;
/* Written atomically. CXR_EDATA when a text is not UTF-8. */
CXR_MUST_CHECK cxr_status cxr_figure_png(const cxr_figure *fig, const char *path, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_figure_svg(const cxr_figure *fig, const char *path, cxr_error *err);
/* The PNG in memory, with `dense` of its pixels for each unit: cxr_buf_free(). `name` is for the sentence. */
CXR_MUST_CHECK cxr_status cxr_figure_encode(cxr_buf *out, const cxr_figure *fig, double dense, const char *name,
                                            cxr_error *err);

typedef struct cxr_colour {
    double r, g, b;
} cxr_colour;
#define CXR_INK   ((cxr_colour){0.13, 0.13, 0.13})
#define CXR_FAINT ((cxr_colour){0.45, 0.45, 0.45})
#define CXR_RULE  ((cxr_colour){0.88, 0.88, 0.88})
void cxr_set_colour(cairo_t *cr, cxr_colour c);

typedef struct cxr_font {
    double size;
    bool bold;
    cxr_colour colour;
} cxr_font;
double cxr_text_width(cairo_t *cr, cxr_font font, const char *text);
/* anchor: the share of the text's width that lies left of x: 0 starts there, 0.5 is centred, 1 ends there. y: the baseline. */
void cxr_text(cairo_t *cr, cxr_font font, double x, double y, double anchor, const char *text);

/* A linear axis from lo to hi; ticks at the multiples of step (1, 2 or 5 times a power of ten) within [first, last]. */
typedef struct cxr_axis {
    double lo, hi, step, first, last;
} cxr_axis;
/* Covers [lo, hi] (finite, lo <= hi) from tick to tick, with about `ticks` steps. */
cxr_axis cxr_axis_cover(double lo, double hi, int ticks);
/* Numbered from the integer `first` to `last`, with a margin at both ends; whole ticks only. */
cxr_axis cxr_axis_count(int first, int last, int ticks);

typedef struct cxr_panel {
    double x, y, w, h;
    cxr_axis across, up;
    const char *title, *across_title, *up_unit; /* up_unit follows each number of the upward axis: " %" */
} cxr_panel;
double cxr_panel_x(const cxr_panel *p, double value);
double cxr_panel_y(const cxr_panel *p, double value);
/* Title, grid, ticks and their numbers. */
void cxr_panel_draw(cairo_t *cr, const cxr_panel *p);
#endif
