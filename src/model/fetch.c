/* Downloads into NAME.part, continues what is there, and renames it once size and hash are right. The environment is not
 * read: without a proxy argument there is none. */
#include "model/fetch.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_MAX_UNKNOWN ((uint64_t)1 << 30) /* bytes accepted when the size is not known */
#define ATTEMPTS         4                   /* connections, each after one that broke off with progress */
#define LOG_SECONDS      5.0

typedef struct transfer {
    const cxr_remote *remote;
    const char *proxy;
    const cxr_hooks *hooks;
    char *url, *path, *part;
    int fd;        /* of the part, locked */
    uint64_t have; /* bytes in it */
    double last_log;
    bool too_large, stopped;
    int write_errno;
    long http; /* status of the last answer */
} transfer;

static uint64_t limit_of(const cxr_remote *r)
{
    return r->size > 0 ? r->size : SIZE_MAX_UNKNOWN;
}

static bool hash_matches(const cxr_remote *r, const char hex[65])
{
    return strncmp(hex, r->sha256, strlen(r->sha256)) == 0;
}

/* ---- The part on disk ---- */

static cxr_status open_part(transfer *t, cxr_error *err)
{
    struct stat info;
    t->fd = open(t->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (t->fd < 0) return cxr_fail(err, CXR_ECREATE, "%s: cannot create: %s", t->part, strerror(errno));
    if (flock(t->fd, LOCK_EX | LOCK_NB) != 0)
        return cxr_fail(err, CXR_EUNAVAILABLE, "%s: another process is fetching it; try again when it is done", t->part);
    if (fstat(t->fd, &info) != 0) return cxr_fail(err, CXR_EIO, "%s: cannot read: %s", t->part, strerror(errno));
    t->have = (uint64_t)info.st_size;
    return CXR_OK;
}

static cxr_status start_over(transfer *t, cxr_error *err)
{
    t->have = 0;
    if (ftruncate(t->fd, 0) == 0) return CXR_OK;
    return cxr_fail(err, CXR_EIO, "%s: cannot write: %s", t->part, strerror(errno));
}

static cxr_status finish_part(transfer *t, cxr_error *err)
{
    char hex[65];
    const cxr_remote *r = t->remote;
    const cxr_status st = cxr_sha256_file(t->part, hex, err);
    if (st != CXR_OK) return st;
    if ((r->size > 0 && t->have != r->size) || !hash_matches(r, hex)) {
        (void)unlink(t->part);
        return cxr_fail(err, CXR_EDATA, "%s: what arrived has %llu bytes and SHA-256 %s, expected %s; it was removed", t->url,
                        (unsigned long long)t->have, hex, r->sha256);
    }
    if (fsync(t->fd) != 0 || rename(t->part, t->path) != 0)
        return cxr_fail(err, CXR_EIO, "%s: cannot write: %s", t->path, strerror(errno));
    return CXR_OK;
}

/* ---- The transfer ---- */

static size_t on_data(char *data, size_t one, size_t len, void *user)
{
    (void)one;
    transfer *t = user;
    if (len > limit_of(t->remote) - t->have) {
        t->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    for (size_t done = 0; done < len;) {
        const ssize_t n = pwrite(t->fd, data + done, len - done, (off_t)(t->have + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            t->write_errno = n < 0 ? errno : ENOSPC;
            return CURL_WRITEFUNC_ERROR;
        }
        done += (size_t)n;
    }
    t->have += len;
    return len;
}

/* Through the hook made for it, or as lines. */
static void show(transfer *t)
{
    const double have = 1e-6 * (double)t->have, size = 1e-6 * (double)t->remote->size;
    if (t->hooks == NULL) return;
    if (t->hooks->transfer != NULL) {
        t->hooks->transfer(t->hooks->user, t->have, t->remote->size);
        return;
    }
    if (cxr_now() - t->last_log < LOG_SECONDS) return;
    t->last_log = cxr_now();
    if (size > 0.0) {
        cxr_log(t->hooks, CXR_INFO, "fetching %s: %.1f of %.1f MB", t->remote->name, have, size);
    } else {
        cxr_log(t->hooks, CXR_INFO, "fetching %s: %.1f MB", t->remote->name, have);
    }
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    (void)total, (void)now, (void)up_total, (void)up_now;
    transfer *t = user;
    if (cxr_stop_asked(t->hooks)) {
        t->stopped = true;
        return 1;
    }
    show(t);
    return 0;
}

static bool configure(CURL *c, transfer *t)
{
    const char *protocols = strncmp(t->remote->base, "http:", 5) == 0 ? "http,https" : "https";
    bool ok = curl_easy_setopt(c, CURLOPT_URL, t->url) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, protocols) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_PROXY, t->proxy == NULL ? "" : t->proxy) == CURLE_OK; /* "": none, whatever */
    ok = ok && curl_easy_setopt(c, CURLOPT_NOPROXY, "") == CURLE_OK;                             /* the environment says */
    ok = ok && curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 30L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1000L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_USERAGENT, "cxr") == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->have) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_WRITEDATA, t) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK;
    ok = ok && curl_easy_setopt(c, CURLOPT_XFERINFODATA, t) == CURLE_OK;
    return ok && curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
}

/* One connection. `why` is curl's sentence when the result is not CURLE_OK. */
static cxr_status connect_once(transfer *t, CURLcode *result, char why[CURL_ERROR_SIZE], cxr_error *err)
{
    CURL *c = curl_easy_init();
    if (c == NULL) return cxr_mem_fail(err, "a connection");
    why[0] = '\0';
    const bool ready = configure(c, t) && curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why) == CURLE_OK;
    if (ready) *result = curl_easy_perform(c);
    if (ready && curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &t->http) != CURLE_OK) t->http = 0;
    curl_easy_cleanup(c);
    if (!ready) return cxr_fail(err, CXR_EUSAGE, "cannot set up a connection to %s", t->url);
    if (*result != CURLE_OK && why[0] == '\0') (void)strncat(why, curl_easy_strerror(*result), CURL_ERROR_SIZE - 1);
    return CXR_OK;
}

static cxr_status give_up(const transfer *t, const char *why, cxr_error *err)
{
    if (t->stopped) return cxr_fail(err, CXR_ESTOPPED, "%s: stopped; %s is continued next time", t->url, t->part);
    if (t->too_large)
        return cxr_fail(err, CXR_EDATA, "%s: sends more than %llu bytes", t->url, (unsigned long long)limit_of(t->remote));
    if (t->write_errno != 0) return cxr_fail(err, CXR_EIO, "%s: cannot write: %s", t->part, strerror(t->write_errno));
    return cxr_fail(err, CXR_EUNAVAILABLE, "%s: cannot be fetched: %s; without a network, copy the file to %s", t->url, why,
                    t->path);
}

/* True when the server cannot continue where the part ends. */
static bool cannot_resume(const transfer *t, CURLcode result)
{
    return result == CURLE_RANGE_ERROR || result == CURLE_BAD_DOWNLOAD_RESUME || t->http == 416; /* Range Not Satisfiable */
}

static cxr_status download(transfer *t, cxr_error *err)
{
    const uint64_t size = t->remote->size;
    cxr_status st = size > 0 && t->have > size ? start_over(t, err) : CXR_OK;
    bool done = size > 0 && t->have == size;
    for (int attempt = 0; st == CXR_OK && !done; attempt++) {
        const uint64_t before = t->have;
        CURLcode result = CURLE_OK;
        char why[CURL_ERROR_SIZE];
        if (before > 0)
            cxr_log(t->hooks, CXR_INFO, "fetching %s: continuing at byte %llu", t->remote->name, (unsigned long long)before);
        st = connect_once(t, &result, why, err);
        if (st != CXR_OK) break;
        done = result == CURLE_OK;
        const bool fatal = t->stopped || t->too_large || t->write_errno != 0 || attempt + 1 == ATTEMPTS;
        const bool progress = t->have > before, restart = before > 0 && !progress && cannot_resume(t, result);
        if (!done && (fatal || !(progress || restart))) st = give_up(t, why, err);
        if (st == CXR_OK && !done && restart) st = start_over(t, err);
    }
    return st;
}

static cxr_status fetch_missing(transfer *t, const char *dir, cxr_error *err)
{
    cxr_status st = cxr_make_folders(dir, err);
    if (st == CXR_OK) st = open_part(t, err);
    if (st == CXR_OK) {
        cxr_log(t->hooks, CXR_INFO, "fetching %s to %s", t->url, t->path);
        t->last_log = cxr_now();
        st = download(t, err);
    }
    if (st == CXR_OK) show(t);
    if (st == CXR_OK) st = finish_part(t, err);
    if (st != CXR_OK && t->fd >= 0 && t->have == 0) (void)unlink(t->part);
    if (t->fd >= 0) (void)close(t->fd);
    return st;
}

static cxr_status check_present(const cxr_remote *r, const char *path, cxr_error *err)
{
    char hex[65];
    const cxr_status st = cxr_sha256_file(path, hex, err);
    if (st != CXR_OK || hash_matches(r, hex)) return st;
    return cxr_fail(err, CXR_EDATA, "%s: has SHA-256 %s, expected %s; move it away to have it fetched again", path, hex,
                    r->sha256);
}

cxr_status cxr_fetch(const cxr_remote *r, const char *dir, const char *proxy, const cxr_hooks *hooks, char **path,
                     cxr_error *err)
{
    *path = NULL;
    transfer t = {.remote = r, .proxy = proxy, .hooks = hooks, .fd = -1};
    t.url = cxr_mem_printf("%s%s", r->base, r->name);
    t.path = cxr_path_join(dir, r->name);
    t.part = t.path == NULL ? NULL : cxr_mem_printf("%s.part", t.path);
    cxr_status st;
    if (t.url == NULL || t.path == NULL || t.part == NULL) {
        st = cxr_mem_fail(err, "a file name");
    } else if (cxr_path_exists(t.path)) {
        st = check_present(r, t.path, err);
    } else {
        st = fetch_missing(&t, dir, err);
    }
    cxr_mem_free(t.url);
    cxr_mem_free(t.part);
    if (st == CXR_OK) {
        *path = t.path;
    } else {
        cxr_mem_free(t.path);
    }
    return st;
}

cxr_status cxr_fetch_weights(const char *arch, const char *dir, const char *proxy, const cxr_hooks *hooks, char **path,
                             cxr_error *err)
{
    static const char base[] = "https://download.pytorch.org/models/";
    static const struct {
        const char *arch;
        cxr_remote remote;
    } known[] = {
        {"resnet18",
         {base, "resnet18-f37072fd.pth", "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec", 46830571}},
        {"resnet34", {base, "resnet34-b627a593.pth", "b627a593", 0}},
    };
    *path = NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(arch, known[i].arch) == 0) return cxr_fetch(&known[i].remote, dir, proxy, hooks, path, err);
    return cxr_fail(err, CXR_EUSAGE, "no ImageNet weights are known for \"%s\": resnet18 or resnet34", arch);
}
