/* A temporary folder for one test program, removed with what the tests left in it, and small helpers on files. */
#ifndef TESTS_MODEL_SCRATCH_H
#define TESTS_MODEL_SCRATCH_H
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs some of the above */

static char scratch[64];

static inline int scratch_open(void **state)
{
    (void)state;
    (void)snprintf(scratch, sizeof scratch, "/tmp/cxr-test-XXXXXX");
    return mkdtemp(scratch) == NULL;
}

/* The path of `name` in the folder; overwritten by the fourth call after it. */
static inline const char *in_scratch(const char *name)
{
    static char paths[4][384];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline int files_in_scratch(void)
{
    int count = 0;
    DIR *dir = opendir(scratch);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) count += e->d_name[0] != '.';
    if (dir != NULL) (void)closedir(dir);
    return count;
}

static inline int scratch_close(void **state)
{
    (void)state;
    DIR *dir = opendir(scratch);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.') (void)unlink(in_scratch(e->d_name));
    if (dir != NULL) (void)closedir(dir);
    return rmdir(scratch);
}

static inline void put_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}
#endif
