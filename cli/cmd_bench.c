/* cxr bench: how fast each stage is on this machine. */
#include "shared.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

extern const cxr_command cxr_command_bench;

typedef enum format { TABLE, CSV, JSON } format;

typedef struct bench_args {
    cxr_bench_opts opts;
    bool quick, no_limit;
    unsigned format;
    cxr_talk talk;
} bench_args;

static const char *const stage_words[CXR_STAGES + 1] = {"decode",         "transform", "forward", "frozen", "train-forward",
                                                        "train-backward", "optimizer", "step",    NULL};
static const char *const format_words[] = {"table", "csv", "json", NULL};

static void defaults(void *args)
{
    cxr_bench_opts_default(&((bench_args *)args)->opts);
}

/* ---- Lists ---- */

/* Numbers between commas; false when one is not from low to high or there are too many. */
static bool take_numbers(const char *text, uint64_t low, uint64_t high, int *items, int *count)
{
    char word[16];
    for (*count = 0; *count < CXR_BENCH_LIST; text++) {
        uint64_t v = 0;
        const size_t n = strcspn(text, ",");
        if (n >= sizeof word) return false;
        (void)snprintf(word, sizeof word, "%.*s", (int)n, text);
        if (!cxr_parse_uint(word, low, high, &v)) return false;
        items[(*count)++] = (int)v;
        text += n;
        if (*text == '\0') return true;
    }
    return false;
}

/* Words between commas, of the first `known`. */
static bool take_words(const char *text, const char *const *words, int known, bool *chosen)
{
    for (int i = 0; i < known; i++) chosen[i] = false;
    for (;; text++) {
        const size_t n = strcspn(text, ",");
        int i = 0;
        while (i < known && (strlen(words[i]) != n || strncmp(words[i], text, n) != 0)) i++;
        if (i == known) return false;
        chosen[i] = true;
        text += n;
        if (*text == '\0') return true;
    }
}

static const char *use_stages(void *args, const char *text)
{
    bench_args *a = args;
    return take_words(text, stage_words, CXR_STAGES, a->opts.stages)
               ? NULL
               : "some of decode,transform,forward,frozen,train-forward,train-backward,optimizer,step";
}

static const char *use_precisions(void *args, const char *text)
{
    bench_args *a = args;
    return take_words(text, cxr_words_precision, CXR_PRECISION_AUTO, a->opts.precisions) ? NULL : "some of f32,bf16,int8";
}

static const char *use_batches(void *args, const char *text)
{
    cxr_bench_opts *o = &((bench_args *)args)->opts;
    return take_numbers(text, 1, 1024, o->batches, &o->batch_count) ? NULL : "up to 8 numbers from 1 to 1024, as 1,8,64";
}

static const char *use_sizes(void *args, const char *text)
{
    cxr_bench_opts *o = &((bench_args *)args)->opts;
    return take_numbers(text, 32, 1024, o->sizes, &o->size_count) ? NULL : "up to 8 numbers from 32 to 1024, as 128,224";
}

static const char *use_threads(void *args, const char *text)
{
    cxr_bench_opts *o = &((bench_args *)args)->opts;
    return take_numbers(text, 0, 1024, o->threads, &o->thread_count) ? NULL : "up to 8 numbers from 0 to 1024, as 1,0";
}

static void show_numbers(const int *items, int count, char *out, size_t room)
{
    size_t used = 0;
    for (int i = 0; i < count && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%d", i > 0 ? "," : "", items[i]);
}

static void show_all(const void *args, char *out, size_t room)
{
    (void)args;
    (void)snprintf(out, room, "all");
}

static void show_batches(const void *args, char *out, size_t room)
{
    const cxr_bench_opts *o = &((const bench_args *)args)->opts;
    show_numbers(o->batches, o->batch_count, out, room);
}

static void show_sizes(const void *args, char *out, size_t room)
{
    const cxr_bench_opts *o = &((const bench_args *)args)->opts;
    show_numbers(o->sizes, o->size_count, out, room);
}

static void show_threads(const void *args, char *out, size_t room)
{
    const cxr_bench_opts *o = &((const bench_args *)args)->opts;
    show_numbers(o->threads, o->thread_count, out, room);
}

#define FILLS(field) CXR_FILLS(bench_args, field)

static const cxr_option options[] = {
    {.name = "model",
     .letter = 'm',
     .group = "Options",
     FILLS(opts.model),
     .value = "FILE",
     .help = "network and weights to time; without it a resnet18 with random weights and the article's head"},
    {.name = "stage",
     .kind = CXR_ARG_TEXT,
     .value = "LIST",
     .parse = use_stages,
     .show = show_all,
     .help = "of decode, transform, forward (the whole network, inference), frozen (inference left of the cut), "
             "train-forward, train-backward, optimizer, and step, which is these three together"},
    {.name = "precision",
     .kind = CXR_ARG_TEXT,
     .value = "LIST",
     .parse = use_precisions,
     .show = show_all,
     .help = "of f32, bf16, int8"},
    {.name = "batch-size",
     .letter = 'b',
     .kind = CXR_ARG_TEXT,
     .value = "LIST",
     .parse = use_batches,
     .show = show_batches,
     .help = "images computed at once"},
    {.name = "size",
     .kind = CXR_ARG_TEXT,
     .value = "LIST",
     .parse = use_sizes,
     .show = show_sizes,
     .help = "sides of the network's input in pixels"},
    {.name = "threads",
     .letter = 'j',
     .kind = CXR_ARG_TEXT,
     .value = "LIST",
     .parse = use_threads,
     .show = show_threads,
     .help = "threads to use; 0: as many as this process may"},
    {.name = "freeze", FILLS(opts.freeze), .words = cxr_words_freeze, .help = "what is frozen: where the cut of training is"},
    {.name = "rounds", FILLS(opts.rounds), .value = "N", .low = 5, .high = 1000, .help = "measurements of each figure"},
    {.name = "seconds",
     .value = "X",
     FILLS(opts.seconds),
     .low = 0,
     .high = 60,
     .help = "least length of one measurement; a whole batch is always run"},
    {.name = "no-limit", FILLS(no_limit), .help = "do not time the convolutions by themselves"},
    {.name = "quick",
     FILLS(quick),
     .help = "a minute or so: where nothing else is said, batches of 1 and 64, size 128, all threads, 0.05 seconds"},
    {.name = "format",
     .letter = 'f',
     FILLS(format),
     .words = format_words,
     .help = "aligned columns, quoted as RFC 4180 says, or one object; csv tells the machine on standard error"},
    CXR_OPTION_DETERMINISTIC(FILLS(opts.deterministic)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

/* ---- The machine ---- */

static void describe_machine(char *out, size_t room, const cxr_machine *m)
{
    const char *info = cxr_build_info();
    const int library = (int)strcspn(info, "\n"); /* the kernels' */
    (void)snprintf(out, room,
                   "%s, %d cores, this process may use %d; data caches %zu KiB, %zu KiB, %zu MiB\n"
                   "kernels for %s; load %.2f %.2f %.2f%s%s\n"
                   "cxr %s, %.*s",
                   m->cpu[0] != '\0' ? m->cpu : "processor unknown", m->cores, m->threads, m->l1 >> 10, m->l2 >> 10,
                   m->l3 >> 20, m->isa, m->load[0], m->load[1], m->load[2], m->governor[0] != '\0' ? "; governor " : "",
                   m->governor, cxr_version(), library, info);
}

/* ---- Rows ---- */

typedef struct sink {
    format format;
    json_t *rows; /* JSON */
    size_t count;
} sink;

static void table_row(const sink *s, const cxr_bench_row *r)
{
    char share[16] = "-";
    if (s->count == 0)
        (void)printf("%-14s  %-4s  %4s  %5s  %7s  %10s  %21s  %9s  %8s\n", "stage", "in", "size", "batch", "threads", "ms",
                     "range", "images/s", "of limit");
    if (isfinite(r->share)) (void)snprintf(share, sizeof share, "%.0f %%", 100 * r->share);
    (void)printf("%-14s  %-4s  %4d  %5d  %7d  ", stage_words[r->stage],
                 r->stage > CXR_STAGE_TRANSFORM ? cxr_words_precision[r->precision] : "-", r->size, r->batch, r->threads);
    if (r->reason != NULL)
        (void)printf("not available: %s\n", r->reason);
    else
        (void)printf("%10.3f  %10.3f-%10.3f  %9.1f  %8s\n", 1e3 * r->median, 1e3 * r->low, 1e3 * r->high, r->images_per_second,
                     share);
}

static void csv_row(const sink *s, const cxr_bench_row *r)
{
    const double figures[] = {r->median, r->low, r->high, r->images_per_second, r->limit, r->share};
    if (s->count == 0)
        (void)printf("stage,precision,size,batch,threads,rounds,seconds,seconds_min,seconds_max,images_per_second,"
                     "limit_seconds,share_of_limit,reason\n");
    (void)printf("%s,%s,%d,%d,%d,%d", stage_words[r->stage], cxr_words_precision[r->precision], r->size, r->batch, r->threads,
                 r->rounds);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        (void)(isfinite(figures[i]) ? printf(",%.9g", figures[i]) : printf(","));
    (void)putchar(',');
    cxr_print_csv(r->reason != NULL ? r->reason : "");
    (void)putchar('\n');
}

static json_t *figure(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static void json_row(sink *s, const cxr_bench_row *r)
{
    json_t *row = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:s?}", "stage",
                            stage_words[r->stage], "precision", cxr_words_precision[r->precision], "size", r->size, "batch",
                            r->batch, "threads", r->threads, "rounds", r->rounds, "seconds", figure(r->median), "seconds_min",
                            figure(r->low), "seconds_max", figure(r->high), "images_per_second", figure(r->images_per_second),
                            "limit_seconds", figure(r->limit), "share_of_limit", figure(r->share), "reason", r->reason);
    (void)json_array_append_new(s->rows, row);
}

static void on_row(void *user, const cxr_bench_row *r)
{
    sink *s = user;
    if (s->format == TABLE) table_row(s, r);
    if (s->format == CSV) csv_row(s, r);
    if (s->format == JSON) json_row(s, r);
    (void)fflush(stdout);
    s->count++;
}

static void print_json(sink *s, const cxr_machine *m)
{
    json_t *all = json_pack("{s:{s:s, s:s, s:s, s:i, s:i, s:[I, I, I], s:[f, f, f]}, s:s, s:s, s:o}", "machine", "cpu", m->cpu,
                            "governor", m->governor, "isa", m->isa, "cores", m->cores, "threads", m->threads, "caches",
                            (json_int_t)m->l1, (json_int_t)m->l2, (json_int_t)m->l3, "load", m->load[0], m->load[1], m->load[2],
                            "version", cxr_version(), "build", cxr_build_info(), "rows", s->rows);
    (void)json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    (void)putchar('\n');
    json_decref(all);
}

/* What --quick sets: nothing that was asked for. */
static void be_quick(bench_args *a, const cxr_given *given)
{
    cxr_bench_opts *o = &a->opts;
    const cxr_command *c = &cxr_command_bench;
    if (!cxr_args_given(c, given, "batch-size")) o->batch_count = 2, o->batches[1] = 64;
    if (!cxr_args_given(c, given, "size")) o->size_count = 1;
    if (!cxr_args_given(c, given, "threads")) o->thread_count = 1, o->threads[0] = 0;
    if (!cxr_args_given(c, given, "seconds")) o->seconds = 0.05;
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    bench_args *a = args;
    char *cache_dir = NULL, head[512];
    cxr_machine machine;
    sink s = {.format = (format)a->format, .rows = json_array()};
    if (a->quick) be_quick(a, given);
    a->opts.paths = (const char *const *)given->operands;
    a->opts.path_count = (size_t)given->operand_count;
    a->opts.limit = !a->no_limit;
    if (cxr_cache_folder(&cache_dir, NULL) == CXR_OK) a->opts.cache_dir = cache_dir;
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), false);
    cxr_machine_read(&machine);
    describe_machine(head, sizeof head, &machine);
    if (s.format == TABLE) (void)printf("%s\n\n", head);
    if (s.format == CSV) cxr_say("%s", head);
    cxr_console_catch_signals();
    const cxr_status st = cxr_bench(&a->opts, hooks, on_row, &s, err);
    if (s.format == JSON && (st == CXR_OK || st == CXR_ESTOPPED))
        print_json(&s, &machine);
    else
        json_decref(s.rows);
    free(cache_dir);
    return st;
}

const cxr_command cxr_command_bench = {
    .name = "bench",
    .summary = "time each stage on this machine",
    .synopsis = {"[OPTION]... [IMAGE]..."},
    .about =
        "Times decoding, transforming, inference and the parts of a training step inside one process, and prints the median "
        "and the range over the rounds, which visit the configurations in turn. Lists are separated by commas.\n\n"
        "\"of limit\" is the share of the speed that the network's convolutions reach by themselves in the same process, each "
        "by the fastest kernel there is for its shape.\n\n"
        "IMAGE is a JPEG or PNG file to decode; without one, phantoms of about 1024 x 1024 pixels are made.",
    .examples = {{"inference in every precision, one image and 64 at a time",
                  "cxr bench --stage forward --size 128 --batch-size 1,64 --threads 0"},
                 {"a step of full fine-tuning, as CSV", "cxr bench --stage step --freeze none --batch-size 64 --format csv"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 0,
    .operand_max = -1,
    .operand = "IMAGE",
    .args_size = sizeof(bench_args),
    .defaults = defaults,
    .run = run,
};
