#include "report/ledger.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/csv.h"
#include "model/model.h"
#include "report/run.h"
#include "report/text.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const columns[] = {"time", "model", "data", "split", "images", "correct", "tta"};
enum { COLUMNS = sizeof columns / sizeof *columns };

const char *cxr_tta_name(cxr_tta tta)
{
    static const char *const names[] = {"none", "flip", "scales", "crops"};
    return names[tta];
}

const char *cxr_precision_name(cxr_precision precision)
{
    static const char *const names[] = {"f32", "bf16", "int8", "auto"};
    return names[precision];
}

static uint64_t correct(const cxr_metrics *x)
{
    uint64_t sum = 0;
    for (int c = 0; c < x->classes; c++) sum += x->confusion[(size_t)c * (size_t)x->classes + (size_t)c];
    return sum;
}

static void put_fields(FILE *f, const char *const *fields, int count)
{
    for (int i = 0; i < count; i++) {
        if (i > 0) (void)fputc(',', f);
        cxr_csv_put(f, fields[i]);
    }
    (void)fputc('\n', f);
}

/* The old rows under the new header. */
static cxr_status put_wider(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const cxr_csv *old = content;
    put_fields(f, columns, COLUMNS);
    for (size_t r = 1; r < old->row_count; r++) {
        const char *fields[COLUMNS];
        for (int i = 0; i < COLUMNS; i++) {
            const int at = cxr_csv_column(old, columns[i]);
            fields[i] = at < 0 ? "" : old->rows[r][at];
        }
        put_fields(f, fields, COLUMNS);
    }
    return CXR_OK;
}

/* How many columns the file has once it has been made as wide as can be. */
static int widen(const char *path)
{
    cxr_csv old = {0};
    int count = COLUMNS;
    if (cxr_csv_read(&old, path, NULL) == CXR_OK && old.columns < COLUMNS &&
        cxr_write_text(path, put_wider, &old, NULL) != CXR_OK)
        count = (int)old.columns;
    cxr_csv_free(&old);
    return count;
}

static bool append(const char *path, const char *const *fields)
{
    const bool fresh = !cxr_path_exists(path);
    const int count = fresh ? COLUMNS : widen(path);
    FILE *f = fopen(path, "ae");
    if (f == NULL) return false;
    if (fresh) put_fields(f, columns, COLUMNS);
    put_fields(f, fields, count);
    const bool ok = fflush(f) == 0 && fsync(fileno(f)) == 0;
    return fclose(f) == 0 && ok;
}

static cxr_status write_row(const char *run, const cxr_evaluate_opts *o, const cxr_model *m, const cxr_metrics *x,
                            const cxr_hooks *hooks, cxr_error *err)
{
    char *path = cxr_path_join(run, CXR_RUN_LEDGER), stamp[CXR_STAMP], images[24], right[24];
    if (path == NULL) return cxr_mem_fail(err, "a file name");
    cxr_stamp(stamp);
    (void)snprintf(images, sizeof images, "%zu", x->n);
    (void)snprintf(right, sizeof right, "%llu", (unsigned long long)correct(x));
    const char *const fields[COLUMNS] = {stamp, cxr_path_name(m->path),  o->data, o->split, images,
                                         right, cxr_tta_name(o->run.tta)};
    if (!append(path, fields)) cxr_log(hooks, CXR_WARNING, "%s: this reading is not recorded: %s", path, strerror(errno));
    cxr_mem_free(path);
    return CXR_OK;
}

cxr_status cxr_ledger_write(const cxr_evaluate_opts *o, const cxr_model *m, const cxr_metrics *x, const cxr_hooks *hooks,
                            cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (; m != NULL && st == CXR_OK; m = m->next) {
        char *run = m->path == NULL ? NULL : cxr_run_of_model(m->path);
        if (run != NULL) st = write_row(run, o, m, x, hooks, err);
        cxr_mem_free(run);
    }
    return st;
}
