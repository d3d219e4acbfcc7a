/* A split as a file, and the fingerprint that says whether two runs saw the same data. */
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/csv.h"
#include "data/dataset.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

cxr_status cxr_split_write(const cxr_dataset *d, const char *path, cxr_error *err)
{
    cxr_output out;
    const cxr_status st = cxr_output_open(&out, path, err);
    if (st != CXR_OK) return st;
    (void)fputs("path,label,split,group\n", out.stream);
    for (size_t i = 0; i < d->count; i++) {
        const cxr_sample *s = &d->samples[i];
        const char *const fields[] = {s->key, d->classes[s->label], cxr_split_name(s->split), s->group};
        for (int f = 0; f < 4; f++) {
            if (f > 0) (void)fputc(',', out.stream);
            cxr_csv_put(out.stream, fields[f]);
        }
        (void)fputc('\n', out.stream);
    }
    return cxr_output_commit(&out, err);
}

static int key_order(const void *key, const void *sample)
{
    return strcmp(key, ((const cxr_sample *)sample)->key);
}

static bool parse_split(const char *name, cxr_split *split)
{
    for (int s = CXR_SPLIT_TRAIN; s <= CXR_SPLIT_NONE; s++)
        if (strcmp(name, cxr_split_name((cxr_split)s)) == 0) {
            *split = (cxr_split)s;
            return true;
        }
    return false;
}

/* Reads the splits of the rows into splits[0..count), one per sample; `seen` marks the samples met. */
static cxr_status read_rows(const cxr_dataset *d, const cxr_csv *csv, const char *path, cxr_split *splits, bool *seen,
                            cxr_error *err)
{
    const int key = cxr_csv_column(csv, "path"), label = cxr_csv_column(csv, "label"), split = cxr_csv_column(csv, "split");
    if (key < 0 || label < 0 || split < 0)
        return cxr_fail(err, CXR_EDATA, "%s: the header must be path,label,split,group", path);
    for (size_t r = 1; r < csv->row_count; r++) {
        char **row = csv->rows[r];
        const size_t line = csv->lines[r];
        const cxr_sample *s = bsearch(row[key], d->samples, d->count, sizeof *d->samples, key_order);
        if (s == NULL)
            return cxr_fail(err, CXR_EDATA, "%s:%zu: \"%s\" is not in the data set %s", path, line, row[key], d->root);
        const size_t i = (size_t)(s - d->samples);
        if (strcmp(row[label], d->classes[s->label]) != 0)
            return cxr_fail(err, CXR_EDATA, "%s:%zu: \"%s\" is labelled \"%s\" here and \"%s\" in the data set", path, line,
                            s->key, row[label], d->classes[s->label]);
        if (seen[i]) return cxr_fail(err, CXR_EDATA, "%s:%zu: \"%s\" is listed twice", path, line, s->key);
        seen[i] = true;
        if (!parse_split(row[split], &splits[i]))
            return cxr_fail(err, CXR_EDATA, "%s:%zu: split \"%s\" is none of train, val, test, none", path, line, row[split]);
    }
    return CXR_OK;
}

/* The file knows the rule by which the run told patients. */
static cxr_status take_groups(cxr_dataset *d, const cxr_csv *csv, cxr_error *err)
{
    const int key = cxr_csv_column(csv, "path"), group = cxr_csv_column(csv, "group");
    for (size_t r = 1; group >= 0 && r < csv->row_count; r++) {
        char **row = csv->rows[r];
        cxr_sample *s = bsearch(row[key], d->samples, d->count, sizeof *d->samples, key_order);
        if (s == NULL || *row[group] == '\0' || strcmp(s->group, row[group]) == 0) continue;
        char *name = cxr_mem_strdup(row[group]);
        if (name == NULL) return cxr_mem_fail(err, "a group's name");
        cxr_mem_free(s->group);
        s->group = name;
    }
    return CXR_OK;
}

cxr_status cxr_split_read(cxr_dataset *d, const char *path, cxr_error *err)
{
    cxr_csv csv;
    cxr_status st = cxr_csv_read(&csv, path, err);
    if (st != CXR_OK) return st;
    cxr_split *splits = cxr_mem_new(d->count, sizeof *splits);
    bool *seen = cxr_mem_new(d->count, sizeof *seen);
    st = splits == NULL || seen == NULL ? cxr_mem_fail(err, path) : read_rows(d, &csv, path, splits, seen, err);
    if (st == CXR_OK) st = take_groups(d, &csv, err);
    for (size_t i = 0; st == CXR_OK && i < d->count; i++) d->samples[i].split = seen[i] ? splits[i] : CXR_SPLIT_NONE;
    cxr_mem_free(splits);
    cxr_mem_free(seen);
    cxr_csv_free(&csv);
    return st;
}

/* One sample's fields. A file that is not there has no size. */
static void add_line(cxr_hash *h, const cxr_dataset *d, const cxr_sample *s)
{
    struct stat info;
    char size[32] = "-";
    if (stat(s->path, &info) == 0) (void)snprintf(size, sizeof size, "%llu", (unsigned long long)info.st_size);
    const char *const fields[] = {s->key, d->classes[s->label], cxr_split_name(s->split), size};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) cxr_hash_text(h, fields[i]);
}

cxr_status cxr_dataset_fingerprint(const cxr_dataset *d, char hex[65], cxr_error *err)
{
    uint8_t digest[32];
    cxr_hash h;
    cxr_hash_begin(&h);
    for (size_t i = 0; i < d->count; i++) add_line(&h, d, &d->samples[i]);
    const cxr_status st = cxr_hash_end(&h, digest, err);
    if (st == CXR_OK) cxr_sha256_hex(digest, hex);
    return st;
}
