/* Downloads against a small HTTP server on loopback that can break off, ignore ranges, and answer with errors. */
#include "model/scratch.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/fetch.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define LENGTH 100000

static uint8_t content[LENGTH];
static char hash[65];

static struct {
    int socket, port;
    pthread_t thread;
    /* how it behaves; set between requests */
    atomic_bool ranges;
    atomic_int cuts;      /* connections still to break off */
    atomic_int cut_after; /* bytes of such a connection */
    atomic_int status;    /* 200, or an error to answer with */
    /* what it saw */
    atomic_int requests, sent;
    char request[2048];
} server;

static void send_all(int to, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        const ssize_t n = send(to, (const char *)data + done, len - done, MSG_NOSIGNAL);
        if (n <= 0) return;
        done += (size_t)n;
    }
}

static void answer(int client)
{
    size_t len = 0;
    while (len < sizeof server.request - 1 && strstr(server.request, "\r\n\r\n") == NULL) {
        const ssize_t n = recv(client, server.request + len, sizeof server.request - 1 - len, 0);
        if (n <= 0) return;
        len += (size_t)n;
        server.request[len] = '\0';
    }
    server.requests++;
    size_t from = 0;
    const char *range = strstr(server.request, "Range: bytes=");
    int status = server.status;
    if (range != NULL && server.ranges && status == 200) {
        from = strtoul(range + 13, NULL, 10);
        status = from < LENGTH ? 206 : 416;
    }
    char head[256];
    const size_t body = status < 300 ? LENGTH - from : 0;
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %zu\r\n", status, body);
    if (status == 206)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Range: bytes %zu-%d/%d\r\n", from, LENGTH - 1, LENGTH);
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    send_all(client, head, (size_t)n);
    size_t count = body;
    if (server.cuts > 0 && body > 0) {
        server.cuts--;
        if (count > (size_t)server.cut_after) count = (size_t)server.cut_after;
    }
    server.sent += (int)count;
    send_all(client, content + from, count);
}

static void *serve(void *unused)
{
    (void)unused;
    for (;;) {
        const int client = accept(server.socket, NULL, NULL);
        if (client < 0) return NULL;
        server.request[0] = '\0';
        answer(client);
        (void)shutdown(client, SHUT_WR);
        char rest[64];
        while (recv(client, rest, sizeof rest, 0) > 0) {}
        (void)close(client);
    }
}

static int start(void **state)
{
    for (size_t i = 0; i < LENGTH; i++) content[i] = (uint8_t)cxr_rng_u64(1, i);
    if (scratch_open(state) != 0 || cxr_sha256(content, LENGTH, hash, NULL) != CXR_OK) return 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    server.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server.socket < 0 || bind(server.socket, (struct sockaddr *)&at, len) != 0 || listen(server.socket, 8) != 0) return 1;
    if (getsockname(server.socket, (struct sockaddr *)&at, &len) != 0) return 1;
    server.port = ntohs(at.sin_port);
    return pthread_create(&server.thread, NULL, serve, NULL);
}

static int stop(void **state)
{
    (void)shutdown(server.socket, SHUT_RDWR);
    (void)pthread_join(server.thread, NULL);
    (void)close(server.socket);
    return scratch_close(state);
}

/* A well-behaved server and an empty folder. */
static int fresh(void **state)
{
    (void)state;
    server.ranges = true;
    server.cuts = 0;
    server.status = 200;
    server.requests = server.sent = 0;
    (void)unlink(in_scratch("file.bin"));
    (void)unlink(in_scratch("file.bin.part"));
    return files_in_scratch();
}

static cxr_status fetch_from(const char *base, const char *sha256, uint64_t size, const char *proxy, const cxr_hooks *hooks,
                             cxr_error *err)
{
    char *path = NULL;
    const cxr_remote r = {base, "file.bin", sha256, size};
    const cxr_status st = cxr_fetch(&r, scratch, proxy, hooks, &path, err);
    if (st == CXR_OK) {
        assert_string_equal(path, in_scratch("file.bin"));
    } else {
        assert_null(path);
    }
    cxr_mem_free(path);
    return st;
}

static const char *own_base(void)
{
    static char base[64];
    (void)snprintf(base, sizeof base, "http://127.0.0.1:%d/models/", server.port);
    return base;
}

static cxr_status fetch(cxr_error *err)
{
    *err = (cxr_error){0};
    return fetch_from(own_base(), hash, LENGTH, NULL, NULL, err);
}

static void assert_complete(void)
{
    char got[65];
    assert_int_equal(cxr_sha256_file(in_scratch("file.bin"), got, NULL), CXR_OK);
    assert_string_equal(got, hash);
    assert_int_equal(files_in_scratch(), 1);
}

static void fetches_once(void **state)
{
    (void)state;
    cxr_error err;
    if (fetch(&err) != CXR_OK) fail_msg("%s", err.text);
    assert_complete();
    assert_int_equal(strncmp(server.request, "GET /models/file.bin HTTP/1.1\r\n", 31), 0);
    assert_int_equal(fetch(&err), CXR_OK);
    assert_int_equal(server.requests, 1); /* the second call needed no network */
}

static void resumes_where_it_broke_off(void **state)
{
    (void)state;
    cxr_error err;
    server.cuts = 2;
    server.cut_after = 40000;
    if (fetch(&err) != CXR_OK) fail_msg("%s", err.text);
    assert_complete();
    assert_int_equal(server.requests, 3);
    assert_int_equal(server.sent, LENGTH); /* no byte twice */
}

static void next_call_resumes(void **state)
{
    (void)state;
    cxr_error err;
    server.cuts = 100;
    server.cut_after = 10000;
    assert_int_equal(fetch(&err), CXR_EUNAVAILABLE);
    assert_non_null(strstr(err.text, in_scratch("file.bin")));
    assert_true(cxr_path_exists(in_scratch("file.bin.part")));
    const int before = server.sent;
    assert_true(before >= 10000 && before < LENGTH);
    server.status = 503; /* trouble on the other side does not cost what has arrived */
    assert_int_equal(fetch(&err), CXR_EUNAVAILABLE);
    server.status = 200;
    server.cuts = 0;
    assert_int_equal(fetch(&err), CXR_OK);
    assert_complete();
    assert_int_equal(server.sent, LENGTH);
}

static void starts_over_without_ranges(void **state)
{
    (void)state;
    cxr_error err;
    server.ranges = false;
    server.cuts = 1;
    server.cut_after = 30000;
    if (fetch(&err) != CXR_OK) fail_msg("%s", err.text);
    assert_complete();
}

static void part_that_is_too_long_or_wrong(void **state)
{
    (void)state;
    cxr_error err;
    static const uint8_t longer[LENGTH + 1];
    put_file(in_scratch("file.bin.part"), longer, sizeof longer);
    assert_int_equal(fetch(&err), CXR_OK);
    assert_complete();
    assert_int_equal(fresh(state), 0);
    put_file(in_scratch("file.bin.part"), longer, LENGTH); /* complete by size, other bytes */
    assert_int_equal(fetch(&err), CXR_EDATA);
    assert_int_equal(files_in_scratch(), 0);
    assert_int_equal(server.requests, 0);
}

static void unknown_size_and_short_hash(void **state)
{
    (void)state;
    char prefix[9];
    cxr_error err = {0};
    (void)snprintf(prefix, sizeof prefix, "%.8s", hash);
    server.cuts = 1;
    server.cut_after = 30000;
    if (fetch_from(own_base(), prefix, 0, NULL, NULL, &err) != CXR_OK) fail_msg("%s", err.text);
    assert_complete();
    assert_int_equal(fresh(state), 0);
    put_file(in_scratch("file.bin.part"), content, LENGTH); /* complete, but nobody knows: the server answers 416 */
    assert_int_equal(fetch_from(own_base(), prefix, 0, NULL, NULL, &err), CXR_OK);
    assert_complete();
}

static void wrong_hash(void **state)
{
    (void)state;
    char other[65];
    cxr_error err = {0};
    memcpy(other, hash, sizeof other);
    other[63] = other[63] == '0' ? '1' : '0';
    assert_int_equal(fetch_from(own_base(), other, LENGTH, NULL, NULL, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, hash));
    assert_non_null(strstr(err.text, other));
    assert_int_equal(files_in_scratch(), 0);
}

static void present_file_with_wrong_hash_stays(void **state)
{
    (void)state;
    cxr_error err;
    put_file(in_scratch("file.bin"), "mine", 4);
    assert_int_equal(fetch(&err), CXR_EDATA);
    assert_non_null(strstr(err.text, "move it away"));
    assert_int_equal(server.requests, 0);
    cxr_buf kept;
    assert_int_equal(cxr_buf_read(&kept, in_scratch("file.bin"), 10, NULL), CXR_OK);
    assert_int_equal(kept.len, 4);
    cxr_buf_free(&kept);
}

static void more_than_announced(void **state)
{
    (void)state;
    cxr_error err = {0};
    assert_int_equal(fetch_from(own_base(), hash, LENGTH - 1, NULL, NULL, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "sends more than 99999 bytes"));
    assert_false(cxr_path_exists(in_scratch("file.bin")));
}

static void offline_says_what_to_copy(void **state)
{
    (void)state;
    cxr_error err = {0};
    server.status = 404;
    assert_int_equal(fetch(&err), CXR_EUNAVAILABLE);
    assert_non_null(strstr(err.text, "404"));
    assert_int_equal(fetch_from("http://127.0.0.1:1/", hash, LENGTH, NULL, NULL, &err), CXR_EUNAVAILABLE);
    assert_non_null(strstr(err.text, "copy the file to"));
    assert_non_null(strstr(err.text, in_scratch("file.bin")));
    assert_int_equal(files_in_scratch(), 0);
    assert_int_equal(fetch_from("file:///etc/", hash, LENGTH, NULL, NULL, &err), CXR_EUNAVAILABLE);
}

static bool always(void *user)
{
    (void)user;
    return true;
}

static void stops_when_asked(void **state)
{
    (void)state;
    cxr_error err = {0};
    const cxr_hooks hooks = {.should_stop = always};
    assert_int_equal(fetch_from(own_base(), hash, LENGTH, NULL, &hooks, &err), CXR_ESTOPPED);
    assert_false(cxr_path_exists(in_scratch("file.bin")));
}

typedef struct seen {
    uint64_t done, total;
    bool grows;
} seen;

static void see(void *user, uint64_t done, uint64_t total)
{
    seen *s = user;
    s->grows = s->grows && done >= s->done && total == LENGTH;
    s->done = done;
    s->total = total;
}

static void progress_is_told(void **state)
{
    (void)state;
    cxr_error err = {0};
    seen s = {.grows = true};
    const cxr_hooks hooks = {.transfer = see, .user = &s};
    server.cuts = 1;
    server.cut_after = 30000;
    assert_int_equal(fetch_from(own_base(), hash, LENGTH, NULL, &hooks, &err), CXR_OK);
    assert_true(s.grows);
    assert_int_equal(s.done, LENGTH);
    assert_int_equal(s.total, LENGTH);
}

static void proxy_is_the_argument_only(void **state)
{
    (void)state;
    cxr_error err;
    char proxy[64];
    (void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", server.port);
    assert_int_equal(fetch_from("http://weights.invalid/", hash, LENGTH, proxy, NULL, &err), CXR_OK);
    assert_int_equal(strncmp(server.request, "GET http://weights.invalid/file.bin HTTP/1.1\r\n", 46), 0);
    assert_complete();
    assert_int_equal(fresh(state), 0);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("no_proxy", "*", 1), 0);
    assert_int_equal(fetch_from("http://weights.invalid/", hash, LENGTH, proxy, NULL, &err), CXR_OK);
    assert_int_equal(fresh(state), 0);
    assert_int_equal(unsetenv("no_proxy"), 0);
    assert_int_equal(fetch(&err), CXR_OK);
    assert_int_equal(unsetenv("http_proxy"), 0);
}

static void folder_that_cannot_be(void **state)
{
    (void)state;
    char *path = NULL;
    const cxr_remote r = {own_base(), "file.bin", hash, LENGTH};
    put_file(in_scratch("file.bin"), "", 0);
    assert_int_equal(cxr_fetch(&r, in_scratch("file.bin"), NULL, NULL, &path, NULL), CXR_ECREATE);
    assert_int_equal(cxr_fetch(&r, in_scratch("file.bin/below"), NULL, NULL, &path, NULL), CXR_ECREATE);
    assert_int_equal(cxr_fetch_weights("vgg16", scratch, NULL, NULL, &path, NULL), CXR_EUSAGE);
    assert_null(path);
}

static void every_allocation_can_fail(void **state)
{
    bool fired = true;
    for (long n = 0; fired; n++) {
        assert_int_equal(fresh(state), 0);
        cxr_error err;
        cxr_mem_fail_at(n);
        const cxr_status st = fetch(&err);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(fetches_once, fresh),
        cmocka_unit_test_setup(resumes_where_it_broke_off, fresh),
        cmocka_unit_test_setup(next_call_resumes, fresh),
        cmocka_unit_test_setup(starts_over_without_ranges, fresh),
        cmocka_unit_test_setup(part_that_is_too_long_or_wrong, fresh),
        cmocka_unit_test_setup(unknown_size_and_short_hash, fresh),
        cmocka_unit_test_setup(wrong_hash, fresh),
        cmocka_unit_test_setup(present_file_with_wrong_hash_stays, fresh),
        cmocka_unit_test_setup(more_than_announced, fresh),
        cmocka_unit_test_setup(offline_says_what_to_copy, fresh),
        cmocka_unit_test_setup(stops_when_asked, fresh),
        cmocka_unit_test_setup(progress_is_told, fresh),
        cmocka_unit_test_setup(proxy_is_the_argument_only, fresh),
        cmocka_unit_test_setup(folder_that_cannot_be, fresh),
        cmocka_unit_test_setup(every_allocation_can_fail, fresh),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
