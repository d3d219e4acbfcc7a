#include "shared.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const cxr_words_precision[] = {"f32", "bf16", "int8", "auto", NULL};
const char *const cxr_words_tta[] = {"none", "flip", "scales", "crops", NULL};
const char *const cxr_words_cache[] = {"ram", "disk", "off", NULL};
const char *const cxr_words_device[] = {"auto", "cpu", "cuda", "reference", NULL};
const char *const cxr_words_optimizer[] = {"adam", "adamw", "sgd", NULL};
const char *const cxr_words_schedule[] = {"constant", "cosine", "onecycle", NULL};
const char *const cxr_words_resize[] = {"squash", "fit", "crop", NULL};
const char *const cxr_words_recipe[] = {"finetune", "article", NULL};
const char *const cxr_words_arch[] = {"resnet18", "resnet34", NULL};
const char *const cxr_words_freeze[] = {"backbone", "layer4", "layer3", "layer2", "layer1", "none", NULL};

int cxr_exit_status(cxr_status status, int signal)
{
    switch (status) {
    case CXR_OK: return CXR_EXIT_OK;
    case CXR_EUSAGE: return CXR_EXIT_USAGE;
    case CXR_EDATA:
    case CXR_ELIMIT: return CXR_EXIT_DATA;
    case CXR_ENOINPUT: return CXR_EXIT_NO_INPUT;
    case CXR_ECREATE: return CXR_EXIT_CREATE;
    case CXR_EIO: return CXR_EXIT_IO;
    case CXR_EUNAVAILABLE: return CXR_EXIT_UNAVAILABLE;
    case CXR_ENOMEM: return CXR_EXIT_SYSTEM;
    case CXR_ESTOPPED: return signal != 0 ? CXR_EXIT_SIGNAL + signal : CXR_EXIT_INTERNAL;
    case CXR_EUNMET: return CXR_EXIT_UNMET;
    case CXR_EINTERNAL: break;
    }
    return CXR_EXIT_INTERNAL;
}

cxr_volume cxr_talk_volume(const cxr_talk *talk)
{
    return talk->verbose ? CXR_VERBOSE : talk->quiet ? CXR_QUIET : CXR_NORMAL;
}

int cxr_threads(int given)
{
    const char *text = getenv("OMP_NUM_THREADS");
    char number[8];
    uint64_t threads = 0;
    if (given > 0 || text == NULL) return given;
    (void)snprintf(number, sizeof number, "%.*s", (int)strcspn(text, ","), text); /* one number for each level of nesting */
    return cxr_parse_uint(number, 1, 1024, &threads) ? (int)threads : given;
}

void cxr_settle_run(cxr_run_opts *run, unsigned device, unsigned precision, char **cache_dir)
{
    run->device = device;
    run->precision = precision;
    run->threads = cxr_threads(run->threads);
    if (cxr_cache_folder(cache_dir, NULL) == CXR_OK) run->cache_dir = *cache_dir;
}

/* One width of a comma-separated list; *text moves past it. */
static bool take_width(const char **text, int *width)
{
    char digits[8];
    uint64_t v = 0;
    const size_t n = strcspn(*text, ",");
    if (n == 0 || n >= sizeof digits) return false;
    memcpy(digits, *text, n);
    digits[n] = '\0';
    *text += n;
    if (!cxr_parse_uint(digits, 1, 65536, &v)) return false;
    *width = (int)v;
    return true;
}

const char *cxr_parse_head(cxr_train_opts *o, const char *text)
{
    static const char *const expected = "none or up to 8 widths from 1 to 65536, as 256,128";
    int widths[CXR_MAX_HEAD], count = 0;
    const bool none = strcmp(text, "none") == 0;
    while (!none) {
        if (count == CXR_MAX_HEAD || !take_width(&text, &widths[count])) return expected;
        count++;
        if (*text == '\0') break;
        text++;
    }
    o->head_count = count;
    memcpy(o->head, widths, (size_t)count * sizeof widths[0]);
    return NULL;
}

void cxr_show_head(const cxr_train_opts *o, char *out, size_t room)
{
    size_t used = 0;
    (void)snprintf(out, room, "none");
    for (int i = 0; i < o->head_count && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%d", i > 0 ? "," : "", o->head[i]);
}

char *cxr_join(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

cxr_status cxr_cache_folder(char **out, cxr_error *err)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg != NULL && *xdg == '/') /* a relative one must be ignored, says the specification */
        *out = cxr_join(xdg, "cxr");
    else if (home != NULL && *home == '/')
        *out = cxr_join(home, ".cache/cxr");
    else
        return cxr_fail(err, CXR_EUSAGE, "no place for downloaded weights: set HOME or XDG_CACHE_HOME to a full path");
    return *out != NULL ? CXR_OK : cxr_fail(err, CXR_ENOMEM, "no memory for a path");
}

static const char *proxy_setting(void)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && *v != '\0') return v;
    }
    return NULL;
}

cxr_status cxr_imagenet_weights(const char *arch, const char *dir, const cxr_hooks *hooks, char **path, cxr_error *err)
{
    char *cache = NULL;
    *path = NULL;
    cxr_status st = dir != NULL ? CXR_OK : cxr_cache_folder(&cache, err);
    if (st == CXR_OK) st = cxr_fetch_weights(arch, dir != NULL ? dir : cache, proxy_setting(), hooks, path, err);
    free(cache);
    return st;
}

cxr_status cxr_find_weights(const char *name, const char *arch, const cxr_hooks *hooks, char **path, cxr_error *err)
{
    *path = NULL;
    if (strcmp(name, "imagenet") == 0) return cxr_imagenet_weights(arch, NULL, hooks, path, err);
    if (strcmp(name, "cxr") == 0) return cxr_shipped_model(path, err);
    if (strcmp(name, "none") == 0 || (*path = strdup(name)) != NULL) return CXR_OK;
    return cxr_fail(err, CXR_ENOMEM, "no memory for a path");
}

cxr_status cxr_free_run_folder(const char *name, char **out, cxr_error *err)
{
    for (int n = 1; n < 100000; n++) {
        struct stat unused;
        char *path = NULL;
        const int length = n == 1 ? asprintf(&path, "runs/%s", name) : asprintf(&path, "runs/%s-%d", name, n);
        if (length < 0) return cxr_fail(err, CXR_ENOMEM, "no memory for a path");
        if (lstat(path, &unused) != 0 && errno == ENOENT) {
            *out = path;
            return CXR_OK;
        }
        free(path);
    }
    return cxr_fail(err, CXR_ECREATE, "runs/%s: no free number left; name the folder with --out", name);
}

void cxr_print_csv(const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        (void)fputs(text, stdout);
        return;
    }
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"') (void)putchar('"');
        (void)putchar(*text);
    }
    (void)putchar('"');
}
