/* "auroc >= -0.002": a requirement on the difference of two models' figures. */
#include "eval/figures.h"
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct requirement {
    int figure;
    bool least; /* ">=", else "<=" */
    double bound;
} requirement;

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

static int figure_at(const char *text, size_t length)
{
    for (int f = 0; f < CXR_METRICS; f++)
        if (strlen(cxr_figure_names[f]) == length && strncmp(cxr_figure_names[f], text, length) == 0) return f;
    return -1;
}

/* Whatever locale the host has set, the number has a point. */
static bool parse_bound(const char *text, double *out)
{
    const locale_t point = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (point == (locale_t)0) return false;
    const locale_t before = uselocale(point);
    char *end = NULL;
    *out = strtod(text, &end);
    (void)uselocale(before);
    freelocale(point);
    return end != text && *skip_blanks(end) == '\0' && isfinite(*out);
}

static cxr_status parse(requirement *r, const char *text, cxr_error *err)
{
    const char *name = skip_blanks(text);
    const size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    const char *sign = skip_blanks(name + length);
    r->figure = figure_at(name, length);
    r->least = strncmp(sign, ">=", 2) == 0;
    if (r->figure < 0) return cxr_fail(err, CXR_EUSAGE, "requirement \"%s\": \"%.*s\" is no figure", text, (int)length, name);
    if ((!r->least && strncmp(sign, "<=", 2) != 0) || !parse_bound(sign + 2, &r->bound))
        return cxr_fail(err, CXR_EUSAGE, "requirement \"%s\" is not like \"auroc >= -0.002\" or \"loss <= 0.01\"", text);
    return CXR_OK;
}

cxr_status cxr_comparison_require(const cxr_comparison *c, const char *text, cxr_error *err)
{
    requirement r = {0};
    const cxr_status st = parse(&r, text, err);
    if (st != CXR_OK || c == NULL) return st;
    const double x = c->difference[r.figure];
    if (r.least ? x >= r.bound : x <= r.bound) return CXR_OK;
    if (isnan(x)) return cxr_fail(err, CXR_EUNMET, "%s: not met, as it is not defined on these images", text);
    return cxr_fail(err, CXR_EUNMET, "%s: not met, the difference is %.6g", text, x);
}
