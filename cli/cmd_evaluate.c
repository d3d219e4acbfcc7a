/* cxr evaluate: a model's figures on a split, as tables on standard output and as files. */
#include "shared.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct evaluate_args {
    cxr_evaluate_opts opts;
    const char *model;
    unsigned device, precision;
    char *cache_dir;
    cxr_talk talk;
} evaluate_args;

static void defaults(void *args)
{
    evaluate_args *a = args;
    cxr_evaluate_opts_default(&a->opts);
    a->device = a->opts.run.device;
}

#define FILLS(field) CXR_FILLS(evaluate_args, field)

static const char *const split_words[] = {"test", "val", "train", "all", NULL};

static const cxr_option options[] = {
    CXR_OPTION_MODEL(FILLS(model)),
    {.name = "split",
     FILLS(opts.split),
     .words = split_words,
     .help = "which images of DATA; all: every one, whatever split it is in"},
    CXR_OPTION_SPLIT_FILE(FILLS(opts.split_file)),
    {.name = "out",
     .letter = 'o',
     FILLS(opts.out),
     .value = "DIR",
     .help = "write metrics.json, predictions.csv and confusion_matrix.png there"},
    CXR_OPTION_SKIP_UNREADABLE(FILLS(opts.skip_unreadable)),
    CXR_OPTION_MAX_PIXELS(FILLS(opts.run.limits.max_pixels)),
    CXR_OPTION_BATCH(FILLS(opts.run.batch_size)),
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_PRECISION(FILLS(precision)),
    CXR_OPTION_THREADS(FILLS(opts.run.threads)),
    CXR_OPTION_DETERMINISTIC(FILLS(opts.run.deterministic)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

/* ---- Tables ---- */

static int widest_class(const cxr_model *model, int least)
{
    for (int k = 0; k < cxr_model_class_count(model); k++) {
        const int n = (int)strlen(cxr_model_class_name(model, k));
        if (n > least) least = n;
    }
    return least;
}

static void print_figure(double v)
{
    if (isnan(v))
        (void)printf("  %8s", "-");
    else
        (void)printf("  %8.4f", v);
}

static void print_figures(const cxr_model *model, const cxr_metrics *m)
{
    (void)printf("images             %9zu\n", m->n);
    if (m->positive >= 0)
        (void)printf("positive class     %9s  at probability >= %.4g\n", cxr_model_class_name(model, m->positive),
                     m->threshold);
    if (m->classes > 2) {
        (void)printf("%-17s  %8s", "", "macro");
        for (int k = 0; k < m->classes; k++) (void)printf("  %8.8s", cxr_model_class_name(model, k));
        (void)putchar('\n');
    }
    for (int i = 0; i < CXR_METRICS; i++) {
        (void)printf("%-17s", m->names[i]);
        print_figure(m->value[i]);
        for (int k = 0; m->per_class[i] != NULL && k < m->classes; k++) print_figure(m->per_class[i][k]);
        (void)putchar('\n');
    }
}

static void print_confusion(const cxr_model *model, const cxr_metrics *m)
{
    const int width = widest_class(model, 7);
    (void)printf("\n%-*s  predicted\n%-*s", width, "true", width, "");
    for (int k = 0; k < m->classes; k++) (void)printf("  %*s", width, cxr_model_class_name(model, k));
    (void)putchar('\n');
    for (int t = 0; t < m->classes; t++) {
        (void)printf("%-*s", width, cxr_model_class_name(model, t));
        for (int k = 0; k < m->classes; k++) (void)printf("  %*" PRIu64, width, m->confusion[t * m->classes + k]);
        (void)putchar('\n');
    }
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    evaluate_args *a = args;
    cxr_model *model = NULL;
    cxr_metrics *metrics = NULL;
    a->opts.data = given->operands[0];
    a->opts.run.device = a->device;
    a->opts.run.threads = cxr_threads(a->opts.run.threads);
    a->opts.run.precision = a->precision;

    if (cxr_cache_folder(&a->cache_dir, NULL) == CXR_OK) a->opts.run.cache_dir = a->cache_dir;

    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), true);
    cxr_console_catch_signals();
    cxr_status st = cxr_open_model(&model, a->model, err);
    if (st == CXR_OK) st = cxr_evaluate(model, &a->opts, hooks, &metrics, err);
    cxr_console_close();
    if (st == CXR_OK) {
        print_figures(model, metrics);
        print_confusion(model, metrics);
    }
    cxr_metrics_free(&metrics);
    cxr_model_close(&model);
    free(a->cache_dir);
    return st;
}

const cxr_command cxr_command_evaluate = {
    .name = "evaluate",
    .summary = "measure a model on a data set",
    .synopsis = {"[OPTION]... DATA"},
    .about =
        "Prints a model's figures on one split of DATA, which is laid out as for cxr train: accuracy, balanced accuracy, "
        "sensitivity, specificity, predictive values, F1, areas under the ROC and the precision-recall curve, loss, and the "
        "confusion matrix. Preprocessing, classes and threshold come from the model file. Classes are matched by name; a "
        "class that the model does not know stops.",
    .examples = {{"figures on the test split, also as files",
                  "cxr evaluate --model runs/finetune/weights/best.safetensors chest_xray --out runs/article/test"},
                 {"the validation images that a run carved out of train/",
                  "cxr evaluate --model runs/finetune/weights/best.safetensors chest_xray --split val --split-file "
                  "runs/article/split.csv"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 1,
    .operand_max = 1,
    .operand = "DATA",
    .args_size = sizeof(evaluate_args),
    .defaults = defaults,
    .run = run,
};
