/* Files of named tensors from outside: safetensors, torch.save's zip and its older stream format, told by content. Nothing in
 * them is executed; sizes are capped and checked before use; what two parsers could read differently is refused. */
#ifndef CXR_MODEL_WEIGHTS_H
#define CXR_MODEL_WEIGHTS_H
#include "cxr/cxr.h"

#define CXR_WEIGHT_RANK 8

typedef enum cxr_element {
    CXR_ELEMENT_F64,
    CXR_ELEMENT_F32,
    CXR_ELEMENT_F16,
    CXR_ELEMENT_BF16,
    CXR_ELEMENT_I64,
    CXR_ELEMENT_I32,
    CXR_ELEMENT_I16,
    CXR_ELEMENT_I8,
    CXR_ELEMENT_U8,
    CXR_ELEMENT_BOOL,
    CXR_ELEMENT_UNKNOWN
} cxr_element;

typedef struct cxr_weight {
    char *name;
    float *data;  /* f32, row-major; NULL: still in the file, or integers, of which only name and shape are kept */
    bool in_file; /* floats still in the file, of type `element`, dense and row-major, from byte `at` on */
    cxr_element element;
    uint64_t at;
    int rank;
    int64_t dims[CXR_WEIGHT_RANK];
    size_t count;
} cxr_weight;

typedef struct cxr_weights {
    cxr_weight *items;
    size_t count;
    char **meta;                   /* key, value, key, value, ...: safetensors' __metadata__ */
    size_t meta_count;             /* pairs */
    struct cxr_weights_file *file; /* where tensors still lie; NULL: all are read */
} cxr_weights;

/* Lists the tensors of a file, which stays open until cxr_weights_free. Those of a safetensors file stay there until they are
 * loaded. It is read, not mapped: a mapped file that another process cuts short kills its reader. */
CXR_MUST_CHECK cxr_status cxr_weights_open(cxr_weights *out, const char *path, cxr_error *err);
/* The values of a tensor that is no integer one: f32, f16, bf16 and f64 become f32. `to` has room for t->count. A NaN or
 * infinity is CXR_EDATA with the tensor's name and index. */
CXR_MUST_CHECK cxr_status cxr_weights_load(const cxr_weights *w, const cxr_weight *t, float *to, cxr_error *err);
/* Both, for every tensor. */
CXR_MUST_CHECK cxr_status cxr_weights_read(cxr_weights *out, const char *path, cxr_error *err);
void cxr_weights_free(cxr_weights *w);
const cxr_weight *cxr_weights_find(const cxr_weights *w, const char *name);
const char *cxr_weights_meta(const cxr_weights *w, const char *key); /* NULL: none */

/* One tensor to write. */
typedef struct cxr_weight_out {
    const char *name;
    const float *data;
    bool half; /* as f16, rounded to nearest, ties to even; else f32 */
    int rank;
    int64_t dims[CXR_WEIGHT_RANK];
} cxr_weight_out;
/* The half nearest to x, ties to even; an infinity from 65520 on. */
uint16_t cxr_half(float x);
/* Writes a safetensors file atomically; tensors in the given order, metadata as key, value pairs. */
CXR_MUST_CHECK cxr_status cxr_safetensors_write(const char *path, const cxr_weight_out *items, size_t count,
                                                const char *const *meta, size_t meta_count, cxr_error *err);
#endif
