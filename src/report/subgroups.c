#include "report/subgroups.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "report/text.h"
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define SUBTYPE_NAMES "^person[0-9]+_(bacteria|virus)_"
#define UNKNOWN       "unknown"

/* ---- Which image is in which ---- */

typedef struct pair {
    const char *path, *value;
} pair;

static int by_path(const void *a, const void *b)
{
    return strcmp(((const pair *)a)->path, ((const pair *)b)->path);
}

/* The column's value of each image; lent by the table. */
static cxr_status values_of_column(const char **value, const cxr_predictions *p, const cxr_csv *csv, int column, cxr_error *err)
{
    const int path = cxr_csv_column(csv, "path");
    const size_t rows = csv->row_count - 1;
    pair *all = cxr_mem_new(rows, sizeof *all);
    if (all == NULL) return cxr_mem_fail(err, "subgroups");
    for (size_t r = 0; r < rows; r++) all[r] = (pair){csv->rows[r + 1][path], csv->rows[r + 1][column]};
    qsort(all, rows, sizeof *all, by_path);
    for (size_t i = 0; i < p->n; i++) {
        const pair *found = bsearch(&(pair){.path = p->path[i]}, all, rows, sizeof *all, by_path);
        value[i] = found == NULL || *found->value == '\0' ? UNKNOWN : found->value;
    }
    cxr_mem_free(all);
    return CXR_OK;
}

/* NULL: of the other class, and so in all of them. */
static cxr_status values_of_names(const char **value, const cxr_predictions *p, int positive, const char *data, cxr_error *err)
{
    regex_t names;
    bool any = false;
    if (positive < 0) return cxr_fail(err, CXR_EUSAGE, "%s: subtypes are told of two classes only", data);
    if (regcomp(&names, SUBTYPE_NAMES, REG_EXTENDED) != 0) return cxr_mem_fail(err, "a regular expression");
    for (size_t i = 0; i < p->n; i++) {
        regmatch_t part[2];
        const char *name = cxr_path_name(p->path[i]);
        if (p->label[i] != positive) continue;
        const bool told = regexec(&names, name, 2, part, 0) == 0;
        any = any || told;
        value[i] = !told ? UNKNOWN : name[part[1].rm_so] == 'b' ? "bacteria" : "virus";
    }
    regfree(&names);
    return any ? CXR_OK : cxr_fail(err, CXR_EDATA, "%s: no file name tells a subtype, as person1_bacteria_2.jpeg does", data);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What images are told apart by. */
typedef struct kinds {
    cxr_csv csv;
    const char **value; /* of each image */
    const char *list[CXR_SUBGROUPS_MOST];
    int count;
} kinds;

static cxr_status find_values(kinds *k, const cxr_predictions *p, int positive, const char *data, const char *by,
                              cxr_error *err)
{
    const bool table = !cxr_path_is_folder(data);
    const cxr_status st = table ? cxr_csv_read(&k->csv, data, err) : CXR_OK;
    if (st != CXR_OK) return st;
    const int column = table ? cxr_csv_column(&k->csv, by) : -1;
    if (column >= 0) return values_of_column(k->value, p, &k->csv, column, err);
    if (strcmp(by, "subtype") == 0) return values_of_names(k->value, p, positive, data, err);
    return cxr_fail(err, CXR_EUSAGE, "%s: no column \"%s\"; subgroups are by a column of a CSV, or by subtype", data, by);
}

/* The values met, in byte order, each once. */
static cxr_status list_values(kinds *k, size_t n, const char *data, const char *by, cxr_error *err)
{
    for (size_t i = 0; i < n; i++) {
        int at = 0;
        while (k->value[i] != NULL && at < k->count && strcmp(k->list[at], k->value[i]) != 0) at++;
        if (k->value[i] == NULL || at < k->count) continue;
        if (k->count == CXR_SUBGROUPS_MOST)
            return cxr_fail(err, CXR_EDATA, "%s: \"%s\" has more than %d values: too many for subgroups", data, by,
                            CXR_SUBGROUPS_MOST);
        k->list[k->count++] = k->value[i];
    }
    qsort(k->list, (size_t)k->count, sizeof *k->list, by_text);
    return CXR_OK;
}

static cxr_status open_kinds(kinds *k, const cxr_predictions *p, int positive, const char *data, const char *by, cxr_error *err)
{
    *k = (kinds){.value = cxr_mem_new(p->n, sizeof *k->value)};
    cxr_status st = k->value == NULL ? cxr_mem_fail(err, "subgroups") : find_values(k, p, positive, data, by, err);
    return st == CXR_OK ? list_values(k, p->n, data, by, err) : st;
}

static void close_kinds(kinds *k)
{
    cxr_csv_free(&k->csv);
    cxr_mem_free(k->value);
}

cxr_status cxr_subgroups_check(const cxr_predictions *p, int positive, const char *data, const char *by, cxr_error *err)
{
    kinds k;
    const cxr_status st = open_kinds(&k, p, positive, data, by, err);
    close_kinds(&k);
    return st;
}

/* ---- Figures ---- */

/* Room for any part of the images. */
typedef struct part {
    cxr_predictions p;
    const char **groups;
} part;

static bool reserve(part *to, const cxr_predictions *p)
{
    to->p = *p;
    to->p.path = cxr_mem_new(p->n, sizeof *to->p.path);
    to->p.label = cxr_mem_new(p->n, sizeof *to->p.label);
    to->p.probability = cxr_mem_new(p->n, (size_t)p->classes * sizeof *to->p.probability);
    to->groups = cxr_mem_new(p->n, sizeof *to->groups);
    return to->p.path != NULL && to->p.label != NULL && to->p.probability != NULL && to->groups != NULL;
}

static void release(part *of)
{
    cxr_mem_free(of->p.path);
    cxr_mem_free(of->p.label);
    cxr_mem_free(of->p.probability);
    cxr_mem_free(of->groups);
}

static void take(part *to, const cxr_predictions *p, const char *const *groups, const char *const *value, const char *wanted)
{
    const size_t classes = (size_t)p->classes;
    to->p.n = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (value[i] != NULL && strcmp(value[i], wanted) != 0) continue;
        const size_t at = to->p.n++;
        to->p.path[at] = p->path[i];
        to->p.label[at] = p->label[i];
        to->groups[at] = groups == NULL ? p->path[i] : groups[i];
        memcpy(to->p.probability + at * classes, p->probability + i * classes, classes * sizeof *p->probability);
    }
}

static cxr_status measure(cxr_metrics *m, part *room, const cxr_predictions *p, const char *const *groups,
                          const char *const *value, const char *name, int threads, cxr_error *err)
{
    cxr_subgroup *s = &m->subgroups[m->subgroup_count++];
    take(room, p, groups, value, name);
    s->name = cxr_mem_strdup(name);
    if (s->name == NULL) return cxr_mem_fail(err, "a subgroup's name");
    const cxr_status st = cxr_metrics_compute(&s->figures, &room->p, m->positive, m->threshold, err);
    return st == CXR_OK ? cxr_metrics_intervals(s->figures, &room->p, room->groups, threads, err) : st;
}

cxr_status cxr_subgroups_measure(cxr_metrics *m, const cxr_predictions *p, const char *const *groups, const char *data,
                                 const char *by, int threads, cxr_error *err)
{
    kinds k;
    part room = {0};
    cxr_status st = open_kinds(&k, p, m->positive, data, by, err);
    if (st == CXR_OK && !reserve(&room, p)) st = cxr_mem_fail(err, "subgroups");
    if (st == CXR_OK && (m->subgroups = cxr_mem_new((size_t)k.count, sizeof *m->subgroups)) == NULL)
        st = cxr_mem_fail(err, "subgroups");
    for (int i = 0; i < k.count && st == CXR_OK; i++) st = measure(m, &room, p, groups, k.value, k.list[i], threads, err);
    release(&room);
    close_kinds(&k);
    return st;
}

/* ---- Table ---- */

static cxr_status put_subgroups(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const cxr_metrics *m = content;
    (void)fputs("subgroup,images,positive", f);
    for (int k = 0; k < CXR_METRICS; k++) (void)fprintf(f, ",%s,%s_low,%s_high", m->names[k], m->names[k], m->names[k]);
    (void)fputc('\n', f);
    for (int i = 0; i < m->subgroup_count; i++) {
        const cxr_metrics *x = m->subgroups[i].figures;
        cxr_csv_put(f, m->subgroups[i].name);
        (void)fprintf(f, ",%zu,", x->n);
        if (x->positive >= 0)
            (void)fprintf(f, "%llu", (unsigned long long)(x->confusion[2 * x->positive] + x->confusion[2 * x->positive + 1]));
        for (int k = 0; k < CXR_METRICS; k++) {
            cxr_put_number(f, x->value[k]);
            cxr_put_number(f, x->ci95[k][0]);
            cxr_put_number(f, x->ci95[k][1]);
        }
        (void)fputc('\n', f);
    }
    return CXR_OK;
}

cxr_status cxr_write_subgroups(const char *folder, const cxr_metrics *m, cxr_error *err)
{
    char *path = cxr_path_join(folder, "subgroups.csv");
    const cxr_status st = path == NULL ? cxr_mem_fail(err, "a file name") : cxr_write_text(path, put_subgroups, m, err);
    cxr_mem_free(path);
    return st;
}
