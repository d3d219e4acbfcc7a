#include "base/parallel.h"
#include "base/grant.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

typedef struct loop {
    void (*fn)(void *user, int worker, size_t item);
    void *user;
    size_t items;
    atomic_size_t next;
} loop;

typedef struct worker {
    loop *loop;
    int number;
    pthread_t thread;
} worker;

int cxr_workers(int threads, size_t items)
{
    int count = threads > 0 ? threads : cxr_thread_grant();
    if (count > CXR_MOST_WORKERS) count = CXR_MOST_WORKERS;
    if ((size_t)count > items) count = (int)items;
    return count > 0 ? count : 1;
}

static void *work(void *user)
{
    const worker *w = user;
    loop *l = w->loop;
    for (size_t i; (i = atomic_fetch_add(&l->next, 1)) < l->items;) l->fn(l->user, w->number, i);
    return NULL;
}

void cxr_parallel(int workers, size_t items, void (*fn)(void *user, int worker, size_t item), void *user)
{
    loop l = {.fn = fn, .user = user, .items = items};
    worker w[CXR_MOST_WORKERS];
    sigset_t all, old;
    w[0] = (worker){.loop = &l};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int started = 1;
    for (; started < workers && started < CXR_MOST_WORKERS; started++) {
        w[started] = (worker){.loop = &l, .number = started};
        if (pthread_create(&w[started].thread, NULL, work, &w[started]) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)work(&w[0]);
    for (int i = 1; i < started; i++) (void)pthread_join(w[i].thread, NULL);
}
