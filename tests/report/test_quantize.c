/* cxr quantize as a library call: the file it leaves, what is equal before and after, and what it refuses to write. The data
 * are toys; on a processor without 8-bit kernels only the refusal is tested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "eval/ranges.h"
#include "model/model.h"
#include "train/toy.h"
#include <math.h>

static cxr_error error;
static cxr_model *model;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static cxr_quantize_opts quantize_opts(const char *data, const char *out)
{
    cxr_quantize_opts o;
    cxr_quantize_opts_default(&o);
    o.data = toy_path(data);
    o.out = toy_path(out);
    o.images = 20;
    o.run.threads = 1;
    o.run.batch_size = 8;
    return o;
}

/* Quantises; false where the processor cannot. */
static bool quantize(const cxr_quantize_opts *o, cxr_quantize_report *r)
{
    const cxr_status st = cxr_quantize(model, o, NULL, r, &error);
    if (st == CXR_EUNAVAILABLE) assert_false(cxr_path_exists(o->out));
    if (st != CXR_EUNAVAILABLE) must(st);
    return st == CXR_OK;
}

static bool flat(const char *path, int grey)
{
    cxr_image img;
    if (cxr_image_new(&img, 40, 40, NULL) != CXR_OK) return false;
    memset(img.pixels, grey, 40 * 40);
    const bool ok = cxr_image_write_jpeg(&img, path, 90, NULL) == CXR_OK;
    cxr_image_free(&img);
    return ok;
}

/* "dull": images of nothing but one grey to calibrate with, the toy's in validation. */
static bool dull_create(int grey)
{
    bool ok = true;
    for (int label = 0; label < 2 && ok; label++)
        for (int split = 0; split < 2 && ok; split++) {
            char name[64];
            (void)snprintf(name, sizeof name, "dull/%s/%c", split == 0 ? "train" : "val", 'A' + label);
            ok = cxr_make_folders(toy_path(name), NULL) == CXR_OK;
            for (int i = 0; i < (split == 0 ? 2 : 16) && ok; i++) {
                (void)snprintf(name, sizeof name, "dull/%s/%c/%d.jpeg", split == 0 ? "train" : "val", 'A' + label, i);
                ok = split == 0
                         ? flat(toy_path(name), grey)
                         : toy_image(toy_path(name), label, cxr_rng_key(9, CXR_FOR_TEST, 7, (uint64_t)(label * 100 + i)));
            }
        }
    return ok;
}

static int set_up(void **state)
{
    (void)state;
    if (!toy_create()) return 1;
    cxr_train_opts o = toy_training("run", "none", 3);
    o.augment = (cxr_augment){0};
    must(cxr_train(&o, NULL, NULL, &error));
    must(cxr_model_open(&model, toy_path("run/weights/best.safetensors"), &error));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_model_close(&model);
    toy_remove();
    return 0;
}

/* The file opens, holds the same weights and the ranges, and evaluates in 8 bits to the figure that was reported. */
static void test_writes(void **state)
{
    (void)state;
    const cxr_quantize_opts o = quantize_opts("data", "int8.safetensors");
    cxr_quantize_report r;
    if (!quantize(&o, &r)) return;
    assert_int_equal(r.calibrated, 20);
    assert_true(r.n >= 2 && r.same <= r.n);
    assert_true(r.auroc_f32 - r.auroc_int8 <= o.max_loss);
    assert_true(r.largest <= 5e-2);
    cxr_model *back = NULL;
    must(cxr_model_open(&back, o.out, &error));
    assert_int_equal(back->graph.float_count, model->graph.float_count);
    assert_memory_equal(back->params, model->params, model->graph.float_count * sizeof(float));
    for (int i = 0; i < back->graph.node_count; i++) assert_true(back->graph.nodes[i].peak == model->graph.nodes[i].peak);
    cxr_evaluate_opts e;
    cxr_metrics *m = NULL;
    cxr_evaluate_opts_default(&e);
    e.data = o.data;
    e.split = "val";
    e.split_file = toy_path("run/split.csv");
    e.run = o.run;
    e.run.precision = CXR_PRECISION_INT8;
    must(cxr_evaluate(back, &e, NULL, &m, &error));
    assert_string_equal(m->names[7], "auroc");
    assert_true(m->value[7] == r.auroc_int8);
    assert_int_equal(m->n, r.n);
    cxr_metrics_free(&m);
    cxr_model_close(&back);
}

/* The same images give the same ranges, bit for bit; other images others. */
static void test_repeats(void **state)
{
    (void)state;
    cxr_quantize_opts o = quantize_opts("data", "a.safetensors");
    char first[65], again[65], other[65];
    if (!quantize(&o, NULL)) return;
    must(cxr_sha256_file(o.out, first, &error));
    assert_true(quantize(&o, NULL));
    must(cxr_sha256_file(o.out, again, &error));
    o.seed = 2;
    assert_true(quantize(&o, NULL));
    must(cxr_sha256_file(o.out, other, &error));
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

/* Ranges of images without a shape, near the mean grey, clip whatever is in the others. How near depends on what the toy has
 * taught the network: the first grey that loses is taken. */
static void test_refuses_a_loss(void **state)
{
    (void)state;
    cxr_quantize_opts o;
    cxr_quantize_report r;
    cxr_status st = CXR_OK;
    for (int grey = 112; st == CXR_OK && grey <= 152; grey += 4) {
        assert_true(dull_create(grey));
        o = quantize_opts("dull", "dull.safetensors");
        (void)unlink(o.out);
        st = cxr_quantize(model, &o, NULL, &r, &error);
    }
    assert_false(cxr_path_exists(o.out));
    if (st == CXR_EUNAVAILABLE) return;
    assert_int_equal(st, CXR_EDATA);
    assert_non_null(strstr(error.text, "of the area under the ROC curve on validation"));
    assert_non_null(strstr(error.text, "dull.safetensors"));
    assert_true(r.n == 32 && r.auroc_f32 - r.auroc_int8 > o.max_loss);
    o.max_loss = 1.0;
    must(cxr_quantize(model, &o, NULL, &r, &error));
    assert_true(cxr_path_exists(o.out));
}

static void test_refuses_options(void **state)
{
    (void)state;
    cxr_quantize_opts bad[6];
    for (int i = 0; i < 6; i++) bad[i] = quantize_opts("data", "no.safetensors");
    bad[0].data = NULL;
    bad[1].out = NULL;
    bad[2].images = 0;
    bad[3].images = 65537;
    bad[4].max_loss = -0.1;
    bad[5].max_loss = (double)NAN;
    for (int i = 0; i < 6; i++) {
        error = (cxr_error){0};
        assert_int_equal(cxr_quantize(model, &bad[i], NULL, NULL, &error), CXR_EUSAGE);
        assert_true(error.text[0] != '\0');
    }
    assert_false(cxr_path_exists(toy_path("no.safetensors")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_refuses_a_loss),
        cmocka_unit_test(test_refuses_options),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
