/* What the server gives up for good once its models are loaded and its programs compiled, so that whoever takes it over by a
 * damaged image or a request finds nothing to open, run or call. Each part that the kernel lacks is logged as a warning. */
#ifndef CXR_SERVE_SANDBOX_H
#define CXR_SERVE_SANDBOX_H
#include "cxr/cxr.h"

typedef struct cxr_sandbox {
    const char *const *files; /* that may be read again later, as the models' are: everything beneath their folders, no more */
    size_t file_count;
} cxr_sandbox;

/* Takes from this process: core dumps; privileges gained by running a program (PR_SET_NO_NEW_PRIVS); all files but those that
 * may be read, TCP addresses, other processes (Landlock); memory that is made executable (PR_SET_MDWE); all system calls that
 * serving does not need (seccomp). Descriptors that are open stay so.
 *
 * Call it where one thread runs, before those that serve are started: Landlock holds for the calling thread and those it starts,
 * other than the rest. The team of OpenMP threads that compiling left behind is ended here; any other thread is CXR_EINTERNAL.
 * CXR_ENOINPUT when a folder is gone. What the kernel has and yet refuses is CXR_EUNAVAILABLE: nothing is served then.
 *
 * Afterwards a program can be compiled only where every kernel of it is in oneDNN's cache, as those of a model of the same
 * network are; another one fails as any compilation may. */
CXR_MUST_CHECK cxr_status cxr_sandbox_enter(const cxr_sandbox *s, const cxr_hooks *hooks, cxr_error *err);
#endif
