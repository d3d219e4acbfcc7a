#include "backend/describe.h"
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>

void cxr_onednn_version(char *out, size_t room)
{
    const dnnl_version_t *v = dnnl_version();
    (void)snprintf(out, room, "%d.%d.%d", v->major, v->minor, v->patch);
}

const char *cxr_onednn_isa(void)
{
    switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41: return "sse41";
    case dnnl_cpu_isa_avx: return "avx";
    case dnnl_cpu_isa_avx2: return "avx2";
    case dnnl_cpu_isa_avx2_vnni: return "avx2_vnni";
    case dnnl_cpu_isa_avx512_core: return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni: return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16: return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx: return "avx512_core_amx";
    default: return "other";
    }
}
