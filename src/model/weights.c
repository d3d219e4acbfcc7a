#include "model/weights.h"
#include "base/mem.h"
#include "model/formats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weight files are little-endian and copied as they are");

static const struct {
    const char *safetensors, *torch;
    size_t size;
} elements[] = {
    [CXR_ELEMENT_F64] = {"F64", "Double", 8}, [CXR_ELEMENT_F32] = {"F32", "Float", 4},
    [CXR_ELEMENT_F16] = {"F16", "Half", 2},   [CXR_ELEMENT_BF16] = {"BF16", "BFloat16", 2},
    [CXR_ELEMENT_I64] = {"I64", "Long", 8},   [CXR_ELEMENT_I32] = {"I32", "Int", 4},
    [CXR_ELEMENT_I16] = {"I16", "Short", 2},  [CXR_ELEMENT_I8] = {"I8", "Char", 1},
    [CXR_ELEMENT_U8] = {"U8", "Byte", 1},     [CXR_ELEMENT_BOOL] = {"BOOL", "Bool", 1},
};

size_t cxr_element_size(cxr_element e)
{
    return elements[e].size;
}

cxr_element cxr_element_of_safetensors(const char *name)
{
    cxr_element e = 0;
    while (e < CXR_ELEMENT_UNKNOWN && strcmp(elements[e].safetensors, name) != 0) e++;
    return e;
}

cxr_element cxr_element_of_torch(const char *name, size_t len)
{
    cxr_element e = 0;
    while (e < CXR_ELEMENT_UNKNOWN && (strlen(elements[e].torch) != len || memcmp(elements[e].torch, name, len) != 0)) e++;
    return e;
}

void cxr_printable(char *out, size_t room, const char *text, size_t len)
{
    size_t n = len < room - 1 ? len : room - 1;
    for (size_t i = 0; i < n; i++) out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    out[n] = '\0';
}

bool cxr_view_count(const cxr_view *v, size_t *count)
{
    *count = 1;
    bool empty = false;
    for (int i = 0; i < v->rank; i++) {
        if (v->dims[i] < 0) return false;
        if (v->dims[i] == 0) {
            empty = true;
        } else if (__builtin_mul_overflow(*count, (size_t)v->dims[i], count)) {
            return false;
        }
    }
    if (empty) *count = 0;
    return *count <= SIZE_MAX / sizeof(double);
}

static bool name_is_plain(const char *name)
{
    const size_t len = strlen(name);
    if (len == 0 || len > CXR_WEIGHT_NAME_MAX) return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] < 0x20 || name[i] > 0x7e) return false;
    return true;
}

/* True when every element the view names lies in its bytes. */
static bool in_bounds(const cxr_view *v, size_t count)
{
    if (count == 0) return true;
    size_t last = v->strides == NULL ? count - 1 : 0;
    for (int i = 0; v->strides != NULL && i < v->rank; i++) {
        size_t reach;
        if (v->strides[i] < 0 || __builtin_mul_overflow((size_t)v->dims[i] - 1, (size_t)v->strides[i], &reach)) return false;
        if (__builtin_add_overflow(last, reach, &last)) return false;
    }
    return last < v->bytes / cxr_element_size(v->element);
}

/* ---- Values ---- */

static uint16_t bits16(const uint8_t *p)
{
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* A finite half: its fraction and exponent in a float's places, 112 too small in the exponent. Exact for subnormals too. */
static float from_half(uint16_t h)
{
    const float magnitude = from_bits((h & 0x7FFFu) << 13) * 0x1p112f;
    return (h & 0x8000u) != 0 ? -magnitude : magnitude;
}

uint16_t cxr_half(float x)
{
    const uint32_t bits = to_bits(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7C00u); /* 65536 and more */
    if (magnitude < 0x38800000u) /* subnormal: adding 1/2 rounds to the last place that a half has there */
        return (uint16_t)(sign | (to_bits(from_bits(magnitude) + 0.5f) - 0x3F000000u));
    const uint32_t even = magnitude >> 13 & 1u;
    return (uint16_t)(sign | (magnitude - 0x38000000u + 0xFFFu + even) >> 13);
}

/* The loops have no branches, so that they become vector code; an exponent of ones is an infinity or a NaN. */
static uint32_t read_f32(float *x, const uint8_t *from, size_t n)
{
    uint32_t bad = 0;
    if ((const uint8_t *)x != from) memcpy(x, from, n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return bad;
}

static uint32_t read_f16(float *x, const uint8_t *from, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        const uint16_t bits = bits16(from + 2 * i);
        bad |= (bits & 0x7C00u) == 0x7C00u;
        x[i] = from_half(bits);
    }
    return bad;
}

static uint32_t read_bf16(float *x, const uint8_t *from, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)bits16(from + 2 * i) << 16;
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
        x[i] = from_bits(bits);
    }
    return bad;
}

static uint32_t read_f64(float *x, const uint8_t *from, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        double d;
        memcpy(&d, from + sizeof d * i, sizeof d);
        x[i] = (float)d;
        bad |= isfinite(x[i]) ? 0 : 1;
    }
    return bad;
}

static uint32_t read_elements(float *x, const uint8_t *from, cxr_element e, size_t n)
{
    switch (e) {
    case CXR_ELEMENT_F16: return read_f16(x, from, n);
    case CXR_ELEMENT_BF16: return read_bf16(x, from, n);
    case CXR_ELEMENT_F64: return read_f64(x, from, n);
    default: return read_f32(x, from, n);
    }
}

size_t cxr_elements_read(float *x, const uint8_t *from, cxr_element e, size_t n)
{
    if (read_elements(x, from, e, n) == 0) return n;
    size_t i = 0;
    while (read_elements(x + i, from + i * cxr_element_size(e), e, 1) == 0) i++;
    return i;
}

cxr_status cxr_weights_not_finite(const char *name, size_t index, float value, const char *path, cxr_error *err)
{
    return cxr_fail(err, CXR_EDATA, "%s: tensor %s holds %s at index %zu", path, name, isnan(value) ? "a NaN" : "an infinity",
                    index);
}

/* Copies the view's elements in row-major order, the index counting like an odometer. The index of the first that is not
 * finite, or count. */
static size_t gather(float *out, const cxr_view *v, size_t count)
{
    const size_t size = cxr_element_size(v->element);
    if (v->strides == NULL) return cxr_elements_read(out, v->data, v->element, count);
    int64_t index[CXR_WEIGHT_RANK] = {0};
    size_t at = 0; /* may wrap on the way, never where it is used */
    for (size_t i = 0; i < count; i++) {
        if (read_elements(&out[i], v->data + at * size, v->element, 1) != 0) return i;
        for (int d = v->rank - 1; d >= 0; d--) {
            at += (size_t)v->strides[d];
            if (++index[d] < v->dims[d]) break;
            at -= (size_t)v->dims[d] * (size_t)v->strides[d];
            index[d] = 0;
        }
    }
    return count;
}

static cxr_status copy_values(cxr_weight *to, const cxr_view *v, const char *path, cxr_error *err)
{
    to->data = cxr_mem_new(to->count, sizeof *to->data);
    if (to->data == NULL) return cxr_mem_fail(err, v->name);
    const size_t good = gather(to->data, v, to->count);
    return good == to->count ? CXR_OK : cxr_weights_not_finite(v->name, good, to->data[good], path, err);
}

/* ---- Lists ---- */

cxr_status cxr_weights_append(cxr_weights *w, size_t room, const cxr_view *v, const char *path, cxr_error *err)
{
    if (!name_is_plain(v->name))
        return cxr_fail(err, CXR_EDATA, "%s: the name of tensor %zu is not 1 to %d printable ASCII characters", path, w->count,
                        CXR_WEIGHT_NAME_MAX);
    size_t count;
    if (!cxr_view_count(v, &count) || !in_bounds(v, count))
        return cxr_fail(err, CXR_EDATA, "%s: tensor %s reaches outside its data", path, v->name);
    if (w->count == room || w->count == CXR_WEIGHT_COUNT_MAX)
        return cxr_fail(err, CXR_ELIMIT, "%s: more than %d tensors", path, CXR_WEIGHT_COUNT_MAX);
    cxr_weight *to = &w->items[w->count];
    const bool floats = v->element <= CXR_ELEMENT_BF16;
    *to = (cxr_weight){.name = cxr_mem_strdup(v->name),
                       .in_file = floats && v->data == NULL,
                       .element = v->element,
                       .at = v->at,
                       .rank = v->rank,
                       .count = count};
    if (to->name == NULL) return cxr_mem_fail(err, "a tensor's name");
    w->count++;
    memcpy(to->dims, v->dims, sizeof to->dims);
    return floats && v->data != NULL ? copy_values(to, v, path, err) : CXR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

cxr_status cxr_weights_check_names(const cxr_weights *w, const char *path, cxr_error *err)
{
    const char **names = cxr_mem_new(w->count, sizeof *names);
    if (names == NULL) return cxr_mem_fail(err, "tensor names");
    for (size_t i = 0; i < w->count; i++) names[i] = w->items[i].name;
    qsort(names, w->count, sizeof *names, by_name);
    cxr_status st = CXR_OK;
    for (size_t i = 1; i < w->count && st == CXR_OK; i++)
        if (strcmp(names[i - 1], names[i]) == 0) st = cxr_fail(err, CXR_EDATA, "%s: two tensors are called %s", path, names[i]);
    cxr_mem_free(names);
    return st;
}

const cxr_weight *cxr_weights_find(const cxr_weights *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->items[i].name, name) == 0) return &w->items[i];
    return NULL;
}

const char *cxr_weights_meta(const cxr_weights *w, const char *key)
{
    for (size_t i = 0; i < w->meta_count; i++)
        if (strcmp(w->meta[2 * i], key) == 0) return w->meta[2 * i + 1];
    return NULL;
}
