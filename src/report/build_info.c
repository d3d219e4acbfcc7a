/* The version, and what stands below it: the libraries in use, the compiler, the CPU. */
#include "backend/describe.h"
#include "base/grant.h"
#include "base/log.h"
#include <cairo.h>
#include <csv.h>
#include <curl/curl.h>
#include <isa-l.h>
#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <seccomp.h>
#include <spng.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zip.h>
#include <zlib.h>
/* After <stdio.h>, which it needs. */
#include <jpeglib.h>

static char info[2048];
static pthread_once_t once = PTHREAD_ONCE_INIT;

CXR_PRINTF(1, 2) static void add(const char *fmt, ...)
{
    const size_t used = strlen(info);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(info + used, sizeof info - used, fmt, args);
    va_end(args);
}

#define TEXT_OF(x)       TEXT_OF_VALUE(x)
#define TEXT_OF_VALUE(x) #x

static void add_libraries(void)
{
    char onednn[32];
    cxr_onednn_version(onednn, sizeof onednn);
    add("onednn %s\n", onednn);
    add("libjpeg-turbo %s\n", TEXT_OF(LIBJPEG_TURBO_VERSION));
    add("libspng %s\n", spng_version_string());
    add("ISA-L %d.%d.%d\n", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION, ISAL_PATCH_VERSION);
    add("libzip %s\n", zip_libzip_version());
    add("libcsv %d.%d.%d\n", CSV_MAJOR, CSV_MINOR, CSV_RELEASE);
    add("jansson %s\n", jansson_version_str());
    add("cairo %s\n", cairo_version_string());
    add("libcurl %s\n", curl_version_info(CURLVERSION_NOW)->version);
    add("libmicrohttpd %s\n", MHD_get_version());
    const struct scmp_version *seccomp = seccomp_version();
    add("libseccomp %u.%u.%u\n", seccomp->major, seccomp->minor, seccomp->micro);
    add("zlib %s\n", zlibVersion());
    add("openssl %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
}

static void add_cpu(void)
{
    add("cpu");
#if defined(__x86_64__)
    __builtin_cpu_init();
#define ADD_FEATURE(name)                                                                                                      \
    if (__builtin_cpu_supports(name)) add(" " name)
    ADD_FEATURE("sse4.2");
    ADD_FEATURE("avx");
    ADD_FEATURE("fma");
    ADD_FEATURE("avx2");
    ADD_FEATURE("avx512f");
    ADD_FEATURE("avx512bw");
    ADD_FEATURE("avx512vl");
    ADD_FEATURE("avx512vnni");
    ADD_FEATURE("avx512bf16");
#undef ADD_FEATURE
#endif
    add("; kernels for %s, %d threads", cxr_onednn_isa(), cxr_thread_grant());
}

static void describe(void)
{
    add_libraries();
#if defined(__clang__)
    add("compiler " __VERSION__ "\n");
#else
    add("compiler gcc " __VERSION__ "\n");
#endif
    add("backends reference cpu\n");
    add_cpu();
}

const char *cxr_version(void)
{
    return CXR_VERSION;
}

const char *cxr_build_info(void)
{
    (void)pthread_once(&once, describe);
    return info;
}
