/* The file: a header that the options decide entirely, so that it is right or not ours; one entry a record, 0 or PRESENT and
 * the record's CRC-32; the records. It is made at full size under a temporary name and renamed. Records are written before
 * their entries, so a killed writer leaves absent or damaged records, which the CRC tells. Two processes may write one file:
 * the key decides the records, so they write the same bytes. Read and written by pread and pwrite: a mapping would count as
 * resident memory, and end the process by SIGBUS when the disk is full or the file is cut. */
#include "data/store.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#define PRESENT ((uint64_t)1 << 32)
#define STRIPES 16 /* locks; record i has lock i % STRIPES */

typedef struct header {
    char magic[8];
    uint32_t version, entry_bytes; /* of a machine of another byte order, neither matches */
    uint8_t key[32];
    uint64_t count, record_bytes;
} header;

struct cxr_store {
    cxr_store_opts o;
    uint64_t *entries;
    uint8_t *memory; /* `room` records, or NULL */
    size_t room;
    int fd; /* -1: none */
    off_t data, file_bytes;
    atomic_bool closed_to_puts;
    pthread_mutex_t stripes[STRIPES];
};

/* ---- The file ---- */

static bool read_at(int fd, void *to, size_t n, off_t at)
{
    return cxr_file_read(fd, (uint64_t)at, to, n, "", NULL) == CXR_OK;
}

static bool write_at(int fd, const void *from, size_t n, off_t at)
{
    for (size_t done = 0; done < n;) {
        const ssize_t put = pwrite(fd, (const uint8_t *)from + done, n - done, at + (off_t)done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        done += (size_t)put;
    }
    return true;
}

static header header_of(const cxr_store *s)
{
    header h = {.magic = "cxr-kept",
                .version = 1,
                .entry_bytes = sizeof *s->entries,
                .count = s->o.count,
                .record_bytes = s->o.record_bytes};
    memcpy(h.key, s->o.key, sizeof h.key);
    return h;
}

/* True when `path` is the file of these options; s->fd is it then, and the entries are read. */
static bool open_existing(cxr_store *s, const char *path)
{
    const header want = header_of(s);
    header got;
    struct stat info;
    s->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us before fstat refuses it */
    if (s->fd < 0) return false;
    if (fstat(s->fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == s->file_bytes &&
        read_at(s->fd, &got, sizeof got, 0) && memcmp(&got, &want, sizeof want) == 0 &&
        read_at(s->fd, s->entries, s->o.count * sizeof *s->entries, sizeof want))
        return true;
    (void)close(s->fd);
    s->fd = -1;
    return false;
}

/* Whether the file may be made. A full disk would harm the run's own outputs, and a file beyond the limit of this process is
 * answered with a signal. */
static const char *no_room(const cxr_store *s)
{
    struct statvfs disk;
    struct rlimit most;
    const uint64_t bytes = (uint64_t)s->file_bytes;
    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur < bytes) return "larger than this process may write";
    if (statvfs(s->o.dir, &disk) != 0) return "the disk's free room cannot be told";
    return bytes > (uint64_t)disk.f_bavail * disk.f_frsize / 2 ? "more than half of the room left on the disk" : NULL;
}

/* Only the user may read it: it holds pictures of patients. */
static cxr_status make_file(const cxr_store *s, const char *path, cxr_error *err)
{
    const header h = header_of(s);
    cxr_output out;
    const cxr_status st = cxr_output_open(&out, path, err);
    if (st != CXR_OK) return st;
    const int fd = fileno(out.stream);
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 || ftruncate(fd, s->file_bytes) != 0 || !write_at(fd, &h, sizeof h, 0)) {
        const int cause = errno;
        cxr_output_discard(&out);
        return cxr_fail(err, CXR_EIO, "%s: cannot write: %s", path, strerror(cause));
    }
    return cxr_output_commit(&out, err);
}

/* Any failure but of memory leaves a store that keeps nothing. */
static cxr_status open_file(cxr_store *s, cxr_error *err)
{
    char hex[65];
    cxr_sha256_hex(s->o.key, hex);
    char *path = cxr_mem_printf("%s/%s-%.32s.cache", s->o.dir, s->o.kind, hex);
    if (path == NULL) return cxr_mem_fail(err, "a file name");
    cxr_error cause = {0};
    cxr_status st = cxr_make_folders(s->o.dir, &cause);
    if (st == CXR_OK && !open_existing(s, path)) {
        const char *why = no_room(s);
        if (why != NULL) st = cxr_fail(&cause, CXR_EIO, "%s: %.1f MB, %s", path, 1e-6 * (double)s->file_bytes, why);
        if (st == CXR_OK) st = make_file(s, path, &cause);
        if (st == CXR_OK && !open_existing(s, path)) st = cxr_fail(&cause, CXR_EIO, "%s: cannot be opened", path);
    }
    cxr_mem_free(path);
    if (st == CXR_ENOMEM) return cxr_fail(err, st, "%s", cause.text);
    if (st != CXR_OK) cxr_log(s->o.hooks, CXR_WARNING, "going on without this cache: %s", cause.text);
    return CXR_OK;
}

static bool get_from_file(const cxr_store *s, size_t i, void *record)
{
    const size_t n = s->o.record_bytes;
    return read_at(s->fd, record, n, s->data + (off_t)(i * n)) && s->entries[i] == (PRESENT | crc32_z(0, record, n));
}

static void put_to_file(cxr_store *s, size_t i, const void *record)
{
    const size_t n = s->o.record_bytes;
    const uint64_t entry = PRESENT | crc32_z(0, record, n);
    if (write_at(s->fd, record, n, s->data + (off_t)(i * n)) &&
        write_at(s->fd, &entry, sizeof entry, (off_t)(sizeof(header) + i * sizeof entry))) {
        s->entries[i] = entry;
        return;
    }
    const int cause = errno;
    s->entries[i] = 0;
    if (!atomic_exchange(&s->closed_to_puts, true))
        cxr_log(s->o.hooks, CXR_WARNING, "%s: no more is kept of \"%s\": %s", s->o.dir, s->o.kind, strerror(cause));
}

/* ---- Either form ---- */

static cxr_status open_memory(cxr_store *s, cxr_error *err)
{
    const uint64_t fit = s->o.max_bytes / s->o.record_bytes;
    s->room = s->o.max_bytes > 0 && fit < s->o.count ? (size_t)fit : s->o.count;
    s->memory = cxr_mem_new(s->room, s->o.record_bytes);
    if (s->memory == NULL) return cxr_mem_fail(err, "a cache");
    if (s->room < s->o.count)
        cxr_log(s->o.hooks, CXR_WARNING, "the cache of %s keeps %zu of %zu records: more would pass its limit of %.0f MB",
                s->o.kind, s->room, s->o.count, 1e-6 * (double)s->o.max_bytes);
    return CXR_OK;
}

static cxr_status measure(cxr_store *s, cxr_error *err)
{
    uint64_t entries, records, total;
    const bool wraps = __builtin_mul_overflow(s->o.count, sizeof *s->entries, &entries) ||
                       __builtin_mul_overflow(s->o.count, s->o.record_bytes, &records) ||
                       __builtin_add_overflow(entries, records, &total) ||
                       __builtin_add_overflow(total, sizeof(header), &total) || total > INT64_MAX;
    if (wraps || s->o.record_bytes == 0)
        return cxr_fail(err, CXR_ELIMIT, "a cache of %zu records of %zu bytes is not possible", s->o.count, s->o.record_bytes);
    s->data = (off_t)(sizeof(header) + entries);
    s->file_bytes = (off_t)total;
    return CXR_OK;
}

cxr_status cxr_store_open(cxr_store **out, const cxr_store_opts *o, cxr_error *err)
{
    *out = NULL;
    cxr_store *s = cxr_mem_new(1, sizeof *s);
    if (s == NULL) return cxr_mem_fail(err, "a cache");
    s->o = *o;
    s->fd = -1;
    for (int i = 0; i < STRIPES; i++) pthread_mutex_init(&s->stripes[i], NULL); /* cannot fail with default attributes */
    cxr_status st = measure(s, err);
    if (st == CXR_OK && (s->entries = cxr_mem_new(o->count, sizeof *s->entries)) == NULL) st = cxr_mem_fail(err, "a cache");
    if (st == CXR_OK) st = o->dir != NULL ? open_file(s, err) : open_memory(s, err);
    if (st != CXR_OK) cxr_store_close(&s);
    *out = s;
    return st;
}

bool cxr_store_has(cxr_store *s, size_t i)
{
    if (i >= s->o.count) return false;
    pthread_mutex_t *stripe = &s->stripes[i % STRIPES];
    pthread_mutex_lock(stripe);
    const bool there = s->entries[i] != 0;
    pthread_mutex_unlock(stripe);
    return there;
}

bool cxr_store_get(cxr_store *s, size_t i, void *record)
{
    if (i >= s->o.count) return false;
    pthread_mutex_t *stripe = &s->stripes[i % STRIPES];
    pthread_mutex_lock(stripe);
    bool there = s->entries[i] != 0;
    if (there && s->memory != NULL) memcpy(record, s->memory + i * s->o.record_bytes, s->o.record_bytes);
    if (there && s->memory == NULL) there = get_from_file(s, i, record);
    if (!there) s->entries[i] = 0;
    pthread_mutex_unlock(stripe);
    return there;
}

void cxr_store_put(cxr_store *s, size_t i, const void *record)
{
    const bool kept = s->memory != NULL ? i < s->room : s->fd >= 0 && i < s->o.count && !atomic_load(&s->closed_to_puts);
    if (!kept) return;
    pthread_mutex_t *stripe = &s->stripes[i % STRIPES];
    pthread_mutex_lock(stripe);
    if (s->memory != NULL) {
        memcpy(s->memory + i * s->o.record_bytes, record, s->o.record_bytes);
        s->entries[i] = PRESENT;
    } else {
        put_to_file(s, i, record);
    }
    pthread_mutex_unlock(stripe);
}

size_t cxr_store_present(cxr_store *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->o.count; i++) {
        pthread_mutex_lock(&s->stripes[i % STRIPES]);
        n += s->entries[i] != 0;
        pthread_mutex_unlock(&s->stripes[i % STRIPES]);
    }
    return n;
}

void cxr_store_close(cxr_store **store)
{
    if (store == NULL || *store == NULL) return;
    cxr_store *s = *store;
    if (s->fd >= 0) (void)close(s->fd);
    for (int i = 0; i < STRIPES; i++) pthread_mutex_destroy(&s->stripes[i]);
    cxr_mem_free(s->entries);
    cxr_mem_free(s->memory);
    cxr_mem_free(s);
    *store = NULL;
}
