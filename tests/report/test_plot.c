/* The figures read back: PNG by cairo, SVG by expat. Whether they look right is for the eye; that lines, gaps, shades and
 * labels are there is checked here. */
#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "eval/figures.h"
#include "report/folder.h"
#include "report/plot.h"
#include <cairo.h>
#include <dirent.h>
#include <expat.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BLUE      0x0072B2u /* training */
#define VERMILION 0xD55E00u /* validation */

static const char *const two[] = {"NORMAL", "PNEUMONIA"};
static const uint64_t counts[] = {165, 69, 0, 390};

/* Removes what is in the folder and returns how many files that were. */
static int clear(void)
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        n += e->d_name[0] != '.' && unlink(in_folder(e->d_name)) == 0;
    (void)closedir(d);
    return n;
}

static void fill(cxr_epoch *e, int n)
{
    for (int i = 0; i < n; i++)
        e[i] = (cxr_epoch){i + 1, 0.8 - 0.5 * i / n, 0.5 - 0.3 * i / n, 0.6 + 0.3 * i / n, 1e-4, 10.0, 100.0};
}

static cairo_surface_t *png(const char *name)
{
    cairo_surface_t *s = cairo_image_surface_create_from_png(in_folder(name));
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    return s;
}

static uint32_t pixel(cairo_surface_t *s, int x, int y)
{
    uint32_t value;
    memcpy(&value, cairo_image_surface_get_data(s) + (ptrdiff_t)y * cairo_image_surface_get_stride(s) + (ptrdiff_t)x * 4, 4);
    return value & 0xFFFFFFu;
}

/* Pixels of exactly this colour with x0 <= x < x1 below the legend. */
static int coloured(cairo_surface_t *s, int x0, int x1, uint32_t colour)
{
    int n = 0;
    for (int y = 100; y < cairo_image_surface_get_height(s); y++)
        for (int x = x0; x < x1; x++) n += pixel(s, x, y) == colour;
    return n;
}

static void count_glyph(void *user, const XML_Char *name, const XML_Char **attributes)
{
    int *n = user;
    for (; strcmp(name, "use") == 0 && *attributes != NULL; attributes += 2)
        if (strncmp(attributes[1], "#glyph", 6) == 0) ++*n;
}

/* Letters drawn by a well-formed SVG; cairo draws text as outlines, so that it looks alike without the font. */
static int svg_letters(const char *name)
{
    cxr_buf text;
    int n = 0;
    assert_int_equal(cxr_buf_read(&text, in_folder(name), 10000000, NULL), CXR_OK);
    XML_Parser parser = XML_ParserCreate(NULL);
    XML_SetUserData(parser, &n);
    XML_SetElementHandler(parser, count_glyph, NULL);
    assert_int_equal(XML_Parse(parser, (char *)text.data, (int)text.len, 1), XML_STATUS_OK);
    XML_ParserFree(parser);
    cxr_buf_free(&text);
    return n;
}

static const char *const results_labels[] = {"Loss",
                                             "Training",
                                             "Validation",
                                             "lowest: epoch 5",
                                             "0.0",
                                             "0.2",
                                             "0.4",
                                             "0.6",
                                             "0.8",
                                             "1.0",
                                             "1",
                                             "2",
                                             "3",
                                             "4",
                                             "5",
                                             "Epoch",
                                             "Validation accuracy",
                                             "84.0 % at epoch 5",
                                             "60 %",
                                             "65 %",
                                             "70 %",
                                             "75 %",
                                             "80 %",
                                             "85 %",
                                             "1",
                                             "2",
                                             "3",
                                             "4",
                                             "5",
                                             "Epoch"};

static void results_are_drawn(void **state)
{
    (void)state;
    cxr_epoch e[5];
    fill(e, 5);
    assert_int_equal(cxr_plot_results(in_folder("results"), e, 5, NULL), CXR_OK);
    cairo_surface_t *s = png("results.png");
    assert_int_equal(cairo_image_surface_get_width(s), 1920);
    assert_int_equal(cairo_image_surface_get_height(s), 800);
    assert_int_equal(pixel(s, 0, 0), 0xFFFFFF);
    assert_true(coloured(s, 0, 960, BLUE) > 1000);
    assert_true(coloured(s, 0, 960, VERMILION) > 1000);
    assert_true(coloured(s, 960, 1920, VERMILION) > 1000);
    assert_int_equal(coloured(s, 960, 1920, BLUE), 0);
    cairo_surface_destroy(s);
    size_t letters = 0; /* a space is drawn as a letter without ink */
    for (size_t i = 0; i < sizeof results_labels / sizeof *results_labels; i++) letters += strlen(results_labels[i]);
    assert_int_equal(svg_letters("results.svg"), letters);
    assert_int_equal(clear(), 2);
}

static void a_missing_value_is_a_gap(void **state)
{
    (void)state;
    cxr_epoch e[5];
    const int middle = 2 * (66 + 392 / 2); /* where the third of five epochs lies in the left panel */
    fill(e, 5);
    for (int missing = 0; missing < 2; missing++) {
        e[2].val_loss = missing ? (double)NAN : 0.3;
        assert_int_equal(cxr_plot_results(in_folder("results"), e, 5, NULL), CXR_OK);
        cairo_surface_t *s = png("results.png");
        assert_true((coloured(s, middle - 60, middle + 60, VERMILION) == 0) == (missing == 1));
        assert_true(coloured(s, middle - 60, middle + 60, BLUE) > 100);
        cairo_surface_destroy(s);
        assert_int_equal(clear(), 2);
    }
}

static void any_history_can_be_drawn(void **state)
{
    (void)state;
    static cxr_epoch e[1000];
    static const size_t lengths[] = {0, 1, 100, 1000};
    fill(e, 1000);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        assert_int_equal(cxr_plot_results(in_folder("results"), e, lengths[i], NULL), CXR_OK);
    for (int i = 0; i < 3; i++)
        e[i] = (cxr_epoch){.epoch = i + 1, .train_loss = 0.5, .val_loss = (double)NAN, .val_accuracy = 1};
    assert_int_equal(cxr_plot_results(in_folder("results"), e, 3, NULL), CXR_OK); /* equal values, none best */
    e[1].train_loss = 0.4;
    e[2].train_loss = INFINITY;
    e[2].val_loss = 1e300; /* out of any axis: gaps, and the rest keeps its scale */
    assert_int_equal(cxr_plot_results(in_folder("results"), e, 3, NULL), CXR_OK);
    cairo_surface_t *s = png("results.png");
    assert_true(coloured(s, 0, 960, BLUE) > 1000);
    cairo_surface_destroy(s);
    assert_int_equal(clear(), 2);
}

static void confusion_is_shaded_by_row(void **state)
{
    (void)state;
    assert_int_equal(cxr_plot_confusion(in_folder("c"), counts, two, 2, false, NULL), CXR_OK);
    cairo_surface_t *s = png("c.png");
    const int w = cairo_image_surface_get_width(s), right = w - 2 * 24 - 20, left = right - 2 * 130, top = 2 * 76 + 20;
    assert_int_equal(pixel(s, 0, 0), 0xFFFFFF);
    const uint32_t missed = pixel(s, right, top), found = pixel(s, right, top + 2 * 130), none = pixel(s, left, top + 2 * 130);
    assert_int_equal(none, 0xFFFFFF);
    assert_int_equal(found, 0x004580); /* 100 % */
    assert_true((missed >> 16) > 0x40 && (missed >> 16) < 0xF0);
    cairo_surface_destroy(s);
    /* title, counts and shares, class names twice, titles of the axes; then shares alone and another title */
    const size_t labels = strlen("NORMALPNEUMONIA") * 2 + strlen("Predicted classTrue class"),
                 shares = strlen("70.5 %29.5 %0.0 %100.0 %");
    assert_int_equal(svg_letters("c.svg"), strlen("Confusion matrix624 images, 88.9 % correct165690390") + labels + shares);
    assert_int_equal(clear(), 2);
    assert_int_equal(cxr_plot_confusion(in_folder("c"), counts, two, 2, true, NULL), CXR_OK);
    assert_int_equal(svg_letters("c.svg"),
                     strlen("Confusion matrix, shares by row624 images, 88.9 % correct") + labels + shares);
    assert_int_equal(clear(), 2);
}

static void any_number_of_classes_can_be_drawn(void **state)
{
    (void)state;
    static uint64_t many[150 * 150]; /* a row without images is legal */
    static const char *names[150];
    for (int k = 0; k < 150; k++) names[k] = k % 2 ? "a, \"quoted\" and rather long name, Lungenentzündung 肺炎" : "";
    many[0] = UINT64_MAX;
    static const int sizes[] = {2, 20, 150};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(cxr_plot_confusion(in_folder("c"), many, names, sizes[i], i == 1, NULL), CXR_OK);
    assert_int_equal(clear(), 2);
}

static void bad_text_and_places_are_refused(void **state)
{
    (void)state;
    cxr_epoch e[2];
    cxr_error err = {0};
    static const char *const latin1[] = {"ok", "Entz\xFCndung"};
    fill(e, 2);
    assert_int_equal(cxr_plot_confusion(in_folder("c"), counts, latin1, 2, false, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "c.png: a name to be drawn is not UTF-8"));
    assert_int_equal(cxr_plot_confusion(in_folder("none/c"), counts, two, 2, false, &err), CXR_ECREATE);
    assert_non_null(strstr(err.text, "none/c.png: cannot create"));
    assert_int_equal(cxr_plot_results(in_folder("none/r"), e, 2, &err), CXR_ECREATE);
    assert_non_null(strstr(err.text, "none/r.png: cannot create"));
    assert_int_equal(clear(), 0);
}

/* ---- What an evaluation draws ---- */

enum { IMAGES = 60 };
static int labels[IMAGES];
static float probabilities[IMAGES * 3];
static const char *paths[IMAGES];

/* The later classes' scores know less. */
static cxr_predictions predictions(int classes)
{
    static const char *const names[] = {"NORMAL", "PNEUMONIA", "a \"third\", quoted"};
    for (int i = 0; i < IMAGES; i++) {
        float *p = probabilities + (ptrdiff_t)i * classes, sum = 0.0f;
        paths[i] = "x";
        labels[i] = i % classes;
        for (int k = 0; k < classes; k++)
            sum += p[k] = (float)(1 + (i * 7 + k * 11) % 23) / 23.0f + (k == labels[i] ? 1.0f / (float)(k + 1) : 0.0f);
        for (int k = 0; k < classes; k++) p[k] /= sum;
    }
    return (cxr_predictions){IMAGES, classes, names, paths, labels, probabilities};
}

static cxr_metrics *measured(const cxr_predictions *p)
{
    cxr_metrics *m = NULL;
    assert_int_equal(cxr_metrics_compute(&m, p, p->classes == 2 ? 1 : -1, 0.4, NULL), CXR_OK);
    return m;
}

static double number(const cxr_csv *t, size_t row, const char *column)
{
    const int c = cxr_csv_column(t, column);
    assert_true(c >= 0);
    return *t->rows[row][c] == '\0' ? (double)NAN : strtod(t->rows[row][c], NULL);
}

/* The table's own area is the figure: by trapezia of sensitivity, or by steps of precision. */
static double area(const cxr_csv *t, const char *name, bool roc)
{
    double sum = 0.0;
    for (size_t i = 2; i < t->row_count; i++) {
        if (strcmp(t->rows[i][0], name) != 0 || strcmp(t->rows[i - 1][0], name) != 0) continue;
        if (roc)
            sum += (number(t, i, "fpr") - number(t, i - 1, "fpr")) * (number(t, i, "tpr") + number(t, i - 1, "tpr")) / 2.0;
        else
            sum += (number(t, i, "recall") - number(t, i - 1, "recall")) * number(t, i, "precision");
    }
    return sum;
}

#define AREA_TOLERANCE 1e-7 /* sums of 60 products of numbers with nine digits */

static void curves_have_the_area_that_is_measured(void **state)
{
    (void)state;
    for (int classes = 2; classes <= 3; classes++) {
        const cxr_predictions p = predictions(classes);
        cxr_metrics *m = measured(&p);
        assert_int_equal(cxr_write_curves(folder, &p, m, NULL), CXR_OK);
        for (int roc = 0; roc < 2; roc++) {
            cxr_csv t;
            assert_int_equal(cxr_csv_read(&t, in_folder(roc ? "roc.csv" : "pr.csv"), NULL), CXR_OK);
            assert_true(isinf(number(&t, 1, "threshold")));
            for (int k = classes == 2; k < classes; k++) {
                const int f = roc ? CXR_AUROC : CXR_AUPRC;
                const double want = classes == 2 ? m->value[f] : m->per_class[f][k];
                assert_true(fabs(area(&t, p.class_names[k], roc) - want) < AREA_TOLERANCE);
            }
            cxr_csv_free(&t);
        }
        cxr_metrics_free(&m);
        assert_int_equal(clear(), 6);
    }
}

/* The point of the threshold is on the figure, at what it gives, and the curve passes there. */
static void the_threshold_is_marked(void **state)
{
    (void)state;
    const cxr_predictions p = predictions(2);
    cxr_metrics *m = measured(&p);
    assert_int_equal(cxr_write_curves(folder, &p, m, NULL), CXR_OK);
    cairo_surface_t *s = png("roc.png");
    const double x = 70.0 + 380.0 * (1.0 - m->value[CXR_SPECIFICITY]), y = 50.0 + 380.0 * (1.0 - m->value[CXR_SENSITIVITY]);
    assert_int_equal(pixel(s, (int)(2.0 * x), (int)(2.0 * y)), VERMILION);
    assert_true(coloured(s, 0, 1000, BLUE) > 500);
    cairo_surface_destroy(s);
    cxr_metrics_free(&m);
    assert_int_equal(clear(), 6);
}

static void one_class_alone_has_no_curve(void **state)
{
    (void)state;
    cxr_predictions p = predictions(2);
    for (int label = 0; label < 2; label++) {
        for (int i = 0; i < IMAGES; i++) labels[i] = label;
        cxr_metrics *m = measured(&p);
        assert_int_equal(cxr_write_curves(folder, &p, m, NULL), CXR_OK);
        cxr_csv t;
        assert_int_equal(cxr_csv_read(&t, in_folder("roc.csv"), NULL), CXR_OK);
        assert_true(isnan(number(&t, 2, label == 1 ? "fpr" : "tpr")) && isfinite(number(&t, 2, label == 1 ? "tpr" : "fpr")));
        cxr_csv_free(&t);
        cairo_surface_t *s = png("roc.png");
        assert_true(coloured(s, 140, 900, BLUE) < 600); /* the legend's piece alone */
        cairo_surface_destroy(s);
        cxr_metrics_free(&m);
        assert_int_equal(clear(), 6);
    }
}

static void the_matrix_is_a_table(void **state)
{
    (void)state;
    const cxr_predictions p = predictions(3);
    cxr_metrics *m = measured(&p);
    assert_int_equal(cxr_write_confusion(folder, &p, m, NULL), CXR_OK);
    cxr_csv t;
    assert_int_equal(cxr_csv_read(&t, in_folder("confusion_matrix.csv"), NULL), CXR_OK);
    assert_int_equal(t.row_count, 4);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(t.rows[i + 1][0], p.class_names[i]);
        for (int k = 0; k < 3; k++) assert_true(number(&t, (size_t)i + 1, p.class_names[k]) == (double)m->confusion[i * 3 + k]);
    }
    cxr_csv_free(&t);
    cxr_metrics_free(&m);
    assert_int_equal(clear(), 5);
}

static cxr_status draw(int which, const cxr_predictions *p, const cxr_metrics *m)
{
    cxr_epoch e[2];
    fill(e, 2);
    if (which == 0) return cxr_plot_results(in_folder("f"), e, 2, NULL);
    if (which == 1) return cxr_plot_confusion(in_folder("f"), counts, two, 2, false, NULL);
    return cxr_write_curves(folder, p, m, NULL);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    static const char *const finished[] = {"f.png", "f.svg", "roc.png", "roc.svg", "roc.csv", "pr.png", "pr.svg", "pr.csv"};
    const cxr_predictions p = predictions(3);
    cxr_metrics *m = measured(&p);
    for (int which = 0; which < 3; which++) {
        bool fired = true;
        for (long n = 0; fired; n++) {
            cxr_mem_fail_at(n);
            const cxr_status st = draw(which, &p, m);
            fired = cxr_mem_fail_fired();
            cxr_mem_fail_at(-1);
            assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
            /* Whole files may stay: the last allocation of each comes after its rename. */
            for (size_t i = 0; i < sizeof finished / sizeof *finished; i++) (void)unlink(in_folder(finished[i]));
            assert_int_equal(clear(), 0); /* no temporary file */
        }
    }
    cxr_metrics_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_drawn),
        cmocka_unit_test(a_missing_value_is_a_gap),
        cmocka_unit_test(any_history_can_be_drawn),
        cmocka_unit_test(confusion_is_shaded_by_row),
        cmocka_unit_test(any_number_of_classes_can_be_drawn),
        cmocka_unit_test(bad_text_and_places_are_refused),
        cmocka_unit_test(curves_have_the_area_that_is_measured),
        cmocka_unit_test(the_threshold_is_marked),
        cmocka_unit_test(one_class_alone_has_no_curve),
        cmocka_unit_test(the_matrix_is_a_table),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
