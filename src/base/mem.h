/* Memory for the whole library: zeroed, overflow-checked, 64-byte aligned on request, and able to fail on purpose so that
 * tests can walk every failure path. Free everything with cxr_mem_free(). */
#ifndef CXR_BASE_MEM_H
#define CXR_BASE_MEM_H
#include "cxr/cxr.h"

/* `count` zeroed elements of `size` bytes; NULL when memory is exhausted or count * size overflows. count 0 gives a pointer. */
void *cxr_mem_new(size_t count, size_t size) CXR_MUST_CHECK;
/* Grows or shrinks; what is new is not zeroed. On failure returns NULL and `p` stays valid. */
void *cxr_mem_resize(void *p, size_t count, size_t size) CXR_MUST_CHECK;
char *cxr_mem_strdup(const char *s) CXR_MUST_CHECK;
char *cxr_mem_printf(const char *fmt, ...) CXR_PRINTF(1, 2) CXR_MUST_CHECK;
void cxr_mem_free(void *p);

/* Zeroed and aligned to 64 bytes (a cache line, an AVX-512 register); large blocks ask for huge pages. */
void *cxr_mem_new_aligned(size_t count, size_t size) CXR_MUST_CHECK;
/* The same, not zeroed: for what is written whole before it is read. */
void *cxr_mem_new_raw(size_t count, size_t size) CXR_MUST_CHECK;

/* CXR_ENOMEM with its sentence: `what` names the thing that did not fit. */
cxr_status cxr_mem_fail(cxr_error *err, const char *what);

/* Tests only: the n-th allocation from now on (0 = the next) fails; negative: none. */
void cxr_mem_fail_at(long n);
bool cxr_mem_fail_fired(void);
#endif
