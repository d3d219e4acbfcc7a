#include "base/log.h"
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void cxr_log(const cxr_hooks *hooks, cxr_level level, const char *fmt, ...)
{
    if (hooks == NULL || hooks->log.write == NULL) return;
    char line[2048];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n >= 0) hooks->log.write(hooks->log.user, level, line);
}

bool cxr_stop_asked(const cxr_hooks *hooks)
{
    return hooks != NULL && hooks->should_stop != NULL && hooks->should_stop(hooks->user);
}

void cxr_stamp(char out[CXR_STAMP])
{
    const time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts) == NULL || strftime(out, CXR_STAMP, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) out[0] = '\0';
}

double cxr_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* CPUs of this cgroup's quota (cgroup v2), or 0 when there is none. */
static int cgroup_quota(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (f == NULL) return 0;
    long quota = 0, period = 0;
    const int read = fscanf(f, "%ld %ld", &quota, &period);
    (void)fclose(f);
    return read == 2 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int cxr_thread_grant(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const int quota = cgroup_quota();
    if (quota > 0 && quota < n) n = quota;
    return n < 1 ? 1 : n;
}

/* The limit of this cgroup (cgroup v2), or UINT64_MAX when there is none. */
static uint64_t cgroup_memory(void)
{
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    if (f == NULL) return UINT64_MAX;
    unsigned long long limit = 0;
    const int read = fscanf(f, "%llu", &limit);
    (void)fclose(f);
    return read == 1 ? limit : UINT64_MAX;
}

uint64_t cxr_memory_grant(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    const uint64_t group = cgroup_memory();
    return group < machine ? group : machine;
}
