#include "report/events.h"
#include "base/file.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST_BYTES  (1u << 30)
#define MOST_RECORD 1024 /* ours have some 250 */
#define HEAD        12   /* length and its checksum */
#define TAIL        4    /* the payload's */

/* ---- Bytes ---- */

typedef struct bytes {
    uint8_t at[MOST_RECORD];
    size_t count;
} bytes;

static void put(bytes *b, const void *data, size_t count)
{
    memcpy(b->at + b->count, data, count);
    b->count += count;
}

/* Both the file and a protocol buffer have the lowest byte first. */
static void put_fixed(bytes *b, uint64_t x, int count)
{
    for (int i = 0; i < count; i++) b->at[b->count++] = (uint8_t)(x >> (8 * i));
}

static uint64_t get_fixed(const uint8_t *at, int count)
{
    uint64_t x = 0;
    for (int i = 0; i < count; i++) x |= (uint64_t)at[i] << (8 * i);
    return x;
}

/* ---- Protocol buffers: fields of number and wire type ---- */

static void put_varint(bytes *b, uint64_t x)
{
    for (; x >= 0x80; x >>= 7) b->at[b->count++] = (uint8_t)(x | 0x80);
    b->at[b->count++] = (uint8_t)x;
}

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static void put_key(bytes *b, unsigned field, unsigned type)
{
    put_varint(b, field << 3 | type);
}

static void put_double(bytes *b, unsigned field, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_key(b, field, FIXED64);
    put_fixed(b, bits, 8);
}

static void put_float(bytes *b, unsigned field, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_key(b, field, FIXED32);
    put_fixed(b, bits, 4);
}

static void put_block(bytes *b, unsigned field, const void *data, size_t count)
{
    put_key(b, field, LENGTH);
    put_varint(b, count);
    put(b, data, count);
}

/* Event: wall_time 1, step 2, file_version 3, summary 5. Summary: value 1. Value: tag 1, simple_value 2. */
static void make_version(bytes *event, double when)
{
    static const char version[] = "brain.Event:2";
    put_double(event, 1, when);
    put_block(event, 3, version, sizeof version - 1);
}

static void put_scalar(bytes *summary, const char *tag, double x)
{
    bytes value = {.count = 0};
    put_block(&value, 1, tag, strlen(tag));
    put_float(&value, 2, (float)x);
    put_block(summary, 1, value.at, value.count);
}

static void make_epoch(bytes *event, const cxr_epoch *e, double when)
{
    bytes summary = {.count = 0};
    put_scalar(&summary, "loss/train", e->train_loss);
    put_scalar(&summary, "loss/val", e->val_loss);
    put_scalar(&summary, "accuracy/val", e->val_accuracy);
    put_scalar(&summary, "optimizer/lr", e->lr);
    put_scalar(&summary, "time/seconds", e->seconds);
    put_scalar(&summary, "time/images_per_second", e->images_per_second);
    put_double(event, 1, when);
    put_key(event, 2, VARINT);
    put_varint(event, (uint64_t)e->epoch);
    put_block(event, 5, summary.at, summary.count);
}

/* ---- Records ---- */

/* CRC-32C, masked as checksums are that lie beside what they are of. */
static uint32_t checksum(const uint8_t *data, size_t count)
{
    uint8_t copy[MOST_RECORD]; /* the library's parameter is not const */
    memcpy(copy, data, count);
    const uint32_t crc = ~crc32_iscsi(copy, (int)count, ~0u);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static void put_record(FILE *f, const bytes *payload)
{
    bytes frame = {.count = 0};
    put_fixed(&frame, payload->count, 8);
    put_fixed(&frame, checksum(frame.at, 8), 4);
    (void)fwrite(frame.at, 1, frame.count, f);
    (void)fwrite(payload->at, 1, payload->count, f);
    frame.count = 0;
    put_fixed(&frame, checksum(payload->at, payload->count), 4);
    (void)fwrite(frame.at, 1, frame.count, f);
}

/* The length of the whole record at `at`, 0 when none is there. */
static size_t record_at(const uint8_t *at, size_t left)
{
    if (left < HEAD + TAIL || get_fixed(at + 8, 4) != checksum(at, 8)) return 0;
    const uint64_t length = get_fixed(at, 8);
    if (length > MOST_RECORD || left < HEAD + length + TAIL) return 0;
    const uint8_t *payload = at + HEAD;
    return get_fixed(payload + length, 4) == checksum(payload, length) ? HEAD + length + TAIL : 0;
}

/* How many records the file begins with, and where they end. */
static cxr_status count_records(const char *path, size_t *records, size_t *end, cxr_error *err)
{
    cxr_buf file = {0};
    *records = *end = 0;
    if (!cxr_path_exists(path)) return CXR_OK;
    const cxr_status st = cxr_buf_read(&file, path, MOST_BYTES, err);
    for (size_t n; st == CXR_OK && (n = record_at(file.data + *end, file.len - *end)) > 0; *end += n) ++*records;
    cxr_buf_free(&file);
    return st;
}

static void put_missing(FILE *f, size_t records, const cxr_epoch *epochs, size_t count, double now)
{
    double when = now;
    for (size_t i = 0; i < count; i++) when -= epochs[i].seconds;
    for (size_t i = 0; i <= count; i++) {
        bytes event = {.count = 0};
        if (i > 0) when += epochs[i - 1].seconds;
        if (i < records) continue;
        if (i == 0)
            make_version(&event, when);
        else
            make_epoch(&event, &epochs[i - 1], when);
        put_record(f, &event);
    }
}

cxr_status cxr_events_write(const char *path, const cxr_epoch *epochs, size_t count, double now, cxr_error *err)
{
    size_t records, end;
    const cxr_status st = count_records(path, &records, &end, err);
    if (st != CXR_OK) return st;
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return cxr_fail(err, CXR_ECREATE, "%s: cannot create: %s", path, strerror(errno));
    FILE *f = ftruncate(fd, (off_t)end) == 0 && lseek(fd, (off_t)end, SEEK_SET) >= 0 ? fdopen(fd, "w") : NULL;
    bool ok = f != NULL;
    if (ok) {
        put_missing(f, records, epochs, count, now);
        ok = fflush(f) == 0 && fsync(fd) == 0;
        ok = fclose(f) == 0 && ok;
    } else
        (void)close(fd);
    return ok ? CXR_OK : cxr_fail(err, CXR_EIO, "%s: cannot write: %s", path, strerror(errno));
}
