/* Whole networks on the reference backend against PyTorch (fixtures/network.txt, float64), chained as the trainer chains them:
 * programs left and right of a cut, the output of one being the input of the next. Also what the backend must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agree.h"
#include "base/mem.h"
#include "base/rng.h"
#include "golden.h"
#include "graph/params.h"
#include <string.h>

#define SEED   20240607u /* tools/make_golden.py */
#define IMAGES 4
#define SIZE   64

/* Against float64. Forward: f32 storage between layers, 6e-8 each, grown by the head's batch norms over 4 values; largest gap
 * 1.5e-6. Backward: a ReLU or a pool may choose otherwise on values that rounding moved, which changes single entries; largest
 * gap 1.5e-3, where PyTorch's own float32 is off by 5e-3. The operators' own gradients are held to 2e-7 in test_ref_ops.c. */
#define FORWARD_TOLERANCE  1e-5
#define GRADIENT_TOLERANCE 4e-3
/* A bias straight before a batch norm has gradient zero; others are larger than this. */
#define GRADIENT_FLOOR 1e-3

enum { KEY_PIXELS = 1, KEY_DROPOUT }; /* tools/golden/network.py */

static const cxr_backend *const backend = &cxr_backend_reference;
static cxr_golden *golden;
static cxr_error error;

typedef struct network {
    cxr_graph g;
    float *params, *grads;
    cxr_tensor *pixels;
} network;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static void network_open(network *net, const char *arch)
{
    const cxr_preprocess pre = {.size = SIZE, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    uint8_t host[IMAGES * SIZE * SIZE];
    *net = (network){0};
    must(cxr_graph_resnet(&net->g, arch, &pre, &error));
    must(cxr_graph_head(&net->g, (const int[]){256, 128}, 2, 0.5f, 2, &error));
    net->params = cxr_params_new(&net->g);
    net->grads = cxr_params_new(&net->g);
    assert_true(net->params != NULL && net->grads != NULL);
    cxr_keyed_params(&net->g, net->params, SEED);
    cxr_keyed_pixels(host, sizeof host, cxr_keyed(SEED, KEY_PIXELS));
    must(backend->tensor_new(&net->pixels, CXR_U8, IMAGES, net->g.nodes[0].shape, &error));
    must(backend->tensor_write(net->pixels, IMAGES, host, &error));
}

static void network_close(network *net)
{
    backend->tensor_free(&net->pixels);
    cxr_mem_free(net->params);
    cxr_mem_free(net->grads);
    cxr_graph_free(&net->g);
}

static int node_named(const cxr_graph *g, const char *name)
{
    for (int i = 0; i < g->node_count; i++)
        if (strcmp(g->nodes[i].name, name) == 0) return i;
    fail_msg("no node is named %s", name);
    return -1;
}

static cxr_program *compile(network *net, int first, int last, cxr_mode mode, int max_batch)
{
    cxr_program *p = NULL;
    const cxr_compile_opts o = {.mode = mode, .max_batch = max_batch, .threads = 1};
    must(backend->compile(&p, &net->g, first, last, net->params, &o, &error));
    return p;
}

static void check_gap(const char *what, cxr_gap worst, double limit)
{
    if (!(worst.gap <= limit))
        fail_msg("%s: gap %.3g at %zu: got %.9g, PyTorch %.9g", what, worst.gap, worst.at, worst.got, worst.ref);
}

static void check_all(const char *what, const float *got, size_t count)
{
    const float *ref = cxr_golden_get(golden, count, "%s", what);
    if (ref == NULL) fail_msg("%s is not in the fixture with %zu numbers", what, count);
    check_gap(what, cxr_gap_of(got, ref, count), FORWARD_TOLERANCE);
}

static void check_summary(const char *prefix, const char *name, const float *x, size_t count, double limit, double floor)
{
    float got[CXR_SUMMARY];
    const float *ref = cxr_golden_get(golden, CXR_SUMMARY, "%s.%s", prefix, name);
    if (ref == NULL) fail_msg("%s.%s is not in the fixture", prefix, name);
    cxr_summarize(x, count, SEED, name, got);
    check_gap(name, cxr_summary_gap(got, ref, count, floor), limit);
}

/* One program for each stage, fed with the output of the one before. */
static void test_eval_by_stages(void **state)
{
    (void)state;
    static const char *const ends[] = {"layer1.1", "layer2.1", "layer3.1", "layer4.1", "avgpool", "fc.8", "fc.9"};
    enum { STAGES = sizeof ends / sizeof ends[0] };
    network net;
    network_open(&net, "resnet18");
    cxr_program *programs[STAGES] = {NULL};
    const cxr_tensor *in = net.pixels, *out = NULL;
    for (int i = 0, first = 1; i < STAGES; i++) {
        const int last = node_named(&net.g, ends[i]);
        const size_t count = cxr_shape_count(net.g.nodes[last].shape) * IMAGES;
        float *got = cxr_mem_new(count, sizeof *got);
        assert_non_null(got);
        programs[i] = compile(&net, first, last, CXR_INFER, IMAGES);
        must(backend->forward(programs[i], in, 0, &out, &error));
        must(backend->tensor_read(out, got, &error));
        if (i < 5) check_summary("eval", ends[i], got, count, FORWARD_TOLERANCE, 0.0);
        if (i >= 5) check_all(i == 5 ? "eval.logits" : "eval.logp", got, count);
        cxr_mem_free(got);
        first = last + 1;
        in = out;
    }
    for (int i = 0; i < STAGES; i++) backend->close(&programs[i]);
    network_close(&net);
}

static void test_eval_resnet34(void **state)
{
    (void)state;
    network net;
    float logits[IMAGES * 2];
    const cxr_tensor *out = NULL;
    network_open(&net, "resnet34");
    cxr_program *p = compile(&net, 1, node_named(&net.g, "fc.8"), CXR_INFER, IMAGES + 1);
    must(backend->forward(p, net.pixels, 0, &out, &error));
    must(backend->tensor_read(out, logits, &error));
    check_all("eval34.logits", logits, IMAGES * 2);
    backend->close(&p);
    network_close(&net);
}

/* Mean negative log-likelihood with labels 0 and 1 in turn, and its gradient. */
static float nll(const float *logp, float *dlogp)
{
    double loss = 0.0;
    for (int i = 0; i < IMAGES; i++) {
        loss -= (double)logp[2 * i + i % 2] / IMAGES;
        dlogp[2 * i + i % 2] = -1.0f / IMAGES;
        dlogp[2 * i + (i + 1) % 2] = 0.0f;
    }
    return (float)loss;
}

static void check_training(const network *net)
{
    for (int i = 0; i < net->g.param_count; i++) {
        const cxr_param *p = &net->g.params[i];
        if (cxr_param_learnable(p)) {
            check_summary("train.grad", p->name, net->grads + p->offset, p->count, GRADIENT_TOLERANCE, GRADIENT_FLOOR);
        } else {
            check_summary("train.stat", p->name, net->params + p->offset, p->count, FORWARD_TOLERANCE, 0.0);
        }
    }
}

static void test_train(void **state)
{
    (void)state;
    network net;
    float logp[IMAGES * 2], dlogp[IMAGES * 2];
    const cxr_tensor *normalized = NULL, *out = NULL;
    cxr_tensor *dout = NULL;
    network_open(&net, "resnet18");
    const int last = net.g.node_count - 1;
    cxr_program *left = compile(&net, 1, 1, CXR_INFER, IMAGES), *right = compile(&net, 2, last, CXR_TRAIN, IMAGES);
    must(backend->forward(left, net.pixels, 0, &normalized, &error));
    must(backend->forward(right, normalized, cxr_keyed(SEED, KEY_DROPOUT), &out, &error));
    must(backend->tensor_read(out, logp, &error));
    check_all("train.logp", logp, IMAGES * 2);
    const float loss = nll(logp, dlogp);
    check_all("train.loss", &loss, 1);
    must(backend->tensor_new(&dout, CXR_F32, IMAGES, net.g.nodes[last].shape, &error));
    must(backend->tensor_write(dout, IMAGES, dlogp, &error));
    must(backend->backward(right, dout, net.grads, &error));
    check_training(&net);
    backend->tensor_free(&dout);
    backend->close(&left);
    backend->close(&right);
    network_close(&net);
}

/* A head on a vector: small enough for the tests of refusals and of failing memory. */
static void head_open(cxr_graph *g)
{
    *g = (cxr_graph){0};
    (void)cxr_graph_conv(g, cxr_graph_input(g, 3, 3), "conv", 5, 3, 1, 0);
    must(cxr_graph_head(g, (const int[]){4}, 1, 0.5f, 2, &error));
}

static void refused(cxr_status got, cxr_status want, const char *words)
{
    assert_int_equal(got, want);
    if (strstr(error.text, words) == NULL) fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void test_compile_refuses(void **state)
{
    (void)state;
    cxr_graph g;
    head_open(&g);
    float *params = cxr_params_new(&g);
    cxr_program *p = NULL;
    const int last = g.node_count - 1;
    const cxr_compile_opts good = {.mode = CXR_TRAIN, .max_batch = 2, .threads = 1}, empty = {.threads = 1};
    refused(backend->compile(&p, &g, 0, last, params, &good, &error), CXR_EINTERNAL, "no span");
    refused(backend->compile(&p, &g, 3, 2, params, &good, &error), CXR_EINTERNAL, "no span");
    refused(backend->compile(&p, &g, 1, last + 1, params, &good, &error), CXR_EINTERNAL, "no span");
    refused(backend->compile(&p, &g, 1, last, params, &empty, &error), CXR_EUSAGE, "batch of 0");
    g.nodes[3].in[1] = 0; /* now two values cross the cut before node 2 */
    refused(backend->compile(&p, &g, 2, last, params, &good, &error), CXR_EINTERNAL, "exactly one input");
    assert_null(p);
    cxr_mem_free(params);
    cxr_graph_free(&g);
}

static void test_run_refuses(void **state)
{
    (void)state;
    cxr_graph g;
    head_open(&g);
    float *params = cxr_params_new(&g), host[3 * 9] = {0};
    cxr_program *p = NULL;
    cxr_tensor *in = NULL, *dout = NULL;
    const cxr_tensor *out = NULL;
    const int last = g.node_count - 1;
    const cxr_compile_opts o = {.mode = CXR_TRAIN, .max_batch = 2, .threads = 1};
    must(backend->compile(&p, &g, 1, last, params, &o, &error));
    must(backend->tensor_new(&in, CXR_F32, 3, g.nodes[0].shape, &error));
    must(backend->tensor_new(&dout, CXR_F32, 3, g.nodes[last].shape, &error));
    refused(backend->tensor_write(in, 4, host, &error), CXR_EINTERNAL, "do not fit");
    refused(backend->tensor_read(in, host, &error), CXR_EINTERNAL, "holds nothing");
    refused(backend->forward(p, in, 0, &out, &error), CXR_EUSAGE, "holds 0 images");
    must(backend->tensor_write(in, 3, host, &error));
    refused(backend->forward(p, in, 0, &out, &error), CXR_EUSAGE, "holds 3 images");
    refused(backend->forward(p, dout, 0, &out, &error), CXR_EINTERNAL, "shape");
    must(backend->tensor_write(in, 1, host, &error));
    refused(backend->forward(p, in, 0, &out, &error), CXR_EUSAGE, "batch of one");
    must(backend->tensor_write(dout, 1, host, &error));
    refused(backend->backward(p, dout, params, &error), CXR_EINTERNAL, "before forward");
    must(backend->tensor_write(in, 2, host, &error));
    must(backend->forward(p, in, 0, &out, &error));
    refused(backend->backward(p, dout, params, &error), CXR_EINTERNAL, "of 1 images after a forward of 2");
    assert_true(backend->arena_bytes(p) >= 2 * (9 + 2 * 5) * sizeof(float));
    backend->close(&p);
    backend->tensor_free(&in);
    backend->tensor_free(&dout);
    cxr_mem_free(params);
    cxr_graph_free(&g);
}

/* Two equal steps give twice the gradients of one: backward adds to them, and its own sums start at zero each time. */
static void test_second_step_adds(void **state)
{
    (void)state;
    cxr_graph g;
    float host[2 * 9], slope[2 * 2], *once = NULL;
    cxr_tensor *in = NULL, *dout = NULL;
    const cxr_tensor *out = NULL;
    cxr_program *p = NULL;
    head_open(&g);
    float *params = cxr_params_new(&g), *grads = cxr_params_new(&g);
    const cxr_compile_opts o = {.mode = CXR_TRAIN, .max_batch = 2, .threads = 1};
    cxr_keyed_params(&g, params, SEED);
    cxr_keyed_fill(host, 2 * 9, cxr_keyed(SEED, 3), -1, 1);
    cxr_keyed_fill(slope, 2 * 2, cxr_keyed(SEED, 4), -1, 1);
    must(backend->compile(&p, &g, 1, g.node_count - 1, params, &o, &error));
    must(backend->tensor_new(&in, CXR_F32, 2, g.nodes[0].shape, &error));
    must(backend->tensor_new(&dout, CXR_F32, 2, g.nodes[g.node_count - 1].shape, &error));
    must(backend->tensor_write(in, 2, host, &error));
    must(backend->tensor_write(dout, 2, slope, &error));
    for (int step = 0; step < 2; step++) {
        must(backend->forward(p, in, 11, &out, &error));
        must(backend->backward(p, dout, grads, &error));
        if (step > 0) break;
        once = cxr_params_new(&g);
        for (size_t i = 0; i < g.float_count; i++) once[i] = 2.0f * grads[i];
    }
    check_gap("second step", cxr_gap_of(grads, once, g.float_count), 1e-6);
    backend->close(&p);
    backend->tensor_free(&in);
    backend->tensor_free(&dout);
    cxr_mem_free(params);
    cxr_mem_free(grads);
    cxr_mem_free(once);
    cxr_graph_free(&g);
}

static float mistake; /* added to one gradient by the backend below */

static cxr_status mistaken_backward(cxr_program *p, const cxr_tensor *dout, float *grads, cxr_error *err)
{
    const cxr_status st = backend->backward(p, dout, grads, err);
    grads[0] += mistake;
    return st;
}

/* The harness accepts the reference beside itself, and sees one wrong number, a NaN, and a failure. */
static void test_agree_can_disagree(void **state)
{
    (void)state;
    cxr_graph g;
    char report[256];
    cxr_backend mistaken = *backend;
    mistaken.backward = mistaken_backward;
    head_open(&g);
    cxr_agree_case c = {.g = &g, .first = 1, .last = g.node_count - 1, .mode = CXR_TRAIN, .n = 3, .seed = 5};
    assert_true(cxr_agree(backend, backend, &c, report, sizeof report));
    c.tolerance = CXR_TOLERANCE_NETWORK;
    mistake = 0.0f;
    assert_true(cxr_agree(&mistaken, backend, &c, report, sizeof report));
    mistake = 0.1f;
    assert_false(cxr_agree(&mistaken, backend, &c, report, sizeof report));
    assert_non_null(strstr(report, "gradient conv.weight"));
    mistake = NAN;
    assert_false(cxr_agree(&mistaken, backend, &c, report, sizeof report));
    c.n = 0;
    assert_false(cxr_agree(backend, backend, &c, report, sizeof report));
    cxr_graph_free(&g);
}

static void test_every_allocation_can_fail(void **state)
{
    (void)state;
    cxr_graph g;
    head_open(&g);
    cxr_agree_case c = {.g = &g, .first = 1, .last = g.node_count - 1, .n = 2, .seed = 1};
    for (int mode = CXR_INFER; mode <= CXR_EXPLAIN; mode++) {
        c.mode = (cxr_mode)mode;
        bool fired = true;
        for (long n = 0; fired; n++) {
            cxr_answer a;
            cxr_mem_fail_at(n);
            const cxr_status st = cxr_answer_of(&a, backend, &c, &error);
            fired = cxr_mem_fail_fired();
            cxr_mem_fail_at(-1);
            assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
            cxr_answer_free(&a);
        }
    }
    cxr_graph_free(&g);
}

int main(void)
{
    golden = cxr_golden_open(FIXTURES "/network.txt");
    if (golden == NULL) return CXR_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eval_by_stages),
        cmocka_unit_test(test_eval_resnet34),
        cmocka_unit_test(test_train),
        cmocka_unit_test(test_compile_refuses),
        cmocka_unit_test(test_run_refuses),
        cmocka_unit_test(test_second_step_adds),
        cmocka_unit_test(test_agree_can_disagree),
        cmocka_unit_test(test_every_allocation_can_fail),
    };
    const int failed = cmocka_run_group_tests_name("reference network", tests, NULL, NULL);
    cxr_golden_close(&golden);
    return failed != 0;
}
