/* cxr export: a model as a file of its own. */
#include "shared.h"

typedef struct export_args {
    const char *model, *out;
    bool half;
} export_args;

static void defaults(void *args)
{
    (void)args;
}

#define FILLS(field) CXR_FILLS(export_args, field)

static const cxr_option options[] = {
    CXR_OPTION_MODEL(FILLS(model)),
    {.name = "out", .letter = 'o', FILLS(out), .value = "FILE", .help = "the model file to write; required"},
    {.name = "half", FILLS(half), .help = "round the weights to 16 bits, f16, which halves the file"},
};

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    (void)given;
    const export_args *a = args;
    cxr_model *model = NULL;
    if (a->out == NULL) return cxr_fail(err, CXR_EUSAGE, "--out FILE is missing");
    cxr_status st = cxr_open_model(&model, a->model, err);
    if (st == CXR_OK) st = cxr_model_save(model, a->out, a->half, err);
    cxr_model_close(&model);
    return st;
}

const cxr_command cxr_command_export = {
    .name = "export",
    .summary = "write a model as a file to pass on",
    .synopsis = {"--out FILE [OPTION]..."},
    .about = "Writes a copy of a model: tensors under torchvision's names, and everything that prediction needs to know. Of a "
             "checkpoint only the model is kept, and of paths in the receipt of its training only names. The copy is checked "
             "as it is read, and appears whole or not at all.",
    .examples = {{"a run's best model at half the size",
                  "cxr export --model runs/finetune/weights/best.safetensors --half --out pneumonia.safetensors"},
                 {"the weights as they were at the end",
                  "cxr export -m runs/finetune/weights/last.safetensors -o last.safetensors"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 0,
    .operand_max = 0,
    .operand = "operand",
    .args_size = sizeof(export_args),
    .defaults = defaults,
    .run = run,
};
