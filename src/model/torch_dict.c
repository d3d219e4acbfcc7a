#include "model/torch_dict.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 40

/* ---- Storages ---- */

static int compare_keys(const char *a, size_t a_len, const char *b, size_t b_len)
{
    const int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int by_key(const void *a, const void *b)
{
    const cxr_torch_storage *x = a, *y = b;
    return compare_keys(x->key, x->key_len, y->key, y->key_len);
}

static bool key_is_plain(const char *key, size_t len)
{
    if (len == 0 || len > KEY_MAX) return false;
    for (size_t i = 0; i < len; i++) {
        const char c = key[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return false;
    }
    return true;
}

/* ('storage', class, key, location, elements[, None]) */
static bool parse_storage(cxr_torch_storage *s, const cxr_pickle_value *id)
{
    if (id->count < 5 || id->count > 6 || !cxr_pickle_is_text(id->items[0], "storage")) return false;
    if (id->count == 6 && id->items[5]->kind != CXR_PICKLE_NONE) return false; /* a view of another storage */
    const char *class = cxr_pickle_storage_class(id->items[1]);
    const cxr_pickle_value *key = id->items[2], *count = id->items[4];
    if (class == NULL || key->kind != CXR_PICKLE_TEXT || count->kind != CXR_PICKLE_INT) return false;
    if (!key_is_plain(key->text, key->text_len)) return false;
    if (count->integer < 0 || count->integer > (int64_t)CXR_WEIGHT_FILE_MAX) return false;
    *s = (cxr_torch_storage){.key = key->text,
                             .key_len = key->text_len,
                             .element = cxr_element_of_torch(class, strlen(class)),
                             .count = (size_t)count->integer};
    return s->element != CXR_ELEMENT_UNKNOWN;
}

/* Sorts, and drops repetitions; false when two of one key differ. */
static bool merge_storages(cxr_torch_dict *d)
{
    qsort(d->storages, d->storage_count, sizeof *d->storages, by_key);
    size_t kept = 0;
    for (size_t i = 0; i < d->storage_count; i++) {
        const cxr_torch_storage *s = &d->storages[i], *last = kept == 0 ? NULL : &d->storages[kept - 1];
        if (last != NULL && by_key(last, s) == 0) {
            if (last->element != s->element || last->count != s->count) return false;
        } else {
            d->storages[kept++] = *s;
        }
    }
    d->storage_count = kept;
    return true;
}

static cxr_status find_storages(cxr_torch_dict *d, const cxr_pickle *p, const char *path, cxr_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++) count += p->values[i]->kind == CXR_PICKLE_STORAGE;
    d->storages = cxr_mem_new(count, sizeof *d->storages);
    if (d->storages == NULL) return cxr_mem_fail(err, "a list of storages");
    for (size_t i = 0; i < p->count; i++)
        if (p->values[i]->kind == CXR_PICKLE_STORAGE)
            if (!parse_storage(&d->storages[d->storage_count++], p->values[i]->items[0]))
                return cxr_fail(err, CXR_EDATA, "%s: a storage's description is damaged or of an unknown kind", path);
    if (!merge_storages(d)) return cxr_fail(err, CXR_EDATA, "%s: two storages share a key", path);
    return CXR_OK;
}

cxr_torch_storage *cxr_torch_dict_storage(const cxr_torch_dict *d, const char *key, size_t len)
{
    const cxr_torch_storage wanted = {.key = key, .key_len = len};
    return bsearch(&wanted, d->storages, d->storage_count, sizeof wanted, by_key);
}

/* ---- The dictionary ---- */

static bool holds_tensors(const cxr_pickle_value *v)
{
    if (v == NULL || v->kind != CXR_PICKLE_DICT) return false;
    for (size_t i = 1; i < v->count; i += 2)
        if (v->items[i]->kind == CXR_PICKLE_TENSOR) return true;
    return false;
}

static const cxr_pickle_value *find_dict(const cxr_pickle_value *root)
{
    static const char *const keys[] = {"state_dict", "model_state_dict", "model", "net"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const cxr_pickle_value *inner = cxr_pickle_get(root, keys[i]);
        if (holds_tensors(inner)) return inner;
    }
    return holds_tensors(root) ? root : NULL;
}

cxr_status cxr_torch_dict_find(cxr_torch_dict *out, const cxr_pickle *p, const char *path, cxr_error *err)
{
    *out = (cxr_torch_dict){.dict = find_dict(p->root)};
    if (out->dict == NULL) return cxr_fail(err, CXR_EDATA, "%s: holds no dictionary of tensors (state_dict)", path);
    const cxr_status st = find_storages(out, p, path, err);
    if (st != CXR_OK) cxr_torch_dict_free(out);
    return st;
}

void cxr_torch_dict_free(cxr_torch_dict *d)
{
    cxr_mem_free(d->storages);
    *d = (cxr_torch_dict){0};
}

/* ---- Tensors ---- */

static bool begins_with_module(const cxr_pickle_value *key)
{
    static const char module[] = "module.";
    return key->kind == CXR_PICKLE_TEXT && key->text_len >= sizeof module - 1 &&
           memcmp(key->text, module, sizeof module - 1) == 0;
}

/* How many characters to drop from every name. */
static size_t common_prefix(const cxr_pickle_value *dict)
{
    for (size_t i = 0; i < dict->count; i += 2)
        if (dict->items[i + 1]->kind == CXR_PICKLE_TENSOR && !begins_with_module(dict->items[i])) return 0;
    return strlen("module.");
}

static bool copy_name(char name[CXR_WEIGHT_NAME_MAX + 1], const cxr_pickle_value *key, size_t drop)
{
    if (key->kind != CXR_PICKLE_TEXT || key->text_len - drop > CXR_WEIGHT_NAME_MAX) return false;
    const size_t len = key->text_len - drop;
    if (memchr(key->text, '\0', key->text_len) != NULL) return false;
    memcpy(name, key->text + drop, len);
    name[len] = '\0';
    return true;
}

static bool copy_ints(int64_t *to, int *rank, const cxr_pickle_value *tuple)
{
    if (tuple->kind != CXR_PICKLE_TUPLE || tuple->count > CXR_WEIGHT_RANK) return false;
    *rank = (int)tuple->count;
    for (size_t i = 0; i < tuple->count; i++) {
        if (tuple->items[i]->kind != CXR_PICKLE_INT) return false;
        to[i] = tuple->items[i]->integer;
    }
    return true;
}

/* (storage, offset, size, stride, ...) as a view of the storage's bytes. */
static bool parse_tensor(cxr_view *v, int64_t strides[CXR_WEIGHT_RANK], const cxr_torch_dict *d, const cxr_pickle_value *args)
{
    const cxr_pickle_value *storage = args->items[0], *offset = args->items[1];
    int stride_rank;
    if (storage->kind != CXR_PICKLE_STORAGE || offset->kind != CXR_PICKLE_INT) return false;
    if (!copy_ints(v->dims, &v->rank, args->items[2]) || !copy_ints(strides, &stride_rank, args->items[3])) return false;
    const cxr_pickle_value *key = storage->items[0]->items[2];
    const cxr_torch_storage *s = cxr_torch_dict_storage(d, key->text, key->text_len);
    if (s == NULL || stride_rank != v->rank || offset->integer < 0 || (uint64_t)offset->integer > s->count) return false;
    const size_t skip = (size_t)offset->integer, size = cxr_element_size(s->element);
    v->element = s->element;
    v->strides = strides;
    v->data = s->data + skip * size;
    v->bytes = (s->count - skip) * size;
    return true;
}

/* Tensors may share storages and repeat elements; `budget` bounds what a small file may become. */
static cxr_status copy_tensor(cxr_weights *out, size_t room, const cxr_torch_dict *d, const cxr_pickle_value *const entry[2],
                              size_t drop, size_t *budget, const char *path, cxr_error *err)
{
    char name[CXR_WEIGHT_NAME_MAX + 1];
    int64_t strides[CXR_WEIGHT_RANK];
    cxr_view v = {.name = name};
    size_t count;
    if (!copy_name(name, entry[0], drop))
        return cxr_fail(err, CXR_EDATA, "%s: the key of tensor %zu is not a name", path, out->count);
    char shown[80];
    cxr_printable(shown, sizeof shown, name, strlen(name));
    if (!parse_tensor(&v, strides, d, entry[1]->items[0]) || !cxr_view_count(&v, &count))
        return cxr_fail(err, CXR_EDATA, "%s: the description of tensor %s is damaged", path, shown);
    if (count > *budget) return cxr_fail(err, CXR_ELIMIT, "%s: tensor %s repeats the same elements too often", path, shown);
    *budget -= count;
    return cxr_weights_append(out, room, &v, path, err);
}

cxr_status cxr_torch_dict_copy(cxr_weights *out, const cxr_torch_dict *d, const cxr_source *src, cxr_error *err)
{
    const cxr_pickle_value *dict = d->dict;
    const size_t drop = common_prefix(dict);
    size_t room = dict->count / 2, budget = 4 * src->len;
    if (room > CXR_WEIGHT_COUNT_MAX) room = CXR_WEIGHT_COUNT_MAX;
    out->items = cxr_mem_new(room, sizeof *out->items);
    cxr_status st = out->items == NULL ? cxr_mem_fail(err, "a tensor list") : CXR_OK;
    for (size_t i = 0; i < dict->count && st == CXR_OK; i += 2)
        if (dict->items[i + 1]->kind == CXR_PICKLE_TENSOR)
            st = copy_tensor(out, room, d, &dict->items[i], drop, &budget, src->path, err);
    return st == CXR_OK ? cxr_weights_check_names(out, src->path, err) : st;
}
