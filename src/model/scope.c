#include "model/scope.h"
#include "base/mem.h"
#include <math.h>
#include <openssl/evp.h>
#include <string.h>

void cxr_bounds_default(cxr_bounds *b)
{
    *b = (cxr_bounds){
        .colour = 4.0, .aspect = 4.0, .contrast = 10.0, .page = 0.7, .inverted = -0.3, .turned = 0.2, .over = 0.15};
}

cxr_status cxr_scope_new(cxr_scope **out, int width, int axes, cxr_error *err)
{
    *out = NULL;
    cxr_scope *s = cxr_mem_new(1, sizeof *s);
    if (s == NULL) return cxr_mem_fail(err, "a model's scope");
    s->width = width;
    s->axes = axes;
    s->mean = cxr_mem_new((size_t)width, sizeof *s->mean);
    s->axis = cxr_mem_new((size_t)axes * (size_t)width, sizeof *s->axis);
    s->variance = cxr_mem_new((size_t)axes, sizeof *s->variance);
    if (s->mean == NULL || s->axis == NULL || s->variance == NULL) {
        cxr_scope_free(&s);
        return cxr_mem_fail(err, "a model's scope");
    }
    *out = s;
    return CXR_OK;
}

cxr_status cxr_scope_copy(cxr_scope **out, const cxr_scope *from, cxr_error *err)
{
    const cxr_status st = cxr_scope_new(out, from->width, from->axes, err);
    if (st != CXR_OK) return st;
    cxr_scope *s = *out;
    const cxr_scope own = *s;
    const size_t width = (size_t)from->width, axes = (size_t)from->axes;
    *s = *from;
    s->mean = own.mean;
    s->axis = own.axis;
    s->variance = own.variance;
    memcpy(s->mean, from->mean, width * sizeof *s->mean);
    memcpy(s->axis, from->axis, axes * width * sizeof *s->axis);
    memcpy(s->variance, from->variance, axes * sizeof *s->variance);
    return CXR_OK;
}

void cxr_scope_free(cxr_scope **scope)
{
    if (scope == NULL || *scope == NULL) return;
    cxr_mem_free((*scope)->mean);
    cxr_mem_free((*scope)->axis);
    cxr_mem_free((*scope)->variance);
    cxr_mem_free(*scope);
    *scope = NULL;
}

/* ---- Bytes as text ---- */

static size_t text_length(size_t bytes)
{
    return (bytes + 2) / 3 * 4;
}

static json_t *json_bytes(const void *bytes, size_t len)
{
    char *text = cxr_mem_new(text_length(len) + 1, 1);
    json_t *out = NULL;
    if (text != NULL) {
        (void)EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
        out = json_string(text);
    }
    cxr_mem_free(text);
    return out;
}

/* Exactly `len` bytes. */
static cxr_status read_bytes(void *out, size_t len, const json_t *from, const char *name, cxr_error *err)
{
    const json_t *value = json_object_get(from, name);
    const size_t chars = text_length(len);
    if (!json_is_string(value) || json_string_length(value) != chars)
        return cxr_fail(err, CXR_EDATA, "%s is not base64 of %zu bytes", name, len);
    unsigned char *bytes = cxr_mem_new(chars / 4 * 3, 1);
    if (bytes == NULL) return cxr_mem_fail(err, "a model's scope");
    const int got = EVP_DecodeBlock(bytes, (const unsigned char *)json_string_value(value), (int)chars);
    const bool ok = got == (int)(chars / 4 * 3);
    if (ok) memcpy(out, bytes, len);
    cxr_mem_free(bytes);
    return ok ? CXR_OK : cxr_fail(err, CXR_EDATA, "%s is not base64 of %zu bytes", name, len);
}

/* ---- The whole ---- */

typedef struct named {
    const char *name;
    double *value, low, high;
} named;

#define NUMBERS 9

/* Every number but the arrays', with what it may be. A likeness lies in -1..1, the difference of two in -2..2. */
static void list_numbers(named out[NUMBERS], cxr_bounds *b, double *rest, double *limit)
{
    const named all[NUMBERS] = {
        {"colour", &b->colour, 0, 255}, {"aspect", &b->aspect, 1, 1e9},    {"contrast", &b->contrast, 0, 128},
        {"page", &b->page, 0, 1},       {"inverted", &b->inverted, -1, 1}, {"turned", &b->turned, -2, 2},
        {"over", &b->over, -2, 2},      {"rest", rest, 1e-30, 1e30},       {"limit", limit, 1e-30, (double)1e300}};
    memcpy(out, all, sizeof all);
}

json_t *cxr_scope_json(const cxr_scope *s)
{
    cxr_scope own = *s;
    double rest = (double)s->rest;
    named numbers[NUMBERS];
    const size_t width = (size_t)s->width, axes = (size_t)s->axes;
    list_numbers(numbers, &own.bounds, &rest, &own.limit);
    json_t *all =
        json_pack("{s:I, s:I, s:i, s:i, s:o*, s:o*, s:o*, s:o*}", "images", (json_int_t)s->images, "held", (json_int_t)s->held,
                  "width", s->width, "axes", s->axes, "picture", json_bytes(s->picture, sizeof s->picture), "mean",
                  json_bytes(s->mean, width * sizeof *s->mean), "axis", json_bytes(s->axis, axes * width * sizeof *s->axis),
                  "variance", json_bytes(s->variance, axes * sizeof *s->variance));
    for (size_t i = 0; i < NUMBERS; i++) (void)json_object_set_new(all, numbers[i].name, json_real(*numbers[i].value));
    if (json_object_size(all) == 8 + NUMBERS) return all;
    json_decref(all);
    return NULL;
}

static cxr_status read_numbers(cxr_scope *s, const json_t *from, cxr_error *err)
{
    double rest = 0.0;
    named numbers[NUMBERS];
    list_numbers(numbers, &s->bounds, &rest, &s->limit);
    for (size_t i = 0; i < NUMBERS; i++) {
        const json_t *value = json_object_get(from, numbers[i].name);
        *numbers[i].value = json_number_value(value);
        if (!json_is_number(value) || !(*numbers[i].value >= numbers[i].low && *numbers[i].value <= numbers[i].high))
            return cxr_fail(err, CXR_EDATA, "%s is not a number in [%g, %g]", numbers[i].name, numbers[i].low, numbers[i].high);
    }
    s->rest = (float)rest;
    return CXR_OK;
}

static bool get_count(int64_t *out, const json_t *from, const char *name, int64_t least, int64_t most)
{
    const json_t *value = json_object_get(from, name);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= least && *out <= most;
}

static cxr_status check_arrays(const cxr_scope *s, cxr_error *err)
{
    bool ok = true;
    for (int i = 0; i < s->width; i++) ok = ok && isfinite(s->mean[i]);
    for (int i = 0; i < s->axes * s->width; i++) ok = ok && fabsf(s->axis[i]) <= 2.0f; /* a unit vector's, and no NaN */
    for (int i = 0; i < s->axes; i++) ok = ok && s->variance[i] >= 1e-30f && s->variance[i] <= 1e30f;
    return ok ? CXR_OK : cxr_fail(err, CXR_EDATA, "mean, axis or variance is out of range");
}

cxr_status cxr_scope_read(cxr_scope **out, const json_t *from, int width, cxr_error *err)
{
    int64_t images, held, wide, axes;
    *out = NULL;
    if (!json_is_object(from) || !get_count(&images, from, "images", 1, INT64_MAX) ||
        !get_count(&held, from, "held", 1, INT64_MAX) || !get_count(&wide, from, "width", width, width) ||
        !get_count(&axes, from, "axes", 0, CXR_SCOPE_AXES))
        return cxr_fail(err, CXR_EDATA, "it needs the numbers images, held, axes (0 to %d) and width, which is %d",
                        CXR_SCOPE_AXES, width);
    cxr_status st = cxr_scope_new(out, width, (int)axes, err);
    if (st != CXR_OK) return st;
    cxr_scope *s = *out;
    const size_t n = (size_t)width, k = (size_t)axes;
    s->images = images;
    s->held = held;
    st = read_numbers(s, from, err);
    if (st == CXR_OK) st = read_bytes(s->picture, sizeof s->picture, from, "picture", err);
    if (st == CXR_OK) st = read_bytes(s->mean, n * sizeof *s->mean, from, "mean", err);
    if (st == CXR_OK) st = read_bytes(s->axis, k * n * sizeof *s->axis, from, "axis", err);
    if (st == CXR_OK) st = read_bytes(s->variance, k * sizeof *s->variance, from, "variance", err);
    if (st == CXR_OK) st = check_arrays(s, err);
    if (st != CXR_OK) cxr_scope_free(out);
    return st;
}
