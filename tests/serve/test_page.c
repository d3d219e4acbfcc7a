/* The page's files and the model's card as they are served; peers/test_serve_page.py drives the page in a browser. */
#include "base/mem.h"
#include "serve/toy_server.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static test_server server;

static void the_page_may_run_nothing_but_its_own_files(void **state)
{
    (void)state;
    reply r = ask(&server, "/", NULL, 0, NULL);
    assert_int_equal(r.code, 200);
    assert_non_null(strstr(r.headers, "Content-Type: text/html"));
    assert_non_null(strstr(r.headers, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "));
    assert_null(strstr(r.headers, "unsafe"));
    assert_null(strstr(r.body, "<script>"));
    assert_null(strstr(r.body, "<style"));
    assert_null(strstr(r.body, "style="));
    assert_null(strstr(r.body, "://"));
    reply_free(&r);
}

static void is_served(const char *name, size_t len);

/* All that stands between a mark and a quote, as "page/app.js". */
static int parts_named(const char *text, const char *mark, char quote)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, mark)) != NULL; count++) {
        at += strlen(mark);
        is_served(at, strcspn(at, (const char[]){quote, '\0'}));
    }
    return count;
}

static void is_served(const char *name, size_t len)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/page/%.*s", (int)len, name);
    reply r = ask(&server, path, NULL, 0, NULL);
    if (r.code != 200) fail_msg("%s: %ld", path, r.code);
    const char *type = strstr(path, ".js") != NULL    ? "text/javascript"
                       : strstr(path, ".css") != NULL ? "text/css"
                                                      : "image/svg+xml";
    if (strstr(r.headers, type) == NULL) fail_msg("%s is not %s", path, type);
    assert_non_null(strstr(r.headers, "X-Content-Type-Options: nosniff"));
    if (strstr(path, ".js") != NULL) (void)parts_named(r.body, " from './", '\'');
    reply_free(&r);
}

static void every_part_that_a_part_names_is_there(void **state)
{
    (void)state;
    reply r = ask(&server, "/", NULL, 0, NULL);
    assert_int_equal(parts_named(r.body, "=\"page/", '"'), 3);
    reply_free(&r);
}

static void nothing_else_is_there(void **state)
{
    static const char *const paths[] = {"/page",
                                        "/page/",
                                        "/page/app",
                                        "/page/app.js/",
                                        "/page/app.jsx",
                                        "/page/../page/app.js",
                                        "/page/%61pp.js",
                                        "/page/none.js",
                                        "/index.html",
                                        "/app.js",
                                        "//"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        reply r = ask(&server, paths[i], NULL, 0, NULL);
        if (r.code != 404) fail_msg("%s: %ld", paths[i], r.code);
        reply_free(&r);
    }
    reply r = ask(&server, "/", "x", 1, NULL);
    assert_int_equal(r.code, 405);
    reply_free(&r);
}

static json_t *card(const char *path)
{
    reply r = ask(&server, path, NULL, 0, NULL);
    assert_int_equal(r.code, 200);
    assert_null(strstr(r.body, "secret"));
    json_t *all = json_loads(r.body, 0, NULL);
    reply_free(&r);
    assert_non_null(all);
    return all;
}

static void the_card_names_what_the_model_was_made_of(void **state)
{
    (void)state;
    json_t *toy = card("/v2/models/toy"), *made = card("/v2/models/other");
    const json_t *of_toy = json_object_get(toy, "parameters"), *of_made = json_object_get(made, "parameters");
    const json_t *training = json_object_get(of_made, "training");
    assert_false(json_is_true(json_object_get(of_toy, "calibrated")));
    assert_true(json_is_true(json_object_get(of_made, "calibrated")));
    assert_true(json_real_value(json_object_get(of_made, "temperature")) == 0.5);
    assert_null(json_object_get(of_toy, "rule_in"));
    assert_true(json_real_value(json_object_get(of_made, "rule_in")) == 0.75);
    assert_null(json_object_get(of_made, "rule_out"));
    assert_string_equal(json_string_value(json_object_get(of_made, "rule")), "squash");
    assert_string_equal(json_string_value(json_object_get(training, "data")), "chest");
    assert_string_equal(json_string_value(json_object_get(training, "data_sha256")), "00ff");
    assert_int_equal(json_integer_value(json_object_get(training, "seed")), 7);
    assert_int_equal(json_object_size(json_object_get(of_toy, "training")), 0);
    json_decref(toy);
    json_decref(made);
}

static bool add_receipt(void)
{
    cxr_model *m = NULL;
    bool good = cxr_model_open(&m, toy_path("toy.safetensors"), NULL) == CXR_OK;
    if (good) {
        m->temperature = 0.5;
        m->rule_in = 0.75;
        m->receipt =
            cxr_mem_strdup("{\"cxr\": \"0.1.0\", \"data_sha256\": \"00ff\", \"args\": {\"data\": \"/home/secret/chest\", "
                           "\"seed\": 7, \"weights\": \"/home/secret/w\"}}");
        good = cxr_model_write(m, toy_path("other.safetensors"), NULL, 0, NULL, 0, NULL) == CXR_OK;
    }
    cxr_model_close(&m);
    return good;
}

static int create(void **state)
{
    (void)state;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !toy_create()) return -1;
    if (!toy_model("toy.safetensors", 1) || !add_receipt()) return -1;
    server_opts(&server);
    server.o.model_count = 2;
    return server_start(&server) ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    const bool good = server_stop(&server) == CXR_OK;
    toy_remove();
    curl_global_cleanup();
    return good ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_may_run_nothing_but_its_own_files),
        cmocka_unit_test(every_part_that_a_part_names_is_there),
        cmocka_unit_test(nothing_else_is_there),
        cmocka_unit_test(the_card_names_what_the_model_was_made_of),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
