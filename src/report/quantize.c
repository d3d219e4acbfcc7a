/* cxr_quantize: calibrates a model on training images, and writes it if int8 holds on validation. */
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/ranges.h"
#include "model/model.h"
#include "report/score.h"
#include <math.h>

#define IMAGES_MAX 65536

void cxr_quantize_opts_default(cxr_quantize_opts *o)
{
    *o = (cxr_quantize_opts){.images = 512, .seed = 1, .max_loss = 0.002};
    cxr_run_opts_default(&o->run);
}

static cxr_status check(const cxr_quantize_opts *o, cxr_error *err)
{
    if (o->data == NULL || o->out == NULL) return cxr_fail(err, CXR_EUSAGE, "quantising needs a data set and a file to write");
    if (o->images < 1 || o->images > IMAGES_MAX)
        return cxr_fail(err, CXR_EUSAGE, "calibrating with %d images: 1 to %d are possible", o->images, IMAGES_MAX);
    if (!(o->max_loss >= 0.0 && o->max_loss <= 1.0))
        return cxr_fail(err, CXR_EUSAGE, "a largest loss of %g is not in 0..1", o->max_loss);
    return CXR_OK;
}

/* The data set with its split, and the parts that are looked at. */
typedef struct parts {
    cxr_dataset data;
    cxr_subset train, val;
} parts;

static void close_parts(parts *p)
{
    cxr_subset_close(&p->train);
    cxr_subset_close(&p->val);
    cxr_dataset_close(&p->data);
}

static cxr_status open_parts(parts *p, const cxr_model *m, const cxr_quantize_opts *o, cxr_error *err)
{
    cxr_split_report report;
    *p = (parts){0};
    cxr_status st = cxr_split_as_trained(&p->data, m, o->data, o->split_file, &report, err);
    if (st == CXR_OK) st = cxr_subset_open(&p->train, &p->data, CXR_SPLIT_TRAIN, err);
    if (st == CXR_OK) st = cxr_subset_open(&p->val, &p->data, CXR_SPLIT_VAL, err);
    if (st == CXR_OK) st = cxr_match_classes(&p->val, &p->data, m, err);
    if (st == CXR_OK && (p->train.count == 0 || p->val.count == 0))
        st = cxr_fail(err, CXR_EDATA, "%s: no image in split \"%s\"", o->data, p->train.count == 0 ? "train" : "val");
    return st;
}

/* Calibrates with images drawn by the seed. */
static cxr_status calibrate(cxr_model *m, const cxr_subset *train, const cxr_quantize_opts *o, const cxr_hooks *hooks,
                            cxr_quantize_report *report, cxr_error *err)
{
    const size_t count = train->count < (size_t)o->images ? train->count : (size_t)o->images;
    const char **paths = cxr_mem_new(count, sizeof *paths);
    uint32_t *order = cxr_mem_new(train->count, sizeof *order);
    cxr_status st = CXR_OK;
    if (paths == NULL || order == NULL) {
        st = cxr_mem_fail(err, "the list of images");
    } else {
        cxr_rng_permutation(cxr_rng_key(o->seed, CXR_FOR_CALIBRATION, 0, 0), order, (uint32_t)train->count);
        for (size_t i = 0; i < count; i++) paths[i] = train->paths[order[i]];
        cxr_log(hooks, CXR_INFO, "calibrating with %zu of %zu training images", count, train->count);
        st = cxr_ranges_find(m, paths, count, o->skip_unreadable, &o->run, hooks, &report->calibrated, err);
    }
    cxr_mem_free(order);
    cxr_mem_free(paths);
    return st;
}

static cxr_status auroc(double *out, const cxr_model *m, const cxr_scored *s, cxr_error *err)
{
    cxr_metrics *x = NULL;
    const cxr_status st = cxr_metrics_compute(&x, &s->all, m->positive, m->threshold, err);
    *out = st == CXR_OK ? cxr_metrics_value(x, "auroc") : (double)NAN;
    cxr_metrics_free(&x);
    return st;
}

static void compare(const cxr_model *m, const cxr_scored *a, const cxr_scored *b, cxr_quantize_report *report)
{
    const size_t classes = (size_t)m->class_count;
    report->n = a->all.n;
    for (size_t i = 0; i < a->all.n; i++) {
        const float *p = a->all.probability + i * classes, *q = b->all.probability + i * classes;
        report->same += cxr_decide(p, m->class_count, m->positive, m->threshold) ==
                        cxr_decide(q, m->class_count, m->positive, m->threshold);
        for (size_t c = 0; c < classes; c++) report->largest = fmax(report->largest, fabs((double)p[c] - (double)q[c]));
    }
}

/* Both precisions over validation. */
static cxr_status measure(const cxr_model *m, const cxr_subset *val, const cxr_quantize_opts *o, const cxr_hooks *hooks,
                          cxr_quantize_report *report, cxr_error *err)
{
    cxr_scored f32 = {0}, int8 = {0};
    cxr_run_opts run = o->run;
    run.precision = CXR_PRECISION_F32;
    cxr_log(hooks, CXR_INFO, "comparing int8 with f32 on %zu validation images", val->count);
    cxr_status st = cxr_score(&f32, m, val, &run, o->skip_unreadable, hooks, err);
    run.precision = CXR_PRECISION_INT8;
    if (st == CXR_OK) st = cxr_score(&int8, m, val, &run, o->skip_unreadable, hooks, err);
    if (st == CXR_OK) st = auroc(&report->auroc_f32, m, &f32, err);
    if (st == CXR_OK) st = auroc(&report->auroc_int8, m, &int8, err);
    if (st == CXR_OK) compare(m, &f32, &int8, report);
    cxr_scored_free(&f32);
    cxr_scored_free(&int8);
    return st;
}

static cxr_status judge(const cxr_quantize_opts *o, const cxr_quantize_report *r, cxr_error *err)
{
    if (isnan(r->auroc_f32) || isnan(r->auroc_int8))
        return cxr_fail(err, CXR_EDATA, "%s: validation has no area under the ROC curve to judge by: it needs every class",
                        o->data);
    if (r->auroc_f32 - r->auroc_int8 <= o->max_loss) return CXR_OK;
    return cxr_fail(err, CXR_EDATA,
                    "%s: int8 loses %.4f of the area under the ROC curve on validation (f32 %.4f, int8 %.4f), more than %g: "
                    "not written",
                    o->out, r->auroc_f32 - r->auroc_int8, r->auroc_f32, r->auroc_int8, o->max_loss);
}

cxr_status cxr_quantize(cxr_model *model, const cxr_quantize_opts *o, const cxr_hooks *hooks, cxr_quantize_report *report,
                        cxr_error *err)
{
    cxr_quantize_report own;
    if (report == NULL) report = &own;
    *report = (cxr_quantize_report){0};
    parts p = {0};
    cxr_status st = check(o, err);
    if (st == CXR_OK) st = open_parts(&p, model, o, err);
    if (st == CXR_OK) st = calibrate(model, &p.train, o, hooks, report, err);
    if (st == CXR_OK) st = measure(model, &p.val, o, hooks, report, err);
    if (st == CXR_OK) st = judge(o, report, err);
    if (st == CXR_OK) st = cxr_model_write(model, o->out, NULL, 0, NULL, 0, err);
    close_parts(&p);
    return st;
}
