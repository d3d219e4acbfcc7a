/* Runs a fuzz target over files and the files of folders given on the command line: seeds, and inputs that once crashed.
 * A finding is a crash or a sanitizer's report; an unreadable or missing input fails. */
#include "base/file.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of the exact size, so that a sanitizer sees any read beyond the end. */
static int replay_file(const char *path)
{
    cxr_buf file;
    cxr_error err = {0};
    if (cxr_buf_read(&file, path, (uint64_t)1 << 28, &err) != CXR_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    uint8_t *copy = malloc(file.len + 1);
    if (copy == NULL) abort();
    memcpy(copy + 1, file.data, file.len);
    (void)LLVMFuzzerTestOneInput(copy + 1, file.len);
    free(copy);
    cxr_buf_free(&file);
    return 0;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) return 1;
    int failed = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char *file = cxr_path_join(path, entry->d_name);
        if (file == NULL) abort();
        failed |= replay_file(file);
        cxr_free(file);
    }
    (void)closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) failed |= cxr_path_is_folder(argv[i]) ? replay_folder(argv[i]) : replay_file(argv[i]);
    return failed;
}
