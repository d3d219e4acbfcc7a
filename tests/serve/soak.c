/* serve_soak PROGRAM FIXTURES SECONDS [strict]: the server under everything at once: honest clients whose answers are known, 200 slow
 * connections, hostile requests, reloads. Says what it saw; exit status 1 when an answer was wrong or missing, a slow connection was
 * not cut, descriptors or memory grew, or the server did not end well. strict: also when slow connections more than double the
 * honest clients' 99th percentile, which takes a quiet machine. */
#include "serve/hostile.h"
#include "serve/wire.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 4, SLOW = 200, SAMPLES_MOST = 1 << 20, POINTS_MOST = 1 << 16 };
#define SLOW_SECONDS     40.0 /* in which a slow connection must have been cut */
#define LONG_SECONDS     600.0
#define GROWTH_SHORT_KIB 32768.0 /* less than a model that was not freed: the allocator has not settled in a short run */
#define GROWTH_LONG_KIB  4096.0

static wire_server server;
static hostiles table;
static cxr_buf request;
static char expected[2][4096]; /* answers of the two models, without what changes */
static atomic_bool stop;
static atomic_int wrong, answered, refused;

typedef enum phase { QUIET, BESIDE_SLOW, MIXED, PHASES } phase;
static atomic_int now_in = QUIET;
static float *times[PHASES]; /* milliseconds */
static atomic_int counts[PHASES];

/* ---- Clients ---- */

/* Cuts the reply where it tells of time. */
static bool opinion(wire_reply *r, const char **text)
{
    char *timing = r->status == 200 ? strstr(r->body, "\"timing\"") : NULL;
    if (timing == NULL) return false;
    *timing = '\0';
    *text = r->body;
    return true;
}

static bool is_expected(wire_reply *r)
{
    const char *text = NULL;
    return opinion(r, &text) && (strcmp(text, expected[0]) == 0 || strcmp(text, expected[1]) == 0);
}

static void *ask(void *unused)
{
    while (!atomic_load(&stop)) {
        const phase p = (phase)atomic_load(&now_in);
        const double began = cxr_now();
        wire_reply r = wire_ask(server.port, request.data, request.len, WIRE_REPLY_SECONDS);
        const int at = atomic_fetch_add(&counts[p], 1);
        if (at < SAMPLES_MOST) times[p][at] = (float)(1e3 * (cxr_now() - began));
        if (!is_expected(&r)) {
            atomic_fetch_add(&wrong, 1);
            (void)fprintf(stderr, "status %d%s: %.300s\n", r.status, r.late ? ", late" : "",
                          r.body != NULL ? r.body : "nothing");
        }
        atomic_fetch_add(&answered, 1);
        cxr_mem_free(r.bytes);
    }
    return unused;
}

static void *attack(void *unused)
{
    for (int i = 0; !atomic_load(&stop); i++) {
        const hostile *h = &table.all[i % table.count];
        wire_reply r = wire_ask(server.port, h->bytes, h->len, h->broken ? WIRE_NO_REPLY : WIRE_REPLY_SECONDS);
        if (r.status >= 200 && r.status < 400) {
            atomic_fetch_add(&wrong, 1);
            (void)fprintf(stderr, "%s: status %d\n", h->label, r.status);
        }
        atomic_fetch_add(&refused, 1);
        cxr_mem_free(r.bytes);
        wire_nap(5);
    }
    return unused;
}

/* Opens connections that send a byte of their headers, then nothing. */
static int open_slow(int sockets[SLOW])
{
    int open = 0;
    for (int i = 0; i < SLOW; i++) {
        sockets[i] = wire_connect(server.port);
        if (sockets[i] >= 0 && wire_send(sockets[i], "P", 1)) open++;
    }
    return open;
}

/* How many are still open after `seconds` at most. */
static int wait_for_cut(int sockets[SLOW], double seconds)
{
    const double limit = wire_limit(seconds);
    int left;
    do {
        left = 0;
        for (int i = 0; i < SLOW; i++) {
            char byte;
            if (sockets[i] < 0) continue;
            const ssize_t n = recv(sockets[i], &byte, 1, MSG_DONTWAIT);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                left++;
                continue;
            }
            (void)close(sockets[i]);
            sockets[i] = -1;
        }
        wire_nap(50);
    } while (left > 0 && cxr_now() < limit);
    return left;
}

/* ---- Figures ---- */

static int compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(phase p, double share)
{
    const int n = atomic_load(&counts[p]) < SAMPLES_MOST ? atomic_load(&counts[p]) : SAMPLES_MOST;
    if (n == 0) return 0.0;
    qsort(times[p], (size_t)n, sizeof *times[p], compare);
    return (double)times[p][(int)(share * (n - 1))];
}

typedef struct points {
    double kib[POINTS_MOST]; /* filled memory, ten times a second */
    int count, descriptors_most;
} points;

/* KiB at least that were filled in a quarter of the run; a reload fills more for a while. */
static double floor_of(const points *p, int quarter)
{
    double least = 1e18;
    for (int i = p->count * quarter / 4; i < p->count * (quarter + 1) / 4; i++)
        if (p->kib[i] < least) least = p->kib[i];
    return least;
}

/* ---- The run ---- */

static bool expect(int which)
{
    wire_reply r = wire_ask(server.port, request.data, request.len, WIRE_REPLY_SECONDS);
    const char *text = NULL;
    const bool ok = opinion(&r, &text);
    if (ok) (void)snprintf(expected[which], sizeof expected[which], "%s", text);
    cxr_mem_free(r.bytes);
    return ok;
}

/* Both models' answers, by way of a reload. */
static bool learn(const char *model)
{
    const double limit = wire_limit(WIRE_REPLY_SECONDS);
    if (!expect(0) || !wire_model(model, 2, 32) || kill(server.pid, SIGHUP) != 0) return false;
    do {
        wire_nap(20);
        if (!expect(1)) return false;
    } while (strcmp(expected[0], expected[1]) == 0 && cxr_now() < limit);
    return strcmp(expected[0], expected[1]) != 0;
}

static void watch(points *p, const char *model, double seconds)
{
    const double began = cxr_now();
    for (int i = 0; cxr_now() - began < seconds; i++) {
        wire_nap(100);
        const int descriptors = wire_descriptors(&server);
        if (descriptors > p->descriptors_most) p->descriptors_most = descriptors;
        if (p->count < POINTS_MOST) p->kib[p->count++] = (double)wire_resident(&server);
        if (i % 30 == 29 && wire_model(model, (uint64_t)(1 + i / 30 % 2), 32)) (void)kill(server.pid, SIGHUP);
    }
}

static int report(const points *p, double seconds, int slow_opened, int slow_left, int before, int after, int status,
                  bool strict)
{
    const double growth = floor_of(p, 3) - floor_of(p, 1), quiet = percentile(QUIET, 0.99),
                 beside = percentile(BESIDE_SLOW, 0.99);
    (void)printf("%d answers, %d hostile requests, %d wrong or missing\n", atomic_load(&answered), atomic_load(&refused),
                 atomic_load(&wrong));
    (void)printf("99th percentile: %.2f ms quiet, %.2f ms beside %d slow connections, %.2f ms in the mix\n", quiet, beside,
                 slow_opened, percentile(MIXED, 0.99));
    (void)printf("slow connections that were not cut: %d\n", slow_left);
    (void)printf("descriptors: %d before, %d after, %d at most\n", before, after, p->descriptors_most);
    (void)printf("memory: at least %.0f KiB in the last quarter of the mix, %+.0f KiB from the second\n", floor_of(p, 3),
                 growth);
    (void)printf("the server ended with wait status %x\n", (unsigned)status);
    const bool flat = !WIRE_COUNTS_MEMORY || growth < (seconds < LONG_SECONDS ? GROWTH_SHORT_KIB : GROWTH_LONG_KIB);
    const bool good = atomic_load(&wrong) == 0 && atomic_load(&answered) > 0 && slow_opened == SLOW && slow_left == 0 &&
                      after <= before && flat && status == 0 && (!strict || beside <= 2 * quiet);
    (void)printf("%s\n", good ? "good" : "NOT GOOD");
    return good ? 0 : 1;
}

static int soak(const char *program, const char *dir, const char *model, double seconds, bool strict)
{
    static points p;
    static int slow[SLOW];
    static const char *const more[] = {"--threads", "2", WIRE_MODE, NULL};
    pthread_t clients[CLIENTS], attacker;
    if (!wire_start(&server, program, dir, model, more) || !learn(model)) return 1;
    wire_nap(200);
    const int before = wire_descriptors(&server);
    for (int i = 0; i < CLIENTS; i++)
        if (pthread_create(&clients[i], NULL, ask, NULL) != 0) return 1;
    wire_nap((long)(100 * seconds));
    atomic_store(&now_in, BESIDE_SLOW);
    const int opened = open_slow(slow);
    wire_nap((long)(100 * seconds));
    atomic_store(&now_in, MIXED);
    if (pthread_create(&attacker, NULL, attack, NULL) != 0) return 1;
    watch(&p, model, 0.8 * seconds);
    const int left = wait_for_cut(slow, SLOW_SECONDS);
    atomic_store(&stop, true);
    for (int i = 0; i < CLIENTS; i++) (void)pthread_join(clients[i], NULL);
    (void)pthread_join(attacker, NULL);
    const double limit = wire_limit(SLOW_SECONDS);
    while (wire_descriptors(&server) > before && cxr_now() < limit) wire_nap(20);
    const int after = wire_descriptors(&server);
    return report(&p, seconds, opened, left, before, after, wire_stop(&server), strict);
}

static void fill(const cxr_buf *jpeg, const cxr_buf *png)
{
    hostile_lengths(&table);
    hostile_lines(&table);
    hostile_ends(&table);
    hostile_sizes(&table);
    hostile_chunks(&table);
    hostile_types(&table, jpeg);
    hostile_forms(&table);
    hostile_tensors(&table);
    hostile_image(&table, "JPEG", jpeg, 10, "/predict");
    hostile_image(&table, "PNG", png, 10, "/explain");
    hostile_bomb(&table, "PNG", png, "/predict");
    hostile_senders(&table);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/cxr-soak-XXXXXX", path[512];
    cxr_buf jpeg = {0}, png = {0};
    if (argc < 4 || mkdtemp(dir) == NULL) return 2;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(path, sizeof path, "%s/images/grey.jpg", argv[2]);
    if (cxr_buf_read(&jpeg, path, 1 << 20, NULL) != CXR_OK) return 2;
    (void)snprintf(path, sizeof path, "%s/images/grey_8.png", argv[2]);
    if (cxr_buf_read(&png, path, 1 << 20, NULL) != CXR_OK) return 2;
    (void)snprintf(path, sizeof path, "%s/toy.safetensors", dir);
    request = wire_post("/predict", "image/jpeg", jpeg.data, jpeg.len, "close");
    fill(&jpeg, &png);
    for (int i = 0; i < PHASES; i++) times[i] = cxr_mem_new(SAMPLES_MOST, sizeof *times[i]);
    int bad = wire_model(path, 1, 32) ? soak(argv[1], dir, path, atof(argv[3]), argc > 4) : 2;
    cxr_buf log = wire_log(&server);
    if (log.data != NULL &&
        (memmem(log.data, log.len, "Sanitizer", 9) != NULL || memmem(log.data, log.len, "runtime error", 13) != NULL)) {
        (void)fprintf(stderr, "%.*s\n", (int)log.len, (const char *)log.data);
        bad = 1;
    }
    wire_free(&server);
    hostile_free(&table);
    cxr_buf_free(&log), cxr_buf_free(&jpeg), cxr_buf_free(&png), cxr_buf_free(&request);
    for (int i = 0; i < PHASES; i++) cxr_mem_free(times[i]);
    scratch_remove(cxr_mem_strdup(dir));
    return bad;
}
