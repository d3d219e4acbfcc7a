/* Learning from teachers: what they say of a batch, what a run makes of it, across a stop as well, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compare.h"
#include "golden.h"
#include "toy.h"
#include "train/teachers.h"
#include "train/trainer.h"
#include <math.h>

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

/* Writes an untrained model of the toy's input size `size`; its file's path. */
static const char *write_model(const char *name, uint64_t seed, int size, const char *first, const char *second)
{
    cxr_train_opts o = toy_training("unused", "none", 1);
    cxr_model *m = NULL;
    o.seed = seed;
    o.preprocess.size = size;
    must(cxr_model_build(&m, &o, (const char *const[]){first, second}, 2, &error));
    must(cxr_model_write(m, toy_path(name), NULL, 0, NULL, 0, &error));
    cxr_model_close(&m);
    return toy_path(name);
}

static cxr_train_opts student(const char *out, const char *teacher)
{
    cxr_train_opts o = toy_training(out, "layer3", 2);
    o.teachers[o.teacher_count++] = teacher;
    return o;
}

static cxr_model *open_model(const char *path)
{
    cxr_model *m = NULL;
    must(cxr_model_open(&m, path, &error));
    return m;
}

static void same_parameters(const char *a, const char *b)
{
    cxr_model *x = open_model(toy_path(a)), *y = open_model(toy_path(b));
    assert_memory_equal(x->params, y->params, x->graph.float_count * sizeof(float));
    cxr_model_close(&x);
    cxr_model_close(&y);
}

/* One teacher's softened probabilities of the images, by its own program. */
static void soften(const char *path, const cxr_tensor *pixels, int n, double temperature, double *out)
{
    const cxr_backend *b = &cxr_backend_reference;
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = n, .threads = 1};
    cxr_model *m = open_model(path);
    cxr_program *p = NULL;
    const cxr_tensor *logits = NULL;
    float x[8];
    must(b->compile(&p, &m->graph, 1, m->graph.node_count - 2, m->params, &o, &error)); /* without the log-softmax */
    must(b->forward(p, pixels, 0, &logits, &error));
    must(b->tensor_read(logits, x, &error));
    for (int i = 0; i < n; i++) {
        out[2 * i] = 1.0 / (1.0 + exp(((double)x[2 * i + 1] - (double)x[2 * i]) / temperature));
        out[2 * i + 1] = 1.0 - out[2 * i];
    }
    b->close(&p);
    cxr_model_close(&m);
}

static void teachers_say_the_mean_of_their_softened_probabilities(void **state)
{
    (void)state;
    const cxr_backend *b = &cxr_backend_reference;
    const cxr_loss loss = {.classes = 2, .distil = 0.5f, .temperature = 3};
    cxr_train_opts o = student("unused", write_model("one.safetensors", 5, 32, "A", "B"));
    o.teachers[o.teacher_count++] = write_model("two.safetensors", 6, 32, "A", "B");
    cxr_model *pupil = open_model(o.teachers[0]);
    cxr_teachers *t = NULL;
    cxr_tensor *pixels = NULL;
    uint8_t host[3 * 32 * 32];
    cxr_keyed_pixels(host, sizeof host, 7);
    must(b->tensor_new(&pixels, CXR_U8, 4, pupil->graph.nodes[0].shape, &error));
    must(b->tensor_write(pixels, 3, host, &error));
    must(cxr_teachers_open(&t, &o, pupil, &loss, b, 4, 1, &error));
    must(cxr_teachers_resize(t, pupil->preprocess.size, &error));
    double one[6], two[6];
    soften(o.teachers[0], pixels, 3, 3.0, one);
    soften(o.teachers[1], pixels, 3, 3.0, two);
    for (int again = 0; again < 2; again++) {
        const float *soft = NULL;
        must(cxr_teachers_ask(t, pixels, 3, &soft, &error));
        for (int i = 0; i < 6; i++) /* f32 rounding of ten layers; the two teachers are 1e-3 or more apart */
            assert_true(cxr_close((double)soft[i], 0.5 * (one[i] + two[i]), 1e-6, 0.0));
    }
    assert_true(fabs(one[0] - two[0]) > 1e-3);
    cxr_teachers_close(&t);
    b->tensor_free(&pixels);
    cxr_model_close(&pupil);
}

/* With no share of the loss, teachers change no bit of what is learned; with all of it, how the labels are smoothed does not. */
static void the_share_decides_who_is_listened_to(void **state)
{
    (void)state;
    cxr_train_opts o = toy_training("alone", "layer3", 1);
    must(cxr_train(&o, NULL, NULL, &error));
    static const char *const names[] = {"deaf", "devout", "smoothed"};
    for (int i = 0; i < 3; i++) {
        o = student(names[i], toy_path("one.safetensors"));
        o.epochs = 1;
        o.distil = i == 0 ? 0.0f : 1.0f;
        o.label_smoothing = i == 2 ? 0.4f : 0.0f;
        must(cxr_train(&o, NULL, NULL, &error));
    }
    same_parameters("alone/weights/last.safetensors", "deaf/weights/last.safetensors");
    same_parameters("devout/weights/last.safetensors", "smoothed/weights/last.safetensors");
}

static int steps_left;

static void count_step(void *user, const cxr_progress *p)
{
    (void)user;
    (void)p;
    steps_left--;
}

static bool enough(void *user)
{
    (void)user;
    return steps_left <= 0;
}

static cxr_status train_some(const cxr_train_opts *o, int steps)
{
    const cxr_hooks hooks = {.progress = count_step, .should_stop = enough};
    steps_left = steps;
    return cxr_train(o, &hooks, NULL, &error);
}

/* On mixed batches, from another folder, and only with the same teachers. */
static void a_distilled_run_resumes_bit_for_bit(void **state)
{
    (void)state;
    const char *teacher = write_model("changing.safetensors", 5, 32, "A", "B");
    cxr_train_opts o = student("run", teacher);
    o.mixup = 0.3f;
    must(cxr_train(&o, NULL, NULL, &error));
    assert_int_equal(rename(toy_path("run"), toy_path("whole")), 0);
    char here[512];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(toy_root), 0);
    o.teachers[0] = "changing.safetensors";
    assert_int_equal(train_some(&o, 8), CXR_ESTOPPED);
    assert_int_equal(chdir(here), 0);

    (void)write_model("changing.safetensors", 6, 32, "A", "B");
    assert_int_equal(cxr_resume(toy_path("run"), 0, NULL, NULL, &error), CXR_EDATA);
    assert_non_null(strstr(error.text, "teacher"));
    (void)write_model("changing.safetensors", 5, 32, "A", "B");
    must(cxr_resume(toy_path("run"), 0, NULL, NULL, &error));
    same_parameters("whole/weights/last.safetensors", "run/weights/last.safetensors");
    same_parameters("whole/weights/best.safetensors", "run/weights/best.safetensors");
}

static void other_teachers_are_refused(void **state)
{
    (void)state;
    cxr_train_opts o = student("refused", write_model("turned.safetensors", 5, 32, "B", "A"));
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EDATA);
    assert_true(strstr(error.text, "turned.safetensors") != NULL && strstr(error.text, "B, A") != NULL &&
                strstr(error.text, "A, B") != NULL);
    o = student("refused", write_model("large.safetensors", 5, 64, "A", "B"));
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EDATA);
    assert_true(strstr(error.text, "large.safetensors") != NULL && strstr(error.text, "64") != NULL);
    o = student("refused", toy_path("nowhere.safetensors"));
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_ENOINPUT);
    o = student("refused", toy_path("one.safetensors"));
    o.cache_features = 2;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    assert_non_null(strstr(error.text, "teachers"));
    o = student("refused", toy_path("one.safetensors"));
    o.distil = 1.5f;
    assert_int_equal(cxr_train(&o, NULL, NULL, &error), CXR_EUSAGE);
    assert_false(cxr_path_exists(toy_path("refused")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(teachers_say_the_mean_of_their_softened_probabilities),
        cmocka_unit_test(the_share_decides_who_is_listened_to),
        cmocka_unit_test(a_distilled_run_resumes_bit_for_bit),
        cmocka_unit_test(other_teachers_are_refused),
    };
    if (!toy_create()) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_remove();
    return failed;
}
