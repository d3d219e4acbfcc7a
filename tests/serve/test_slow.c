/* Slow clients are cut by a clock, and only they. The clock is the test's: no test waits. */
#include "base/log.h"
#include "serve/peers.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A connection in that state, with so many bytes of its body received. */
typedef struct slow_case {
    const char *what;
    cxr_peer_state state;
    size_t received;
    double after; /* seconds */
    bool cut;
} slow_case;

static bool is_open(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0; /* nothing has come; 0 were the end */
}

static void who_is_cut(void **state)
{
    static const slow_case cases[] = {
        {"headers in time", CXR_PEER_NEW, 0, 9.9, false},
        {"headers too late", CXR_PEER_NEW, 0, 10.1, true},
        {"idle, as it may be", CXR_PEER_IDLE, 0, 29.9, false},
        {"idle for too long", CXR_PEER_IDLE, 0, 30.1, true},
        {"a body that begins", CXR_PEER_BODY, 0, 4.9, false},
        {"a body that does not come", CXR_PEER_BODY, 0, 5.1, true},
        {"a body that drips", CXR_PEER_BODY, 1024 * 10 - 1, 10.0, true},
        {"a body that flows", CXR_PEER_BODY, 1024 * 11, 10.0, false},
        {"a large body that stops", CXR_PEER_BODY, 1024 * 100, 101.0, true},
        {"work takes its time", CXR_PEER_WORK, 0, 1e6, false},
        {"a reply that is taken", CXR_PEER_REPLY, 0, 59.9, false},
        {"a reply that is not taken", CXR_PEER_REPLY, 0, 60.1, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int ends[2];
        cxr_peers peers;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        cxr_peers_open(&peers);
        cxr_peer *p = cxr_peers_add(&peers, ends[0]), *other = cxr_peers_add(&peers, -1);
        assert_non_null(p);
        assert_non_null(other);
        cxr_peers_set(&peers, p, cases[i].state);
        cxr_peers_set(&peers, other, CXR_PEER_WORK);
        cxr_peers_received(&peers, p, cases[i].received);
        const double now = p->since + cases[i].after;
        cxr_peers_cut(&peers, now);
        if (is_open(ends[1]) == cases[i].cut) fail_msg("%s", cases[i].what);
        assert_int_equal(peers.cut, cases[i].cut);
        cxr_peers_cut(&peers, now + 1.0); /* a second look counts nobody twice */
        if (cases[i].cut) assert_int_equal(peers.cut, 1);
        cxr_peers_remove(&peers, p);
        assert_int_equal(peers.count, 1);
        cxr_peers_close(&peers);
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
}

/* A state begins anew: what came before is not counted. */
static void each_state_has_its_own_time(void **state)
{
    (void)state;
    cxr_peers peers;
    cxr_peers_open(&peers);
    cxr_peer *p = cxr_peers_add(&peers, -1);
    assert_non_null(p);
    p->since -= 100.0;
    cxr_peers_received(&peers, p, 1 << 20);
    cxr_peers_set(&peers, p, CXR_PEER_BODY);
    assert_int_equal(p->received, 0);
    cxr_peers_cut(&peers, cxr_now());
    assert_int_equal(peers.cut, 0);
    cxr_peers_set(&peers, NULL, CXR_PEER_BODY); /* one that memory was not enough for */
    cxr_peers_received(&peers, NULL, 1);
    cxr_peers_close(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_cut),
        cmocka_unit_test(each_state_has_its_own_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
