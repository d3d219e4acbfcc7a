/* Files: read whole under a cap, written atomically. An output appears under its final name complete and flushed, or not at
 * all: temporary name in the same folder, fsync, rename, fsync of the folder (or one flush for many files). */
#ifndef CXR_BASE_FILE_H
#define CXR_BASE_FILE_H
#include "cxr/cxr.h"
#include <stdio.h>

typedef struct cxr_buf {
    uint8_t *data;
    size_t len;
} cxr_buf;

/* Reads a regular file of at most max_bytes. CXR_ENOINPUT when it does not exist, CXR_ELIMIT when larger, CXR_EIO otherwise.
 * A folder or device is CXR_EDATA. */
CXR_MUST_CHECK cxr_status cxr_buf_read(cxr_buf *out, const char *path, uint64_t max_bytes, cxr_error *err);
void cxr_buf_free(cxr_buf *buf);

/* The same in parts: opens a regular file of at most max_bytes (the caller closes *fd), and reads `len` bytes at `at`. */
CXR_MUST_CHECK cxr_status cxr_file_open(int *fd, uint64_t *size, const char *path, uint64_t max_bytes, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_file_read(int fd, uint64_t at, void *to, size_t len, const char *path, cxr_error *err);

/* An output being written. Write to `stream` (errors may be ignored there: commit finds them), then commit or discard. */
typedef struct cxr_output {
    FILE *stream;
    char *path, *temporary;
} cxr_output;
CXR_MUST_CHECK cxr_status cxr_output_open(cxr_output *out, const char *path, cxr_error *err);
/* Flushes, renames, flushes the folder. On failure the temporary file is removed and an older file at `path` is untouched. */
CXR_MUST_CHECK cxr_status cxr_output_commit(cxr_output *out, cxr_error *err);
/* For many files that are easily made again: as commit, but nothing is flushed. One cxr_flush() does it for all. */
CXR_MUST_CHECK cxr_status cxr_output_place(cxr_output *out, cxr_error *err);
/* Flushes the file system that holds `folder`. */
CXR_MUST_CHECK cxr_status cxr_flush(const char *folder, cxr_error *err);
/* Removes the temporary file. Does nothing after a commit; safe on a zeroed cxr_output. */
void cxr_output_discard(cxr_output *out);
/* Removes the temporary files that killed writers left in `folder`; no other process may be writing there. */
void cxr_output_sweep(const char *folder);
/* Open, write and commit (place) at once. */
CXR_MUST_CHECK cxr_status cxr_file_write(const char *path, const void *data, size_t len, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_file_place(const char *path, const void *data, size_t len, cxr_error *err);

/* Creates `path` and its parents. CXR_ECREATE on failure. Existing folders are fine. */
CXR_MUST_CHECK cxr_status cxr_make_folders(const char *path, cxr_error *err);
/* "dir/name", or just `name` when dir is empty. NULL when memory is exhausted. */
char *cxr_path_join(const char *dir, const char *name) CXR_MUST_CHECK;
bool cxr_path_exists(const char *path);
bool cxr_path_is_folder(const char *path);
/* The part after the last '/'. Lent from `path`. */
const char *cxr_path_name(const char *path);
#endif
