/* torch.save's zip container: NAME/data.pkl, NAME/data/<key> for each storage, NAME/byteorder. torch stores without
 * compression, so an entry that is compressed or encrypted is refused, and the sizes of all entries fit in the file. */
#include "base/mem.h"
#include "model/formats.h"
#include "model/torch_dict.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define PICKLE_MAX ((uint64_t)64 << 20) /* bytes of data.pkl */

typedef struct entry {
    const char *name; /* libzip's */
    zip_uint64_t index;
    size_t size;
} entry;

typedef struct archive {
    zip_t *zip;
    entry *entries; /* sorted by name */
    size_t count;
    int prefix_len; /* "NAME/" of data.pkl's name */
    const char *prefix;
    uint8_t **loaded; /* one buffer for each storage */
    size_t loaded_count;
    const cxr_source *src;
} archive;

static cxr_status zip_failed(const char *path, zip_error_t *cause, cxr_error *err)
{
    const int code = zip_error_code_zip(cause);
    return cxr_fail(err, code == ZIP_ER_MEMORY ? CXR_ENOMEM : CXR_EDATA, "%s: damaged zip file: %s", path,
                    zip_error_strerror(cause));
}

static cxr_status open_zip(archive *a, cxr_error *err)
{
    zip_error_t cause;
    zip_error_init(&cause);
    zip_source_t *bytes = zip_source_buffer_create(a->src->data, a->src->len, 0, &cause);
    if (bytes != NULL) {
        a->zip = zip_open_from_source(bytes, ZIP_RDONLY | ZIP_CHECKCONS, &cause);
        if (a->zip == NULL) zip_source_free(bytes);
    }
    const cxr_status st = a->zip == NULL ? zip_failed(a->src->path, &cause, err) : CXR_OK;
    zip_error_fini(&cause);
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* Checks one entry and takes its size from the budget. */
static cxr_status list_entry(archive *a, zip_uint64_t index, uint64_t *budget, cxr_error *err)
{
    const zip_uint64_t needed =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    zip_stat_t s;
    if (zip_stat_index(a->zip, index, 0, &s) != 0 || (s.valid & needed) != needed)
        return zip_failed(a->src->path, zip_get_error(a->zip), err);
    char shown[80];
    cxr_printable(shown, sizeof shown, s.name, strlen(s.name));
    if (s.encryption_method != ZIP_EM_NONE) return cxr_fail(err, CXR_EDATA, "%s: entry %s is encrypted", a->src->path, shown);
    if (s.comp_method != ZIP_CM_STORE || s.comp_size != s.size)
        return cxr_fail(err, CXR_EDATA, "%s: entry %s is compressed, which torch.save never does", a->src->path, shown);
    if (s.size > *budget) return cxr_fail(err, CXR_EDATA, "%s: entries overlap at %s", a->src->path, shown);
    *budget -= s.size;
    a->entries[a->count++] = (entry){.name = s.name, .index = index, .size = (size_t)s.size};
    return CXR_OK;
}

static cxr_status list_entries(archive *a, cxr_error *err)
{
    const zip_int64_t count = zip_get_num_entries(a->zip, 0);
    if (count < 0 || count > 2 * CXR_WEIGHT_COUNT_MAX)
        return cxr_fail(err, CXR_ELIMIT, "%s: %lld entries in the zip file", a->src->path, (long long)count);
    a->entries = cxr_mem_new((size_t)count, sizeof *a->entries);
    if (a->entries == NULL) return cxr_mem_fail(err, "a zip file's entries");
    uint64_t budget = a->src->len;
    for (zip_int64_t i = 0; i < count; i++) {
        const cxr_status st = list_entry(a, (zip_uint64_t)i, &budget, err);
        if (st != CXR_OK) return st;
    }
    qsort(a->entries, a->count, sizeof *a->entries, by_name);
    for (size_t i = 1; i < a->count; i++)
        if (by_name(&a->entries[i - 1], &a->entries[i]) == 0)
            return cxr_fail(err, CXR_EDATA, "%s: the zip file holds two entries of one name", a->src->path);
    return CXR_OK;
}

/* Reads an entry whole; reading to its end also checks its CRC. */
static cxr_status read_entry(uint8_t **out, const archive *a, const entry *e, cxr_error *err)
{
    *out = cxr_mem_new(e->size + 1, 1);
    if (*out == NULL) return cxr_mem_fail(err, "a zip file's entry");
    zip_file_t *f = zip_fopen_index(a->zip, e->index, 0);
    if (f == NULL) return zip_failed(a->src->path, zip_get_error(a->zip), err);
    size_t done = 0;
    zip_int64_t n = 1;
    while (n > 0 && done <= e->size) {
        n = zip_fread(f, *out + done, e->size + 1 - done);
        if (n > 0) done += (size_t)n;
    }
    cxr_status st = CXR_OK;
    if (n < 0) {
        st = zip_failed(a->src->path, zip_file_get_error(f), err);
    } else if (done != e->size) {
        st = cxr_fail(err, CXR_EDATA, "%s: damaged zip file: an entry has not the size it says", a->src->path);
    }
    (void)zip_fclose(f);
    return st;
}

/* The one entry NAME/data.pkl; sets the prefix. */
static cxr_status find_pickle(archive *a, const entry **out, cxr_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < a->count; i++) {
        const char *slash = strchr(a->entries[i].name, '/');
        if (slash == NULL || strcmp(slash, "/data.pkl") != 0) continue;
        if (*out != NULL) return cxr_fail(err, CXR_EDATA, "%s: more than one data.pkl in the zip file", a->src->path);
        *out = &a->entries[i];
        a->prefix = a->entries[i].name;
        a->prefix_len = (int)(slash - a->prefix) + 1;
    }
    if (*out == NULL) return cxr_fail(err, CXR_EDATA, "%s: a zip file, but not from torch.save: no data.pkl", a->src->path);
    if ((*out)->size > PICKLE_MAX) return cxr_fail(err, CXR_ELIMIT, "%s: data.pkl has %zu bytes", a->src->path, (*out)->size);
    return CXR_OK;
}

/* NULL when memory is exhausted (`*st`) or there is no such entry. */
static const entry *find_entry(const archive *a, const char *tail, size_t tail_len, cxr_status *st, cxr_error *err)
{
    char *name = cxr_mem_printf("%.*s%.*s", a->prefix_len, a->prefix, (int)tail_len, tail);
    *st = name == NULL ? cxr_mem_fail(err, "an entry's name") : CXR_OK;
    if (name == NULL) return NULL;
    const entry wanted = {.name = name};
    const entry *found = bsearch(&wanted, a->entries, a->count, sizeof wanted, by_name);
    cxr_mem_free(name);
    return found;
}

static cxr_status check_byte_order(const archive *a, cxr_error *err)
{
    cxr_status st;
    const entry *e = find_entry(a, "byteorder", 9, &st, err);
    if (st != CXR_OK || e == NULL) return st; /* older files do not say: little */
    uint8_t *text = NULL;
    st = read_entry(&text, a, e, err);
    if (st == CXR_OK && (e->size != 6 || memcmp(text, "little", 6) != 0))
        st =
            cxr_fail(err, CXR_EDATA, "%s: written on a big-endian machine; save it again on a little-endian one", a->src->path);
    cxr_mem_free(text);
    return st;
}

static cxr_status load_storage(archive *a, cxr_torch_storage *s, cxr_error *err)
{
    char tail[64];
    const int len = snprintf(tail, sizeof tail, "data/%.*s", (int)s->key_len, s->key);
    cxr_status st;
    const entry *e = find_entry(a, tail, (size_t)len, &st, err);
    if (st != CXR_OK) return st;
    if (e == NULL || e->size != s->count * cxr_element_size(s->element))
        return cxr_fail(err, CXR_EDATA, "%s: %s is missing or has not the size that data.pkl says", a->src->path, tail);
    st = read_entry(&a->loaded[a->loaded_count++], a, e, err);
    s->data = a->loaded[a->loaded_count - 1];
    return st;
}

static cxr_status load_storages(archive *a, cxr_torch_dict *d, cxr_error *err)
{
    a->loaded = cxr_mem_new(d->storage_count, sizeof *a->loaded);
    cxr_status st = a->loaded == NULL ? cxr_mem_fail(err, "a list of storages") : CXR_OK;
    for (size_t i = 0; i < d->storage_count && st == CXR_OK; i++) st = load_storage(a, &d->storages[i], err);
    return st;
}

static cxr_status parse_pickle(cxr_weights *out, archive *a, const entry *e, const uint8_t *bytes, cxr_error *err)
{
    cxr_pickle p;
    cxr_torch_dict d = {0};
    cxr_status st = cxr_pickle_load(&p, bytes, e->size, a->src->path, err);
    if (st == CXR_OK && p.length != e->size)
        st = cxr_fail(err, CXR_EDATA, "%s: %zu bytes after the end of the pickle", a->src->path, e->size - p.length);
    if (st == CXR_OK) st = cxr_torch_dict_find(&d, &p, a->src->path, err);
    if (st == CXR_OK) st = load_storages(a, &d, err);
    if (st == CXR_OK) st = cxr_torch_dict_copy(out, &d, a->src, err);
    cxr_torch_dict_free(&d);
    cxr_pickle_free(&p);
    return st;
}

cxr_status cxr_torch_zip_parse(cxr_weights *out, const cxr_source *src, cxr_error *err)
{
    archive a = {.src = src};
    const entry *pickle = NULL;
    uint8_t *bytes = NULL;
    cxr_status st = open_zip(&a, err);
    if (st == CXR_OK) st = list_entries(&a, err);
    if (st == CXR_OK) st = find_pickle(&a, &pickle, err);
    if (st == CXR_OK) st = check_byte_order(&a, err);
    if (st == CXR_OK) st = read_entry(&bytes, &a, pickle, err);
    if (st == CXR_OK) st = parse_pickle(out, &a, pickle, bytes, err);
    cxr_mem_free(bytes);
    for (size_t i = 0; i < a.loaded_count; i++) cxr_mem_free(a.loaded[i]);
    cxr_mem_free(a.loaded);
    cxr_mem_free(a.entries);
    if (a.zip != NULL) zip_discard(a.zip);
    return st;
}
