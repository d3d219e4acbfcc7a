/* The program as it is run: every thread of it is in the sandbox, all that it serves works there, and models are loaded again. */
#include "serve/wire.h"
#include <stdlib.h>
#include <string.h>

static wire_server server;
static char *dir, *model;
static cxr_buf jpeg;

static bool says(const char *words)
{
    cxr_buf log = wire_log(&server);
    const bool found = log.data != NULL && memmem(log.data, log.len, words, strlen(words)) != NULL;
    cxr_buf_free(&log);
    return found;
}

static bool comes_to_say(const char *words)
{
    const double limit = wire_limit(WIRE_REPLY_SECONDS);
    while (!says(words) && cxr_now() < limit) wire_nap(10);
    return says(words);
}

/* Threads of the server whose status has not the line. */
static int threads_without(const char *line)
{
    char folder[64], path[384], text[8192];
    int without = 0, seen = 0;
    (void)snprintf(folder, sizeof folder, "/proc/%d/task", (int)server.pid);
    DIR *tasks = opendir(folder);
    assert_non_null(tasks);
    for (const struct dirent *e; (e = readdir(tasks)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s/status", folder, e->d_name);
        FILE *f = fopen(path, "re");
        const size_t len = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;
        text[len] = '\0';
        if (f != NULL) (void)fclose(f);
        without += strstr(text, line) == NULL;
        seen++;
    }
    (void)closedir(tasks);
    assert_true(seen >= 4); /* the first, the daemon's, two workers */
    return without;
}

/* The body of the reply to an image; free with cxr_mem_free(). */
static char *ask(const char *path)
{
    cxr_buf request = wire_post(path, "image/jpeg", jpeg.data, jpeg.len, "close");
    wire_reply r = wire_ask(server.port, request.data, request.len, WIRE_REPLY_SECONDS);
    assert_int_equal(r.status, 200);
    char *body = cxr_mem_strdup(r.body);
    assert_non_null(body);
    cxr_mem_free(r.bytes);
    cxr_buf_free(&request);
    return body;
}

/* What the model says, without what changes from one request to the next. */
static char *opinion(void)
{
    char *body = ask("/predict"), *timing = strstr(body, "\"timing\"");
    assert_non_null(timing);
    *timing = '\0';
    return body;
}

static void every_thread_is_in_the_sandbox(void **state)
{
    (void)state;
    cxr_mem_free(ask("/predict")); /* all threads have worked */
    if (says("(seccomp)")) {
        assert_int_equal(threads_without("\nNoNewPrivs:\t1\n"), 0);
        assert_int_equal(threads_without("\nSeccomp:\t2\n"), 0);
    } else {
        assert_true(says("no seccomp in this kernel"));
    }
    assert_true(says("(Landlock ") || says("no Landlock in this kernel"));
    assert_true(says("(PR_SET_MDWE)") || says("no PR_SET_MDWE in this kernel"));
}

static void everything_is_served_there(void **state)
{
    (void)state;
    static const char *const pages[] = {"/v2", "/v2/health/ready", "/v2/models", "/metrics", "/openapi.json"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        char request[256];
        (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", pages[i]);
        wire_reply r = wire_ask(server.port, request, strlen(request), WIRE_REPLY_SECONDS);
        assert_int_equal(r.status, 200);
        cxr_mem_free(r.bytes);
    }
    cxr_mem_free(ask("/explain"));
    char *json = ask("/explain?format=json&side=64");
    assert_non_null(strstr(json, "\"map\""));
    cxr_mem_free(json);
}

static void models_are_loaded_again(void **state)
{
    (void)state;
    char *first = opinion(), *again = opinion();
    assert_string_equal(first, again);
    assert_true(wire_model(model, 2, 32));
    assert_int_equal(kill(server.pid, SIGHUP), 0);
    assert_true(comes_to_say("reloaded toy"));
    char *second = opinion();
    assert_string_not_equal(first, second);
    assert_true(wire_model(model, 2, 64)); /* other kernels, which cannot be compiled any more */
    assert_int_equal(kill(server.pid, SIGHUP), 0);
    assert_true(comes_to_say("not reloaded, the old models stay"));
    char *third = opinion();
    assert_string_equal(second, third);
    cxr_mem_free(first), cxr_mem_free(again), cxr_mem_free(second), cxr_mem_free(third);
}

static void it_ends_well(void **state)
{
    (void)state;
    assert_int_equal(wire_stop(&server), 0);
}

static void without_it_that_is_said(void **state)
{
    (void)state;
    static const char *const more[] = {"--no-sandbox", NULL};
    wire_free(&server);
    assert_true(wire_start(&server, CXR_PROGRAM, dir, model, more));
    assert_true(says("no sandbox"));
    cxr_mem_free(ask("/predict"));
    assert_int_equal(wire_stop(&server), 0);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const more[] = {"--threads", "2", NULL};
    dir = scratch_new();
    scratch_write(dir, "model/empty", "");
    model = cxr_path_join(dir, "model/toy.safetensors");
    assert_true(model != NULL && wire_model(model, 1, 32));
    assert_int_equal(cxr_buf_read(&jpeg, FIXTURES "/images/grey.jpg", 1 << 20, NULL), CXR_OK);
    return wire_start(&server, CXR_PROGRAM, dir, model, more) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    wire_free(&server);
    cxr_buf_free(&jpeg);
    cxr_mem_free(model);
    scratch_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_is_in_the_sandbox), cmocka_unit_test(everything_is_served_there),
        cmocka_unit_test(models_are_loaded_again),        cmocka_unit_test(it_ends_well),
        cmocka_unit_test(without_it_that_is_said),
    };
#ifdef CXR_SANITIZED
    (void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* they are looked for by tracing the process, which is refused */
#endif
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
