/* Where the files of an image's explanation go, and the one that is numbers. */
#ifndef CXR_EXPLAIN_OUTPUTS_H
#define CXR_EXPLAIN_OUTPUTS_H
#include "cxr/cxr.h"

/* How many bytes of each path are the folders that all have in common. */
size_t cxr_common_folders(char *const *paths, size_t count);
/* "out/PATH" of a path without its first `common` bytes; no part of it leads out of the folder: "." and empty parts are left out,
 * ".." becomes "__". NULL when memory is exhausted. */
char *cxr_output_stem(const char *out, const char *path, size_t common) CXR_MUST_CHECK;
/* height x width floats as numpy's format 1.0, little-endian, row by row. Placed, not flushed. */
CXR_MUST_CHECK cxr_status cxr_npy_write(const char *path, const float *values, int height, int width, cxr_error *err);
#endif
