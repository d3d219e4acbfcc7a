/* TOML to JSON values: every kind, lines, and files that are none, too large or too deep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tune/toml.h"
#include <stdlib.h>
#include <string.h>

static cxr_error error;

static void kinds_and_lines(void **state)
{
    (void)state;
    static const char text[] = "whole = -9007199254740993\nreal = 1e-3 # small\nyes = true\nlist = [1, 2.5, \"x\"]\n"
                               "[table]\n'quoted key' = \"\\u00e9\"\ninner = { a = 0x1F,\n b = 1_000 }\ndotted.key = 1\n";
    static const char valid[] = "whole = -9007199254740993\nreal = 1e-3 # small\nyes = true\nlist = [1, 2.5, \"x\"]\n"
                                "[table]\n'quoted key' = \"\\u00e9\"\ninner = { a = 0x1F, b = 1_000 }\ndotted.key = 1\n";
    cxr_toml t;
    assert_int_equal(cxr_toml_parse(&t, text, strlen(text), "t", &error), CXR_EDATA); /* inline tables are of one line */
    if (cxr_toml_parse(&t, valid, strlen(valid), "t", &error) != CXR_OK) fail_msg("%s", error.text);
    json_t *want = json_loads("{\"whole\": -9007199254740993, \"real\": 1e-3, \"yes\": true, \"list\": [1, 2.5, \"x\"],"
                              "\"table\": {\"quoted key\": \"\\u00e9\", \"inner\": {\"a\": 31, \"b\": 1000},"
                              "\"dotted\": {\"key\": 1}}}",
                              0, NULL);
    assert_non_null(want);
    assert_true(json_equal(t.root, want) == 1);
    assert_int_equal(cxr_toml_line(&t, "whole"), 1);
    assert_int_equal(cxr_toml_line(&t, "list"), 4);
    assert_int_equal(cxr_toml_line(&t, "table.quoted key"), 6);
    assert_int_equal(cxr_toml_line(&t, "table.inner.b"), 7);
    assert_int_equal(cxr_toml_line(&t, "absent"), 0);
    json_decref(want);
    cxr_toml_free(&t);
}

static void refuse(const char *text, size_t len, cxr_status want, const char *reason)
{
    cxr_toml t;
    if (cxr_toml_parse(&t, text, len, "bad.toml", &error) != want) fail_msg("wanted %d: %.60s", want, text);
    if (strncmp(error.text, "bad.toml: ", 10) != 0 || strstr(error.text, reason) == NULL)
        fail_msg("%.60s\nsaid: %s", text, error.text);
    assert_true(t.root == NULL && t.lines == NULL);
}

static void what_is_no_toml_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"a = 1\na = 2", "line 2: "},
        {"[t]\n[t]", "line 2: "},
        {"a", "line 1: "},
        {"\n\na = ", "line 3: "},
        {"a = 1 b = 2", "line 1: "},
        {"a = \"x", "line 1: "},
        {"a = [1", "line 1: "},
        {"a = 99999999999999999999", "line 1: "},
        {"a = 1979-05-27", "a date"},
        {"a = 07:32:00", "a date"},
        {"\na = nan", "line 2: a number must be finite"},
        {"a = [-inf]", "must be finite"},
        {"a = \"\\u0000\"", "a NUL"},
        {"\"\\u0000\" = 1", "a NUL"},
        {"a = \"\xff\"", "line 1: "},
        {"a = [[[[1]]]]", "more than 4"},
        {"a.b.c.d.e = 1", "more than 4"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) refuse(bad[i][0], strlen(bad[i][0]), CXR_EDATA, bad[i][1]);
    static const char binary[] = "\x7f"
                                 "ELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0";
    refuse(binary, sizeof binary - 1, CXR_EDATA, "line 1: ");
    refuse("\0", 1, CXR_EDATA, "line 1: byte 0 is");
    refuse("a = 1\r\n[\4b]\n", 12, CXR_EDATA, "line 2: byte 4 is");
    refuse("# \xc3\xa9", 4, CXR_EDATA, "line 1: byte 195 is");
    refuse("# \x7f", 3, CXR_EDATA, "line 1: byte 127 is");
}

/* `count` times `unit` between `head` and `tail`; to be freed. */
static char *repeated(const char *head, const char *unit, size_t count, const char *tail)
{
    const size_t step = strlen(unit), from = strlen(head);
    char *text = malloc(from + count * step + strlen(tail) + 1);
    assert_non_null(text);
    memcpy(text, head, from);
    for (size_t i = 0; i < count; i++) memcpy(text + from + i * step, unit, step);
    memcpy(text + from + count * step, tail, strlen(tail) + 1);
    return text;
}

static void what_is_too_large_or_deep_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *head, *unit;
        size_t count;
        const char *tail;
        cxr_status want;
        const char *reason;
    } bad[] = {
        {"", "#\n", 1000000, "", CXR_ELIMIT, "2000000 bytes, limit 65536"}, /* a million lines */
        {"[", "a.", CXR_TOML_DOTS, "a]", CXR_EDATA, "more than 4"},
        {"[", "a.", CXR_TOML_DOTS + 1, "a]", CXR_ELIMIT, "2001 dots"},
        {"a = ", "[", 60000, "", CXR_EDATA, "line 1: "},
        {"a = ", "{a=", 20000, "", CXR_EDATA, "line 1: "},
        {"a = ", "{a.a.a.a=", 200, "1", CXR_EDATA, "line 1: "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *text = repeated(bad[i].head, bad[i].unit, bad[i].count, bad[i].tail);
        refuse(text, strlen(text), bad[i].want, bad[i].reason);
        free(text);
    }
    cxr_toml t;
    char *most = repeated("", "#\n", CXR_TOML_BYTES / 2, "");
    assert_int_equal(cxr_toml_parse(&t, most, strlen(most), "t", &error), CXR_OK);
    assert_int_equal(json_object_size(t.root), 0);
    cxr_toml_free(&t);
    free(most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_and_lines),
        cmocka_unit_test(what_is_no_toml_is_refused),
        cmocka_unit_test(what_is_too_large_or_deep_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
