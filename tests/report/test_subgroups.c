/* Subgroups by a table's column and by file names: who is in which, that their figures are those of these images alone, and what
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "report/folder.h"
#include "report/subgroups.h"
#include <math.h>
#include <string.h>

static const char *const classes[] = {"NORMAL", "PNEUMONIA"};
static cxr_error error;

static cxr_predictions all = {
    .n = 8,
    .classes = 2,
    .class_names = classes,
    .path = (const char *[]){"t/person1_bacteria_1.jpeg", "t/person2_virus_1.jpeg", "t/person3_bacteria_2.jpeg",
                             "t/person4_virus_9.jpeg", "t/bacteria.jpeg", "t/IM-0001-0001.jpeg", "t/IM-0002-0001.jpeg",
                             "t/person5_virus_1.jpeg"},
    .label = (int[]){1, 1, 1, 1, 1, 0, 0, 0},
    .probability = (float[]){0.1f, 0.9f, 0.2f, 0.8f, 0.7f, 0.3f, 0.6f, 0.4f, 0.45f, 0.55f, 0.9f, 0.1f, 0.4f, 0.6f, 0.8f, 0.2f},
};
static const char *const patients[] = {"a", "b", "a", "c", "d", "e", "f", "g"};

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static void put_table(const char *text)
{
    must(cxr_file_write(in_folder("data.csv"), text, strlen(text), &error));
}

static cxr_metrics *measured(const char *data, const char *by)
{
    cxr_metrics *m;
    must(cxr_metrics_compute(&m, &all, 1, 0.5, &error));
    must(cxr_subgroups_measure(m, &all, patients, data, by, 1, &error));
    return m;
}

/* The subgroup's figures and intervals are those of `count` images taken by hand. */
static void check_group(const cxr_subgroup *s, const char *name, const size_t *images, size_t count)
{
    cxr_predictions p = all;
    const char *path[8], *group[8];
    int label[8];
    float probability[16];
    for (size_t i = 0; i < count; i++) {
        path[i] = all.path[images[i]];
        group[i] = patients[images[i]];
        label[i] = all.label[images[i]];
        memcpy(probability + 2 * i, all.probability + 2 * images[i], 2 * sizeof *probability);
    }
    p.n = count;
    p.path = path;
    p.label = label;
    p.probability = probability;
    cxr_metrics *want;
    must(cxr_metrics_compute(&want, &p, 1, 0.5, &error));
    must(cxr_metrics_intervals(want, &p, group, 1, &error));
    assert_string_equal(s->name, name);
    assert_int_equal(s->figures->n, count);
    assert_memory_equal(s->figures->value, want->value, sizeof want->value);
    assert_memory_equal(s->figures->ci95, want->ci95, sizeof want->ci95);
    cxr_metrics_free(&want);
}

/* Each kind of the positive class with all the others; a name inside a name is none. */
static void subtypes_are_told_by_file_names(void **state)
{
    (void)state;
    cxr_metrics *m = measured(folder, "subtype");
    assert_int_equal(m->subgroup_count, 3);
    check_group(&m->subgroups[0], "bacteria", (size_t[]){0, 2, 5, 6, 7}, 5);
    check_group(&m->subgroups[1], "unknown", (size_t[]){4, 5, 6, 7}, 4);
    check_group(&m->subgroups[2], "virus", (size_t[]){1, 3, 5, 6, 7}, 5);
    cxr_metrics_free(&m);
}

static const char table[] = "path,label,sex,subtype\n"
                            "t/person5_virus_1.jpeg,NORMAL,\"f, adult\",x\n"
                            "t/person1_bacteria_1.jpeg,PNEUMONIA,m,x\n"
                            "t/person2_virus_1.jpeg,PNEUMONIA,\"f, adult\",x\n"
                            "t/person3_bacteria_2.jpeg,PNEUMONIA,,x\n"
                            "t/person4_virus_9.jpeg,PNEUMONIA,m,x\n"
                            "t/bacteria.jpeg,PNEUMONIA,m,x\n"
                            "t/IM-0001-0001.jpeg,NORMAL,m,x\n"
                            "t/unseen.jpeg,NORMAL,other,x\n"
                            "t/IM-0002-0001.jpeg,NORMAL,,x\n";

static void columns_are_subgroups(void **state)
{
    (void)state;
    put_table(table);
    cxr_metrics *m = measured(in_folder("data.csv"), "sex");
    assert_int_equal(m->subgroup_count, 3);
    check_group(&m->subgroups[0], "f, adult", (size_t[]){1, 7}, 2);
    check_group(&m->subgroups[1], "m", (size_t[]){0, 3, 4, 5}, 4);
    check_group(&m->subgroups[2], "unknown", (size_t[]){2, 6}, 2);
    must(cxr_write_subgroups(folder, m, &error));
    cxr_csv csv;
    must(cxr_csv_read(&csv, in_folder("subgroups.csv"), &error));
    assert_int_equal(csv.row_count, 4);
    assert_int_equal(csv.columns, 3 + 3 * CXR_METRICS);
    assert_string_equal(csv.rows[1][0], "f, adult");
    assert_string_equal(csv.rows[2][cxr_csv_column(&csv, "images")], "4");
    assert_string_equal(csv.rows[2][cxr_csv_column(&csv, "positive")], "3");
    assert_true(fabs(strtod(csv.rows[2][cxr_csv_column(&csv, "sensitivity_low")], NULL) - m->subgroups[1].figures->ci95[2][0]) <
                1e-8);
    assert_string_equal(csv.rows[1][cxr_csv_column(&csv, "mcc_low")], ""); /* two images: not defined */
    cxr_csv_free(&csv);
    cxr_metrics_free(&m);
    m = measured(in_folder("data.csv"), "subtype"); /* the table's own column comes first */
    assert_int_equal(m->subgroup_count, 1);
    cxr_metrics_free(&m);
    assert_int_equal(remove(in_folder("subgroups.csv")) | remove(in_folder("data.csv")), 0);
}

static void refused(const char *data, const char *by, cxr_status status, const char *text)
{
    cxr_metrics *m;
    must(cxr_metrics_compute(&m, &all, 1, 0.5, &error));
    assert_int_equal(cxr_subgroups_check(&all, 1, data, by, &error), status);
    assert_non_null(strstr(error.text, text));
    assert_int_equal(cxr_subgroups_measure(m, &all, patients, data, by, 1, &error), status);
    cxr_metrics_free(&m);
}

static void what_makes_no_subgroups(void **state)
{
    (void)state;
    put_table(table);
    refused(folder, "sex", CXR_EUSAGE, "no column \"sex\"");
    refused(in_folder("data.csv"), "age", CXR_EUSAGE, "no column \"age\"");
    cxr_predictions three = all;
    three.classes = 3;
    assert_int_equal(cxr_subgroups_check(&three, -1, folder, "subtype", &error), CXR_EUSAGE);
    three = all;
    three.path = (const char *[]){"1", "2", "3", "4", "5", "6", "7", "8"};
    assert_int_equal(cxr_subgroups_check(&three, 1, folder, "subtype", &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "person1_bacteria_2.jpeg"));
    assert_int_equal(remove(in_folder("data.csv")), 0);
}

/* 51 values of 51 images are too many, 50 are not. */
static void too_many_values(void **state)
{
    (void)state;
    enum { MANY = CXR_SUBGROUPS_MOST + 1 };
    static char names[MANY][16];
    const char *path[MANY];
    int label[MANY] = {0};
    FILE *f = fopen(in_folder("data.csv"), "we");
    assert_non_null(f);
    (void)fputs("path,label,age\n", f);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "%d.png", i);
        path[i] = names[i];
        (void)fprintf(f, "%d.png,NORMAL,%d\n", i, i);
    }
    assert_int_equal(fclose(f), 0);
    cxr_predictions p = {.n = MANY, .path = path, .label = label};
    assert_int_equal(cxr_subgroups_check(&p, 1, in_folder("data.csv"), "age", &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "more than 50 values"));
    p.n--;
    must(cxr_subgroups_check(&p, 1, in_folder("data.csv"), "age", &error));
    assert_int_equal(remove(in_folder("data.csv")), 0);
}

/* By names: libcsv does with less where it gets no more, and so may succeed. */
static void every_allocation_can_fail(void **state)
{
    (void)state;
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_metrics *m;
        must(cxr_metrics_compute(&m, &all, 1, 0.5, &error));
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_subgroups_measure(m, &all, patients, folder, "subtype", 1, &error);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_metrics_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subtypes_are_told_by_file_names), cmocka_unit_test(columns_are_subgroups),
        cmocka_unit_test(what_makes_no_subgroups),         cmocka_unit_test(too_many_values),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
