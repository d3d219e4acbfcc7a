/* Reading follows RFC 4180, in the numbers of its section 2; what cannot be a table is refused with file and line. */
#include "data/csv.h"
#include "data/scratch.h"

static cxr_csv parse(const char *text)
{
    cxr_csv csv;
    cxr_error err = {0};
    if (cxr_csv_parse(&csv, text, strlen(text), "t.csv", &err) != CXR_OK) fail_msg("%s", err.text);
    return csv;
}

static void expect_row(const cxr_csv *csv, size_t row, size_t line, const char *first, const char *last)
{
    assert_true(row < csv->row_count);
    assert_int_equal(csv->lines[row], line);
    assert_string_equal(csv->rows[row][0], first);
    assert_string_equal(csv->rows[row][csv->columns - 1], last);
}

static void rows_are_read_as_the_rfc_says(void **state)
{
    (void)state;
    cxr_csv csv = parse("aaa,bbb,ccc\r\nzzz,yyy,xxx"); /* 1, 2: CRLF, the last one may be missing */
    assert_int_equal(csv.row_count, 2);
    assert_int_equal(csv.columns, 3);
    expect_row(&csv, 1, 2, "zzz", "xxx");
    cxr_csv_free(&csv);
    csv = parse("a,b\n c , d \n,\n"); /* 4: spaces are part of a field; fields may be empty */
    expect_row(&csv, 1, 2, " c ", " d ");
    expect_row(&csv, 2, 3, "", "");
    cxr_csv_free(&csv);
    csv = parse("a,b\n\"x,y\",\"say \"\"no\"\"\"\n\"two\r\nlines\",z\nlast,row\n"); /* 5, 6, 7 */
    expect_row(&csv, 1, 2, "x,y", "say \"no\"");
    expect_row(&csv, 2, 3, "two\r\nlines", "z");
    expect_row(&csv, 3, 5, "last", "row");
    cxr_csv_free(&csv);
}

static void byte_order_mark_and_empty_lines_are_skipped(void **state)
{
    (void)state;
    cxr_csv csv = parse("\xEF\xBB\xBFpath,label\r\n\r\n\nx,y\n\n");
    assert_int_equal(csv.row_count, 2);
    assert_int_equal(cxr_csv_column(&csv, "path"), 0);
    assert_int_equal(cxr_csv_column(&csv, "label"), 1);
    assert_int_equal(cxr_csv_column(&csv, "Label"), -1);
    expect_row(&csv, 1, 4, "x", "y");
    cxr_csv_free(&csv);
    assert_int_equal(cxr_csv_column(&csv, "path"), -1);
}

static void expect_refusal(const char *text, size_t len, cxr_status status, const char *sentence)
{
    cxr_csv csv;
    cxr_error err = {0};
    assert_int_equal(cxr_csv_parse(&csv, text, len, "t.csv", &err), status);
    assert_string_equal(err.text, sentence);
    assert_null(csv.rows);
    assert_int_equal(csv.row_count, 0);
}

static void what_is_no_table_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "t.csv: empty; a header is needed"},
        {"\n\n", "t.csv: empty; a header is needed"},
        {"a,b\n1,2\n3\n", "t.csv:3: 1 fields where the header has 2"},
        {"a,b\n1,2,3\n", "t.csv:2: 3 fields where the header has 2"},
        {"a,b\n1,\"open\nmore\n", "t.csv:2: a quote is not closed or stands where none may"},
        {"a,b\n1,st\"ray\n", "t.csv:2: a quote is not closed or stands where none may"},
        {"a,b\n\"x\"y,2\n", "t.csv:2: a quote is not closed or stands where none may"},
        {"a,b,a\n1,2,3\n", "t.csv:1: column \"a\" is named twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(cases[i].text, strlen(cases[i].text), CXR_EDATA, cases[i].sentence);
    expect_refusal("a,b\n1,\0\n", 8, CXR_EDATA, "t.csv:2: a NUL byte; not a CSV");
    char many[4200];
    memset(many, ',', sizeof many);
    expect_refusal(many, sizeof many, CXR_ELIMIT, "t.csv:1: more than 4096 columns");
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    cxr_csv csv;
    cxr_error err = {0};
    assert_int_equal(cxr_csv_read(&csv, "/nowhere/t.csv", &err), CXR_ENOINPUT);
    assert_non_null(strstr(err.text, "/nowhere/t.csv"));
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    const char *const texts[] = {"plain",      "",           " spaces ", "a,b",      "say \"no\"",
                                 "two\nlines", "cr\rlf\r\n", "only\rcr", "\xC3\xA4", "=1+1 'quote'"};
    const size_t n = sizeof texts / sizeof *texts;
    char *dir = scratch_new(), *path = cxr_path_join(dir, "t.csv");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("text,end\n", f);
    for (size_t i = 0; i < n; i++) {
        cxr_csv_put(f, texts[i]);
        (void)fputs(",.\n", f);
    }
    assert_int_equal(fclose(f), 0);
    cxr_csv csv;
    assert_int_equal(cxr_csv_read(&csv, path, NULL), CXR_OK);
    assert_int_equal(csv.row_count, n + 1);
    for (size_t i = 0; i < n; i++) assert_string_equal(csv.rows[i + 1][0], texts[i]);
    cxr_csv_free(&csv);
    cxr_mem_free(path);
    scratch_remove(dir);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    char text[4096] = "path,label\n";
    for (int i = 0; i < 100; i++) strcat(text, "\"some path, quoted\",a label\n");
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_csv csv;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_csv_parse(&csv, text, strlen(text), "t.csv", NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (fired && st == CXR_OK) assert_int_equal(csv.row_count, 101); /* libcsv tries again with less */
        if (!fired || st != CXR_OK) assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_csv_free(&csv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_as_the_rfc_says), cmocka_unit_test(byte_order_mark_and_empty_lines_are_skipped),
        cmocka_unit_test(what_is_no_table_is_refused),   cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(what_is_written_is_read_back),  cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
