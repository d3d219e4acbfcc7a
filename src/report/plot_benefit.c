/* The decision curve: net benefit of the model, of acting on all images and on none. */
#include "base/file.h"
#include "base/mem.h"
#include "draw/draw.h"
#include "report/plot.h"
#include "report/text.h"
#include <math.h>

#define LEFT  70.0
#define TOP   50.0
#define WIDE  440.0
#define HIGH  300.0
#define ROW   18.0
#define BELOW 0.15 /* of the largest benefit: how far below 0 the axis goes, where acting on all falls without end */

static void draw(cairo_t *cr, const void *content)
{
    const cxr_benefit *rows = content;
    double at[CXR_BENEFIT_ROWS], model[CXR_BENEFIT_ROWS], all[CXR_BENEFIT_ROWS], most = 0.01;
    for (int k = 0; k < CXR_BENEFIT_ROWS; k++) {
        at[k] = rows[k].threshold;
        model[k] = rows[k].model;
        all[k] = rows[k].all;
        most = fmax(most, fmax(model[k], all[k]));
    }
    const cxr_panel panel = {.x = LEFT,
                             .y = TOP,
                             .w = WIDE,
                             .h = HIGH,
                             .across = {0.0, 1.0, 0.2, 0.0, 1.0},
                             .up = cxr_axis_cover(-BELOW * most, most, 6),
                             .title = "Decision curve",
                             .across_title = "Probability at which one would just act",
                             .up_unit = "",
                             .up_title = "Net benefit"};
    const double y = TOP + HIGH + 64.0;
    cxr_panel_draw(cr, &panel);
    cairo_save(cr);
    cairo_rectangle(cr, panel.x, panel.y, panel.w, panel.h);
    cairo_clip(cr);
    cxr_panel_line(cr, &panel, cxr_pen_faint(), 0.0, 0.0, 1.0, 0.0);
    cxr_panel_curve(cr, &panel, cxr_pen_of(1), at, all, CXR_BENEFIT_ROWS);
    cxr_panel_curve(cr, &panel, cxr_pen_of(0), at, model, CXR_BENEFIT_ROWS);
    cairo_restore(cr);
    cxr_legend_row(cr, cxr_pen_of(0), LEFT, y, "acting on the model");
    cxr_legend_row(cr, cxr_pen_of(1), LEFT, y + ROW, "acting on all images");
    cxr_legend_row(cr, cxr_pen_faint(), LEFT, y + 2.0 * ROW, "acting on none");
}

static cxr_status put_rows(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const cxr_benefit *rows = content;
    (void)fputs("threshold,model,all,none\n", f);
    for (int k = 0; k < CXR_BENEFIT_ROWS; k++)
        (void)fprintf(f, "%.2f,%.9g,%.9g,0\n", rows[k].threshold, rows[k].model, rows[k].all);
    return CXR_OK;
}

cxr_status cxr_write_benefit(const char *folder, const cxr_benefit *rows, cxr_error *err)
{
    const cxr_figure fig = {WIDE + LEFT + 50.0, TOP + HIGH + 64.0 + 3.0 * ROW, draw, rows};
    char *base = cxr_path_join(folder, "decision_curve"), *csv = cxr_path_join(folder, "decision_curve.csv");
    cxr_status st = base != NULL && csv != NULL ? CXR_OK : cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_figure_save(&fig, base, err);
    if (st == CXR_OK) st = cxr_write_text(csv, put_rows, rows, err);
    cxr_mem_free(base);
    cxr_mem_free(csv);
    return st;
}
