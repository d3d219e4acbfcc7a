#include "eval/points.h"
#include "eval/interval.h"
#include <math.h>
#include <string.h>

cxr_counts cxr_count_at(const cxr_predictions *p, int positive, double threshold)
{
    cxr_counts c = {0};
    for (size_t i = 0; i < p->n; i++) {
        const bool called = (double)p->probability[i * (size_t)p->classes + (size_t)positive] >= threshold;
        const bool ill = p->label[i] == positive;
        c.tp += called && ill;
        c.fn += !called && ill;
        c.fp += called && !ill;
        c.tn += !called && !ill;
    }
    return c;
}

static double expit(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* The chance that a call is right where `right` of the m images that it should be made of get it, and `wrong` of the n others do;
 * share: how many are of the first kind. */
static void predictive(double right, double m, double wrong, double n, double share, double *value, double ci[2])
{
    *value = ci[0] = ci[1] = (double)NAN;
    if (m == 0.0 || n == 0.0 || (right == 0.0 && wrong == 0.0)) return;
    const double hit = share * right / m, miss = (1.0 - share) * wrong / n;
    *value = hit / (hit + miss);
    if (right == 0.0 || right == m || wrong == 0.0 || wrong == n) {
        const double more = CXR_Z95 * CXR_Z95 / 2.0;
        right += more;
        wrong += more;
        m += 2.0 * more;
        n += 2.0 * more;
    }
    const double a = right / m, b = wrong / n, odds = log(share * a) - log((1.0 - share) * b);
    const double half = CXR_Z95 * sqrt((1.0 - a) / right + (1.0 - b) / wrong);
    ci[0] = fmin(expit(odds - half), *value);
    ci[1] = fmax(expit(odds + half), *value);
}

void cxr_ppv_at(const cxr_counts *c, double prevalence, double *value, double ci[2])
{
    predictive((double)c->tp, (double)(c->tp + c->fn), (double)c->fp, (double)(c->fp + c->tn), prevalence, value, ci);
}

void cxr_npv_at(const cxr_counts *c, double prevalence, double *value, double ci[2])
{
    predictive((double)c->tn, (double)(c->fp + c->tn), (double)c->fn, (double)(c->tp + c->fn), 1.0 - prevalence, value, ci);
}

static void share(uint64_t part, uint64_t whole, double *value, double ci[2])
{
    *value = whole > 0 ? (double)part / (double)whole : (double)NAN;
    cxr_wilson(part, whole, ci);
}

static void add_point(cxr_metrics *m, const cxr_predictions *p, const char *name, double threshold)
{
    cxr_point *point = &m->points[m->point_count++];
    const cxr_counts c = cxr_count_at(p, m->positive, threshold);
    *point = (cxr_point){.name = name, .threshold = threshold};
    share(c.tp, c.tp + c.fn, &point->value[0], point->ci95[0]);
    share(c.tn, c.tn + c.fp, &point->value[1], point->ci95[1]);
    share(c.tp, c.tp + c.fp, &point->value[2], point->ci95[2]);
    share(c.tn, c.tn + c.fn, &point->value[3], point->ci95[3]);
    for (int f = 4; f < CXR_POINT_FIGURES; f++) point->value[f] = point->ci95[f][0] = point->ci95[f][1] = (double)NAN;
    if (m->prevalence == 0.0) return;
    cxr_ppv_at(&c, m->prevalence, &point->value[4], point->ci95[4]);
    cxr_npv_at(&c, m->prevalence, &point->value[5], point->ci95[5]);
}

void cxr_points_measure(cxr_metrics *m, const cxr_predictions *p, double rule_out, double rule_in, double prevalence)
{
    static const char *const names[CXR_POINT_FIGURES] = {"sensitivity", "specificity",       "ppv",
                                                         "npv",         "ppv_at_prevalence", "npv_at_prevalence"};
    memcpy(m->point_figures, names, sizeof m->point_figures);
    m->prevalence = prevalence;
    m->point_count = 0;
    if (m->positive < 0) return;
    add_point(m, p, isnan(rule_out) && isnan(rule_in) ? "threshold" : "balanced", m->threshold);
    if (!isnan(rule_out)) add_point(m, p, "rule_out", rule_out);
    if (!isnan(rule_in)) add_point(m, p, "rule_in", rule_in);
}
