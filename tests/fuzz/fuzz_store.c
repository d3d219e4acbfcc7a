/* Any bytes as the file of a cache: opened as it is or made anew, never an error; and records put into it come back, from this
 * store and from the file. */
#include "base/file.h"
#include "data/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT 4
#define BYTES 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cxr_store *opened(const char *dir)
{
    const cxr_store_opts o = {.dir = dir, .kind = "fuzz", .key = {1}, .count = COUNT, .record_bytes = BYTES};
    cxr_store *s = NULL;
    cxr_error err = {0};
    if (cxr_store_open(&s, &o, &err) != CXR_OK) abort();
    return s;
}

static void must_hold(cxr_store *s)
{
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t got[BYTES], want[BYTES];
        memset(want, (int)i + 1, sizeof want);
        if (!cxr_store_get(s, i, got) || memcmp(got, want, sizeof got) != 0) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[] = "/tmp/cxr-fuzz-XXXXXX", path[sizeof dir + 64];
    if (mkdtemp(dir) == NULL) abort();
    (void)snprintf(path, sizeof path, "%s/fuzz-01000000000000000000000000000000.cache", dir);
    if (cxr_file_write(path, data, size, NULL) != CXR_OK) abort();
    cxr_store *s = opened(dir);
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t record[BYTES];
        const bool had = cxr_store_has(s, i), got = cxr_store_get(s, i, record);
        if ((got && !had) || cxr_store_has(s, i) != got) abort();
        memset(record, (int)i + 1, sizeof record);
        cxr_store_put(s, i, record);
    }
    must_hold(s);
    cxr_store_close(&s);
    s = opened(dir);
    must_hold(s);
    cxr_store_close(&s);
    (void)unlink(path);
    (void)rmdir(dir);
    return 0;
}
