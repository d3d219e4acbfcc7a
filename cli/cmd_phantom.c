/* cxr phantom: synthetic radiographs to try everything on. */
#include "shared.h"

typedef struct phantom_args {
    cxr_phantom_opts opts;
} phantom_args;

static void defaults(void *args)
{
    cxr_phantom_opts_default(&((phantom_args *)args)->opts);
}

#define FILLS(field) CXR_FILLS(phantom_args, field)

static const cxr_option options[] = {
    {.name = "out",
     .letter = 'o',
     .group = "Options",
     FILLS(opts.out),
     .value = "DIR",
     .help = "folder to create; refused if it exists and is not empty; required"},
    {.name = "train", FILLS(opts.train), .value = "N", .low = 1, .high = 1000000, .help = "training images per class"},
    {.name = "val", FILLS(opts.val), .value = "N", .low = 0, .high = 1000000, .help = "validation images per class"},
    {.name = "test", FILLS(opts.test), .value = "N", .low = 0, .high = 1000000, .help = "test images per class"},
    {.name = "size",
     FILLS(opts.size),
     .value = "N",
     .low = 64,
     .high = 4096,
     .help = "mean side in pixels; every image differs"},
    {.name = "seed", .letter = 's', FILLS(opts.seed), .value = "N", .help = "of everything random"},
};

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    phantom_args *a = args;
    (void)given;
    if (a->opts.out == NULL) return cxr_fail(err, CXR_EUSAGE, "--out DIR is missing");
    const cxr_status st = cxr_phantom(&a->opts, err);
    if (st == CXR_OK) (void)printf("%s\n", a->opts.out);
    return st;
}

const cxr_command cxr_command_phantom = {
    .name = "phantom",
    .summary = "make a synthetic data set",
    .synopsis = {"--out DIR [OPTION]..."},
    .about =
        "Writes synthetic chest radiographs as train/, val/ and test/ folders of JPEGs in two classes, NORMAL and "
        "PNEUMONIA, several images per patient: thorax, lungs, ribs and heart, noise, differing exposure and size, and "
        "pneumonia as opacities of varying size and place. Good for trying the program without data; of no medical meaning.",
    .examples = {{"the default set, 344 images per class", "cxr phantom --out phantoms"},
                 {"a small one for a quick test", "cxr phantom --out tiny --train 40 --val 16 --test 16 --size 128 --seed 7"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 0,
    .operand_max = 0,
    .operand = "operand",
    .args_size = sizeof(phantom_args),
    .defaults = defaults,
    .run = run,
};
