/* The curves of all thresholds, one or one per class in a panel, with the model's own threshold on them. */
#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "draw/draw.h"
#include "eval/curves.h"
#include "report/plot.h"
#include "report/tables.h"
#include <math.h>

#define LEFT     70.0
#define TOP      50.0
#define SIDE     380.0
#define ROW      18.0 /* of the legend */
#define MOST     30   /* classes drawn; the table has them all */
#define NOT_FONT ((cxr_font){12.0, false, CXR_FAINT})
#define CURVE_OF ((cxr_font){11.5, true, CXR_INK})

/* What tells one kind of curve from the other. */
typedef struct kind {
    const char *file, *columns, *title, *across, *up, *area;
    bool roc;
    int figure;           /* of the curve, an index of metrics */
    int decided[2];       /* the two figures that the threshold decides */
    const char *names[2]; /* of these */
} kind;

static const kind roc = {"roc",
                         "fpr,tpr",
                         "ROC curve",
                         "1 - specificity",
                         "Sensitivity",
                         "AUROC",
                         true,
                         CXR_AUROC,
                         {CXR_SENSITIVITY, CXR_SPECIFICITY},
                         {"sensitivity", "specificity"}};
static const kind pr = {"pr",      "precision,recall",         "Precision and recall", "Recall", "Precision", "AUPRC", false,
                        CXR_AUPRC, {CXR_PPV, CXR_SENSITIVITY}, {"precision", "recall"}};

typedef struct curves {
    const kind *of;
    cxr_curve *each;
    double *across, *up; /* as many as the longest curve has points, twice: what is being drawn */
    int count;           /* two classes: 1 */
    const cxr_predictions *p;
    const cxr_metrics *m;
} curves;

static const char *class_name(const curves *c, int k)
{
    return c->p->class_names[c->m->positive >= 0 ? c->m->positive : k];
}

/* ---- Figure ---- */

/* The ROC's points are joined. Precision between two points is the later one's, as the average precision takes it. */
static size_t lay_points(const curves *c, const cxr_curve *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->count; i++) {
        if (!c->of->roc && i > 0) {
            c->across[n] = k->tpr[i - 1];
            c->up[n++] = k->precision[i];
        }
        if (!c->of->roc && i == 0) continue;
        c->across[n] = c->of->roc ? k->fpr[i] : k->tpr[i];
        c->up[n++] = c->of->roc ? k->tpr[i] : k->precision[i];
    }
    return n;
}

/* What a score without information gives: the diagonal; the share of positives. */
static void draw_chance(cairo_t *cr, const cxr_panel *panel, const curves *c)
{
    if (c->of->roc) {
        cxr_panel_line(cr, panel, cxr_pen_faint(), 0.0, 0.0, 1.0, 1.0);
    } else if (c->m->positive >= 0) {
        const uint64_t *row = c->m->confusion + c->m->positive * c->m->classes;
        const double share = (double)(row[0] + row[1]) / (double)c->m->n;
        cxr_panel_line(cr, panel, cxr_pen_faint(), 0.0, share, 1.0, share);
    }
}

static double legend_area(cairo_t *cr, const curves *c, int k, double y)
{
    const int f = c->of->figure;
    const double value = c->m->per_class[f] != NULL ? c->m->per_class[f][k] : c->m->value[f];
    const double *ci = c->m->ci95[f];
    char text[128] = "not defined";
    if (isfinite(value) && c->m->positive >= 0 && isfinite(ci[0]))
        (void)snprintf(text, sizeof text, "%s %.4f (95 %% CI %.4f to %.4f)", c->of->area, value, ci[0], ci[1]);
    else if (isfinite(value))
        (void)snprintf(text, sizeof text, "%s %.4f", c->of->area, value);
    cxr_legend_row(cr, cxr_pen_of(k), LEFT, y, text);
    cxr_text(cr, CURVE_OF, LEFT + 46.0 + cxr_text_width(cr, (cxr_font){11.5, false, CXR_INK}, text), y, 0.0, class_name(c, k));
    return y + ROW;
}

/* Two classes: where the model decides. */
static double draw_threshold(cairo_t *cr, const cxr_panel *panel, const curves *c, double y)
{
    const double first = c->m->value[c->of->decided[0]], second = c->m->value[c->of->decided[1]];
    if (c->m->positive < 0 || !isfinite(first) || !isfinite(second)) return y;
    const double x = c->of->roc ? 1.0 - second : second;
    char text[128];
    (void)snprintf(text, sizeof text, "threshold %.4g: %s %.4f, %s %.4f", c->m->threshold, c->of->names[0], first,
                   c->of->names[1], second);
    cxr_dot(cr, cxr_pen_of(1).colour, true, cxr_panel_x(panel, x), cxr_panel_y(panel, first));
    cxr_legend_row(cr, (cxr_pen){cxr_pen_of(1).colour, 0.0, 1}, LEFT, y, text);
    return y + ROW;
}

static int drawn(const curves *c)
{
    return c->count < MOST ? c->count : MOST;
}

static void draw_curves(cairo_t *cr, const void *content)
{
    const curves *c = content;
    const cxr_axis unit = {0.0, 1.0, 0.2, 0.0, 1.0};
    const cxr_panel panel = {LEFT, TOP, SIDE, SIDE, unit, unit, c->of->title, c->of->across, "", c->of->up};
    double y = TOP + SIDE + 64.0;
    bool any = false;
    cxr_panel_draw(cr, &panel);
    draw_chance(cr, &panel, c);
    for (int k = 0; k < drawn(c); k++) {
        const size_t n = lay_points(c, &c->each[k]);
        cxr_panel_curve(cr, &panel, cxr_pen_of(k), c->across, c->up, n);
        any |= n > 0 && isfinite(c->across[n - 1]) && isfinite(c->up[n - 1]);
        y = legend_area(cr, c, k, y);
    }
    if (!any) cxr_text(cr, NOT_FONT, LEFT + SIDE / 2.0, TOP + SIDE / 2.0, 0.5, "not defined: the images are of one class");
    y = draw_threshold(cr, &panel, c, y);
    if (drawn(c) < c->count) {
        char text[64];
        (void)snprintf(text, sizeof text, "and %d more in %s.csv", c->count - drawn(c), c->of->file);
        cxr_text(cr, NOT_FONT, LEFT + 38.0, y, 0.0, text);
    }
}

/* ---- Table ---- */

static void put_number(FILE *f, double x)
{
    (void)fputc(',', f);
    if (!isnan(x)) (void)fprintf(f, "%.9g", x);
}

static cxr_status put_curves(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const curves *c = content;
    (void)fprintf(f, "class,threshold,%s\n", c->of->columns);
    for (int k = 0; k < c->count; k++) {
        const cxr_curve *curve = &c->each[k];
        for (size_t i = 0; i < curve->count; i++) {
            cxr_csv_put(f, class_name(c, k));
            put_number(f, curve->threshold[i]);
            put_number(f, c->of->roc ? curve->fpr[i] : curve->precision[i]);
            put_number(f, curve->tpr[i]);
            (void)fputc('\n', f);
        }
    }
    return CXR_OK;
}

/* ---- Both ---- */

static cxr_status write_kind(curves *c, const kind *of, const char *folder, cxr_error *err)
{
    c->of = of;
    char *base = cxr_path_join(folder, of->file), *csv = base == NULL ? NULL : cxr_mem_printf("%s.csv", base);
    cxr_status st = csv != NULL ? CXR_OK : cxr_mem_fail(err, "a file name");
    const cxr_figure fig = {SIDE + LEFT + 50.0, TOP + SIDE + 62.0 + ROW * (drawn(c) + 2), draw_curves, c};
    if (st == CXR_OK) st = cxr_figure_save(&fig, base, err);
    if (st == CXR_OK) st = cxr_write_text(csv, put_curves, c, err);
    cxr_mem_free(base);
    cxr_mem_free(csv);
    return st;
}

static cxr_status open_curves(curves *c, const cxr_predictions *p, const cxr_metrics *m, cxr_error *err)
{
    cxr_figures t = {0};
    size_t longest = 0;
    *c = (curves){.p = p, .m = m};
    cxr_status st = cxr_figures_open(&t, p, m->positive, m->threshold, err);
    if (st == CXR_OK) {
        c->each = cxr_mem_new((size_t)t.rankings, sizeof *c->each);
        if (c->each == NULL) st = cxr_mem_fail(err, "the curves");
    }
    for (; st == CXR_OK && c->count < t.rankings; c->count++) {
        st = cxr_curve_open(&c->each[c->count], t.ranked + (size_t)c->count * p->n, p->n, err);
        if (c->each[c->count].count > longest) longest = c->each[c->count].count;
    }
    cxr_figures_close(&t);
    if (st != CXR_OK) return st;
    c->across = cxr_mem_new(2 * longest, sizeof *c->across);
    c->up = cxr_mem_new(2 * longest, sizeof *c->up);
    return c->across != NULL && c->up != NULL ? CXR_OK : cxr_mem_fail(err, "the curves");
}

cxr_status cxr_write_curves(const char *folder, const cxr_predictions *p, const cxr_metrics *m, cxr_error *err)
{
    curves c;
    cxr_status st = open_curves(&c, p, m, err);
    if (st == CXR_OK) st = write_kind(&c, &roc, folder, err);
    if (st == CXR_OK) st = write_kind(&c, &pr, folder, err);
    for (int k = 0; k < c.count; k++) cxr_curve_close(&c.each[k]);
    cxr_mem_free(c.each);
    cxr_mem_free(c.across);
    cxr_mem_free(c.up);
    return st;
}
