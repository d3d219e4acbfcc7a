/* metrics.json: the figures of an evaluation, and what else is known of it. */
#include "base/mem.h"
#include "report/tables.h"
#include "report/text.h"

static json_t *figure(const cxr_metrics *m, int f, const char *const *classes)
{
    json_t *o = cxr_json_figure(m->value[f], m->ci95[f]);
    if (m->per_class[f] == NULL) return o;
    json_t *each = json_object(), *intervals = json_object();
    bool ok = true;
    for (int k = 0; k < m->classes; k++) {
        ok &= json_object_set_new(each, classes[k], cxr_json_number(m->per_class[f][k])) == 0;
        ok &= json_object_set_new(intervals, classes[k], cxr_json_interval(m->per_class_ci95[f][k])) == 0;
    }
    ok &= json_object_set_new(o, "per_class", each) == 0;
    ok &= json_object_set_new(o, "per_class_ci95", intervals) == 0;
    return cxr_json_whole(o, ok);
}

static json_t *confusion(const cxr_metrics *m)
{
    json_t *rows = json_array();
    bool ok = true;
    for (int i = 0; i < m->classes; i++) {
        json_t *row = json_array();
        for (int j = 0; j < m->classes; j++)
            ok &= json_array_append_new(row, json_integer((json_int_t)m->confusion[i * m->classes + j])) == 0;
        ok &= json_array_append_new(rows, row) == 0;
    }
    return cxr_json_whole(rows, ok);
}

static json_t *class_list(const cxr_metrics *m, const char *const *classes)
{
    json_t *list = json_array();
    bool ok = true;
    for (int k = 0; k < m->classes; k++) ok &= json_array_append_new(list, json_string(classes[k])) == 0;
    return cxr_json_whole(list, ok);
}

static json_t *points(const cxr_metrics *m)
{
    json_t *all = json_object();
    bool ok = true;
    for (int i = 0; i < m->point_count; i++) {
        const cxr_point *p = &m->points[i];
        json_t *o = json_object();
        ok &= json_object_set_new(o, "threshold", cxr_json_number(p->threshold)) == 0;
        for (int f = 0; f < CXR_POINT_FIGURES; f++)
            ok &= json_object_set_new(o, m->point_figures[f], cxr_json_figure(p->value[f], p->ci95[f])) == 0;
        ok &= json_object_set_new(all, p->name, o) == 0;
    }
    return cxr_json_whole(all, ok);
}

static json_t *calibration(const cxr_reliability *r)
{
    if (r == NULL) return json_null();
    json_t *o = json_object();
    bool ok = json_object_set_new(o, "bins", json_integer(CXR_RELIABILITY_BINS)) == 0;
    ok &= json_object_set_new(o, "brier", cxr_json_number(r->brier)) == 0;
    ok &= json_object_set_new(o, "reliability", cxr_json_number(r->reliability)) == 0;
    ok &= json_object_set_new(o, "resolution", cxr_json_number(r->resolution)) == 0;
    ok &= json_object_set_new(o, "uncertainty", cxr_json_number(r->uncertainty)) == 0;
    ok &= json_object_set_new(o, "within_bin_variance", cxr_json_number(r->within_bin_variance)) == 0;
    ok &= json_object_set_new(o, "within_bin_covariance", cxr_json_number(r->within_bin_covariance)) == 0;
    ok &= json_object_set_new(o, "slope", cxr_json_figure(r->slope, r->slope_ci95)) == 0;
    ok &= json_object_set_new(o, "intercept", cxr_json_figure(r->intercept, r->intercept_ci95)) == 0;
    return cxr_json_whole(o, ok);
}

static json_t *whole(const cxr_metrics *m, const cxr_reliability *r, const char *const *classes)
{
    json_t *o = json_object();
    bool ok = json_object_set_new(o, "n", json_integer((json_int_t)m->n)) == 0;
    for (int f = 0; f < CXR_METRICS; f++) ok &= json_object_set_new(o, m->names[f], figure(m, f, classes)) == 0;
    ok &= json_object_set_new(o, "confusion", confusion(m)) == 0;
    ok &= json_object_set_new(o, "classes", class_list(m, classes)) == 0;
    ok &= json_object_set_new(o, "positive_class", m->positive < 0 ? json_null() : json_string(classes[m->positive])) == 0;
    ok &= json_object_set_new(o, "threshold", cxr_json_number(m->threshold)) == 0;
    ok &= json_object_set_new(o, "prevalence", m->prevalence > 0.0 ? cxr_json_number(m->prevalence) : json_null()) == 0;
    ok &= json_object_set_new(o, "operating_points", points(m)) == 0;
    ok &= json_object_set_new(o, "calibration", calibration(r)) == 0;
    return cxr_json_whole(o, ok);
}

/* jansson takes UTF-8 only; json_string() alone would not tell bad text from exhausted memory. */
static cxr_status check_names(const char *const *classes, int n, const char *path, cxr_error *err)
{
    for (int k = 0; k < n; k++) {
        json_error_t why = {0};
        json_t *name = json_pack_ex(&why, 0, "s", classes[k]);
        if (name == NULL && json_error_code(&why) == json_error_invalid_utf8)
            return cxr_fail(err, CXR_EDATA, "%s: cannot hold the class name \"%s\": not UTF-8", path, classes[k]);
        if (name == NULL) return cxr_mem_fail(err, "a class name");
        json_decref(name);
    }
    return CXR_OK;
}

/* Both are objects; takes `more`. */
static json_t *with(json_t *o, json_t *more)
{
    const bool ok = json_object_update(o, more) == 0;
    json_decref(more);
    return cxr_json_whole(o, ok);
}

cxr_status cxr_write_metrics(const char *path, const cxr_metrics *m, const cxr_reliability *r, const char *const *classes,
                             json_t *more, cxr_error *err)
{
    const cxr_status st = check_names(classes, m->classes, path, err);
    if (st == CXR_OK) return cxr_write_json(path, with(whole(m, r, classes), more), err);
    json_decref(more);
    return st;
}
