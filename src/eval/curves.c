#include "eval/curves.h"
#include "base/mem.h"
#include <math.h>

static double share(size_t part, size_t whole)
{
    return whole > 0 ? (double)part / (double)whole : (double)NAN;
}

static bool reserve(cxr_curve *c, size_t count)
{
    c->threshold = cxr_mem_new(count, sizeof *c->threshold);
    c->fpr = cxr_mem_new(count, sizeof *c->fpr);
    c->tpr = cxr_mem_new(count, sizeof *c->tpr);
    c->precision = cxr_mem_new(count, sizeof *c->precision);
    return c->threshold != NULL && c->fpr != NULL && c->tpr != NULL && c->precision != NULL;
}

static void add_point(cxr_curve *c, double threshold, size_t tp, size_t called, size_t positives, size_t n)
{
    const size_t i = c->count++;
    c->threshold[i] = threshold;
    c->tpr[i] = share(tp, positives);
    c->fpr[i] = share(called - tp, n - positives);
    c->precision[i] = called > 0 ? share(tp, called) : 1.0;
}

cxr_status cxr_curve_open(cxr_curve *c, const cxr_ranked *s, size_t n, cxr_error *err)
{
    *c = (cxr_curve){0};
    size_t distinct = 1, positives = 0, tp = 0;
    for (size_t i = 0; i < n; i++) {
        distinct += i == 0 || s[i].score != s[i - 1].score;
        positives += s[i].positive;
    }
    if (!reserve(c, distinct)) return cxr_mem_fail(err, "a curve");
    add_point(c, INFINITY, 0, 0, positives, n);
    for (size_t i = 0; i < n; i++) {
        tp += s[i].positive;
        if (i + 1 == n || s[i + 1].score != s[i].score) add_point(c, (double)s[i].score, tp, i + 1, positives, n);
    }
    return CXR_OK;
}

void cxr_curve_close(cxr_curve *c)
{
    cxr_mem_free(c->threshold);
    cxr_mem_free(c->fpr);
    cxr_mem_free(c->tpr);
    cxr_mem_free(c->precision);
    *c = (cxr_curve){0};
}
