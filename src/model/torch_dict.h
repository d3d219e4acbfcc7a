/* The state_dict inside a pickle that torch.save wrote, whichever container the pickle and its storages lie in. */
#ifndef CXR_MODEL_TORCH_DICT_H
#define CXR_MODEL_TORCH_DICT_H
#include "model/formats.h"
#include "model/pickle.h"

typedef struct cxr_torch_storage {
    const char *key; /* lent from the pickle, not terminated; 1 to 40 letters and digits */
    size_t key_len;
    cxr_element element;
    size_t count;        /* elements; count * element size fits a size_t */
    const uint8_t *data; /* set by the container's reader before copy */
} cxr_torch_storage;

typedef struct cxr_torch_dict {
    const cxr_pickle_value *dict;
    cxr_torch_storage *storages; /* every one that the pickle names, sorted by key */
    size_t storage_count;
} cxr_torch_dict;

/* Finds the dictionary of tensors: the pickled object itself, or under state_dict, model_state_dict, model or net. */
CXR_MUST_CHECK cxr_status cxr_torch_dict_find(cxr_torch_dict *out, const cxr_pickle *p, const char *path, cxr_error *err);
void cxr_torch_dict_free(cxr_torch_dict *d);
/* NULL: none of that key. */
cxr_torch_storage *cxr_torch_dict_storage(const cxr_torch_dict *d, const char *key, size_t len);
/* Copies the tensors out. A "module." that begins every name (DataParallel's) is dropped. */
CXR_MUST_CHECK cxr_status cxr_torch_dict_copy(cxr_weights *out, const cxr_torch_dict *d, const cxr_source *src, cxr_error *err);
#endif
