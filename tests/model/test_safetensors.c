/* safetensors: what the reference implementation wrote is read exactly; what breaks a rule of the format is refused. */
#include "model/expected.h"

#include "base/mem.h"
#include <math.h>

/* A file of that header and `data_len` bytes of data; static. */
static uint8_t *make_file(const char *header, size_t data_len, size_t *len)
{
    static uint8_t file[1 << 16];
    const uint64_t header_len = strlen(header);
    assert_true(8 + header_len + data_len <= sizeof file);
    memset(file, 0, sizeof file);
    memcpy(file, &header_len, 8);
    memcpy(file + 8, header, header_len);
    *len = 8 + (size_t)header_len + data_len;
    return file;
}

static void reference_file(void **state)
{
    (void)state;
    assert_expected("all.safetensors");
    cxr_weights w;
    cxr_buf bytes = fixture("all.safetensors");
    assert_int_equal(parse_bytes(&w, bytes.data, bytes.len, NULL), CXR_OK);
    assert_int_equal(w.meta_count, 2);
    assert_string_equal(cxr_weights_meta(&w, "note"), "L\xc3\xa4sion \"1\"");
    assert_null(cxr_weights_meta(&w, "absent"));
    assert_null(cxr_weights_find(&w, "absent"));
    cxr_weights_free(&w);
    cxr_buf_free(&bytes);
}

static void prefixes(void **state)
{
    (void)state;
    assert_prefixes_refused("all.safetensors");
}

#define F32(name, shape, begin, end)                                                                                           \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void good_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_len, tensors;
    } cases[] = {
        {"{}", 0, 0},
        {"{" F32("a", "[]", 0, 4) "}   ", 4, 1},
        {"{" F32("b", "[1]", 4, 8) "," F32("a", "[1]", 0, 4) "}", 8, 2},
        {"{" F32("a", "[0]", 0, 0) "," F32("b", "[2,0,3]", 0, 0) "}", 0, 2},
        {"{" F32("a", "[1,1,1,1,1,1,1,1]", 0, 4) ",\"__metadata__\":{}}", 4, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len;
        cxr_weights w;
        cxr_error err = {0};
        const uint8_t *file = make_file(cases[i].header, cases[i].data_len, &len);
        if (parse_bytes(&w, file, len, &err) != CXR_OK) fail_msg("%s: %s", cases[i].header, err.text);
        assert_int_equal(w.count, cases[i].tensors);
        cxr_weights_free(&w);
    }
}

static void bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_len;
        const char *part;
    } cases[] = {
        {"{", 0, "not a JSON object"},
        {"{}x", 0, "not a JSON object"},
        {"{\"\xff\":1}", 0, "not a JSON object"},
        {"{\"a\":{},\"a\":{}}", 0, "duplicate"},
        {"{" F32("a", "[1]", 0, 4) "," F32("a", "[1]", 4, 8) "}", 8, "duplicate"},
        {"{}", 1, "1 bytes after the last tensor"},
        {"{\"a\":1}", 0, "not {dtype, shape, data_offsets}"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "not {dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4, "not {dtype"},
        {"{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "not {dtype"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "unsupported type F8_E4M3"},
        {"{\"a\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "unsupported type U64"},
        {"{" F32("a", "7", 0, 4) "}", 4, "shape is not"},
        {"{" F32("a", "[1.0]", 0, 4) "}", 4, "shape is not"},
        {"{" F32("a", "[-1]", 0, 4) "}", 4, "shape is not"},
        {"{" F32("a", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "shape is not"},
        {"{" F32("a", "[9223372036854775807,2]", 0, 4) "}", 4, "disagree"},
        {"{" F32("a", "[9223372036854775808]", 0, 4) "}", 4, "not a JSON object"},
        {"{" F32("a", "[4611686018427387904]", 0, 0) "}", 0, "disagree"}, /* x 4 wraps to 0 */
        {"{" F32("a", "[4294967296,4294967296]", 0, 0) "}", 0, "disagree"},
        {"{" F32("a", "[4294967296,4294967296,0]", 0, 0) "}", 0, "disagree"},
        {"{" F32("a", "[2]", 0, 4) "}", 4, "disagree"},
        {"{" F32("a", "[1]", 0, 8) "}", 8, "disagree"},
        {"{" F32("a", "[1]", 0, 4) "}", 3, "outside the file"},
        {"{" F32("a", "[1]", 4, 0) "}", 4, "outside the file"},
        {"{" F32("a", "[1]", -4, 0) "}", 4, "outside the file"},
        {"{" F32("a", "[1]", 9223372036854775803, 9223372036854775807) "}", 4, "outside the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "outside the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "outside the file"},
        {"{" F32("a", "[1]", 4, 8) "}", 8, "hole before it"},
        {"{" F32("a", "[1]", 0, 4) "," F32("b", "[1]", 8, 12) "}", 12, "hole before it"},
        {"{" F32("a", "[2]", 0, 8) "," F32("b", "[1]", 4, 8) "}", 8, "overlaps"},
        {"{" F32("a", "[1]", 0, 4) "," F32("b", "[1]", 0, 4) "}", 4, "overlaps"},
        {"{" F32("a", "[1]", 0, 4) "}", 8, "4 bytes after"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "not a string"},
        {"{" F32("", "[1]", 0, 4) "}", 4, "printable ASCII"},
        {"{" F32("a\\nb", "[1]", 0, 4) "}", 4, "printable ASCII"},
        {"{" F32("a\\u0000b", "[1]", 0, 4) "}", 4, "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len;
        const uint8_t *file = make_file(cases[i].header, cases[i].data_len, &len);
        assert_refused(cases[i].header, file, len, CXR_EDATA, cases[i].part);
    }
}

static void header_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {3, 100000001, 1u << 31, (uint64_t)1 << 32, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
    size_t len;
    uint8_t *file = make_file("{}", 0, &len);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        memcpy(file, &lengths[i], 8);
        assert_refused("length", file, len, lengths[i] == 3 ? CXR_EDATA : CXR_ELIMIT, "header of");
    }
    memset(file, 0, 8);
    assert_refused("length 0", file, len, CXR_EDATA, "not a JSON object");
    assert_refused("empty", file, 0, CXR_EDATA, "neither a safetensors file");
    file = make_file("[]", 0, &len);
    assert_refused("array", file, len, CXR_EDATA, "neither a safetensors file");
}

static void deep_nesting(void **state)
{
    (void)state;
    static char header[20000];
    size_t len;
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', sizeof header - 6);
    const uint8_t *file = make_file(header, 0, &len);
    assert_refused("nesting", file, len, CXR_EDATA, "not a JSON object");
}

static void not_finite(void **state)
{
    (void)state;
    static const float poison[3] = {NAN, INFINITY, -INFINITY};
    static const char *const says[3] = {"a NaN", "an infinity", "an infinity"};
    for (int tensor = 0; tensor < 2; tensor++)
        for (int i = 0; i < 3; i++)
            for (int kind = 0; kind < 3; kind++) {
                size_t len;
                char part[64];
                uint8_t *file = make_file("{" F32("a", "[3]", 0, 12) "," F32("b", "[3]", 12, 24) "}", 24, &len);
                memcpy(file + len - 24 + 12 * tensor + 4 * i, &poison[kind], 4);
                (void)snprintf(part, sizeof part, "tensor %c holds %s at index %d", 'a' + tensor, says[kind], i);
                assert_refused("poison", file, len, CXR_EDATA, part);
            }
}

static const float values[6] = {1.0f / 3, -0.0f, 0x1p-149f, 0x1.fffffep127f, -2.5f, 7};

static cxr_status write_some(const char *path, cxr_error *err)
{
    const cxr_weight_out items[3] = {{.name = "z", .data = values, .rank = 2, .dims = {2, 3}},
                                     {.name = "a", .data = values + 4, .rank = 0},
                                     {.name = "none", .data = values, .rank = 1, .dims = {0}}};
    const char *const meta[] = {"format", "pt", "note", "L\xc3\xa4sion \"1\"\n"};
    return cxr_safetensors_write(path, items, 3, meta, 2, err);
}

static void write_and_read(void **state)
{
    (void)state;
    cxr_weights w;
    cxr_error err = {0};
    if (write_some(in_scratch("w"), &err) != CXR_OK) fail_msg("%s", err.text);
    if (cxr_weights_read(&w, in_scratch("w"), &err) != CXR_OK) fail_msg("%s", err.text);
    assert_int_equal(w.count, 3);
    assert_string_equal(w.items[0].name, "z"); /* in the order given */
    assert_memory_equal(w.items[0].data, values, sizeof values);
    assert_int_equal(w.items[0].dims[1], 3);
    assert_true(w.items[1].data[0] == -2.5f && w.items[1].rank == 0);
    assert_int_equal(w.items[2].count, 0);
    assert_string_equal(cxr_weights_meta(&w, "note"), "L\xc3\xa4sion \"1\"\n");
    cxr_weights_free(&w);
    cxr_buf first, second;
    assert_int_equal(cxr_buf_read(&first, in_scratch("w"), 1 << 16, NULL), CXR_OK);
    assert_int_equal(write_some(in_scratch("w"), NULL), CXR_OK);
    assert_int_equal(cxr_buf_read(&second, in_scratch("w"), 1 << 16, NULL), CXR_OK);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    assert_int_equal(cxr_load_le(first.data, 8) % 8, 0); /* data begin at a multiple of 8 */
    assert_int_equal(files_in_scratch(), 1);
    cxr_buf_free(&first);
    cxr_buf_free(&second);
}

static void write_refuses(void **state)
{
    (void)state;
    const float nan_value = NAN;
    cxr_error err = {0};
    const cxr_weight_out twice[2] = {{.name = "a", .data = values}, {.name = "a", .data = values}};
    const cxr_weight_out poison = {.name = "p", .data = &nan_value}, odd = {.name = "\xff", .data = values};
    const char *const meta[] = {"k", "1", "k", "2"}, *const bad_meta[] = {"k", "\xff"};
    assert_int_equal(cxr_safetensors_write(in_scratch("no"), twice, 2, NULL, 0, &err), CXR_EDATA);
    assert_int_equal(cxr_safetensors_write(in_scratch("no"), &odd, 1, NULL, 0, &err), CXR_EDATA);
    assert_int_equal(cxr_safetensors_write(in_scratch("no"), twice, 1, meta, 2, &err), CXR_EDATA);
    assert_int_equal(cxr_safetensors_write(in_scratch("no"), twice, 1, bad_meta, 1, &err), CXR_EDATA);
    assert_int_equal(cxr_safetensors_write(in_scratch("no"), &poison, 1, NULL, 0, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "tensor p"));
    assert_int_equal(cxr_safetensors_write(in_scratch("no/no"), twice, 1, NULL, 0, &err), CXR_ECREATE);
    assert_false(cxr_path_exists(in_scratch("no")));
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    walk_allocations("all.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_file), cmocka_unit_test(prefixes),
        cmocka_unit_test(good_headers),   cmocka_unit_test(bad_headers),
        cmocka_unit_test(header_lengths), cmocka_unit_test(deep_nesting),
        cmocka_unit_test(not_finite),     cmocka_unit_test(write_and_read),
        cmocka_unit_test(write_refuses),  cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
