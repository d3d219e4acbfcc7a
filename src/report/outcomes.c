#include "report/outcomes.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "data/group.h"
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "probability_"
#define SLACK  0.01 /* of the sum of an image's probabilities; a table made by hand may round them */

/* ---- Where it is ---- */

static cxr_status find_file(char **out, const char *path, cxr_error *err)
{
    static const char *const names[] = {"predictions.csv", "test/predictions.csv"};
    if (!cxr_path_is_folder(path)) {
        *out = cxr_mem_strdup(path);
        return *out != NULL ? CXR_OK : cxr_mem_fail(err, path);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *out = cxr_path_join(path, names[i]);
        if (*out == NULL) return cxr_mem_fail(err, path);
        if (cxr_path_exists(*out)) return CXR_OK;
        cxr_mem_free(*out);
        *out = NULL;
    }
    return cxr_fail(err, CXR_ENOINPUT, "%s: holds no predictions.csv: cxr evaluate --out %s writes it", path, path);
}

/* ---- Columns ---- */

typedef struct columns {
    int path, label, prediction, group;
    int first; /* of the probabilities in the file's order */
    int *of;   /* of each class */
} columns;

static int class_named(const cxr_predictions *p, const char *name)
{
    for (int k = 0; k < p->classes; k++)
        if (strcmp(p->class_names[k], name) == 0) return k;
    return -1;
}

static const char *class_in(const char *column)
{
    return strncmp(column, PREFIX, strlen(PREFIX)) == 0 ? column + strlen(PREFIX) : NULL;
}

/* The classes in the order of `like`, or in the file's. */
static cxr_status find_classes(cxr_outcomes *o, columns *c, const cxr_outcomes *like, cxr_error *err)
{
    const size_t most = like == NULL ? o->csv.columns : (size_t)like->all.classes;
    const char **names = cxr_mem_new(most, sizeof *names);
    c->of = cxr_mem_new(most, sizeof *c->of);
    o->all.class_names = names;
    if (names == NULL || c->of == NULL) return cxr_mem_fail(err, o->path);
    for (size_t i = 0; i < o->csv.columns; i++) {
        const char *name = class_in(o->csv.rows[0][i]);
        if (name == NULL) continue;
        const int k = like == NULL ? o->all.classes : class_named(&like->all, name);
        if (k < 0) return cxr_fail(err, CXR_EDATA, "%s: class \"%s\" is not one of %s's", o->path, name, like->path);
        names[k] = name;
        c->of[k] = (int)i;
        o->all.classes++;
    }
    if (o->all.classes < 2 || o->all.classes > CXR_MAX_CLASSES)
        return cxr_fail(err, CXR_EDATA, "%s: %d columns probability_CLASS, not 2 to %d", o->path, o->all.classes,
                        CXR_MAX_CLASSES);
    if (like != NULL && o->all.classes != like->all.classes)
        return cxr_fail(err, CXR_EDATA, "%s: %d classes, %s has %d", o->path, o->all.classes, like->path, like->all.classes);
    return CXR_OK;
}

static cxr_status find_columns(cxr_outcomes *o, columns *c, const cxr_outcomes *like, cxr_error *err)
{
    c->path = cxr_csv_column(&o->csv, "path");
    c->label = cxr_csv_column(&o->csv, "label");
    c->prediction = cxr_csv_column(&o->csv, "prediction");
    c->group = cxr_csv_column(&o->csv, "group");
    if (c->path < 0 || c->label < 0 || c->prediction < 0)
        return cxr_fail(err, CXR_EDATA, "%s: the header must be path,label,prediction,probability_CLASS...", o->path);
    return find_classes(o, c, like, err);
}

/* ---- Rows ---- */

typedef struct row {
    char **fields;
    const char *path;
    size_t line;
} row;

static int by_path(const void *a, const void *b)
{
    return strcmp(((const row *)a)->path, ((const row *)b)->path);
}

static cxr_status sort_rows(const cxr_outcomes *o, int path, row *rows, cxr_error *err)
{
    for (size_t i = 0; i < o->all.n; i++) rows[i] = (row){o->csv.rows[i + 1], o->csv.rows[i + 1][path], o->csv.lines[i + 1]};
    qsort(rows, o->all.n, sizeof *rows, by_path);
    for (size_t i = 1; i < o->all.n; i++)
        if (strcmp(rows[i].path, rows[i - 1].path) == 0)
            return cxr_fail(err, CXR_EDATA, "%s:%zu: \"%s\" is listed twice", o->path, rows[i].line, rows[i].path);
    return CXR_OK;
}

static cxr_status take_row(cxr_outcomes *o, const columns *c, size_t i, const row *r, cxr_error *err)
{
    o->all.path[i] = r->path;
    o->all.label[i] = class_named(&o->all, r->fields[c->label]);
    o->decided[i] = class_named(&o->all, r->fields[c->prediction]);
    const int wrong = o->all.label[i] < 0 ? c->label : c->prediction;
    if (o->all.label[i] < 0 || o->decided[i] < 0)
        return cxr_fail(err, CXR_EDATA, "%s:%zu: \"%s\" is none of its classes", o->path, r->line, r->fields[wrong]);
    double sum = 0.0;
    for (int k = 0; k < o->all.classes; k++) {
        const char *text = r->fields[c->of[k]];
        char *end = NULL;
        const float x = strtof(text, &end);
        if (end == text || *end != '\0' || !(x >= 0.0f && x <= 1.0f))
            return cxr_fail(err, CXR_EDATA, "%s:%zu: \"%s\" is not a probability", o->path, r->line, text);
        o->all.probability[i * (size_t)o->all.classes + (size_t)k] = x;
        sum += (double)x;
    }
    if (fabs(sum - 1.0) > SLACK)
        return cxr_fail(err, CXR_EDATA, "%s:%zu: the probabilities add up to %.4g, not 1", o->path, r->line, sum);
    return CXR_OK;
}

static cxr_status take_group(cxr_outcomes *o, const columns *c, const cxr_grouper *g, size_t i, const row *r, cxr_error *err)
{
    o->groups[i] =
        c->group >= 0 ? cxr_mem_strdup(r->fields[c->group]) : cxr_grouper_text(g, r->path, o->all.class_names[o->all.label[i]]);
    return o->groups[i] != NULL ? CXR_OK : cxr_mem_fail(err, o->path);
}

/* A host may have set a locale whose decimal point is a comma. */
static cxr_status take_rows(cxr_outcomes *o, const columns *c, const row *rows, cxr_error *err)
{
    cxr_grouper g;
    cxr_status st = cxr_grouper_open(&g, NULL, err);
    const locale_t point = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (st == CXR_OK && point == (locale_t)0) st = cxr_mem_fail(err, o->path);
    const locale_t before = st == CXR_OK ? uselocale(point) : (locale_t)0;
    for (size_t i = 0; st == CXR_OK && i < o->all.n; i++) {
        st = take_row(o, c, i, &rows[i], err);
        if (st == CXR_OK) st = take_group(o, c, &g, i, &rows[i], err);
    }
    if (before != (locale_t)0) (void)uselocale(before);
    if (point != (locale_t)0) freelocale(point);
    cxr_grouper_close(&g);
    return st;
}

static cxr_status fill(cxr_outcomes *o, const cxr_outcomes *like, cxr_error *err)
{
    columns c = {0};
    cxr_status st = find_columns(o, &c, like, err);
    const size_t n = o->csv.row_count - 1;
    row *rows = NULL;
    if (st == CXR_OK && n == 0) st = cxr_fail(err, CXR_EDATA, "%s: no prediction", o->path);
    if (st == CXR_OK) {
        rows = cxr_mem_new(n, sizeof *rows);
        o->all.path = cxr_mem_new(n, sizeof *o->all.path);
        o->all.label = cxr_mem_new(n, sizeof *o->all.label);
        o->all.probability = cxr_mem_new(n, (size_t)o->all.classes * sizeof(float));
        o->decided = cxr_mem_new(n, sizeof *o->decided);
        o->groups = cxr_mem_new(n, sizeof *o->groups);
        if (rows == NULL || o->all.path == NULL || o->all.label == NULL || o->all.probability == NULL || o->decided == NULL ||
            o->groups == NULL)
            st = cxr_mem_fail(err, o->path);
    }
    if (st == CXR_OK) o->all.n = n;
    if (st == CXR_OK) st = sort_rows(o, c.path, rows, err);
    if (st == CXR_OK) st = take_rows(o, &c, rows, err);
    cxr_mem_free(rows);
    cxr_mem_free(c.of);
    return st;
}

cxr_status cxr_outcomes_read(cxr_outcomes *o, const char *path, const cxr_outcomes *like, cxr_error *err)
{
    *o = (cxr_outcomes){0};
    cxr_status st = find_file(&o->path, path, err);
    if (st == CXR_OK) st = cxr_csv_read(&o->csv, o->path, err);
    return st == CXR_OK ? fill(o, like, err) : st;
}

cxr_status cxr_outcomes_agree(const cxr_outcomes *a, const cxr_outcomes *b, cxr_error *err)
{
    for (size_t i = 0; i < a->all.n || i < b->all.n; i++) {
        const int order = i == a->all.n ? 1 : i == b->all.n ? -1 : strcmp(a->all.path[i], b->all.path[i]);
        if (order != 0)
            return cxr_fail(err, CXR_EDATA, "%s: \"%s\" is not in it, but in %s: both must be of the same images",
                            order < 0 ? b->path : a->path, order < 0 ? a->all.path[i] : b->all.path[i],
                            order < 0 ? a->path : b->path);
        if (a->all.label[i] != b->all.label[i])
            return cxr_fail(err, CXR_EDATA, "%s: \"%s\" is labelled \"%s\" here and \"%s\" in %s", b->path, b->all.path[i],
                            b->all.class_names[b->all.label[i]], a->all.class_names[a->all.label[i]], a->path);
    }
    return CXR_OK;
}

void cxr_outcomes_free(cxr_outcomes *o)
{
    for (size_t i = 0; o->groups != NULL && i < o->all.n; i++) cxr_mem_free(o->groups[i]);
    cxr_mem_free(o->groups);
    cxr_mem_free(o->decided);
    cxr_mem_free(o->all.path);
    cxr_mem_free(o->all.label);
    cxr_mem_free(o->all.probability);
    cxr_mem_free((void *)o->all.class_names);
    cxr_csv_free(&o->csv);
    cxr_mem_free(o->path);
    *o = (cxr_outcomes){0};
}
