/* Opening a data set. Folders and tables fill the same list of samples, with classes numbered as they are met; finish() puts
 * classes and samples in byte order, refuses what cannot be trained on, and names each image's patient. */
#include "data/dataset.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "data/files.h"
#include "data/group.h"
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES 10000000 /* files and folders of a data set */
#define MAX_DEPTH   64       /* folders in folders */

typedef struct builder {
    cxr_dataset *d;
    const char *path; /* as given, for sentences */
    size_t room;
    cxr_grouper grouper;
    bool explicit_groups; /* a column names patients: then a patient in two splits is a fault of the table */
    cxr_error *err;
} builder;

const char *cxr_split_name(cxr_split s)
{
    static const char *const names[] = {"train", "val", "test", "none"};
    return names[s];
}

/* CXR_SPLIT_NONE for any other word. */
static cxr_split split_of_name(const char *name)
{
    int s = CXR_SPLIT_TRAIN;
    while (s < CXR_SPLIT_COUNT && strcmp(name, cxr_split_name((cxr_split)s)) != 0) s++;
    return (cxr_split)s;
}

void cxr_dataset_close(cxr_dataset *d)
{
    for (size_t i = 0; i < d->count; i++) {
        cxr_mem_free(d->samples[i].path);
        cxr_mem_free(d->samples[i].key);
        cxr_mem_free(d->samples[i].group);
    }
    for (int c = 0; c < d->class_count; c++) cxr_mem_free(d->classes[c]);
    cxr_mem_free(d->samples);
    cxr_mem_free(d->classes);
    cxr_mem_free(d->root);
    *d = (cxr_dataset){0};
}

size_t cxr_dataset_count(const cxr_dataset *d, cxr_split split, int label)
{
    size_t n = 0;
    for (size_t i = 0; i < d->count; i++) n += d->samples[i].split == split && (label < 0 || d->samples[i].label == label);
    return n;
}

/* The number of class `name`, a new one when it was not met before. */
static cxr_status class_number(builder *b, const char *name, int *label)
{
    cxr_dataset *d = b->d;
    for (int c = 0; c < d->class_count; c++)
        if (strcmp(d->classes[c], name) == 0) {
            *label = c;
            return CXR_OK;
        }
    if (d->class_count == CXR_MAX_CLASSES)
        return cxr_fail(b->err, CXR_ELIMIT, "%s: more than %d classes", b->path, CXR_MAX_CLASSES);
    if (d->classes == NULL && (d->classes = cxr_mem_new(CXR_MAX_CLASSES, sizeof *d->classes)) == NULL)
        return cxr_mem_fail(b->err, "class names");
    char *copy = cxr_mem_strdup(name);
    if (copy == NULL) return cxr_mem_fail(b->err, "a class name");
    *label = d->class_count;
    d->classes[d->class_count++] = copy;
    return CXR_OK;
}

/* Takes the strings of `s`, also on failure. */
static cxr_status add_sample(builder *b, cxr_sample s)
{
    cxr_dataset *d = b->d;
    cxr_sample *grown = d->samples;
    if (d->count == b->room) {
        const size_t room = b->room == 0 ? 1024 : 2 * b->room;
        grown = cxr_mem_resize(d->samples, room, sizeof *grown);
        if (grown != NULL) {
            d->samples = grown;
            b->room = room;
        }
    }
    if (grown == NULL || s.path == NULL || s.key == NULL) {
        cxr_mem_free(s.path);
        cxr_mem_free(s.key);
        cxr_mem_free(s.group);
        return cxr_mem_fail(b->err, "the list of images");
    }
    d->samples[d->count++] = s;
    if (s.split != CXR_SPLIT_NONE) d->has_split[s.split] = true;
    return CXR_OK;
}

/* ---- Folders ---- */

typedef struct scan {
    builder *b;
    int class_level; /* of class folders below the root: 2 under split folders, else 1 */
    size_t entries;
} scan;

static const FTSENT *ancestor(const FTSENT *e, int level)
{
    while (e->fts_level > level) e = e->fts_parent;
    return e;
}

static cxr_split split_of_entry(const scan *s, const FTSENT *e)
{
    if (s->class_level == 1 || e->fts_level < 1) return CXR_SPLIT_NONE;
    return split_of_name(ancestor(e, 1)->fts_name);
}

static cxr_status enter_folder(const scan *s, FTS *walk, FTSENT *e)
{
    const bool other_split = s->class_level == 2 && e->fts_level == 1 && split_of_entry(s, e) == CXR_SPLIT_NONE;
    if (e->fts_level > 0 && (cxr_is_ignored_name(e->fts_name) || other_split)) {
        (void)fts_set(walk, e, FTS_SKIP);
        return CXR_OK;
    }
    if (e->fts_level > MAX_DEPTH)
        return cxr_fail(s->b->err, CXR_ELIMIT, "%s: folders nested more than %d deep", e->fts_path, MAX_DEPTH);
    const cxr_split split = split_of_entry(s, e);
    const bool is_needed = split == CXR_SPLIT_TRAIN || split == CXR_SPLIT_NONE;
    if (e->fts_level != s->class_level || !is_needed) return CXR_OK;
    int label; /* an empty class folder to train on must not go unseen */
    return class_number(s->b, e->fts_name, &label);
}

static cxr_status add_file(const scan *s, const FTSENT *e)
{
    if (e->fts_level <= s->class_level || !cxr_is_image_name(e->fts_name)) return CXR_OK;
    const char *key = e->fts_path + strlen(s->b->d->root);
    cxr_sample sample = {.split = split_of_entry(s, e)};
    const cxr_status st = class_number(s->b, ancestor(e, s->class_level)->fts_name, &sample.label);
    if (st != CXR_OK) return st;
    sample.path = cxr_mem_strdup(e->fts_path);
    sample.key = cxr_mem_strdup(key + strspn(key, "/"));
    return add_sample(s->b, sample);
}

static cxr_status visit(scan *s, FTS *walk, FTSENT *e)
{
    if (++s->entries > MAX_ENTRIES)
        return cxr_fail(s->b->err, CXR_ELIMIT, "%s: more than %d files and folders", s->b->path, MAX_ENTRIES);
    switch (e->fts_info) {
    case FTS_D: return enter_folder(s, walk, e);
    case FTS_DP:
    case FTS_DC: return CXR_OK; /* DC: a link back to a folder that we are in */
    case FTS_DNR:
    case FTS_ERR: return cxr_fail(s->b->err, CXR_EIO, "%s: cannot read folder: %s", e->fts_path, strerror(e->fts_errno));
    default: return add_file(s, e); /* dangling links and devices too: the loader names what cannot be read */
    }
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static cxr_status walk_folder(scan *s)
{
    const builder *b = s->b;
    char *const roots[] = {b->d->root, NULL};
    FTS *walk = fts_open(roots, FTS_LOGICAL, by_name);
    if (walk == NULL) return cxr_fail(b->err, CXR_EIO, "%s: cannot read folder: %s", b->path, strerror(errno));
    cxr_status st = CXR_OK;
    FTSENT *e = NULL;
    errno = 0;
    while (st == CXR_OK && (e = fts_read(walk)) != NULL) {
        st = visit(s, walk, e);
        errno = 0;
    }
    if (st == CXR_OK && errno != 0) st = cxr_fail(b->err, CXR_EIO, "%s: cannot read folder: %s", b->path, strerror(errno));
    (void)fts_close(walk);
    return st;
}

static cxr_status scan_folder(builder *b)
{
    scan s = {.b = b};
    const cxr_dataset *d = b->d;
    if (b->grouper.column != NULL)
        return cxr_fail(b->err, CXR_EUSAGE, "%s: group by \"column:%s\" needs a CSV, this is a folder", b->path,
                        b->grouper.column);
    char *train = cxr_path_join(d->root, "train");
    if (train == NULL) return cxr_mem_fail(b->err, "a folder name");
    s.class_level = cxr_path_is_folder(train) ? 2 : 1;
    cxr_mem_free(train);
    const cxr_status st = walk_folder(&s);
    if (st != CXR_OK || s.class_level == 2) return st;
    for (int c = 0; c < d->class_count; c++) /* splits must not be taken for classes */
        if (strcmp(d->classes[c], "test") == 0 || strcmp(d->classes[c], "val") == 0)
            return cxr_fail(b->err, CXR_EDATA, "%s: holds %s/ but no train/", b->path, d->classes[c]);
    return CXR_OK;
}

/* ---- Tables ---- */

typedef struct table {
    builder *b;
    cxr_csv csv;
    int path, label, split, group; /* columns; -1: none */
} table;

static cxr_status find_columns(table *t)
{
    const builder *b = t->b;
    t->path = cxr_csv_column(&t->csv, "path");
    t->label = cxr_csv_column(&t->csv, "label");
    t->split = cxr_csv_column(&t->csv, "split");
    t->group = -1;
    if (t->path < 0 || t->label < 0)
        return cxr_fail(b->err, CXR_EDATA, "%s: no column \"%s\"; the header must be path,label[,split][,group]", b->path,
                        t->path < 0 ? "path" : "label");
    if (b->grouper.automatic) t->group = cxr_csv_column(&t->csv, "group");
    if (b->grouper.column == NULL) return CXR_OK;
    t->group = cxr_csv_column(&t->csv, b->grouper.column);
    if (t->group < 0) return cxr_fail(b->err, CXR_EUSAGE, "%s: no column \"%s\" to group by", b->path, b->grouper.column);
    return CXR_OK;
}

static cxr_status add_row(table *t, size_t r)
{
    builder *b = t->b;
    char **row = t->csv.rows[r];
    const char *path = row[t->path];
    cxr_sample s = {.split = CXR_SPLIT_NONE};
    if (*path == '\0') return cxr_fail(b->err, CXR_EDATA, "%s:%zu: the path is empty", b->path, t->csv.lines[r]);
    if (row[t->label][0] == '\0') return cxr_fail(b->err, CXR_EDATA, "%s:%zu: the label is empty", b->path, t->csv.lines[r]);
    if (t->split >= 0 && (s.split = split_of_name(row[t->split])) == CXR_SPLIT_NONE)
        return cxr_fail(b->err, CXR_EDATA, "%s:%zu: split \"%s\" is none of train, val, test", b->path, t->csv.lines[r],
                        row[t->split]);
    const cxr_status st = class_number(b, row[t->label], &s.label);
    if (st != CXR_OK) return st;
    if (t->group >= 0 && row[t->group][0] != '\0' && (s.group = cxr_mem_strdup(row[t->group])) == NULL)
        return cxr_mem_fail(b->err, "a patient's name");
    const bool is_local = *path != '/' && strchr(b->path, '/') != NULL;
    s.path = is_local ? cxr_path_join(b->d->root, path) : cxr_mem_strdup(path);
    s.key = cxr_mem_strdup(path);
    return add_sample(b, s);
}

static cxr_status read_table(builder *b)
{
    table t = {.b = b};
    cxr_status st = cxr_csv_read(&t.csv, b->path, b->err);
    if (st == CXR_OK) st = find_columns(&t);
    for (size_t r = 1; st == CXR_OK && r < t.csv.row_count; r++) st = add_row(&t, r);
    b->explicit_groups = st == CXR_OK && t.group >= 0;
    cxr_csv_free(&t.csv);
    return st;
}

/* ---- What both have in common ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const cxr_sample *)a)->key, ((const cxr_sample *)b)->key);
}

static void sort_classes(cxr_dataset *d)
{
    char *met[CXR_MAX_CLASSES];
    int rank[CXR_MAX_CLASSES];
    if (d->class_count == 0) return;
    memcpy(met, d->classes, (size_t)d->class_count * sizeof *met);
    qsort(d->classes, (size_t)d->class_count, sizeof *d->classes, by_text);
    for (int old = 0; old < d->class_count; old++)
        for (int c = 0; c < d->class_count; c++)
            if (d->classes[c] == met[old]) rank[old] = c;
    for (size_t i = 0; i < d->count; i++) d->samples[i].label = rank[d->samples[i].label];
}

/* A class must be there to train on; where no split is given, anywhere. */
static cxr_status check_classes(const builder *b)
{
    const cxr_dataset *d = b->d;
    const bool given = d->has_split[CXR_SPLIT_TRAIN] || d->has_split[CXR_SPLIT_VAL] || d->has_split[CXR_SPLIT_TEST];
    if (d->count == 0) return cxr_fail(b->err, CXR_EDATA, "%s: no images in class folders or rows", b->path);
    for (int c = 0; c < d->class_count; c++) {
        if (cxr_dataset_count(d, given ? CXR_SPLIT_TRAIN : CXR_SPLIT_NONE, c) > 0) continue;
        const size_t val = cxr_dataset_count(d, CXR_SPLIT_VAL, c), test = cxr_dataset_count(d, CXR_SPLIT_TEST, c);
        if (val + test == 0) return cxr_fail(b->err, CXR_EDATA, "%s: class \"%s\" has no images", b->path, d->classes[c]);
        return cxr_fail(b->err, CXR_EDATA, "%s: class \"%s\" has %zu images in %s but none in train", b->path, d->classes[c],
                        test > 0 ? test : val, test > 0 ? "test" : "val");
    }
    if (d->class_count < 2)
        return cxr_fail(b->err, CXR_EDATA, "%s: one class only (\"%s\"); at least two are needed", b->path, d->classes[0]);
    return CXR_OK;
}

static cxr_status name_patients(builder *b)
{
    cxr_dataset *d = b->d;
    for (size_t i = 0; i < d->count; i++) {
        cxr_sample *s = &d->samples[i];
        if (i > 0 && strcmp(s->key, s[-1].key) == 0)
            return cxr_fail(b->err, CXR_EDATA, "%s: \"%s\" is listed twice", b->path, s->key);
        if (s->group == NULL) s->group = cxr_grouper_text(&b->grouper, s->key, d->classes[s->label]);
        if (s->group == NULL) return cxr_mem_fail(b->err, "a patient's name");
    }
    return CXR_OK;
}

static int by_group_pointer(const void *a, const void *b)
{
    return strcmp((*(const cxr_sample *const *)a)->group, (*(const cxr_sample *const *)b)->group);
}

/* Patients and splits both named by the table must agree. */
static cxr_status check_crossing(const builder *b)
{
    const cxr_dataset *d = b->d;
    if (!b->explicit_groups) return CXR_OK;
    const cxr_sample **s = cxr_mem_new(d->count, sizeof *s);
    if (s == NULL) return cxr_mem_fail(b->err, "the list of patients");
    for (size_t i = 0; i < d->count; i++) s[i] = &d->samples[i];
    qsort(s, d->count, sizeof *s, by_group_pointer);
    cxr_status st = CXR_OK;
    for (size_t i = 1; st == CXR_OK && i < d->count; i++)
        if (s[i]->split != s[i - 1]->split && strcmp(s[i]->group, s[i - 1]->group) == 0)
            st = cxr_fail(b->err, CXR_EDATA, "%s: patient \"%s\" is in %s (%s) and in %s (%s)", b->path, s[i]->group,
                          cxr_split_name(s[i - 1]->split), s[i - 1]->key, cxr_split_name(s[i]->split), s[i]->key);
    cxr_mem_free(s);
    return st;
}

/* The folder itself, or the one that the table lies in, without slashes at its end. */
static char *root_of(const char *path, bool is_folder)
{
    const char *slash = strrchr(path, '/');
    size_t len = strlen(path);
    if (!is_folder) len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    while (len > 1 && path[len - 1] == '/') len--;
    return len == 0 ? cxr_mem_strdup(".") : cxr_mem_printf("%.*s", (int)len, path);
}

static cxr_status build(builder *b)
{
    const bool is_folder = cxr_path_is_folder(b->path);
    b->d->root = root_of(b->path, is_folder);
    if (b->d->root == NULL) return cxr_mem_fail(b->err, "a folder name");
    cxr_status st = is_folder ? scan_folder(b) : read_table(b);
    if (st == CXR_OK) sort_classes(b->d);
    if (st == CXR_OK) st = check_classes(b);
    if (st == CXR_OK) qsort(b->d->samples, b->d->count, sizeof *b->d->samples, by_key);
    if (st == CXR_OK) st = name_patients(b);
    if (st == CXR_OK) st = check_crossing(b);
    return st;
}

cxr_status cxr_dataset_open(cxr_dataset *out, const char *path, const char *group_by, cxr_error *err)
{
    *out = (cxr_dataset){0};
    builder b = {.d = out, .path = path, .err = err};
    cxr_status st = cxr_grouper_open(&b.grouper, group_by, err);
    if (st != CXR_OK) return st;
    st = build(&b);
    cxr_grouper_close(&b.grouper);
    if (st != CXR_OK) cxr_dataset_close(out);
    return st;
}
