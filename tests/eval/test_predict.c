/* Prediction from several views of each image: the mean of what the views give by themselves, whatever the batches. */
#include "base/rng.h"
#include "compare.h"
#include "data/png.h"
#include "data/scratch.h"
#include "data/tta.h"
#include "eval/predict.h"
#include "model/model.h"

enum { IMAGES = 2, SIZE = 32, CLASSES = 3, VIEWS = 12 };

static char *dir;
static cxr_model *model;
static cxr_error error;
static char paths[IMAGES][256];

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

/* Blots, unlike in every corner. */
static void draw(cxr_image *img, int i)
{
    must(cxr_image_new(img, 50 + 10 * i, 61, &error));
    for (int y = 0; y < img->height; y++)
        for (int x = 0; x < img->width; x++)
            img->pixels[y * img->width + x] =
                (uint8_t)(cxr_rng_u64(cxr_rng_key(4, CXR_FOR_TEST, (uint64_t)i, 0), (uint64_t)(y / 9 * 64 + x / 11)) % 256);
}

static int set_up(void **state)
{
    (void)state;
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    o.preprocess.size = SIZE;
    o.head[0] = 16;
    o.head_count = 1;
    dir = scratch_new();
    must(cxr_model_build(&model, &o, NULL, CLASSES, &error));
    for (int i = 0; i < IMAGES; i++) {
        cxr_image img;
        draw(&img, i);
        (void)snprintf(paths[i], sizeof paths[i], "%s/%d.png", dir, i);
        png_write(paths[i], img.pixels, img.width, img.height, 1);
        cxr_image_free(&img);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_model_close(&model);
    scratch_remove(dir);
    return 0;
}

typedef struct outcomes {
    float p[VIEWS][CLASSES];
    cxr_status status[VIEWS];
    size_t count;
} outcomes;

static cxr_status collect(void *user, size_t index, const cxr_error *outcome, const float *probabilities)
{
    outcomes *o = user;
    assert_int_equal(index, o->count++);
    o->status[index] = outcome->status;
    if (outcome->status == CXR_OK) memcpy(o->p[index], probabilities, sizeof o->p[index]);
    return CXR_OK;
}

static void predict(outcomes *out, const char *const *files, size_t count, cxr_tta tta, int batch, cxr_device device)
{
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    o.tta = tta;
    o.batch_size = batch;
    o.device = device;
    o.threads = 2;
    *out = (outcomes){0};
    must(cxr_predict_paths(model, files, count, &o, NULL, collect, out, &error));
    assert_int_equal(out->count, count);
}

/* What each view of an image gives by itself, as a file. */
static void predict_views(outcomes *out, int image, const cxr_squares *views)
{
    static char names[VIEWS][256];
    const char *files[VIEWS];
    uint8_t pixels[VIEWS * SIZE * SIZE];
    cxr_image img;
    draw(&img, image);
    must(views->make(pixels, &img, &model->preprocess, 0, &error));
    cxr_image_free(&img);
    for (int v = 0; v < views->count; v++) {
        (void)snprintf(names[v], sizeof names[v], "%s/view%d.png", dir, v);
        files[v] = names[v];
        png_write(files[v], pixels + v * SIZE * SIZE, SIZE, SIZE, 1);
    }
    predict(out, files, (size_t)views->count, CXR_TTA_NONE, VIEWS, CXR_DEVICE_REFERENCE);
}

static void the_mean_over_the_views_is_predicted(void **state)
{
    (void)state;
    const char *const files[IMAGES] = {paths[0], paths[1]};
    for (cxr_tta tta = CXR_TTA_NONE; tta <= CXR_TTA_CROPS; tta++) {
        const cxr_squares *views = cxr_tta_squares(tta);
        outcomes got, each;
        predict(&got, files, IMAGES, tta, 64, CXR_DEVICE_REFERENCE);
        for (int i = 0; i < IMAGES; i++) {
            predict_views(&each, i, views);
            for (int c = 0; c < CLASSES; c++) {
                double sum = 0.0;
                for (int v = 0; v < views->count; v++) sum += (double)each.p[v][c];
                assert_true(got.p[i][c] == (float)(sum / views->count)); /* the reference computes each row by itself */
            }
            for (int v = 1; v < views->count; v++) assert_false(cxr_close((double)each.p[v][0], (double)each.p[0][0], 1e-5, 0));
        }
    }
}

static void batches_change_nothing(void **state)
{
    (void)state;
    const char *const files[IMAGES] = {paths[0], paths[1]};
    static const int batches[] = {1, 11, 12}; /* an image at a time, however small the batch; two */
    outcomes want, got;
    predict(&want, files, IMAGES, CXR_TTA_SCALES, 64, CXR_DEVICE_REFERENCE);
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
        predict(&got, files, IMAGES, CXR_TTA_SCALES, batches[b], CXR_DEVICE_REFERENCE);
        assert_memory_equal(got.p, want.p, sizeof got.p);
        predict(&got, files, IMAGES, CXR_TTA_SCALES, batches[b], CXR_DEVICE_CPU);
        for (int i = 0; i < IMAGES * CLASSES; i++) /* kernels differ by batch, in f32 rounding */
            assert_true(cxr_close((double)got.p[i / CLASSES][i % CLASSES], (double)want.p[i / CLASSES][i % CLASSES], 1e-4, 0));
    }
}

static void an_unreadable_image_has_no_part_in_its_neighbours(void **state)
{
    (void)state;
    scratch_write(dir, "bad.png", "no image");
    char bad[256];
    (void)snprintf(bad, sizeof bad, "%s/bad.png", dir);
    const char *const good[2] = {paths[0], paths[1]}, *const mixed[3] = {paths[0], bad, paths[1]};
    outcomes want, got;
    predict(&want, good, 2, CXR_TTA_FLIP, 64, CXR_DEVICE_REFERENCE);
    predict(&got, mixed, 3, CXR_TTA_FLIP, 64, CXR_DEVICE_REFERENCE);
    assert_int_equal(got.status[1], CXR_EDATA);
    assert_memory_equal(got.p[0], want.p[0], sizeof want.p[0]);
    assert_memory_equal(got.p[2], want.p[1], sizeof want.p[1]);
}

static void views_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    const char *const files[1] = {paths[0]};
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    assert_int_equal(o.tta, CXR_TTA_NONE);
    o.tta = (cxr_tta)4;
    assert_int_equal(cxr_predict_paths(model, files, 1, &o, NULL, collect, NULL, &error), CXR_EUSAGE);
    assert_string_equal(error.text, "test-time augmentation has no value 4");
    o.tta = CXR_TTA_FLIP;
    assert_int_equal(cxr_predict_perturbed(model, files, 1, &o, NULL, collect, NULL, &error), CXR_EUSAGE);
    assert_string_equal(error.text, "perturbed images are predicted from one view each: no test-time augmentation");
    o.tta = (cxr_tta)-1;
    assert_int_equal(cxr_predict_paths(model, files, 1, &o, NULL, collect, NULL, &error), CXR_EUSAGE);
}

static void every_allocation_can_fail(void **state)
{
    (void)state;
    const cxr_squares *views = cxr_tta_squares(CXR_TTA_CROPS);
    uint8_t pixels[VIEWS * SIZE * SIZE];
    cxr_image img;
    draw(&img, 0);
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_mem_fail_at(n);
        const cxr_status st = views->make(pixels, &img, &model->preprocess, 0, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
    }
    cxr_image_free(&img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_over_the_views_is_predicted),
        cmocka_unit_test(batches_change_nothing),
        cmocka_unit_test(an_unreadable_image_has_no_part_in_its_neighbours),
        cmocka_unit_test(views_that_make_no_sense_are_refused),
        cmocka_unit_test(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
