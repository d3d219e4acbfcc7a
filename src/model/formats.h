/* What the readers of weight files share: the bytes of a file, the element types, and the one way into a cxr_weights.
 * Internal to this room. */
#ifndef CXR_MODEL_FORMATS_H
#define CXR_MODEL_FORMATS_H
#include "model/weights.h"

#define CXR_WEIGHT_FILE_MAX  ((uint64_t)2 << 30) /* bytes */
#define CXR_WEIGHT_COUNT_MAX 16384               /* tensors of one file */
#define CXR_WEIGHT_NAME_MAX  256                 /* bytes */

/* A file in memory; `path` is for sentences. */
typedef struct cxr_source {
    const uint8_t *data;
    size_t len;
    const char *path;
} cxr_source;

size_t cxr_element_size(cxr_element e); /* bytes */
/* By safetensors' name ("F32") or the stem of torch's storage class ("Float"). */
cxr_element cxr_element_of_safetensors(const char *name);
cxr_element cxr_element_of_torch(const char *name, size_t len);

/* A tensor inside a file: elements, not yet trusted. */
typedef struct cxr_view {
    const char *name;
    cxr_element element;
    int rank;
    int64_t dims[CXR_WEIGHT_RANK];
    const int64_t *strides; /* in elements; NULL: row-major, dense */
    const uint8_t *data;    /* NULL: left in the file */
    uint64_t at;            /* in the file */
    size_t bytes;           /* that may be read from data */
} cxr_view;
/* The product of the dimensions; false when one is negative or it overflows. */
bool cxr_view_count(const cxr_view *v, size_t *count);
/* Checks name, shape, bounds and values of the view and appends it. `room` is how many items `w` has memory for. */
CXR_MUST_CHECK cxr_status cxr_weights_append(cxr_weights *w, size_t room, const cxr_view *v, const char *path, cxr_error *err);
/* CXR_EDATA, in one sentence for all formats. */
CXR_MUST_CHECK cxr_status cxr_weights_not_finite(const char *name, size_t index, float value, const char *path, cxr_error *err);
/* CXR_EDATA when two tensors share a name. */
CXR_MUST_CHECK cxr_status cxr_weights_check_names(const cxr_weights *w, const char *path, cxr_error *err);
/* `out` becomes `text` with everything but printable ASCII replaced, cut to fit: names from files, for sentences. */
void cxr_printable(char *out, size_t room, const char *text, size_t len);

static inline uint64_t cxr_load_le(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

/* Makes x[0..n) of the elements at `from`, which need no alignment and may be x itself. The index of the first that is not
 * finite, or n. */
size_t cxr_elements_read(float *x, const uint8_t *from, cxr_element e, size_t n);

/* Each fills a zeroed `out`; on failure the caller frees what is there. Of a safetensors file only the header need be in memory
 * (src->len is the whole file's): its tensors are listed, not read. */
CXR_MUST_CHECK cxr_status cxr_safetensors_list(cxr_weights *out, const cxr_source *src, cxr_error *err);
/* Bytes of the header, its length included, of a file of `size` bytes that begins with `head` (8 bytes); capped. */
size_t cxr_safetensors_header(const uint8_t *head, size_t size);
/* The whole file in memory: lists its tensors and reads them. */
CXR_MUST_CHECK cxr_status cxr_safetensors_parse(cxr_weights *out, const cxr_source *src, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_torch_zip_parse(cxr_weights *out, const cxr_source *src, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_torch_legacy_parse(cxr_weights *out, const cxr_source *src, cxr_error *err);
bool cxr_torch_legacy_detect(const cxr_source *src);
/* Chooses among them by content and reads every tensor. On failure *out is empty. */
CXR_MUST_CHECK cxr_status cxr_weights_parse(cxr_weights *out, const cxr_source *src, cxr_error *err);
#endif
