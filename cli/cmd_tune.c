/* cxr tune: a search over settings of cxr train. */
#include "shared.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct tune_args {
    cxr_tune_opts opts;
    const char *recipe, *weights, *out, *resume;
    unsigned device, precision, cache;
    cxr_talk talk;
    const cxr_hooks *hooks;
} tune_args;

static const char *use_recipe(void *args, const char *text)
{
    tune_args *a = args;
    if (cxr_train_opts_recipe(&a->opts.train, text, NULL) != CXR_OK) return "the name of a recipe: finetune or article";
    a->recipe = a->opts.train.recipe;
    return NULL;
}

static void show_recipe(const void *args, char *out, size_t room)
{
    (void)snprintf(out, room, "%s", ((const tune_args *)args)->recipe);
}

static void defaults(void *args)
{
    tune_args *a = args;
    cxr_tune_opts_default(&a->opts);
    (void)use_recipe(a, cxr_words_recipe[0]);
    a->weights = "imagenet";
    a->device = a->opts.train.device;
    a->precision = a->opts.train.precision;
    a->cache = a->opts.train.cache;
}

#define FILLS(field) CXR_FILLS(tune_args, field)

static const cxr_option options[] = {
    {.name = "recipe",
     .group = "Options",
     .kind = CXR_ARG_TEXT,
     .words = cxr_words_recipe,
     .parse = use_recipe,
     .show = show_recipe,
     .first = true,
     .help = "settings of cxr train to start from; SPACE overrides them"},
    {.name = "weights",
     .letter = 'w',
     FILLS(weights),
     .value = "imagenet|cxr|none|FILE",
     .help = "where the backbone starts, as for cxr train, unless SPACE says it"},
    {.name = "out",
     .letter = 'o',
     FILLS(out),
     .value = "DIR",
     .help = "folder of the search; refused if it holds one (default: runs/tune, or runs/tune-2, -3, ...)"},
    {.name = "resume",
     FILLS(resume),
     .value = "DIR",
     .help = "go on with the search in folder DIR with its own settings; only --threads may be given anew"},
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_PRECISION(FILLS(precision)),
    CXR_OPTION_THREADS(FILLS(opts.train.threads)),
    {.name = "cache",
     FILLS(cache),
     .words = cxr_words_cache,
     .help = "where decoded images and features stay between epochs; disk: also between trials"},
    CXR_OPTION_DETERMINISTIC(FILLS(opts.train.deterministic)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

static const char *const allowed_with_resume[] = {"resume", "threads", "quiet", "verbose", NULL};

static cxr_status check(const tune_args *a, const cxr_given *given, cxr_error *err)
{
    if (a->resume == NULL) {
        if (given->operand_count == 2) return CXR_OK;
        return cxr_fail(err, CXR_EUSAGE, "%s is missing", given->operand_count == 0 ? "SPACE" : "DATA");
    }
    if (given->operand_count > 0)
        return cxr_fail(err, CXR_EUSAGE, "'%s' cannot be given with --resume: the search knows its space and data",
                        given->operands[0]);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        bool allowed = !given->options[i];
        for (int k = 0; allowed_with_resume[k] != NULL; k++) allowed |= strcmp(options[i].name, allowed_with_resume[k]) == 0;
        if (!allowed)
            return cxr_fail(err, CXR_EUSAGE, "--%s cannot be given with --resume: the search keeps its settings",
                            options[i].name);
    }
    return CXR_OK;
}

static cxr_status find_weights(void *user, const char *name, const char *arch, char **path, cxr_error *err)
{
    return cxr_find_weights(name, arch, ((const tune_args *)user)->hooks, path, err);
}

/* ---- Table ---- */

typedef struct table {
    char best[32]; /* its trial's folder */
} table;

static int column_width(const char *name)
{
    return strlen(name) < 9 ? 9 : (int)strlen(name);
}

static void print_head(const cxr_trial *t)
{
    (void)printf("%5s  %-7s  %6s  %12s  %8s", "trial", "state", "epochs", t->measure, "seconds");
    for (int i = 0; i < t->count; i++) (void)printf("  %*s", column_width(t->names[i]), t->names[i]);
    (void)putchar('\n');
}

static void on_row(void *user, const cxr_trial *t)
{
    static const char *const states[] = {"done", "stopped", "failed"};
    table *b = user;
    if (b->best[0] == '\0') {
        (void)snprintf(b->best, sizeof b->best, "trial-%03d", t->number);
        print_head(t);
    }
    (void)printf("%5d  %-7s  %6d", t->number, states[t->state], t->epochs);
    if (isfinite(t->objective))
        (void)printf("  %12.5g", t->objective);
    else
        (void)printf("  %12s", "-");
    (void)printf("  %8.1f", t->seconds);
    for (int i = 0; i < t->count; i++) (void)printf("  %*s", column_width(t->names[i]), t->values[i]);
    (void)putchar('\n');
}

/* ---- Run ---- */

/* The folder of the search; to be freed. */
static cxr_status choose_folder(const tune_args *a, char **folder, cxr_error *err)
{
    const char *given = a->resume != NULL ? a->resume : a->out;
    if (given == NULL) return cxr_free_run_folder("tune", folder, err);
    *folder = strdup(given);
    return *folder != NULL ? CXR_OK : cxr_fail(err, CXR_ENOMEM, "no memory for a path");
}

static void settle(tune_args *a, const cxr_given *given, const char *folder, const char *cache)
{
    cxr_train_opts *o = &a->opts.train;
    a->opts.resume = a->resume != NULL;
    a->opts.weights = find_weights;
    a->opts.user = a;
    o->out = folder;
    if (a->opts.resume) return;
    a->opts.space = given->operands[0];
    o->data = given->operands[1];
    o->weights = a->weights;
    o->cache_dir = cache;
    o->threads = cxr_threads(o->threads);
    o->device = a->device;
    o->precision = a->precision;
    o->cache = a->cache;
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    tune_args *a = args;
    char *folder = NULL, *cache = NULL;
    cxr_status st = check(a, given, err);
    if (st == CXR_OK) st = choose_folder(a, &folder, err);
    if (st != CXR_OK) return st;
    if (cxr_cache_folder(&cache, NULL) != CXR_OK) cache = NULL;
    table b = {0};
    a->hooks = cxr_console_open(cxr_talk_volume(&a->talk), true);
    cxr_console_catch_signals();
    settle(a, given, folder, cache);
    st = cxr_tune(&a->opts, a->hooks, on_row, &b, err);
    cxr_console_close();
    if (st == CXR_OK) (void)printf("best: %s/%s\n", folder, b.best);
    if (st == CXR_ESTOPPED) cxr_say("to continue: cxr tune --resume %s", folder);
    free(folder);
    free(cache);
    return st;
}

const cxr_command cxr_command_tune = {
    .name = "tune",
    .summary = "search for good settings of train",
    .synopsis = {"[OPTION]... SPACE DATA", "--resume DIR [--threads N]"},
    .about =
        "Trains on DATA again and again, with settings drawn at random from SPACE, and shows which did best on the "
        "validation images. The test images are not read. SPACE is a TOML file: settings of the search at its top, options "
        "of cxr train under [fixed], and under [search] what to draw: name = [choice, ...] or name = {low = X, high = Y, "
        "log = true}. examples/tune.toml is one to start from.\n\n"
        "Each trial is an ordinary run folder, DIR/trial-001 and so on. From the third epoch on, a trial whose best "
        "validation loss is worse than the median of what earlier trials had by then is stopped. The table DIR/tune.csv "
        "has a row for each that ended. Ctrl-C saves a checkpoint and stops; --resume continues to the same result.",
    .examples = {{"the example's space", "cxr tune examples/tune.toml chest_xray --out runs/search"},
                 {"after Ctrl-C", "cxr tune --resume runs/search"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 0, /* run() asks for them unless it resumes */
    .operand_max = 2,
    .operand = "SPACE and DATA",
    .args_size = sizeof(tune_args),
    .defaults = defaults,
    .run = run,
};
