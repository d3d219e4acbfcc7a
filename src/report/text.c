#include "report/text.h"
#include "base/file.h"
#include "base/mem.h"
#include <locale.h>
#include <math.h>

cxr_status cxr_write_text(const char *path, cxr_text_body body, const void *content, cxr_error *err)
{
    const locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (c == (locale_t)0) return cxr_mem_fail(err, path);
    const locale_t before = uselocale(c);
    cxr_output out = {0};
    cxr_status st = cxr_output_open(&out, path, err);
    if (st == CXR_OK) st = body(out.stream, content, err);
    if (st == CXR_OK) st = cxr_output_commit(&out, err);
    cxr_output_discard(&out);
    (void)uselocale(before);
    freelocale(c);
    return st;
}

static cxr_status put_json(FILE *f, const void *content, cxr_error *err)
{
    const bool dumped = json_dumpf(content, f, JSON_INDENT(2)) == 0;
    (void)fputc('\n', f);
    return dumped || ferror(f) ? CXR_OK : cxr_mem_fail(err, "figures as JSON");
}

cxr_status cxr_write_json(const char *path, json_t *value, cxr_error *err)
{
    const cxr_status st = value == NULL ? cxr_mem_fail(err, "figures as JSON") : cxr_write_text(path, put_json, value, err);
    json_decref(value);
    return st;
}

void cxr_put_number(FILE *f, double x)
{
    if (isfinite(x))
        (void)fprintf(f, ",%.9g", x);
    else
        (void)fputc(',', f);
}

json_t *cxr_json_whole(json_t *value, bool complete)
{
    if (complete) return value;
    json_decref(value);
    return NULL;
}

json_t *cxr_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

json_t *cxr_json_text(const char *s)
{
    json_t *value = s == NULL ? NULL : json_string(s);
    return value != NULL ? value : json_null();
}

json_t *cxr_json_interval(const double ci[2])
{
    if (!isfinite(ci[0]) || !isfinite(ci[1])) return json_null();
    json_t *o = json_array();
    bool ok = json_array_append_new(o, cxr_json_number(ci[0])) == 0;
    ok &= json_array_append_new(o, cxr_json_number(ci[1])) == 0;
    return cxr_json_whole(o, ok);
}

json_t *cxr_json_figure(double value, const double ci[2])
{
    json_t *o = json_object();
    bool ok = json_object_set_new(o, "value", cxr_json_number(value)) == 0;
    ok &= json_object_set_new(o, "ci95", cxr_json_interval(ci)) == 0;
    return cxr_json_whole(o, ok);
}
