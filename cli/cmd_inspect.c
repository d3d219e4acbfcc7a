/* cxr inspect: a data set looked over before it is trained on. */
#include "shared.h"
#include <stdlib.h>
#include <string.h>

#define SHOWN 5 /* findings of a check in the table */

enum { TABLE, JSON };

typedef struct inspect_args {
    cxr_inspect_opts opts;
    const char *model;
    unsigned format, device, precision;
    char *cache_dir;
    bool strict, all;
    cxr_talk talk;
} inspect_args;

static void defaults(void *args)
{
    inspect_args *a = args;
    cxr_inspect_opts_default(&a->opts);
    a->device = a->opts.run.device;
}

#define FILLS(field) CXR_FILLS(inspect_args, field)

static const char *const format_words[] = {"table", "json", NULL};

static const cxr_option options[] = {
    {.name = "out",
     .letter = 'o',
     .group = "Options",
     FILLS(opts.out),
     .value = "DIR",
     .help = "folder for inspect.json and the page inspect.html, with pictures of what was found"},
    {.name = "format", .letter = 'f', FILLS(format), .words = format_words, .help = "what standard output gets"},
    {.name = "all", .letter = 'a', FILLS(all), .help = "list all findings, not the first five of each check"},
    {.name = "strict", FILLS(strict), .help = "exit with status 1 when a check's verdict is problem"},
    {.name = "group-by",
     FILLS(opts.group_by),
     .value = "RULE",
     .help = "what tells patients apart: auto, none, column:NAME, or a regular expression for the file name"},
    CXR_OPTION_SPLIT_FILE(FILLS(opts.split_file)),
    {.name = "model",
     .letter = 'm',
     FILLS(model),
     .value = "FILE",
     .help = "model whose features tell train from test (default: the one that comes with cxr); none: they are not told"},
    CXR_OPTION_MAX_PIXELS(FILLS(opts.run.limits.max_pixels)),
    CXR_OPTION_BATCH(FILLS(opts.run.batch_size)),
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_PRECISION(FILLS(precision)),
    CXR_OPTION_THREADS(FILLS(opts.run.threads)),
    CXR_OPTION_DETERMINISTIC(FILLS(opts.run.deterministic)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

static const char *const splits[4] = {"train", "val", "test", "no split"};

static void print_counts(const cxr_inspection *i)
{
    (void)printf("%-9s", "split");
    for (int k = 0; k < i->classes; k++) (void)printf("  %10s", i->class_names[k]);
    (void)printf("  %10s\n", "all");
    for (int s = 0; s < 4; s++) {
        size_t sum = 0;
        for (int k = 0; k < i->classes; k++) sum += i->counts[k][s];
        if (sum == 0) continue;
        (void)printf("%-9s", splits[s]);
        for (int k = 0; k < i->classes; k++) (void)printf("  %10zu", i->counts[k][s]);
        (void)printf("  %10zu\n", sum);
    }
}

static void print_check(const cxr_data_check *c, bool all)
{
    static const char *const verdicts[] = {"ok", "look", "problem", "skipped"};
    (void)printf("%-7s  %-15s  %s\n", verdicts[c->verdict], c->name, c->says);
    const size_t shown = all || c->line_count <= SHOWN ? c->line_count : SHOWN;
    for (size_t n = 0; n < shown; n++) (void)printf("%26s%s\n", "", c->lines[n]);
    if (shown < c->line_count) (void)printf("%26s... and %zu more: --all, or --out DIR\n", "", c->line_count - shown);
}

static void print_all(const cxr_inspection *i, bool all)
{
    print_counts(i);
    (void)putchar('\n');
    for (size_t k = 0; k < i->check_count; k++) print_check(&i->checks[k], all);
}

/* The model that comes with cxr need not be there: the rest can be told without. */
static cxr_status open_model(cxr_model **out, const char *name, cxr_error *err)
{
    *out = NULL;
    if (name != NULL && strcmp(name, "none") == 0) return CXR_OK;
    const cxr_status st = cxr_open_model(out, name, err);
    return name == NULL && st == CXR_ENOINPUT ? CXR_OK : st;
}

static cxr_status inspect(inspect_args *a, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_inspection *found = NULL;
    cxr_status st = cxr_inspect(&a->opts, hooks, &found, err);
    cxr_console_close();
    if (st != CXR_OK) return st;
    if (a->format == JSON)
        (void)fputs(found->json, stdout);
    else
        print_all(found, a->all);
    if (a->opts.out != NULL) cxr_say("page: %s/inspect.html", a->opts.out);
    if (a->strict && found->verdict == CXR_VERDICT_PROBLEM)
        st = cxr_fail(err, CXR_EUNMET, "%s: has problems, and --strict was asked for", a->opts.data);
    cxr_inspection_free(&found);
    return st;
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    inspect_args *a = args;
    cxr_model *model = NULL;
    a->opts.data = given->operands[0];
    cxr_settle_run(&a->opts.run, a->device, a->precision, &a->cache_dir);
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), true);
    cxr_console_catch_signals();
    cxr_status st = open_model(&model, a->model, err);
    a->opts.model = model;
    if (st == CXR_OK) st = inspect(a, hooks, err);
    cxr_model_close(&model);
    free(a->cache_dir);
    return st;
}

const cxr_command cxr_command_inspect = {
    .name = "inspect",
    .summary = "look a data set over before it is trained on",
    .synopsis = {"[OPTION]... DATA"},
    .about =
        "Looks at every image of DATA, a folder or CSV as cxr train takes it, and says what may spoil a study: files that "
        "cannot "
        "be read, kinds of files that differ, identical and nearly identical images within and across splits, with different "
        "labels, patient groups in more than one split, images that are blank, inverted or turned, and how well test can be "
        "told "
        "from train. Each check comes with a verdict: ok, look, or problem.\n\n"
        "The exit status is 0 whatever was found; with --strict it is 1 when there is a problem, so that a script can refuse "
        "the "
        "data. No model is judged, so that no reading of the test split is counted.",
    .examples = {{"what is wrong with a data set, with pictures", "cxr inspect chest_xray --out look"},
                 {"refuse data with a problem in a script", "cxr inspect chest_xray --strict --format json >inspect.json"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 1,
    .operand_max = 1,
    .operand = "DATA",
    .args_size = sizeof(inspect_args),
    .defaults = defaults,
    .run = run,
};
