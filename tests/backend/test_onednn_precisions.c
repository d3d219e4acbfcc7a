/* One table of what must be equal: ResNet-18 at the sizes that are served, on the CPU backend in every precision, on one thread and
 * on two, in a full batch and in the smaller one that ends a data set, against the reference backend, which computes in f32. Input
 * is one grey channel whatever the image's colours: decoding makes it (tests/data). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agree.h"
#include "base/mem.h"
#include "golden.h"
#include "graph/params.h"
#include <math.h>
#include <string.h>

#define SEED   13u
#define IMAGES 3
#define BATCH  2 /* IMAGES are one batch of two and a last one of one */

static const cxr_backend *const cpu = &cxr_backend_cpu;
static cxr_error error;

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

typedef struct network {
    cxr_graph g;
    float *params;
    uint8_t *pixels;
} network;

static void open_network(network *net, int size)
{
    const cxr_preprocess pre = {.size = size, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    *net = (network){0};
    must(cxr_graph_resnet(&net->g, "resnet18", &pre, &error));
    net->params = cxr_params_new(&net->g);
    net->pixels = cxr_mem_new(IMAGES, (size_t)(size * size));
    assert_true(net->params != NULL && net->pixels != NULL);
    cxr_keyed_params(&net->g, net->params, SEED);
    cxr_keyed_pixels(net->pixels, (size_t)(IMAGES * size * size), cxr_keyed(SEED, 1));
}

static void close_network(network *net)
{
    cxr_mem_free(net->params);
    cxr_mem_free(net->pixels);
    cxr_graph_free(&net->g);
}

/* Node `last` for all images, batch by batch. NULL where this processor lacks the precision. */
static float *run(const network *net, const cxr_backend *b, int last, cxr_precision precision, int threads)
{
    const size_t pixels = cxr_shape_count(net->g.nodes[0].shape), each = cxr_shape_count(net->g.nodes[last].shape);
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = BATCH, .threads = threads, .precision = precision};
    cxr_program *p = NULL;
    cxr_tensor *in = NULL;
    const cxr_status st = b->compile(&p, &net->g, 1, last, net->params, &o, &error);
    if (st == CXR_EUNAVAILABLE && precision != CXR_PRECISION_F32) return NULL;
    must(st);
    must(b->tensor_new(&in, CXR_U8, BATCH, net->g.nodes[0].shape, &error));
    float *out = cxr_mem_new(IMAGES, each * sizeof *out);
    assert_non_null(out);
    for (int at = 0; at < IMAGES; at += BATCH) {
        const cxr_tensor *y = NULL;
        must(b->tensor_write(in, IMAGES - at < BATCH ? IMAGES - at : BATCH, net->pixels + (size_t)at * pixels, &error));
        must(b->forward(p, in, 0, &y, &error));
        must(b->tensor_read(y, out + (size_t)at * each, &error));
    }
    b->tensor_free(&in);
    b->close(&p);
    return out;
}

/* Ranges for 8 bits: the largest value that each convolution's output takes. */
static void calibrate(network *net)
{
    cxr_fused *groups = cxr_mem_new((size_t)net->g.node_count, sizeof *groups);
    assert_non_null(groups);
    const int count = cxr_graph_fuse(&net->g, 1, net->g.node_count - 1, groups);
    for (int i = 0; i < count; i++) {
        if (net->g.nodes[groups[i].node].op != CXR_OP_CONV) continue;
        cxr_node *node = &net->g.nodes[groups[i].output];
        float *out = run(net, cpu, groups[i].output, CXR_PRECISION_F32, 2), peak = 0.0f;
        for (size_t k = 0; k < IMAGES * cxr_shape_count(node->shape); k++) peak = fmaxf(peak, fabsf(out[k]));
        node->peak = peak;
        cxr_mem_free(out);
    }
    cxr_mem_free(groups);
}

static void check_size(int size)
{
    static const struct {
        const char *name;
        cxr_precision precision;
        double limit;
    } rows[] = {{"f32", CXR_PRECISION_F32, CXR_SHARE_F32},
                {"bf16", CXR_PRECISION_BF16, CXR_SHARE_BF16},
                {"int8", CXR_PRECISION_INT8, CXR_SHARE_INT8}};
    network net;
    open_network(&net, size);
    const int last = net.g.node_count - 1;
    const size_t count = IMAGES * cxr_shape_count(net.g.nodes[last].shape);
    float *want = run(&net, &cxr_backend_reference, last, CXR_PRECISION_F32, 1);
    calibrate(&net);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int threads = 1; threads <= 2; threads++) {
            float *got = run(&net, cpu, last, rows[i].precision, threads);
            if (got == NULL) continue;
            const double off = cxr_share(got, want, count);
            print_message("%d pixels, %s, %d threads: %.1e\n", size, rows[i].name, threads, off);
            if (!(off <= rows[i].limit)) fail_msg("%d pixels, %s, %d threads: off by %.3g", size, rows[i].name, threads, off);
            cxr_mem_free(got);
        }
    cxr_mem_free(want);
    close_network(&net);
}

static void at_128(void **state)
{
    (void)state;
    check_size(128);
}

static void at_224(void **state)
{
    (void)state;
    check_size(224);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_128),
        cmocka_unit_test(at_224),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
