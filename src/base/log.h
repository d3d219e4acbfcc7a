/* Lines for the host's logger, and the clock that throughput is measured with. */
#ifndef CXR_BASE_LOG_H
#define CXR_BASE_LOG_H
#include "cxr/cxr.h"

/* hooks may be NULL. */
void cxr_log(const cxr_hooks *hooks, cxr_level level, const char *fmt, ...) CXR_PRINTF(3, 4);
bool cxr_stop_asked(const cxr_hooks *hooks);

/* Monotonic seconds. */
double cxr_now(void);

/* Threads that this process may run at once: the affinity mask, cut by a cgroup CPU quota. At least 1. */
int cxr_thread_grant(void);
#endif
