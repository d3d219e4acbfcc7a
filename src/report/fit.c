#include "report/fit.h"
#include "base/file.h"
#include "base/log.h"
#include "eval/fit.h"
#include "eval/scope_fit.h"
#include "model/model.h"
#include <math.h>

/* Probabilities are made at temperature 1 and tempered afterwards: the images are looked at once. */
static cxr_status fit_probabilities(cxr_scored *scored, cxr_model *m, const cxr_subset *val, const cxr_fit_opts *o,
                                    const cxr_hooks *hooks, cxr_error *err)
{
    const double kept = m->temperature;
    m->temperature = 1.0;
    cxr_status st =
        (o->on == CXR_FIT_PERTURBED ? cxr_score_perturbed : cxr_score)(scored, m, val, &o->run, o->skip_unreadable, hooks, err);
    if (st == CXR_OK && scored->all.n == 0) st = cxr_fail(err, CXR_EDATA, "%s: no readable validation image", o->data);
    if (o->keep)
        m->temperature = kept;
    else if (st == CXR_OK)
        st = cxr_fit_temperature(&m->temperature, &scored->all, o->balanced, err);
    if (st == CXR_OK) cxr_temper(&scored->all, m->temperature);
    return st;
}

static cxr_status fit_decisions(cxr_model *m, const cxr_scored *scored, bool keep, cxr_error *err)
{
    const double kept = m->threshold;
    m->threshold = 0.5;
    m->rule_out = m->rule_in = (double)NAN;
    if (m->positive < 0) return CXR_OK;
    cxr_status st = cxr_fit_threshold(&m->threshold, &scored->all, m->positive, scored->views, err);
    if (keep) m->threshold = kept;
    if (st == CXR_OK) st = cxr_fit_rules(&m->rule_out, &m->rule_in, &scored->all, m->positive, scored->views, err);
    return st;
}

static void tell(const cxr_model *m, const cxr_scored *scored, const cxr_hooks *hooks)
{
    cxr_log(hooks, CXR_INFO, "fitted on %zu validation images: temperature %.4f, threshold %.4f",
            scored->all.n / (size_t)scored->views, m->temperature, m->threshold);
    if (!isnan(m->rule_out) && !isnan(m->rule_in))
        cxr_log(hooks, CXR_INFO, "operating points: rules out below %.4f, rules in from %.4f", m->rule_out, m->rule_in);
}

static cxr_status fit_scope(cxr_model *m, const cxr_fit_images *images, const cxr_fit_opts *o, const cxr_hooks *hooks,
                            cxr_error *err)
{
    cxr_scope_free(&m->scope);
    return cxr_scope_fit(&m->scope, m, images->train.paths, images->train.count, images->val.paths, images->val.count, &o->run,
                         hooks, err);
}

cxr_status cxr_fit_model(cxr_scored *scored, cxr_model *m, const cxr_fit_images *images, const cxr_fit_opts *o,
                         const cxr_hooks *hooks, cxr_error *err)
{
    const cxr_subset *val = &images->val;
    cxr_log(hooks, CXR_INFO, "fitting temperature and thresholds of %s on %zu validation images%s",
            m->path == NULL ? "a model" : cxr_path_name(m->path), val->count, o->on == CXR_FIT_PERTURBED ? ", perturbed" : "");
    cxr_status st = fit_probabilities(scored, m, val, o, hooks, err);
    if (st == CXR_OK) st = fit_decisions(m, scored, o->keep, err);
    if (st == CXR_OK) st = fit_scope(m, images, o, hooks, err);
    if (st == CXR_OK) tell(m, scored, hooks);
    return st;
}

cxr_status cxr_fit_copy(cxr_model *to, const cxr_model *from, cxr_error *err)
{
    to->temperature = from->temperature;
    to->threshold = from->threshold;
    to->rule_out = from->rule_out;
    to->rule_in = from->rule_in;
    cxr_scope_free(&to->scope);
    return from->scope == NULL ? CXR_OK : cxr_scope_copy(&to->scope, from->scope, err);
}
