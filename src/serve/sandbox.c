/* Order: Landlock and PR_SET_MDWE before seccomp, which refuses the calls that set them. The numbers of Landlock are spelt out
 * here where the headers of Debian 12 are older than kernels that it runs on. */
#include "serve/sandbox.h"
#include "backend/onednn.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/syscalls.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

/* ---- Threads ---- */

/* Threads of this process; 0: not known. */
static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) return 0;
    int count = 0;
    for (const struct dirent *e; (e = readdir(tasks)) != NULL;) count += e->d_name[0] != '.';
    (void)closedir(tasks);
    return count;
}

#define LEAVING                                                                                                                \
    1000 /* milliseconds that an ended thread may need to be gone: the kernel lists it a little longer than a join waits */

static cxr_status be_alone(cxr_error *err)
{
    const struct timespec nap = {0, 1000000};
    cxr_onednn_settle();
    int threads = count_threads();
    for (int i = 0; threads > 1 && i < LEAVING; i++) {
        (void)nanosleep(&nap, NULL);
        threads = count_threads();
    }
    if (threads <= 1) return CXR_OK;
    return cxr_fail(err, CXR_EINTERNAL, "sandbox: %d threads run already, which Landlock would not hold", threads);
}

/* ---- Landlock (kernel documentation, userspace-api/landlock.rst) ---- */

/* struct landlock_ruleset_attr of version 6. */
typedef struct ruleset {
    uint64_t files, tcp, scope;
} ruleset;

#define FILES_1    ((UINT64_C(1) << 13) - 1) /* run, write, read, list, remove, make */
#define REFER_2    (UINT64_C(1) << 13)       /* link or rename into another folder */
#define TRUNCATE_3 (UINT64_C(1) << 14)
#define TCP_4      UINT64_C(3)         /* bind, connect */
#define IOCTL_5    (UINT64_C(1) << 15) /* of devices */
#define SCOPE_6    UINT64_C(3)         /* abstract sockets of, and signals to, others */

/* All that `version` can take away, and how much of the structure it knows. */
static ruleset everything(long version, size_t *bytes)
{
    ruleset r = {.files = FILES_1};
    if (version >= 2) r.files |= REFER_2;
    if (version >= 3) r.files |= TRUNCATE_3;
    if (version >= 4) r.tcp = TCP_4;
    if (version >= 5) r.files |= IOCTL_5;
    if (version >= 6) r.scope = SCOPE_6;
    *bytes = version >= 6 ? sizeof r : version >= 4 ? 2 * sizeof r.files : sizeof r.files;
    return r;
}

/* Lets files beneath the folder of `file` be read. */
static cxr_status allow_folder(int rules, const char *file, const cxr_hooks *hooks, cxr_error *err)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash == NULL ? cxr_mem_strdup(".") : cxr_mem_printf("%.*s", (int)(slash - file + 1), file);
    if (folder == NULL) return cxr_mem_fail(err, "the sandbox");
    cxr_status st = CXR_OK;
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE};
    rule.parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rule.parent_fd < 0)
        st = cxr_fail(err, CXR_ENOINPUT, "%s: cannot be opened for the sandbox: %s", folder, strerror(errno));
    else if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        st = cxr_fail(err, CXR_EUNAVAILABLE, "%s: Landlock takes no rule for it: %s", folder, strerror(errno));
    else
        cxr_log(hooks, CXR_INFO, "sandbox: files beneath %s can still be read", folder);
    if (rule.parent_fd >= 0) (void)close(rule.parent_fd);
    cxr_mem_free(folder);
    return st;
}

/* The folder that names the file and, where that is a link, the one that holds it. */
static cxr_status allow_file(int rules, const char *file, const cxr_hooks *hooks, cxr_error *err)
{
    const cxr_status st = allow_folder(rules, file, hooks, err);
    char *real = st == CXR_OK ? realpath(file, NULL) : NULL;
    if (real == NULL) return st;
    const cxr_status held = strcmp(real, file) == 0 ? CXR_OK : allow_folder(rules, real, hooks, err);
    free(real);
    return held;
}

static cxr_status limit_files(const cxr_sandbox *s, const cxr_hooks *hooks, cxr_error *err)
{
    const long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        cxr_log(hooks, CXR_WARNING, "sandbox: no Landlock in this kernel (%s): files stay open to reading", strerror(errno));
        return CXR_OK;
    }
    size_t bytes;
    const ruleset all = everything(version, &bytes);
    const int rules = (int)syscall(SYS_landlock_create_ruleset, &all, bytes, 0);
    if (rules < 0) return cxr_fail(err, CXR_EUNAVAILABLE, "sandbox: Landlock %ld: %s", version, strerror(errno));
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < s->file_count && st == CXR_OK; i++) st = allow_file(rules, s->files[i], hooks, err);
    if (st == CXR_OK && syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        st = cxr_fail(err, CXR_EUNAVAILABLE, "sandbox: Landlock %ld: %s", version, strerror(errno));
    (void)close(rules);
    if (st != CXR_OK) return st;
    cxr_log(hooks, CXR_INFO, "sandbox: no other file, nothing written, no program run (Landlock %ld)", version);
    if (all.tcp == 0)
        cxr_log(hooks, CXR_WARNING, "sandbox: Landlock %ld of this kernel knows no TCP: that is left to seccomp", version);
    return CXR_OK;
}

/* ---- The rest ---- */

static cxr_status limit_memory(const cxr_hooks *hooks)
{
    if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0)
        cxr_log(hooks, CXR_WARNING, "sandbox: no PR_SET_MDWE in this kernel (%s): executable memory is left to seccomp",
                strerror(errno));
    else
        cxr_log(hooks, CXR_INFO, "sandbox: no memory becomes executable (PR_SET_MDWE)");
    return CXR_OK;
}

static cxr_status limit_privileges(cxr_error *err)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return CXR_OK;
    return cxr_fail(err, CXR_EUNAVAILABLE, "sandbox: core dumps or new privileges cannot be given up: %s", strerror(errno));
}

cxr_status cxr_sandbox_enter(const cxr_sandbox *s, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_status st = be_alone(err);
    if (st == CXR_OK) st = limit_privileges(err);
    if (st == CXR_OK) st = limit_files(s, hooks, err);
    if (st == CXR_OK) st = limit_memory(hooks);
    return st == CXR_OK ? cxr_limit_syscalls(hooks, err) : st;
}
