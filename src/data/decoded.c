#include "data/decoded.h"
#include "base/file.h"
#include "base/grant.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/store.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define HEX 64 /* digits of a SHA-256, behind the pixels of a record on disk */

struct cxr_decoded {
    cxr_decoded_opts o;
    size_t square_bytes;
    cxr_store *squares;   /* NULL: none are kept */
    atomic_bool *current; /* of records on disk: made of the file as it is in this run; else NULL */

    pthread_mutex_t mutex; /* guards the rest */
    cxr_image *whole;      /* NULL: none are kept; pixels NULL: absent */
    uint64_t whole_bytes;
    bool told; /* that o.max_bytes is reached */
};

/* ---- Opening and closing ---- */

/* What decides the squares but the files' content, which each record carries. */
static cxr_status key_of(uint8_t key[32], const cxr_decoded_opts *o, cxr_error *err)
{
    const uint64_t numbers[] = {(uint64_t)o->preprocess->rule, (uint64_t)o->preprocess->size, o->limits.max_pixels,
                                o->limits.max_bytes, o->limits.max_scans};
    cxr_hash h;
    cxr_hash_begin(&h);
    cxr_hash_text(&h, "squares of cxr");
    cxr_hash_text(&h, cxr_version());
    cxr_hash_bytes(&h, numbers, sizeof numbers);
    for (size_t i = 0; i < o->count; i++) cxr_hash_text(&h, o->paths[i]);
    return cxr_hash_end(&h, key, err);
}

static cxr_status open_squares(cxr_decoded *d, cxr_error *err)
{
    const cxr_decoded_opts *o = &d->o;
    const bool disk = o->cache == CXR_CACHE_DISK;
    cxr_store_opts so = {.dir = disk ? o->cache_dir : NULL,
                         .kind = "pixels",
                         .count = o->count,
                         .record_bytes = d->square_bytes + (disk ? HEX : 0),
                         .max_bytes = o->max_bytes,
                         .hooks = o->hooks};
    cxr_status st = disk ? key_of(so.key, o, err) : CXR_OK;
    if (st == CXR_OK) st = cxr_store_open(&d->squares, &so, err);
    if (st != CXR_OK || !disk) return st;
    d->current = cxr_mem_new(o->count, sizeof *d->current);
    return d->current != NULL ? CXR_OK : cxr_mem_fail(err, "a cache");
}

static cxr_status open_cache(cxr_decoded *d, cxr_error *err)
{
    const cxr_decoded_opts *o = &d->o;
    if (o->cache == CXR_CACHE_OFF || (o->cache == CXR_CACHE_DISK && o->cache_dir == NULL)) return CXR_OK;
    if (!o->whole) return open_squares(d, err);
    if (o->cache == CXR_CACHE_DISK) {
        cxr_log(o->hooks, CXR_INFO, "images for random crops are not kept on disk: they are decoded each time");
        return CXR_OK;
    }
    d->whole = cxr_mem_new(o->count, sizeof *d->whole);
    return d->whole != NULL ? CXR_OK : cxr_mem_fail(err, "a cache");
}

cxr_status cxr_decoded_open(cxr_decoded **out, const cxr_decoded_opts *o, cxr_error *err)
{
    *out = NULL;
    cxr_decoded *d = cxr_mem_new(1, sizeof *d);
    if (d == NULL) return cxr_mem_fail(err, "a cache");
    d->o = *o;
    if (o->max_bytes == 0) d->o.max_bytes = cxr_memory_grant() / 4;
    d->square_bytes = (size_t)o->preprocess->size * (size_t)o->preprocess->size;
    pthread_mutex_init(&d->mutex, NULL); /* cannot fail with default attributes on Linux */
    const cxr_status st = open_cache(d, err);
    if (st != CXR_OK) cxr_decoded_close(&d);
    *out = d;
    return st;
}

void cxr_decoded_close(cxr_decoded **decoded)
{
    if (decoded == NULL || *decoded == NULL) return;
    cxr_decoded *d = *decoded;
    cxr_store_close(&d->squares);
    for (size_t i = 0; d->whole != NULL && i < d->o.count; i++) cxr_image_free(&d->whole[i]);
    pthread_mutex_destroy(&d->mutex);
    cxr_mem_free(d->whole);
    cxr_mem_free(d->current);
    cxr_mem_free(d);
    *decoded = NULL;
}

/* ---- Reading ---- */

/* The file of image i and, where somebody needs it, its SHA-256. */
static cxr_status read_file(const cxr_decoded *d, size_t i, cxr_buf *file, char hex[HEX + 1], bool needed, cxr_error *err)
{
    const char(*contents)[65] = d->o.contents;
    cxr_status st = cxr_buf_read(file, d->o.paths[i], d->o.limits.max_bytes, err);
    if (st == CXR_OK && (needed || contents != NULL)) st = cxr_sha256(file->data, file->len, hex, err);
    if (st == CXR_OK && contents != NULL && strcmp(hex, contents[i]) != 0)
        st = cxr_fail(err, CXR_EDATA, "%s: changed since this run read it first", d->o.paths[i]);
    if (st != CXR_OK) cxr_buf_free(file);
    return st;
}

/* ---- Squares ---- */

static cxr_status make_square(const cxr_decoded *d, size_t i, const cxr_buf *file, uint8_t *square, cxr_error *err)
{
    cxr_image image;
    cxr_status st = cxr_image_decode(&image, file->data, file->len, d->o.paths[i], d->o.preprocess, &d->o.limits, err);
    if (st == CXR_OK) st = cxr_image_to_input(square, &image, d->o.preprocess, NULL, 0, err);
    cxr_image_free(&image);
    return st;
}

/* The record of image i on disk, when it was made of the content `hex`. */
static bool get_record(const cxr_decoded *d, size_t i, const char *hex, uint8_t *record)
{
    return cxr_store_get(d->squares, i, record) && memcmp(record + d->square_bytes, hex, HEX) == 0;
}

/* By the record on disk, when it is of this very file; else decoded, and put there. */
static cxr_status record_by_content(cxr_decoded *d, size_t i, uint8_t *record, cxr_error *err)
{
    char hex[HEX + 1];
    cxr_buf file;
    cxr_status st = read_file(d, i, &file, hex, true, err);
    if (st == CXR_OK && !get_record(d, i, hex, record)) {
        st = make_square(d, i, &file, record, err);
        memcpy(record + d->square_bytes, hex, HEX);
        if (st == CXR_OK) cxr_store_put(d->squares, i, record);
    }
    cxr_buf_free(&file);
    if (st == CXR_OK) atomic_store(&d->current[i], true);
    return st;
}

static cxr_status square_from_disk(cxr_decoded *d, size_t i, uint8_t *square, cxr_error *err)
{
    uint8_t *record = cxr_mem_new(d->square_bytes + HEX, 1);
    if (record == NULL) return cxr_mem_fail(err, "a cached image");
    const bool known = d->o.contents != NULL ? get_record(d, i, d->o.contents[i], record)
                                             : atomic_load(&d->current[i]) && cxr_store_get(d->squares, i, record);
    const cxr_status st = known ? CXR_OK : record_by_content(d, i, record, err);
    if (st == CXR_OK) memcpy(square, record, d->square_bytes);
    cxr_mem_free(record);
    return st;
}

cxr_status cxr_decoded_square(cxr_decoded *d, size_t i, uint8_t *square, cxr_error *err)
{
    if (d->current != NULL) return square_from_disk(d, i, square, err);
    if (d->squares != NULL && cxr_store_get(d->squares, i, square)) return CXR_OK;
    char hex[HEX + 1];
    cxr_buf file;
    cxr_status st = read_file(d, i, &file, hex, false, err);
    if (st == CXR_OK) st = make_square(d, i, &file, square, err);
    if (st == CXR_OK && d->squares != NULL) cxr_store_put(d->squares, i, square);
    cxr_buf_free(&file);
    return st;
}

/* ---- Whole images ---- */

/* True when image i is now the cache's. */
static bool keep_whole(cxr_decoded *d, size_t i, const cxr_image *image)
{
    const uint64_t bytes = (uint64_t)image->width * (uint64_t)image->height;
    pthread_mutex_lock(&d->mutex);
    const bool fits = bytes <= d->o.max_bytes - d->whole_bytes, keep = fits && d->whole[i].pixels == NULL;
    const bool tell = !fits && !d->told;
    if (keep) {
        d->whole[i] = *image;
        d->whole_bytes += bytes;
    }
    d->told = d->told || tell;
    pthread_mutex_unlock(&d->mutex);
    if (tell)
        cxr_log(d->o.hooks, CXR_WARNING, "the cache of decoded images is full at %.0f MB: the others are decoded each time",
                1e-6 * (double)d->o.max_bytes);
    return keep;
}

cxr_status cxr_decoded_whole(cxr_decoded *d, size_t i, cxr_image *out, bool *lent, cxr_error *err)
{
    *out = (cxr_image){0};
    if (d->whole != NULL) {
        pthread_mutex_lock(&d->mutex);
        *out = d->whole[i];
        pthread_mutex_unlock(&d->mutex);
    }
    *lent = out->pixels != NULL;
    if (*lent) return CXR_OK;
    char hex[HEX + 1];
    cxr_buf file;
    cxr_status st = read_file(d, i, &file, hex, false, err);
    if (st == CXR_OK) st = cxr_image_decode(out, file.data, file.len, d->o.paths[i], NULL, &d->o.limits, err);
    cxr_buf_free(&file);
    *lent = st == CXR_OK && d->whole != NULL && keep_whole(d, i, out);
    return st;
}
