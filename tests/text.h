/* A file's bytes as a string. */
#ifndef TESTS_TEXT_H
#define TESTS_TEXT_H
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

/* NULL when it cannot be read; free() it. */
static inline char *text_of_file(const char *path)
{
    cxr_buf file;
    if (cxr_buf_read(&file, path, 1 << 24, NULL) != CXR_OK) return NULL;
    char *text = malloc(file.len + 1);
    if (text != NULL) {
        memcpy(text, file.data, file.len);
        text[file.len] = '\0';
    }
    cxr_buf_free(&file);
    return text;
}
#endif
