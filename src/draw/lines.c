#include "draw/draw.h"
#include <math.h>

#define LEGEND_FONT ((cxr_font){11.5, false, CXR_INK})
#define DASHES      5    /* of series, with the solid line; the one after them is dotted */
#define NEAR        0.25 /* units; half a pixel of the PNG */

cxr_pen cxr_pen_of(int k)
{
    static const cxr_colour colours[] = {{0.000, 0.447, 0.698}, {0.835, 0.369, 0.000}, {0.000, 0.620, 0.451},
                                         {0.800, 0.475, 0.655}, {0.337, 0.706, 0.914}, {0.902, 0.624, 0.000}};
    enum { COLOURS = sizeof colours / sizeof *colours };
    return (cxr_pen){colours[k % COLOURS], 2.0, k % DASHES};
}

cxr_pen cxr_pen_faint(void)
{
    return (cxr_pen){CXR_FAINT, 1.4, DASHES};
}

static void set_pen(cairo_t *cr, cxr_pen pen)
{
    static const double dashes[DASHES + 1][4] = {
        {0}, {5.0, 1.8, 5.0, 1.8}, {9.0, 3.0, 1.5, 3.0}, {12.0, 3.0, 12.0, 3.0}, {5.0, 4.0, 1.5, 4.0}, {1.5, 3.0, 1.5, 3.0}};
    cxr_set_colour(cr, pen.colour);
    cairo_set_line_width(cr, pen.width);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(cr, dashes[pen.dash], pen.dash > 0 ? 4 : 0, 0.0);
}

void cxr_panel_curve(cairo_t *cr, const cxr_panel *p, cxr_pen pen, const double *x, const double *y, size_t n)
{
    bool joined = false;
    double last_x = 0.0, last_y = 0.0;
    cairo_save(cr);
    set_pen(cr, pen);
    cairo_new_path(cr);
    for (size_t i = 0; i < n; i++) {
        const double to_x = cxr_panel_x(p, x[i]), to_y = cxr_panel_y(p, y[i]);
        const bool finite = isfinite(to_x) && isfinite(to_y), last = i + 1 == n;
        if (finite && joined && !last && fabs(to_x - last_x) < NEAR && fabs(to_y - last_y) < NEAR) continue;
        if (finite) (joined ? cairo_line_to : cairo_move_to)(cr, last_x = to_x, last_y = to_y);
        joined = finite;
    }
    cairo_stroke(cr);
    cairo_restore(cr);
}

void cxr_panel_line(cairo_t *cr, const cxr_panel *p, cxr_pen pen, double x0, double y0, double x1, double y1)
{
    cxr_panel_curve(cr, p, pen, (const double[]){x0, x1}, (const double[]){y0, y1}, 2);
}

void cxr_dot(cairo_t *cr, cxr_colour c, bool square, double x, double y)
{
    cairo_new_path(cr);
    if (square)
        cairo_rectangle(cr, x - 3.2, y - 3.2, 6.4, 6.4);
    else
        cairo_arc(cr, x, y, 3.6, 0.0, 2.0 * M_PI);
    cxr_set_colour(cr, c);
    cairo_fill_preserve(cr);
    cairo_set_source_rgb(cr, 1.0, 1.0, 1.0);
    cairo_set_line_width(cr, 1.0);
    cairo_stroke(cr);
}

void cxr_legend_row(cairo_t *cr, cxr_pen pen, double x, double y, const char *text)
{
    if (pen.width > 0.0) {
        cairo_save(cr);
        set_pen(cr, pen);
        cairo_move_to(cr, x, y - 4.0);
        cairo_line_to(cr, x + 30.0, y - 4.0);
        cairo_stroke(cr);
        cairo_restore(cr);
    } else
        cxr_dot(cr, pen.colour, pen.dash > 0, x + 15.0, y - 4.0);
    cxr_text(cr, LEGEND_FONT, x + 38.0, y, 0.0, text);
}
