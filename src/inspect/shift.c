#include "inspect/shift.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "eval/features.h"
#include "eval/interval.h"
#include "inspect/logistic.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRENGTH   0.01 /* scikit-learn's C: 512 features of some hundred images need a strong penalty */
#define LEAST      20   /* images on a side */
#define TOLD_APART 0.6  /* an area whose interval lies above this deserves a look */
#define SHOWN      12   /* give-away images of a side */

/* ---- Folds ---- */

typedef struct folding {
    float *score;
    const float *x;
    const bool *second;
    const int *fold;
    size_t n, width;
    double c;
    cxr_error *errors; /* of each fold */
} folding;

typedef struct fitting {
    float *x, *row;
    double *mean, *scale, *weights;
    bool *second;
} fitting;

/* Means and scales of the other folds' features; a feature that never changes becomes 0. */
static void standards(const folding *f, int held, fitting *t)
{
    double n = 0.0;
    for (size_t i = 0; i < f->n; i++) {
        if (f->fold[i] == held) continue;
        for (size_t k = 0; k < f->width; k++) t->mean[k] += (double)f->x[i * f->width + k];
        n++;
    }
    for (size_t k = 0; k < f->width; k++) t->mean[k] /= n;
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < f->width && f->fold[i] != held; k++) {
            const double gap = (double)f->x[i * f->width + k] - t->mean[k];
            t->scale[k] += gap * gap;
        }
    for (size_t k = 0; k < f->width; k++) t->scale[k] = t->scale[k] > 0.0 ? 1.0 / sqrt(t->scale[k] / n) : 0.0;
}

static void standardise(float *out, const float *in, const fitting *t, size_t width)
{
    for (size_t k = 0; k < width; k++) out[k] = (float)(((double)in[k] - t->mean[k]) * t->scale[k]);
}

static cxr_status fit_without(const folding *f, int held, fitting *t, cxr_error *err)
{
    cxr_points p = {.width = f->width, .x = t->x, .second = t->second};
    standards(f, held, t);
    for (size_t i = 0; i < f->n; i++) {
        if (f->fold[i] == held) continue;
        standardise(t->x + p.n * f->width, f->x + i * f->width, t, f->width);
        t->second[p.n++] = f->second[i];
    }
    const cxr_status st = cxr_logistic_fit(t->weights, &p, f->c, err);
    for (size_t i = 0; i < f->n && st == CXR_OK; i++) {
        if (f->fold[i] != held) continue;
        standardise(t->row, f->x + i * f->width, t, f->width);
        f->score[i] = (float)cxr_logistic(t->weights, t->row, f->width);
    }
    return st;
}

static void run_fold(void *user, int worker, size_t held)
{
    folding *f = user;
    (void)worker;
    fitting t = {.x = cxr_mem_new(f->n, f->width * sizeof *t.x),
                 .mean = cxr_mem_new(f->width, sizeof *t.mean),
                 .scale = cxr_mem_new(f->width, sizeof *t.scale),
                 .row = cxr_mem_new(f->width, sizeof *t.row),
                 .second = cxr_mem_new(f->n, sizeof *t.second),
                 .weights = cxr_mem_new(f->width + 1, sizeof *t.weights)};
    const bool fits =
        t.x != NULL && t.mean != NULL && t.scale != NULL && t.row != NULL && t.second != NULL && t.weights != NULL;
    f->errors[held].status =
        fits ? fit_without(f, (int)held, &t, &f->errors[held]) : cxr_mem_fail(&f->errors[held], "a classifier of splits");
    cxr_mem_free(t.x);
    cxr_mem_free(t.mean);
    cxr_mem_free(t.scale);
    cxr_mem_free(t.row);
    cxr_mem_free(t.second);
    cxr_mem_free(t.weights);
}

cxr_status cxr_out_of_fold(float *score, const float *x, const bool *second, const int *fold, size_t n, size_t width, int folds,
                           double c, int threads, cxr_error *err)
{
    folding f = {score, x, second, fold, n, width, c, cxr_mem_new((size_t)folds, sizeof *f.errors)};
    if (f.errors == NULL) return cxr_mem_fail(err, "the folds");
    cxr_parallel(cxr_workers(threads, (size_t)folds), (size_t)folds, run_fold, &f);
    cxr_status st = CXR_OK;
    for (int k = 0; k < folds && st == CXR_OK; k++)
        if (f.errors[k].status != CXR_OK) st = cxr_fail(err, f.errors[k].status, "%s", f.errors[k].text);
    cxr_mem_free(f.errors);
    return st;
}

/* ---- Train against test ---- */

typedef struct sides {
    const cxr_dataset *d;
    uint32_t *image;
    const char **path;
    bool *test;
    int *fold;
    float *score;
    size_t n, count[2];
} sides;

static void sides_free(sides *s)
{
    cxr_mem_free(s->image);
    cxr_mem_free(s->path);
    cxr_mem_free(s->test);
    cxr_mem_free(s->fold);
    cxr_mem_free(s->score);
}

typedef struct grouped {
    uint64_t order;
    const char *group;
    size_t place; /* in sides */
} grouped;

static int by_order(const void *a, const void *b)
{
    const grouped *x = a, *y = b;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return strcmp(x->group, y->group);
}

/* Groups in keyed order, dealt out to the folds: a patient's images are in one fold, or the classifier would know him. */
static cxr_status deal_folds(sides *s, cxr_error *err)
{
    grouped *g = cxr_mem_new(s->n, sizeof *g);
    if (g == NULL) return cxr_mem_fail(err, "the folds");
    for (size_t i = 0; i < s->n; i++) {
        const char *group = s->d->samples[s->image[i]].group;
        g[i] = (grouped){cxr_mix64(cxr_rng_name(group)), group, i};
    }
    qsort(g, s->n, sizeof *g, by_order);
    for (size_t i = 0, groups = 0; i < s->n; i++) {
        groups += i > 0 && by_order(&g[i], &g[i - 1]) != 0;
        s->fold[g[i].place] = (int)(groups % CXR_SHIFT_FOLDS);
    }
    cxr_mem_free(g);
    return CXR_OK;
}

static cxr_status take_sides(sides *s, const cxr_scan *scan, cxr_error *err)
{
    const size_t room = scan->count;
    *s = (sides){.d = scan->data,
                 .image = cxr_mem_new(room, sizeof *s->image),
                 .path = cxr_mem_new(room, sizeof *s->path),
                 .test = cxr_mem_new(room, sizeof *s->test),
                 .fold = cxr_mem_new(room, sizeof *s->fold),
                 .score = cxr_mem_new(room, sizeof *s->score)};
    if (s->image == NULL || s->path == NULL || s->test == NULL || s->fold == NULL || s->score == NULL)
        return cxr_mem_fail(err, "the sides of a comparison");
    for (uint32_t i = 0; i < scan->count; i++) {
        const cxr_sample *x = &scan->data->samples[i];
        if (!cxr_scan_readable(scan, i) || (x->split != CXR_SPLIT_TRAIN && x->split != CXR_SPLIT_TEST)) continue;
        s->image[s->n] = i;
        s->path[s->n] = x->path;
        s->test[s->n] = x->split == CXR_SPLIT_TEST;
        s->count[s->test[s->n++]]++;
    }
    return deal_folds(s, err);
}

/* The area among the images of a class (-1: all). */
static cxr_status measure(const sides *s, int label, double *auroc, double ci[2], cxr_error *err)
{
    cxr_predictions p = {.classes = 2, .label = cxr_mem_new(s->n, sizeof *p.label)};
    p.probability = cxr_mem_new(s->n, 2 * sizeof *p.probability);
    cxr_delong d = {0};
    cxr_status st = p.label == NULL || p.probability == NULL ? cxr_mem_fail(err, "an area") : CXR_OK;
    for (size_t i = 0; i < s->n && st == CXR_OK; i++) {
        if (label >= 0 && s->d->samples[s->image[i]].label != label) continue;
        p.label[p.n] = s->test[i];
        p.probability[2 * p.n++ + 1] = s->score[i];
    }
    if (st == CXR_OK) st = cxr_delong_open(&d, &p, 1, err);
    if (st == CXR_OK) {
        *auroc = d.auroc;
        cxr_delong_interval(&d, ci);
    }
    cxr_delong_close(&d);
    cxr_mem_free(p.label);
    cxr_mem_free(p.probability);
    return st;
}

static cxr_status measure_all(cxr_shift *out, const sides *s, cxr_error *err)
{
    const int classes = s->d->class_count;
    out->class_auroc = cxr_mem_new((size_t)classes, sizeof *out->class_auroc);
    out->class_ci95 = cxr_mem_new((size_t)classes, sizeof *out->class_ci95);
    if (out->class_auroc == NULL || out->class_ci95 == NULL) return cxr_mem_fail(err, "the areas");
    cxr_status st = measure(s, -1, &out->auroc, out->ci95, err);
    for (int k = 0; k < classes && st == CXR_OK; k++) st = measure(s, k, &out->class_auroc[k], out->class_ci95[k], err);
    out->known = st == CXR_OK;
    return st;
}

typedef struct ranked {
    float score;
    uint32_t image;
} ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->image > y->image) - (x->image < y->image);
}

/* The images of a side that are told most surely to be of it. */
static cxr_status add_giveaways(cxr_checked *c, const sides *s, bool test, cxr_error *err)
{
    ranked *r = cxr_mem_new(s->n, sizeof *r);
    size_t n = 0;
    if (r == NULL) return cxr_mem_fail(err, "the ranks");
    for (size_t i = 0; i < s->n; i++)
        if (s->test[i] == test) r[n++] = (ranked){test ? s->score[i] : -s->score[i], s->image[i]};
    qsort(r, n, sizeof *r, by_score);
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < n && i < SHOWN && st == CXR_OK; i++)
        st = cxr_check_add(c, &r[i].image, 1, (double)(test ? r[i].score : -r[i].score),
                           test ? "most like test" : "most like train", err);
    cxr_mem_free(r);
    return st;
}

/* The class among whose images the sides are told apart best; -1: of none is it defined. */
static int clearest_class(const cxr_shift *x, int classes)
{
    int best = -1;
    for (int k = 0; k < classes; k++)
        if (isfinite(x->class_auroc[k]) && (best < 0 || x->class_auroc[k] > x->class_auroc[best])) best = k;
    return best;
}

static void say_shift(cxr_checked *c, const cxr_shift *x, const cxr_dataset *d)
{
    const int k = clearest_class(x, d->class_count);
    const bool within = k >= 0 && x->class_ci95[k][0] > TOLD_APART, far = within || x->ci95[0] > TOLD_APART;
    char most[160] = "";
    if (within)
        (void)snprintf(most, sizeof most, "; among \"%.60s\" %.3f (%.3f to %.3f)", d->classes[k], x->class_auroc[k],
                       x->class_ci95[k][0], x->class_ci95[k][1]);
    cxr_check_say(c, far ? CXR_VERDICT_LOOK : CXR_VERDICT_OK,
                  "test is %s from train: AUROC %.3f (95 %% interval %.3f to %.3f)%s; 0.5: not at all",
                  far ? "told" : "hardly told", x->auroc, x->ci95[0], x->ci95[1], most);
}

static cxr_status compare_sides(cxr_checked *c, cxr_shift *out, sides *s, const cxr_model *model, const cxr_run_opts *o,
                                const cxr_hooks *hooks, cxr_error *err)
{
    cxr_features f = {0};
    cxr_status st = cxr_features_of(&f, model, s->path, s->n, false, o, hooks, err);
    if (st == CXR_OK)
        st = cxr_out_of_fold(s->score, f.values, s->test, s->fold, s->n, f.width, CXR_SHIFT_FOLDS, STRENGTH, o->threads, err);
    cxr_features_free(&f);
    if (st == CXR_OK) st = measure_all(out, s, err);
    if (st == CXR_OK) st = add_giveaways(c, s, true, err);
    if (st == CXR_OK) st = add_giveaways(c, s, false, err);
    if (st == CXR_OK) say_shift(c, out, s->d);
    return st;
}

/* Each fold's other folds must have both sides: true with LEAST images unless these are of few patients. */
static bool can_be_told(const sides *s)
{
    for (int held = 0; held < CXR_SHIFT_FOLDS; held++) {
        size_t others[2] = {0, 0};
        for (size_t i = 0; i < s->n; i++) others[s->test[i]] += s->fold[i] != held;
        if (others[0] == 0 || others[1] == 0) return false;
    }
    return s->count[0] >= LEAST && s->count[1] >= LEAST;
}

cxr_status cxr_check_shift(cxr_checked *c, cxr_shift *out, const cxr_scan *scan, const cxr_model *model, const cxr_run_opts *o,
                           const cxr_hooks *hooks, cxr_error *err)
{
    *out = (cxr_shift){.auroc = (double)NAN, .ci95 = {(double)NAN, (double)NAN}};
    sides s;
    cxr_status st = take_sides(&s, scan, err);
    out->train = s.count[0];
    out->test = s.count[1];
    if (st == CXR_OK && model == NULL)
        cxr_check_say(c, CXR_VERDICT_SKIPPED, "no model whose features could tell: name one with --model");
    else if (st == CXR_OK && s.count[1] == 0)
        cxr_check_say(c, CXR_VERDICT_SKIPPED, "no test split is given");
    else if (st == CXR_OK && !can_be_told(&s))
        cxr_check_say(c, CXR_VERDICT_SKIPPED, "too few images or groups: train %zu, test %zu, at least %d each", s.count[0],
                      s.count[1], LEAST);
    else if (st == CXR_OK)
        st = compare_sides(c, out, &s, model, o, hooks, err);
    sides_free(&s);
    return st;
}

void cxr_shift_free(cxr_shift *s)
{
    cxr_mem_free(s->class_auroc);
    cxr_mem_free(s->class_ci95);
    *s = (cxr_shift){0};
}
