/* The tables of a run folder, read back by jansson and by the CSV reader, with names that need quoting. */
#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "eval/points.h"
#include "report/folder.h"
#include "report/tables.h"
#include <dirent.h>
#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const awkward[] = {"a,b", "say \"x\"", "Lungenentzündung 肺炎"};

static int entries(void)
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static const cxr_predictions three_classes = {
    .n = 3,
    .classes = 3,
    .class_names = awkward,
    .path = (const char *[]){"x/1.jpg", "x/2, \"final\".jpg", "x/\xC3\xA9.jpg"},
    .label = (int[]){0, 1, 1},
    .probability = (float[]){0.7f, 0.2f, 0.1f, 0.25f, 0.5f, 0.25f, 0.1f, 0.333333343f, 1e-10f},
};
static const cxr_predictions two_classes = {
    .n = 2,
    .classes = 2,
    .class_names = awkward,
    .path = (const char *[]){"1", "2"},
    .label = (int[]){0, 1},
    .probability = (float[]){0.75f, 0.25f, 0.625f, 0.375f},
};

static const cxr_epoch epochs[] = {
    {1, 0.69314718056, 0.7, 0.5, 1e-4, 12.3456, 123.456789},
    {2, (double)NAN, 1.0 / 3.0, 0.8125, 1e-15, 0.0005, 1e6},
};

static double cell(const cxr_csv *csv, size_t row, const char *column)
{
    const int c = cxr_csv_column(csv, column);
    assert_true(c >= 0);
    char *end;
    const double x = strtod(csv->rows[row][c], &end);
    assert_true(*end == '\0' && end != csv->rows[row][c]);
    return x;
}

static void results_hold_every_epoch(void **state)
{
    (void)state;
    const char *path = in_folder("results.csv");
    cxr_csv csv;
    assert_int_equal(cxr_write_results(path, epochs, 2, NULL), CXR_OK);
    assert_int_equal(cxr_csv_read(&csv, path, NULL), CXR_OK);
    static const char *const header[] = {"epoch", "train_loss", "val_loss",         "val_accuracy",
                                         "lr",    "seconds",    "images_per_second"};
    assert_int_equal(csv.columns, 7);
    for (size_t i = 0; i < 7; i++) assert_string_equal(csv.rows[0][i], header[i]);
    assert_int_equal(csv.row_count, 3);
    assert_true(cell(&csv, 2, "epoch") == 2.0);
    assert_true(isnan(cell(&csv, 2, "train_loss")));
    assert_true(fabs(cell(&csv, 2, "val_loss") - 1.0 / 3.0) < 1e-9); /* %.9g */
    assert_true(cell(&csv, 2, "lr") == 1e-15);
    assert_string_equal(csv.rows[1][5], "12.346");
    assert_string_equal(csv.rows[1][6], "123.456789");
    cxr_csv_free(&csv);
    assert_int_equal(unlink(path), 0);
}

static void predictions_survive_awkward_names(void **state)
{
    (void)state;
    const char *path = in_folder("predictions.csv");
    const cxr_predictions *p = &three_classes;
    cxr_csv csv;
    assert_int_equal(cxr_write_predictions(path, p, (const char *[]){"u", "v,w", "u"}, -1, 0.5, NULL), CXR_OK);
    assert_int_equal(cxr_csv_read(&csv, path, NULL), CXR_OK);
    assert_int_equal(csv.row_count, 4);
    assert_int_equal(csv.columns, 7);
    assert_string_equal(csv.rows[0][0], "path");
    assert_string_equal(csv.rows[0][1], "label");
    assert_string_equal(csv.rows[0][2], "prediction");
    assert_string_equal(csv.rows[0][3], "probability_a,b");
    assert_string_equal(csv.rows[0][4], "probability_say \"x\"");
    assert_string_equal(csv.rows[0][5], "probability_Lungenentzündung 肺炎");
    for (size_t i = 0; i < p->n; i++) {
        assert_string_equal(csv.rows[i + 1][0], p->path[i]);
        assert_string_equal(csv.rows[i + 1][1], awkward[p->label[i]]);
        for (size_t k = 0; k < 3; k++) assert_true(strtof(csv.rows[i + 1][3 + k], NULL) == p->probability[i * 3 + k]);
    }
    assert_string_equal(csv.rows[0][6], "group");
    assert_string_equal(csv.rows[2][6], "v,w");
    assert_string_equal(csv.rows[1][2], "a,b");
    assert_string_equal(csv.rows[2][2], "say \"x\"");
    cxr_csv_free(&csv);
    assert_int_equal(unlink(path), 0);
}

static void predictions_follow_the_threshold(void **state)
{
    (void)state;
    const char *path = in_folder("predictions.csv");
    cxr_csv csv;
    assert_int_equal(cxr_write_predictions(path, &two_classes, NULL, 1, 0.375, NULL), CXR_OK);
    assert_int_equal(cxr_csv_read(&csv, path, NULL), CXR_OK);
    assert_string_equal(csv.rows[1][2], awkward[0]);
    assert_string_equal(csv.rows[2][2], awkward[1]);
    cxr_csv_free(&csv);
    assert_int_equal(unlink(path), 0);
}

/* Compares a number of the file with the figure that was written, exactly: 17 digits hold a double. */
static bool same(const json_t *got, double want)
{
    return isnan(want) ? json_is_null(got) : json_is_real(got) && json_real_value(got) == want;
}

static const cxr_reliability reliable = {.brier = 0.1,
                                         .reliability = 0.2,
                                         .resolution = 0.3,
                                         .uncertainty = 0.4,
                                         .within_bin_variance = 0.5,
                                         .within_bin_covariance = 0.6,
                                         .slope = 0.7,
                                         .slope_ci95 = {0.65, 0.75},
                                         .intercept = (double)NAN,
                                         .intercept_ci95 = {(double)NAN, (double)NAN}};

static json_t *written(const cxr_predictions *p, int positive, cxr_metrics **m)
{
    const char *path = in_folder("metrics.json");
    assert_int_equal(cxr_metrics_compute(m, p, positive, 0.5, NULL), CXR_OK);
    assert_int_equal(cxr_metrics_intervals(*m, p, NULL, 1, NULL), CXR_OK);
    cxr_points_measure(*m, p, 0.125, (double)NAN, 0.25);
    assert_int_equal(
        cxr_write_metrics(path, *m, positive >= 0 ? &reliable : NULL, p->class_names, json_pack("{s:i}", "more", 7), NULL),
        CXR_OK);
    json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_int_equal(unlink(path), 0);
    return o;
}

/* null where either end is undefined. */
static bool same_interval(const json_t *got, const double ci[2])
{
    if (isnan(ci[0])) return json_is_null(got);
    return json_array_size(got) == 2 && same(json_array_get(got, 0), ci[0]) && same(json_array_get(got, 1), ci[1]);
}

static void check_shared_keys(const json_t *o, const cxr_metrics *m)
{
    assert_int_equal(json_object_size(o), CXR_METRICS + 9);
    assert_int_equal(json_integer_value(json_object_get(o, "n")), m->n);
    assert_int_equal(json_integer_value(json_object_get(o, "more")), 7);
    assert_true(same(json_object_get(o, "threshold"), 0.5));
    const json_t *classes = json_object_get(o, "classes"), *rows = json_object_get(o, "confusion");
    assert_int_equal(json_array_size(classes), m->classes);
    assert_int_equal(json_array_size(rows), m->classes);
    for (size_t i = 0; i < (size_t)m->classes; i++) {
        assert_string_equal(json_string_value(json_array_get(classes, i)), awkward[i]);
        for (size_t j = 0; j < (size_t)m->classes; j++) {
            const json_t *count = json_array_get(json_array_get(rows, i), j);
            assert_true(json_is_integer(count));
            assert_int_equal(json_integer_value(count), m->confusion[i * (size_t)m->classes + j]);
        }
    }
    for (int f = 0; f < CXR_METRICS; f++) {
        assert_true(same(json_object_get(json_object_get(o, m->names[f]), "value"), m->value[f]));
        assert_true(same_interval(json_object_get(json_object_get(o, m->names[f]), "ci95"), m->ci95[f]));
    }
}

static void check_points(const json_t *o, const cxr_metrics *m)
{
    const json_t *all = json_object_get(o, "operating_points");
    assert_true(same(json_object_get(o, "prevalence"), 0.25));
    assert_int_equal(json_object_size(all), 2);
    for (int i = 0; i < 2; i++) {
        const json_t *point = json_object_get(all, i == 0 ? "balanced" : "rule_out");
        assert_true(same(json_object_get(point, "threshold"), i == 0 ? 0.5 : 0.125));
        for (int f = 0; f < CXR_POINT_FIGURES; f++) {
            const json_t *figure = json_object_get(point, m->point_figures[f]);
            assert_true(same(json_object_get(figure, "value"), m->points[i].value[f]));
            assert_true(same_interval(json_object_get(figure, "ci95"), m->points[i].ci95[f]));
        }
    }
}

static void metrics_of_two_classes(void **state)
{
    (void)state;
    cxr_metrics *m;
    json_t *o = written(&two_classes, 1, &m);
    check_shared_keys(o, m);
    assert_string_equal(json_string_value(json_object_get(o, "positive_class")), awkward[1]);
    assert_true(json_is_null(json_object_get(json_object_get(o, "ppv"), "value"))); /* never predicted */
    assert_int_equal(json_object_size(json_object_get(o, "auroc")), 2);
    check_points(o, m);
    const json_t *c = json_object_get(o, "calibration"), *slope = json_object_get(c, "slope");
    static const char *const parts[] = {"brier",       "reliability",         "resolution",
                                        "uncertainty", "within_bin_variance", "within_bin_covariance"};
    for (size_t i = 0; i < 6; i++) assert_true(same(json_object_get(c, parts[i]), (&reliable.brier)[i]));
    assert_true(same(json_object_get(slope, "value"), 0.7) &&
                same_interval(json_object_get(slope, "ci95"), reliable.slope_ci95));
    assert_true(json_is_null(json_object_get(json_object_get(c, "intercept"), "value")));
    json_decref(o);
    cxr_metrics_free(&m);
}

static void metrics_of_three_classes(void **state)
{
    (void)state;
    cxr_metrics *m;
    json_t *o = written(&three_classes, -1, &m);
    check_shared_keys(o, m);
    assert_true(json_is_null(json_object_get(o, "positive_class")));
    assert_int_equal(json_object_size(json_object_get(o, "operating_points")), 0);
    assert_true(json_is_null(json_object_get(o, "calibration")));
    for (int f = 0; f < CXR_METRICS; f++) {
        const json_t *each = json_object_get(json_object_get(o, m->names[f]), "per_class");
        assert_true((each != NULL) == (m->per_class[f] != NULL));
        assert_int_equal(json_object_size(each), m->per_class[f] != NULL ? 3 : 0);
        for (int k = 0; each != NULL && k < 3; k++) assert_true(same(json_object_get(each, awkward[k]), m->per_class[f][k]));
        const json_t *ends = json_object_get(json_object_get(o, m->names[f]), "per_class_ci95");
        for (int k = 0; each != NULL && k < 3; k++)
            assert_true(same_interval(json_object_get(ends, awkward[k]), m->per_class_ci95[f][k]));
    }
    json_decref(o);
    cxr_metrics_free(&m);
}

static void a_name_that_is_not_utf8_is_refused(void **state)
{
    (void)state;
    cxr_metrics *m;
    cxr_error err = {0};
    static const char *const latin1[] = {"ok", "Entz\xFCndung"};
    const char *path = in_folder("metrics.json");
    assert_int_equal(cxr_metrics_compute(&m, &two_classes, 1, 0.5, NULL), CXR_OK);
    assert_int_equal(cxr_write_metrics(path, m, NULL, latin1, json_object(), &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "metrics.json"));
    assert_non_null(strstr(err.text, "UTF-8"));
    assert_int_equal(entries(), 0);
    cxr_metrics_free(&m);
}

static cxr_status write_nth(int which, const char *path, const cxr_metrics *m, cxr_error *err)
{
    if (which == 0) return cxr_write_results(path, epochs, 2, err);
    if (which == 1) return cxr_write_predictions(path, &three_classes, NULL, -1, 0.5, err);
    return cxr_write_metrics(path, m, NULL, awkward, json_object(), err);
}

static void a_missing_folder_cannot_be_created_in(void **state)
{
    (void)state;
    cxr_metrics *m;
    assert_int_equal(cxr_metrics_compute(&m, &three_classes, -1, 0.5, NULL), CXR_OK);
    for (int which = 0; which < 3; which++) {
        cxr_error err = {0};
        assert_int_equal(write_nth(which, in_folder("none/x"), m, &err), CXR_ECREATE);
        assert_non_null(strstr(err.text, "none/x: cannot create"));
        assert_int_equal(entries(), 0);
    }
    cxr_metrics_free(&m);
}

/* jansson's own allocations fail on request as well. */
static void *jansson_new(size_t size)
{
    return cxr_mem_new(size, 1);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    cxr_metrics *m;
    assert_int_equal(cxr_metrics_compute(&m, &three_classes, -1, 0.5, NULL), CXR_OK);
    const char *path = in_folder("x");
    json_set_alloc_funcs(jansson_new, cxr_mem_free);
    for (int which = 0; which < 3; which++) {
        bool fired = true;
        for (long n = 0; fired; n++) {
            cxr_mem_fail_at(n);
            const cxr_status st = write_nth(which, path, m, NULL);
            fired = cxr_mem_fail_fired();
            cxr_mem_fail_at(-1);
            assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
            (void)unlink(path); /* the last allocation comes after the rename: the file is whole, its safety unknown */
            assert_int_equal(entries(), 0);
        }
    }
    json_set_alloc_funcs(malloc, free);
    cxr_metrics_free(&m);
}

static void numbers_have_a_point_in_any_locale(void **state)
{
    (void)state;
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL && setlocale(LC_NUMERIC, "fr_FR.UTF-8") == NULL) skip();
    cxr_buf text;
    const char *path = in_folder("x");
    const cxr_status st = cxr_write_results(path, epochs, 1, NULL);
    (void)setlocale(LC_NUMERIC, "C");
    assert_int_equal(st, CXR_OK);
    assert_int_equal(cxr_buf_read(&text, path, 1000, NULL), CXR_OK);
    assert_non_null(strstr((char *)text.data, "1,0.693147181,0.7,0.5,0.0001,12.346,123.456789\n"));
    cxr_buf_free(&text);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_hold_every_epoch),
        cmocka_unit_test(predictions_survive_awkward_names),
        cmocka_unit_test(predictions_follow_the_threshold),
        cmocka_unit_test(metrics_of_two_classes),
        cmocka_unit_test(metrics_of_three_classes),
        cmocka_unit_test(a_name_that_is_not_utf8_is_refused),
        cmocka_unit_test(a_missing_folder_cannot_be_created_in),
        cmocka_unit_test(every_allocation_can_fail),
        cmocka_unit_test(numbers_have_a_point_in_any_locale),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
