/* What the CPU backend shows beyond backend.h: which kernels it chose, what they take, and how fast the best are by themselves.
 * For tests and for tuning. */
#ifndef CXR_BACKEND_ONEDNN_H
#define CXR_BACKEND_ONEDNN_H
#include "backend/backend.h"

/* Calls `row` for every oneDNN primitive of the program's plan for max_batch images, in the order of execution, with the node
 * it serves and the library's name for the implementation ("jit_wino_4x3:avx512_core"; reference ones contain "ref"). */
void cxr_onednn_kernels(const cxr_program *p, void (*row)(void *user, const cxr_node *node, const char *kernel), void *user);

/* Bytes of the parameters that the program keeps in its kernels' layouts. */
size_t cxr_onednn_weight_bytes(const cxr_program *p);

/* Ends the team of threads that the calling thread's programs left waiting; the next one that runs starts another. */
void cxr_onednn_settle(void);

/* Keeps up to `count` kernels that are compiled from now on for the life of the process, whoever made them: a program that needs
 * no others is compiled without making any. */
void cxr_onednn_keep_kernels(int count);

/* The convolutions of a span by themselves, each by the fastest kernel that the library has for its shape, precision, batch
 * (max_batch) and threads, found by timing all of them: what a program can hope for. INFER: with bias and ReLU. TRAIN: forward
 * and both gradients, no gradient of the span's input. Shapes are the graph's own, three channels of the first included. */
typedef struct cxr_conv_limit cxr_conv_limit;
/* CXR_EUNAVAILABLE when the span has no convolution, or the library no kernel. */
CXR_MUST_CHECK cxr_status cxr_conv_limit_open(cxr_conv_limit **out, const cxr_graph *g, int first, int last,
                                              const cxr_compile_opts *o, const cxr_hooks *hooks, cxr_error *err);
/* Seconds of one pass over all of them, timed for at least `least` seconds in all. */
CXR_MUST_CHECK cxr_status cxr_conv_limit_time(cxr_conv_limit *l, double least, double *forward, double *backward,
                                              cxr_error *err);
size_t cxr_conv_limit_bytes(const cxr_conv_limit *l);
void cxr_conv_limit_close(cxr_conv_limit **l);
#endif
