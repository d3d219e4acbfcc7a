/* cxr predict: class and probabilities of images, streamed in the order given. */
#include "rows.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct predict_args {
    cxr_run_opts opts;
    cxr_models models;
    unsigned format, device, precision, tta;
    char *cache_dir;
    cxr_talk talk;
} predict_args;

static void defaults(void *args)
{
    predict_args *a = args;
    cxr_run_opts_default(&a->opts);
    a->device = a->opts.device;
}

static const char *add_model(void *args, const char *text)
{
    return cxr_add_model(&((predict_args *)args)->models, text);
}

#define FILLS(field) CXR_FILLS(predict_args, field)

static const cxr_option options[] = {
    CXR_OPTION_MODELS(add_model),
    CXR_OPTION_FORMAT(FILLS(format)),
    CXR_OPTION_MAX_PIXELS(FILLS(opts.limits.max_pixels)),
    CXR_OPTION_BATCH(FILLS(opts.batch_size)),
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_PRECISION(FILLS(precision)),
    CXR_OPTION_TTA(FILLS(tta)),
    CXR_OPTION_THREADS(FILLS(opts.threads)),
    CXR_OPTION_DETERMINISTIC(FILLS(opts.deterministic)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

/* ---- Paths ---- */

typedef struct paths {
    char **items;
    size_t count, room;
} paths;

static cxr_status add_path(paths *p, const char *text, cxr_error *err)
{
    if (p->count == p->room) {
        const size_t room = p->room * 2 + 64;
        char **items = realloc(p->items, room * sizeof *items);
        if (items == NULL) return cxr_fail(err, CXR_ENOMEM, "no memory for %zu paths", room);
        p->items = items;
        p->room = room;
    }
    p->items[p->count] = strdup(text);
    if (p->items[p->count] == NULL) return cxr_fail(err, CXR_ENOMEM, "no memory for a path");
    p->count++;
    return CXR_OK;
}

static void free_paths(paths *p)
{
    for (size_t i = 0; i < p->count; i++) free(p->items[i]);
    free(p->items);
}

static cxr_status read_list(paths *p, cxr_error *err)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    cxr_status st = CXR_OK;
    errno = 0;
    while (st == CXR_OK && (n = getline(&text, &room, stdin)) >= 0) {
        if (n > 0 && text[n - 1] == '\n') text[--n] = '\0';
        if (strlen(text) != (size_t)n) st = cxr_fail(err, CXR_EDATA, "standard input: path %zu holds a NUL byte", p->count + 1);
        if (st == CXR_OK && n > 0) st = add_path(p, text, err);
    }
    if (st == CXR_OK && ferror(stdin)) st = cxr_fail(err, CXR_EIO, "standard input: %s", strerror(errno));
    free(text);
    return st;
}

static cxr_status gather(paths *p, const cxr_given *given, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (int i = 0; i < given->operand_count && st == CXR_OK; i++)
        st = strcmp(given->operands[i], "-") == 0 ? read_list(p, err) : add_path(p, given->operands[i], err);
    if (st == CXR_OK && p->count == 0) st = cxr_fail(err, CXR_ENOINPUT, "standard input: no paths");
    return st;
}

/* ---- Rows ---- */

static void head(const cxr_rows *r)
{
    const int n = cxr_model_class_count(r->model);
    if (r->format == CXR_TABLE) {
        (void)printf("%-*s", r->width, "prediction");
        for (int k = 0; k < n; k++) (void)printf("  %*s", r->width, cxr_model_class_name(r->model, k));
        (void)printf("  %-7s  path\n", "status");
    } else if (r->format == CXR_CSV) {
        (void)printf("path,prediction");
        for (int k = 0; k < n; k++) {
            char name[512];
            (void)snprintf(name, sizeof name, "probability_%s", cxr_model_class_name(r->model, k));
            (void)putchar(',');
            cxr_print_csv(name);
        }
        (void)printf(",status,reason\n");
    }
}

static const char *status_of(const cxr_prediction *p)
{
    return p->abstain ? "abstain" : "ok";
}

static void table_row(const cxr_rows *r, const cxr_prediction *p)
{
    (void)printf("%-*s", r->width, cxr_model_class_name(r->model, p->predicted));
    for (int k = 0; k < cxr_model_class_count(r->model); k++) (void)printf("  %*.4f", r->width, (double)p->probabilities[k]);
    (void)printf("  %-7s  %s", status_of(p), p->path);
    if (p->abstain) (void)printf("  (%s)", p->reason);
    (void)putchar('\n');
}

static void csv_row(const cxr_rows *r, const cxr_prediction *p)
{
    cxr_print_csv(p->path);
    (void)putchar(',');
    cxr_print_csv(cxr_model_class_name(r->model, p->predicted));
    for (int k = 0; k < cxr_model_class_count(r->model); k++) (void)printf(",%.9g", (double)p->probabilities[k]);
    (void)printf(",%s,", status_of(p));
    cxr_print_csv(p->reason);
    (void)putchar('\n');
}

static json_t *json_row(const cxr_rows *r, const cxr_prediction *p)
{
    json_t *probabilities = json_object();
    for (int k = 0; k < cxr_model_class_count(r->model); k++)
        (void)json_object_set_new(probabilities, cxr_model_class_name(r->model, k), json_real((double)p->probabilities[k]));
    json_t *row =
        json_pack("{s:s, s:s, s:o, s:s, s:s?}", "path", p->path, "prediction", cxr_model_class_name(r->model, p->predicted),
                  "probabilities", probabilities, "status", status_of(p), "reason", p->abstain ? p->reason : NULL);
    if (row != NULL && !isnan(p->novelty)) (void)json_object_set_new(row, "novelty", json_real(p->novelty));
    return row;
}

static void on_row(void *user, const cxr_prediction *p)
{
    cxr_rows *r = user;
    if (!cxr_rows_next(r, p->status, p->reason)) return;
    if (r->format == CXR_TABLE)
        table_row(r, p);
    else if (r->format == CXR_CSV)
        csv_row(r, p);
    else
        cxr_rows_json(r, json_row(r, p), p->path);
}

static cxr_status classify(predict_args *a, const paths *p, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_model *model = NULL;
    cxr_status st = cxr_open_models(&model, &a->models, err);
    if (st != CXR_OK) return st;
    cxr_rows r;
    cxr_rows_begin(&r, model, a->format);
    head(&r);
    st = cxr_predict(model, (const char *const *)p->items, p->count, &a->opts, hooks, on_row, &r, err);
    cxr_rows_end(&r);
    if (st == CXR_OK && r.bad > 0) st = cxr_fail(err, CXR_EDATA, "%zu of %zu images have no prediction", r.bad, r.good + r.bad);
    cxr_console_close();
    cxr_model_close(&model);
    return st;
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    predict_args *a = args;
    paths p = {0};
    cxr_settle_run(&a->opts, a->device, a->precision, &a->cache_dir);
    a->opts.tta = a->tta;
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), !isatty(STDOUT_FILENO));
    cxr_status st = gather(&p, given, err);
    cxr_console_catch_signals();
    if (st == CXR_OK) st = classify(a, &p, hooks, err);
    free_paths(&p);
    free(a->cache_dir);
    return st;
}

const cxr_command cxr_command_predict = {
    .name = "predict",
    .summary = "classify images",
    .synopsis = {"[OPTION]... PATH..."},
    .about =
        "Prints the class and the probabilities of each image. PATH is a JPEG or PNG file, a folder (searched for images, "
        "in byte order of names), or - for a list of paths on standard input, one per line. Everything about "
        "preprocessing comes from the model file.\n\n"
        "The status is abstain where the image is none that the model's answer holds for, and the reason says why: it is "
        "blank, in colour, a page of text, or long and narrow; and, of models that were fitted to tell (cxr train, "
        "cxr calibrate), inverted, turned, or far from the training images to the network. The answer is given all the "
        "same; it means nothing then. The exit status does not change.\n\n"
        "An image that cannot be read is reported on standard error with the reason; the rest goes on, and the exit status "
        "is 65 at the end.",
    .examples = {{"a folder, as a table", "cxr predict --model runs/finetune/weights/best.safetensors chest_xray/test/NORMAL"},
                 {"a list from find, one JSON object per line",
                  "find chest_xray -name '*.jpeg' | cxr predict -m runs/finetune/weights/best.safetensors --format jsonl -"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 1,
    .operand_max = -1,
    .operand = "PATH",
    .args_size = sizeof(predict_args),
    .defaults = defaults,
    .run = run,
};
