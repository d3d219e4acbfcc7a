/* cxr runs: the runs below a folder, with their figures. */
#include "shared.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum format { TABLE, CSV, JSON } format;

typedef struct runs_args {
    unsigned format, sort;
    cxr_talk talk;
} runs_args;

static void defaults(void *args)
{
    *(runs_args *)args = (runs_args){0};
}

#define FILLS(field) CXR_FILLS(runs_args, field)

static const char *const format_words[] = {"table", "csv", "json", NULL}, *const sort_words[] = {"name",     "date",  "loss",
                                                                                                 "accuracy", "auroc", NULL};

static const cxr_option options[] = {
    {.name = "sort",
     .letter = 's',
     .group = "Options",
     FILLS(sort),
     .words = sort_words,
     .help = "by name, the newest first, the lowest validation loss first, the highest validation accuracy first, or the "
             "highest area under the ROC on test first"},
    {.name = "format",
     .letter = 'f',
     FILLS(format),
     .words = format_words,
     .help = "aligned columns, quoted as RFC 4180 says, or one array of objects"},
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    {.name = "verbose", .letter = 'v', FILLS(talk.verbose), .help = "say of each folder that is left out why"},
};

/* ---- Order ---- */

/* What is not known comes last. */
static int rising(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
    return (a > b) - (a < b);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const cxr_run_row *)a)->path, ((const cxr_run_row *)b)->path);
}

static int or_name(int order, const void *a, const void *b)
{
    return order != 0 ? order : by_name(a, b);
}

static int by_date(const void *a, const void *b)
{
    return or_name(strcmp(((const cxr_run_row *)b)->started, ((const cxr_run_row *)a)->started), a, b);
}

static int by_loss(const void *a, const void *b)
{
    return or_name(rising(((const cxr_run_row *)a)->val_loss, ((const cxr_run_row *)b)->val_loss), a, b);
}

static int by_accuracy(const void *a, const void *b)
{
    return or_name(rising(-((const cxr_run_row *)a)->val_accuracy, -((const cxr_run_row *)b)->val_accuracy), a, b);
}

static int by_auroc(const void *a, const void *b)
{
    return or_name(rising(-((const cxr_run_row *)a)->test_auroc, -((const cxr_run_row *)b)->test_auroc), a, b);
}

/* ---- Rows ---- */

static void print_number(double v)
{
    if (isnan(v))
        (void)printf("  %8s", "-");
    else
        (void)printf("  %8.4f", v);
}

static void print_count(int n)
{
    if (n < 0)
        (void)printf("  %5s", "?");
    else
        (void)printf("  %5d", n);
}

/* What is common to all of them is said once. */
static void print_table(const cxr_run_list *runs)
{
    int width = 3;
    for (size_t i = 0; i < runs->count; i++) {
        const int n = (int)strlen(runs->rows[i].path);
        if (n > width) width = n;
    }
    (void)printf("%-*s  %-8s  %-8s  %9s  %4s  %8s  %8s  %8s  %8s  %5s  %s\n", width, "run", "recipe", "network", "epochs",
                 "best", "val loss", "val acc.", "test acc", "auroc", "reads", "started");
    for (size_t i = 0; i < runs->count; i++) {
        const cxr_run_row *r = &runs->rows[i];
        char epochs[32];
        (void)snprintf(epochs, sizeof epochs, "%d/%d", r->epochs_done, r->epochs);
        (void)printf("%-*s  %-8s  %-8s  %9s  %4d", width, r->path, r->recipe, r->arch, epochs, r->best_epoch);
        print_number(r->val_loss);
        print_number(r->val_accuracy);
        print_number(r->test_accuracy);
        print_number(r->test_auroc);
        print_count(r->test_readings);
        (void)printf("  %.10s %.5s\n", r->started, strlen(r->started) > 16 ? r->started + 11 : "");
    }
}

static void print_csv(const cxr_run_list *runs)
{
    (void)puts("run,recipe,network,seed,epochs_done,epochs,best_epoch,val_loss,val_accuracy,test_accuracy,"
               "test_balanced_accuracy,test_auroc,test_readings,started");
    for (size_t i = 0; i < runs->count; i++) {
        const cxr_run_row *r = &runs->rows[i];
        const double figures[] = {r->val_loss, r->val_accuracy, r->test_accuracy, r->test_balanced_accuracy, r->test_auroc};
        const char *const texts[] = {r->path, r->recipe, r->arch};
        for (int k = 0; k < 3; k++) {
            cxr_print_csv(texts[k]);
            (void)putchar(',');
        }
        (void)printf("%llu,%d,%d,%d", (unsigned long long)r->seed, r->epochs_done, r->epochs, r->best_epoch);
        for (size_t k = 0; k < sizeof figures / sizeof *figures; k++)
            (void)(isnan(figures[k]) ? printf(",") : printf(",%.9g", figures[k]));
        if (r->test_readings >= 0)
            (void)printf(",%d,%s\n", r->test_readings, r->started);
        else
            (void)printf(",,%s\n", r->started);
    }
}

static json_t *figure(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

/* A path that is not UTF-8 is null: JSON cannot hold it. */
static json_t *path_text(const char *path)
{
    json_t *value = json_string(path);
    return value != NULL ? value : json_null();
}

static void print_json(const cxr_run_list *runs)
{
    json_t *all = json_array();
    for (size_t i = 0; i < runs->count; i++) {
        const cxr_run_row *r = &runs->rows[i];
        json_t *row =
            json_pack("{s:o, s:s, s:s, s:I, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "run", path_text(r->path),
                      "recipe", r->recipe, "network", r->arch, "seed", (json_int_t)r->seed, "epochs_done", r->epochs_done,
                      "epochs", r->epochs, "best_epoch", r->best_epoch, "val_loss", figure(r->val_loss), "val_accuracy",
                      figure(r->val_accuracy), "test_accuracy", figure(r->test_accuracy), "test_balanced_accuracy",
                      figure(r->test_balanced_accuracy), "test_auroc", figure(r->test_auroc), "test_readings",
                      r->test_readings < 0 ? json_null() : json_integer(r->test_readings), "started", r->started);
        (void)json_array_append_new(all, row);
    }
    (void)json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    (void)putchar('\n');
    json_decref(all);
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    static int (*const orders[])(const void *, const void *) = {by_name, by_date, by_loss, by_accuracy, by_auroc};
    static void (*const printers[])(const cxr_run_list *) = {print_table, print_csv, print_json};
    const runs_args *a = args;
    cxr_run_list *runs = NULL;
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), false);
    const cxr_status st = cxr_runs(given->operand_count > 0 ? given->operands[0] : "runs", hooks, &runs, err);
    if (st == CXR_OK) {
        qsort(runs->rows, runs->count, sizeof *runs->rows, orders[a->sort]);
        printers[a->format](runs);
        if (runs->skipped > 0 && !a->talk.verbose && !a->talk.quiet)
            cxr_say("%zu folders left out: --verbose says why", runs->skipped);
    }
    cxr_runs_free(&runs);
    return st;
}

const cxr_command cxr_command_runs = {
    .name = "runs",
    .summary = "list runs and their figures",
    .synopsis = {"[OPTION]... [FOLDER]"},
    .about =
        "Lists the runs of cxr train in FOLDER, or in runs, and in the folders of it, such as those of seeds and of a search: "
        "recipe, network, epochs done of those asked for, the best epoch with its validation loss and accuracy, the figures in "
        "test/metrics.json where cxr evaluate wrote them there, how often the test split was read by the run's ledger, and "
        "when "
        "the run was started. A dash stands for what is not known.\n\n"
        "Folders that hold an args.json which is not a run's, or was written half, are left out.",
    .examples = {{"the runs in the folder runs, the best first", "cxr runs --sort loss"},
                 {"the trials of a search, for a spreadsheet", "cxr runs runs/tune --format csv"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 0,
    .operand_max = 1,
    .operand = "FOLDER",
    .args_size = sizeof(runs_args),
    .defaults = defaults,
    .run = run,
};
