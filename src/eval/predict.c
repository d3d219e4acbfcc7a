#include "eval/predict.h"
#include "data/files.h"
#include "data/hide.h"
#include "data/perturb.h"
#include "data/tta.h"
#include "eval/judge.h"
#include "eval/pass.h"
#include "model/model.h"
#include <math.h>

void cxr_run_opts_default(cxr_run_opts *o)
{
    *o = (cxr_run_opts){.batch_size = 64, .device = CXR_DEVICE_AUTO};
    cxr_limits_default(&o->limits);
}

typedef struct receiver {
    cxr_outcome_fn fn;
    void *user;
} receiver;

static cxr_status hand_on(void *user, const cxr_seen *seen)
{
    const receiver *r = user;
    return r->fn(r->user, seen->index, seen->outcome, seen->probabilities);
}

/* The views of test-time augmentation. */
static cxr_status choose_views(cxr_pass *want, cxr_tta tta, cxr_error *err)
{
    const cxr_squares *views = cxr_tta_squares(tta);
    if (views == NULL) return cxr_fail(err, CXR_EUSAGE, "test-time augmentation has no value %d", (int)tta);
    want->average = tta != CXR_TTA_NONE;
    if (want->average) want->squares = views;
    return CXR_OK;
}

cxr_status cxr_predict_paths(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                             const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    cxr_pass want = {.probabilities = true};
    receiver r = {fn, user};
    const cxr_status st = choose_views(&want, o->tta, err);
    return st == CXR_OK ? cxr_pass_over(m, paths, count, &want, o, hooks, hand_on, &r, err) : st;
}

/* Of fixed squares of each image. */
static cxr_status predict_squares(const cxr_model *m, const char *const *paths, size_t count, const cxr_squares *squares,
                                  const cxr_run_opts *o, const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    const cxr_pass want = {.probabilities = true, .squares = squares};
    receiver r = {fn, user};
    if (o->tta != CXR_TTA_NONE)
        return cxr_fail(err, CXR_EUSAGE, "perturbed images are predicted from one view each: no test-time augmentation");
    return cxr_pass_over(m, paths, count, &want, o, hooks, hand_on, &r, err);
}

cxr_status cxr_predict_perturbed(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                                 const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    static const cxr_squares perturbed = {CXR_PERTURBATIONS, cxr_image_perturb};
    return predict_squares(m, paths, count, &perturbed, o, hooks, fn, user, err);
}

cxr_status cxr_predict_hidden(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                              const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    static const cxr_squares hidden = {CXR_HIDINGS, cxr_image_hide};
    return predict_squares(m, paths, count, &hidden, o, hooks, fn, user, err);
}

typedef struct row_writer {
    const cxr_model *model;
    char **paths;
    void (*row)(void *user, const cxr_prediction *p);
    void *user;
} row_writer;

static cxr_status write_row(void *user, const cxr_seen *seen)
{
    const row_writer *w = user;
    const cxr_model *m = w->model;
    cxr_prediction p = {.path = w->paths[seen->index],
                        .status = seen->outcome->status,
                        .reason = seen->outcome->text,
                        .predicted = -1,
                        .novelty = (double)NAN};
    cxr_judgement verdict;
    if (p.status == CXR_OK) {
        cxr_judge(&verdict, m, seen->look, seen->features);
        p.probabilities = seen->probabilities;
        p.predicted = cxr_decide(p.probabilities, m->class_count, m->positive, m->threshold);
        p.abstain = verdict.oddity != CXR_ODD_NOTHING;
        p.novelty = verdict.novelty;
        p.reason = verdict.text;
    }
    w->row(w->user, &p);
    return CXR_OK;
}

cxr_status cxr_predict(const cxr_model *model, const char *const *paths, size_t count, const cxr_run_opts *opts,
                       const cxr_hooks *hooks, void (*row)(void *user, const cxr_prediction *p), void *user, cxr_error *err)
{
    cxr_pass want = {.probabilities = true, .features = cxr_has_scope(model), .looks = true};
    cxr_files files;
    cxr_status st = choose_views(&want, opts->tta, err);
    if (st == CXR_OK) st = cxr_files_list(&files, paths, count, err);
    if (st != CXR_OK) return st;
    row_writer w = {.model = model, .paths = files.paths, .row = row, .user = user};
    st = cxr_pass_over(model, (const char *const *)files.paths, files.count, &want, opts, hooks, write_row, &w, err);
    cxr_files_free(&files);
    return st;
}
