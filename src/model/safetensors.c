/* safetensors: 8 bytes of header length, a JSON header, tensors that tile the rest of the file without hole or overlap.
 * The checks are those of the reference implementation, and stricter: plain names, at most 8 dimensions, finite values. */
#include "base/file.h"
#include "base/mem.h"
#include "model/formats.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX ((uint64_t)16 << 20) /* the format allows 100 MB; parsed JSON takes about 20 times its text */

typedef struct span {
    uint64_t begin, end;
    const char *name;
} span;

size_t cxr_safetensors_header(const uint8_t *head, size_t size)
{
    const uint64_t len = cxr_load_le(head, 8), most = size - 8 < HEADER_MAX ? size - 8 : HEADER_MAX;
    return 8 + (size_t)(len < most ? len : most);
}

static cxr_status parse_header(json_t **out, size_t *data_at, const cxr_source *src, cxr_error *err)
{
    const uint64_t len = cxr_load_le(src->data, 8);
    if (len > HEADER_MAX)
        return cxr_fail(err, CXR_ELIMIT, "%s: header of %" PRIu64 " bytes, limit %" PRIu64, src->path, len, HEADER_MAX);
    if (len > src->len - 8)
        return cxr_fail(err, CXR_EDATA, "%s: header of %" PRIu64 " bytes in a file of %zu: truncated?", src->path, len,
                        src->len);
    json_error_t why;
    *out = json_loadb((const char *)src->data + 8, (size_t)len, JSON_REJECT_DUPLICATES, &why);
    if (*out == NULL && json_error_code(&why) == json_error_out_of_memory) return cxr_mem_fail(err, src->path);
    if (!json_is_object(*out)) {
        char reason[sizeof why.text];
        cxr_printable(reason, sizeof reason, why.text, strlen(why.text));
        return cxr_fail(err, CXR_EDATA, "%s: header is not a JSON object: %s", src->path, reason);
    }
    *data_at = 8 + (size_t)len;
    return CXR_OK;
}

static cxr_status parse_meta(cxr_weights *out, json_t *meta, const char *path, cxr_error *err)
{
    if (!json_is_object(meta)) return cxr_fail(err, CXR_EDATA, "%s: __metadata__ is not a JSON object", path);
    out->meta = cxr_mem_new(2 * json_object_size(meta), sizeof *out->meta);
    if (out->meta == NULL) return cxr_mem_fail(err, "metadata");
    const char *key;
    json_t *value;
    json_object_foreach(meta, key, value)
    {
        if (!json_is_string(value)) return cxr_fail(err, CXR_EDATA, "%s: a metadata value is not a string", path);
        char **pair = &out->meta[2 * out->meta_count++];
        pair[0] = cxr_mem_strdup(key);
        pair[1] = cxr_mem_strdup(json_string_value(value));
        if (pair[0] == NULL || pair[1] == NULL) return cxr_mem_fail(err, "metadata");
    }
    return CXR_OK;
}

static bool parse_shape(cxr_view *v, const json_t *shape)
{
    if (!json_is_array(shape) || json_array_size(shape) > CXR_WEIGHT_RANK) return false;
    v->rank = (int)json_array_size(shape);
    for (int i = 0; i < v->rank; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) return false;
        v->dims[i] = json_integer_value(dim);
    }
    return true;
}

static bool parse_offsets(span *s, const json_t *offsets)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end)) return false;
    if (json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin)) return false;
    s->begin = (uint64_t)json_integer_value(begin);
    s->end = (uint64_t)json_integer_value(end);
    return true;
}

/* Reads one entry of the header; `s` receives its place in the data, which lies inside it. */
static cxr_status parse_entry(cxr_view *v, span *s, const json_t *entry, const cxr_source *src, size_t data_at, cxr_error *err)
{
    char name[80];
    cxr_printable(name, sizeof name, s->name, strlen(s->name));
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!json_is_object(entry) || json_object_size(entry) != 3 || dtype == NULL)
        return cxr_fail(err, CXR_EDATA, "%s: entry %s is not {dtype, shape, data_offsets}", src->path, name);
    *v = (cxr_view){.name = s->name, .element = cxr_element_of_safetensors(dtype)};
    if (v->element == CXR_ELEMENT_UNKNOWN) {
        char type[32];
        cxr_printable(type, sizeof type, dtype, strlen(dtype));
        return cxr_fail(err, CXR_EDATA, "%s: tensor %s has the unsupported type %s", src->path, name, type);
    }
    if (!parse_shape(v, json_object_get(entry, "shape")))
        return cxr_fail(err, CXR_EDATA, "%s: tensor %s: shape is not a list of at most %d sizes", src->path, name,
                        CXR_WEIGHT_RANK);
    size_t count;
    if (!parse_offsets(s, json_object_get(entry, "data_offsets")) || s->end > src->len - data_at)
        return cxr_fail(err, CXR_EDATA, "%s: tensor %s lies outside the file: truncated?", src->path, name);
    if (!cxr_view_count(v, &count) || count * cxr_element_size(v->element) != s->end - s->begin)
        return cxr_fail(err, CXR_EDATA, "%s: tensor %s: shape and data_offsets disagree", src->path, name);
    v->at = data_at + s->begin;
    v->bytes = (size_t)(s->end - s->begin);
    return CXR_OK;
}

static int by_place(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static cxr_status check_tiling(span *spans, size_t count, uint64_t len, const char *path, cxr_error *err)
{
    qsort(spans, count, sizeof *spans, by_place);
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].begin != at) {
            char name[80];
            cxr_printable(name, sizeof name, spans[i].name, strlen(spans[i].name));
            return cxr_fail(err, CXR_EDATA, "%s: the data of tensor %s %s", path, name,
                            spans[i].begin < at ? "overlaps another's" : "leaves a hole before it");
        }
        at = spans[i].end;
    }
    if (at != len) return cxr_fail(err, CXR_EDATA, "%s: %" PRIu64 " bytes after the last tensor", path, len - at);
    return CXR_OK;
}

static cxr_status parse_entries(cxr_weights *out, span *spans, size_t room, json_t *header, const cxr_source *src,
                                size_t data_at, cxr_error *err)
{
    const char *key;
    json_t *entry;
    size_t count = 0;
    cxr_view *views = cxr_mem_new(room, sizeof *views);
    if (views == NULL) return cxr_mem_fail(err, "a tensor list");
    cxr_status st = CXR_OK;
    json_object_foreach(header, key, entry)
    {
        if (strcmp(key, "__metadata__") == 0) {
            st = parse_meta(out, entry, src->path, err);
        } else {
            spans[count].name = key;
            st = parse_entry(&views[count], &spans[count], entry, src, data_at, err);
            count++;
        }
        if (st != CXR_OK) break;
    }
    if (st == CXR_OK) st = check_tiling(spans, count, src->len - data_at, src->path, err);
    for (size_t i = 0; i < count && st == CXR_OK; i++) st = cxr_weights_append(out, room, &views[i], src->path, err);
    cxr_mem_free(views);
    return st;
}

cxr_status cxr_safetensors_list(cxr_weights *out, const cxr_source *src, cxr_error *err)
{
    if (src->len < 8) return cxr_fail(err, CXR_EDATA, "%s: %zu bytes are too few for a safetensors file", src->path, src->len);
    json_t *header = NULL;
    size_t data_at = 0;
    cxr_status st = parse_header(&header, &data_at, src, err);
    const size_t room = json_object_size(header);
    if (st == CXR_OK && room > CXR_WEIGHT_COUNT_MAX + 1)
        st = cxr_fail(err, CXR_ELIMIT, "%s: %zu tensors, limit %d", src->path, room, CXR_WEIGHT_COUNT_MAX);
    span *spans = NULL;
    if (st == CXR_OK) {
        spans = cxr_mem_new(room, sizeof *spans);
        out->items = cxr_mem_new(room, sizeof *out->items);
        if (spans == NULL || out->items == NULL) st = cxr_mem_fail(err, "a tensor list");
    }
    if (st == CXR_OK) st = parse_entries(out, spans, room, header, src, data_at, err);
    cxr_mem_free(spans);
    json_decref(header);
    return st;
}

/* ---- Writing ---- */

static json_t *describe(const cxr_weight_out *t, size_t *at)
{
    size_t bytes = t->half ? sizeof(uint16_t) : sizeof(float);
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++) {
        bytes *= (size_t)t->dims[i];
        if (json_array_append_new(shape, json_integer(t->dims[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    }
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->half ? "F16" : "F32", "shape", shape, "data_offsets",
                              (json_int_t)*at, (json_int_t)(*at + bytes));
    *at += bytes;
    return entry;
}

static size_t count_of(const cxr_weight_out *t)
{
    size_t count = 1;
    for (int i = 0; i < t->rank; i++) count *= (size_t)t->dims[i];
    return count;
}

/* The header as text; NULL when memory is exhausted, or a name or text is not UTF-8 or appears twice. */
static char *make_header(const cxr_weight_out *items, size_t count, const char *const *meta, size_t meta_count)
{
    json_t *header = json_object(), *pairs = json_object();
    bool ok = json_object_set_new(header, "__metadata__", pairs) == 0;
    for (size_t i = 0; ok && i < meta_count; i++)
        ok = json_object_get(pairs, meta[2 * i]) == NULL &&
             json_object_set_new(pairs, meta[2 * i], json_string(meta[2 * i + 1])) == 0;
    size_t at = 0;
    for (size_t i = 0; ok && i < count; i++)
        ok = json_object_get(header, items[i].name) == NULL &&
             json_object_set_new(header, items[i].name, describe(&items[i], &at)) == 0;
    char *text = ok ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return text;
}

static cxr_status check_finite(const cxr_weight_out *t, const char *path, cxr_error *err)
{
    for (size_t i = 0, n = count_of(t); i < n; i++) {
        if (!isfinite(t->data[i]))
            return cxr_fail(err, CXR_EDATA, "%s: not written, since tensor %s holds a NaN or an infinity at index %zu", path,
                            t->name, i);
        if (t->half && (cxr_half(t->data[i]) & 0x7C00u) == 0x7C00u)
            return cxr_fail(err, CXR_EDATA, "%s: not written, since %g in tensor %s at index %zu is too large for f16", path,
                            (double)t->data[i], t->name, i);
    }
    return CXR_OK;
}

static void write_values(FILE *to, const cxr_weight_out *t)
{
    const size_t count = count_of(t);
    if (!t->half) (void)fwrite(t->data, sizeof(float), count, to);
    for (size_t i = 0; t->half && i < count;) {
        uint16_t some[4096];
        size_t n = 0;
        while (n < sizeof some / sizeof some[0] && i < count) some[n++] = cxr_half(t->data[i++]);
        (void)fwrite(some, sizeof some[0], n, to);
    }
}

cxr_status cxr_safetensors_write(const char *path, const cxr_weight_out *items, size_t count, const char *const *meta,
                                 size_t meta_count, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < count && st == CXR_OK; i++) st = check_finite(&items[i], path, err);
    if (st != CXR_OK) return st;
    char *header = make_header(items, count, meta, meta_count);
    if (header == NULL)
        return cxr_fail(err, CXR_EDATA, "%s: cannot be described: a name or text is not UTF-8 or appears twice", path);
    const size_t text = strlen(header), padded = (text + 7) / 8 * 8;
    const uint64_t len = padded;
    cxr_output out;
    st = cxr_output_open(&out, path, err);
    if (st == CXR_OK) {
        (void)fwrite(&len, sizeof len, 1, out.stream);
        (void)fprintf(out.stream, "%s%*s", header, (int)(padded - text), "");
        for (size_t i = 0; i < count; i++) write_values(out.stream, &items[i]);
        st = cxr_output_commit(&out, err);
    }
    free(header); /* jansson's */
    return st;
}
