/* serve_load PORT PATH ANSWERS CLIENTS REQUESTS [TOLERANCE]: clients that keep their connection and ask anew as soon as they are answered,
 * each REQUESTS times, each time about another image, and compare what they are told with ANSWERS: JSON lines that hold an image's
 * path and what is known of it, as `cxr predict --format jsonl` writes them. Prints one object: requests, how many answers were wrong or
 * lost, requests a second, percentiles of the latency. Exit status 1 when one was wrong or lost. One thread, so that the cores are the
 * server's. */
#include "serve/wire.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

enum { CLIENTS_MOST = 1024, REPLY_ROOM = 1 << 16, TOLD_MOST = 5, PATIENCE = 60000 /* ms without any reply */ };

typedef struct question {
    cxr_buf image;
    json_t *answer;
} question;

typedef struct client {
    int fd, left; /* requests to come */
    size_t question, sent, got;
    double began;
    char head[256], reply[REPLY_ROOM];
} client;

static question *questions;
static size_t count, asked;
static client *clients;
static float *times; /* milliseconds */
static size_t answered, wrong;
static int port;
static const char *path;
static double tolerance;

/* ---- Questions ---- */

static bool read_question(const char *line)
{
    json_t *answer = json_loads(line, 0, NULL);
    const char *file = json_string_value(json_object_get(answer, "path"));
    question *q = &questions[count];
    if (file == NULL || cxr_buf_read(&q->image, file, 1 << 25, NULL) != CXR_OK) {
        json_decref(answer);
        return false;
    }
    (void)json_object_del(answer, "path");
    q->answer = answer;
    count++;
    return true;
}

static bool read_questions(const char *file)
{
    cxr_buf all = {0};
    size_t lines = 0;
    char *rest = NULL;
    if (cxr_buf_read(&all, file, (uint64_t)1 << 30, NULL) != CXR_OK) return false;
    char *text = cxr_mem_printf("%.*s", (int)all.len, (const char *)all.data);
    cxr_buf_free(&all);
    for (const char *at = text; at != NULL && (at = strchr(at, '\n')) != NULL; at++) lines++;
    questions = cxr_mem_new(lines + 1, sizeof *questions);
    bool good = questions != NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && good; line = strtok_r(NULL, "\n", &rest))
        good = read_question(line);
    cxr_mem_free(text);
    return good && count > 0;
}

/* Whether all that is known is told; numbers are equal as floats, or nearly. */
static bool holds(const json_t *told, const json_t *known)
{
    const char *key;
    json_t *value;
    if (json_is_number(known) && json_is_number(told)) {
        const double gap = fabs((double)(float)json_number_value(told) - (double)(float)json_number_value(known));
        return gap <= tolerance;
    }
    if (!json_is_object(known)) return json_equal(told, known) != 0;
    bool all = json_is_object(told);
    json_object_foreach((json_t *)(uintptr_t)known, key, value) all = all && holds(json_object_get(told, key), value);
    return all;
}

/* ---- Clients ---- */

static bool watch(int epoll, client *c, uint32_t events, int how)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    return epoll_ctl(epoll, how, c->fd, &e) == 0;
}

static void begin(client *c)
{
    c->question = asked++ % count;
    c->sent = c->got = 0;
    c->began = cxr_now();
    (void)snprintf(c->head, sizeof c->head,
                   "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n", path,
                   questions[c->question].image.len);
}

/* False: the connection is gone. What does not go at once goes when the server has taken some. */
static bool push(int epoll, client *c)
{
    const cxr_buf *image = &questions[c->question].image;
    const size_t head = strlen(c->head), all = head + image->len;
    while (c->sent < all) {
        const size_t past = c->sent > head ? c->sent - head : 0, at = c->sent < head ? c->sent : head;
        struct iovec parts[2] = {{c->head + at, head - at}, {image->data + past, image->len - past}};
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        const ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return watch(epoll, c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        if (n <= 0) return false;
        c->sent += (size_t)n;
    }
    return watch(epoll, c, EPOLLIN, EPOLL_CTL_MOD);
}

static bool open_client(int epoll, client *c)
{
    c->fd = wire_connect(port);
    if (c->fd < 0 || !watch(epoll, c, EPOLLIN, EPOLL_CTL_ADD)) return false;
    begin(c);
    return push(epoll, c);
}

/* Tells the first few of those that are wrong. */
static void judge(const client *c, const wire_reply *r, size_t at, size_t len)
{
    json_t *told = json_loadb(r->bytes + at, len, 0, NULL);
    if (strncmp(r->bytes, "HTTP/1.1 200", 12) != 0 || !holds(told, questions[c->question].answer)) {
        if (wrong++ < TOLD_MOST) (void)fprintf(stderr, "%.*s\n", (int)(at + len), r->bytes);
    }
    json_decref(told);
}

/* 1: a whole reply; 0: not yet; -1: the connection is gone. */
static int pull(client *c)
{
    const ssize_t n = recv(c->fd, c->reply + c->got, sizeof c->reply - c->got, MSG_DONTWAIT);
    size_t at = 0, len = 0;
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) return -1;
    c->got += (size_t)n;
    const wire_reply r = {.bytes = c->reply, .len = c->got};
    if (!wire_body(&r, &at, &len) || c->got < at + len) return 0;
    times[answered++] = (float)(1e3 * (cxr_now() - c->began));
    judge(c, &r, at, len);
    return 1;
}

/* The client's next step; false: it is through. */
static bool step(int epoll, client *c, uint32_t events)
{
    int state = (events & EPOLLIN) != 0 ? pull(c) : 0;
    if (state == 0 && ((events & (EPOLLHUP | EPOLLERR)) != 0 || ((events & EPOLLOUT) != 0 && !push(epoll, c)))) state = -1;
    if (state == 0) return true;
    c->left--;
    if (c->left > 0 && state > 0) {
        begin(c);
        if (push(epoll, c)) return true;
        c->left--;
    }
    (void)close(c->fd);
    return c->left > 0 && open_client(epoll, c);
}

/* Seconds that all took; NAN: nothing could be opened. */
static double run(int total)
{
    struct epoll_event events[CLIENTS_MOST];
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    const double began = cxr_now();
    int working = total;
    for (int i = 0; i < total; i++)
        if (!open_client(epoll, &clients[i])) return NAN;
    while (working > 0) {
        const int n = epoll_wait(epoll, events, CLIENTS_MOST, PATIENCE);
        if (n == 0) break;
        for (int i = 0; i < n; i++) working -= !step(epoll, events[i].data.ptr, events[i].events);
    }
    (void)close(epoll);
    return cxr_now() - began;
}

/* ---- Figures ---- */

static int compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(double share)
{
    return answered > 0 ? (double)times[(size_t)(share * (double)(answered - 1))] : 0.0;
}

int main(int argc, char **argv)
{
    if (argc < 6) return 2;
    const int total = atoi(argv[4]), each = atoi(argv[5]);
    port = atoi(argv[1]);
    path = argv[2];
    tolerance = argc > 6 ? atof(argv[6]) : 0.0;
    if (total < 1 || total > CLIENTS_MOST || each < 1 || !read_questions(argv[3])) return 2;
    const size_t all = (size_t)total * (size_t)each;
    clients = cxr_mem_new((size_t)total, sizeof *clients);
    times = cxr_mem_new(all, sizeof *times);
    if (clients == NULL || times == NULL) return 2;
    for (int i = 0; i < total; i++) clients[i].left = each;
    const double seconds = run(total);
    qsort(times, answered, sizeof *times, compare);
    const size_t lost = all - answered;
    (void)printf("{\"clients\": %d, \"requests\": %zu, \"images\": %zu, \"wrong\": %zu, \"lost\": %zu, \"per_second\": %.1f, "
                 "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"most_ms\": %.3f}\n",
                 total, all, count < all ? count : all, wrong, lost, (double)answered / seconds, percentile(0.5),
                 percentile(0.99), percentile(1.0));
    for (size_t i = 0; i < count; i++) {
        cxr_buf_free(&questions[i].image);
        json_decref(questions[i].answer);
    }
    cxr_mem_free(questions), cxr_mem_free(clients), cxr_mem_free(times);
    return wrong > 0 || lost > 0 ? 1 : 0;
}
