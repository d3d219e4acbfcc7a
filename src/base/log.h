/* Lines for the host's logger, and the clock that throughput is measured with. */
#ifndef CXR_BASE_LOG_H
#define CXR_BASE_LOG_H
#include "cxr/cxr.h"

/* hooks may be NULL. */
void cxr_log(const cxr_hooks *hooks, cxr_level level, const char *fmt, ...) CXR_PRINTF(3, 4);
bool cxr_stop_asked(const cxr_hooks *hooks);

/* The time of day as "2026-01-31T23:59:59Z", or "" when the clock cannot be read. */
#define CXR_STAMP 32
void cxr_stamp(char out[CXR_STAMP]);

/* Seconds since 1970. */
double cxr_time_of_day(void);
/* Monotonic seconds. */
double cxr_now(void);
#endif
