#include "cxr/cxr.h"
#include <stdarg.h>
#include <stdio.h>

cxr_status cxr_fail(cxr_error *err, cxr_status status, const char *fmt, ...)
{
    if (err == NULL) return status;
    err->status = status;
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    if (n < 0) err->text[0] = '\0';
    return status;
}
