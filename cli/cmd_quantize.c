/* cxr quantize: a model that also runs in int8. */
#include "shared.h"

typedef struct quantize_args {
    cxr_quantize_opts opts;
    const char *model;
    unsigned device;
    cxr_talk talk;
} quantize_args;

static void defaults(void *args)
{
    quantize_args *a = args;
    cxr_quantize_opts_default(&a->opts);
    a->device = a->opts.run.device;
}

#define FILLS(field) CXR_FILLS(quantize_args, field)

static const cxr_option options[] = {
    CXR_OPTION_MODEL(FILLS(model)),
    {.name = "out", .letter = 'o', FILLS(opts.out), .value = "FILE", .help = "the model file to write; required"},
    {.name = "images", FILLS(opts.images), .value = "N", .low = 1, .high = 65536, .help = "training images to calibrate with"},
    CXR_OPTION_SEED(FILLS(opts.seed), "decides which training images"),
    {.name = "max-loss",
     FILLS(opts.max_loss),
     .value = "X",
     .low = 0,
     .high = 1,
     .help = "refuse when the area under the ROC curve on validation falls by more"},
    CXR_OPTION_SPLIT_FILE(FILLS(opts.split_file)),
    CXR_OPTION_SKIP_UNREADABLE(FILLS(opts.skip_unreadable)),
    CXR_OPTION_MAX_PIXELS(FILLS(opts.run.limits.max_pixels)),
    CXR_OPTION_BATCH(FILLS(opts.run.batch_size)),
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_THREADS(FILLS(opts.run.threads)),
    CXR_OPTION_DETERMINISTIC(FILLS(opts.run.deterministic)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

static void print_report(const cxr_quantize_report *r)
{
    (void)printf("calibrated with      %6zu training images\n", r->calibrated);
    (void)printf("validation           %6zu images\n", r->n);
    (void)printf("auroc f32            %6.4f\n", r->auroc_f32);
    (void)printf("auroc int8           %6.4f\n", r->auroc_int8);
    (void)printf("same decision        %6.2f%%\n", 100.0 * (double)r->same / (double)r->n);
    (void)printf("largest change       %6.4f of a probability\n", r->largest);
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    quantize_args *a = args;
    cxr_model *model = NULL;
    cxr_quantize_report report = {0};
    if (a->opts.out == NULL) return cxr_fail(err, CXR_EUSAGE, "--out FILE is missing");
    a->opts.data = given->operands[0];
    a->opts.run.device = a->device;
    a->opts.run.threads = cxr_threads(a->opts.run.threads);

    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), true);
    cxr_console_catch_signals();
    cxr_status st = cxr_open_model(&model, a->model, err);
    if (st == CXR_OK) st = cxr_quantize(model, &a->opts, hooks, &report, err);
    cxr_console_close();
    if (report.n > 0) print_report(&report);
    cxr_model_close(&model);
    return st;
}

const cxr_command cxr_command_quantize = {
    .name = "quantize",
    .summary = "prepare a model to run in int8",
    .synopsis = {"--out FILE [OPTION]... DATA"},
    .about = "Measures, on training images of DATA, which range each activation of the network needs, and writes the model "
             "with these ranges. The file holds the same weights as before: every other precision runs from it unchanged, and "
             "--precision int8 runs from it too.\n\n"
             "Before writing, the model runs over the validation images in f32 and in int8, and the areas under the ROC curve "
             "and the share of equal decisions are printed. A model that loses more than --max-loss is refused with exit "
             "status 65 and nothing is written. The test images are not read.",
    .examples = {{"a run's best model, measured on the run's own validation images",
                  "cxr quantize --model runs/finetune/weights/best.safetensors chest_xray --out "
                  "runs/finetune/weights/int8.safetensors"},
                 {"then, many images fast",
                  "cxr predict --model runs/finetune/weights/int8.safetensors --precision int8 chest_xray/test"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 1,
    .operand_max = 1,
    .operand = "DATA",
    .args_size = sizeof(quantize_args),
    .defaults = defaults,
    .run = run,
};
