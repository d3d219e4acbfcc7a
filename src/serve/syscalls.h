/* The system calls that serving needs, and no others (seccomp), for all threads of the process. */
#ifndef CXR_SERVE_SYSCALLS_H
#define CXR_SERVE_SYSCALLS_H
#include "cxr/cxr.h"

/* A call that no honest path of the server makes (running a program, reaching into another process) ends the process; any other
 * that is not allowed fails with EPERM, as libraries expect of a call that they can do without: an overlooked one must not take
 * a running server down. Logs a warning where the kernel has no seccomp. */
CXR_MUST_CHECK cxr_status cxr_limit_syscalls(const cxr_hooks *hooks, cxr_error *err);
#endif
