/* cxr_compare: two predictions.csv of the same images. */
#include "eval/compare.h"
#include "base/mem.h"
#include "report/outcomes.h"

/* What the caller sees comes first; the strings it lends live beside it. */
typedef struct comparison {
    cxr_comparison shown;
    cxr_outcomes a, b;
} comparison;

static cxr_status list_changed(comparison *c, cxr_error *err)
{
    c->shown.changed = cxr_mem_new(c->a.all.n, sizeof *c->shown.changed);
    if (c->shown.changed == NULL) return cxr_mem_fail(err, "the list of images");
    for (size_t i = 0; i < c->a.all.n; i++)
        if (c->a.decided[i] != c->b.decided[i])
            c->shown.changed[c->shown.changed_count++] =
                (cxr_changed){c->a.all.path[i], c->a.all.label[i], c->a.decided[i], c->b.decided[i]};
    return CXR_OK;
}

cxr_status cxr_compare(const char *a, const char *b, int threads, cxr_comparison **out, cxr_error *err)
{
    *out = NULL;
    comparison *c = cxr_mem_new(1, sizeof *c);
    if (c == NULL) return cxr_mem_fail(err, "the comparison");
    *out = &c->shown;
    cxr_status st = cxr_outcomes_read(&c->a, a, NULL, err);
    if (st == CXR_OK) st = cxr_outcomes_read(&c->b, b, &c->a, err);
    if (st == CXR_OK) st = cxr_outcomes_agree(&c->a, &c->b, err);
    if (st == CXR_OK)
        st = cxr_compare_sides(&c->shown, (cxr_side){&c->a.all, c->a.decided}, (cxr_side){&c->b.all, c->b.decided},
                               (const char *const *)c->a.groups, threads, err);
    if (st == CXR_OK) st = list_changed(c, err);
    c->shown.class_names = c->a.all.class_names;
    c->shown.files[0] = c->a.path;
    c->shown.files[1] = c->b.path;
    if (st != CXR_OK) cxr_comparison_free(out);
    return st;
}

void cxr_comparison_free(cxr_comparison **shown)
{
    if (shown == NULL || *shown == NULL) return;
    comparison *c = (comparison *)*shown;
    cxr_outcomes_free(&c->a);
    cxr_outcomes_free(&c->b);
    cxr_mem_free(c->shown.changed);
    cxr_mem_free(c);
    *shown = NULL;
}
