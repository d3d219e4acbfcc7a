#include "data/files.h"
#include "base/file.h"
#include "base/mem.h"
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_DEPTH 64 /* folders in folders */

bool cxr_is_ignored_name(const char *name)
{
    return name[0] == '.' || strcmp(name, "__MACOSX") == 0;
}

bool cxr_is_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (cxr_is_ignored_name(name) || dot == NULL) return false;
    return strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 || strcasecmp(dot, ".png") == 0;
}

static cxr_status add(cxr_files *f, const char *path, cxr_error *err)
{
    if (f->count == f->room) {
        const size_t more = f->room == 0 ? 64 : f->room * 2;
        char **paths = cxr_mem_resize(f->paths, more, sizeof *paths);
        if (paths == NULL) return cxr_mem_fail(err, "a list of files");
        f->paths = paths;
        f->room = more;
    }
    f->paths[f->count] = cxr_mem_strdup(path);
    if (f->paths[f->count] == NULL) return cxr_mem_fail(err, "a file name");
    f->count++;
    return CXR_OK;
}

static cxr_status visit(cxr_files *f, FTS *walk, FTSENT *e, cxr_error *err)
{
    switch (e->fts_info) {
    case FTS_D:
        if (e->fts_level > 0 && cxr_is_ignored_name(e->fts_name)) (void)fts_set(walk, e, FTS_SKIP);
        if (e->fts_level <= MAX_DEPTH) return CXR_OK;
        return cxr_fail(err, CXR_ELIMIT, "%s: folders nested more than %d deep", e->fts_path, MAX_DEPTH);
    case FTS_DNR:
    case FTS_ERR: return cxr_fail(err, CXR_EIO, "%s: cannot read folder: %s", e->fts_path, strerror(e->fts_errno));
    case FTS_DP:
    case FTS_DC: return CXR_OK; /* DC: a link back to a folder that we are in */
    default: return cxr_is_image_name(e->fts_name) ? add(f, e->fts_path, err) : CXR_OK;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static cxr_status add_folder(cxr_files *f, const char *path, cxr_error *err)
{
    char *root = cxr_mem_strdup(path);
    if (root == NULL) return cxr_mem_fail(err, "a file name");
    char *const roots[2] = {root, NULL};
    const size_t before = f->count;
    cxr_status st = CXR_OK;
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (walk == NULL) st = cxr_fail(err, CXR_EIO, "%s: cannot read folder: %s", path, strerror(errno));
    errno = 0;
    for (FTSENT *e; st == CXR_OK && (e = fts_read(walk)) != NULL; errno = 0) st = visit(f, walk, e, err);
    if (st == CXR_OK && errno != 0) st = cxr_fail(err, CXR_EIO, "%s: cannot read folder: %s", path, strerror(errno));
    if (walk != NULL) (void)fts_close(walk);
    cxr_mem_free(root);
    if (st == CXR_OK && f->count == before) st = cxr_fail(err, CXR_ENOINPUT, "%s: no JPEG or PNG image in this folder", path);
    if (st == CXR_OK) qsort(f->paths + before, f->count - before, sizeof *f->paths, by_text);
    return st;
}

cxr_status cxr_files_list(cxr_files *out, const char *const *paths, size_t count, cxr_error *err)
{
    *out = (cxr_files){0};
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < count && st == CXR_OK; i++)
        st = cxr_path_is_folder(paths[i]) ? add_folder(out, paths[i], err) : add(out, paths[i], err);
    if (st != CXR_OK) cxr_files_free(out);
    return st;
}

void cxr_files_free(cxr_files *f)
{
    for (size_t i = 0; i < f->count; i++) cxr_mem_free(f->paths[i]);
    cxr_mem_free(f->paths);
    *f = (cxr_files){0};
}
