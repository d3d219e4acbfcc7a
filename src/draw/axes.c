#include "draw/draw.h"
#include <math.h>
#include <stdio.h>

#define TICK_FONT  ((cxr_font){11.0, false, CXR_INK})
#define TITLE_FONT ((cxr_font){14.0, true, CXR_INK})

/* The least of 1, 2, 5 and 10 times a power of ten that is not below x > 0 (Heckbert, "Nice numbers for graph labels"). */
static double nice(double x)
{
    const double power = pow(10.0, floor(log10(x))), share = x / power;
    return power * (share <= 1.0 ? 1.0 : share <= 2.0 ? 2.0 : share <= 5.0 ? 5.0 : 10.0);
}

cxr_axis cxr_axis_cover(double lo, double hi, int ticks)
{
    const double least = fmax(1e-3 * fmax(fabs(lo), fabs(hi)), 1e-6); /* equal values still get an axis around them */
    if (hi - lo < least) {
        lo -= least;
        hi += least;
    }
    const double step = nice((hi - lo) / ticks), slack = 1e-9; /* 0.3 / 0.1 is a little less than 3 */
    lo = floor(lo / step + slack) * step;
    hi = ceil(hi / step - slack) * step;
    return (cxr_axis){lo, hi, step, lo, hi};
}

cxr_axis cxr_axis_count(int first, int last, int ticks)
{
    const double span = (double)last - first, margin = span > 0.0 ? 0.04 * span : 0.5;
    return (cxr_axis){first - margin, last + margin, fmax(1.0, nice(fmax(1.0, span) / ticks)), first, last};
}

double cxr_panel_x(const cxr_panel *p, double value)
{
    return p->x + p->w * (value - p->across.lo) / (p->across.hi - p->across.lo);
}

double cxr_panel_y(const cxr_panel *p, double value)
{
    return p->y + p->h * (1.0 - (value - p->up.lo) / (p->up.hi - p->up.lo));
}

/* As many decimals as the step has; far from 1, three digits and an exponent. */
static void tick_text(char *text, size_t size, const cxr_axis *a, double value, const char *unit)
{
    const double largest = fmax(fabs(a->lo), fabs(a->hi));
    const int decimals = (int)fmax(0.0, ceil(-log10(a->step) - 1e-9));
    if (fabs(value) < 1e-9 * largest) value = 0.0;
    if (largest >= 1e5 || decimals > 5)
        (void)snprintf(text, size, "%.3g%s", value, unit);
    else
        (void)snprintf(text, size, "%.*f%s", decimals, value, unit);
}

static void line(cairo_t *cr, double x0, double y0, double x1, double y1)
{
    cairo_move_to(cr, x0, y0);
    cairo_line_to(cr, x1, y1);
    cairo_stroke(cr);
}

static void draw_up_axis(cairo_t *cr, const cxr_panel *p)
{
    const long from = lround(p->up.first / p->up.step), to = lround(p->up.last / p->up.step);
    for (long i = from; i <= to; i++) {
        char text[64];
        const double value = (double)i * p->up.step, y = cxr_panel_y(p, value);
        cxr_set_colour(cr, CXR_RULE);
        line(cr, p->x, y, p->x + p->w, y);
        tick_text(text, sizeof text, &p->up, value, p->up_unit);
        cxr_text(cr, TICK_FONT, p->x - 8.0, y + 4.0, 1.0, text);
    }
}

static void draw_across_axis(cairo_t *cr, const cxr_panel *p)
{
    const double bottom = p->y + p->h;
    const long from = lround(ceil(p->across.first / p->across.step)), to = lround(floor(p->across.last / p->across.step));
    cxr_set_colour(cr, CXR_INK);
    line(cr, p->x, bottom, p->x + p->w, bottom);
    for (long i = from; i <= to; i++) {
        char text[64];
        const double value = (double)i * p->across.step, x = cxr_panel_x(p, value);
        cxr_set_colour(cr, CXR_INK);
        line(cr, x, bottom, x, bottom + 4.0);
        tick_text(text, sizeof text, &p->across, value, "");
        cxr_text(cr, TICK_FONT, x, bottom + 17.0, 0.5, text);
    }
    cxr_text(cr, TICK_FONT, p->x + p->w / 2.0, bottom + 36.0, 0.5, p->across_title);
}

void cxr_panel_draw(cairo_t *cr, const cxr_panel *p)
{
    cairo_save(cr);
    cairo_set_line_width(cr, 1.0);
    draw_up_axis(cr, p);
    draw_across_axis(cr, p);
    cxr_text(cr, TITLE_FONT, p->x, p->y - 20.0, 0.0, p->title);
    if (p->up_title != NULL) cxr_text_turned(cr, TICK_FONT, p->x - 44.0, p->y + p->h / 2.0, -M_PI / 2.0, 0.5, p->up_title);
    cairo_restore(cr);
}
