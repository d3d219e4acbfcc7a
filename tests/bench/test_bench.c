/* The bench measures what it was asked to, in order, and says why where it cannot. No figure's size is tested. */
#include "backend/onednn.h"
#include "graph/graph.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 64

typedef struct rows {
    cxr_bench_row rows[ROWS];
    char reasons[ROWS][128];
    int count;
} rows;

static void keep(void *user, const cxr_bench_row *r)
{
    rows *all = user;
    assert_true(all->count < ROWS);
    if (r->reason != NULL) (void)snprintf(all->reasons[all->count], sizeof all->reasons[0], "%s", r->reason);
    all->rows[all->count++] = *r;
}

/* One configuration of the smallest network, one run a round. */
static cxr_bench_opts smallest(void)
{
    cxr_bench_opts o;
    cxr_bench_opts_default(&o);
    o.batches[0] = 2;
    o.sizes[0] = 32;
    o.batch_count = o.size_count = o.thread_count = 1;
    o.precisions[CXR_PRECISION_BF16] = o.precisions[CXR_PRECISION_INT8] = false;
    o.seconds = 0;
    return o;
}

static void check_figures(const cxr_bench_row *r)
{
    const bool convolves = r->stage >= CXR_STAGE_FORWARD && r->stage != CXR_STAGE_OPTIMIZER;
    assert_true(r->low > 0 && r->low <= r->median && r->median <= r->high && isfinite(r->high));
    assert_true(fabs(r->images_per_second * r->median - r->batch) < 1e-9);
    assert_true(convolves ? r->limit > 0 && isfinite(r->limit) : isnan(r->limit));
    assert_true(convolves ? r->share > 0 && isfinite(r->share) : isnan(r->share));
}

static void every_stage_has_its_row(void **state)
{
    (void)state;
    const cxr_bench_opts o = smallest();
    cxr_error err = {0};
    rows got = {0};
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_OK);
    assert_int_equal(got.count, CXR_STAGES);
    for (int i = 0; i < got.count; i++) {
        assert_int_equal(got.rows[i].stage, i);
        assert_int_equal(got.rows[i].rounds, 5);
        assert_int_equal(got.rows[i].threads, 1);
        assert_int_equal(got.rows[i].batch, i <= CXR_STAGE_TRANSFORM ? 1 : 2);
        assert_int_equal(got.rows[i].size, 32);
        assert_null(got.rows[i].reason);
        check_figures(&got.rows[i]);
    }
}

/* Decoding and transforming are measured once for each size, whatever the batches and precisions; equal thread counts once. */
static void what_does_not_differ_is_measured_once(void **state)
{
    (void)state;
    cxr_bench_opts o = smallest();
    cxr_error err = {0};
    rows got = {0};
    for (int i = 0; i < CXR_STAGES; i++) o.stages[i] = i <= CXR_STAGE_TRANSFORM;
    o.sizes[1] = 48;
    o.precisions[CXR_PRECISION_BF16] = true;
    o.batches[1] = 3;
    o.threads[0] = o.threads[1] = 2;
    o.size_count = o.batch_count = o.thread_count = 2;
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_OK);
    assert_int_equal(got.count, 4);
    for (int i = 0; i < got.count; i++) {
        assert_int_equal(got.rows[i].stage, i < 2 ? CXR_STAGE_DECODE : CXR_STAGE_TRANSFORM);
        assert_int_equal(got.rows[i].size, i % 2 == 0 ? 32 : 48);
    }
    for (int i = 0; i < got.count; i++) check_figures(&got.rows[i]);
}

static void what_cannot_be_says_why(void **state)
{
    (void)state;
    cxr_bench_opts o = smallest();
    cxr_error err = {0};
    rows got = {0};
    for (int i = 0; i < CXR_STAGES; i++) o.stages[i] = i == CXR_STAGE_FROZEN || i == CXR_STAGE_STEP;
    o.freeze = "none";
    o.batches[0] = 1; /* which batch norm of a vector cannot train on */
    o.limit = false;
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_OK);
    assert_int_equal(got.count, 2);
    assert_string_equal(got.reasons[0], "nothing is frozen");
    assert_non_null(strstr(got.reasons[1], "cannot train on a batch of one image"));
    assert_true(isnan(got.rows[0].median) && isnan(got.rows[1].median));
}

static void without_the_limit_there_is_no_share(void **state)
{
    (void)state;
    cxr_bench_opts o = smallest();
    cxr_error err = {0};
    rows got = {0};
    for (int i = 0; i < CXR_STAGES; i++) o.stages[i] = i == CXR_STAGE_FORWARD;
    o.limit = false;
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_OK);
    assert_int_equal(got.count, 1);
    assert_true(isnan(got.rows[0].share) && got.rows[0].median > 0);
}

static bool at_once(void *user)
{
    (void)user;
    return true;
}

static void options_are_checked(void **state)
{
    (void)state;
    rows got = {0};
    cxr_error err = {0};
    cxr_bench_opts o = smallest();
    o.rounds = 4;
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_EUSAGE);
    o = smallest();
    o.batch_count = 0;
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_EUSAGE);
    o = smallest();
    o.sizes[0] = 31;
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_EUSAGE);
    o = smallest();
    o.freeze = "layer9";
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_EUSAGE);
    o = smallest();
    o.model = "/nowhere/model.safetensors";
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_ENOINPUT);
    o = smallest();
    const char *const paths[] = {"/nowhere/image.png"};
    o.paths = paths;
    o.path_count = 1;
    assert_int_equal(cxr_bench(&o, NULL, keep, &got, &err), CXR_ENOINPUT);
    assert_non_null(strstr(err.text, "/nowhere/image.png"));
    o = smallest();
    const cxr_hooks stop = {.should_stop = at_once};
    assert_int_equal(cxr_bench(&o, &stop, keep, &got, &err), CXR_ESTOPPED);
    assert_int_equal(got.count, 0);
}

/* A span without convolutions has no limit; one with them has a backward pass only in training. */
static void convolutions_alone(void **state)
{
    (void)state;
    cxr_graph g = {0};
    cxr_preprocess pre;
    cxr_error err = {0};
    cxr_conv_limit *l = NULL;
    double forward = 0, backward = 0;
    cxr_preprocess_default(&pre);
    pre.size = 32;
    assert_int_equal(cxr_graph_resnet(&g, "resnet18", &pre, &err), CXR_OK);
    cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 1, .threads = 1};
    assert_int_equal(cxr_conv_limit_open(&l, &g, g.node_count - 1, g.node_count - 1, &o, NULL, &err), CXR_EUNAVAILABLE);
    assert_null(l);
    assert_int_equal(cxr_conv_limit_open(&l, &g, 1, 5, &o, NULL, &err), CXR_OK);
    assert_int_equal(cxr_conv_limit_time(l, 0, &forward, &backward, &err), CXR_OK);
    assert_true(forward > 0 && backward == 0);
    cxr_conv_limit_close(&l);
    assert_null(l);
    o.mode = CXR_TRAIN;
    assert_int_equal(cxr_conv_limit_open(&l, &g, 1, 5, &o, NULL, &err), CXR_OK);
    assert_int_equal(cxr_conv_limit_time(l, 0, &forward, &backward, &err), CXR_OK);
    assert_true(forward > 0 && backward > 0 && cxr_conv_limit_bytes(l) > 0);
    cxr_conv_limit_close(&l);
    cxr_graph_free(&g);
}

static void the_machine_has_cores(void **state)
{
    (void)state;
    cxr_machine m;
    cxr_machine_read(&m);
    assert_true(m.cores >= 1 && m.threads >= 1 && m.isa[0] != '\0' && m.load[0] >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_has_its_row), cmocka_unit_test(what_does_not_differ_is_measured_once),
        cmocka_unit_test(what_cannot_be_says_why), cmocka_unit_test(without_the_limit_there_is_no_share),
        cmocka_unit_test(options_are_checked),     cmocka_unit_test(convolutions_alone),
        cmocka_unit_test(the_machine_has_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
