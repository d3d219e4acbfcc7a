/* cxr fetch-weights: the ImageNet weights into the cache, ahead of time. */
#include "shared.h"

typedef struct fetch_args {
    const char *arch, *dir;
    cxr_talk talk;
} fetch_args;

static void defaults(void *args)
{
    *(fetch_args *)args = (fetch_args){.arch = "resnet18"};
}

#define FILLS(field) CXR_FILLS(fetch_args, field)

static const cxr_option options[] = {
    {.name = "arch", .group = "Options", FILLS(arch), .words = cxr_words_arch, .help = "backbone whose weights to fetch"},
    {.name = "dir",
     .letter = 'd',
     FILLS(dir),
     .value = "DIR",
     .help = "where to put them (default: $XDG_CACHE_HOME/cxr, or ~/.cache/cxr)"},
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    fetch_args *a = args;
    char *path = NULL;
    (void)given;
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), true);
    cxr_console_catch_signals();
    const cxr_status st = cxr_imagenet_weights(a->arch, a->dir, hooks, &path, err);
    cxr_console_close();
    if (st == CXR_OK) (void)printf("%s\n", path);
    cxr_free(path);
    return st;
}

const cxr_command cxr_command_fetch_weights = {
    .name = "fetch-weights",
    .summary = "download the ImageNet weights",
    .synopsis = {"[OPTION]..."},
    .about = "Makes sure that torchvision's ImageNet weights lie in the cache, complete and with the right SHA-256, and prints "
             "their path. A broken download is resumed. cxr train does the same on first use; without a network, the message "
             "says which file to copy where. A proxy is taken from https_proxy or all_proxy.",
    .examples = {{"before going offline", "cxr fetch-weights"},
                 {"into a shared folder", "cxr fetch-weights --arch resnet34 --dir /srv/weights"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 0,
    .operand_max = 0,
    .operand = "operand",
    .args_size = sizeof(fetch_args),
    .defaults = defaults,
    .run = run,
};
