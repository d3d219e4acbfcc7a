/* Models joined: their mean, their threshold, and what cannot be joined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "compare.h"
#include "model/model.h"
#include "train/toy.h"
#include <math.h>

#define IMAGES 10

static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static cxr_model *untrained(uint64_t seed, const char *arch, int size, const char *first, double threshold)
{
    cxr_train_opts o = toy_training("unused", "none", 1);
    cxr_model *m = NULL;
    o.seed = seed;
    o.arch = arch;
    o.preprocess.size = size;
    must(cxr_model_build(&m, &o, (const char *const[]){first, "B"}, 2, &error));
    m->threshold = threshold;
    return m;
}

typedef struct sink {
    int n, predicted[IMAGES];
    float p[IMAGES];
} sink;

static void keep(void *user, const cxr_prediction *p)
{
    sink *s = user;
    s->predicted[s->n] = p->predicted;
    s->p[s->n++] = p->probabilities[1];
}

static sink predict(const cxr_model *m)
{
    sink s = {0};
    cxr_run_opts o;
    cxr_run_opts_default(&o);
    o.threads = 1;
    o.batch_size = 4;
    const char *folder = toy_path("data/test");
    must(cxr_predict(m, &folder, 1, &o, NULL, keep, &s, &error));
    assert_int_equal(s.n, IMAGES);
    return s;
}

static void joined_models_give_their_mean(void **state)
{
    (void)state;
    cxr_model *members[3] = {untrained(1, "resnet18", 32, "A", 0.5), untrained(2, "resnet34", 32, "A", 0.6),
                             untrained(3, "resnet18", 32, "A", 0.1)};
    members[1]->temperature = 2;
    for (int i = 0; i < 3; i++) members[i]->rule_out = 0.1 * i; /* and none has the other */
    sink alone[3];
    for (int i = 0; i < 3; i++) alone[i] = predict(members[i]);
    must(cxr_model_join(members[1], &members[2], &error)); /* two joined join a third */
    must(cxr_model_join(members[0], &members[1], &error));
    assert_true(members[1] == NULL && members[2] == NULL);
    assert_true(cxr_close(cxr_model_threshold(members[0]), (0.5 + 0.6 + 0.1) / 3, 1e-15, 0));
    assert_true(cxr_close(members[0]->rule_out, 0.1, 1e-15, 0) && isnan(members[0]->rule_in));
    const sink all = predict(members[0]);
    double apart = 0;
    for (int i = 0; i < IMAGES; i++) {
        const double mean = ((double)alone[0].p[i] + (double)alone[1].p[i] + (double)alone[2].p[i]) / 3;
        assert_true(cxr_close((double)all.p[i], mean, 1e-7, 0)); /* f32 sums of three */
        assert_int_equal(all.predicted[i], mean >= 0.4);
        apart = fmax(apart, fabs((double)alone[0].p[i] - mean));
    }
    assert_true(apart > 1e-3);
    assert_int_equal(cxr_model_write(members[0], toy_path("all.safetensors"), NULL, 0, NULL, 0, &error), CXR_EUSAGE);
    cxr_model_close(&members[0]);
}

static void others_are_not_joined(void **state)
{
    (void)state;
    cxr_model *m = untrained(1, "resnet18", 32, "A", 0.5);
    cxr_model *const others[] = {untrained(1, "resnet18", 64, "A", 0.5), untrained(1, "resnet18", 32, "C", 0.5)};
    for (int i = 0; i < 2; i++) {
        cxr_model *other = others[i];
        assert_int_equal(cxr_model_join(m, &other, &error), CXR_EDATA);
        assert_non_null(strstr(error.text, i == 0 ? "64" : "C, B"));
        assert_true(other != NULL && m->next == NULL);
        cxr_model_close(&other);
    }
    cxr_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_models_give_their_mean),
        cmocka_unit_test(others_are_not_joined),
    };
    if (!toy_create()) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    toy_remove();
    return failed;
}
