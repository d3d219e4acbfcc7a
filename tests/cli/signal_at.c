/* Preloaded into cxr: the CXR_TEST_AT-th time that it opens or renames to a file whose name ends with CXR_TEST_FILE, it first
 * receives the signal CXR_TEST_SIGNAL. So a test stops a run at a chosen moment, however fast the machine is. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static void meet(const char *path)
{
    static atomic_int met;
    const char *end = getenv("CXR_TEST_FILE"), *at = getenv("CXR_TEST_AT"), *number = getenv("CXR_TEST_SIGNAL");
    if (end == NULL || at == NULL || number == NULL) return;
    const size_t len = strlen(path), tail = strlen(end);
    if (len < tail || strcmp(path + len - tail, end) != 0) return;
    if (atomic_fetch_add(&met, 1) + 1 == atoi(at)) (void)kill(getpid(), atoi(number));
}

int open(const char *path, int flags, ...)
{
    int (*next)(const char *, int, ...);
    void *found = dlsym(RTLD_NEXT, "open");
    memcpy(&next, &found, sizeof next); /* ISO C has no cast from an object to a function */
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    meet(path);
    return next(path, flags, mode);
}

int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *);
    void *found = dlsym(RTLD_NEXT, "rename");
    memcpy(&next, &found, sizeof next);
    meet(to);
    return next(from, to);
}
