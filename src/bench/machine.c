/* The machine of the moment, from the kernel's files and the processor itself. */
#include "backend/describe.h"
#include "base/grant.h"
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* The brand string, spaces around it taken off. */
static void read_cpu(char *out, size_t room)
{
    char text[49] = "";
#if defined(__x86_64__)
    unsigned r[12] = {0};
    for (unsigned i = 0; i < 3; i++)
        if (__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]) == 0) return;
    memcpy(text, r, sizeof r);
#endif
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == ' ') text[--n] = '\0';
    (void)snprintf(out, room, "%s", text + strspn(text, " "));
}

static void read_line(char *out, size_t room, const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) return;
    if (fgets(out, (int)room, f) != NULL) out[strcspn(out, "\n")] = '\0';
    (void)fclose(f);
}

/* The data cache of that level, from the kernel's tables: a virtual machine's processor tells of caches it has no share in. */
static size_t cache_bytes(int level)
{
    for (int i = 0; i < 8; i++) {
        char path[96], text[32] = "";
        const char *const form = "/sys/devices/system/cpu/cpu0/cache/index%d/%s";
        (void)snprintf(path, sizeof path, form, i, "level");
        read_line(text, sizeof text, path);
        if (atoi(text) != level) continue;
        (void)snprintf(path, sizeof path, form, i, "type");
        read_line(text, sizeof text, path);
        if (strcmp(text, "Instruction") == 0) continue;
        (void)snprintf(path, sizeof path, form, i, "size");
        read_line(text, sizeof text, path);
        const long size = atol(text); /* "48K" */
        return size > 0 ? (size_t)size << (strchr(text, 'M') != NULL ? 20 : strchr(text, 'K') != NULL ? 10 : 0) : 0;
    }
    return 0;
}

void cxr_machine_read(cxr_machine *out)
{
    *out = (cxr_machine){.cores = (int)sysconf(_SC_NPROCESSORS_ONLN),
                         .threads = cxr_thread_grant(),
                         .l1 = cache_bytes(1),
                         .l2 = cache_bytes(2),
                         .l3 = cache_bytes(3)};
    read_cpu(out->cpu, sizeof out->cpu);
    read_line(out->governor, sizeof out->governor, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    (void)snprintf(out->isa, sizeof out->isa, "%s", cxr_onednn_isa());
    if (getloadavg(out->load, 3) != 3) memset(out->load, 0, sizeof out->load);
}
