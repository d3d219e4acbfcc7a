/* cxr_compare() on files: what is read, what is refused, and requirements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "path,label,prediction,probability_sick,probability_well\n"

static char folder[] = "/tmp/cxr-compare-XXXXXX";
static const char *const a_rows = HEAD "p/1.png,sick,sick,0.9,0.1\np/2.png,sick,well,0.4,0.6\n"
                                       "p/3.png,well,well,0.2,0.8\np/4.png,well,well,0.3,0.7\n";
/* other rows, other columns, one changed */
static const char *const b_rows = "path,prediction,label,probability_well,probability_sick\np/4.png,well,well,0.7,0.3\n"
                                  "p/2.png,sick,sick,0.4,0.6\np/1.png,sick,sick,0.1,0.9\np/3.png,well,well,0.8,0.2\n";

/* Lent until the fourth call from now. */
static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *put(const char *name, const char *text)
{
    const char *path = in_folder(name);
    assert_int_equal(cxr_file_write(path, text, strlen(text), NULL), CXR_OK);
    return path;
}

static double difference(const cxr_comparison *c, const char *name)
{
    for (int f = 0; f < CXR_METRICS; f++)
        if (strcmp(c->names[f], name) == 0) return c->difference[f];
    return (double)NAN;
}

static void rows_and_classes_may_be_in_any_order(void **state)
{
    (void)state;
    cxr_comparison *c;
    cxr_error err = {0};
    const char *a = put("a.csv", a_rows), *b = put("b.csv", b_rows);
    assert_int_equal(cxr_compare(a, b, 1, &c, &err), CXR_OK);
    assert_int_equal(c->n, 4);
    assert_string_equal(c->class_names[0], "sick");
    assert_string_equal(c->class_names[c->positive], "well");
    assert_int_equal(c->changed_count, 1);
    assert_string_equal(c->changed[0].path, "p/2.png");
    assert_true(c->changed[0].label == 0 && c->changed[0].a == 1 && c->changed[0].b == 0);
    assert_true(difference(c, "accuracy") == 0.25);
    assert_true(c->only_a == 0 && c->only_b == 1);
    cxr_comparison_free(&c);
    assert_null(c);
    cxr_comparison_free(NULL);
}

static void folders_hold_the_file(void **state)
{
    (void)state;
    cxr_comparison *c;
    cxr_error err = {0};
    assert_int_equal(mkdir(in_folder("run"), 0777), 0);
    assert_int_equal(cxr_compare(in_folder("run"), in_folder("run"), 1, &c, &err), CXR_ENOINPUT);
    assert_non_null(strstr(err.text, "holds no predictions.csv"));
    assert_int_equal(mkdir(in_folder("run/test"), 0777), 0);
    (void)put("run/test/predictions.csv", a_rows);
    assert_int_equal(cxr_compare(in_folder("run"), in_folder("run/test"), 1, &c, &err), CXR_OK);
    assert_int_equal(c->changed_count, 0);
    cxr_comparison_free(&c);
}

static void what_does_not_fit_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        cxr_status status;
    } cases[] = {
        {"", "a header is needed", CXR_EDATA},
        {HEAD, "no prediction", CXR_EDATA},
        {"path,label,probability_sick,probability_well\n", "the header must be", CXR_EDATA},
        {"path,label,prediction,probability_sick\np/1.png,sick,sick,1\n", "1 columns probability_CLASS", CXR_EDATA},
        {"path,label,prediction,probability_ill,probability_well\np/1.png,ill,ill,1,0\n", "class \"ill\" is not one of",
         CXR_EDATA},
        {"path,label,prediction,probability_sick,probability_sick\np/1.png,sick,sick,1,0\n", "is named twice", CXR_EDATA},
        {HEAD "p/1.png,sick,sick,nan,0.1\n", ":2: \"nan\" is not a probability", CXR_EDATA},
        {HEAD "p/1.png,sick,sick,1.5,0.1\n", ":2: \"1.5\" is not a probability", CXR_EDATA},
        {HEAD "p/1.png,sick,sick,0.9x,0.1\n", ":2: \"0.9x\" is not a probability", CXR_EDATA},
        {HEAD "p/1.png,sick,sick,0.9,0.4\n", ":2: the probabilities add up to 1.3, not 1", CXR_EDATA},
        {HEAD "p/1.png,ill,sick,0.9,0.1\n", ":2: \"ill\" is none of its classes", CXR_EDATA},
        {HEAD "p/1.png,sick,,0.9,0.1\n", ":2: \"\" is none of its classes", CXR_EDATA},
        {HEAD "p/1.png,sick,sick,0.9,0.1\np/1.png,sick,sick,0.9,0.1\n", "\"p/1.png\" is listed twice", CXR_EDATA},
        {HEAD "p/1.png,sick,sick,0.9,0.1\n", "\"p/2.png\" is not in it", CXR_EDATA},
        {HEAD "p/0.png,sick,sick,0.9,0.1\n", "a.csv: \"p/0.png\" is not in it", CXR_EDATA},
        {HEAD "p/1.png,well,sick,0.9,0.1\n", "\"p/1.png\" is labelled \"well\" here and \"sick\" in", CXR_EDATA},
    };
    char a[256];
    (void)snprintf(a, sizeof a, "%s", put("a.csv", a_rows));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cxr_comparison *c = (cxr_comparison *)&c;
        cxr_error err = {0};
        const cxr_status st = cxr_compare(a, put("b.csv", cases[i].text), 1, &c, &err);
        if (st != cases[i].status) fail_msg("case %zu: %d", i, (int)st);
        assert_null(c);
        if (strstr(err.text, cases[i].says) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
    }
}

/* The other file's classes are more than this one has columns. */
static void classes_may_be_missing(void **state)
{
    (void)state;
    cxr_comparison *c;
    cxr_error err = {0};
    const char *a = put("a.csv", "path,label,prediction,probability_p,probability_q,probability_r,probability_s,probability_t,"
                                 "probability_u,probability_v,probability_w\n1.png,p,p,1,0,0,0,0,0,0,0\n");
    const char *b = put("b.csv", "path,label,prediction,probability_w,probability_v\n1.png,w,w,1,0\n");
    assert_int_equal(cxr_compare(a, b, 1, &c, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "b.csv: 2 classes, "));
}

static double value_of(const cxr_comparison *c, const double *values, const char *name)
{
    for (int f = 0; f < CXR_METRICS; f++)
        if (strcmp(c->names[f], name) == 0) return values[f];
    fail_msg("no figure %s", name);
    return 0.0;
}

/* Little, and what has no figure: nothing may be made up. */
static void little_is_measured_as_far_as_it_goes(void **state)
{
    (void)state;
    static const char *const one_class = HEAD "1.png,sick,sick,0.9,0.1\n2.png,sick,well,0.4,0.6\n",
                             *const tied = HEAD "1.png,sick,well,0.5,0.5\n2.png,well,well,0.5,0.5\n3.png,sick,well,0.5,0.5\n",
                             *const alone = HEAD "1.png,well,well,0.2,0.8\n";
    cxr_comparison *c;
    cxr_error err = {0};
    assert_int_equal(cxr_compare(put("a.csv", one_class), put("b.csv", one_class), 1, &c, &err), CXR_OK);
    assert_true(isnan(value_of(c, c->a, "auroc")) && isnan(value_of(c, c->difference, "auroc")) && isnan(c->auroc_p));
    assert_true(value_of(c, c->a, "accuracy") == 0.5 && value_of(c, c->difference, "accuracy") == 0.0);
    assert_true(c->mcnemar_p == 1.0);
    cxr_comparison_free(&c);
    assert_int_equal(cxr_compare(put("a.csv", tied), put("b.csv", tied), 1, &c, &err), CXR_OK);
    assert_true(value_of(c, c->a, "auroc") == 0.5 && isnan(c->auroc_p));
    cxr_comparison_free(&c);
    assert_int_equal(cxr_compare(put("a.csv", alone), put("b.csv", alone), 1, &c, &err), CXR_OK);
    assert_true(c->n == 1 && value_of(c, c->a, "accuracy") == 1.0 && isnan(value_of(c, c->a, "auroc")));
    cxr_comparison_free(&c);
}

static void it_can_be_kept(void **state)
{
    (void)state;
    cxr_comparison *c;
    cxr_error err = {0};
    char *text = NULL;
    assert_int_equal(cxr_compare(put("a.csv", a_rows), put("b.csv", b_rows), 1, &c, &err), CXR_OK);
    assert_int_equal(cxr_comparison_json(c, &text, &err), CXR_OK);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *figures = json_object_get(o, "figures");
    assert_string_equal(json_string_value(json_object_get(o, "b")), in_folder("b.csv"));
    assert_string_equal(json_string_value(json_object_get(o, "positive_class")), "well");
    assert_int_equal(json_object_size(figures), CXR_METRICS);
    assert_true(json_number_value(json_object_get(json_object_get(figures, "accuracy"), "difference")) == 0.25);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "mcnemar"), "only_b")), 1);
    const json_t *changed = json_array_get(json_object_get(o, "changed"), 0);
    assert_string_equal(json_string_value(json_object_get(changed, "a")), "well");
    assert_int_equal(cxr_comparison_write(c, in_folder("out"), &err), CXR_OK);
    json_t *kept = json_load_file(in_folder("out/compare.json"), JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_equal(o, kept));
    cxr_buf table;
    assert_int_equal(cxr_buf_read(&table, in_folder("out/changed.csv"), 1000, &err), CXR_OK);
    static const char want[] = "path,label,a,b\np/2.png,sick,well,sick\n";
    assert_true(table.len == sizeof want - 1 && memcmp(table.data, want, table.len) == 0);
    cxr_buf_free(&table);
    json_decref(o);
    json_decref(kept);
    cxr_free(text);
    assert_int_equal(cxr_comparison_write(c, in_folder("a.csv/out"), &err), CXR_ECREATE);
    cxr_comparison_free(&c);
}

static void requirements_hold_or_not(void **state)
{
    (void)state;
    cxr_comparison *c;
    cxr_error err = {0};
    assert_int_equal(cxr_compare(put("a.csv", a_rows), put("b.csv", b_rows), 1, &c, &err), CXR_OK);
    assert_int_equal(cxr_comparison_require(c, "accuracy >= 0.25", &err), CXR_OK);
    assert_int_equal(cxr_comparison_require(c, " accuracy<=.25 ", &err), CXR_OK);
    assert_int_equal(cxr_comparison_require(c, "accuracy >= 0.26", &err), CXR_EUNMET);
    assert_non_null(strstr(err.text, "the difference is 0.25"));
    assert_int_equal(cxr_comparison_require(c, "loss <= -10", &err), CXR_EUNMET);
    c->difference[0] = (double)NAN;
    assert_int_equal(cxr_comparison_require(c, "accuracy >= -1", &err), CXR_EUNMET);
    assert_int_equal(cxr_comparison_require(c, "accuracy <= 1", &err), CXR_EUNMET);
    static const char *const wrong[] = {"",       "accuracy",       "auc >= 0",        "accuracy > 0",   "accuracy >= ",
                                        ">= 0.1", "accuracy >= 1x", "accuracy >= nan", "accuracy = 0.1", "accuracy >= 1 2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(cxr_comparison_require(i % 2 == 0 ? c : NULL, wrong[i], &err), CXR_EUSAGE);
    assert_int_equal(cxr_comparison_require(NULL, "ece <= 0.01", &err), CXR_OK);
    cxr_comparison_free(&c);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    const char *a = put("a.csv", a_rows), *b = put("b.csv", b_rows);
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_comparison *c;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_compare(a, b, 1, &c, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (!fired || st != CXR_OK) assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK); /* libcsv tries some again */
        assert_true((c == NULL) == (st != CXR_OK));
        cxr_comparison_free(&c);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {
        "a.csv", "b.csv", "run/test/predictions.csv", "run/test", "run", "out/compare.json", "out/changed.csv", "out"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) (void)remove(in_folder(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_classes_may_be_in_any_order),
        cmocka_unit_test(folders_hold_the_file),
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(classes_may_be_missing),
        cmocka_unit_test(little_is_measured_as_far_as_it_goes),
        cmocka_unit_test(it_can_be_kept),
        cmocka_unit_test(requirements_hold_or_not),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
