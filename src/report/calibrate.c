/* cxr_calibrate: a model's temperature, threshold and operating points, fitted anew on validation images. */
#include "base/log.h"
#include "model/model.h"
#include "report/fit.h"
#include <jansson.h>
#include <math.h>

void cxr_calibrate_opts_default(cxr_calibrate_opts *o)
{
    *o = (cxr_calibrate_opts){.fit = CXR_FIT_PERTURBED};
    cxr_run_opts_default(&o->run);
}

static cxr_status check(const cxr_model *m, const cxr_calibrate_opts *o, cxr_error *err)
{
    if (o->data == NULL || o->out == NULL) return cxr_fail(err, CXR_EUSAGE, "calibrating needs a data set and a file to write");
    if (o->fit != CXR_FIT_VAL && o->fit != CXR_FIT_PERTURBED)
        return cxr_fail(err, CXR_EUSAGE, "calibrating fits on validation images, as they are or perturbed");
    if (m->next != NULL) return cxr_fail(err, CXR_EUSAGE, "several models joined cannot be calibrated: do it one by one");
    return CXR_OK;
}

/* Whether the loss that the model was trained with weighed the classes alike. */
static bool trained_balanced(const cxr_model *m)
{
    json_t *receipt = m->receipt == NULL ? NULL : json_loads(m->receipt, JSON_REJECT_DUPLICATES, NULL);
    const json_t *args = json_object_get(receipt, "args");
    const bool balanced =
        json_is_true(json_object_get(args, "class_weights")) || json_is_true(json_object_get(args, "balanced"));
    json_decref(receipt);
    return balanced;
}

static cxr_fitted fitted(const cxr_model *m)
{
    return (cxr_fitted){m->temperature, m->threshold, m->rule_out, m->rule_in};
}

static cxr_status open_images(cxr_dataset *d, cxr_fit_images *to, const cxr_model *m, const cxr_calibrate_opts *o,
                              const cxr_hooks *hooks, cxr_error *err)
{
    cxr_split_report split;
    cxr_status st = cxr_split_as_trained(d, m, o->data, o->split_file, &split, err);
    if (st == CXR_OK && split.carved)
        cxr_log(
            hooks, CXR_WARNING,
            "no split.csv says which images this model was not trained on: taking those that cxr train keeps for validation "
            "by default");
    if (st == CXR_OK) st = cxr_subset_open(&to->train, d, CXR_SPLIT_TRAIN, err);
    if (st == CXR_OK) st = cxr_subset_open(&to->val, d, CXR_SPLIT_VAL, err);
    if (st == CXR_OK) st = cxr_match_classes(&to->val, d, m, err);
    if (st == CXR_OK && to->val.count == 0) st = cxr_fail(err, CXR_EDATA, "%s: no image in split \"val\"", o->data);
    return st;
}

cxr_status cxr_calibrate(cxr_model *m, const cxr_calibrate_opts *o, const cxr_hooks *hooks, cxr_calibrate_report *report,
                         cxr_error *err)
{
    cxr_calibrate_report own;
    if (report == NULL) report = &own;
    *report = (cxr_calibrate_report){.before = fitted(m)};
    cxr_fit_opts f = {.data = o->data,
                      .on = o->fit,
                      .balanced = trained_balanced(m),
                      .keep = o->keep,
                      .skip_unreadable = o->skip_unreadable,
                      .run = o->run};
    f.run.tta = CXR_TTA_NONE;
    cxr_dataset data = {0};
    cxr_fit_images images = {0};
    cxr_scored scored = {0};
    cxr_status st = check(m, o, err);
    if (st == CXR_OK) st = open_images(&data, &images, m, o, hooks, err);
    if (st == CXR_OK) st = cxr_fit_model(&scored, m, &images, &f, hooks, err);
    if (st == CXR_OK) st = cxr_model_write(m, o->out, NULL, 0, NULL, 0, err);
    if (st == CXR_OK) report->n = scored.all.n / (size_t)scored.views;
    report->after = fitted(m);
    cxr_scored_free(&scored);
    cxr_subset_close(&images.train);
    cxr_subset_close(&images.val);
    cxr_dataset_close(&data);
    return st;
}
