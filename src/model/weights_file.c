/* Files of tensors: told apart by content, opened, read. A torch file is read whole; of a safetensors file only the header, and
 * each tensor straight to where it is wanted. */
#include "base/file.h"
#include "base/mem.h"
#include "model/formats.h"
#include <string.h>
#include <unistd.h>

#define HEAD  ((size_t)32) /* bytes that tell the format */
#define BLOCK ((size_t)1 << 16)

struct cxr_weights_file {
    int fd;
    const uint8_t *bytes; /* the file in memory, instead of fd; lent */
    char *path;
};

static bool is_safetensors(const cxr_source *src)
{
    const bool zip = src->len >= 4 && memcmp(src->data, "PK\3\4", 4) == 0;
    return !zip && !cxr_torch_legacy_detect(src) && src->len >= 9 && src->data[8] == '{';
}

static cxr_status parse_torch(cxr_weights *out, const cxr_source *src, cxr_error *err)
{
    if (src->len >= 4 && memcmp(src->data, "PK\3\4", 4) == 0) return cxr_torch_zip_parse(out, src, err);
    if (cxr_torch_legacy_detect(src)) return cxr_torch_legacy_parse(out, src, err);
    return cxr_fail(err, CXR_EDATA, "%s: neither a safetensors file nor a PyTorch weight file", src->path);
}

/* ---- Tensors ---- */

static cxr_status read_bytes(const struct cxr_weights_file *f, uint64_t at, void *to, size_t len, cxr_error *err)
{
    if (f->bytes == NULL) return cxr_file_read(f->fd, at, to, len, f->path, err);
    memcpy(to, f->bytes + at, len);
    return CXR_OK;
}

cxr_status cxr_weights_load(const cxr_weights *w, const cxr_weight *t, float *to, cxr_error *err)
{
    if (t->data != NULL) {
        memcpy(to, t->data, t->count * sizeof *to);
        return CXR_OK;
    }
    uint8_t block[BLOCK];
    const size_t size = cxr_element_size(t->element), most = BLOCK / size;
    for (size_t done = 0; done < t->count;) {
        const size_t n = t->count - done < most ? t->count - done : most;
        void *bytes = t->element == CXR_ELEMENT_F32 ? (void *)(to + done) : block;
        const cxr_status st = read_bytes(w->file, t->at + done * size, bytes, n * size, err);
        if (st != CXR_OK) return st;
        const size_t good = cxr_elements_read(to + done, bytes, t->element, n);
        if (good < n) return cxr_weights_not_finite(t->name, done + good, to[done + good], w->file->path, err);
        done += n;
    }
    return CXR_OK;
}

static cxr_status load_all(cxr_weights *w, cxr_error *err)
{
    for (size_t i = 0; i < w->count; i++) {
        cxr_weight *t = &w->items[i];
        if (!t->in_file) continue;
        float *data = cxr_mem_new(t->count, sizeof *data);
        cxr_status st = data == NULL ? cxr_mem_fail(err, t->name) : cxr_weights_load(w, t, data, err);
        t->data = data;
        t->in_file = false;
        if (st != CXR_OK) return st;
    }
    return CXR_OK;
}

/* ---- Files ---- */

static void close_file(cxr_weights *w)
{
    if (w->file == NULL) return;
    if (w->file->bytes == NULL) (void)close(w->file->fd);
    cxr_mem_free(w->file->path);
    cxr_mem_free(w->file);
    w->file = NULL;
}

/* Takes fd, also when it fails. */
static cxr_status keep_file(cxr_weights *w, int fd, const uint8_t *bytes, const char *path, cxr_error *err)
{
    w->file = cxr_mem_new(1, sizeof *w->file);
    if (w->file != NULL) {
        *w->file = (struct cxr_weights_file){fd, bytes, cxr_mem_strdup(path)};
        if (w->file->path != NULL) return CXR_OK;
        close_file(w);
    } else if (bytes == NULL) {
        (void)close(fd);
    }
    return cxr_mem_fail(err, path);
}

/* Reads the first `len` bytes of the file and lists what they describe. */
static cxr_status list_file(cxr_weights *out, bool safetensors, int fd, size_t len, size_t size, const char *path,
                            cxr_error *err)
{
    uint8_t *bytes = cxr_mem_new(len, 1);
    cxr_status st = bytes == NULL ? cxr_mem_fail(err, path) : cxr_file_read(fd, 0, bytes, len, path, err);
    const cxr_source src = {bytes, size, path};
    if (st == CXR_OK) st = safetensors ? cxr_safetensors_list(out, &src, err) : parse_torch(out, &src, err);
    cxr_mem_free(bytes);
    return st;
}

cxr_status cxr_weights_open(cxr_weights *out, const char *path, cxr_error *err)
{
    *out = (cxr_weights){0};
    int fd = -1;
    uint64_t size = 0;
    cxr_status st = cxr_file_open(&fd, &size, path, CXR_WEIGHT_FILE_MAX, err);
    if (st != CXR_OK) return st;
    uint8_t head[HEAD] = {0};
    const size_t head_len = size < HEAD ? (size_t)size : HEAD;
    st = keep_file(out, fd, NULL, path, err);
    if (st == CXR_OK) st = cxr_file_read(fd, 0, head, head_len, path, err);
    if (st == CXR_OK) {
        const bool safetensors = is_safetensors(&(cxr_source){head, head_len, path});
        const size_t header = safetensors ? cxr_safetensors_header(head, (size_t)size) : (size_t)size;
        st = list_file(out, safetensors, fd, header, (size_t)size, path, err);
        if (!safetensors) close_file(out);
    }
    if (st != CXR_OK) cxr_weights_free(out);
    return st;
}

cxr_status cxr_weights_read(cxr_weights *out, const char *path, cxr_error *err)
{
    cxr_status st = cxr_weights_open(out, path, err);
    if (st == CXR_OK) st = load_all(out, err);
    if (st != CXR_OK) cxr_weights_free(out);
    close_file(out);
    return st;
}

cxr_status cxr_safetensors_parse(cxr_weights *out, const cxr_source *src, cxr_error *err)
{
    cxr_status st = keep_file(out, -1, src->data, src->path, err);
    if (st == CXR_OK) st = cxr_safetensors_list(out, src, err);
    if (st == CXR_OK) st = load_all(out, err);
    close_file(out);
    return st;
}

cxr_status cxr_weights_parse(cxr_weights *out, const cxr_source *src, cxr_error *err)
{
    *out = (cxr_weights){0};
    const cxr_status st = is_safetensors(src) ? cxr_safetensors_parse(out, src, err) : parse_torch(out, src, err);
    if (st != CXR_OK) cxr_weights_free(out);
    return st;
}

void cxr_weights_free(cxr_weights *w)
{
    for (size_t i = 0; i < w->count; i++) {
        cxr_mem_free(w->items[i].name);
        cxr_mem_free(w->items[i].data);
    }
    for (size_t i = 0; i < 2 * w->meta_count; i++) cxr_mem_free(w->meta[i]);
    cxr_mem_free(w->items);
    cxr_mem_free(w->meta);
    close_file(w);
    *w = (cxr_weights){0};
}
