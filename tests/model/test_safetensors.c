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

/* Every half and bfloat16 there is, in one tensor, told by the definition of the types. */
static void every_16_bit_value(void **state)
{
    (void)state;
    static uint16_t bits[1 << 16];
    static float got[1 << 16];
    for (int half = 0; half < 2; half++) {
        const int fraction_bits = half ? 10 : 7, bias = half ? 15 : 127;
        const uint32_t special = half ? 31 : 255;
        for (uint32_t v = 0; v < 1u << 16; v++) {
            bits[v] = (uint16_t)v;
            const uint32_t exponent = (v & 0x7FFF) >> fraction_bits, fraction = v & ((1u << fraction_bits) - 1);
            const double whole = fraction + (exponent == 0 ? 0.0 : ldexp(1, fraction_bits));
            const double size = ldexp(whole, (exponent == 0 ? 1 : (int)exponent) - bias - fraction_bits);
            const float want = (float)(v & 0x8000 ? -size : size);
            const size_t good = cxr_elements_read(got, (const uint8_t *)&bits[v], half ? CXR_ELEMENT_F16 : CXR_ELEMENT_BF16, 1);
            assert_int_equal(good, exponent != special);
            if (good == 1) assert_memory_equal(got, &want, sizeof want);
            if (good == 0) bits[v] = 0; /* so that the whole can be read below */
        }
        const cxr_element e = half ? CXR_ELEMENT_F16 : CXR_ELEMENT_BF16;
        assert_int_equal(cxr_elements_read(got, (const uint8_t *)bits, e, 1 << 16), 1 << 16);
        for (size_t v = 0; v < 1 << 16; v++) {
            float one;
            assert_int_equal(cxr_elements_read(&one, (const uint8_t *)&bits[v], e, 1), 1);
            assert_memory_equal(&one, &got[v], sizeof one);
        }
    }
}

/* ---- From a file ---- */

static void from_file(void **state)
{
    (void)state;
    cxr_weights w, opened;
    cxr_error err = {0};
    if (cxr_weights_read(&w, WEIGHT_FIXTURES "all.safetensors", &err) != CXR_OK) fail_msg("%s", err.text);
    assert_null(w.file);
    const char *wrong = compare_expected(&w, "all.safetensors");
    if (wrong != NULL) fail_msg("tensor %s is not what PyTorch reads", wrong);
    if (cxr_weights_open(&opened, WEIGHT_FIXTURES "all.safetensors", &err) != CXR_OK) fail_msg("%s", err.text);
    assert_int_equal(opened.count, w.count);
    for (size_t i = 0; i < w.count; i++) {
        float values_of[64];
        const cxr_weight *t = &opened.items[i];
        assert_null(t->data);
        assert_int_equal(t->in_file, w.items[i].data != NULL);
        if (!t->in_file) continue;
        assert_int_equal(cxr_weights_load(&opened, t, values_of, &err), CXR_OK);
        assert_memory_equal(values_of, w.items[i].data, t->count * sizeof(float));
    }
    cxr_weights_free(&opened);
    cxr_weights_free(&w);
    if (cxr_weights_read(&w, WEIGHT_FIXTURES "legacy.pth", &err) != CXR_OK) fail_msg("%s", err.text);
    assert_null(compare_expected(&w, "legacy.pth"));
    cxr_weights_free(&w);
}

/* Larger than the blocks that a tensor is read in; a value that is not finite is found in any of them. */
static void blocks(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    static const char header[] = "{\"a\":{\"dtype\":\"BF16\",\"shape\":[100000],\"data_offsets\":[0,200000]}}";
    static uint8_t file[8 + sizeof header - 1 + 2 * COUNT];
    static float got[COUNT];
    const uint64_t header_len = sizeof header - 1;
    memcpy(file, &header_len, 8);
    memcpy(file + 8, header, header_len);
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint16_t value = (uint16_t)(0x3F80 + i % 128);
        memcpy(file + 8 + header_len + 2 * i, &value, 2);
    }
    for (int bad = -1; bad < COUNT; bad += 33333) {
        cxr_weights w;
        cxr_error err = {0};
        static const uint16_t infinity = 0xFF80;
        uint16_t old = 0;
        uint8_t *place = file + 8 + header_len + 2 * (bad < 0 ? 0 : bad);
        memcpy(&old, place, 2);
        if (bad >= 0) memcpy(place, &infinity, 2);
        put_file(in_scratch("blocks"), file, sizeof file);
        memcpy(place, &old, 2);
        assert_int_equal(cxr_weights_open(&w, in_scratch("blocks"), &err), CXR_OK);
        assert_int_equal(cxr_weights_load(&w, &w.items[0], got, &err), bad < 0 ? CXR_OK : CXR_EDATA);
        char part[64];
        (void)snprintf(part, sizeof part, "tensor a holds an infinity at index %d", bad);
        assert_true(bad < 0 || strstr(err.text, part) != NULL);
        for (int i = 0; bad < 0 && i < COUNT; i++) assert_true(got[i] == 1.0f + (float)(i % 128) / 128);
        cxr_weights_free(&w);
        assert_int_equal(unlink(in_scratch("blocks")), 0);
    }
}

/* Another process cuts the file short, or replaces what it holds, between the list and the values: an error, no crash. */
static void shrinking_file(void **state)
{
    (void)state;
    cxr_weights w;
    cxr_error err = {0};
    float got[6];
    assert_int_equal(write_some(in_scratch("w"), NULL), CXR_OK);
    assert_int_equal(cxr_weights_open(&w, in_scratch("w"), &err), CXR_OK);
    assert_int_equal(truncate(in_scratch("w"), (off_t)w.items[0].at + 8), 0);
    assert_int_equal(cxr_weights_load(&w, &w.items[0], got, &err), CXR_EIO);
    assert_non_null(strstr(err.text, "became shorter while being read"));
    assert_int_equal(truncate(in_scratch("w"), 4096), 0); /* longer again: zeros */
    assert_int_equal(cxr_weights_load(&w, &w.items[0], got, &err), CXR_OK);
    assert_true(got[0] == values[0] && got[5] == 0.0f);
    cxr_weights_free(&w);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    walk_allocations("all.safetensors");
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_weights w;
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_weights_open(&w, WEIGHT_FIXTURES "all.safetensors", NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_weights_free(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_file),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(every_16_bit_value),
        cmocka_unit_test(from_file),
        cmocka_unit_test(blocks),
        cmocka_unit_test(shrinking_file),
        cmocka_unit_test(good_headers),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(header_lengths),
        cmocka_unit_test(deep_nesting),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(write_and_read),
        cmocka_unit_test(write_refuses),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
