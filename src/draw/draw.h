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
/* Both: `base`.png and `base`.svg. */
CXR_MUST_CHECK cxr_status cxr_figure_save(const cxr_figure *fig, const char *base, cxr_error *err);
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
/* The same, turned about (x, y) by an angle in radians, clockwise. */
void cxr_text_turned(cairo_t *cr, cxr_font font, double x, double y, double angle, double anchor, const char *text);

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
    const char *up_title;                       /* turned, left of its numbers; NULL: none */
} cxr_panel;
double cxr_panel_x(const cxr_panel *p, double value);
double cxr_panel_y(const cxr_panel *p, double value);
/* Title, grid, ticks and their numbers. */
void cxr_panel_draw(cairo_t *cr, const cxr_panel *p);

/* How a series is drawn. */
typedef struct cxr_pen {
    cxr_colour colour;
    double width;
    int dash; /* 0: solid; those of the calls below */
} cxr_pen;
/* Of the k-th series: Okabe and Ito's colours, and from the second on another dash, so that grey and colour-blind readers tell
 * them apart too. */
cxr_pen cxr_pen_of(int k);
/* For diagonals and marks: thin, grey, dotted. */
cxr_pen cxr_pen_faint(void);
/* Through n points, given in the axes' values; broken where one is not finite. What lies closer than a quarter of a unit to
 * the point before is left out: a curve of a million points stays a small file. */
void cxr_panel_curve(cairo_t *cr, const cxr_panel *p, cxr_pen pen, const double *x, const double *y, size_t n);
void cxr_panel_line(cairo_t *cr, const cxr_panel *p, cxr_pen pen, double x0, double y0, double x1, double y1);
/* A point with a white rim: round, or square. */
void cxr_dot(cairo_t *cr, cxr_colour c, bool square, double x, double y);
/* A row of a legend, its baseline y: a piece of the line, then the text. width 0: a dot in its place, square
 * where `dash` is not 0. */
void cxr_legend_row(cairo_t *cr, cxr_pen pen, double x, double y, const char *text);
#endif
