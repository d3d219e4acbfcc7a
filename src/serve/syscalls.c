/* The filter is made of the tables below; where arguments count, a call has its own line in add_checked(). */
#include "serve/syscalls.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of descriptors that are open, and connections that are accepted. There is no socket(), connect() or bind(). */
static const int on_descriptors[] = {
    SCMP_SYS(read),       SCMP_SYS(readv),       SCMP_SYS(pread64),       SCMP_SYS(write),       SCMP_SYS(writev),
    SCMP_SYS(lseek),      SCMP_SYS(close),       SCMP_SYS(fcntl),         SCMP_SYS(fstat),       SCMP_SYS(newfstatat),
    SCMP_SYS(statx),      SCMP_SYS(getdents64),  SCMP_SYS(fadvise64),     SCMP_SYS(sendfile),    SCMP_SYS(accept),
    SCMP_SYS(accept4),    SCMP_SYS(listen),      SCMP_SYS(recvfrom),      SCMP_SYS(recvmsg),     SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),    SCMP_SYS(shutdown),    SCMP_SYS(getsockname),   SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(poll),        SCMP_SYS(ppoll),         SCMP_SYS(select),      SCMP_SYS(pselect6),
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),   SCMP_SYS(eventfd2),
    SCMP_SYS(pipe2),      SCMP_SYS(fsync),       SCMP_SYS(fdatasync),
};
/* Asked of paths; Landlock says which of them can be read. */
static const int on_paths[] = {
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
};
static const int on_memory[] = {
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
};
static const int on_threads[] = {
    SCMP_SYS(futex),
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sched_yield),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(membarrier),
    SCMP_SYS(pause),
};
static const int on_time_and_self[] = {
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
    SCMP_SYS(time),          SCMP_SYS(getcpu),       SCMP_SYS(getrandom),       SCMP_SYS(getrusage), SCMP_SYS(getuid),
    SCMP_SYS(geteuid),       SCMP_SYS(getgid),       SCMP_SYS(getegid),         SCMP_SYS(uname),     SCMP_SYS(sysinfo),
};
/* What nobody but an intruder tries. */
static const int deadly[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct {
    const int *calls;
    size_t count;
} allowed[] = {
    {on_descriptors, COUNT(on_descriptors)},
    {on_paths, COUNT(on_paths)},
    {on_memory, COUNT(on_memory)},
    {on_threads, COUNT(on_threads)},
    {on_time_and_self, COUNT(on_time_and_self)},
};

static void add(scmp_filter_ctx f, int *bad, uint32_t action, int call)
{
    if (*bad == 0) *bad = seccomp_rule_add_array(f, action, call, 0, NULL);
}

static void add_if(scmp_filter_ctx f, int *bad, uint32_t action, int call, struct scmp_arg_cmp condition)
{
    if (*bad == 0) *bad = seccomp_rule_add_array(f, action, call, 1, &condition);
}

/* clone3() hides its flags in memory: glibc takes clone() where it is told that there is no clone3(). */
static void add_checked(scmp_filter_ctx f, int *bad)
{
    const scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC;
    const int maps[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    for (size_t i = 0; i < COUNT(maps); i++) add_if(f, bad, SCMP_ACT_ALLOW, maps[i], SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    add_if(f, bad, SCMP_ACT_ALLOW, SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
    add_if(f, bad, SCMP_ACT_ALLOW, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    add(f, bad, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
    add_if(f, bad, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    add_if(f, bad, SCMP_ACT_ALLOW, SCMP_SYS(kill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    add_if(f, bad, SCMP_ACT_ALLOW, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
    add_if(f, bad, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0, 0)); /* asks, sets nothing */
}

static int fill(scmp_filter_ctx f)
{
    int bad = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (bad == 0) bad = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (bad == 0) bad = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: some ten comparisons for each call */
    for (size_t t = 0; t < COUNT(allowed); t++)
        for (size_t i = 0; i < allowed[t].count; i++) add(f, &bad, SCMP_ACT_ALLOW, allowed[t].calls[i]);
    for (size_t i = 0; i < COUNT(deadly); i++) add(f, &bad, SCMP_ACT_KILL_PROCESS, deadly[i]);
    add_checked(f, &bad);
    return bad;
}

cxr_status cxr_limit_syscalls(const cxr_hooks *hooks, cxr_error *err)
{
    const uint32_t action = SECCOMP_RET_KILL_PROCESS;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
        cxr_log(hooks, CXR_WARNING, "sandbox: no seccomp in this kernel (%s): every system call stays open", strerror(errno));
        return CXR_OK;
    }
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (f == NULL) return cxr_fail(err, CXR_ENOMEM, "the sandbox: memory is exhausted");
    int bad = fill(f);
    if (bad == 0) bad = seccomp_load(f);
    seccomp_release(f);
    if (bad != 0) return cxr_fail(err, CXR_EUNAVAILABLE, "sandbox: seccomp: %s", strerror(-bad));
    cxr_log(hooks, CXR_INFO, "sandbox: no system calls but those of serving (seccomp)");
    return CXR_OK;
}
