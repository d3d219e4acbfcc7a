/* The page writer: what outside text becomes, pictures inside the page, and that a page is whole or not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "html/html.h"
#include "report/folder.h"
#include "text.h"
#include <openssl/evp.h>
#include <string.h>

static char *written(void (*body)(cxr_html *h))
{
    cxr_html h;
    cxr_error err = {0};
    assert_int_equal(cxr_html_open(&h, in_folder("page.html"), "A <title>", &err), CXR_OK);
    body(&h);
    if (cxr_html_commit(&h, &err) != CXR_OK) fail_msg("%s", err.text);
    char *text = text_of_file(in_folder("page.html"));
    assert_non_null(text);
    (void)unlink(in_folder("page.html"));
    return text;
}

/* What the page has between the two marks. */
static void expect_between(const char *page, const char *from, const char *to, const char *expected)
{
    const char *begin = strstr(page, from), *end = begin == NULL ? NULL : strstr(begin + strlen(from), to);
    assert_non_null(end);
    begin += strlen(from);
    assert_int_equal(end - begin, strlen(expected));
    assert_memory_equal(begin, expected, strlen(expected));
}

static void hostile_texts(cxr_html *h)
{
    const char *const heads[] = {"<b>", NULL}, *const cells[] = {"\"&'", "</script>", NULL};
    cxr_html_element(h, "p", "a<b> & \"c\" 'd'");
    cxr_html_element(h, "q", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x99\x82");
    cxr_html_element(h, "i", "\xFFx\xC3(\xED\xA0\x80\xC0\xAF\x01\xF0\x9F");
    cxr_html_table(h, "cap & \"tion\"", heads);
    cxr_html_row(h, cells);
    cxr_html_table_end(h);
}

#define R "\xEF\xBF\xBD" /* U+FFFD */

/* Of bad bytes as Python's decode("utf-8", "replace") has it, but one mark for each byte of a surrogate or cut character. */
static void test_outside_text_is_escaped(void **state)
{
    (void)state;
    char *page = written(hostile_texts);
    expect_between(page, "<title>", "</title>", "A &lt;title&gt;");
    expect_between(page, "<p>", "</p>", "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
    expect_between(page, "<q>", "</q>", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x99\x82");
    expect_between(page, "<i>", "</i>", R "x" R "(" R R R R R R R R);
    expect_between(page, "aria-label=\"", "\">", "cap &amp; &quot;tion&quot;");
    expect_between(page, "<thead><tr><th scope=\"col\">", "</th>", "&lt;b&gt;");
    expect_between(page, "<tbody>\n<tr>", "</tr>", "<th scope=\"row\">&quot;&amp;&#39;</th><td>&lt;/script&gt;</td>");
    free(page);
}

static void no_body(cxr_html *h)
{
    (void)h;
}

static void test_nothing_comes_from_elsewhere(void **state)
{
    (void)state;
    char *page = written(no_body);
    assert_non_null(strstr(page, "Content-Security-Policy\" content=\"default-src 'none'; img-src data:;"));
    assert_null(strstr(page, "http:"));
    assert_null(strstr(page, "https:"));
    assert_null(strstr(page, "url("));
    assert_non_null(strstr(page, "</html>"));
    free(page);
}

enum { BYTES = 10000 }; /* several pieces, and a rest */
static uint8_t bytes[BYTES];

static void picture(cxr_html *h)
{
    for (size_t i = 0; i < BYTES; i++) bytes[i] = (uint8_t)(i * 37 + i / 251);
    cxr_html_picture_bytes(h, "image/png", bytes, BYTES, "two \"lungs\"");
}

static void test_a_picture_is_inside_the_page(void **state)
{
    (void)state;
    char *page = written(picture);
    const char *begin = strstr(page, "<img src=\"data:image/png;base64,"),
               *end = strstr(page, "\" alt=\"two &quot;lungs&quot;\">");
    assert_true(begin != NULL && end != NULL);
    begin += strlen("<img src=\"data:image/png;base64,");
    uint8_t *back = malloc((size_t)(end - begin));
    assert_non_null(back);
    const int n = EVP_DecodeBlock(back, (const unsigned char *)begin, (int)(end - begin));
    assert_int_equal(n, (BYTES + 2) / 3 * 3);
    assert_memory_equal(back, bytes, BYTES);
    free(back);
    free(page);
}

static void test_a_page_without_its_picture_is_not_written(void **state)
{
    (void)state;
    cxr_html h;
    cxr_error err = {0};
    assert_int_equal(cxr_html_open(&h, in_folder("page.html"), "t", &err), CXR_OK);
    cxr_html_picture_file(&h, in_folder("absent.png"), "absent");
    cxr_html_picture_file(&h, in_folder("later.gif"), "later");
    assert_int_equal(cxr_html_commit(&h, &err), CXR_ENOINPUT);
    assert_non_null(strstr(err.text, "absent.png"));
    assert_int_not_equal(access(in_folder("page.html"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outside_text_is_escaped),
        cmocka_unit_test(test_nothing_comes_from_elsewhere),
        cmocka_unit_test(test_a_picture_is_inside_the_page),
        cmocka_unit_test(test_a_page_without_its_picture_is_not_written),
    };
    return cmocka_run_group_tests_name("html", tests, make_folder, remove_folder);
}
