/* cxr_serve(): models and workers, then the door, then the wait for the end. */
#include "backend/onednn.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/sandbox.h"
#include "serve/server.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define DRAIN_SECONDS 30.0
#define NAP_SECONDS   0.05
#define KERNELS       16384 /* more than 16 models have: a reload in the sandbox can make none */

void cxr_serve_opts_default(cxr_serve_opts *o)
{
    *o = (cxr_serve_opts){.listen = "127.0.0.1", .port = 8080, .max_wait_ms = 2, .queue = 256};
    o->connections = 1024;
    o->connections_per_address = 512;
    cxr_run_opts_default(&o->run);
    o->run.batch_size = 1;
    o->run.limits = (cxr_limits){.max_pixels = 50000000, .max_bytes = CXR_BODY_MOST, .max_scans = 100};
}

/* ---- Options ---- */

static bool is_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t len = strlen(name);
    return len >= 1 && len < CXR_SERVED_NAME && strspn(name, allowed) == len;
}

static cxr_status check_models(const cxr_serve_opts *o, cxr_error *err)
{
    if (o->model_count < 1 || o->model_count > CXR_MAX_SERVED)
        return cxr_fail(err, CXR_EUSAGE, "%d models cannot be served: 1 to %d can", o->model_count, CXR_MAX_SERVED);
    for (int i = 0; i < o->model_count; i++) {
        if (!is_name(o->models[i].name))
            return cxr_fail(err, CXR_EUSAGE, "a model cannot be called '%s': 1 to %d letters, digits, '.', '_' and '-' can",
                            o->models[i].name, CXR_SERVED_NAME - 1);
        for (int k = 0; k < i; k++)
            if (strcmp(o->models[i].name, o->models[k].name) == 0)
                return cxr_fail(err, CXR_EUSAGE, "two models are called '%s'", o->models[i].name);
    }
    return CXR_OK;
}

static cxr_status check_number(const char *name, double value, double low, double high, cxr_error *err)
{
    if (value >= low && value <= high) return CXR_OK;
    return cxr_fail(err, CXR_EUSAGE, "%s is %g: it must be from %g to %g", name, value, low, high);
}

static cxr_status check_numbers(const cxr_serve_opts *o, cxr_error *err)
{
    cxr_status st = check_number("port", o->port, 0, 65535, err);
    if (st == CXR_OK) st = check_number("batch size", o->run.batch_size, 1, 64, err);
    if (st == CXR_OK) st = check_number("threads", o->run.threads, 0, 1024, err);
    if (st == CXR_OK) st = check_number("longest wait", o->max_wait_ms, 0, 1000, err);
    if (st == CXR_OK) st = check_number("queue", o->queue, 1, 65536, err);
    if (st == CXR_OK) st = check_number("connections", o->connections, 1, 65536, err);
    if (st == CXR_OK) st = check_number("connections per address", o->connections_per_address, 1, 65536, err);
    if (st == CXR_OK) st = check_number("host names", o->host_count, 0, 64, err);
    if (st == CXR_OK && o->run.tta != CXR_TTA_NONE)
        st = cxr_fail(err, CXR_EUSAGE, "a server answers about the image as it is: no test-time augmentation");
    return st;
}

static cxr_status check_door(cxr_server *s, cxr_error *err)
{
    const cxr_serve_opts *o = &s->o;
    bool v6 = false;
    if (o->listen == NULL || !cxr_address_read(o->listen, &s->guard.loopback, &v6))
        return cxr_fail(err, CXR_EUSAGE, "%s is no address to listen on: it must be one in digits, or localhost",
                        o->listen == NULL ? "nothing" : o->listen);
    if (!s->guard.loopback && o->token_file == NULL)
        return cxr_fail(err, CXR_EUSAGE, "%s can be reached from other machines: that needs a token file", o->listen);
    if ((o->certificate == NULL) != (o->key == NULL))
        return cxr_fail(err, CXR_EUSAGE, "a certificate and its key belong together");
    s->guard.tls = o->certificate != NULL;
    s->guard.hosts = o->hosts;
    s->guard.host_count = o->host_count;
    const cxr_status st = s->guard.tls ? cxr_tls_open(&s->tls, o->certificate, o->key, err) : CXR_OK;
    return st == CXR_OK && o->token_file != NULL ? cxr_guard_read_token(&s->guard, o->token_file, err) : st;
}

/* ---- Running ---- */

/* Models are warm, files read, the socket is open, and this is the only thread: what the process needs no more can be given up here,
 * and all threads to come inherit that. */
static cxr_status lock_down(cxr_server *s, cxr_error *err)
{
    const char *files[CXR_MAX_SERVED];
    if (!s->o.sandbox) {
        cxr_log(s->hooks, CXR_WARNING, "no sandbox: whoever takes this process over may do what its user may");
        return CXR_OK;
    }
    for (int i = 0; i < s->o.model_count; i++) files[i] = s->o.models[i].path;
    return cxr_sandbox_enter(&(cxr_sandbox){files, (size_t)s->o.model_count}, s->hooks, err);
}

static void reload(cxr_server *s)
{
    cxr_menu now, before;
    cxr_error err = {0};
    if (cxr_menu_open(&now, &s->o, s->workers, &err) != CXR_OK) {
        cxr_log(s->hooks, CXR_WARNING, "not reloaded, the old models stay: %s%s", err.text,
                s->o.sandbox ? " (in the sandbox, files of other folders and networks of another shape need a restart)" : "");
        return;
    }
    (void)pthread_mutex_lock(&s->menu_lock);
    before = s->menu;
    s->menu = now;
    (void)pthread_mutex_unlock(&s->menu_lock);
    cxr_menu_close(&before);
    for (int i = 0; i < now.count; i++)
        cxr_log(s->hooks, CXR_INFO, "reloaded %s, id %s", now.served[i]->name, now.served[i]->id);
}

static void run(cxr_server *s)
{
    const struct timespec nap = {0, (long)(NAP_SECONDS * 1e9)};
    while (!cxr_stop_asked(s->hooks)) {
        if (s->o.should_reload != NULL && s->o.should_reload(s->o.user)) reload(s);
        cxr_peers_cut(&s->peers, cxr_now());
        (void)nanosleep(&nap, NULL);
    }
}

static void announce(const cxr_server *s, double seconds)
{
    const bool v6 = strchr(s->o.listen, ':') != NULL;
    for (int i = 0; i < s->menu.count; i++)
        cxr_log(s->hooks, CXR_INFO, "model %s, id %s: %s", s->menu.served[i]->name, s->menu.served[i]->id, s->o.models[i].path);
    cxr_log(s->hooks, CXR_INFO, "listening on %s://%s%s%s:%d, ready after %.0f ms", s->guard.tls ? "https" : "http",
            v6 ? "[" : "", s->o.listen, v6 ? "]" : "", s->port, 1e3 * seconds);
    if (s->o.listening != NULL) s->o.listening(s->o.user, s->port);
}

cxr_status cxr_serve(const cxr_serve_opts *opts, const cxr_hooks *hooks, cxr_error *err)
{
    const double began = cxr_now();
    cxr_server *s = cxr_mem_new(1, sizeof *s);
    if (s == NULL) return cxr_mem_fail(err, "the server");
    *s = (cxr_server){.o = *opts, .hooks = hooks, .socket = -1};
    s->o.run.deterministic = true; /* what kernels were timed before must not change an answer */
    s->o.run.cache_dir = NULL;
    (void)pthread_mutex_init(&s->menu_lock, NULL);
    cxr_peers_open(&s->peers);
    if (getrandom(&s->instance, sizeof s->instance, 0) != sizeof s->instance) s->instance = (uint64_t)(began * 1e9);
    cxr_status st = check_models(opts, err);
    if (st == CXR_OK) st = check_numbers(opts, err);
    if (st == CXR_OK) st = check_door(s, err);
    s->workers = opts->run.threads > 0 ? opts->run.threads : cxr_thread_grant();
    cxr_onednn_keep_kernels(KERNELS);
    if (st == CXR_OK) st = cxr_menu_open(&s->menu, &s->o, s->workers, err);
    if (st == CXR_OK) st = cxr_http_open(s, err);
    if (st == CXR_OK) st = lock_down(s, err);
    if (st == CXR_OK) st = cxr_crew_open(&s->crew, &s->o, s->workers, err);
    if (st == CXR_OK) st = cxr_http_start(s, err);
    if (st == CXR_OK) {
        announce(s, cxr_now() - began);
        run(s);
        cxr_http_drain(s, DRAIN_SECONDS);
    }
    cxr_crew_close(&s->crew); /* what waits for it is resumed before the daemon ends */
    cxr_http_close(s);
    cxr_tls_close(&s->tls);
    cxr_menu_close(&s->menu);
    cxr_peers_close(&s->peers);
    (void)pthread_mutex_destroy(&s->menu_lock);
    cxr_mem_free(s);
    return st;
}
