/* No reply is lost: under SIGTERM whoever could connect and sent a whole request gets the whole answer, and the server ends with 0; and
 * so does whoever sends no more after the request. An argument says how many times the server is stopped; CI takes a few. */
#include "base/rng.h"
#include "serve/wire.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 8, TRIALS = 4, HALF_CLOSED = 50 };
static const char *const two_workers[] = {"--threads", "2", WIRE_MODE, NULL};

static int trials = TRIALS;
static char *dir, *model;
static cxr_buf jpeg, request;

typedef struct client {
    pthread_t thread;
    int port;
    int answered, lost;
    atomic_bool *stopped; /* the signal was sent */
} client;

/* A connection for each request, until none can be had. */
static void *ask(void *user)
{
    client *c = user;
    for (;;) {
        const int fd = wire_connect(c->port);
        if (fd < 0 && atomic_load(c->stopped)) return NULL;
        if (fd < 0) {
            c->lost++;
            return NULL;
        }
        wire_reply r = {0};
        if (wire_send(fd, request.data, request.len)) r = wire_receive(fd, WIRE_REPLY_SECONDS);
        (void)close(fd);
        const bool answered = r.status == 200 || (r.status == 503 && atomic_load(c->stopped));
        c->answered += answered;
        c->lost += !answered;
        if (!answered) (void)fprintf(stderr, "status %d, %zu bytes, %s\n", r.status, r.len, r.late ? "late" : "ended");
        cxr_mem_free(r.bytes);
    }
}

static void stop_under_load(int trial)
{
    client clients[CLIENTS];
    atomic_bool stopped = false;
    wire_server server;
    assert_true(wire_start(&server, CXR_PROGRAM, dir, model, two_workers));
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){.port = server.port, .stopped = &stopped};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, ask, &clients[i]), 0);
    }
    wire_nap(20 + (long)(cxr_rng_u64(7, (uint64_t)trial) % 200));
    atomic_store(&stopped, true);
    const int status = wire_stop(&server);
    int answered = 0, lost = 0;
    for (int i = 0; i < CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        answered += clients[i].answered;
        lost += clients[i].lost;
    }
    if (lost > 0 || answered == 0 || status != 0)
        fail_msg("trial %d: %d answered, %d lost, wait status %x", trial, answered, lost, (unsigned)status);
    wire_free(&server);
}

static void no_reply_is_lost(void **state)
{
    (void)state;
    for (int i = 0; i < trials; i++) stop_under_load(i);
}

/* The end of what a client sends comes while its image is computed. */
static void who_sends_no_more_gets_the_reply(void **state)
{
    (void)state;
    wire_server server;
    int lost = 0;
    assert_true(wire_start(&server, CXR_PROGRAM, dir, model, two_workers));
    for (int i = 0; i < HALF_CLOSED; i++) {
        const int fd = wire_connect(server.port);
        assert_true(fd >= 0 && wire_send(fd, request.data, request.len));
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        wire_reply r = wire_receive(fd, WIRE_REPLY_SECONDS);
        lost += r.status != 200;
        cxr_mem_free(r.bytes);
        (void)close(fd);
    }
    const int status = wire_stop(&server);
    wire_free(&server);
    assert_int_equal(lost, 0);
    assert_int_equal(status, 0);
}

static int set_up(void **state)
{
    (void)state;
    dir = scratch_new();
    scratch_write(dir, "model/empty", "");
    model = cxr_path_join(dir, "model/toy.safetensors");
    assert_true(model != NULL && wire_model(model, 1, 32));
    assert_int_equal(cxr_buf_read(&jpeg, FIXTURES "/images/grey.jpg", 1 << 20, NULL), CXR_OK);
    request = wire_post("/predict", "image/jpeg", jpeg.data, jpeg.len, "close");
    return request.data != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_buf_free(&jpeg), cxr_buf_free(&request);
    cxr_mem_free(model);
    scratch_remove(dir);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_reply_is_lost), cmocka_unit_test(who_sends_no_more_gets_the_reply)};
    if (argc > 1) trials = atoi(argv[1]);
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
