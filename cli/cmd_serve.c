/* cxr serve: answers over HTTP until it is told to stop. */
#include "shared.h"
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST_HOSTS  64
#define LARGE_BLOCK (4 << 20) /* bytes; such blocks go back to the system when freed, and a reload leaves no holes */

typedef struct serve_args {
    cxr_serve_opts opts;
    cxr_serve_model models[CXR_MAX_SERVED];
    const char *given[CXR_MAX_SERVED]; /* NAME=FILE or FILE */
    char *texts[2 * CXR_MAX_SERVED];   /* names and paths of models, to be freed */
    int given_count, text_count;
    const char *hosts[MOST_HOSTS];
    int host_count;
    bool no_sandbox;
    unsigned device, precision;
    cxr_talk talk;
} serve_args;

static void defaults(void *args)
{
    serve_args *a = args;
    cxr_serve_opts_default(&a->opts);
    a->device = a->opts.run.device;
    a->precision = a->opts.run.precision;
}

static const char *add_model(void *args, const char *text)
{
    serve_args *a = args;
    if (*text == '\0' || a->given_count == CXR_MAX_SERVED) return "NAME=FILE or a file, at most 16 times";
    a->given[a->given_count++] = text;
    return NULL;
}

static const char *add_host(void *args, const char *text)
{
    serve_args *a = args;
    if (*text == '\0' || a->host_count == MOST_HOSTS) return "a host name, at most 64 times";
    a->hosts[a->host_count++] = text;
    return NULL;
}

#define FILLS(field) CXR_FILLS(serve_args, field)

static const cxr_option options[] = {
    {.name = "model",
     .letter = 'm',
     .group = "Options",
     .kind = CXR_ARG_TEXT,
     .value = "NAME=FILE",
     .parse = add_model,
     .help = "model file or run folder, and what it is called in addresses; repeat it for several, the first answers who names "
             "none (default: the one that comes with cxr, called cxr)"},
    {.name = "listen",
     FILLS(opts.listen),
     .value = "ADDRESS",
     .help = "address in digits; one that other machines reach needs --token-file"},
    {.name = "port", .letter = 'p', FILLS(opts.port), .value = "N", .high = 65535, .help = "port; 0: any that is free"},
    {.name = "token-file",
     FILLS(opts.token_file),
     .value = "FILE",
     .help = "file whose first line every request must bring, as `Authorization: Bearer TOKEN`"},
    {.name = "host",
     .kind = CXR_ARG_TEXT,
     .value = "NAME",
     .parse = add_host,
     .help = "a name that clients may call this server by, beside localhost and digits; repeat it for several"},
    {.name = "cert", FILLS(opts.certificate), .value = "FILE", .help = "certificate, PEM: serve https"},
    {.name = "key", FILLS(opts.key), .value = "FILE", .help = "its key, PEM"},
    {.name = "batch",
     .letter = 'b',
     FILLS(opts.run.batch_size),
     .value = "N",
     .low = 1,
     .high = 64,
     .help = "most images computed at once: more of them a second under load, each a little later"},
    {.name = "max-wait",
     FILLS(opts.max_wait_ms),
     .value = "MS",
     .high = 1000,
     .help = "how long an image waits for others to be computed with"},
    {.name = "queue",
     FILLS(opts.queue),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "images that may wait; with more the answer is 503"},
    {.name = "connections", FILLS(opts.connections), .value = "N", .low = 1, .high = 65536, .help = "connections at once"},
    {.name = "connections-per-address",
     FILLS(opts.connections_per_address),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "of them from one address"},
    {.name = "no-sandbox",
     FILLS(no_sandbox),
     .help = "keep all rights of the user: files, system calls, new connections; for debuggers and sanitizers"},
    CXR_OPTION_MAX_PIXELS(FILLS(opts.run.limits.max_pixels)),
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_PRECISION(FILLS(precision)),
    CXR_OPTION_THREADS(FILLS(opts.run.threads)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

/* ---- Models ---- */

static cxr_status keep(serve_args *a, char *text, const char **out, cxr_error *err)
{
    *out = text;
    if (text == NULL) return cxr_fail(err, CXR_ENOMEM, "no memory for a model's name");
    a->texts[a->text_count++] = text;
    return CXR_OK;
}

/* The best model of a run folder; else the file itself. */
static char *model_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode) ? cxr_join(path, "weights/best.safetensors") : strdup(path);
}

/* NAME=FILE, or a file whose own name is the model's. */
static cxr_status name_model(serve_args *a, const char *given, cxr_serve_model *m, cxr_error *err)
{
    const char *equals = strchr(given, '='), *slash = strchr(given, '/');
    const bool named = equals != NULL && (slash == NULL || equals < slash);
    const char *path = named ? equals + 1 : given, *last = strrchr(path, '/');
    const char *start = named ? given : last != NULL ? last + 1 : path;
    const size_t len = named ? (size_t)(equals - given) : strcspn(start, ".");
    const cxr_status st = keep(a, strndup(start, len), &m->name, err);
    return st == CXR_OK ? keep(a, model_file(path), &m->path, err) : st;
}

static cxr_status name_models(serve_args *a, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (int i = 0; i < a->given_count && st == CXR_OK; i++) st = name_model(a, a->given[i], &a->models[i], err);
    if (a->given_count == 0) {
        char *shipped = NULL;
        st = cxr_shipped_model(&shipped, err);
        a->models[0].name = "cxr";
        if (st == CXR_OK) st = keep(a, shipped, &a->models[0].path, err);
    }
    a->opts.models = a->models;
    a->opts.model_count = a->given_count > 0 ? a->given_count : 1;
    return st;
}

/* ---- Running ---- */

static volatile sig_atomic_t reload_asked;

static void on_hangup(int number)
{
    (void)number;
    reload_asked = 1;
}

static bool should_reload(void *user)
{
    (void)user;
    const bool asked = reload_asked != 0;
    reload_asked = 0;
    return asked;
}

static void on_access(void *user, const char *line)
{
    (void)user;
    (void)printf("%s\n", line);
    (void)fflush(stdout);
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    serve_args *a = args;
    const struct sigaction hangup = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    (void)given;
    a->opts.run.device = a->device;
    a->opts.run.precision = a->precision;
    a->opts.run.threads = cxr_threads(a->opts.run.threads);
    a->opts.hosts = a->hosts;
    a->opts.host_count = a->host_count;
    a->opts.should_reload = should_reload;
    a->opts.sandbox = !a->no_sandbox;
    if (!a->talk.quiet) a->opts.access = on_access;
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), false);
    cxr_console_catch_signals();
    (void)sigaction(SIGHUP, &hangup, NULL);
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    (void)signal(SIGPIPE, SIG_IGN); /* of whoever reads the log, too: the server goes on */
    cxr_status st = name_models(a, err);
    if (st == CXR_OK) st = cxr_serve(&a->opts, hooks, err);
    for (int i = 0; i < a->text_count; i++) free(a->texts[i]);
    return st;
}

const cxr_command cxr_command_serve = {
    .name = "serve",
    .summary = "answer over HTTP",
    .synopsis = {"[OPTION]..."},
    .about =
        "Classifies images and draws heat maps for whoever asks over HTTP: POST /predict and /explain with a JPEG or PNG file "
        "as "
        "the body, the Open Inference Protocol under /v2, figures for Prometheus at /metrics, a description of all that at "
        "/openapi.json. docs/serving.md tells more.\n\n"
        "Each request is a line of JSON on standard output, unless --quiet. Images stay on the machine and are not kept.\n\n"
        "SIGTERM and SIGINT let the requests at hand end, with exit status 0; a second one ends at once. SIGHUP reads the "
        "model "
        "files again.",
    .examples = {{"a model; `curl --data-binary @x.jpeg localhost:8080/predict` asks it", "cxr serve --model a=runs/finetune"},
                 {"two models, for other machines",
                  "cxr serve -m a=runs/a -m b=runs/b --listen 0.0.0.0 --token-file token --cert server.pem --key server.key"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_max = 0,
    .operand = "operand",
    .args_size = sizeof(serve_args),
    .defaults = defaults,
    .run = run,
};
