/* What several verbs share. */
#ifndef CXR_CLI_SHARED_H
#define CXR_CLI_SHARED_H
#include "args.h"
#include "console.h"

/* Exit statuses, after sysexits.h. */
typedef enum cxr_exit {
    CXR_EXIT_OK = 0,
    CXR_EXIT_UNMET = 1, /* cxr compare --require, cxr inspect --strict */
    CXR_EXIT_USAGE = 2,
    CXR_EXIT_DATA = 65,
    CXR_EXIT_NO_INPUT = 66,
    CXR_EXIT_UNAVAILABLE = 69,
    CXR_EXIT_INTERNAL = 70,
    CXR_EXIT_SYSTEM = 71, /* memory */
    CXR_EXIT_CREATE = 73,
    CXR_EXIT_IO = 74,
    CXR_EXIT_SIGNAL = 128 /* + SIGINT or SIGTERM: stopped when asked to */
} cxr_exit;

int cxr_exit_status(cxr_status status, int signal);

/* Options that several verbs have; F ties the option to a field, as CXR_FILLS does. */
#define CXR_OPTION_MODEL(F)                                                                                                    \
    {                                                                                                                          \
        F, .name = "model", .letter = 'm', .group = "Options", .value = "FILE",                                                \
           .help = "model file, as weights/best.safetensors of a run (default: the one that comes with cxr)"                   \
    }
#define CXR_OPTION_MODELS(PARSE)                                                                                               \
    {                                                                                                                          \
        .name = "model", .letter = 'm', .group = "Options", .kind = CXR_ARG_TEXT, .value = "FILE", .parse = PARSE,             \
        .help =                                                                                                                \
            "model file, as weights/best.safetensors of a run, or run folder (default: the one that comes with cxr); with "    \
            "several (repeat it), or a folder of --seeds, the mean of their probabilities"                                     \
    }
#define CXR_OPTION_MAX_PIXELS(F)                                                                                               \
    {                                                                                                                          \
        F, .name = "max-pixels", .value = "N", .low = 1, .high = 1e12, .help = "refuse images of more pixels"                  \
    }
#define CXR_OPTION_SKIP_UNREADABLE(F)                                                                                          \
    {                                                                                                                          \
        F, .name = "skip-unreadable", .help = "count and list unreadable images instead of stopping"                           \
    }
#define CXR_OPTION_SPLIT_FILE(F)                                                                                               \
    {                                                                                                                          \
        F, .name = "split-file", .value = "FILE", .help = "a run's split.csv: it decides which image is in which split"        \
    }
#define CXR_OPTION_SEED(F, HELP)                                                                                               \
    {                                                                                                                          \
        F, .name = "seed", .letter = 's', .value = "N", .low = 0, .high = 9.2e18, .help = HELP                                 \
    }
#define CXR_OPTION_BATCH(F)                                                                                                    \
    {                                                                                                                          \
        F, .name = "batch-size", .letter = 'b', .value = "N", .low = 1, .high = 1024, .help = "images computed at once"        \
    }
#define CXR_OPTION_DEVICE(F)                                                                                                   \
    {                                                                                                                          \
        F, .name = "device", .words = cxr_words_device, .help = "where to compute; reference is the slow oracle"               \
    }
#define CXR_OPTION_THREADS(F)                                                                                                  \
    {                                                                                                                          \
        F, .name = "threads", .letter = 'j', .value = "N", .low = 0, .high = 1024,                                             \
           .help = "threads to use; 0: $OMP_NUM_THREADS, else as many as this process may"                                     \
    }
#define CXR_OPTION_PRECISION(F)                                                                                                \
    {                                                                                                                          \
        F, .name = "precision", .words = cxr_words_precision,                                                                  \
           .help = "what to compute in; auto: bf16 for what is not trained where the processor has it, else f32"               \
    }
#define CXR_OPTION_DETERMINISTIC(F)                                                                                            \
    {                                                                                                                          \
        F, .name = "deterministic", .help = "choose kernels by a fixed rule, not by timing them on this machine"               \
    }
#define CXR_OPTION_TTA(F)                                                                                                      \
    {                                                                                                                          \
        F, .name = "tta", .words = cxr_words_tta,                                                                              \
           .help = "average over views of each image: it and its mirror image (2), also its centre at two scales (6), or its " \
                   "corners and centre (12)"                                                                                   \
    }
#define CXR_OPTION_QUIET(F)                                                                                                    \
    {                                                                                                                          \
        F, .name = "quiet", .letter = 'q', .help = "say nothing on standard error but warnings and errors"                     \
    }
#define CXR_OPTION_VERBOSE(F)                                                                                                  \
    {                                                                                                                          \
        F, .name = "verbose", .letter = 'v', .help = "say more: memory, programs, timings"                                     \
    }

/* Words of the enumerations in cxr.h, by value. */
extern const char *const cxr_words_device[],
    *const cxr_words_precision[], *const cxr_words_tta[], *const cxr_words_cache[], *const cxr_words_optimizer[],
                                                                                        *const cxr_words_schedule[],
                                                                                            *const cxr_words_resize[],
                                                                                                *const cxr_words_arch[],
                                                                                                    *const cxr_words_freeze[];

extern const char *const cxr_words_recipe[]; /* names of recipes, the default first */

typedef struct cxr_talk {
    bool quiet, verbose;
} cxr_talk;
cxr_volume cxr_talk_volume(const cxr_talk *talk);

/* --threads as given; where it was not (0), the first number of $OMP_NUM_THREADS, as programs on OpenMP do; else 0. */
int cxr_threads(int given);

/* What options of a command say of how to run: --device, --precision, --threads as cxr_threads() has it, and the folder of chosen
 * kernels, kept in *cache_dir, which the caller frees. */
void cxr_settle_run(cxr_run_opts *run, unsigned device, unsigned precision, char **cache_dir);

/* The network that train builds and summary describes. */
const char *cxr_parse_head(cxr_train_opts *o, const char *text);
void cxr_show_head(const cxr_train_opts *o, char *out, size_t room);

/* The folder where fetched weights lie: $XDG_CACHE_HOME/cxr or ~/.cache/cxr. Caller frees. */
CXR_MUST_CHECK cxr_status cxr_cache_folder(char **out, cxr_error *err);
/* Makes sure that the ImageNet weights of `arch` are there; `dir` NULL: the cache. *path to be freed with cxr_free(). */
CXR_MUST_CHECK cxr_status cxr_imagenet_weights(const char *arch, const char *dir, const cxr_hooks *hooks, char **path,
                                               cxr_error *err);
/* The file that --weights names: "imagenet", fetched if need be, "cxr", the shipped model, or a file; *path NULL: "none". To be
 * freed with cxr_free(). */
CXR_MUST_CHECK cxr_status cxr_find_weights(const char *name, const char *arch, const cxr_hooks *hooks, char **path,
                                           cxr_error *err);
/* runs/NAME, or the first of runs/NAME-2, -3, ... that does not exist. Caller frees. */
CXR_MUST_CHECK cxr_status cxr_free_run_folder(const char *name, char **out, cxr_error *err);
/* The file of the model that comes with cxr: beside the program in a build, under share/cxr in an installed tree. CXR_ENOINPUT
 * when it is in neither. Caller frees. */
CXR_MUST_CHECK cxr_status cxr_shipped_model(char **out, cxr_error *err);
/* Opens `path`; NULL: the model that comes with cxr. */
CXR_MUST_CHECK cxr_status cxr_open_model(cxr_model **out, const char *path, cxr_error *err);
#define CXR_MAX_MODELS 16

/* What --model was given. */
typedef struct cxr_models {
    const char *paths[CXR_MAX_MODELS];
    int count;
} cxr_models;
/* For an option's parse(). */
const char *cxr_add_model(cxr_models *m, const char *text);
/* One model of them all; of none, that which comes with cxr. */
CXR_MUST_CHECK cxr_status cxr_open_models(cxr_model **out, const cxr_models *m, cxr_error *err);
/* "dir/name"; caller frees; NULL when memory is exhausted. */
char *cxr_join(const char *dir, const char *name);
/* A field of a CSV line on standard output, quoted where RFC 4180 says. */
void cxr_print_csv(const char *text);
#endif
