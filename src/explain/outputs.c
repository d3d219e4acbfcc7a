#include "explain/outputs.h"
#include "base/file.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

/* Bytes up to and with the last '/' among the first `len`. */
static size_t folders_of(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] != '/') len--;
    return len;
}

size_t cxr_common_folders(char *const *paths, size_t count)
{
    size_t len = count > 0 ? folders_of(paths[0], strlen(paths[0])) : 0;
    for (size_t i = 1; i < count; i++)
        while (len > 0 && strncmp(paths[i], paths[0], len) != 0) len = folders_of(paths[0], len - 1);
    return len;
}

char *cxr_output_stem(const char *out, const char *path, size_t common)
{
    char *stem = cxr_mem_new(strlen(out) + strlen(path) + 2, 1);
    if (stem == NULL) return NULL;
    char *to = stpcpy(stem, out);
    for (const char *part = path + common; *part != '\0';) {
        const size_t len = strcspn(part, "/");
        const bool dot = len == 1 && part[0] == '.', up = len == 2 && part[0] == '.' && part[1] == '.';
        if (len > 0 && !dot) {
            *to++ = '/';
            memcpy(to, up ? "__" : part, len);
            to += len;
        }
        part += len + (part[len] == '/');
    }
    return stem;
}

#define NPY_ALIGN 64

cxr_status cxr_npy_write(const char *path, const float *values, int height, int width, cxr_error *err)
{
    static const unsigned char magic[8] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    char text[2 * NPY_ALIGN + 1];
    const int used =
        snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", height, width);
    const size_t len = (sizeof magic + 2 + (size_t)used + 1 + NPY_ALIGN - 1) / NPY_ALIGN * NPY_ALIGN - sizeof magic - 2;
    memset(text + used, ' ', len - (size_t)used);
    text[len - 1] = '\n';
    cxr_output out;
    const cxr_status st = cxr_output_open(&out, path, err);
    if (st != CXR_OK) return st;
    (void)fwrite(magic, 1, sizeof magic, out.stream);
    (void)fputc((int)(len & 255), out.stream);
    (void)fputc((int)(len >> 8), out.stream);
    (void)fwrite(text, 1, len, out.stream);
    (void)fwrite(values, sizeof *values, (size_t)height * (size_t)width, out.stream);
    return cxr_output_place(&out, err);
}
