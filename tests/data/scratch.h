/* A folder of one's own for a test program, and the files in it. */
#ifndef TESTS_DATA_SCRATCH_H
#define TESTS_DATA_SCRATCH_H
#include "base/file.h"
#include "base/mem.h"
#include <fts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h needs the headers above before it */
#include <cmocka.h>

/* Free with scratch_remove. */
static inline char *scratch_new(void)
{
    char *dir = cxr_mem_strdup("/tmp/cxr-test-XXXXXX");
    assert_non_null(dir);
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void scratch_empty(const char *dir)
{
    char *const roots[] = {(char *)(uintptr_t)dir, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL, NULL);
    for (FTSENT *e; walk != NULL && (e = fts_read(walk)) != NULL;)
        if (e->fts_info != FTS_D && e->fts_level > 0) (void)remove(e->fts_accpath);
    if (walk != NULL) (void)fts_close(walk);
}

static inline void scratch_remove(char *dir)
{
    scratch_empty(dir);
    (void)rmdir(dir);
    cxr_mem_free(dir);
}

/* Writes dir/name, with the folders on the way to it. */
static inline void scratch_write(const char *dir, const char *name, const char *text)
{
    char *path = cxr_path_join(dir, name);
    assert_non_null(path);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(cxr_make_folders(path, NULL), CXR_OK);
    *slash = '/';
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    cxr_mem_free(path);
}
#endif
