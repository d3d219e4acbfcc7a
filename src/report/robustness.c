/* The figures over perturbed images as a table, as JSON and as a plot. */
#include "base/file.h"
#include "base/mem.h"
#include "draw/draw.h"
#include "eval/figures.h"
#include "report/tables.h"
#include "report/text.h"
#include <math.h>

typedef double interval[2];
/* What a row says; ci95 NULL: it has none. */
typedef struct row {
    const char *name;
    size_t images;
    const double *value;
    const interval *ci95;
} row;

static int row_count(const cxr_robustness *r)
{
    return r->count + 3;
}

static row row_at(const cxr_robustness *r, int i)
{
    const size_t images = r->each[0]->n;
    if (i < r->count) return (row){r->names[i], images, r->each[i]->value, (const interval *)r->each[i]->ci95};
    if (i == r->count) return (row){"mean", images, r->mean, (const interval *)r->mean_ci95};
    if (i == r->count + 1) return (row){"worst", images, r->worst, NULL};
    return (row){"pooled", r->pooled->n, r->pooled->value, (const interval *)r->pooled->ci95};
}

/* ---- Table ---- */

static cxr_status put_table(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const cxr_robustness *r = content;
    (void)fputs("perturbation,images", f);
    for (int m = 0; m < CXR_METRICS; m++) (void)fprintf(f, ",%s", cxr_figure_names[m]);
    for (int m = 0; m < CXR_METRICS; m++) (void)fprintf(f, ",%s_low,%s_high", cxr_figure_names[m], cxr_figure_names[m]);
    (void)fputc('\n', f);
    for (int i = 0; i < row_count(r); i++) {
        const row x = row_at(r, i);
        (void)fprintf(f, "%s,%zu", x.name, x.images);
        for (int m = 0; m < CXR_METRICS; m++) cxr_put_number(f, x.value[m]);
        for (int m = 0; m < 2 * CXR_METRICS; m++) cxr_put_number(f, x.ci95 == NULL ? (double)NAN : x.ci95[m / 2][m % 2]);
        (void)fputc('\n', f);
    }
    return CXR_OK;
}

/* ---- JSON ---- */

static json_t *row_json(const row *x)
{
    json_t *o = json_object(), *ci95 = json_object();
    bool ok = true;
    for (int m = 0; m < CXR_METRICS; m++) {
        ok &= json_object_set_new(o, cxr_figure_names[m], cxr_json_number(x->value[m])) == 0;
        if (x->ci95 != NULL) ok &= json_object_set_new(ci95, cxr_figure_names[m], cxr_json_interval(x->ci95[m])) == 0;
    }
    ok &= json_object_set_new(o, "ci95", x->ci95 == NULL ? json_null() : json_incref(ci95)) == 0;
    json_decref(ci95);
    return cxr_json_whole(o, ok);
}

static json_t *whole(const cxr_robustness *r)
{
    json_t *o = json_object(), *each = json_object();
    bool ok = json_object_set_new(o, "images", json_integer((json_int_t)r->each[0]->n)) == 0;
    ok &= json_object_set_new(o, "threshold", cxr_json_number(r->pooled->threshold)) == 0;
    ok &= json_object_set(o, "perturbations", each) == 0;
    for (int i = 0; i < row_count(r); i++) {
        const row x = row_at(r, i);
        ok &= json_object_set_new(i < r->count ? each : o, x.name, row_json(&x)) == 0;
    }
    json_decref(each);
    return cxr_json_whole(o, ok);
}

/* ---- Plot: a row for each perturbation, a dot for each figure, with its interval ---- */

#define LEFT      150.0
#define WIDTH     420.0
#define TOP       60.0
#define LINE      20.0
#define NAME_FONT ((cxr_font){11.5, false, CXR_INK})

static const struct {
    int figure;
    const char *name;
} shown[] = {{CXR_AUROC, "AUROC"}, {CXR_BALANCED_ACCURACY, "Balanced accuracy"}};
enum { SHOWN = sizeof shown / sizeof *shown };

static cxr_axis value_axis(const cxr_robustness *r)
{
    double lo = 1.0, hi = 0.0;
    for (int k = 0; k < r->count; k++)
        for (int s = 0; s < SHOWN; s++) {
            const double *ci = r->each[k]->ci95[shown[s].figure], value = r->each[k]->value[shown[s].figure];
            lo = fmin(lo, fmin(value, ci[0])); /* of a NaN and a number the number */
            hi = fmax(hi, fmax(value, ci[1]));
        }
    return lo <= hi ? cxr_axis_cover(lo, hi, 6) : cxr_axis_cover(0.0, 1.0, 6);
}

static double row_y(int k)
{
    return TOP + LINE * (k + 0.5);
}

static void draw_row(cairo_t *cr, const cxr_panel *panel, const cxr_robustness *r, int k)
{
    cxr_font font = NAME_FONT;
    font.bold = k == 0;
    cxr_text(cr, font, LEFT - 12.0, row_y(k) + 4.0, 1.0, r->names[k]);
    for (int s = 0; s < SHOWN; s++) {
        const double value = r->each[k]->value[shown[s].figure], *ci = r->each[k]->ci95[shown[s].figure];
        const double up = r->count - k - 0.5 + 0.16 * (s == 0 ? 1.0 : -1.0); /* side by side */
        cxr_pen pen = cxr_pen_of(s);
        pen.dash = 0;
        cxr_panel_line(cr, panel, pen, ci[0], up, ci[1], up);
        if (isfinite(value)) cxr_dot(cr, pen.colour, s > 0, cxr_panel_x(panel, value), cxr_panel_y(panel, up));
    }
}

static void draw_plot(cairo_t *cr, const void *content)
{
    const cxr_robustness *r = content;
    /* a step beyond the axis: the rows have names instead of ticks */
    const cxr_panel panel = {LEFT,
                             TOP,
                             WIDTH,
                             LINE * r->count,
                             value_axis(r),
                             {0.0, r->count, 1.0, 1.0, 0.0},
                             "Perturbed images",
                             "Figure, with its 95 % interval",
                             "",
                             NULL};
    cxr_panel_draw(cr, &panel);
    for (int s = 0; s < SHOWN; s++) {
        const double plain = r->each[0]->value[shown[s].figure];
        cxr_pen faint = cxr_pen_faint();
        faint.colour = cxr_pen_of(s).colour;
        cxr_panel_line(cr, &panel, faint, plain, 0.0, plain, r->count);
        cxr_legend_row(cr, (cxr_pen){cxr_pen_of(s).colour, 0.0, s}, LEFT + 150.0 + 90.0 * s, TOP - 20.0, shown[s].name);
    }
    for (int k = 0; k < r->count; k++) draw_row(cr, &panel, r, k);
}

/* ---- All ---- */

cxr_status cxr_write_robustness(const char *folder, const cxr_robustness *r, cxr_error *err)
{
    cxr_status st = cxr_make_folders(folder, err);
    char *base = cxr_path_join(folder, "robustness"), *table = cxr_path_join(folder, "robustness.csv"),
         *object = cxr_path_join(folder, "robustness.json");
    const cxr_figure fig = {LEFT + WIDTH + 40.0, TOP + LINE * r->count + 56.0, draw_plot, r};
    if (st == CXR_OK && (base == NULL || table == NULL || object == NULL)) st = cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_figure_save(&fig, base, err);
    if (st == CXR_OK) st = cxr_write_text(table, put_table, r, err);
    if (st == CXR_OK) st = cxr_write_json(object, whole(r), err);
    cxr_mem_free(base);
    cxr_mem_free(table);
    cxr_mem_free(object);
    return st;
}
