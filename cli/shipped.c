/* The model that comes with cxr, for whoever names none. */
#include "shared.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "cxr-pneumonia-resnet18.safetensors"

static const char *const places[] = {CXR_MODELS_FROM_PROGRAM, "models"};

cxr_status cxr_shipped_model(char **out, cxr_error *err)
{
    char program[4096];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    *out = NULL;
    program[n > 0 ? n : 0] = '\0';
    char *end = strrchr(program, '/');
    if (end == NULL) return cxr_fail(err, CXR_ENOINPUT, "the model that comes with cxr cannot be found: name one with --model");
    *end = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s/%s", program, places[i], FILE_NAME) < 0)
            return cxr_fail(err, CXR_ENOMEM, "no memory for a path");
        if (access(path, F_OK) == 0) return *out = path, CXR_OK;
        free(path);
    }
    return cxr_fail(err, CXR_ENOINPUT, "%s/%s/" FILE_NAME ": no such file: cxr came without its model; name one with --model",
                    program, places[0]);
}

cxr_status cxr_open_model(cxr_model **out, const char *path, cxr_error *err)
{
    char *shipped = NULL;
    *out = NULL;
    cxr_status st = path == NULL ? cxr_shipped_model(&shipped, err) : CXR_OK;
    if (st == CXR_OK) st = cxr_model_open(out, path != NULL ? path : shipped, err);
    free(shipped);
    return st;
}
