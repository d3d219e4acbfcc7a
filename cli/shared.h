/* What several verbs share. */
#ifndef CXR_CLI_SHARED_H
#define CXR_CLI_SHARED_H
#include "args.h"
#include "console.h"

/* Exit statuses, after sysexits.h. */
typedef enum cxr_exit {
    CXR_EXIT_OK = 0,
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

/* Words of the enumerations in cxr.h, by value. */
extern const char *const cxr_words_device[],
    *const cxr_words_optimizer[], *const cxr_words_schedule[], *const cxr_words_resize[], *const cxr_words_arch[],
                                                                                              *const cxr_words_freeze[];

typedef struct cxr_talk {
    bool quiet, verbose;
} cxr_talk;
cxr_volume cxr_talk_volume(const cxr_talk *talk);

/* The network that train builds and summary describes. */
const char *cxr_parse_head(cxr_train_opts *o, const char *text);
void cxr_show_head(const cxr_train_opts *o, char *out, size_t room);

/* The folder where fetched weights lie: $XDG_CACHE_HOME/cxr or ~/.cache/cxr. Caller frees. */
CXR_MUST_CHECK cxr_status cxr_cache_folder(char **out, cxr_error *err);
/* Makes sure that the ImageNet weights of `arch` are there; `dir` NULL: the cache. *path to be freed with cxr_free(). */
CXR_MUST_CHECK cxr_status cxr_imagenet_weights(const char *arch, const char *dir, const cxr_hooks *hooks, char **path,
                                               cxr_error *err);
/* "dir/name"; caller frees; NULL when memory is exhausted. */
char *cxr_join(const char *dir, const char *name);
#endif
