/* The door: the listening socket, the daemon behind it, and how it shuts without losing a request. */
#include "base/log.h"
#include "serve/server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define POOL  ((size_t)64 << 10) /* of a connection: headers of CXR_HEADERS_MOST fit, parsed */
#define QUIET 0.1                /* seconds without a request, after which what is left of connections is idle */

static bool make_address(struct sockaddr_storage *out, socklen_t *len, const char *text, int port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    const char *digits = strcmp(text, "localhost") == 0 ? "127.0.0.1" : text;
    if (inet_pton(AF_INET, digits, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof v4);
        *len = sizeof v4;
        return true;
    }
    memcpy(out, &v6, sizeof v6);
    *len = sizeof v6;
    return inet_pton(AF_INET6, digits, &v6.sin6_addr) == 1;
}

static int port_of(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0) return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port);
}

cxr_status cxr_http_open(cxr_server *s, cxr_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t len = 0;
    const int on = 1;
    if (!make_address(&address, &len, s->o.listen, s->o.port))
        return cxr_fail(err, CXR_EUSAGE, "%s is no address to listen on", s->o.listen);
    s->socket = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->socket >= 0) (void)setsockopt(s->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (s->socket < 0 || bind(s->socket, (const struct sockaddr *)&address, len) != 0 || listen(s->socket, SOMAXCONN) != 0)
        return cxr_fail(err, CXR_EUNAVAILABLE, "cannot listen on %s, port %d: %s", s->o.listen, s->o.port, strerror(errno));
    s->port = port_of(s->socket);
    return CXR_OK;
}

cxr_status cxr_http_start(cxr_server *s, cxr_error *err)
{
    const struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls.certificate},
                                         {MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls.key},
                                         {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)CXR_TLS_VERSIONS},
                                         {MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    const unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (s->guard.tls ? MHD_USE_TLS : 0u);
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, cxr_http_request, s, MHD_OPTION_LISTEN_SOCKET, s->socket, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)s->o.connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)s->o.connections_per_address,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CXR_IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL,
        MHD_OPTION_URI_LOG_CALLBACK, cxr_http_line, s, MHD_OPTION_NOTIFY_COMPLETED, cxr_http_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, cxr_http_connection, s, MHD_OPTION_ARRAY, s->guard.tls ? tls : none, MHD_OPTION_END);
    if (s->daemon != NULL) return CXR_OK;
    return cxr_fail(err, CXR_EUNAVAILABLE, "the server cannot start%s",
                    s->guard.tls ? ": the TLS library does not take the certificate or its key" : "");
}

/* From now on a SYN is dropped, so that no connection can begin between the last one taken and the socket's end; its sender tries
 * again and is refused, which loses no request. The filter sees the TCP header, whose byte 13 has the flags. */
static void let_none_begin(int fd)
{
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* Connections that clients see as open but nobody has taken yet would be reset with the socket, and their requests lost. */
static void take_waiting(cxr_server *s)
{
    for (;;) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        const int fd = accept4(s->socket, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno != EINTR) return;
        if (fd >= 0) (void)MHD_add_connection(s->daemon, fd, (const struct sockaddr *)&from, len); /* closes it on failure */
    }
}

void cxr_http_drain(cxr_server *s, double seconds)
{
    const struct timespec nap = {0, 5000000};
    const double began = cxr_now();
    double last = began;
    uint64_t left = 1;
    if (s->daemon == NULL) return;
    atomic_store(&s->draining, true);
    if (MHD_quiesce_daemon(s->daemon) == MHD_INVALID_SOCKET) return;
    let_none_begin(s->socket);
    take_waiting(s);
    (void)nanosleep(&nap, NULL); /* a handshake that was under way ends */
    take_waiting(s);
    (void)close(s->socket);
    s->socket = -1;
    while (left > 0 && cxr_now() - began < seconds && cxr_now() - last < QUIET) {
        (void)nanosleep(&nap, NULL);
        cxr_peers_cut(&s->peers, cxr_now());
        (void)pthread_mutex_lock(&s->peers.lock);
        left = s->peers.count;
        (void)pthread_mutex_unlock(&s->peers.lock);
        if (atomic_load(&s->at_hand) > 0) last = cxr_now();
    }
}

void cxr_http_close(cxr_server *s)
{
    if (s->daemon != NULL) MHD_stop_daemon(s->daemon);
    if (s->socket >= 0) (void)close(s->socket);
    s->daemon = NULL;
    s->socket = -1;
}
