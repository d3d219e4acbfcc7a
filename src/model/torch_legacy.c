/* torch.save's older stream: the pickles of a magic number, of protocol 1001, of facts about the machine, of the object and
 * of the list of its storages' keys; then for each key a count of 8 bytes and the elements. */
#include "base/mem.h"
#include "model/formats.h"
#include "model/torch_dict.h"
#include <string.h>

static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"; /* 0x1950a86a20f9469cfc6c */
#define MAGIC_LEN  (sizeof magic - 1)
#define PROTOCOL   1001
#define PICKLE_MAX ((size_t)64 << 20) /* bytes of one pickle */

typedef struct stream {
    const cxr_source *src;
    size_t at;
} stream;

bool cxr_torch_legacy_detect(const cxr_source *src)
{
    const size_t head = src->len < 32 ? src->len : 32; /* protocol, perhaps a frame, then the number */
    return head > 0 && src->data[0] == 0x80 && memmem(src->data, head, magic, MAGIC_LEN) != NULL;
}

static cxr_status next_pickle(stream *s, cxr_pickle *out, cxr_error *err)
{
    size_t left = s->src->len - s->at;
    if (left > PICKLE_MAX) left = PICKLE_MAX;
    const cxr_status st = cxr_pickle_load(out, s->src->data + s->at, left, s->src->path, err);
    s->at += out->length;
    return st;
}

static bool is_magic(const cxr_pickle_value *v)
{
    return v->kind == CXR_PICKLE_LONG && v->text_len == MAGIC_LEN && memcmp(v->text, magic, MAGIC_LEN) == 0;
}

static bool is_protocol(const cxr_pickle_value *v)
{
    return v->kind == CXR_PICKLE_INT && v->integer == PROTOCOL;
}

static bool is_little_endian(const cxr_pickle_value *v)
{
    const cxr_pickle_value *little = cxr_pickle_get(v, "little_endian");
    return little != NULL && little->kind == CXR_PICKLE_BOOL && little->integer == 1;
}

static cxr_status read_preamble(stream *s, cxr_error *err)
{
    static bool (*const expected[])(const cxr_pickle_value *) = {is_magic, is_protocol, is_little_endian};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cxr_pickle p;
        const cxr_status st = next_pickle(s, &p, err);
        if (st != CXR_OK) return st;
        const bool ok = expected[i](p.root);
        cxr_pickle_free(&p);
        if (!ok) return cxr_fail(err, CXR_EDATA, "%s: not a stream of torch.save for a little-endian machine", s->src->path);
    }
    return CXR_OK;
}

/* Finds the data of one storage at the stream's place. */
static bool take_storage(stream *s, const cxr_torch_dict *d, const cxr_pickle_value *key)
{
    if (key->kind != CXR_PICKLE_TEXT) return false;
    cxr_torch_storage *storage = cxr_torch_dict_storage(d, key->text, key->text_len);
    if (storage == NULL || storage->data != NULL || s->src->len - s->at < 8) return false;
    const size_t left = s->src->len - s->at - 8, bytes = storage->count * cxr_element_size(storage->element);
    if (cxr_load_le(s->src->data + s->at, 8) != storage->count || bytes > left) return false;
    storage->data = s->src->data + s->at + 8;
    s->at += 8 + bytes;
    return true;
}

static cxr_status take_storages(stream *s, const cxr_torch_dict *d, cxr_error *err)
{
    cxr_pickle keys;
    cxr_status st = next_pickle(s, &keys, err);
    if (st != CXR_OK) return st;
    bool ok = keys.root->kind == CXR_PICKLE_LIST && keys.root->count == d->storage_count;
    for (size_t i = 0; ok && i < keys.root->count; i++) ok = take_storage(s, d, keys.root->items[i]);
    cxr_pickle_free(&keys);
    if (!ok) return cxr_fail(err, CXR_EDATA, "%s: the storages are not those that the pickle names: truncated?", s->src->path);
    if (s->at != s->src->len)
        return cxr_fail(err, CXR_EDATA, "%s: %zu bytes after the last storage", s->src->path, s->src->len - s->at);
    return CXR_OK;
}

cxr_status cxr_torch_legacy_parse(cxr_weights *out, const cxr_source *src, cxr_error *err)
{
    stream s = {.src = src};
    cxr_pickle object = {0};
    cxr_torch_dict d = {0};
    cxr_status st = read_preamble(&s, err);
    if (st == CXR_OK) st = next_pickle(&s, &object, err);
    if (st == CXR_OK) st = cxr_torch_dict_find(&d, &object, src->path, err);
    if (st == CXR_OK) st = take_storages(&s, &d, err);
    if (st == CXR_OK) st = cxr_torch_dict_copy(out, &d, src, err);
    cxr_torch_dict_free(&d);
    cxr_pickle_free(&object);
    return st;
}
