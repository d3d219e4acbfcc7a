#include "base/grant.h"
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_ROOM 4096

/* The numbers at the start of a file; how many there are, up to two. */
static int read_numbers(const char *folder, const char *name, long numbers[2])
{
    char path[PATH_ROOM + 64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (f == NULL) return 0;
    const int count = fscanf(f, "%ld %ld", &numbers[0], &numbers[1]);
    (void)fclose(f);
    return count < 0 ? 0 : count;
}

/* CPUs that the group in `folder` itself grants; INT_MAX: no quota ("max", or -1). */
static int folder_cpus(const char *folder, bool version1)
{
    long n[2] = {0, 0}, period[2] = {0, 0};
    bool known = version1 ? read_numbers(folder, "cpu.cfs_quota_us", n) > 0 : read_numbers(folder, "cpu.max", n) == 2;
    if (known && version1) {
        known = read_numbers(folder, "cpu.cfs_period_us", period) > 0;
        n[1] = period[0];
    }
    if (!known || n[0] <= 0 || n[1] <= 0) return INT_MAX;
    const long cpus = (n[0] - 1) / n[1] + 1;
    return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

/* A quota holds for everything below it. In a container the path may be that of the host, of which only the top exists here. */
static int least_cpus(const char *root, const char *controller, const char *group)
{
    char folder[PATH_ROOM];
    const int top = snprintf(folder, sizeof folder, "%s%s", root, controller);
    const int len = snprintf(folder, sizeof folder, "%s%s%s", root, controller, group);
    if (len < 0 || (size_t)len >= sizeof folder) return INT_MAX;
    int least = INT_MAX;
    for (;;) {
        const int cpus = folder_cpus(folder, *controller != '\0');
        if (cpus < least) least = cpus;
        char *slash = strrchr(folder + top, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

/* True when `name` is one of the comma-separated words. */
static bool is_among(const char *words, const char *name)
{
    const size_t len = strlen(name);
    for (const char *at = words; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || at[len] == '\0')) return true;
    }
    return false;
}

int cxr_cgroup_cpus(const char *membership, const char *root)
{
    FILE *f = fopen(membership, "re");
    if (f == NULL) return 0;
    int least = INT_MAX;
    char line[PATH_ROOM]; /* "0::/group" or "4:cpu,cpuacct:/group" */
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (group == NULL) continue;
        *group++ = '\0';
        controllers++;
        const bool version2 = *controllers == '\0';
        if (!version2 && !is_among(controllers, "cpu")) continue;
        const int cpus = least_cpus(root, version2 ? "" : "/cpu", group);
        if (cpus < least) least = cpus;
    }
    (void)fclose(f);
    return least == INT_MAX ? 0 : least;
}

int cxr_thread_grant(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const int quota = cxr_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
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
