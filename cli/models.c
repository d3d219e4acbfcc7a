/* --model, where several may be given: files, run folders, folders of --seeds. */
#include "shared.h"
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *cxr_add_model(cxr_models *m, const char *text)
{
    if (*text == '\0' || m->count == CXR_MAX_MODELS) return "a model file or run folder, at most 16 times";
    m->paths[m->count++] = text;
    return NULL;
}

/* Opens the file as a member of *all, or as the first of them. */
static cxr_status join(cxr_model **all, const char *path, cxr_error *err)
{
    cxr_model *m = NULL;
    cxr_status st = cxr_open_model(&m, path, err);
    if (st != CXR_OK) return st;
    if (*all == NULL) return *all = m, CXR_OK;
    st = cxr_model_join(*all, &m, err);
    cxr_model_close(&m);
    return st;
}

/* The best model of each seed in a folder of --seeds. */
static cxr_status join_seeds(cxr_model **all, const char *folder, cxr_error *err)
{
    glob_t found;
    char *pattern = cxr_join(folder, "seed-*/weights/best.safetensors");
    if (pattern == NULL) return cxr_fail(err, CXR_ENOMEM, "no memory for a path");
    const int failed = glob(pattern, 0, NULL, &found);
    free(pattern);
    if (failed != 0) return cxr_fail(err, CXR_ENOINPUT, "%s: holds no weights/best.safetensors, nor seeds that do", folder);
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < found.gl_pathc && st == CXR_OK; i++) st = join(all, found.gl_pathv[i], err);
    globfree(&found);
    return st;
}

static cxr_status join_path(cxr_model **all, const char *path, cxr_error *err)
{
    struct stat s;
    if (stat(path, &s) != 0 || !S_ISDIR(s.st_mode)) return join(all, path, err);
    char *best = cxr_join(path, "weights/best.safetensors");
    if (best == NULL) return cxr_fail(err, CXR_ENOMEM, "no memory for a path");
    const cxr_status st = access(best, F_OK) == 0 ? join(all, best, err) : join_seeds(all, path, err);
    free(best);
    return st;
}

cxr_status cxr_open_models(cxr_model **out, const cxr_models *m, cxr_error *err)
{
    *out = NULL;
    cxr_status st = m->count == 0 ? cxr_open_model(out, NULL, err) : CXR_OK;
    for (int i = 0; i < m->count && st == CXR_OK; i++) st = join_path(out, m->paths[i], err);
    if (st != CXR_OK) cxr_model_close(out);
    return st;
}
