#include "base/file.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void cxr_buf_free(cxr_buf *buf)
{
    cxr_mem_free(buf->data);
    *buf = (cxr_buf){0};
}

cxr_status cxr_file_open(int *fd, uint64_t *size, const char *path, uint64_t max_bytes, cxr_error *err)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a FIFO must not hang us before fstat refuses it */
    if (*fd < 0) {
        const cxr_status status = errno == ENOENT || errno == ENOTDIR ? CXR_ENOINPUT : CXR_EIO;
        return cxr_fail(err, status, "%s: cannot open: %s", path, strerror(errno));
    }
    cxr_status st = CXR_OK;
    if (fstat(*fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        st = cxr_fail(err, CXR_EDATA, "%s: not a regular file", path);
    } else if ((uint64_t)info.st_size > max_bytes) {
        st = cxr_fail(err, CXR_ELIMIT, "%s: %llu bytes, limit %llu", path, (unsigned long long)info.st_size,
                      (unsigned long long)max_bytes);
    }
    if (st == CXR_OK) {
        *size = (uint64_t)info.st_size;
        return CXR_OK;
    }
    (void)close(*fd);
    *fd = -1;
    return st;
}

cxr_status cxr_file_read(int fd, uint64_t at, void *to, size_t len, const char *path, cxr_error *err)
{
    for (size_t done = 0; done < len;) {
        const ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cxr_fail(err, CXR_EIO, "%s: cannot read: %s", path, strerror(errno));
        if (n == 0) return cxr_fail(err, CXR_EIO, "%s: became shorter while being read", path);
        done += (size_t)n;
    }
    return CXR_OK;
}

cxr_status cxr_buf_read(cxr_buf *out, const char *path, uint64_t max_bytes, cxr_error *err)
{
    *out = (cxr_buf){0};
    int fd = -1;
    uint64_t size = 0;
    cxr_status st = cxr_file_open(&fd, &size, path, max_bytes, err);
    if (st != CXR_OK) return st;
    out->data = cxr_mem_new((size_t)size, 1);
    out->len = (size_t)size;
    st = out->data == NULL ? cxr_mem_fail(err, path) : cxr_file_read(fd, 0, out->data, out->len, path, err);
    (void)close(fd);
    if (st != CXR_OK) cxr_buf_free(out);
    return st;
}

cxr_status cxr_output_open(cxr_output *out, const char *path, cxr_error *err)
{
    *out = (cxr_output){.path = cxr_mem_strdup(path), .temporary = cxr_mem_printf("%s.tmp.%ld", path, (long)getpid())};
    if (out->path == NULL || out->temporary == NULL) {
        cxr_output_discard(out);
        return cxr_mem_fail(err, "a file name");
    }
    out->stream = fopen(out->temporary, "wbe");
    if (out->stream != NULL) return CXR_OK;
    const int cause = errno;
    cxr_mem_free(out->temporary);
    out->temporary = NULL; /* nothing of ours is there to remove */
    cxr_output_discard(out);
    return cxr_fail(err, CXR_ECREATE, "%s: cannot create: %s", path, strerror(cause));
}

static bool sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL ? cxr_mem_strdup(".") : cxr_mem_printf("%.*s", (int)(slash - path + 1), path);
    if (dir == NULL) {
        errno = ENOMEM;
        return false;
    }
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cxr_mem_free(dir);
    if (fd < 0) return false;
    const bool ok = fsync(fd) == 0 || errno == EINVAL; /* EINVAL: this file system cannot flush folders */
    (void)close(fd);
    return ok;
}

static cxr_status finish(cxr_output *out, bool flush, cxr_error *err)
{
    const bool written = !ferror(out->stream) && fflush(out->stream) == 0 && (!flush || fsync(fileno(out->stream)) == 0);
    int cause = errno;
    const bool closed = fclose(out->stream) == 0;
    out->stream = NULL;
    if (written && !closed) cause = errno;
    bool ok = written && closed;
    if (ok && rename(out->temporary, out->path) != 0) {
        cause = errno;
        ok = false;
    }
    if (ok) {
        cxr_mem_free(out->temporary);
        out->temporary = NULL;
        ok = !flush || sync_folder_of(out->path);
        cause = errno;
    }
    cxr_status st = CXR_OK;
    if (!ok && cause == ENOMEM) st = cxr_mem_fail(err, out->path);
    if (!ok && cause != ENOMEM) st = cxr_fail(err, CXR_EIO, "%s: cannot write: %s", out->path, strerror(cause));
    cxr_output_discard(out);
    return st;
}

cxr_status cxr_output_commit(cxr_output *out, cxr_error *err)
{
    return finish(out, true, err);
}

cxr_status cxr_output_place(cxr_output *out, cxr_error *err)
{
    return finish(out, false, err);
}

cxr_status cxr_flush(const char *folder, cxr_error *err)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool ok = fd >= 0 && syncfs(fd) == 0;
    const int cause = errno;
    if (fd >= 0) (void)close(fd);
    return ok ? CXR_OK : cxr_fail(err, CXR_EIO, "%s: cannot write: %s", folder, strerror(cause));
}

void cxr_output_discard(cxr_output *out)
{
    if (out->stream != NULL) (void)fclose(out->stream);
    if (out->temporary != NULL) (void)unlink(out->temporary);
    cxr_mem_free(out->temporary);
    cxr_mem_free(out->path);
    *out = (cxr_output){0};
}

static bool is_temporary(const char *name)
{
    const char *end = strstr(name, ".tmp.");
    return end != NULL && end[5] != '\0' && end[5 + strspn(end + 5, "0123456789")] == '\0';
}

void cxr_output_sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) return;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        if (is_temporary(e->d_name)) (void)unlinkat(dirfd(dir), e->d_name, 0);
    (void)closedir(dir);
}

static cxr_status write_file(const char *path, const void *data, size_t len, bool flush, cxr_error *err)
{
    cxr_output out;
    const cxr_status st = cxr_output_open(&out, path, err);
    if (st != CXR_OK) return st;
    (void)fwrite(data, 1, len, out.stream);
    return finish(&out, flush, err);
}

cxr_status cxr_file_write(const char *path, const void *data, size_t len, cxr_error *err)
{
    return write_file(path, data, len, true, err);
}

cxr_status cxr_file_place(const char *path, const void *data, size_t len, cxr_error *err)
{
    return write_file(path, data, len, false, err);
}

static bool make_folder(const char *path)
{
    return mkdir(path, 0777) == 0 || (errno == EEXIST && cxr_path_is_folder(path));
}

cxr_status cxr_make_folders(const char *path, cxr_error *err)
{
    char *part = cxr_mem_strdup(path);
    if (part == NULL) return cxr_mem_fail(err, "a folder name");
    bool ok = true;
    for (char *slash = strchr(part + 1, '/'); ok && slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        ok = make_folder(part);
        *slash = '/';
    }
    ok = ok && make_folder(part);
    const int cause = errno;
    cxr_mem_free(part);
    return ok ? CXR_OK : cxr_fail(err, CXR_ECREATE, "%s: cannot create folder: %s", path, strerror(cause));
}

char *cxr_path_join(const char *dir, const char *name)
{
    const size_t len = strlen(dir);
    if (len == 0) return cxr_mem_strdup(name);
    return cxr_mem_printf(dir[len - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

bool cxr_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool cxr_path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *cxr_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}
