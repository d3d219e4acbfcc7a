#include "base/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

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

double cxr_time_of_day(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double cxr_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
