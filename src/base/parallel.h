/* One loop run by several threads. */
#ifndef CXR_BASE_PARALLEL_H
#define CXR_BASE_PARALLEL_H
#include <stddef.h>

#define CXR_MOST_WORKERS 256

/* As many threads as asked for (0: as the machine grants), but not more than there are items, nor than CXR_MOST_WORKERS. */
int cxr_workers(int threads, size_t items);
/* Calls `fn` once for each item 0..items-1, handed out one by one, so that a thread that is held up takes fewer. worker is
 * 0..workers-1: what a thread keeps for itself. The calling thread is worker 0; one that cannot start is only one fewer. Threads are
 * born with every signal blocked: signals are the caller's. */
void cxr_parallel(int workers, size_t items, void (*fn)(void *user, int worker, size_t item), void *user);
#endif
