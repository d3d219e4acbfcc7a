/* The reliability diagram: observed shares of positive images against their probabilities, and how many images are where. */
#include "base/file.h"
#include "base/mem.h"
#include "draw/draw.h"
#include "report/plot.h"
#include "report/text.h"
#include <math.h>

#define LEFT      70.0
#define TOP       50.0
#define SIDE      380.0
#define LOW_TOP   (TOP + SIDE + 78.0) /* of the histogram */
#define LOW_SIDE  84.0
#define ROW       18.0
#define TEXT_FONT ((cxr_font){11.5, false, CXR_INK})

static void draw_interval(cairo_t *cr, const cxr_panel *panel, const cxr_reliability_bin *b)
{
    const double x = cxr_panel_x(panel, b->mean);
    cxr_set_colour(cr, cxr_pen_of(0).colour);
    cairo_set_line_width(cr, 1.2);
    cairo_move_to(cr, x, cxr_panel_y(panel, b->ci95[0]));
    cairo_line_to(cr, x, cxr_panel_y(panel, b->ci95[1]));
    cairo_stroke(cr);
    cxr_dot(cr, cxr_pen_of(0).colour, false, x, cxr_panel_y(panel, b->observed));
}

static void draw_bins(cairo_t *cr, const cxr_panel *panel, const cxr_reliability *r)
{
    double x[CXR_RELIABILITY_BINS], y[CXR_RELIABILITY_BINS];
    size_t n = 0;
    for (int b = 0; b < CXR_RELIABILITY_BINS; b++) {
        if (r->bins[b].count == 0) continue;
        x[n] = r->bins[b].mean;
        y[n++] = r->bins[b].observed;
    }
    cxr_panel_line(cr, panel, cxr_pen_faint(), 0.0, 0.0, 1.0, 1.0);
    cxr_panel_curve(cr, panel, cxr_pen_of(0), x, y, n);
    for (int b = 0; b < CXR_RELIABILITY_BINS; b++)
        if (r->bins[b].count > 0) draw_interval(cr, panel, &r->bins[b]);
}

static void draw_histogram(cairo_t *cr, const cxr_reliability *r)
{
    size_t most = 1;
    for (int b = 0; b < CXR_RELIABILITY_BINS; b++)
        if (r->bins[b].count > most) most = r->bins[b].count;
    const cxr_axis unit = {0.0, 1.0, 0.2, 0.0, 1.0};
    const cxr_panel panel = {.x = LEFT,
                             .y = LOW_TOP,
                             .w = SIDE,
                             .h = LOW_SIDE,
                             .across = unit,
                             .up = cxr_axis_cover(0.0, (double)most, 3),
                             .title = "Images",
                             .across_title = "Probability",
                             .up_unit = ""};
    cxr_panel_draw(cr, &panel);
    cxr_set_colour(cr, cxr_pen_of(0).colour);
    for (int b = 0; b < CXR_RELIABILITY_BINS; b++) {
        const double x = cxr_panel_x(&panel, r->bins[b].low), y = cxr_panel_y(&panel, (double)r->bins[b].count);
        cairo_rectangle(cr, x + 1.0, y, cxr_panel_x(&panel, r->bins[b].high) - x - 2.0, cxr_panel_y(&panel, 0.0) - y);
        cairo_fill(cr);
    }
}

static void put_estimate(char *text, size_t size, const char *name, double value, const double ci[2])
{
    if (isfinite(value))
        (void)snprintf(text, size, "%s %.3f (95 %% CI %.3f to %.3f)", name, value, ci[0], ci[1]);
    else
        (void)snprintf(text, size, "%s not defined", name);
}

static void draw(cairo_t *cr, const void *content)
{
    const cxr_reliability *r = content;
    const cxr_axis unit = {0.0, 1.0, 0.2, 0.0, 1.0};
    const cxr_panel panel = {.x = LEFT,
                             .y = TOP,
                             .w = SIDE,
                             .h = SIDE,
                             .across = unit,
                             .up = unit,
                             .title = "Calibration",
                             .across_title = "Mean probability of the positive class",
                             .up_unit = "",
                             .up_title = "Observed share"};
    const double y = LOW_TOP + LOW_SIDE + 64.0;
    char text[128];
    cxr_panel_draw(cr, &panel);
    draw_bins(cr, &panel, r);
    draw_histogram(cr, r);
    cxr_legend_row(cr, cxr_pen_of(0), LEFT, y, "bins of the probability, 95 % intervals of the share");
    put_estimate(text, sizeof text, "calibration slope", r->slope, r->slope_ci95);
    cxr_text(cr, TEXT_FONT, LEFT, y + ROW, 0.0, text);
    put_estimate(text, sizeof text, "intercept", r->intercept, r->intercept_ci95);
    cxr_text(cr, TEXT_FONT, LEFT, y + 2.0 * ROW, 0.0, text);
}

static cxr_status put_bins(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const cxr_reliability *r = content;
    (void)fputs("low,high,count,mean_probability,observed,ci95_low,ci95_high\n", f);
    for (int k = 0; k < CXR_RELIABILITY_BINS; k++) {
        const cxr_reliability_bin *b = &r->bins[k];
        (void)fprintf(f, "%.9g,%.9g,%zu", b->low, b->high, b->count);
        cxr_put_number(f, b->mean);
        cxr_put_number(f, b->observed);
        cxr_put_number(f, b->ci95[0]);
        cxr_put_number(f, b->ci95[1]);
        (void)fputc('\n', f);
    }
    return CXR_OK;
}

cxr_status cxr_write_calibration(const char *folder, const cxr_reliability *r, cxr_error *err)
{
    const cxr_figure fig = {SIDE + LEFT + 50.0, LOW_TOP + LOW_SIDE + 64.0 + 3.0 * ROW, draw, r};
    char *base = cxr_path_join(folder, "calibration"), *csv = cxr_path_join(folder, "calibration.csv");
    cxr_status st = base != NULL && csv != NULL ? CXR_OK : cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_figure_save(&fig, base, err);
    if (st == CXR_OK) st = cxr_write_text(csv, put_bins, r, err);
    cxr_mem_free(base);
    cxr_mem_free(csv);
    return st;
}
