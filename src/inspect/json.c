/* inspect.json. Values are built without a look at each call: a NULL from exhausted memory makes the value that should hold it
 * fail, up to the whole object. */
#include "base/mem.h"
#include "inspect/result.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *count(size_t n)
{
    return json_integer((json_int_t)n);
}

/* A file's name need not be UTF-8, which JSON is: then its bytes beyond ASCII are question marks. */
static json_t *text(const char *s)
{
    json_t *plain = json_string(s);
    if (plain != NULL) return plain;
    char *copy = cxr_mem_strdup(s);
    for (char *c = copy; c != NULL && *c != '\0'; c++)
        if ((*c & 0x80) != 0) *c = '?';
    json_t *out = copy == NULL ? NULL : json_string(copy);
    cxr_mem_free(copy);
    return out;
}

static json_t *or_nothing(json_t *value, bool complete)
{
    if (complete) return value;
    json_decref(value);
    return NULL;
}

static json_t *by_class(const cxr_dataset *d, const size_t *counts)
{
    json_t *o = json_object();
    bool ok = true;
    for (int k = 0; k < d->class_count; k++) ok &= json_object_set_new(o, d->classes[k], count(counts[k])) == 0;
    return or_nothing(o, ok);
}

static json_t *split_counts(const cxr_dataset *d)
{
    json_t *o = json_object();
    bool ok = true;
    for (int s = 0; s <= CXR_SPLIT_NONE; s++) {
        if (cxr_dataset_count(d, (cxr_split)s, -1) == 0) continue;
        json_t *each = json_object();
        for (int k = 0; k < d->class_count; k++)
            ok &= json_object_set_new(each, d->classes[k], count(cxr_dataset_count(d, (cxr_split)s, k))) == 0;
        ok &= json_object_set_new(o, cxr_split_name((cxr_split)s), each) == 0;
    }
    return or_nothing(o, ok);
}

static json_t *kinds(const cxr_result *r)
{
    json_t *list = json_array();
    bool ok = true;
    for (size_t i = 0; i < r->kinds.count; i++) {
        const cxr_kind *k = &r->kinds.rows[i];
        ok &= json_array_append_new(list,
                                    json_pack("{s:s, s:s, s:i, s:i, s:I, s:o}", "format", k->info.format, "mode", k->info.mode,
                                              "depth", k->info.depth, "orientation", k->info.orientation, "images",
                                              (json_int_t)k->count, "by_class", by_class(&r->data, k->by_class))) == 0;
    }
    return or_nothing(list, ok);
}

static json_t *range(const int three[3])
{
    return json_pack("{s:i, s:i, s:i}", "least", three[0], "median", three[1], "largest", three[2]);
}

static json_t *area(double auroc, const double ci[2])
{
    const bool known = isfinite(ci[0]) && isfinite(ci[1]);
    json_t *ends = known ? json_pack("[f, f]", ci[0], ci[1]) : json_null();
    return json_pack("{s:o, s:o}", "value", number(auroc), "ci95", ends);
}

static json_t *shift(const cxr_result *r)
{
    const cxr_shift *x = &r->shift;
    if (!x->known) return json_null();
    json_t *each = json_object();
    bool ok = true;
    for (int k = 0; k < r->data.class_count; k++)
        ok &= json_object_set_new(each, r->data.classes[k], area(x->class_auroc[k], x->class_ci95[k])) == 0;
    json_t *o = json_pack("{s:I, s:I, s:i, s:o, s:o}", "train", (json_int_t)x->train, "test", (json_int_t)x->test, "folds",
                          CXR_SHIFT_FOLDS, "auroc", area(x->auroc, x->ci95), "by_class", each);
    return or_nothing(o, ok);
}

static json_t *image(const cxr_dataset *d, uint32_t i)
{
    const cxr_sample *s = &d->samples[i];
    return json_pack("{s:o, s:s, s:s}", "path", text(s->key), "split", cxr_split_name(s->split), "class", d->classes[s->label]);
}

static json_t *finding(const cxr_result *r, const cxr_checked *c, const cxr_finding *f)
{
    json_t *images = json_array();
    bool ok = true;
    for (size_t i = 0; i < f->count; i++) ok &= json_array_append_new(images, image(&r->data, f->images[i])) == 0;
    json_t *o = json_pack("{s:o}", "images", images);
    if (c->score != NULL) ok &= json_object_set_new(o, "score", number(f->score)) == 0;
    if (f->note != NULL) ok &= json_object_set_new(o, "note", text(f->note)) == 0;
    if (f->count > 1) ok &= json_object_set_new(o, "across_splits", json_boolean(cxr_finding_across(&r->data, f))) == 0;
    return or_nothing(o, ok);
}

static json_t *check(const cxr_result *r, const cxr_checked *c)
{
    json_t *findings = json_array();
    bool ok = true;
    for (size_t i = 0; i < c->count; i++) ok &= json_array_append_new(findings, finding(r, c, &c->findings[i])) == 0;
    json_t *o = json_pack("{s:s, s:s, s:o, s:s, s:s?, s:o}", "name", c->name, "verdict", cxr_verdict_name(c->verdict), "says",
                          text(c->says), "method", c->method, "score", c->score, "findings", findings);
    return or_nothing(o, ok);
}

static json_t *whole(const cxr_result *r)
{
    json_t *checks = json_array(), *classes = json_array();
    bool ok = true;
    for (int k = 0; k < CXR_CHECKS; k++) ok &= json_array_append_new(checks, check(r, &r->checks[k])) == 0;
    for (int k = 0; k < r->data.class_count; k++) ok &= json_array_append_new(classes, json_string(r->data.classes[k])) == 0;
    json_t *o = json_pack("{s:s, s:o, s:s, s:o, s:I, s:o, s:o, s:I, s:o, s:o, s:I, s:o, s:o}", "cxr", cxr_version(), "data",
                          text(r->o->data), "verdict", cxr_verdict_name(cxr_result_verdict(r)), "classes", classes, "images",
                          (json_int_t)r->data.count, "counts", split_counts(&r->data), "kinds", kinds(r), "sizes",
                          (json_int_t)r->kinds.sizes, "width", range(r->kinds.width), "height", range(r->kinds.height),
                          "pairs_compared", (json_int_t)r->duplicates.compared, "shift", shift(r), "checks", checks);
    return or_nothing(o, ok);
}

char *cxr_result_json(const cxr_result *r)
{
    json_t *o = whole(r);
    const size_t size = o == NULL ? 0 : json_dumpb(o, NULL, 0, JSON_INDENT(2));
    char *out = size == 0 ? NULL : cxr_mem_new(size + 2, 1);
    if (out != NULL) {
        (void)json_dumpb(o, out, size, JSON_INDENT(2));
        out[size] = '\n';
    }
    json_decref(o);
    return out;
}
