/* A server on a free port of loopback, with a small network of random weights, and a client for it. */
#ifndef CXR_TESTS_SERVE_TOY_SERVER_H
#define CXR_TESTS_SERVE_TOY_SERVER_H
#include "model/model.h"
#include "serve/curl.h"
#include "train/toy.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* ---- The server ---- */

typedef struct test_server {
    cxr_serve_opts o;
    cxr_serve_model models[2];
    pthread_t thread;
    atomic_int port; /* 0: not yet; -1: it ended without */
    atomic_bool stop, reload;
    cxr_error error;
    char lines[65536]; /* of the access log */
    char log[8192];
    pthread_mutex_t lock;
} test_server;

static inline bool server_stop_asked(void *user)
{
    return atomic_load(&((test_server *)user)->stop);
}

static inline bool server_reload_asked(void *user)
{
    return atomic_exchange(&((test_server *)user)->reload, false);
}

static inline void server_listening(void *user, int port)
{
    atomic_store(&((test_server *)user)->port, port);
}

static inline void server_append(test_server *s, char *to, size_t room, const char *line)
{
    (void)pthread_mutex_lock(&s->lock);
    const size_t len = strlen(to);
    (void)snprintf(to + len, room - len, "%s\n", line);
    (void)pthread_mutex_unlock(&s->lock);
}

static inline void server_access(void *user, const char *line)
{
    test_server *s = user;
    server_append(s, s->lines, sizeof s->lines, line);
}

static inline void server_log(void *user, cxr_level level, const char *line)
{
    test_server *s = user;
    (void)level;
    server_append(s, s->log, sizeof s->log, line);
}

static inline void *server_run(void *user)
{
    test_server *s = user;
    const cxr_hooks hooks = {.log = {server_log, s}, .should_stop = server_stop_asked, .user = s};
    s->error.status = cxr_serve(&s->o, &hooks, &s->error);
    if (atomic_load(&s->port) == 0) atomic_store(&s->port, -1);
    return NULL;
}

static inline void nap(double seconds)
{
    const struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&t, NULL);
}

/* The defaults, with toy models "toy" and "other" and two workers. */
static inline void server_opts(test_server *s)
{
    memset(s, 0, sizeof *s);
    cxr_serve_opts_default(&s->o);
    s->models[0] = (cxr_serve_model){"toy", toy_path("toy.safetensors")};
    s->models[1] = (cxr_serve_model){"other", toy_path("other.safetensors")};
    s->o.models = s->models;
    s->o.model_count = 1;
    s->o.port = 0;
    s->o.run.threads = 2;
    s->o.listening = server_listening;
    s->o.access = server_access;
    s->o.should_reload = server_reload_asked;
    s->o.user = s;
    (void)pthread_mutex_init(&s->lock, NULL);
}

/* False: it ended at once, with its error. */
static inline bool server_start(test_server *s)
{
    if (pthread_create(&s->thread, NULL, server_run, s) != 0) return false;
    while (atomic_load(&s->port) == 0) nap(0.002);
    if (atomic_load(&s->port) > 0) return true;
    (void)pthread_join(s->thread, NULL);
    return false;
}

static inline cxr_status server_stop(test_server *s)
{
    atomic_store(&s->stop, true);
    (void)pthread_join(s->thread, NULL);
    return s->error.status;
}

/* One that accepts next to nothing: features are to lie within 1e-3 of zero. */
static inline bool give_scope(cxr_model *m)
{
    if (cxr_scope_new(&m->scope, (int)cxr_feature_width(m), 0, NULL) != CXR_OK) return false;
    cxr_bounds_default(&m->scope->bounds);
    m->scope->images = m->scope->held = 1;
    m->scope->rest = 1.0f;
    m->scope->limit = 1e-6;
    return true;
}

/* A network for 32 x 32 pixels with weights of that seed, classes A and B, in root/name; every second one abstains. */
static inline bool toy_model(const char *name, uint64_t seed)
{
    static const char *const classes[] = {"A", "B"};
    cxr_train_opts o = toy_training("unused", "none", 1);
    cxr_model *m = NULL;
    o.seed = seed;
    const bool good = cxr_model_build(&m, &o, classes, 2, NULL) == CXR_OK && (seed % 2 == 1 || give_scope(m)) &&
                      cxr_model_save(m, toy_path(name), false, NULL) == CXR_OK;
    cxr_model_close(&m);
    return good;
}

/* ---- Its client ---- */

/* One request, as ask_url() makes it. */
static inline reply ask(const test_server *s, const char *path, const void *data, size_t len, const char *header)
{
    char url[512];
    CURL *c = curl_easy_init();
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", atomic_load(&s->port), path);
    const reply r = ask_url(c, url, data, len, header);
    curl_easy_cleanup(c);
    return r;
}
#endif
