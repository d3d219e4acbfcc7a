/* Do two backends compute the same? Runs one span of a graph on both, with keyed parameters and inputs, forward and (training,
 * explaining) backward, and reports everything that differs by more than the tolerance: output, running statistics, each
 * gradient. */
#ifndef CXR_TESTS_AGREE_H
#define CXR_TESTS_AGREE_H
#include "backend/backend.h"
#include "compare.h"
#include "tolerance.h"

typedef struct cxr_agree_case {
    const cxr_graph *g;
    int first, last;
    cxr_mode mode;
    int n, max_batch;        /* images of the forward; the program's limit, 0: n */
    int threads;             /* 0: 1 */
    cxr_precision precision; /* of the backend under test; the reference computes in f32 */
    uint64_t seed;           /* of parameters, inputs and dropout */
    cxr_tolerance tolerance;
} cxr_agree_case;

/* What one backend answered: after one forward, or two training steps whose gradients add up. */
typedef struct cxr_answer {
    float *out;    /* n images of the last node */
    float *params; /* the graph's parameters afterwards: running statistics have moved */
    float *grads;  /* of the parameters; zeros but for CXR_TRAIN */
    float *din;    /* of the span's input, n images; zeros but for CXR_EXPLAIN */
} cxr_answer;

/* Runs `backend` on the case. Free with cxr_answer_free also after a failure. */
CXR_MUST_CHECK cxr_status cxr_answer_of(cxr_answer *a, const cxr_backend *backend, const cxr_agree_case *c, cxr_error *err);
void cxr_answer_free(cxr_answer *a);

/* A bias straight before a batch norm has gradient zero: rounding noise on both sides. */
static inline bool cxr_gradient_is_noise(const cxr_graph *g, const cxr_param *p)
{
    return p->role == CXR_BIAS && p->node + 1 < g->node_count && g->nodes[p->node + 1].op == CXR_OP_BATCHNORM;
}

/* True when `got` and `ref` agree on the case. Otherwise `report` names the first thing that differs, its gap and limit. */
bool cxr_agree(const cxr_backend *got, const cxr_backend *ref, const cxr_agree_case *c, char *report, size_t room);
#endif
