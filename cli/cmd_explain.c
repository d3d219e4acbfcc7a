/* cxr explain: heat maps of images, one row each on standard output, figures and maps in a folder. */
#include "rows.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct explain_args {
    cxr_explain_opts opts;
    cxr_models models;
    unsigned format, method, device, precision;
    char *cache_dir;
    cxr_talk talk;
} explain_args;

static void defaults(void *args)
{
    explain_args *a = args;
    cxr_explain_opts_default(&a->opts);
    a->method = a->opts.method;
    a->device = a->opts.run.device;
}

static const char *add_model(void *args, const char *text)
{
    return cxr_add_model(&((explain_args *)args)->models, text);
}

#define FILLS(field) CXR_FILLS(explain_args, field)

static const char *const method_words[] = {"grad-cam", "grad-cam++", "occlusion", NULL};
static const char *const layer_words[] = {"layer1", "layer2", "layer3", "layer4", NULL};

static const cxr_option options[] = {
    {.name = "model",
     .letter = 'm',
     .group = "Options",
     .kind = CXR_ARG_TEXT,
     .value = "FILE",
     .parse = add_model,
     .help = "model file, as weights/best.safetensors of a run, or run folder (default: the one that comes with cxr)"},
    {.name = "out",
     .letter = 'o',
     FILLS(opts.out),
     .value = "DIR",
     .help = "folder for the figures and maps (default: runs/explain, or -2, -3, ... where that exists)"},
    {.name = "method", FILLS(method), .words = method_words, .help = "how the map is made"},
    {.name = "layer", FILLS(opts.layer), .words = layer_words, .help = "of which layer; an earlier one sees finer and less"},
    {.name = "class", FILLS(opts.class_name), .value = "NAME", .help = "explain this class (default: the predicted one)"},
    {.name = "check",
     FILLS(opts.check),
     .help =
         "say of each map whether it can be trusted: agreement with occlusion, test with random weights, share on the lungs"},
    {.name = "curves",
     FILLS(opts.curves),
     .help = "deletion and insertion curves of each map, as CSV, and the areas under them"},
    CXR_OPTION_FORMAT(FILLS(format)),
    CXR_OPTION_MAX_PIXELS(FILLS(opts.run.limits.max_pixels)),
    CXR_OPTION_BATCH(FILLS(opts.run.batch_size)),
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_PRECISION(FILLS(precision)),
    CXR_OPTION_THREADS(FILLS(opts.run.threads)),
    CXR_OPTION_DETERMINISTIC(FILLS(opts.run.deterministic)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

/* ---- Rows ---- */

typedef struct measure {
    const char *name;
    double value; /* NaN: not measured */
} measure;

enum { MEASURES = 6 };

/* What the options --check and --curves measure. */
static void measures_of(measure to[MEASURES], const cxr_explanation *e)
{
    const measure all[MEASURES] = {{"occlusion", e->occlusion},   {"randomised", e->randomised}, {"lungs", e->lungs},
                                   {"lungs_area", e->lungs_area}, {"deletion", e->deletion},     {"insertion", e->insertion}};
    memcpy(to, all, sizeof all);
}

static const char *const trust_words[] = {"", "yes", "doubtful", "no"};

static double probability(const cxr_explanation *e)
{
    return (double)e->probabilities[e->explained];
}

static void head(const cxr_rows *r)
{
    if (r->format == CXR_TABLE)
        (void)printf("%-*s  %-*s  probability  figure\n", r->width, "prediction", r->width, "explained");
    else if (r->format == CXR_CSV)
        (void)printf(
            "path,prediction,explained,probability,figure,map,occlusion,randomised,lungs,lungs_area,deletion,insertion,"
            "trust,why,curves\n");
}

static void table_row(const cxr_rows *r, const cxr_explanation *e)
{
    char p[16];
    const double value = probability(e);
    (void)snprintf(p, sizeof p, value > 0.999 ? "> 0.999" : "%.4f", value);
    (void)printf("%-*s  %-*s  %11s  %s\n", r->width, cxr_model_class_name(r->model, e->predicted), r->width,
                 cxr_model_class_name(r->model, e->explained), p, e->figure);
    if (e->trust != CXR_TRUST_UNKNOWN) {
        (void)printf("  trust: %s", trust_words[e->trust]);
        if (e->why != NULL) (void)printf(" (%s)", e->why);
        (void)putchar('\n');
    }
    measure all[MEASURES];
    measures_of(all, e);
    const char *before = "  ";
    for (int i = 0; i < MEASURES; i++) {
        if (isnan(all[i].value)) continue;
        (void)printf("%s%s %.2f", before, all[i].name, all[i].value);
        before = ", ";
    }
    if (*before == ',') (void)putchar('\n');
}

static void csv_row(const cxr_rows *r, const cxr_explanation *e)
{
    measure all[MEASURES];
    measures_of(all, e);
    cxr_print_csv(e->path);
    (void)putchar(',');
    cxr_print_csv(cxr_model_class_name(r->model, e->predicted));
    (void)putchar(',');
    cxr_print_csv(cxr_model_class_name(r->model, e->explained));
    (void)printf(",%.9g,", probability(e));
    cxr_print_csv(e->figure);
    (void)putchar(',');
    cxr_print_csv(e->raw);
    for (int i = 0; i < MEASURES; i++) (void)printf(isnan(all[i].value) ? "," : ",%.9g", all[i].value);
    (void)printf(",%s,%s,", trust_words[e->trust], e->why == NULL ? "" : e->why);
    cxr_print_csv(e->curves == NULL ? "" : e->curves);
    (void)putchar('\n');
}

/* What was not asked for has no key; what could not be measured is null. */
static json_t *json_row(const cxr_rows *r, const cxr_explanation *e)
{
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:f, s:s, s:s}", "path", e->path, "prediction", cxr_model_class_name(r->model, e->predicted),
                  "explained", cxr_model_class_name(r->model, e->explained), "probability", probability(e), "figure", e->figure,
                  "map", e->raw);
    measure all[MEASURES];
    measures_of(all, e);
    const bool checked = e->trust != CXR_TRUST_UNKNOWN, curves = e->curves != NULL;
    for (int i = 0; row != NULL && i < MEASURES; i++)
        if (i < MEASURES - 2 ? checked : curves)
            (void)json_object_set_new(row, all[i].name, isnan(all[i].value) ? json_null() : json_real(all[i].value));
    if (row != NULL && checked) {
        (void)json_object_set_new(row, "trust", json_string(trust_words[e->trust]));
        (void)json_object_set_new(row, "why", e->why == NULL ? json_null() : json_string(e->why));
    }
    if (row != NULL && curves) (void)json_object_set_new(row, "curves", json_string(e->curves));
    return row;
}

static void on_row(void *user, const cxr_explanation *e)
{
    cxr_rows *r = user;
    if (!cxr_rows_next(r, e->status, e->reason)) return;
    if (r->format == CXR_TABLE)
        table_row(r, e);
    else if (r->format == CXR_CSV)
        csv_row(r, e);
    else
        cxr_rows_json(r, json_row(r, e), e->path);
}

static cxr_status explain(explain_args *a, const cxr_given *given, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_model *model = NULL;
    cxr_status st = cxr_open_models(&model, &a->models, err);
    if (st != CXR_OK) return st;
    cxr_rows r;
    cxr_rows_begin(&r, model, a->format);
    head(&r);
    st = cxr_explain(model, (const char *const *)given->operands, (size_t)given->operand_count, &a->opts, hooks, on_row, &r,
                     err);
    cxr_rows_end(&r);
    if (st == CXR_OK && r.bad > 0) st = cxr_fail(err, CXR_EDATA, "%zu of %zu images have no heat map", r.bad, r.good + r.bad);
    cxr_console_close();
    cxr_model_close(&model);
    return st;
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    explain_args *a = args;
    char *folder = NULL;
    a->opts.method = a->method;
    cxr_settle_run(&a->opts.run, a->device, a->precision, &a->cache_dir);
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), !isatty(STDOUT_FILENO));
    cxr_status st = a->opts.out == NULL ? cxr_free_run_folder("explain", &folder, err) : CXR_OK;
    if (folder != NULL) a->opts.out = folder;
    cxr_console_catch_signals();
    if (st == CXR_OK) st = explain(a, given, hooks, err);
    free(folder);
    free(a->cache_dir);
    return st;
}

const cxr_command cxr_command_explain = {
    .name = "explain",
    .summary = "draw heat maps of what speaks for a class",
    .synopsis = {"[OPTION]... PATH..."},
    .about =
        "Makes a heat map of each image: where the model saw what speaks for a class. PATH is a JPEG or PNG file, or a folder "
        "(searched for images, in byte order of names). For each image DIR receives a figure, the image beside itself under "
        "the map, and the map before it was resized, as .npy.\n\n"
        "A heat map shows what a model looked at, not what is ill, and a model may look at the right place for a wrong "
        "reason. With --check each row says whether the map can be trusted, and why.\n\n"
        "An image that cannot be read is reported on standard error with the reason; the rest goes on, and the exit status "
        "is 65 at the end.",
    .examples = {{"heat maps of a folder", "cxr explain --model runs/finetune --out maps chest_xray/test/PNEUMONIA"},
                 {"what speaks against pneumonia, in more detail, and whether to trust it",
                  "cxr explain --model runs/finetune --class NORMAL --layer layer3 --check new/a.jpeg"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 1,
    .operand_max = -1,
    .operand = "PATH",
    .args_size = sizeof(explain_args),
    .defaults = defaults,
    .run = run,
};
