/* What this build can compute with, in words for --version. */
#ifndef CXR_BACKEND_DESCRIBE_H
#define CXR_BACKEND_DESCRIBE_H
#include <stddef.h>

/* "2.6.3": of the oneDNN in use, which may be newer than the one built against. */
void cxr_onednn_version(char *out, size_t room);
/* The best instruction set that oneDNN's kernels use here: "avx512_core_vnni". */
const char *cxr_onednn_isa(void);
#endif
