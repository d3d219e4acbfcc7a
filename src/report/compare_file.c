/* A comparison of two models as JSON, and as files. */
#include "base/file.h"
#include "base/mem.h"
#include "data/csv.h"
#include "report/text.h"
#include <stdlib.h>

static json_t *figure(const cxr_comparison *c, int f)
{
    json_t *o = json_object();
    bool ok = json_object_set_new(o, "a", cxr_json_number(c->a[f])) == 0;
    ok &= json_object_set_new(o, "b", cxr_json_number(c->b[f])) == 0;
    ok &= json_object_set_new(o, "difference", cxr_json_number(c->difference[f])) == 0;
    ok &= json_object_set_new(o, "ci95", cxr_json_interval(c->ci95[f])) == 0;
    return cxr_json_whole(o, ok);
}

static json_t *figures(const cxr_comparison *c)
{
    json_t *o = json_object();
    bool ok = true;
    for (int f = 0; f < CXR_METRICS; f++) ok &= json_object_set_new(o, c->names[f], figure(c, f)) == 0;
    return cxr_json_whole(o, ok);
}

static json_t *mcnemar(const cxr_comparison *c)
{
    json_t *o = json_object();
    bool ok = json_object_set_new(o, "only_a", json_integer((json_int_t)c->only_a)) == 0;
    ok &= json_object_set_new(o, "only_b", json_integer((json_int_t)c->only_b)) == 0;
    ok &= json_object_set_new(o, "p", cxr_json_number(c->mcnemar_p)) == 0;
    ok &= json_object_set_new(o, "exact", json_boolean(c->mcnemar_exact)) == 0;
    return cxr_json_whole(o, ok);
}

static json_t *changed(const cxr_comparison *c)
{
    json_t *all = json_array();
    bool ok = true;
    for (size_t i = 0; i < c->changed_count; i++) {
        const cxr_changed *x = &c->changed[i];
        json_t *o = json_object();
        ok &= json_object_set_new(o, "path", cxr_json_text(x->path)) == 0;
        ok &= json_object_set_new(o, "label", cxr_json_text(c->class_names[x->label])) == 0;
        ok &= json_object_set_new(o, "a", cxr_json_text(c->class_names[x->a])) == 0;
        ok &= json_object_set_new(o, "b", cxr_json_text(c->class_names[x->b])) == 0;
        ok &= json_array_append_new(all, o) == 0;
    }
    return cxr_json_whole(all, ok);
}

static json_t *whole(const cxr_comparison *c)
{
    json_t *o = json_object(), *classes = json_array();
    bool ok = json_object_set_new(o, "a", cxr_json_text(c->files[0])) == 0;
    ok &= json_object_set_new(o, "b", cxr_json_text(c->files[1])) == 0;
    ok &= json_object_set_new(o, "n", json_integer((json_int_t)c->n)) == 0;
    for (int k = 0; k < c->classes; k++) ok &= json_array_append_new(classes, cxr_json_text(c->class_names[k])) == 0;
    ok &= json_object_set_new(o, "classes", classes) == 0;
    ok &= json_object_set_new(o, "positive_class", cxr_json_text(c->positive < 0 ? NULL : c->class_names[c->positive])) == 0;
    ok &= json_object_set_new(o, "figures", figures(c)) == 0;
    ok &= json_object_set_new(o, "delong_p", cxr_json_number(c->auroc_p)) == 0;
    ok &= json_object_set_new(o, "mcnemar", mcnemar(c)) == 0;
    ok &= json_object_set_new(o, "changed", changed(c)) == 0;
    return cxr_json_whole(o, ok);
}

/* jansson's text is malloc's, and cxr_free() must free it. */
cxr_status cxr_comparison_json(const cxr_comparison *c, char **text, cxr_error *err)
{
    json_t *o = whole(c);
    char *dumped = o == NULL ? NULL : json_dumps(o, JSON_INDENT(2));
    *text = dumped == NULL ? NULL : cxr_mem_strdup(dumped);
    free(dumped);
    json_decref(o);
    return *text != NULL ? CXR_OK : cxr_mem_fail(err, "the comparison as JSON");
}

static cxr_status put_changed(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const cxr_comparison *c = content;
    (void)fputs("path,label,a,b\n", f);
    for (size_t i = 0; i < c->changed_count; i++) {
        const cxr_changed *x = &c->changed[i];
        const char *const fields[] = {x->path, c->class_names[x->label], c->class_names[x->a], c->class_names[x->b]};
        for (int k = 0; k < 4; k++) {
            cxr_csv_put(f, fields[k]);
            (void)fputc(k < 3 ? ',' : '\n', f);
        }
    }
    return CXR_OK;
}

cxr_status cxr_comparison_write(const cxr_comparison *c, const char *folder, cxr_error *err)
{
    cxr_status st = cxr_make_folders(folder, err);
    char *object = cxr_path_join(folder, "compare.json"), *table = cxr_path_join(folder, "changed.csv");
    if (st == CXR_OK && (object == NULL || table == NULL)) st = cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_write_text(table, put_changed, c, err);
    if (st == CXR_OK) st = cxr_write_json(object, whole(c), err);
    cxr_mem_free(object);
    cxr_mem_free(table);
    return st;
}
