/* Pickles, as far as a dictionary of tensors needs them: a stack machine over an allow-list of opcodes and of globals.
 * Nothing is imported, called or executed: calling `torch._utils._rebuild_tensor_v2` makes a record of its arguments. Every
 * opcode or global outside the list is refused by name. */
#ifndef CXR_MODEL_PICKLE_H
#define CXR_MODEL_PICKLE_H
#include "cxr/cxr.h"

typedef enum cxr_pickle_kind {
    CXR_PICKLE_NONE,
    CXR_PICKLE_BOOL,
    CXR_PICKLE_INT,
    CXR_PICKLE_LONG, /* an integer over 64 bits: its bytes */
    CXR_PICKLE_FLOAT,
    CXR_PICKLE_TEXT,
    CXR_PICKLE_TUPLE,
    CXR_PICKLE_LIST,
    CXR_PICKLE_DICT,    /* key, value, key, value, ...; also OrderedDict */
    CXR_PICKLE_GLOBAL,  /* of the allow-list */
    CXR_PICKLE_STORAGE, /* one item: the tuple of its persistent id */
    CXR_PICKLE_TENSOR,  /* one item: the tuple (storage, offset, size, stride, ...) */
    CXR_PICKLE_MARK     /* only on the machine's stack */
} cxr_pickle_kind;

typedef struct cxr_pickle_value cxr_pickle_value;
struct cxr_pickle_value {
    cxr_pickle_kind kind;
    int64_t integer;  /* int, bool; a global's number */
    const char *text; /* text, long: lent from the pickle, not terminated */
    size_t text_len;
    const cxr_pickle_value **items; /* tuple, list, dict, storage, tensor; may hold cycles: never walk it without a bound */
    size_t count, room;
};

/* All values of one pickle. `root` is what STOP left. */
typedef struct cxr_pickle {
    const cxr_pickle_value *root;
    cxr_pickle_value **values;
    size_t count, room;
    size_t length; /* bytes of the input up to and including STOP */
} cxr_pickle;

/* Runs one pickle at the start of data, which the values borrow. On failure *out is empty. */
CXR_MUST_CHECK cxr_status cxr_pickle_load(cxr_pickle *out, const uint8_t *data, size_t len, const char *path, cxr_error *err);
void cxr_pickle_free(cxr_pickle *p);

bool cxr_pickle_is_text(const cxr_pickle_value *v, const char *text);
/* The value of a text key; NULL when the dict has none or `v` is no dict. */
const cxr_pickle_value *cxr_pickle_get(const cxr_pickle_value *v, const char *key);
/* For a global that is one of torch's storage classes: the stem of its name ("Float"). NULL: another. */
const char *cxr_pickle_storage_class(const cxr_pickle_value *v);
#endif
