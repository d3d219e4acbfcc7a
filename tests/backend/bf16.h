/* What tests of bf16 share; include after cmocka. */
#ifndef CXR_TESTS_BF16_H
#define CXR_TESTS_BF16_H
#include "backend/backend.h"
#include "base/mem.h"
#include "graph/params.h"
#include <string.h>

/* Whether this processor has bf16; elsewhere asking for it must fail with the sentence that says so. */
static inline bool bf16_here(cxr_mode mode)
{
    cxr_graph g = {0};
    cxr_error error = {0};
    const int x = cxr_graph_relu(&g, cxr_graph_input(&g, 4, 4), "x");
    assert_int_equal(g.status, CXR_OK);
    g.nodes[x].shape.c = 16;
    (void)cxr_graph_conv(&g, x, "conv", 16, 3, 1, 1);
    float *params = cxr_params_new(&g);
    assert_non_null(params);
    const cxr_compile_opts o = {.mode = mode, .max_batch = 1, .threads = 1, .precision = CXR_PRECISION_BF16};
    cxr_program *p = NULL;
    const cxr_status st = cxr_backend_cpu.compile(&p, &g, 2, 2, params, &o, &error);
    if (st != CXR_OK) {
        assert_int_equal(st, CXR_EUNAVAILABLE);
        assert_non_null(strstr(error.text, "AVX512_BF16"));
    }
    cxr_backend_cpu.close(&p);
    cxr_mem_free(params);
    cxr_graph_free(&g);
    return st == CXR_OK;
}
#endif
