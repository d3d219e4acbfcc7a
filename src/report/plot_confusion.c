#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "draw/draw.h"
#include "report/plot.h"
#include "report/tables.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LABEL_FONT ((cxr_font){12.0, false, CXR_INK})
#define AXIS_FONT  ((cxr_font){12.5, true, CXR_INK})
#define MAX_LABEL  190.0 /* a longer class name is cut */
#define EDGE       24.0
#define SLANT      (M_PI / 4.0)
#define DEEPEST    ((cxr_colour){0.00, 0.27, 0.50})

typedef struct matrix {
    const uint64_t *counts;
    char **labels; /* class names, cut to MAX_LABEL */
    int n;
    bool shares;  /* of the row instead of counts */
    bool slanted; /* the column labels do not fit side by side */
    double cell, left, top, width, height;
} matrix;

/* The name, or as much of it as fits with an ellipsis; cut between UTF-8 characters. */
static char *fitted(cairo_t *cr, const char *name)
{
    char *text = cxr_mem_printf("%s", name);
    for (size_t len = strlen(name); text != NULL && len > 0 && cxr_text_width(cr, LABEL_FONT, text) > MAX_LABEL;) {
        do len--;
        while (len > 0 && ((unsigned char)name[len] & 0xC0) == 0x80);
        cxr_mem_free(text);
        text = cxr_mem_printf("%.*s…", (int)len, name);
    }
    return text;
}

static void free_labels(matrix *m)
{
    for (int k = 0; m->labels != NULL && k < m->n; k++) cxr_mem_free(m->labels[k]);
    cxr_mem_free(m->labels);
}

/* Places everything from the widths of the labels; needs a context only to measure text with. */
static bool lay_out(matrix *m, cairo_t *cr, const char *const *classes)
{
    double widest = 0.0;
    m->labels = cxr_mem_new((size_t)m->n, sizeof *m->labels);
    for (int k = 0; m->labels != NULL && k < m->n; k++) {
        m->labels[k] = fitted(cr, classes[k]);
        if (m->labels[k] == NULL) return false;
        widest = fmax(widest, cxr_text_width(cr, LABEL_FONT, m->labels[k]));
    }
    m->cell = fmin(fmax(440.0 / m->n, 38.0), 130.0);
    m->slanted = widest > m->cell - 8.0;
    const double below = m->slanted ? widest * sin(SLANT) + 14.0 : 18.0, side = m->cell * m->n;
    m->left = fmax(EDGE + 24.0 + widest + 10.0, m->slanted ? widest * cos(SLANT) - m->cell / 2.0 + EDGE : 0.0);
    m->top = EDGE + 52.0;
    m->width = fmax(m->left + side + EDGE, 340.0);
    m->height = m->top + side + below + 30.0 + EDGE / 2.0;
    return m->labels != NULL;
}

static cxr_colour shade(double share)
{
    const cxr_colour d = DEEPEST;
    return (cxr_colour){1.0 - share * (1.0 - d.r), 1.0 - share * (1.0 - d.g), 1.0 - share * (1.0 - d.b)};
}

/* Dark or white, whichever reads better on it (relative luminance with gamma 2). */
static cxr_colour ink_on(cxr_colour c)
{
    const double luminance = 0.2126 * c.r * c.r + 0.7152 * c.g * c.g + 0.0722 * c.b * c.b;
    return luminance < 0.24 ? (cxr_colour){1.0, 1.0, 1.0} : CXR_INK;
}

static void centred(cairo_t *cr, cxr_font font, double x, double y, double room, const char *text)
{
    const double width = cxr_text_width(cr, font, text);
    if (width > room) font.size *= room / width;
    cxr_text(cr, font, x, y, 0.5, text);
}

static void draw_cell(cairo_t *cr, const matrix *m, int row, int column, uint64_t actual)
{
    const uint64_t count = m->counts[row * m->n + column];
    const double share = actual > 0 ? (double)count / (double)actual : 0.0, c = m->cell;
    const double x = m->left + c * column, y = m->top + c * row, size = fmin(fmax(0.15 * c, 10.5), 18.0);
    const cxr_colour fill = shade(share);
    char amount[32], percent[32];
    cairo_rectangle(cr, x, y, c, c);
    cxr_set_colour(cr, fill);
    cairo_fill(cr);
    const char *lines[2] = {amount, percent};
    (void)snprintf(amount, sizeof amount, "%" PRIu64, count);
    (void)snprintf(percent, sizeof percent, actual > 0 ? "%.1f %%" : "–", 100.0 * share);
    if (m->shares) lines[0] = percent, lines[1] = NULL;
    centred(cr, (cxr_font){size, true, ink_on(fill)}, x + c / 2.0, y + c / 2.0 - 0.05 * size, c - 6.0, lines[0]);
    if (lines[1] != NULL)
        centred(cr, (cxr_font){0.75 * size, false, ink_on(fill)}, x + c / 2.0, y + c / 2.0 + 0.98 * size, c - 6.0, lines[1]);
}

static void draw_grid(cairo_t *cr, const matrix *m)
{
    const double side = m->cell * m->n;
    cxr_set_colour(cr, CXR_RULE);
    cairo_set_line_width(cr, 1.0);
    for (int k = 0; k <= m->n; k++) {
        cairo_move_to(cr, m->left, m->top + m->cell * k);
        cairo_rel_line_to(cr, side, 0.0);
        cairo_move_to(cr, m->left + m->cell * k, m->top);
        cairo_rel_line_to(cr, 0.0, side);
    }
    cairo_stroke(cr);
}

static void draw_labels(cairo_t *cr, const matrix *m)
{
    const double side = m->cell * m->n, bottom = m->top + side;
    for (int k = 0; k < m->n; k++) {
        const double middle = m->cell * (k + 0.5);
        cxr_text(cr, LABEL_FONT, m->left - 10.0, m->top + middle + 4.0, 1.0, m->labels[k]);
        if (m->slanted)
            cxr_text_turned(cr, LABEL_FONT, m->left + middle + 4.0, bottom + 14.0, -SLANT, 1.0, m->labels[k]);
        else
            cxr_text(cr, LABEL_FONT, m->left + middle, bottom + 18.0, 0.5, m->labels[k]);
    }
    cxr_text(cr, AXIS_FONT, m->left + side / 2.0, m->height - EDGE / 2.0 - 4.0, 0.5, "Predicted class");
    cxr_text_turned(cr, AXIS_FONT, EDGE + 8.0, m->top + side / 2.0, -M_PI / 2.0, 0.5, "True class");
}

static void draw_heading(cairo_t *cr, uint64_t right, uint64_t all, bool shares)
{
    char text[96];
    (void)snprintf(text, sizeof text, "%" PRIu64 " images, %.1f %% correct", all,
                   all > 0 ? 100.0 * (double)right / (double)all : 0.0);
    cxr_text(cr, (cxr_font){15.0, true, CXR_INK}, EDGE, EDGE + 12.0, 0.0,
             shares ? "Confusion matrix, shares by row" : "Confusion matrix");
    cxr_text(cr, (cxr_font){11.5, false, CXR_FAINT}, EDGE, EDGE + 31.0, 0.0, text);
}

static void draw_confusion(cairo_t *cr, const void *content)
{
    const matrix *m = content;
    uint64_t all = 0, right = 0;
    for (int i = 0; i < m->n; i++) {
        uint64_t actual = 0;
        for (int j = 0; j < m->n; j++) actual += m->counts[i * m->n + j];
        for (int j = 0; j < m->n; j++) draw_cell(cr, m, i, j, actual);
        all += actual;
        right += m->counts[i * m->n + i];
    }
    draw_grid(cr, m);
    draw_labels(cr, m);
    draw_heading(cr, right, all, m->shares);
}

cxr_status cxr_plot_confusion(const char *base, const uint64_t *counts, const char *const *classes, int n, bool shares,
                              cxr_error *err)
{
    matrix m = {.counts = counts, .n = n, .shares = shares};
    cairo_surface_t *nothing = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 1, 1);
    cairo_t *ruler = cairo_create(nothing);
    const cxr_status st = lay_out(&m, ruler, classes)
                              ? cxr_figure_save(&(cxr_figure){m.width, m.height, draw_confusion, &m}, base, err)
                              : cxr_mem_fail(err, "the confusion matrix");
    free_labels(&m);
    cairo_destroy(ruler);
    cairo_surface_destroy(nothing);
    return st;
}

typedef struct table {
    const cxr_predictions *p;
    const cxr_metrics *m;
} table;

static cxr_status put_matrix(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const table *t = content;
    (void)fputs("true_class", f);
    for (int k = 0; k < t->m->classes; k++) {
        (void)fputc(',', f);
        cxr_csv_put(f, t->p->class_names[k]);
    }
    (void)fputc('\n', f);
    for (int i = 0; i < t->m->classes; i++) {
        cxr_csv_put(f, t->p->class_names[i]);
        for (int k = 0; k < t->m->classes; k++) (void)fprintf(f, ",%" PRIu64, t->m->confusion[i * t->m->classes + k]);
        (void)fputc('\n', f);
    }
    return CXR_OK;
}

cxr_status cxr_write_confusion(const char *folder, const cxr_predictions *p, const cxr_metrics *m, cxr_error *err)
{
    char *base = cxr_path_join(folder, "confusion_matrix"), *csv = cxr_path_join(folder, "confusion_matrix.csv");
    char *shares = cxr_path_join(folder, "confusion_matrix_normalized");
    cxr_status st = base != NULL && csv != NULL && shares != NULL ? CXR_OK : cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_plot_confusion(base, m->confusion, p->class_names, p->classes, false, err);
    if (st == CXR_OK) st = cxr_plot_confusion(shares, m->confusion, p->class_names, p->classes, true, err);
    if (st == CXR_OK) st = cxr_write_text(csv, put_matrix, &(table){p, m}, err);
    cxr_mem_free(base);
    cxr_mem_free(csv);
    cxr_mem_free(shares);
    return st;
}
