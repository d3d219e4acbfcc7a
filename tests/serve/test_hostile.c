/* Hostile requests to the real server: each is refused with 4xx, an honest one after it is answered, and at the end the server has
 * the descriptors and the memory that it had, and ends without a word of the sanitizers. */
#include "serve/hostile.h"
#include "serve/wire.h"
#include <stdlib.h>
#include <string.h>

#define GROWTH_KIB 4096 /* of memory, over a second round of everything: the allocator's, not a request's */

static hostiles table;
static wire_server server;
static char *dir, *model;
static cxr_buf jpeg, png, honest;

static cxr_buf fixture(const char *name)
{
    cxr_buf file = {0};
    char path[512];
    (void)snprintf(path, sizeof path, "%s/images/%s", FIXTURES, name);
    assert_int_equal(cxr_buf_read(&file, path, 1 << 20, NULL), CXR_OK);
    return file;
}

static void expect_answer(void)
{
    wire_reply r = wire_ask(server.port, honest.data, honest.len, WIRE_REPLY_SECONDS);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"probabilities\""));
    cxr_mem_free(r.bytes);
}

/* What no reply may hold: a file's content, or a place of this machine. */
static bool tells(const wire_reply *r)
{
    static const char *const secrets[] = {"root:", "PATH=", "/tmp/", "/home/", "/usr/", "safetensors", "0x7f", "0x55", ".c:"};
    for (size_t i = 0; r->body != NULL && i < sizeof secrets / sizeof *secrets; i++)
        if (strstr(r->body, secrets[i]) != NULL) return true;
    return false;
}

static bool is_refused(const hostile *h, const wire_reply *r)
{
    if (h->broken && r->status == 0) return true;
    if (h->status != 0) return r->status == h->status;
    return r->status >= 400 && r->status < 500;
}

static void complain(const hostile *h, const wire_reply *r)
{
    char label[sizeof h->label];
    for (size_t i = 0; i < sizeof label; i++) label[i] = (char)(h->label[i] >= ' ' || h->label[i] == 0 ? h->label[i] : '~');
    const int line = r->bytes != NULL ? (int)strcspn(r->bytes, "\r\n") : 0;
    (void)fprintf(stderr, "%s: status %d%s: %.*s\n", label, r->status, r->late ? ", late" : "", line, r->bytes);
}

/* How many of the table were not refused as they must be. */
static int send_all(void)
{
    int wrong = 0;
    for (int i = 0; i < table.count; i++) {
        const hostile *h = &table.all[i];
        wire_reply r = wire_ask(server.port, h->bytes, h->len, h->broken ? WIRE_NO_REPLY : WIRE_REPLY_SECONDS);
        if (!is_refused(h, &r) || tells(&r) || (r.late && !h->broken)) {
            complain(h, &r);
            wrong++;
        }
        cxr_mem_free(r.bytes);
        if (i % 16 == 0) expect_answer();
    }
    expect_answer();
    return wrong;
}

static void send_table(int least)
{
    assert_true(table.count >= least && table.count < HOSTILE_MOST);
    const int first = send_all();
    const int descriptors = wire_descriptors(&server);
    const long resident = wire_resident(&server);
    const int second = send_all();
    const double limit = wire_limit(WIRE_REPLY_SECONDS);
    while (wire_descriptors(&server) > descriptors && cxr_now() < limit) wire_nap(10); /* the last one is still being closed */
    hostile_free(&table);
    assert_int_equal(first, 0);
    assert_int_equal(second, 0);
    assert_true(wire_descriptors(&server) <= descriptors);
    if (WIRE_COUNTS_MEMORY && wire_resident(&server) > resident + GROWTH_KIB)
        fail_msg("%ld KiB, then %ld", resident, wire_resident(&server));
}

static void malformed_requests(void **state)
{
    (void)state;
    hostile_lengths(&table);
    hostile_lines(&table);
    hostile_ends(&table);
    hostile_sizes(&table);
    hostile_chunks(&table);
    send_table(110);
}

static void bodies_that_are_none(void **state)
{
    (void)state;
    hostile_types(&table, &jpeg);
    hostile_forms(&table);
    hostile_tensors(&table);
    hostile_image(&table, "JPEG", &jpeg, 20, "/predict");
    hostile_image(&table, "PNG", &png, 20, "/predict");
    hostile_image(&table, "JPEG", &jpeg, 8, "/explain");
    hostile_bomb(&table, "JPEG", &jpeg, "/predict");
    hostile_bomb(&table, "PNG", &png, "/predict");
    hostile_bomb(&table, "PNG", &png, "/explain");
    send_table(100);
}

static void paths_that_climb(void **state)
{
    (void)state;
    hostile_paths(&table);
    send_table(200);
}

static void names_that_are_not_ours(void **state)
{
    (void)state;
    hostile_senders(&table);
    send_table(40);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const more[] = {"--threads", "2", WIRE_MODE, NULL};
    dir = scratch_new();
    scratch_write(dir, "model/empty", "");
    model = cxr_path_join(dir, "model/toy.safetensors");
    assert_non_null(model);
    assert_true(wire_model(model, 1, 32));
    jpeg = fixture("grey.jpg");
    png = fixture("grey_8.png");
    honest = wire_post("/predict", "image/jpeg", jpeg.data, jpeg.len, "close");
    return wire_start(&server, CXR_PROGRAM, dir, model, more) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    const int status = wire_stop(&server);
    cxr_buf log = wire_log(&server);
    const bool clean = status == 0 && log.data != NULL && memmem(log.data, log.len, "Sanitizer", 9) == NULL &&
                       memmem(log.data, log.len, "runtime error", 13) == NULL;
    if (!clean) (void)fprintf(stderr, "wait status %x: %.*s\n", (unsigned)status, (int)log.len, (const char *)log.data);
    wire_free(&server);
    cxr_buf_free(&log), cxr_buf_free(&jpeg), cxr_buf_free(&png), cxr_buf_free(&honest);
    cxr_mem_free(model);
    scratch_remove(dir);
    return clean ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests),
        cmocka_unit_test(bodies_that_are_none),
        cmocka_unit_test(paths_that_climb),
        cmocka_unit_test(names_that_are_not_ours),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
