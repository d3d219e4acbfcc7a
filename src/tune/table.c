#include "tune/table.h"
#include "base/mem.h"
#include "report/tables.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

char *cxr_value_text(const json_t *value)
{
    if (json_is_string(value)) return cxr_mem_strdup(json_string_value(value));
    char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    char *text = dumped != NULL ? cxr_mem_strdup(dumped) : NULL;
    free(dumped);
    return text;
}

/* Rows for others to read: `texts` has count x dimensions strings, to be freed. */
typedef struct table {
    cxr_trial *rows;
    int count, columns;
    const char **names;
    char **texts;
} table;

static void free_table(table *b)
{
    for (int i = 0; b->texts != NULL && i < b->count * b->columns; i++) cxr_mem_free(b->texts[i]);
    cxr_mem_free(b->texts);
    cxr_mem_free(b->names);
    cxr_mem_free(b->rows);
}

static cxr_status make_table(table *b, const cxr_space *space, const cxr_trials *trials, cxr_error *err)
{
    *b = (table){.count = trials->count, .columns = space->count};
    const size_t rows = (size_t)b->count, columns = (size_t)b->columns;
    b->rows = cxr_mem_new(rows, sizeof *b->rows);
    b->names = cxr_mem_new(columns, sizeof *b->names);
    b->texts = cxr_mem_new(rows * columns, sizeof *b->texts);
    bool ok = b->rows != NULL && b->names != NULL && b->texts != NULL;
    for (size_t k = 0; k < columns && ok; k++) b->names[k] = space->dimensions[k].name;
    for (size_t i = 0; i < rows && ok; i++) {
        const cxr_ended *e = &trials->items[i];
        char **texts = b->texts + i * columns;
        for (size_t k = 0; k < columns && ok; k++)
            ok = (texts[k] = cxr_value_text(json_object_get(e->values, b->names[k]))) != NULL;
        b->rows[i] = (cxr_trial){.number = (int)i + 1,
                                 .state = e->state,
                                 .reason = e->reason,
                                 .epochs = e->epochs,
                                 .measure = cxr_objective_name(space->objective),
                                 .objective = e->objective,
                                 .seconds = e->seconds,
                                 .count = b->columns,
                                 .names = b->names,
                                 .values = (const char *const *)texts};
    }
    if (!ok) free_table(b);
    return ok ? CXR_OK : cxr_mem_fail(err, "the table of trials");
}

cxr_status cxr_table_write(const cxr_space *space, const cxr_trials *trials, const char *path, cxr_error *err)
{
    table b;
    cxr_status st = make_table(&b, space, trials, err);
    if (st != CXR_OK) return st;
    st = cxr_write_trials(path, b.rows, (size_t)b.count, err);
    free_table(&b);
    return st;
}

/* The lower, the better; what failed comes last. */
static double rank(const cxr_trial *t)
{
    if (!isfinite(t->objective)) return INFINITY;
    return strstr(t->measure, "loss") != NULL ? t->objective : -t->objective;
}

static int by_rank(const void *a, const void *b)
{
    const double x = rank(a), y = rank(b);
    if (x != y) return x > y ? 1 : -1;
    return ((const cxr_trial *)a)->number - ((const cxr_trial *)b)->number;
}

cxr_status cxr_table_show(const cxr_space *space, const cxr_trials *trials, void (*row)(void *user, const cxr_trial *t),
                          void *user, cxr_error *err)
{
    table b;
    cxr_status st = make_table(&b, space, trials, err);
    if (st != CXR_OK) return st;
    qsort(b.rows, (size_t)b.count, sizeof *b.rows, by_rank);
    for (int i = 0; i < b.count && row != NULL; i++) row(user, &b.rows[i]);
    if (!isfinite(b.rows[0].objective))
        st = cxr_fail(err, CXR_EDATA, "no trial has a best epoch; the first: %s",
                      b.rows[0].reason != NULL ? b.rows[0].reason : "was stopped before it");
    free_table(&b);
    return st;
}
