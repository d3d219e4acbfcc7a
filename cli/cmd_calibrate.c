/* cxr calibrate: temperature, threshold and operating points of a model, fitted anew. */
#include "shared.h"
#include <math.h>
#include <stdlib.h>

typedef struct calibrate_args {
    cxr_calibrate_opts opts;
    const char *model;
    unsigned fit, device, precision;
    char *cache_dir;
    cxr_talk talk;
} calibrate_args;

static const char *const fit_words[] = {"val", "perturbed", NULL}; /* of cxr_fit, from CXR_FIT_VAL */

static void defaults(void *args)
{
    calibrate_args *a = args;
    cxr_calibrate_opts_default(&a->opts);
    a->fit = a->opts.fit - CXR_FIT_VAL;
    a->device = a->opts.run.device;
}

#define FILLS(field) CXR_FILLS(calibrate_args, field)

static const cxr_option options[] = {
    CXR_OPTION_MODEL(FILLS(model)),
    {.name = "out", .letter = 'o', FILLS(opts.out), .value = "FILE", .help = "the model file to write; required"},
    {.name = "fit",
     FILLS(fit),
     .words = fit_words,
     .help = "fit on the validation images as they are, or perturbed as by cxr evaluate --robustness"},
    {.name = "keep",
     FILLS(opts.keep),
     .help = "leave temperature and threshold as they are; fit the operating points and when to abstain"},
    CXR_OPTION_SPLIT_FILE(FILLS(opts.split_file)),
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

static void print_number(double x)
{
    if (isnan(x))
        (void)printf("  %8s", "-");
    else
        (void)printf("  %8.4f", x);
}

static void print_row(const char *name, double before, double after)
{
    (void)printf("%-12s", name);
    print_number(before);
    print_number(after);
    (void)putchar('\n');
}

static void print_report(const cxr_calibrate_report *r)
{
    (void)printf("validation   %8zu images\n", r->n);
    (void)printf("%-12s  %8s  %8s\n", "", "before", "after");
    print_row("temperature", r->before.temperature, r->after.temperature);
    print_row("threshold", r->before.threshold, r->after.threshold);
    print_row("rule-out", r->before.rule_out, r->after.rule_out);
    print_row("rule-in", r->before.rule_in, r->after.rule_in);
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    calibrate_args *a = args;
    cxr_model *model = NULL;
    cxr_calibrate_report report = {0};
    if (a->opts.out == NULL) return cxr_fail(err, CXR_EUSAGE, "--out FILE is missing");
    a->opts.data = given->operands[0];
    a->opts.fit = a->fit + CXR_FIT_VAL;
    cxr_settle_run(&a->opts.run, a->device, a->precision, &a->cache_dir);
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), true);
    cxr_console_catch_signals();
    cxr_status st = cxr_open_model(&model, a->model, err);
    if (st == CXR_OK) st = cxr_calibrate(model, &a->opts, hooks, &report, err);
    cxr_console_close();
    if (st == CXR_OK) print_report(&report);
    cxr_model_close(&model);
    free(a->cache_dir);
    return st;
}

const cxr_command cxr_command_calibrate = {
    .name = "calibrate",
    .summary = "fit a model's temperature, threshold and operating points",
    .synopsis = {"--out FILE [OPTION]... DATA"},
    .about =
        "Fits anew, on the validation images of DATA, what cxr train --fit chooses when training ends, and writes the model "
        "with it: the temperature that makes probabilities honest; the threshold of the largest sensitivity + specificity; "
        "and two operating points, the largest threshold whose sensitivity is at least 0.95, to rule the positive class "
        "out, and the smallest whose specificity is, to rule it in. What lets cxr predict abstain is fitted on the training "
        "images, its limits on the validation images. No weight changes. The test images are not read.\n\n"
        "Which images are validation is decided by the run that the model lies in, or by --split-file; else they are those "
        "that cxr train would take, and a warning says that the model may have been trained on some of them.",
    .examples = {{"a model of an older cxr, on its run's own validation images",
                  "cxr calibrate --model runs/finetune/weights/best.safetensors chest_xray --out "
                  "runs/finetune/weights/best.safetensors"},
                 {"for images of another hospital, as they are",
                  "cxr calibrate --model best.safetensors --fit val ours --out ours.safetensors"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 1,
    .operand_max = 1,
    .operand = "DATA",
    .args_size = sizeof(calibrate_args),
    .defaults = defaults,
    .run = run,
};
