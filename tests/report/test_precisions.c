/* What a precision costs in the end: phantoms learned in f32 and in bf16, and the f32 model read in every precision. A small
 * network input and few images, so the floors are generous; a precision that broke training or reading would be at chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/bf16.h"
#include "model/model.h"
#include "train/toy.h"
#include <math.h>

/* Of 80 test images, half of each class: f32 was seen at 0.95, bf16 at 0.94. */
#define FLOOR 0.8
/* Between two readings of one model: two images near the threshold, and pairs of images ranked otherwise. */
#define SAME_DECISIONS 0.97
#define SAME_AUROC     0.01

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(toy_root) == NULL) return 1;
    cxr_phantom_opts o;
    cxr_phantom_opts_default(&o);
    o.out = toy_path("data");
    o.train = 300;
    o.val = 20;
    o.test = 40;
    o.size = 64;
    o.seed = 3;
    return cxr_phantom(&o, &error) != CXR_OK;
}

static int tear_down(void **state)
{
    (void)state;
    toy_remove();
    return 0;
}

/* The demonstration's recipe, smaller and without random transforms; returns the path of the best model. */
static const char *learn(const char *out, cxr_precision precision)
{
    static char path[256];
    cxr_train_opts o = toy_training(out, "none", 5);
    o.preprocess.size = 48;
    o.augment = (cxr_augment){0};
    o.head_count = 0;
    o.batch_size = 16;
    o.optimizer = CXR_ADAMW;
    o.schedule = CXR_ONECYCLE;
    o.lr = 2e-3f;
    o.precision = precision;
    o.checkpoint_seconds = 1e9;
    must(cxr_train(&o, NULL, NULL, &error));
    (void)snprintf(path, sizeof path, "%s/weights/best.safetensors", toy_path(out));
    return path;
}

static double figure(const cxr_metrics *m, const char *name)
{
    for (int i = 0; i < CXR_METRICS; i++)
        if (strcmp(m->names[i], name) == 0) return m->value[i];
    fail_msg("no figure %s", name);
    return (double)NAN;
}

/* Reads the test split; NULL where this processor lacks the precision. */
static cxr_metrics *evaluate(const char *path, cxr_precision precision)
{
    cxr_model *model = NULL;
    cxr_metrics *m = NULL;
    cxr_evaluate_opts o;
    cxr_evaluate_opts_default(&o);
    o.data = toy_path("data");
    o.split = "test";
    o.run.threads = 1;
    o.run.batch_size = 32; /* 80 images: the last batch is smaller */
    o.run.precision = precision;
    must(cxr_model_open(&model, path, &error));
    const cxr_status st = cxr_evaluate(model, &o, NULL, &m, &error);
    if (st != CXR_EUNAVAILABLE) must(st);
    cxr_model_close(&model);
    return m;
}

static void check_floor(const char *what, const cxr_metrics *m)
{
    print_message("%s: accuracy %.4f, AUROC %.4f\n", what, figure(m, "accuracy"), figure(m, "auroc"));
    if (!(figure(m, "accuracy") >= FLOOR)) fail_msg("%s: accuracy %.3f", what, figure(m, "accuracy"));
}

static void check_same(const char *what, const char *path, cxr_precision precision, const cxr_metrics *f32)
{
    cxr_metrics *m = evaluate(path, precision);
    if (m == NULL) return;
    check_floor(what, m);
    const double decisions = fabs(figure(m, "accuracy") - figure(f32, "accuracy"));
    const double auroc = fabs(figure(m, "auroc") - figure(f32, "auroc"));
    if (!(decisions <= 1.0 - SAME_DECISIONS && auroc <= SAME_AUROC))
        fail_msg("%s: accuracy off by %.4f, AUROC by %.4f", what, decisions, auroc);
    cxr_metrics_free(&m);
}

static void one_model_in_every_precision(void **state)
{
    (void)state;
    const char *path = learn("f32", CXR_PRECISION_F32);
    cxr_metrics *f32 = evaluate(path, CXR_PRECISION_F32);
    assert_non_null(f32);
    check_floor("f32", f32);
    check_same("f32 read in bf16", path, CXR_PRECISION_BF16, f32);
    check_same("f32 read in auto", path, CXR_PRECISION_AUTO, f32);
    cxr_model *model = NULL;
    cxr_quantize_opts q;
    cxr_quantize_opts_default(&q);
    q.data = toy_path("data");
    q.out = toy_path("int8.safetensors");
    q.images = 64;
    q.max_loss = SAME_AUROC;
    must(cxr_model_open(&model, path, &error));
    const cxr_status st = cxr_quantize(model, &q, NULL, NULL, &error);
    if (st != CXR_EUNAVAILABLE) must(st);
    if (st == CXR_OK) check_same("f32 read in int8", q.out, CXR_PRECISION_INT8, f32);
    cxr_model_close(&model);
    cxr_metrics_free(&f32);
}

static void learned_in_bf16(void **state)
{
    (void)state;
    if (!bf16_here(CXR_TRAIN)) return;
    cxr_metrics *m = evaluate(learn("bf16", CXR_PRECISION_BF16), CXR_PRECISION_F32);
    assert_non_null(m);
    check_floor("learned in bf16", m);
    cxr_metrics_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_model_in_every_precision),
        cmocka_unit_test(learned_in_bf16),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
