/* The real server as a process of its own, and clients that send it bytes as they are. */
#ifndef CXR_TESTS_SERVE_WIRE_H
#define CXR_TESTS_SERVE_WIRE_H
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/scratch.h"
#include "model/model.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define WIRE_START_SECONDS 60 /* bounds of waits that end much sooner, but in a build that is instrumented */
#define WIRE_REPLY_SECONDS 30
#define WIRE_NO_REPLY      0.2 /* to wait for a reply that need not come */

/* Sanitizers trace the process to find leaks, and start a thread of their own: neither goes with the sandbox. */
#ifdef CXR_SANITIZED
#define WIRE_MODE          "--no-sandbox"
#define WIRE_COUNTS_MEMORY false /* what was freed is kept for a while; leaks are told at the end */
#else
#define WIRE_MODE          "--verbose"
#define WIRE_COUNTS_MEMORY true
#endif

typedef struct wire_server {
    pid_t pid;
    int port;
    char *log; /* file of what it says */
} wire_server;

typedef struct wire_reply {
    int status; /* 0: the connection ended without a whole reply */
    char *bytes, *body;
    size_t len;
    bool late; /* neither a reply nor an end came in time */
} wire_reply;

static inline double wire_limit(double seconds)
{
    return cxr_now() + seconds;
}

static inline void wire_nap(long milliseconds)
{
    const struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* ---- The server ---- */

/* A network of no use, quick to load and run, for size x size pixels; `seed` tells models apart. */
static inline bool wire_model(const char *path, uint64_t seed, int size)
{
    cxr_train_opts o;
    cxr_model *m = NULL;
    cxr_train_opts_default(&o);
    o.preprocess.size = size;
    o.head[0] = 16;
    o.head_count = 1;
    o.seed = seed;
    const bool ok =
        cxr_model_build(&m, &o, NULL, 2, NULL) == CXR_OK && cxr_model_write(m, path, NULL, 0, NULL, 0, NULL) == CXR_OK;
    cxr_model_close(&m);
    return ok;
}

static inline cxr_buf wire_log(const wire_server *s)
{
    cxr_buf log = {0};
    if (cxr_buf_read(&log, s->log, (uint64_t)1 << 30, NULL) != CXR_OK) log = (cxr_buf){0};
    return log;
}

/* The port that the server says it answers at; 0: not yet. */
static inline int wire_port(const wire_server *s)
{
    static const char mark[] = "://127.0.0.1:";
    cxr_buf log = wire_log(s);
    const char *at = log.len > 0 ? memmem(log.data, log.len, mark, sizeof mark - 1) : NULL;
    const char *end = at != NULL ? memchr(at, '\n', log.len - (size_t)(at - (const char *)log.data)) : NULL;
    int port = 0;
    for (const char *digit = end != NULL ? at + sizeof mark - 1 : NULL;
         digit != NULL && digit < end && *digit >= '0' && *digit <= '9'; digit++)
        port = 10 * port + (*digit - '0');
    cxr_buf_free(&log);
    return port;
}

/* Starts `program serve` with a model and up to 16 more words; what it says goes to dir/log. */
static inline bool wire_start(wire_server *s, const char *program, const char *dir, const char *model, const char *const *more)
{
    extern char **environ;
    const char *words[32] = {program, "serve", "--port", "0", "--model", model};
    int count = 6;
    posix_spawn_file_actions_t files;
    for (; more != NULL && *more != NULL; more++) words[count++] = *more;
    *s = (wire_server){.pid = -1, .log = cxr_path_join(dir, "log")};
    if (s->log == NULL || posix_spawn_file_actions_init(&files) != 0) return false;
    (void)posix_spawn_file_actions_addopen(&files, 1, s->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    (void)posix_spawn_file_actions_adddup2(&files, 1, 2);
    const int failed = posix_spawn(&s->pid, program, &files, NULL, (char *const *)(uintptr_t)words, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    const double limit = wire_limit(WIRE_START_SECONDS);
    while (failed == 0 && (s->port = wire_port(s)) == 0 && cxr_now() < limit && waitpid(s->pid, NULL, WNOHANG) == 0)
        wire_nap(10);
    return s->port > 0;
}

/* SIGTERM, and how it ends: the wait status, -1 when it does not. */
static inline int wire_stop(wire_server *s)
{
    int status = -1;
    const double limit = wire_limit(WIRE_REPLY_SECONDS);
    if (s->pid <= 0) return -1;
    (void)kill(s->pid, SIGTERM);
    pid_t ended = 0;
    while ((ended = waitpid(s->pid, &status, WNOHANG)) == 0 && cxr_now() < limit) wire_nap(5);
    if (ended != s->pid) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
        status = -1;
    }
    s->pid = -1;
    return status;
}

static inline void wire_free(wire_server *s)
{
    (void)wire_stop(s);
    cxr_mem_free(s->log);
    s->log = NULL;
}

/* Descriptors that it has open; -1: it is gone. */
static inline int wire_descriptors(const wire_server *s)
{
    char path[64];
    int count = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)s->pid);
    DIR *folder = opendir(path);
    if (folder == NULL) return -1;
    for (const struct dirent *e; (e = readdir(folder)) != NULL;) count += e->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

/* KiB of memory that it fills; -1: it is gone. */
static inline long wire_resident(const wire_server *s)
{
    char path[64];
    long pages[2] = {0, 0};
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)s->pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) return -1;
    const int got = fscanf(f, "%ld %ld", &pages[0], &pages[1]);
    (void)fclose(f);
    return got == 2 ? pages[1] * (sysconf(_SC_PAGESIZE) / 1024) : -1;
}

/* ---- Clients ---- */

static inline int wire_connect(int port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0) return fd;
    if (fd >= 0) (void)close(fd);
    return -1;
}

/* All of it, unless the other side has gone. */
static inline bool wire_send(int fd, const void *bytes, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        const ssize_t n = send(fd, (const char *)bytes + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        sent += (size_t)n;
    }
    return true;
}

/* Where the body begins and how long it is; false: the headers are not whole. */
static inline bool wire_body(const wire_reply *r, size_t *at, size_t *len)
{
    static const char end[] = "\r\n\r\n", name[] = "\r\nContent-Length: ";
    const char *stop = r->len > 0 ? memmem(r->bytes, r->len, end, 4) : NULL;
    if (stop == NULL) return false;
    *at = (size_t)(stop - r->bytes) + 4;
    *len = 0;
    for (const char *line = r->bytes; line < stop; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line, name, sizeof name - 1) == 0) *len = (size_t)strtoull(line + sizeof name - 1, NULL, 10);
    return true;
}

/* One reply to what is not HEAD, read to its end. Free with cxr_mem_free(r.bytes). */
static inline wire_reply wire_receive(int fd, double seconds)
{
    enum { ROOM = 1 << 20 };
    wire_reply r = {.bytes = cxr_mem_new(ROOM + 1, 1)};
    const double limit = wire_limit(seconds);
    size_t at = 0, len = 0;
    while (r.bytes != NULL && r.len < ROOM && !(wire_body(&r, &at, &len) && r.len >= at + len)) {
        struct pollfd p = {fd, POLLIN, 0};
        if (poll(&p, 1, 20) == 0 && cxr_now() > limit) {
            r.late = true;
            break;
        }
        if (p.revents == 0) continue;
        const ssize_t n = recv(fd, r.bytes + r.len, ROOM - r.len, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        r.len += (size_t)n;
    }
    if (r.bytes != NULL && wire_body(&r, &at, &len) && r.len >= at + len && strncmp(r.bytes, "HTTP/1.1 ", 9) == 0) {
        r.status = atoi(r.bytes + 9);
        r.body = r.bytes + at;
    }
    return r;
}

/* On a connection of its own. */
static inline wire_reply wire_ask(int port, const void *bytes, size_t len, double seconds)
{
    wire_reply r = {0};
    const int fd = wire_connect(port);
    if (fd < 0) return r;
    (void)wire_send(fd, bytes, len); /* a server that refuses early may close before all is sent */
    r = wire_receive(fd, seconds);
    (void)close(fd);
    return r;
}

/* A request with a body, as bytes. Free with cxr_buf_free(). */
static inline cxr_buf wire_post(const char *path, const char *type, const void *body, size_t len, const char *connection)
{
    char *head = cxr_mem_printf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                                "Connection: %s\r\n\r\n",
                                path, type, len, connection);
    const size_t at = head != NULL ? strlen(head) : 0;
    cxr_buf request = {cxr_mem_resize(head, at + len, 1), at + len};
    if (request.data != NULL) memcpy(request.data + at, body, len);
    return request;
}
#endif
