/* What the CPU backend shows beyond backend.h: which kernels it chose. For tests and for tuning. */
#ifndef CXR_BACKEND_ONEDNN_H
#define CXR_BACKEND_ONEDNN_H
#include "backend/backend.h"

/* Calls `row` for every oneDNN primitive of the program's plan for max_batch images, in the order of execution, with the node
 * it serves and the library's name for the implementation ("jit_wino_4x3:avx512_core"; reference ones contain "ref"). */
void cxr_onednn_kernels(const cxr_program *p, void (*row)(void *user, const cxr_node *node, const char *kernel), void *user);
#endif
