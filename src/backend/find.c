/* Which backend serves a device: apart from backend.c, so that what uses one backend need not link every other. */
#include "backend/backend.h"

cxr_status cxr_backend_find(const cxr_backend **out, cxr_device device, cxr_error *err)
{
    *out = NULL;
    switch (device) {
    case CXR_DEVICE_AUTO:
    case CXR_DEVICE_CPU: *out = &cxr_backend_cpu; return CXR_OK;
    case CXR_DEVICE_REFERENCE: *out = &cxr_backend_reference; return CXR_OK;
    case CXR_DEVICE_CUDA: return cxr_fail(err, CXR_EUNAVAILABLE, "this build of cxr has no CUDA backend: use --device cpu");
    }
    return cxr_fail(err, CXR_EUSAGE, "unknown device %d", (int)device);
}
