/* Whole networks on the CPU backend against the reference one, and what a program must keep to: batches of any size, fresh
 * parameters, chains of programs, the same bits again, fast kernels only, no leak or crash when memory runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agree.h"
#include "backend/onednn.h"
#include "base/mem.h"
#include "bf16.h"
#include "golden.h"
#include "graph/params.h"
#include <stdlib.h>
#include <string.h>

#define SEED 7u

/* A ReLU that passes on one side and stops on the other changes single gradients at will; as a share of each parameter's
 * gradient, in L2, one such switch was seen to cost 7e-3 where a stage has few values, and no switch 2e-4. */
#define GRADIENT_SHARE 2e-2

static const cxr_backend *const cpu = &cxr_backend_cpu;
static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

/* Returns the backbone's last node. */
static int open_network(cxr_graph *g, const char *arch, int size)
{
    const cxr_preprocess pre = {.size = size, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    *g = (cxr_graph){0};
    must(cxr_graph_resnet(g, arch, &pre, &error));
    const int backbone = g->node_count - 1;
    must(cxr_graph_head(g, (const int[]){256, 128}, 2, 0.5f, 2, &error));
    return backbone;
}

/* ---- Against the reference ---- */

static void check_inference(const char *arch, int size, int n, cxr_precision precision)
{
    cxr_graph g;
    char report[512];
    (void)open_network(&g, arch, size);
    const cxr_agree_case c = {.g = &g,
                              .first = 1,
                              .last = g.node_count - 1,
                              .mode = CXR_INFER,
                              .n = n,
                              .max_batch = 17,
                              .threads = 1 + n % 2,
                              .precision = precision,
                              .seed = SEED,
                              .tolerance = precision == CXR_PRECISION_F32 ? CXR_TOLERANCE_NETWORK : CXR_TOLERANCE_BF16_NETWORK};
    if (!cxr_agree(cpu, &cxr_backend_reference, &c, report, sizeof report))
        fail_msg("%s, %d pixels, %d images: %s", arch, size, n, report);
    cxr_graph_free(&g);
}

static void test_inference(void **state)
{
    (void)state;
    static const int images[] = {1, 2, 5, 17};
    const int precisions = bf16_here(CXR_INFER) ? CXR_PRECISION_BF16 : CXR_PRECISION_F32;
    for (int p = CXR_PRECISION_F32; p <= precisions; p++) {
        for (int i = 0; i < 4; i++) check_inference("resnet18", 32, images[i], (cxr_precision)p);
        check_inference("resnet18", 64, 2, (cxr_precision)p);
        check_inference("resnet18", 75, 3, (cxr_precision)p);
        check_inference("resnet34", 33, 2, (cxr_precision)p);
    }
}

static void compare_training(const cxr_agree_case *c, const cxr_answer *got, const cxr_answer *ref)
{
    const cxr_graph *g = c->g;
    const cxr_gap out = cxr_gap_of(got->out, ref->out, (size_t)c->n * cxr_shape_count(g->nodes[c->last].shape));
    if (!(out.gap <= CXR_TOLERANCE_NETWORK.forward)) fail_msg("output of %d images: gap %.3g", c->n, out.gap);
    for (int i = 0; i < g->param_count; i++) {
        const cxr_param *p = &g->params[i];
        if (p->node < c->first || p->node > c->last) continue;
        const cxr_gap kept = cxr_gap_of(got->params + p->offset, ref->params + p->offset, p->count);
        if (!(kept.gap <= 1e-3)) fail_msg("%s after training: gap %.3g", p->name, kept.gap);
        if (!cxr_param_learnable(p) || cxr_gradient_is_noise(g, p)) continue;
        const double off = cxr_share(got->grads + p->offset, ref->grads + p->offset, p->count);
        if (!(off <= GRADIENT_SHARE)) fail_msg("gradient %s of %d images: off by %.3g of its size", p->name, c->n, off);
    }
}

static void check_training(int size, int n, bool head)
{
    cxr_graph g;
    const int backbone = open_network(&g, "resnet18", size);
    const cxr_agree_case c = {.g = &g,
                              .first = 1,
                              .last = head ? g.node_count - 1 : backbone,
                              .mode = CXR_TRAIN,
                              .n = n,
                              .threads = 1 + n % 2,
                              .seed = SEED};
    cxr_answer got, ref;
    must(cxr_answer_of(&got, cpu, &c, &error));
    must(cxr_answer_of(&ref, &cxr_backend_reference, &c, &error));
    compare_training(&c, &got, &ref);
    cxr_answer_free(&got);
    cxr_answer_free(&ref);
    cxr_graph_free(&g);
}

/* The head's batch norms need more than two images, the last stage's more than a few values, or gradients are noise. */
static void test_training(void **state)
{
    (void)state;
    check_training(32, 17, true);
    check_training(64, 5, true);
    check_training(75, 6, true);
    check_training(96, 1, false);
    check_training(64, 2, false);
}

/* ---- A program's life ---- */

typedef struct network {
    cxr_graph g;
    int backbone;
    float *params, *grads;
    uint8_t *pixels; /* max_batch images */
    cxr_tensor *in;
    int max_batch;
} network;

static void open_life(network *net, int size, int max_batch)
{
    *net = (network){.max_batch = max_batch};
    net->backbone = open_network(&net->g, "resnet18", size);
    net->params = cxr_params_new(&net->g);
    net->grads = cxr_params_new(&net->g);
    const size_t count = (size_t)max_batch * (size_t)size * (size_t)size;
    net->pixels = cxr_mem_new(count, 1);
    assert_true(net->params != NULL && net->grads != NULL && net->pixels != NULL);
    cxr_keyed_params(&net->g, net->params, SEED);
    cxr_keyed_pixels(net->pixels, count, cxr_keyed(SEED, 1));
    must(cpu->tensor_new(&net->in, CXR_U8, max_batch, net->g.nodes[0].shape, &error));
}

static void close_life(network *net)
{
    cpu->tensor_free(&net->in);
    cxr_mem_free(net->params);
    cxr_mem_free(net->grads);
    cxr_mem_free(net->pixels);
    cxr_graph_free(&net->g);
}

static cxr_program *compile(const network *net, int first, int last, cxr_mode mode, const cxr_program *producer)
{
    const cxr_compile_opts o = {.mode = mode, .max_batch = net->max_batch, .threads = 2, .producer = producer};
    cxr_program *p = NULL;
    must(cpu->compile(&p, &net->g, first, last, net->params, &o, &error));
    return p;
}

/* The output for images from..from + n; the caller frees it. */
static float *run(const network *net, cxr_program *p, int from, int n)
{
    const cxr_tensor *out = NULL;
    const size_t each = cxr_shape_count(net->g.nodes[0].shape);
    float *host = cxr_mem_new((size_t)n * 512, sizeof *host);
    assert_non_null(host);
    must(cpu->tensor_write(net->in, n, net->pixels + (size_t)from * each, &error));
    must(cpu->forward(p, net->in, 3, &out, &error));
    must(cpu->tensor_read(out, host, &error));
    return host;
}

/* An image's features do not depend on the batch it comes in, nor on what ran before. */
static void test_batches(void **state)
{
    (void)state;
    network net;
    open_life(&net, 32, 9);
    cxr_program *p = compile(&net, 1, net.backbone, CXR_INFER, NULL);
    float *all = run(&net, p, 0, 9);
    static const int order[] = {1, 5, 9, 2, 1, 8, 3};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const int n = order[i];
        float *some = run(&net, p, 9 - n, n);
        const cxr_gap worst = cxr_gap_of(some, all + (size_t)(9 - n) * 512, (size_t)n * 512);
        if (!(worst.gap <= CXR_TOLERANCE_NETWORK.forward)) fail_msg("%d images: gap %.3g", n, worst.gap);
        cxr_mem_free(some);
    }
    float *again = run(&net, p, 0, 9);
    assert_memory_equal(all, again, 9 * 512 * sizeof *all);
    cxr_mem_free(all);
    cxr_mem_free(again);
    cpu->close(&p);
    close_life(&net);
}

/* A batch of many slices, the last one smaller, gives what its images give in small batches; bf16 too. */
static void check_slices(cxr_precision precision, double limit)
{
    network net;
    open_life(&net, 160, 27);
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 27, .threads = 2, .precision = precision};
    cxr_program *p = NULL;
    must(cpu->compile(&p, &net.g, 1, net.backbone, net.params, &o, &error));
    float *all = run(&net, p, 0, 27);
    for (int from = 0; from < 27; from += 9) {
        float *some = run(&net, p, from, 9);
        const cxr_gap worst = cxr_gap_of(some, all + (size_t)from * 512, (size_t)9 * 512);
        if (!(worst.gap <= limit)) fail_msg("precision %d, images from %d: gap %.3g", (int)precision, from, worst.gap);
        cxr_mem_free(some);
    }
    cxr_mem_free(all);
    cpu->close(&p);
    close_life(&net);
}

static void test_slices(void **state)
{
    (void)state;
    check_slices(CXR_PRECISION_F32, CXR_TOLERANCE_NETWORK.forward);
    if (bf16_here(CXR_INFER)) check_slices(CXR_PRECISION_BF16, CXR_TOLERANCE_BF16_NETWORK.forward);
}

/* New parameters count from refresh() on, for each batch size met before; a program compiled afresh gives the same bits. */
static void test_refresh(void **state)
{
    (void)state;
    network net;
    open_life(&net, 32, 4);
    cxr_program *p = compile(&net, 1, net.backbone, CXR_INFER, NULL);
    float *before = run(&net, p, 0, 4), *one = run(&net, p, 0, 1);
    cxr_keyed_params(&net.g, net.params, SEED + 1);
    float *unchanged = run(&net, p, 0, 4);
    assert_memory_equal(before, unchanged, 4 * 512 * sizeof *before);
    must(cpu->refresh(p, &error));
    cxr_program *fresh = compile(&net, 1, net.backbone, CXR_INFER, NULL);
    float *after = run(&net, p, 0, 4), *after_one = run(&net, p, 0, 1);
    float *expected = run(&net, fresh, 0, 4), *expected_one = run(&net, fresh, 0, 1);
    assert_memory_equal(after, expected, 4 * 512 * sizeof *after);
    assert_memory_equal(after_one, expected_one, 512 * sizeof *after);
    assert_memory_not_equal(before, after, 4 * 512 * sizeof *before);
    float *const all[] = {before, one, unchanged, after, after_one, expected, expected_one};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) cxr_mem_free(all[i]);
    cpu->close(&p);
    cpu->close(&fresh);
    close_life(&net);
}

static int node_named(const cxr_graph *g, const char *name)
{
    for (int i = 0; i < g->node_count; i++)
        if (strcmp(g->nodes[i].name, name) == 0) return i;
    fail_msg("no node is named %s", name);
    return -1;
}

/* Inference up to `cut`, training behind it, on one backend; the gradients are left in net->grads. */
static void step_of_chain(network *net, const cxr_backend *b, int cut, int n)
{
    cxr_tensor *in = NULL, *dout = NULL;
    const cxr_tensor *middle = NULL, *out = NULL;
    const int last = net->g.node_count - 1;
    float dlogp[2 * 16];
    cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = net->max_batch, .threads = 2};
    cxr_program *left = NULL, *right = NULL;
    cxr_keyed_params(&net->g, net->params, SEED);
    memset(net->grads, 0, net->g.float_count * sizeof *net->grads);
    cxr_keyed_fill(dlogp, (size_t)(2 * n), cxr_keyed(SEED, 2), -1.0f, 1.0f);
    must(b->tensor_new(&in, CXR_U8, n, net->g.nodes[0].shape, &error));
    must(b->tensor_new(&dout, CXR_F32, n, net->g.nodes[last].shape, &error));
    must(b->tensor_write(in, n, net->pixels, &error));
    must(b->tensor_write(dout, n, dlogp, &error));
    must(b->compile(&left, &net->g, 1, cut, net->params, &o, &error));
    o.mode = CXR_TRAIN;
    o.producer = left;
    must(b->compile(&right, &net->g, cut + 1, last, net->params, &o, &error));
    must(b->forward(left, in, 0, &middle, &error));
    must(b->forward(right, middle, 5, &out, &error));
    must(b->forward(left, in, 0, &middle, &error)); /* overwrites what the program behind it read */
    must(b->backward(right, dout, net->grads, &error));
    b->close(&left);
    b->close(&right);
    b->tensor_free(&in);
    b->tensor_free(&dout);
}

static void check_chain(const char *cut, int n)
{
    network net;
    open_life(&net, 64, 6);
    float *expected = cxr_params_new(&net.g);
    assert_non_null(expected);
    step_of_chain(&net, &cxr_backend_reference, node_named(&net.g, cut), n);
    memcpy(expected, net.grads, net.g.float_count * sizeof *expected);
    step_of_chain(&net, cpu, node_named(&net.g, cut), n);
    for (int i = 0; i < net.g.param_count; i++) {
        const cxr_param *p = &net.g.params[i];
        if (!cxr_param_learnable(p) || cxr_gradient_is_noise(&net.g, p)) continue;
        const float *got = net.grads + p->offset;
        if (p->node <= node_named(&net.g, cut)) {
            for (size_t k = 0; k < p->count; k++) assert_true(got[k] == 0.0f);
        } else {
            const double off = cxr_share(got, expected + p->offset, p->count);
            if (!(off <= GRADIENT_SHARE)) fail_msg("%s: gradient %s is off by %.3g of its size", cut, p->name, off);
        }
    }
    cxr_mem_free(expected);
    close_life(&net);
}

static void test_chains(void **state)
{
    (void)state;
    check_chain("avgpool", 6);
    check_chain("avgpool", 5);
    check_chain("layer3.1", 6);
    check_chain("layer3.1", 5);
    check_chain("normalize", 5);
}

static void train_twice(network *net, float *out, float *params)
{
    cxr_tensor *dout = NULL;
    const int last = net->g.node_count - 1, n = net->max_batch;
    cxr_keyed_params(&net->g, net->params, SEED);
    memset(net->grads, 0, net->g.float_count * sizeof *net->grads);
    cxr_program *p = compile(net, 1, last, CXR_TRAIN, NULL);
    must(cpu->tensor_new(&dout, CXR_F32, n, net->g.nodes[last].shape, &error));
    for (int step = 0; step < 2; step++) {
        float *y = run(net, p, 0, n);
        must(cpu->tensor_write(dout, n, y, &error));
        must(cpu->backward(p, dout, net->grads, &error));
        memcpy(out, y, (size_t)n * 2 * sizeof *out);
        cxr_mem_free(y);
        for (size_t i = 0; i < net->g.float_count; i++) net->params[i] -= 1e-3f * net->grads[i];
        must(cpu->refresh(p, &error));
    }
    memcpy(params, net->params, net->g.float_count * sizeof *params);
    cpu->tensor_free(&dout);
    cpu->close(&p);
}

/* Two runs on the same number of threads give the same bits. */
static void test_determinism(void **state)
{
    (void)state;
    network net;
    open_life(&net, 48, 8);
    float out[2][8 * 2], *params[2] = {cxr_params_new(&net.g), cxr_params_new(&net.g)};
    assert_true(params[0] != NULL && params[1] != NULL);
    for (int i = 0; i < 2; i++) train_twice(&net, out[i], params[i]);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    assert_memory_equal(params[0], params[1], net.g.float_count * sizeof(float));
    for (int i = 0; i < 2; i++) cxr_mem_free(params[i]);
    close_life(&net);
}

/* ---- Kernels and memory ---- */

typedef struct kernel_count {
    int kernels, winograd;
} kernel_count;

static void look_at_kernel(void *user, const cxr_node *node, const char *kernel)
{
    kernel_count *count = user;
    if (strstr(kernel, "ref") != NULL || strstr(kernel, "simple") != NULL || strstr(kernel, "any") != NULL)
        fail_msg("%s runs on the slow kernel %s", node->name, kernel);
    count->kernels++;
    if (strstr(kernel, "wino") != NULL) count->winograd++;
}

/* 20 convolutions and two pools, no change of layout, 13 of the convolutions by Winograd. Elsewhere than on AVX-512, no less. */
static void test_kernels(void **state)
{
    (void)state;
    network net;
    open_life(&net, 128, 32);
    kernel_count count = {0};
    cxr_program *p = compile(&net, 1, net.backbone, CXR_INFER, NULL);
    cxr_onednn_kernels(p, look_at_kernel, &count);
    assert_int_equal(count.kernels, 22);
    assert_int_equal(count.winograd, __builtin_cpu_supports("avx512bw") ? 13 : 0);
    cpu->close(&p);
    close_life(&net);
}

/* Batches smaller than the program's share its weights; compact programs hold no larger copy of them. */
static void test_weights(void **state)
{
    (void)state;
    network net;
    open_life(&net, 128, 65); /* enough tiles for Winograd in every layer; a last slice of one image */
    cxr_program *p = compile(&net, 1, net.backbone, CXR_INFER, NULL);
    const size_t plain = net.g.float_count * sizeof(float), full = cxr_onednn_weight_bytes(p);
    for (int n = 65; n > 0; n -= 16) cxr_mem_free(run(&net, p, 0, n));
    assert_int_equal(cxr_onednn_weight_bytes(p), full);
    cpu->close(&p);
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 65, .threads = 2, .compact = true};
    must(cpu->compile(&p, &net.g, 1, net.backbone, net.params, &o, &error));
    assert_in_range(cxr_onednn_weight_bytes(p), plain / 2, plain + plain / 8); /* more than `plain`: padded channels */
    cpu->close(&p);
    close_life(&net);
}

/* Activations share the arena: it stays far below their sum. */
static void test_arena(void **state)
{
    (void)state;
    network net;
    open_life(&net, 128, 32);
    size_t sum = 0;
    for (int i = 1; i <= net.backbone; i++) sum += 32 * sizeof(float) * cxr_shape_count(net.g.nodes[i].shape);
    cxr_program *infer = compile(&net, 1, net.backbone, CXR_INFER, NULL);
    cxr_program *train = compile(&net, 1, net.backbone, CXR_TRAIN, NULL);
    assert_true(cpu->arena_bytes(infer) < sum / 4);
    assert_true(cpu->arena_bytes(infer) < cpu->arena_bytes(train));
    assert_true(cpu->arena_bytes(train) < 2 * sum);
    cpu->close(&infer);
    cpu->close(&train);
    close_life(&net);
}

/* ---- Failures ---- */

static void test_misuse(void **state)
{
    (void)state;
    network net;
    open_life(&net, 32, 2);
    cxr_program *p = NULL, *head = compile(&net, net.backbone + 1, net.g.node_count - 1, CXR_TRAIN, NULL);
    const cxr_tensor *out = NULL;
    cxr_tensor *features = NULL, *floats = NULL, *none = NULL, *foreign = NULL;
    cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = 0, .threads = 1};
    assert_int_equal(cpu->compile(&p, &net.g, 1, 5, net.params, &o, &error), CXR_EUSAGE);
    o.max_batch = 1;
    assert_int_equal(cpu->compile(&p, &net.g, 0, 5, net.params, &o, &error), CXR_EINTERNAL);
    assert_int_equal(cpu->compile(&p, &net.g, 6, 5, net.params, &o, &error), CXR_EINTERNAL);
    assert_int_equal(cpu->compile(&p, &net.g, 1, net.g.node_count, net.params, &o, &error), CXR_EINTERNAL);
    assert_null(p);
    assert_int_equal(cpu->tensor_new(&none, CXR_F32, 0, (cxr_shape){1, 1, 1}, &error), CXR_EINTERNAL);
    assert_null(none);
    must(cpu->tensor_new(&features, CXR_F32, 4, (cxr_shape){512, 1, 1}, &error));
    must(cpu->tensor_new(&floats, CXR_F32, 1, (cxr_shape){1, 32, 32}, &error));
    must(cxr_backend_reference.tensor_new(&foreign, CXR_F32, 1, (cxr_shape){512, 1, 1}, &error));
    float *zeros = cxr_mem_new((size_t)4 * 1024, sizeof *zeros);
    assert_non_null(zeros);
    assert_int_equal(cpu->tensor_read(features, zeros, &error), CXR_EINTERNAL);
    assert_int_equal(cpu->tensor_write(features, 5, zeros, &error), CXR_EINTERNAL);
    assert_int_equal(cpu->forward(head, features, 0, &out, &error), CXR_EUSAGE); /* holds nothing */
    must(cpu->tensor_write(features, 4, zeros, &error));
    assert_int_equal(cpu->forward(head, features, 0, &out, &error), CXR_EUSAGE); /* more than max_batch */
    must(cpu->tensor_write(features, 1, zeros, &error));
    assert_int_equal(cpu->forward(head, features, 0, &out, &error), CXR_EUSAGE); /* one image has no variance */
    assert_int_equal(cpu->forward(head, foreign, 0, &out, &error), CXR_EINTERNAL);
    assert_int_equal(cpu->forward(head, net.in, 0, &out, &error), CXR_EINTERNAL);      /* another shape */
    assert_int_equal(cpu->backward(head, features, net.grads, &error), CXR_EINTERNAL); /* no forward yet */
    must(cpu->compile(&p, &net.g, 1, net.backbone, net.params, &o, &error));
    must(cpu->tensor_write(floats, 1, zeros, &error));
    assert_int_equal(cpu->forward(p, floats, 0, &out, &error), CXR_EINTERNAL); /* not pixels */
    assert_int_equal(cpu->backward(p, features, net.grads, &error), CXR_EINTERNAL);
    assert_null(out);
    cxr_mem_free(zeros);
    cpu->tensor_free(&features);
    cpu->tensor_free(&floats);
    cxr_backend_reference.tensor_free(&foreign);
    cpu->close(&p);
    cpu->close(&head);
    cpu->close(NULL);
    close_life(&net);
}

/* Every use of memory of a small program's life. CXR_OK when all of them succeeded. */
static cxr_status live(const cxr_graph *g, float *params, float *grads, cxr_mode mode)
{
    float host[6 * 4 * 64] = {0};
    cxr_tensor *in = NULL, *dout = NULL;
    const cxr_tensor *out = NULL;
    cxr_program *p = NULL;
    const int last = g->node_count - 1;
    const cxr_compile_opts o = {.mode = mode, .max_batch = 4, .threads = 1};
    cxr_status st = cpu->compile(&p, g, 2, last, params, &o, &error);
    if (st == CXR_OK) st = cpu->tensor_new(&in, CXR_F32, 4, g->nodes[1].shape, &error);
    if (st == CXR_OK) st = cpu->tensor_new(&dout, CXR_F32, 4, g->nodes[last].shape, &error);
    for (int n = 4; n >= 3; n--) {
        if (st == CXR_OK) st = cpu->tensor_write(in, n, host, &error);
        if (st == CXR_OK) st = cpu->tensor_write(dout, n, host, &error);
        if (st == CXR_OK) st = cpu->forward(p, in, 1, &out, &error);
        if (st == CXR_OK) st = cpu->tensor_read(out, host, &error);
        if (st == CXR_OK && mode == CXR_TRAIN) st = cpu->backward(p, dout, grads, &error);
    }
    cpu->tensor_free(&in);
    cpu->tensor_free(&dout);
    cpu->close(&p);
    return st;
}

static void open_small(cxr_graph *g)
{
    *g = (cxr_graph){0};
    int x = cxr_graph_relu(g, cxr_graph_input(g, 8, 8), "x");
    g->nodes[x].shape = (cxr_shape){6, 8, 8};
    x = cxr_graph_batchnorm(g, cxr_graph_conv(g, x, "conv1", 16, 3, 1, 1), "bn1");
    const int side = x = cxr_graph_relu(g, x, "relu1");
    x = cxr_graph_batchnorm(g, cxr_graph_conv(g, x, "conv2", 16, 3, 1, 1), "bn2");
    x = cxr_graph_relu(g, cxr_graph_add(g, x, side), "relu2");
    x = cxr_graph_avgpool(g, cxr_graph_maxpool(g, x, "maxpool", 3, 2, 1), "avgpool");
    x = cxr_graph_relu(g, cxr_graph_batchnorm(g, cxr_graph_linear(g, x, "fc1", 8), "bn3"), "relu3");
    x = cxr_graph_linear(g, cxr_graph_dropout(g, x, "dropout", 0.5f), "fc2", 2);
    (void)cxr_graph_logsoftmax(g, x, "logsoftmax");
    assert_int_equal(g->status, CXR_OK);
}

/* Each allocation of a life fails once: always CXR_ENOMEM with a sentence, and (under ASan) no leak. */
static void test_out_of_memory(void **state)
{
    (void)state;
    cxr_graph g;
    open_small(&g);
    float *params = cxr_params_new(&g), *grads = cxr_params_new(&g);
    assert_true(params != NULL && grads != NULL);
    for (int mode = CXR_INFER; mode <= CXR_TRAIN; mode++) {
        long failed = 0;
        for (bool fired = true; fired; failed++) {
            cxr_keyed_params(&g, params, SEED);
            error = (cxr_error){0};
            cxr_mem_fail_at(failed);
            const cxr_status st = live(&g, params, grads, (cxr_mode)mode);
            fired = cxr_mem_fail_fired();
            cxr_mem_fail_at(-1);
            assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
            assert_true(!fired || strstr(error.text, "memory") != NULL);
        }
        assert_true(failed > 20);
    }
    cxr_mem_free(params);
    cxr_mem_free(grads);
    cxr_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inference),   cmocka_unit_test(test_training), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_slices),      cmocka_unit_test(test_refresh),  cmocka_unit_test(test_chains),
        cmocka_unit_test(test_determinism), cmocka_unit_test(test_kernels),  cmocka_unit_test(test_weights),
        cmocka_unit_test(test_arena),       cmocka_unit_test(test_misuse),   cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
