/* Features of images: those of PyTorch (fixtures/network.txt, float64), on every backend; and that to look at them changes no
 * probability. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/bf16.h"
#include "backend/tolerance.h"
#include "compare.h"
#include "data/png.h"
#include "eval/features.h"
#include "eval/pass.h"
#include "golden.h"
#include "model/model.h"

enum { SEED = 20240607, IMAGES_COUNT = 4, SIZE = 64, WIDTH = 512, KEY_PIXELS = 1 }; /* tools/golden/network.py */
#define GOLDEN_TOLERANCE 1e-5 /* of f32 storage between layers, as in test_ref_network.c */

static char *dir;
static cxr_model *model;
static cxr_golden *golden;
static cxr_error error;
static char paths[IMAGES_COUNT + 1][256]; /* the last one is no image */
static const char *const files[IMAGES_COUNT + 1] = {paths[0], paths[1], paths[2], paths[3], paths[4]};

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static void build(cxr_model **out, uint64_t seed)
{
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    o.preprocess.size = SIZE;
    must(cxr_model_build(out, &o, NULL, 2, &error));
    cxr_keyed_params(&(*out)->graph, (*out)->params, seed);
}

static int set_up(void **state)
{
    (void)state;
    static uint8_t pixels[IMAGES_COUNT * SIZE * SIZE];
    dir = scratch_new();
    build(&model, SEED);
    cxr_keyed_pixels(pixels, sizeof pixels, cxr_keyed(SEED, KEY_PIXELS));
    for (int i = 0; i < IMAGES_COUNT; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/%d.png", dir, i);
        png_write(paths[i], pixels + i * SIZE * SIZE, SIZE, SIZE, 1);
    }
    scratch_write(dir, "bad.png", "no image");
    (void)snprintf(paths[IMAGES_COUNT], sizeof paths[0], "%s/bad.png", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_model_close(&model);
    scratch_remove(dir);
    return 0;
}

static cxr_run_opts options(cxr_device device, cxr_precision precision)
{
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    o.device = device;
    o.precision = precision;
    o.batch_size = 3; /* and a smaller one */
    o.threads = 2;
    return o;
}

static void read_features(cxr_features *f, size_t count, cxr_device device, cxr_precision precision)
{
    const cxr_run_opts o = options(device, precision);
    must(cxr_features_of(f, model, files, count, true, &o, NULL, &error));
    assert_int_equal(f->count, count);
    assert_int_equal(f->width, WIDTH);
}

static void they_are_those_of_pytorch(void **state)
{
    (void)state;
    const size_t n = (size_t)IMAGES_COUNT * WIDTH;
    const float *want = cxr_golden_get(golden, CXR_SUMMARY, "eval.avgpool");
    assert_non_null(want);
    cxr_features ref, cpu;
    float got[CXR_SUMMARY];
    read_features(&ref, IMAGES_COUNT, CXR_DEVICE_REFERENCE, CXR_PRECISION_F32);
    cxr_summarize(ref.values, n, SEED, "avgpool", got);
    assert_true(cxr_summary_gap(got, want, n, 0.0).gap <= GOLDEN_TOLERANCE);
    for (int p = CXR_PRECISION_F32; p <= (bf16_here(CXR_INFER) ? CXR_PRECISION_BF16 : CXR_PRECISION_F32); p++) {
        read_features(&cpu, IMAGES_COUNT, CXR_DEVICE_CPU, (cxr_precision)p);
        const double share = p == CXR_PRECISION_F32 ? CXR_SHARE_F32 : CXR_SHARE_BF16;
        assert_true(cxr_share(cpu.values, ref.values, n) <= share);
        cxr_features_free(&cpu);
    }
    cxr_features_free(&ref);
}

/* ---- Beside probabilities ---- */

typedef struct answers {
    float p[IMAGES_COUNT][2], f[IMAGES_COUNT][2 * WIDTH];
    size_t width;
} answers;

static cxr_status keep(void *user, const cxr_seen *seen)
{
    answers *a = user;
    assert_int_equal(seen->outcome->status, CXR_OK);
    memcpy(a->p[seen->index], seen->probabilities, sizeof a->p[0]);
    if (seen->features != NULL) memcpy(a->f[seen->index], seen->features, a->width * sizeof(float));
    return CXR_OK;
}

static void pass(answers *a, const cxr_model *m, bool features, const cxr_run_opts *o)
{
    const cxr_pass want = {.probabilities = true, .features = features};
    a->width = (size_t)(m->next == NULL ? WIDTH : 2 * WIDTH);
    must(cxr_pass_over(m, files, IMAGES_COUNT, &want, o, NULL, keep, a, &error));
}

static void looking_at_them_changes_no_probability(void **state)
{
    (void)state;
    static answers with, without;
    for (int cpu = 0; cpu < 2; cpu++)
        for (int p = CXR_PRECISION_F32; p <= (cpu && bf16_here(CXR_INFER) ? CXR_PRECISION_BF16 : CXR_PRECISION_F32); p++) {
            const cxr_run_opts o = options(cpu ? CXR_DEVICE_CPU : CXR_DEVICE_REFERENCE, (cxr_precision)p);
            cxr_features alone;
            pass(&with, model, true, &o);
            pass(&without, model, false, &o);
            assert_memory_equal(with.p, without.p, sizeof with.p);
            must(cxr_features_of(&alone, model, files, IMAGES_COUNT, false, &o, NULL, &error));
            for (size_t i = 0; i < IMAGES_COUNT; i++)
                assert_memory_equal(with.f[i], alone.values + i * WIDTH, WIDTH * sizeof(float));
            cxr_features_free(&alone);
        }
}

static void those_of_joined_models_stand_in_turn(void **state)
{
    (void)state;
    static answers first, second, both;
    const cxr_run_opts o = options(CXR_DEVICE_REFERENCE, CXR_PRECISION_F32);
    cxr_model *joined, *other;
    build(&joined, SEED);
    build(&other, SEED + 1);
    pass(&first, joined, true, &o);
    pass(&second, other, true, &o);
    must(cxr_model_join(joined, &other, &error));
    pass(&both, joined, true, &o);
    for (size_t i = 0; i < IMAGES_COUNT; i++) {
        assert_memory_equal(both.f[i], first.f[i], WIDTH * sizeof(float));
        assert_memory_equal(both.f[i] + WIDTH, second.f[i], WIDTH * sizeof(float));
        assert_true(both.p[i][0] == (first.p[i][0] + second.p[i][0]) / 2.0f);
    }
    cxr_features f;
    assert_int_equal(cxr_features_of(&f, joined, files, 1, false, &o, NULL, &error), CXR_EUSAGE);
    assert_string_equal(error.text, "several models joined have no features of their own");
    cxr_features_free(&f);
    cxr_model_close(&joined);
}

static void an_unreadable_image_has_none(void **state)
{
    (void)state;
    cxr_features f;
    read_features(&f, IMAGES_COUNT + 1, CXR_DEVICE_CPU, CXR_PRECISION_F32);
    for (size_t i = 0; i <= IMAGES_COUNT; i++) assert_int_equal(f.read[i], i < IMAGES_COUNT);
    for (size_t i = 0; i < WIDTH; i++) assert_true(f.values[IMAGES_COUNT * WIDTH + i] == 0.0f);
    cxr_features_free(&f);
    const cxr_run_opts o = options(CXR_DEVICE_CPU, CXR_PRECISION_F32);
    assert_int_equal(cxr_features_of(&f, model, files, IMAGES_COUNT + 1, false, &o, NULL, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "bad.png"));
    cxr_features_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_those_of_pytorch),
        cmocka_unit_test(looking_at_them_changes_no_probability),
        cmocka_unit_test(those_of_joined_models_stand_in_turn),
        cmocka_unit_test(an_unreadable_image_has_none),
    };
    golden = cxr_golden_open(FIXTURES "/network.txt");
    if (golden == NULL) return CXR_SKIP;
    const int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    cxr_golden_close(&golden);
    return failed;
}
