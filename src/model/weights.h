/* Files of named tensors from outside: safetensors, torch.save's zip and its older stream format, told by content. Nothing in
 * them is executed; sizes are capped and checked before use; what two parsers could read differently is refused. */
#ifndef CXR_MODEL_WEIGHTS_H
#define CXR_MODEL_WEIGHTS_H
#include "cxr/cxr.h"

#define CXR_WEIGHT_RANK 8

typedef struct cxr_weight {
    char *name;
    float *data; /* f32, row-major; NULL for an integer tensor, which only keeps name and shape */
    int rank;
    int64_t dims[CXR_WEIGHT_RANK];
    size_t count;
} cxr_weight;

typedef struct cxr_weights {
    cxr_weight *items;
    size_t count;
    char **meta;       /* key, value, key, value, ...: safetensors' __metadata__ */
    size_t meta_count; /* pairs */
} cxr_weights;

/* f32, f16, bf16 and f64 become f32. A NaN or infinity is CXR_EDATA with the tensor's name and index. */
CXR_MUST_CHECK cxr_status cxr_weights_read(cxr_weights *out, const char *path, cxr_error *err);
void cxr_weights_free(cxr_weights *w);
const cxr_weight *cxr_weights_find(const cxr_weights *w, const char *name);
const char *cxr_weights_meta(const cxr_weights *w, const char *key); /* NULL: none */

/* One tensor to write: f32. */
typedef struct cxr_weight_out {
    const char *name;
    const float *data;
    int rank;
    int64_t dims[CXR_WEIGHT_RANK];
} cxr_weight_out;
/* Writes a safetensors file atomically; tensors in the given order, metadata as key, value pairs. */
CXR_MUST_CHECK cxr_status cxr_safetensors_write(const char *path, const cxr_weight_out *items, size_t count,
                                                const char *const *meta, size_t meta_count, cxr_error *err);
#endif
