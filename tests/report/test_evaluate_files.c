/* What an evaluation leaves: its tables, what its folder says of how it was done, and its row in the run's ledger, a new one or an older
 * version's. The model is untrained, the data are toys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "data/csv.h"
#include "model/model.h"
#include "report/ledger.h"
#include "train/toy.h"
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static cxr_model *untrained(const char *path)
{
    const char *const classes[] = {"A", "B"};
    cxr_train_opts o = toy_training("run", "none", 1);
    cxr_model *m = NULL;
    must(cxr_model_build(&m, &o, classes, 2, &error));
    m->rule_out = 0.25;
    must(cxr_model_write(m, path, NULL, 0, NULL, 0, &error));
    cxr_model_close(&m);
    must(cxr_model_open(&m, path, &error));
    return m;
}

static cxr_evaluate_opts options(const char *out)
{
    cxr_evaluate_opts o;
    cxr_evaluate_opts_default(&o);
    o.data = toy_path("data");
    o.out = out;
    o.run.threads = 1;
    return o;
}

static json_t *metrics_of(const char *folder)
{
    char *path = cxr_path_join(folder, "metrics.json");
    json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    cxr_mem_free(path);
    return o;
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    assert_non_null(s);
    return s;
}

static void metrics_say_how_they_came_to_be(void **state)
{
    (void)state;
    cxr_model *m = untrained(toy_path("alone.safetensors")), *other = untrained(toy_path("other.safetensors"));
    cxr_evaluate_opts o = options(toy_path("figures"));
    cxr_metrics *x;
    char hex[65];
    o.run.tta = CXR_TTA_FLIP;
    o.prevalence = 0.125;
    must(cxr_model_join(m, &other, &error));
    must(cxr_evaluate(m, &o, NULL, &x, &error));
    assert_int_equal(x->point_count, 2);
    json_t *all = metrics_of(o.out);
    const json_t *e = json_object_get(all, "evaluation"), *models = json_object_get(e, "models");
    assert_string_equal(text(e, "data"), o.data);
    assert_string_equal(text(e, "split"), "test");
    assert_string_equal(text(e, "tta"), "flip");
    assert_string_equal(text(e, "precision"), "f32");
    assert_string_equal(text(e, "cxr"), cxr_version());
    assert_int_equal(strlen(text(e, "time")), strlen("2026-01-31T23:59:59Z"));
    assert_int_equal(json_integer_value(json_object_get(e, "images")), 10);
    assert_int_equal(json_array_size(models), 2);
    assert_string_equal(text(json_array_get(models, 1), "file"), "other.safetensors");
    must(cxr_sha256_file(toy_path("other.safetensors"), hex, &error));
    assert_string_equal(text(json_array_get(models, 1), "sha256"), hex);
    assert_int_equal(json_object_size(json_object_get(all, "operating_points")), 2);
    assert_true(json_number_value(json_object_get(all, "prevalence")) == 0.125);
    json_decref(all);
    cxr_metrics_free(&x);
    cxr_model_close(&m);
}

/* The tables hold what is measured of the predictions beside them. */
static void calibration_and_decision_curve_are_files(void **state)
{
    (void)state;
    static const char *const names[] = {"calibration.svg", "calibration.png", "decision_curve.svg", "decision_curve.png"};
    cxr_csv bins, rows;
    size_t images = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "figures/%s", names[i]);
        assert_true(cxr_path_exists(toy_path(name)));
    }
    must(cxr_csv_read(&bins, toy_path("figures/calibration.csv"), &error));
    must(cxr_csv_read(&rows, toy_path("figures/decision_curve.csv"), &error));
    assert_int_equal(bins.row_count, 11);
    for (size_t r = 1; r < bins.row_count; r++) {
        const bool some = strcmp(bins.rows[r][cxr_csv_column(&bins, "count")], "0") != 0;
        images += strtoul(bins.rows[r][cxr_csv_column(&bins, "count")], NULL, 10);
        assert_true(some == (*bins.rows[r][cxr_csv_column(&bins, "mean_probability")] != '\0'));
        assert_true(some == (*bins.rows[r][cxr_csv_column(&bins, "ci95_high")] != '\0'));
    }
    assert_int_equal(images, 10);
    assert_int_equal(rows.row_count, 100);
    assert_string_equal(rows.rows[50][0], "0.50");
    assert_true(strtod(rows.rows[50][cxr_csv_column(&rows, "all")], NULL) == 0.0); /* as many of each */
    cxr_csv_free(&bins);
    cxr_csv_free(&rows);
}

static void a_prevalence_is_a_share(void **state)
{
    (void)state;
    static const double wrong[] = {-0.1, 1.0, 2.0, (double)NAN};
    cxr_model *m = untrained(toy_path("alone.safetensors"));
    cxr_evaluate_opts o = options(NULL);
    cxr_metrics *x;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        o.prevalence = wrong[i];
        assert_int_equal(cxr_evaluate(m, &o, NULL, &x, &error), CXR_EUSAGE);
        assert_non_null(strstr(error.text, "prevalence"));
    }
    cxr_model_close(&m);
}

/* ---- The ledger ---- */

static const cxr_metrics measured = {.n = 10, .classes = 2, .confusion = (uint64_t[]){3, 2, 1, 4}};

/* A run's folder whose ledger holds `text`; NULL: there is none. */
static void make_run(const char *content)
{
    must(cxr_make_folders(toy_path("old/weights"), &error));
    must(cxr_file_write(toy_path("old/args.json"), "{}", 2, &error));
    (void)remove(toy_path("old/ledger.csv"));
    if (content != NULL) must(cxr_file_write(toy_path("old/ledger.csv"), content, strlen(content), &error));
}

static void read_by(cxr_tta tta, const cxr_hooks *hooks)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s", toy_path("old/weights/best.safetensors"));
    const cxr_model m = {.path = path};
    cxr_evaluate_opts o = options(NULL);
    o.data = "x-rays, new";
    o.run.tta = tta;
    must(cxr_ledger_write(&o, &m, &measured, hooks, &error));
}

static void check_row(const cxr_csv *csv, size_t row, const char *data, const char *tta)
{
    static const char *const names[] = {"model", "split", "images", "correct"}, *const values[] = {"best.safetensors", "test",
                                                                                                   "10", "7"};
    for (size_t i = 0; i < 4; i++) assert_string_equal(csv->rows[row][cxr_csv_column(csv, names[i])], values[i]);
    assert_string_equal(csv->rows[row][cxr_csv_column(csv, "data")], data);
    assert_string_equal(csv->rows[row][cxr_csv_column(csv, "tta")], tta);
}

static void readings_are_counted(void **state)
{
    (void)state;
    cxr_csv csv;
    make_run(NULL);
    for (cxr_tta t = CXR_TTA_NONE; t <= CXR_TTA_CROPS; t++) read_by(t, NULL);
    must(cxr_csv_read(&csv, toy_path("old/ledger.csv"), &error));
    assert_int_equal(csv.row_count, 5);
    static const char *const names[] = {"none", "flip", "scales", "crops"};
    for (size_t i = 0; i < 4; i++) check_row(&csv, 1 + i, "x-rays, new", names[i]);
    cxr_csv_free(&csv);
}

static void an_older_ledger_goes_on(void **state)
{
    (void)state;
    cxr_csv csv;
    make_run("time,model,data,split,images,correct\n2026-01-01T00:00:00Z,best.safetensors,\"a, b\",test,10,7\n");
    read_by(CXR_TTA_FLIP, NULL);
    must(cxr_csv_read(&csv, toy_path("old/ledger.csv"), &error));
    assert_int_equal(csv.row_count, 3);
    assert_string_equal(csv.rows[1][0], "2026-01-01T00:00:00Z");
    check_row(&csv, 1, "a, b", "");
    check_row(&csv, 2, "x-rays, new", "flip");
    cxr_csv_free(&csv);
}

static void count_warning(void *user, cxr_level level, const char *line)
{
    if (level == CXR_WARNING && strstr(line, "not recorded") != NULL) ++*(int *)user;
}

/* What is no table stays as it is and has the row after it; what cannot be written is said. */
static void a_broken_ledger_stops_nothing(void **state)
{
    (void)state;
    cxr_buf text = {0};
    int warnings = 0;
    const cxr_hooks hooks = {.log = {count_warning, &warnings}};
    make_run("a,b\nc\n");
    read_by(CXR_TTA_NONE, &hooks);
    must(cxr_buf_read(&text, toy_path("old/ledger.csv"), 1000, &error));
    assert_memory_equal(text.data, "a,b\nc\n20", 8);
    assert_int_equal(warnings, 0);
    cxr_buf_free(&text);
    assert_int_equal(remove(toy_path("old/ledger.csv")), 0);
    assert_int_equal(mkdir(toy_path("old/ledger.csv"), 0700), 0);
    read_by(CXR_TTA_NONE, &hooks);
    assert_int_equal(warnings, 1);
}

static int set_up(void **state)
{
    (void)state;
    return !toy_create();
}

static int tear_down(void **state)
{
    (void)state;
    toy_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_say_how_they_came_to_be), cmocka_unit_test(calibration_and_decision_curve_are_files),
        cmocka_unit_test(a_prevalence_is_a_share),         cmocka_unit_test(readings_are_counted),
        cmocka_unit_test(an_older_ledger_goes_on),         cmocka_unit_test(a_broken_ledger_stops_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
