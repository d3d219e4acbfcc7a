/* How much of the machine this process may use. */
#ifndef CXR_BASE_GRANT_H
#define CXR_BASE_GRANT_H
#include <stdint.h>

/* Threads that this process may run at once: the CPUs it is bound to, cut by its control groups' quota. At least 1. */
int cxr_thread_grant(void);
/* Bytes of memory that this process may fill: the machine's, cut by a cgroup limit. */
uint64_t cxr_memory_grant(void);

/* CPUs, rounded up, that the least quota of the process's control group and those around it allows; 0: none is set.
 * membership: "/proc/self/cgroup"; root: "/sys/fs/cgroup". Version 2 (cpu.max) and 1 (cpu.cfs_quota_us, cpu.cfs_period_us). */
int cxr_cgroup_cpus(const char *membership, const char *root);
#endif
