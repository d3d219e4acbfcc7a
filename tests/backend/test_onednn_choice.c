/* Kernels chosen by timing. What a timing says is never tested: a file names the kernel that is to be taken, and programs show
 * which they took. Where the processor has no Winograd kernels there is one kernel only, and nothing to choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backend/onednn.h"
#include "backend/onednn_choice.h"
#include "base/file.h"
#include "base/mem.h"
#include "golden.h"
#include "graph/params.h"
#include "tolerance.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = CXR_CHOICE_BATCH, CHANNELS = 16, SIDE = 16, COUNT = BATCH * CHANNELS * SIDE * SIDE };

#define DIRECT "jit:avx512_core"

static char folder[] = "/tmp/cxr-choice-XXXXXX", path[64];
static cxr_graph graph;
static float *params;
static cxr_error error;

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) return 1;
    (void)snprintf(path, sizeof path, "%s/%s", folder, CXR_CHOICE_FILE);
    const int x = cxr_graph_relu(&graph, cxr_graph_input(&graph, SIDE, SIDE), "x");
    graph.nodes[x].shape.c = CHANNELS;
    (void)cxr_graph_conv(&graph, x, "conv", CHANNELS, 3, 1, 1);
    params = cxr_params_new(&graph);
    if (graph.status != CXR_OK || params == NULL) return 1;
    cxr_keyed_params(&graph, params, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    cxr_mem_free(params);
    cxr_graph_free(&graph);
    return rmdir(folder);
}

static int no_file(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

static void remember_kernel(void *user, const cxr_node *node, const char *kernel)
{
    if (node->op == CXR_OP_CONV && strstr(kernel, "jit") == kernel) (void)snprintf(user, 64, "%s", kernel);
}

static cxr_program *compile(cxr_compile_opts o)
{
    cxr_program *p = NULL;
    if (o.max_batch == 0) o.max_batch = BATCH;
    o.threads = 1;
    if (cxr_backend_cpu.compile(&p, &graph, 2, 2, params, &o, &error) != CXR_OK) fail_msg("%s", error.text);
    return p;
}

/* The convolution's kernel; its output too, if wanted. */
static const char *kernel_of(cxr_compile_opts o, float *output)
{
    static char name[64];
    static float x[COUNT];
    cxr_tensor *in = NULL;
    const cxr_tensor *out = NULL;
    cxr_program *p = compile(o);
    name[0] = '\0';
    cxr_onednn_kernels(p, remember_kernel, name);
    if (output != NULL) {
        cxr_keyed_fill(x, COUNT, cxr_keyed(1, 1), -1.0f, 1.0f);
        assert_int_equal(cxr_backend_cpu.tensor_new(&in, CXR_F32, BATCH, graph.nodes[1].shape, &error), CXR_OK);
        assert_int_equal(cxr_backend_cpu.tensor_write(in, BATCH, x, &error), CXR_OK);
        assert_int_equal(cxr_backend_cpu.forward(p, in, 0, &out, &error), CXR_OK);
        assert_int_equal(cxr_backend_cpu.tensor_read(out, output, &error), CXR_OK);
        cxr_backend_cpu.tensor_free(&in);
    }
    cxr_backend_cpu.close(&p);
    return name;
}

static const cxr_compile_opts by_rule = {.mode = CXR_INFER}, by_time = {.mode = CXR_INFER, .cache_dir = folder};

static bool has_winograd(void)
{
    return strstr(kernel_of(by_rule, NULL), "wino") != NULL;
}

/* What the file says after a program has asked. The caller frees it. */
static char *ask_and_read(void)
{
    cxr_buf file = {0};
    (void)kernel_of(by_time, NULL);
    assert_int_equal(cxr_buf_read(&file, path, 1 << 20, &error), CXR_OK);
    char *text = cxr_mem_new(file.len + 1, 1);
    assert_non_null(text);
    memcpy(text, file.data, file.len);
    cxr_buf_free(&file);
    return text;
}

static void put(const char *text, size_t length)
{
    assert_int_equal(cxr_file_write(path, text, length, &error), CXR_OK);
}

/* A line for this machine that names `kernel`; what stood before the name is as a program writes it. */
static void put_choice(char line[512], const char *kernel)
{
    char *text = ask_and_read();
    char *tab = strchr(text, '\t');
    assert_non_null(tab);
    (void)snprintf(line, 512, "%.*s%s\n", (int)(tab + 1 - text), text, kernel);
    put(line, strlen(line));
    cxr_mem_free(text);
}

static void test_remembered(void **state)
{
    (void)state;
    static float rule[COUNT], chosen[COUNT];
    char line[512];
    if (!has_winograd()) return;
    put_choice(line, DIRECT);
    assert_string_equal(kernel_of(by_time, chosen), DIRECT);
    assert_non_null(strstr(kernel_of(by_rule, rule), "wino"));
    const cxr_gap worst = cxr_gap_of(chosen, rule, COUNT);
    assert_memory_not_equal(chosen, rule, sizeof rule);
    if (!(worst.gap <= cxr_tolerance_of(CXR_OP_CONV).forward)) fail_msg("gap %.3g", worst.gap);
    char *after = ask_and_read();
    assert_string_equal(after, line);
    cxr_mem_free(after);
}

static void test_rule(void **state)
{
    (void)state;
    char line[512];
    if (!has_winograd()) return;
    cxr_compile_opts deterministic = by_time, few = by_time;
    put_choice(line, DIRECT);
    deterministic.deterministic = true;
    few.max_batch = CXR_CHOICE_BATCH - 1;
    assert_non_null(strstr(kernel_of(deterministic, NULL), "wino"));
    assert_non_null(strstr(kernel_of(few, NULL), "wino"));
    (void)unlink(path);
    (void)kernel_of(deterministic, NULL);
    (void)kernel_of(few, NULL);
    assert_false(cxr_path_exists(path)); /* nor is anything timed */
}

/* A choice once written stays: the first line that fits counts. */
static void test_first_counts(void **state)
{
    (void)state;
    char line[512], both[1024];
    if (!has_winograd()) return;
    put_choice(line, DIRECT);
    const char *tab = strchr(line, '\t');
    (void)snprintf(both, sizeof both, "%s%.*sjit_wino_4x3:avx512_core\n", line, (int)(tab + 1 - line), line);
    put(both, strlen(both));
    assert_string_equal(kernel_of(by_time, NULL), DIRECT);
}

/* Lines of other machines, torn, binary, and naming kernels that do not exist are passed over, and kept. */
static void test_damaged(void **state)
{
    (void)state;
    char line[512], bad[2048];
    if (!has_winograd()) return;
    put_choice(line, DIRECT);
    const char *tab = strchr(line, '\t');
    const int key = (int)(tab + 1 - line); /* its length */
    char other[512];
    memcpy(other, line, sizeof other);
    other[0] = '?';
    size_t n = (size_t)snprintf(bad, sizeof bad, "%s%.*s\n%.*snonsense\n%.*s%s:more\n%.*sjit", other, key - 1, line, key, line,
                                key, line, DIRECT, key, line);
    bad[n++] = '\0';
    bad[n++] = '\xff';
    put(bad, n);
    const char *taken = kernel_of(by_time, NULL);
    cxr_buf file = {0};
    assert_int_equal(cxr_buf_read(&file, path, 1 << 20, &error), CXR_OK);
    assert_true(file.len > n);
    assert_memory_equal(file.data, bad, n);
    assert_int_equal(file.data[n], '\n'); /* the torn line is ended */
    assert_memory_equal(file.data + n + 1, line, (size_t)key);
    assert_memory_equal(file.data + n + 1 + key, taken, strlen(taken));
    cxr_buf_free(&file);
}

static void test_too_large(void **state)
{
    (void)state;
    char line[512];
    if (!has_winograd()) return;
    put_choice(line, DIRECT);
    const size_t room = (size_t)1 << 20, used = strlen(line);
    char *huge = cxr_mem_new(room, 1);
    assert_non_null(huge);
    memcpy(huge, line, used);
    put(huge, room);
    cxr_mem_free(huge);
    char *text = ask_and_read();
    assert_true(strlen(text) < 512);
    assert_non_null(strchr(text, '\n'));
    cxr_mem_free(text);
}

/* Nothing can be remembered: the rule. */
static void test_no_file(void **state)
{
    (void)state;
    cxr_compile_opts o = by_time;
    if (!has_winograd()) return;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_non_null(strstr(kernel_of(o, NULL), "wino"));
    assert_int_equal(rmdir(path), 0);
    o.cache_dir = "/dev/null/cxr";
    assert_non_null(strstr(kernel_of(o, NULL), "wino"));
}

/* Programs that took other kernels than the rule's say so in the name of what they give. */
static void test_form(void **state)
{
    (void)state;
    char line[512];
    cxr_form rule, chosen;
    if (!has_winograd()) return;
    put_choice(line, DIRECT);
    cxr_program *a = compile(by_rule), *b = compile(by_time);
    cxr_backend_cpu.keep_form(a, &rule);
    cxr_backend_cpu.keep_form(b, &chosen);
    assert_string_not_equal(rule.name, chosen.name);
    cxr_backend_cpu.close(&a);
    cxr_backend_cpu.close(&b);
}

static void test_memory(void **state)
{
    (void)state;
    bool fired = true;
    const cxr_compile_opts o = {.mode = CXR_INFER, .max_batch = BATCH, .threads = 1, .cache_dir = folder};
    for (long n = 0; fired; n++) {
        cxr_program *p = NULL;
        (void)unlink(path);
        cxr_mem_fail_at(n);
        const cxr_status st = cxr_backend_cpu.compile(&p, &graph, 2, 2, params, &o, &error);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        if (st != CXR_OK && st != CXR_ENOMEM) fail_msg("allocation %ld: %s", n, error.text);
        if (!fired) assert_int_equal(st, CXR_OK);
        cxr_backend_cpu.close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_remembered, no_file),   cmocka_unit_test_setup(test_rule, no_file),
        cmocka_unit_test_setup(test_first_counts, no_file), cmocka_unit_test_setup(test_damaged, no_file),
        cmocka_unit_test_setup(test_too_large, no_file),    cmocka_unit_test_setup(test_no_file, no_file),
        cmocka_unit_test_setup(test_form, no_file),         cmocka_unit_test_setup(test_memory, no_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
