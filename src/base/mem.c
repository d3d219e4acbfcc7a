#include "base/mem.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

static atomic_long fail_after = -1; /* allocations until the one that fails; negative: none */
static atomic_bool fail_fired = false;

void cxr_mem_fail_at(long n)
{
    atomic_store(&fail_fired, false);
    atomic_store(&fail_after, n);
}

bool cxr_mem_fail_fired(void)
{
    return atomic_load(&fail_fired);
}

static bool must_fail(void)
{
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) < 0) return false;
    if (atomic_fetch_sub(&fail_after, 1) != 0) return false;
    atomic_store(&fail_fired, true);
    return true;
}

/* Bytes of count elements, at least 1; false when they overflow. */
static bool total(size_t count, size_t size, size_t *bytes)
{
    if (__builtin_mul_overflow(count, size, bytes)) return false;
    if (*bytes == 0) *bytes = 1;
    return true;
}

void *cxr_mem_new(size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || !total(count, size, &bytes)) return NULL;
    return calloc(bytes, 1);
}

void *cxr_mem_resize(void *p, size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || !total(count, size, &bytes)) return NULL;
    return realloc(p, bytes);
}

void *cxr_mem_new_raw(size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || !total(count, size, &bytes) || bytes > SIZE_MAX - HUGE_PAGE) return NULL;
    const size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    void *p = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (p == NULL) return NULL;
    if (align == HUGE_PAGE) (void)madvise(p, bytes, MADV_HUGEPAGE); /* a hint: refusal only costs speed */
    return p;
}

void *cxr_mem_new_aligned(size_t count, size_t size)
{
    void *p = cxr_mem_new_raw(count, size);
    if (p != NULL) memset(p, 0, count * size);
    return p;
}

char *cxr_mem_strdup(const char *s)
{
    const size_t len = strlen(s) + 1;
    char *copy = cxr_mem_new(len, 1);
    if (copy != NULL) memcpy(copy, s, len);
    return copy;
}

char *cxr_mem_printf(const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    char *text = n < 0 ? NULL : cxr_mem_new((size_t)n + 1, 1);
    if (text != NULL) (void)vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

void cxr_mem_free(void *p)
{
    free(p);
}

void cxr_free(void *p)
{
    free(p);
}

cxr_status cxr_mem_fail(cxr_error *err, const char *what)
{
    return cxr_fail(err, CXR_ENOMEM, "out of memory for %s", what);
}
