/* Halves: rounding as IEEE 754 says, and model files that hold them. */
#include "base/mem.h"
#include "model/expected.h"
#include "model/model.h"
#include <math.h>

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float half_value(uint16_t h)
{
    float x;
    const uint8_t bytes[2] = {(uint8_t)h, (uint8_t)(h >> 8)};
    assert_int_equal(cxr_elements_read(&x, bytes, CXR_ELEMENT_F16, 1), 1);
    return x;
}

/* numpy.float16(x) for normal, subnormal and tied numbers, both bit for bit. */
static void rounds_as_numpy(void **state)
{
    (void)state;
    static const struct {
        uint32_t from;
        uint16_t to;
    } known[] = {{0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x3F800000, 0x3C00}, {0x3EAAAAAB, 0x3555}, {0xC02DF854, 0xC170},
                 {0x477FE000, 0x7BFF}, {0x477FEFFF, 0x7BFF}, {0x38800000, 0x0400}, {0x387FE000, 0x0400}, {0x33800000, 0x0001},
                 {0x33000000, 0x0000}, {0x33000001, 0x0001}, {0x322BCC77, 0x0000}, {0x387FDA40, 0x03FF}, {0x380000FC, 0x0200},
                 {0x3F801000, 0x3C00}, {0x3F803000, 0x3C02}, {0x3F801001, 0x3C01}, {0x3DCCCCCD, 0x2E66}, {0x449A522B, 0x64D3}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal(cxr_half(float_of(known[i].from)), known[i].to);
    assert_int_equal(cxr_half(65520.0f), 0x7C00);
    assert_int_equal(cxr_half(-1e30f), 0xFC00);
}

/* Every half is itself; what lies halfway to the next goes to the even one, what lies off it to the nearer one. */
static void every_half_and_the_ties_between(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x7C00; h++) {
        const float low = half_value((uint16_t)h), high = h + 1 < 0x7C00 ? half_value((uint16_t)(h + 1)) : 65536.0f;
        const float middle = low + (high - low) / 2; /* exact: a half has 13 bits fewer */
        assert_int_equal(cxr_half(low), h);
        assert_int_equal(cxr_half(-low), h | 0x8000u);
        assert_int_equal(cxr_half(middle), h % 2 == 0 ? h : h + 1);
        assert_int_equal(cxr_half(nextafterf(middle, 0.0f)), h);
        assert_int_equal(cxr_half(nextafterf(middle, INFINITY)), h + 1);
    }
}

static cxr_model *build(void)
{
    cxr_train_opts o;
    cxr_model *m = NULL;
    cxr_train_opts_default(&o);
    o.head_count = 0;
    o.preprocess.size = 32;
    assert_int_equal(cxr_model_build(&m, &o, NULL, 2, NULL), CXR_OK);
    m->threshold = 0.375;
    m->receipt = cxr_mem_strdup("{\"args\":{\"data\":\"/home/me/x\",\"lr\":0.1,\"teachers\":[\"a/b.st\",\"c\"],\"out\":null}}");
    return m;
}

static size_t size_of(const char *path)
{
    cxr_buf file;
    assert_int_equal(cxr_buf_read(&file, path, 1u << 28, NULL), CXR_OK);
    const size_t len = file.len;
    cxr_buf_free(&file);
    return len;
}

static void a_saved_model_has_rounded_weights_and_all_else(void **state)
{
    (void)state;
    cxr_model *m = build(), *back = NULL;
    cxr_error err = {0};
    if (cxr_model_save(m, in_scratch("half"), true, &err) != CXR_OK) fail_msg("%s", err.text);
    assert_int_equal(cxr_model_save(m, in_scratch("full"), false, &err), CXR_OK);
    if (cxr_model_open(&back, in_scratch("half"), &err) != CXR_OK) fail_msg("%s", err.text);
    for (int i = 0; i < m->graph.param_count; i++) {
        const cxr_param *p = &m->graph.params[i];
        for (size_t k = p->offset; k < p->offset + p->count; k++)
            assert_true(back->params[k] == (p->rank > 1 ? half_value(cxr_half(m->params[k])) : m->params[k]));
    }
    assert_string_equal(back->receipt,
                        "{\"args\":{\"data\":\"x\",\"lr\":0.10000000000000001,\"teachers\":[\"b.st\",\"c\"],\"out\":null}}");
    assert_true(back->threshold == 0.375 && back->preprocess.size == 32);
    assert_true(size_of(in_scratch("half")) < size_of(in_scratch("full")) * 51 / 100);
    cxr_model_close(&back);
    assert_int_equal(cxr_model_open(&back, in_scratch("full"), NULL), CXR_OK);
    for (size_t k = 0; k < m->graph.float_count; k++) assert_true(back->params[k] == m->params[k]);
    cxr_model_close(&back);
    cxr_model_close(&m);
}

static void what_no_half_holds_is_not_written(void **state)
{
    (void)state;
    cxr_model *m = build();
    cxr_error err = {0};
    m->params[m->graph.params[0].offset + 5] = -65520.0f;
    assert_int_equal(cxr_model_save(m, in_scratch("half"), true, &err), CXR_EDATA);
    assert_non_null(strstr(err.text, "-65520 in tensor conv1.weight at index 5 is too large for f16"));
    assert_int_equal(files_in_scratch(), 0);
    assert_int_equal(cxr_model_save(m, in_scratch("full"), false, &err), CXR_OK);
    cxr_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_as_numpy),
        cmocka_unit_test(every_half_and_the_ties_between),
        cmocka_unit_test_setup_teardown(a_saved_model_has_rounded_weights_and_all_else, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(what_no_half_holds_is_not_written, scratch_open, scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
