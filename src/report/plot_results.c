#include "draw/draw.h"
#include "report/plot.h"
#include <math.h>
#include <stdio.h>

#define LEGEND_FONT ((cxr_font){11.5, false, CXR_INK})
#define MAX_MARKERS 25   /* on a line; more would hide it */
#define LARGEST     1e30 /* drawn; a loss beyond it is a gap like NaN */

typedef struct series {
    const char *name;
    double (*of)(const cxr_epoch *e);
    cxr_colour colour; /* Okabe and Ito's palette: told apart by colour-blind readers, and by dash and marker in grey */
    bool validation;   /* dashed, square markers; else solid, round ones */
} series;

typedef struct history {
    const cxr_epoch *epochs;
    size_t count;
    const cxr_epoch *best; /* lowest validation loss, the first of equals; NULL: none */
} history;

static double train_loss(const cxr_epoch *e)
{
    return e->train_loss;
}

static double val_loss(const cxr_epoch *e)
{
    return e->val_loss;
}

static double val_percent(const cxr_epoch *e)
{
    return 100.0 * e->val_accuracy;
}

static const series losses[] = {
    {"Training", train_loss, {0.000, 0.447, 0.698}, false},
    {"Validation", val_loss, {0.835, 0.369, 0.000}, true},
};
static const series accuracy = {"Validation", val_percent, {0.835, 0.369, 0.000}, true};

static bool drawable(double x)
{
    return fabs(x) <= LARGEST; /* false for NaN */
}

static void set_pen(cairo_t *cr, const series *s)
{
    cxr_set_colour(cr, s->colour);
    cairo_set_line_width(cr, 2.0);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(cr, (const double[]){5.0, 1.8}, s->validation ? 2 : 0, 0.0);
}

/* A line from point to point, broken where a value is missing. */
static void draw_line(cairo_t *cr, const cxr_panel *p, const series *s, const history *h)
{
    bool joined = false;
    set_pen(cr, s);
    cairo_new_path(cr);
    for (size_t i = 0; i < h->count; i++) {
        const double value = s->of(&h->epochs[i]), x = cxr_panel_x(p, h->epochs[i].epoch);
        if (drawable(value)) (joined ? cairo_line_to : cairo_move_to)(cr, x, cxr_panel_y(p, value));
        joined = drawable(value);
    }
    cairo_stroke(cr);
    cairo_set_dash(cr, NULL, 0, 0.0);
}

/* Markers at even distances, and wherever no line shows the point. */
static void draw_markers(cairo_t *cr, const cxr_panel *p, const series *s, const history *h)
{
    const size_t every = h->count / MAX_MARKERS + 1;
    for (size_t i = 0; i < h->count; i++) {
        const double value = s->of(&h->epochs[i]);
        const bool alone =
            (i == 0 || !drawable(s->of(&h->epochs[i - 1]))) && (i + 1 == h->count || !drawable(s->of(&h->epochs[i + 1])));
        const bool wanted = i % every == 0 || alone || (s->validation && &h->epochs[i] == h->best);
        if (drawable(value) && wanted)
            cxr_dot(cr, s->colour, s->validation, cxr_panel_x(p, h->epochs[i].epoch), cxr_panel_y(p, value));
    }
}

static void dotted(cairo_t *cr, double x0, double y0, double x1, double y1)
{
    cxr_set_colour(cr, CXR_FAINT);
    cairo_set_line_width(cr, 1.4);
    cairo_set_dash(cr, (const double[]){1.5, 3.0}, 2, 0.0);
    cairo_move_to(cr, x0, y0);
    cairo_line_to(cr, x1, y1);
    cairo_stroke(cr);
    cairo_set_dash(cr, NULL, 0, 0.0);
}

/* Entries are set from the right; each returns where the next one ends. */
static double legend_best(cairo_t *cr, double right, double y, const char *text)
{
    const double left = right - cxr_text_width(cr, LEGEND_FONT, text) - 12.0;
    cxr_text(cr, LEGEND_FONT, right, y, 1.0, text);
    dotted(cr, left, y + 2.0, left, y - 10.0);
    return left - 16.0;
}

static double legend_series(cairo_t *cr, double right, double y, const series *s)
{
    const double left = right - cxr_text_width(cr, LEGEND_FONT, s->name) - 36.0;
    cxr_text(cr, LEGEND_FONT, right, y, 1.0, s->name);
    set_pen(cr, s);
    cairo_move_to(cr, left, y - 4.0);
    cairo_line_to(cr, left + 30.0, y - 4.0);
    cairo_stroke(cr);
    cairo_set_dash(cr, NULL, 0, 0.0);
    cxr_dot(cr, s->colour, s->validation, left + 15.0, y - 4.0);
    return left - 16.0;
}

static bool range(const history *h, const series *s, size_t n, double *lo, double *hi)
{
    *lo = INFINITY;
    *hi = -INFINITY;
    for (size_t i = 0; i < h->count; i++)
        for (size_t k = 0; k < n; k++) {
            const double value = s[k].of(&h->epochs[i]);
            if (!drawable(value)) continue;
            *lo = fmin(*lo, value);
            *hi = fmax(*hi, value);
        }
    return *lo <= *hi;
}

static cxr_axis loss_axis(const history *h)
{
    double lo, hi;
    if (!range(h, losses, 2, &lo, &hi)) return cxr_axis_cover(0.0, 1.0, 6);
    const double margin = 0.04 * (hi - lo);
    if (lo >= 0.0 && lo < 0.5 * hi)
        lo = 0.0; /* near enough that zero costs little room and shows proportions */
    else
        lo -= margin;
    return cxr_axis_cover(lo, hi + margin, 6);
}

static cxr_axis percent_axis(const history *h)
{
    double lo, hi;
    if (!range(h, &accuracy, 1, &lo, &hi)) return cxr_axis_cover(0.0, 100.0, 5);
    if (hi - lo < 5.0) { /* noise of a point or two must not look like progress */
        lo = fmax(0.0, lo - 2.5);
        hi = fmin(100.0, hi + 2.5);
    }
    return cxr_axis_cover(lo, hi, 6);
}

static void draw_curves(cairo_t *cr, const cxr_panel *p, const series *s, size_t n, const history *h)
{
    cxr_panel_draw(cr, p);
    if (h->best != NULL) {
        const double x = cxr_panel_x(p, h->best->epoch);
        dotted(cr, x, p->y, x, p->y + p->h);
    }
    for (size_t k = 0; k < n; k++) draw_line(cr, p, &s[k], h);
    for (size_t k = 0; k < n; k++) draw_markers(cr, p, &s[k], h);
    if (h->count == 0)
        cxr_text(cr, (cxr_font){12.0, false, CXR_FAINT}, p->x + p->w / 2.0, p->y + p->h / 2.0, 0.5, "no epoch finished yet");
}

static void draw_loss(cairo_t *cr, const history *h, cxr_axis across)
{
    const cxr_panel p = {66.0, 56.0, 392.0, 288.0, across, loss_axis(h), "Loss", "Epoch", "", NULL};
    double right = p.x + p.w;
    draw_curves(cr, &p, losses, 2, h);
    if (h->best != NULL) {
        char text[64];
        (void)snprintf(text, sizeof text, "lowest: epoch %d", h->best->epoch);
        right = legend_best(cr, right, p.y - 20.0, text);
    }
    right = legend_series(cr, right, p.y - 20.0, &losses[1]);
    (void)legend_series(cr, right, p.y - 20.0, &losses[0]);
}

static void draw_accuracy(cairo_t *cr, const history *h, cxr_axis across)
{
    const cxr_panel p = {544.0, 56.0, 392.0, 288.0, across, percent_axis(h), "Validation accuracy", "Epoch", " %", NULL};
    draw_curves(cr, &p, &accuracy, 1, h);
    if (h->best == NULL || !drawable(h->best->val_accuracy)) return;
    char text[96];
    (void)snprintf(text, sizeof text, "%.1f %% at epoch %d", val_percent(h->best), h->best->epoch);
    (void)legend_best(cr, p.x + p.w, p.y - 20.0, text);
}

static void draw_results(cairo_t *cr, const void *content)
{
    const history *h = content;
    const bool some = h->count > 0;
    const cxr_axis across = cxr_axis_count(some ? h->epochs[0].epoch : 1, some ? h->epochs[h->count - 1].epoch : 5, 8);
    draw_loss(cr, h, across);
    draw_accuracy(cr, h, across);
}

static const cxr_epoch *lowest_val_loss(const cxr_epoch *epochs, size_t count)
{
    const cxr_epoch *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (drawable(epochs[i].val_loss) && (best == NULL || epochs[i].val_loss < best->val_loss)) best = &epochs[i];
    return best;
}

cxr_status cxr_plot_results(const char *base, const cxr_epoch *epochs, size_t count, cxr_error *err)
{
    const history h = {epochs, count, lowest_val_loss(epochs, count)};
    return cxr_figure_save(&(cxr_figure){960.0, 400.0, draw_results, &h}, base, err);
}
