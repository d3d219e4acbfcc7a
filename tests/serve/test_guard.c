/* Who may ask: names, origins, tokens, as tables. */
#include "base/file.h"
#include "serve/guard.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct name_case {
    const char *text;
    bool here, everywhere; /* passes where the server listens on loopback; on all addresses */
} name_case;

static void hosts(void **state)
{
    static const char *const names[] = {"cxr.example.org"};
    static const name_case cases[] = {{"localhost", true, true},
                                      {"LocalHost:8080", true, true},
                                      {"127.0.0.1", true, true},
                                      {"127.0.0.1:1", true, true},
                                      {"127.9.9.9:65535", true, true},
                                      {"[::1]", true, true},
                                      {"[::1]:8080", true, true},
                                      {"cxr.example.org", true, true},
                                      {"CXR.example.ORG:443", true, true},
                                      {"10.0.0.1", false, true},
                                      {"[fe80::1]:80", false, true},
                                      {"0.0.0.0", false, true},
                                      {"", false, false},
                                      {":8080", false, false},
                                      {"localhost.", false, false},
                                      {"localhost.evil.org", false, false},
                                      {"evil.org", false, false},
                                      {"evil.org:8080", false, false},
                                      {"xlocalhost", false, false},
                                      {"localhost:", false, false},
                                      {"localhost:8080x", false, false},
                                      {"localhost:808080", false, false},
                                      {"localhost:-1", false, false},
                                      {"localhost:80:80", false, false},
                                      {"localhost@evil.org", false, false},
                                      {"evil.org@localhost", false, false},
                                      {" localhost", false, false},
                                      {"localhost ", false, false},
                                      {"localhost,evil.org", false, false},
                                      {"localhost/", false, false},
                                      {"127.0.0.1.evil.org", false, false},
                                      {"127.1", false, false},
                                      {"2130706433", false, false},
                                      {"0x7f.0.0.1", false, false},
                                      {"0177.0.0.1", false, false},
                                      {"127.0.0.1%00", false, false},
                                      {"::1", false, false},
                                      {"[::1", false, false},
                                      {"[::1]x", false, false},
                                      {"[]", false, false},
                                      {"[localhost]", false, false},
                                      {"[127.0.0.1]", false, false},
                                      {"xcxr.example.org", false, false},
                                      {"cxr.example.org.evil.org", false, false}};
    const cxr_guard here = {.loopback = true, .hosts = names, .host_count = 1}, everywhere = {.hosts = names, .host_count = 1};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cxr_guard_host(&here, cases[i].text) != cases[i].here) fail_msg("here: %s", cases[i].text);
        if (cxr_guard_host(&everywhere, cases[i].text) != cases[i].everywhere) fail_msg("everywhere: %s", cases[i].text);
    }
    assert_false(cxr_guard_host(&here, NULL));
    char long_name[600];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_false(cxr_guard_host(&here, long_name));
}

static void origins(void **state)
{
    static const struct {
        const char *origin;
        bool plain, tls;
    } cases[] = {{NULL, true, true},
                 {"http://localhost:8080", true, false},
                 {"http://LOCALHOST:8080", true, false},
                 {"https://localhost:8080", false, true},
                 {"null", false, false},
                 {"", false, false},
                 {"http://localhost", false, false},
                 {"http://localhost:8081", false, false},
                 {"http://localhost:8080/", false, false},
                 {"http://localhost:8080.evil.org", false, false},
                 {"http://evil.org", false, false},
                 {"http://127.0.0.1:8080", false, false},
                 {"file://", false, false},
                 {"chrome-extension://localhost:8080", false, false},
                 {"localhost:8080", false, false},
                 {"http://localhost:8080 http://evil.org", false, false}};
    const cxr_guard plain = {.loopback = true}, tls = {.loopback = true, .tls = true};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cxr_guard_origin(&plain, cases[i].origin, "localhost:8080") != cases[i].plain) fail_msg("%s", cases[i].origin);
        if (cxr_guard_origin(&tls, cases[i].origin, "localhost:8080") != cases[i].tls) fail_msg("tls: %s", cases[i].origin);
    }
    assert_false(cxr_guard_origin(&plain, "http://", ""));
    const char *const hosts[] = {"cxr.example.org"};
    const cxr_guard behind = {.loopback = true, .hosts = hosts, .host_count = 1}; /* a proxy */
    assert_true(cxr_guard_origin(&behind, "https://cxr.example.org", "cxr.example.org"));
    assert_true(cxr_guard_origin(&behind, "https://cxr.example.org:8443", "cxr.example.org:8443"));
    assert_true(cxr_guard_origin(&behind, "http://cxr.example.org", "cxr.example.org"));
    assert_false(cxr_guard_origin(&behind, "https://cxr.example.org", "cxr.example.org:8443"));
    assert_false(cxr_guard_origin(&behind, "https://evil.org", "cxr.example.org"));
    assert_false(cxr_guard_origin(&behind, "https://localhost", "localhost"));
    assert_false(cxr_guard_origin(&plain, "http://localhost", NULL));
}

static void addresses(void **state)
{
    static const struct {
        const char *text;
        bool good, loopback, v6;
    } cases[] = {{"127.0.0.1", true, true, false},
                 {"127.0.0.2", true, true, false},
                 {"localhost", true, true, false},
                 {"::1", true, true, true},
                 {"0.0.0.0", true, false, false},
                 {"::", true, false, true},
                 {"10.1.2.3", true, false, false},
                 {"::ffff:127.0.0.1", true, false, true},
                 {"", false, false, false},
                 {"example.org", false, false, false},
                 {"127.1", false, false, false},
                 {"[::1]", false, false, false},
                 {"127.0.0.1:80", false, false, false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool loopback = false, v6 = false;
        if (cxr_address_read(cases[i].text, &loopback, &v6) != cases[i].good) fail_msg("%s", cases[i].text);
        if (cases[i].good && (loopback != cases[i].loopback || v6 != cases[i].v6)) fail_msg("%s", cases[i].text);
    }
}

static cxr_status token_of(cxr_guard *g, const void *data, size_t len)
{
    char path[] = "/tmp/cxr-token-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    (void)close(fd);
    *g = (cxr_guard){0};
    const cxr_status st = cxr_guard_read_token(g, path, NULL);
    (void)unlink(path);
    return st;
}

static void tokens(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        cxr_status status;
    } files[] = {{"0123456789abcdef", 16, CXR_OK},          {"0123456789abcdef\n", 17, CXR_OK},
                 {"0123456789abcdef\r\nrest", 22, CXR_OK},  {"0123456789abcde\n", 16, CXR_EDATA},
                 {"0123456789abcdef \n", 18, CXR_EDATA},    {"0123456789\0abcdef", 17, CXR_EDATA},
                 {"0123456789abcd\xC3\xA9", 16, CXR_EDATA}, {"", 0, CXR_EDATA},
                 {"\n0123456789abcdef", 17, CXR_EDATA}};
    static const struct {
        const char *header;
        bool good;
    } headers[] = {{"Bearer 0123456789abcdef", true},
                   {"bearer 0123456789abcdef", true},
                   {NULL, false},
                   {"", false},
                   {"Bearer", false},
                   {"Bearer ", false},
                   {"Bearer  0123456789abcdef", false},
                   {"Bearer 0123456789abcdef ", false},
                   {"Bearer 0123456789abcdeF", false},
                   {"Basic 0123456789abcdef", false},
                   {"0123456789abcdef", false}};
    cxr_guard g;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        assert_int_equal(token_of(&g, files[i].text, files[i].len), files[i].status);
    assert_true(cxr_guard_token(&(cxr_guard){0}, NULL)); /* none is asked for */
    assert_int_equal(token_of(&g, "0123456789abcdef\n", 17), CXR_OK);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (cxr_guard_token(&g, headers[i].header) != headers[i].good) fail_msg("%s", headers[i].header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts),
        cmocka_unit_test(origins),
        cmocka_unit_test(addresses),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
