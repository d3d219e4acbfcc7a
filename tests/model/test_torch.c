/* torch.save's files: every form gives what PyTorch reads; hostile and damaged ones are refused and nothing is executed. */
#include "model/expected.h"

#include "base/mem.h"

static void good_files(void **state)
{
    (void)state;
    static const char *const files[] = {
        "zip.pth",          "zip_protocol4.pth", "zip_protocol5.pth", "legacy.pth", "legacy_protocol4.pth", "zip_types.pth",
        "legacy_types.pth", "module.pth",        "parameters.pth",    "nested.pth", "nested_model.pth",     "parallel.pth"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) assert_expected(files[i]);
}

static void bad_files(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"bad_system.pth", "posix.system"},
        {"bad_system_legacy.pth", "posix.system"},
        {"bad_eval4.pth", "builtins.eval"},
        {"bad_module.pth", "torch.nn.modules.linear.Linear"},
        {"bad_list.pth", "no dictionary of tensors"},
        {"bad_nan.pth", "tensor a holds a NaN at index 1"},
        {"bad_inf.pth", "tensor a holds an infinity at index 2"},
        {"bad_f64_range.pth", "tensor a holds an infinity at index 0"},
        {"bad_complex.pth", "torch.ComplexFloatStorage"},
        {"bad_compressed.pth", "is compressed"},
        {"bad_no_pickle.pth", "no data.pkl"},
        {"bad_two_pickles.pth", "more than one data.pkl"},
        {"bad_no_storage.pth", "data/0 is missing"},
        {"bad_short_storage.pth", "data/0 is missing or has not the size"},
        {"bad_duplicate.pth", "zip file"},
        {"bad_big_endian.pth", "big-endian"},
        {"bad_trailing_pickle.pth", "2 bytes after the end of the pickle"},
        {"bad_crc.pth", "CRC"},
        {"bad_encrypted.pth", "encrypted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cxr_buf bytes = fixture(cases[i][0]);
        assert_refused(cases[i][0], bytes.data, bytes.len, CXR_EDATA, cases[i][1]);
        cxr_buf_free(&bytes);
    }
    assert_false(cxr_path_exists("/tmp/cxr-was-executed"));
}

static void prefixes(void **state)
{
    (void)state;
    assert_prefixes_refused("zip.pth");
    assert_prefixes_refused("legacy.pth");
    assert_prefixes_refused("legacy_protocol4.pth");
}

/* Whatever one flipped bit does to a zip file, it never changes a value: checksums cover pickle and storages. */
static void flipped_bits(void **state)
{
    (void)state;
    cxr_buf bytes = fixture("zip.pth");
    for (size_t i = 0; i < bytes.len; i++) {
        const uint8_t flip = (uint8_t)(1u << (i % 8));
        cxr_weights w;
        bytes.data[i] ^= flip;
        if (parse_bytes(&w, bytes.data, bytes.len, NULL) == CXR_OK) {
            if (compare_expected(&w, "zip.pth") != NULL) fail_msg("byte %zu flipped and other values read", i);
        }
        cxr_weights_free(&w);
        bytes.data[i] ^= flip;
    }
    cxr_buf_free(&bytes);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    walk_allocations("nested.pth");
    walk_allocations("legacy.pth");
}

/* ---- Streams made by hand ---- */

typedef struct bytes {
    uint8_t *data;
    size_t len, room;
} bytes;

static void add(bytes *b, const void *data, size_t len)
{
    if (b->len + len > b->room) {
        b->room = 2 * (b->len + len);
        b->data = realloc(b->data, b->room);
        assert_non_null(b->data);
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

#define ADD(b, text) add(b, text, sizeof(text) - 1)

static void add_int(bytes *b, int64_t v)
{
    ADD(b, "\x8a\x08");
    add(b, &v, 8);
}

static void add_tuple(bytes *b, const int64_t *v, int count)
{
    ADD(b, "(");
    for (int i = 0; i < count; i++) add_int(b, v[i]);
    ADD(b, "t");
}

/* What comes before the object's pickle. */
static void add_preamble(bytes *b)
{
    ADD(b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.");
    ADD(b, "\x80\x02}X\x0d\0\0\0little_endian\x88s.\x80\x02");
}

static void assert_pickle_refused(const char *what, const void *pickle, size_t len, cxr_status status, const char *part)
{
    bytes b = {0};
    add_preamble(&b);
    add(&b, pickle, len);
    assert_refused(what, b.data, b.len, status, part);
    free(b.data);
}

/* What each of these pickles is refused for. */
#define CASE(pickle, part)                                                                                                     \
    {                                                                                                                          \
        pickle, sizeof(pickle) - 1, part                                                                                       \
    }
static const struct {
    const char *pickle;
    size_t len;
    const char *part;
} bad[] = {
    CASE("", "truncated"),
    CASE(".", "one value"),
    CASE("NN.", "one value"),
    CASE("(.", "one value"),
    CASE("N.", "no dictionary of tensors"),
    CASE("}.", "no dictionary of tensors"),
    CASE("cposix\nsystem\n.", "posix.system"),
    CASE("cos\nsystem\n.", "os.system"),
    CASE("c__builtin__\neval\n.", "__builtin__.eval"),
    CASE("ctorch\nload\n.", "torch.load"),
    CASE("cevil\nOrderedDict\n.", "evil.OrderedDict"),
    CASE("ccollections\nOrderedDic\n.", "collections.OrderedDic"),
    CASE("ctorch._utils\n_rebuild_tensor_v2\x00\n.", "_rebuild_tensor_v2?"),
    CASE("c\x1b[2J\nsystem\n.", "?[2J.system"),
    CASE("X\x05\0\0\0posixX\x06\0\0\0system\x93.", "posix.system"),
    CASE("\x8c\x05posix\x8c\x06system\x93.", "posix.system"),
    CASE("NN\x93.", "not two texts"),
    CASE("\x93.", "not two texts"),
    CASE("c\n", "ends within a name"),
    CASE("cos\n", "ends within a name"),
    CASE("(S'touch'\nios\nsystem\n.", "opcode 0x53"),
    CASE("(ios\nsystem\n.", "opcode 0x69"),
    CASE("(o.", "opcode 0x6f"),
    CASE("))\x81.", "opcode 0x81"),
    CASE("\x82\x01.", "opcode 0x82"),
    CASE("P0\n.", "opcode 0x50"),
    CASE("I1\n.", "opcode 0x49"),
    CASE("V1\n.", "opcode 0x56"),
    CASE("2.", "opcode 0x32"),
    CASE("\x8b\xff\xff\xff\x7f.", "opcode 0x8b"),
    CASE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "opcode 0x8d"),
    CASE("\x80\x06N.", "protocol 6"),
    CASE("\x80\x01N.", "protocol 1"),
    CASE("\x80", "header"),
    CASE("X\xff\xff\xff\xff.", "ends within a text"),
    CASE("X\x01", "ends within a text"),
    CASE("\x8c\x05 abc", "ends within a text"),
    CASE("J\0\0", "ends within a number"),
    CASE("\x8a\x09\0", "ends within a number"),
    CASE("G\0", "ends within an argument"),
    CASE("\x95\0", "ends within an argument"),
    CASE("q", "ends within a number"),
    CASE("h", "ends within a number"),
    CASE("h\0.", "never there"),
    CASE("j\xff\xff\xff\xff.", "never there"),
    CASE("q\0.", "nothing to remember"),
    CASE("(\x94.", "nothing to remember"),
    CASE("t.", "without its mark"),
    CASE("u.", "without their mark"),
    CASE("(u.", "without their mark"),
    CASE("e.", "without their mark"),
    CASE("(e.", "without their mark"),
    CASE("N(e.", "something else"),
    CASE("N(u.", "something else"),
    CASE("](NNu.", "something else"),
    CASE("}(Nu.", "something else"),
    CASE("}(NNe.", "something else"),
    CASE("((e.", "something else"),
    CASE("Ns.", "without a container"),
    CASE("a.", "without a container"),
    CASE("](a.", "across a mark"),
    CASE("}(NNs.", "across a mark"),
    CASE("\x85.", "more than there is"),
    CASE("(N\x86.", "across a mark"),
    CASE("Q.", "described by a tuple"),
    CASE("NQ.", "described by a tuple"),
    CASE("(Q.", "described by a tuple"),
    CASE("R.", "no known function"),
    CASE("N)R.", "no known function"),
    CASE("ccollections\nOrderedDict\nNR.", "no known function"),
    CASE("ccollections\nOrderedDict\nN\x85R.", "OrderedDict with arguments"),
    CASE("ctorch\nFloatStorage\n)R.", "storage class is called"),
    CASE("ctorch._utils\n_rebuild_tensor_v2\n)R.", "too few arguments"),
    CASE("ctorch._utils\n_rebuild_parameter\n)R.", "no tensor"),
    CASE("ctorch._utils\n_rebuild_parameter\nN\x85R.", "no tensor"),
    CASE("N}b.", "attributes"),
    CASE("}Nb.", "attributes"),
    CASE("}b.", "attributes"),
    CASE("](h\0e.", "never there"),
    CASE("]q\0h\0a.", "no dictionary of tensors"),      /* a list that holds itself */
    CASE("}q\0X\x05\0\0\0modelh\0s.", "no dictionary"), /* a dictionary that holds itself */
    CASE("}X\x01\0\0\0a(NNNNtctorch._utils\n_rebuild_tensor_v2\nh\0.", "never there"),
};
#undef CASE

static void bad_pickles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_pickle_refused(bad[i].pickle, bad[i].pickle, bad[i].len, CXR_EDATA, bad[i].part);
    assert_pickle_refused("memo", "Nr\xff\xff\xff\xff.", 7, CXR_ELIMIT, "more than");
}

static void deep_and_many(void **state)
{
    (void)state;
    static char opcodes[1100000];
    memset(opcodes, '(', sizeof opcodes);
    assert_pickle_refused("marks", opcodes, sizeof opcodes, CXR_ELIMIT, "more than");
    memset(opcodes, 'N', sizeof opcodes);
    assert_pickle_refused("values", opcodes, sizeof opcodes, CXR_ELIMIT, "more than");
    memset(opcodes, 0x85, sizeof opcodes);
    opcodes[0] = 'N';
    assert_pickle_refused("nested tuples", opcodes, sizeof opcodes, CXR_ELIMIT, "more than");
    opcodes[500000] = '.';
    assert_pickle_refused("nested tuples", opcodes, 500001, CXR_EDATA, "no dictionary");
}

/* A stream with one tensor "a" of a storage of three floats, whose pickle and data say what the fields say. */
typedef struct one_tensor {
    int64_t storage_count, offset, dims[9], strides[9];
    int rank, stride_rank;
    uint64_t stored_count;
    size_t stored_bytes;
} one_tensor;

static const one_tensor plain = {
    .storage_count = 3, .dims = {3}, .strides = {1}, .rank = 1, .stride_rank = 1, .stored_count = 3, .stored_bytes = 12};

static bytes make_stream(const one_tensor *t)
{
    static const float data[3] = {1, 2, 3};
    bytes b = {0};
    add_preamble(&b);
    ADD(&b,
        "}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0kX\x03\0\0\0cpu");
    add_int(&b, t->storage_count);
    ADD(&b, "NtQ");
    add_int(&b, t->offset);
    add_tuple(&b, t->dims, t->rank);
    add_tuple(&b, t->strides, t->stride_rank);
    ADD(&b, "\x89)tRs.\x80\x02]X\x01\0\0\0ka.");
    add(&b, &t->stored_count, 8);
    add(&b, data, t->stored_bytes);
    return b;
}

static void assert_tensor_refused(const char *what, const one_tensor *t, cxr_status status, const char *part)
{
    const bytes b = make_stream(t);
    assert_refused(what, b.data, b.len, status, part);
    free(b.data);
}

static void tensors_in_bounds(void **state)
{
    (void)state;
    static const float reversed[6] = {1, 2, 2, 3, 2, 3};
    cxr_weights w;
    cxr_error err = {0};
    one_tensor t = plain;
    t.rank = t.stride_rank = 2;
    t.dims[0] = 2, t.dims[1] = 2;
    t.strides[0] = t.strides[1] = 1;
    bytes b = make_stream(&t);
    if (parse_bytes(&w, b.data, b.len, &err) != CXR_OK) fail_msg("%s", err.text);
    assert_memory_equal(w.items[0].data, reversed, 4 * sizeof(float));
    cxr_weights_free(&w);
    free(b.data);
    t.offset = 1;
    assert_tensor_refused("offset", &t, CXR_EDATA, "reaches outside");
    t.dims[0] = 1;
    t.strides[0] = INT64_MAX; /* never used: one row */
    b = make_stream(&t);
    assert_int_equal(parse_bytes(&w, b.data, b.len, NULL), CXR_OK);
    assert_memory_equal(w.items[0].data, reversed + 4, 2 * sizeof(float));
    cxr_weights_free(&w);
    free(b.data);
}

static void tensors_out_of_bounds(void **state)
{
    (void)state;
    static const int64_t edges[] = {-1, INT64_MIN, 4, INT32_MAX, (int64_t)1 << 32, (int64_t)1 << 62, INT64_MAX};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        one_tensor t = plain;
        t.offset = edges[i];
        assert_tensor_refused("offset", &t, CXR_EDATA, "tensor a");
        t = plain;
        t.dims[0] = edges[i];
        assert_tensor_refused("size", &t, edges[i] > 1000 && edges[i] <= INT64_MAX / 8 ? CXR_ELIMIT : CXR_EDATA, "tensor a");
        t = plain;
        t.strides[0] = edges[i];
        assert_tensor_refused("stride", &t, CXR_EDATA, "tensor a");
        t = plain;
        t.storage_count = edges[i];
        assert_tensor_refused("storage", &t, CXR_EDATA, "storage");
        t = plain;
        t.stored_count = (uint64_t)edges[i];
        assert_tensor_refused("stored count", &t, CXR_EDATA, "storages");
        for (size_t j = 0; j < sizeof edges / sizeof edges[0]; j++) {
            cxr_weights w;
            t = plain;
            t.rank = t.stride_rank = 2;
            t.dims[1] = edges[i];
            t.strides[1] = edges[j];
            bytes b = make_stream(&t);
            assert_true(parse_bytes(&w, b.data, b.len, NULL) != CXR_OK);
            free(b.data);
        }
    }
}

static void damaged_tensors(void **state)
{
    (void)state;
    one_tensor t = plain;
    t.rank = t.stride_rank = 9;
    assert_tensor_refused("rank", &t, CXR_EDATA, "description of tensor a");
    t = plain;
    t.stride_rank = 2;
    assert_tensor_refused("stride rank", &t, CXR_EDATA, "description of tensor a");
    t = plain;
    t.stored_bytes = 8;
    assert_tensor_refused("short", &t, CXR_EDATA, "truncated");
    t = plain;
    t.dims[0] = 1 << 30;
    t.strides[0] = 0; /* every element in place, a thousand million times */
    assert_tensor_refused("amplification", &t, CXR_ELIMIT, "too often");
    bytes b = make_stream(&plain);
    ADD(&b, "x");
    assert_refused("trailing", b.data, b.len, CXR_EDATA, "1 bytes after");
    free(b.data);
}

static void add_tensor(bytes *b, const char *name, const char *key, int64_t storage_count)
{
    ADD(b, "X\x01\0\0\0");
    add(b, name, 1);
    ADD(b, "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0");
    add(b, key, 1);
    ADD(b, "X\x03\0\0\0cpu");
    add_int(b, storage_count);
    ADD(b, "NtQK\0K\x01\x85K\x01\x85\x89)tRs");
}

/* Tensors a and b of one float each; `keys` is the pickle of the list of storages, `stored` how many follow. */
static bytes make_pair(const char *key_b, int64_t count_b, const char *keys, size_t keys_len, int stored)
{
    static const uint8_t storage[12] = {1};
    bytes b = {0};
    add_preamble(&b);
    ADD(&b, "}");
    add_tensor(&b, "a", "k", 1);
    add_tensor(&b, "b", key_b, count_b);
    ADD(&b, ".\x80\x02]");
    add(&b, keys, keys_len);
    ADD(&b, ".");
    for (int i = 0; i < stored; i++) add(&b, storage, sizeof storage);
    return b;
}

static void storages_once_each(void **state)
{
    (void)state;
#define KEY(k) "X\x01\0\0\0" k "a"
    static const struct {
        const char *what, *key_b;
        int64_t count_b;
        const char *keys;
        size_t keys_len;
        int stored;
        const char *part; /* NULL: a good file */
    } cases[] = {
        {"two", "l", 1, KEY("l") KEY("k"), 14, 2, NULL},
        {"shared", "k", 1, KEY("k"), 7, 1, NULL},
        {"shared, other count", "k", 2, KEY("k"), 7, 1, "two storages share a key"},
        {"one listed twice", "l", 1, KEY("k") KEY("k"), 14, 2, "not those that the pickle names"},
        {"one not listed", "l", 1, KEY("k"), 7, 1, "not those that the pickle names"},
        {"unknown listed", "l", 1, KEY("k") KEY("m"), 14, 2, "not those that the pickle names"},
        {"no list of keys", "l", 1, "a", 0, 2, "not those that the pickle names"},
    };
#undef KEY
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cxr_weights w;
        bytes b = make_pair(cases[i].key_b, cases[i].count_b, cases[i].keys, cases[i].keys_len, cases[i].stored);
        if (cases[i].part != NULL) {
            assert_refused(cases[i].what, b.data, b.len, CXR_EDATA, cases[i].part);
        } else {
            assert_int_equal(parse_bytes(&w, b.data, b.len, NULL), CXR_OK);
            assert_int_equal(w.count, 2);
            cxr_weights_free(&w);
        }
        free(b.data);
    }
}

static void other_streams(void **state)
{
    (void)state;
    static const char big[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."
                              "\x80\x02}X\x0d\0\0\0little_endian\x89s.";
    static const char other[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xea\x03.";
    assert_refused("big endian", big, sizeof big - 1, CXR_EDATA, "little-endian");
    assert_refused("protocol", other, sizeof other - 1, CXR_EDATA, "not a stream");
    assert_refused("plain pickle", "\x80\x02}.", 4, CXR_EDATA, "neither");
    assert_refused("zip", "PK\3\4", 4, CXR_EDATA, "zip");
    assert_refused("text", "hello, world", 12, CXR_EDATA, "neither");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(every_allocation_can_fail),
        cmocka_unit_test(bad_pickles),
        cmocka_unit_test(deep_and_many),
        cmocka_unit_test(tensors_in_bounds),
        cmocka_unit_test(tensors_out_of_bounds),
        cmocka_unit_test(damaged_tensors),
        cmocka_unit_test(storages_once_each),
        cmocka_unit_test(other_streams),
    };
    (void)unlink("/tmp/cxr-was-executed");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
