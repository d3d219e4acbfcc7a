/* Class activation maps against PyTorch's own gradients (fixtures/explain.txt, float64), on both backends; the pure function on
 * numbers worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "explain/cam.h"
#include "explain/curves.h"
#include "golden.h"
#include "graph/params.h"
#include <string.h>

#define SEED   20240607u /* tools/make_golden.py */
#define IMAGES 4
#define SIZE   64

/* Of an element or the map's root mean square: f32 values and gradients of a whole ResNet-18 against float64. */
#define TOLERANCE 1e-4

enum { KEY_PIXELS = 1 }; /* tools/golden/network.py */

static cxr_golden *golden;
static cxr_error error;
static cxr_graph graph;
static float *params;
static uint8_t pixels[IMAGES * SIZE * SIZE];

static void must(cxr_status st)
{
    if (st != CXR_OK) fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    (void)state;
    const cxr_preprocess pre = {.size = SIZE, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    must(cxr_graph_resnet(&graph, "resnet18", &pre, &error));
    must(cxr_graph_head(&graph, (const int[]){256, 128}, 2, 0.5f, 2, &error));
    params = cxr_params_new(&graph);
    assert_non_null(params);
    cxr_keyed_params(&graph, params, SEED);
    cxr_keyed_pixels(pixels, sizeof pixels, cxr_keyed(SEED, KEY_PIXELS));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cxr_mem_free(params);
    cxr_graph_free(&graph);
    return 0;
}

static void check(const char *what, const char *layer, const float *got, size_t count)
{
    const float *ref = cxr_golden_get(golden, count, "%s%s", what, layer);
    if (ref == NULL) fail_msg("%s%s is not in the fixture with %zu numbers", what, layer, count);
    const cxr_gap worst = cxr_gap_of(got, ref, count);
    if (!(worst.gap <= TOLERANCE))
        fail_msg("%s%s: gap %.3g at %zu: got %.9g, PyTorch %.9g", what, layer, worst.gap, worst.at, worst.got, worst.ref);
}

/* A full batch is larger than these images, so that the CPU backend makes a plan of another size. */
static void check_layer(const cxr_backend *backend, const char *layer)
{
    static const char *const names[] = {[CXR_GRAD_CAM] = "grad_cam.", [CXR_GRAD_CAM_PP] = "grad_cam_pp."};
    const cxr_compile_opts o = {.max_batch = IMAGES + 1, .threads = 2};
    const int classes[IMAGES] = {0, 1, 0, 1};
    cxr_probe p;
    must(cxr_probe_open(&p, backend, &graph, params, layer, &o, &error));
    must(cxr_probe_run(&p, IMAGES, pixels, &error));
    check("logits", "", p.logits, IMAGES * 2);
    must(cxr_probe_gradients(&p, classes, &error));
    const size_t cells = (size_t)p.shape.h * (size_t)p.shape.w, each = cxr_shape_count(p.shape);
    float *maps = cxr_mem_new(IMAGES * cells, sizeof *maps);
    assert_non_null(maps);
    for (int method = CXR_GRAD_CAM; method <= CXR_GRAD_CAM_PP; method++) {
        for (size_t i = 0; i < IMAGES; i++)
            cxr_cam(maps + i * cells, p.values + i * each, p.gradients + i * each, p.shape.c, cells,
                    (cxr_explain_method)method);
        check(names[method], layer, maps, IMAGES * cells);
    }
    cxr_mem_free(maps);
    cxr_probe_close(&p);
}

static void test_pytorch_cpu(void **state)
{
    (void)state;
    check_layer(&cxr_backend_cpu, "layer4");
    check_layer(&cxr_backend_cpu, "layer3");
    check_layer(&cxr_backend_cpu, "layer2");
}

static void test_pytorch_reference(void **state)
{
    (void)state;
    check_layer(&cxr_backend_reference, "layer4");
    check_layer(&cxr_backend_reference, "layer3");
}

/* Maps are compared with the tolerance of maps, probabilities in absolute terms. */
static void test_occlusion_and_deletion(void **state)
{
    (void)state;
    enum { BATCH = 50, CELLS = CXR_OCCLUSION_SIDE * CXR_OCCLUSION_SIDE, POINTS = CXR_CURVE_STEPS + 1 };
    const cxr_compile_opts o = {.max_batch = BATCH, .threads = 2}; /* 226 variants: the last batch is smaller */
    const cxr_preprocess pre = {.size = SIZE};
    static uint8_t scratch[BATCH * SIZE * SIZE];
    static float maps[2 * CELLS];
    float curves[2 * POINTS], cams[2 * 16];
    cxr_probe p;
    const cxr_variants v = {&p, scratch, BATCH, SIZE};
    must(cxr_probe_open(&p, &cxr_backend_cpu, &graph, params, "layer3", &o, &error));
    must(cxr_probe_run(&p, 2, pixels, &error));
    must(cxr_maps_make(cams, CXR_GRAD_CAM, &v, 2, pixels, (const int[]){0, 1}, &error));
    must(cxr_maps_make(maps, CXR_OCCLUSION, &v, 2, pixels, (const int[]){0, 1}, &error));
    check("occlusion", "", maps, 2 * CELLS);
    for (int i = 0; i < 2; i++) {
        const cxr_heat heat = {&pre, cams + (size_t)i * 16, 4, 4};
        cxr_curves c;
        must(cxr_curves_make(&c, &heat, &v, pixels + (size_t)i * SIZE * SIZE, i, 1.0, &error));
        memcpy(curves + i * POINTS, c.deletion, sizeof c.deletion);
        assert_float_equal(c.deletion[0], c.insertion[CXR_CURVE_STEPS], 1e-6f); /* both the image as it is */
        assert_true(c.deletion_area > 0.0 && c.deletion_area < 1.0 && c.insertion_area > 0.0 && c.insertion_area < 1.0);
    }
    check("deletion", "", curves, 2 * POINTS);
    cxr_probe_close(&p);
}

/* Channel 0 speaks for the class everywhere, channel 1 against it. */
static void test_by_hand(void **state)
{
    (void)state;
    const float a[] = {1, 3, 2, 0}, g[] = {1, 3, -1, -1};
    float map[2];
    cxr_cam(map, a, g, 2, 2, CXR_GRAD_CAM); /* weights 2 and -1 */
    assert_float_equal(map[0], 0.0f, 1e-6f);
    assert_float_equal(map[1], 6.0f, 1e-6f);
    cxr_cam(map, a, g, 2, 2, CXR_GRAD_CAM_PP); /* weights 1 / (2 + 4) + 3 / (2 + 12) and 0 */
    assert_float_equal(map[0], 8.0f / 21.0f, 1e-6f);
    assert_float_equal(map[1], 24.0f / 21.0f, 1e-6f);
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const layers[] = {"layer5", "backbone", "none", "", NULL};
    const cxr_compile_opts o = {.max_batch = 1, .threads = 1};
    for (int i = 0; i < 5; i++) {
        cxr_probe p;
        assert_int_equal(cxr_probe_open(&p, &cxr_backend_cpu, &graph, params, layers[i], &o, &error), CXR_EUSAGE);
        cxr_probe_close(&p);
    }
    cxr_program *p = NULL;
    const cxr_compile_opts pixel = {.mode = CXR_EXPLAIN, .max_batch = 1, .threads = 1};
    assert_int_equal(cxr_backend_cpu.compile(&p, &graph, 1, graph.node_count - 1, params, &pixel, &error), CXR_EUSAGE);
}

int main(void)
{
    golden = cxr_golden_open(FIXTURES "/explain.txt");
    if (golden == NULL) return CXR_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pytorch_cpu),
        cmocka_unit_test(test_pytorch_reference),
        cmocka_unit_test(test_occlusion_and_deletion),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_refuses),
    };
    const int failed = cmocka_run_group_tests_name("class activation maps", tests, set_up, tear_down);
    cxr_golden_close(&golden);
    return failed != 0;
}
