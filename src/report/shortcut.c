#include "report/shortcut.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/hide.h"
#include "eval/figures.h"
#include "model/model.h"
#include "report/text.h"
#include <assert.h>
#include <math.h>

static_assert(CXR_SHORTCUT_WAYS == CXR_HIDINGS, "each way of hiding has its figures");

enum { NONE, LUNGS, CHEST, SURROUNDINGS };

#define CHANCE 0.5
#define MOST   0.5 /* of the AUROC above chance */

/* The chest decides, not the lungs' outline, whose rim leaves some lung in sight. */
static void interpret(cxr_shortcut *s)
{
    const double plain = s->auroc[NONE] - CHANCE, left = s->auroc[CHEST] - CHANCE;
    s->kept = plain > 0.0 ? left / plain : (double)NAN;
    if (isnan(s->kept) || isnan(s->ci95[CHEST][0])) {
        (void)snprintf(s->finding, sizeof s->finding,
                       "No answer: on these images the AUROC is undefined or no better than chance.");
        return;
    }
    char figures[80];
    (void)snprintf(figures, sizeof figures, "AUROC %.3f (%.3f to %.3f), with it %.3f", s->auroc[CHEST], s->ci95[CHEST][0],
                   s->ci95[CHEST][1], s->auroc[NONE]);
    if (s->ci95[CHEST][0] <= CHANCE)
        (void)snprintf(s->finding, sizeof s->finding,
                       "Without the chest the model ranks no better than chance: %s. No sign of a shortcut.", figures);
    else
        (void)snprintf(s->finding, sizeof s->finding,
                       "Without the chest %s of what ranks the images is still there: %s. The model uses what lies around the "
                       "lungs, or how the picture was taken.",
                       s->kept >= MOST ? "most" : "a part", figures);
}

cxr_status cxr_shortcut_compute(cxr_shortcut *out, const cxr_scored *scored, const cxr_model *m, int threads, cxr_error *err)
{
    cxr_status st = CXR_OK;
    *out = (cxr_shortcut){0};
    for (int k = 0; k < CXR_SHORTCUT_WAYS && st == CXR_OK; k++) {
        cxr_scored one;
        cxr_metrics *x = NULL;
        st = cxr_scored_view(&one, scored, k, err);
        if (st == CXR_OK) st = cxr_metrics_compute(&x, &one.all, m->positive, m->threshold, err);
        if (st == CXR_OK) st = cxr_metrics_intervals(x, &one.all, one.groups, threads, err);
        if (st == CXR_OK) {
            out->n = x->n;
            out->names[k] = cxr_hiding_name(k);
            out->accuracy[k] = x->value[CXR_ACCURACY];
            out->balanced_accuracy[k] = x->value[CXR_BALANCED_ACCURACY];
            out->auroc[k] = x->value[CXR_AUROC];
            out->ci95[k][0] = x->ci95[CXR_AUROC][0];
            out->ci95[k][1] = x->ci95[CXR_AUROC][1];
        }
        cxr_metrics_free(&x);
        cxr_scored_free(&one);
    }
    if (st == CXR_OK) interpret(out);
    return st;
}

static cxr_status put_shortcut(FILE *f, const void *content, cxr_error *err)
{
    (void)err;
    const cxr_shortcut *s = content;
    (void)fputs("hidden,images,accuracy,balanced_accuracy,auroc,auroc_low,auroc_high\n", f);
    for (int k = 0; k < CXR_SHORTCUT_WAYS; k++) {
        (void)fprintf(f, "%s,%zu", s->names[k], s->n);
        cxr_put_number(f, s->accuracy[k]);
        cxr_put_number(f, s->balanced_accuracy[k]);
        cxr_put_number(f, s->auroc[k]);
        cxr_put_number(f, s->ci95[k][0]);
        cxr_put_number(f, s->ci95[k][1]);
        (void)fputc('\n', f);
    }
    return CXR_OK;
}

static json_t *shortcut_json(const cxr_shortcut *s)
{
    json_t *o = json_object(), *each = json_object();
    bool ok = json_object_set_new(o, "images", json_integer((json_int_t)s->n)) == 0;
    for (int k = 0; k < CXR_SHORTCUT_WAYS; k++) {
        json_t *way = json_object();
        ok &= json_object_set_new(way, "accuracy", cxr_json_number(s->accuracy[k])) == 0;
        ok &= json_object_set_new(way, "balanced_accuracy", cxr_json_number(s->balanced_accuracy[k])) == 0;
        ok &= json_object_set_new(way, "auroc", cxr_json_figure(s->auroc[k], s->ci95[k])) == 0;
        ok &= json_object_set_new(each, s->names[k], way) == 0;
    }
    ok &= json_object_set_new(o, "hidden", each) == 0;
    ok &= json_object_set_new(o, "kept", cxr_json_number(s->kept)) == 0;
    ok &= json_object_set_new(o, "finding", json_string(s->finding)) == 0;
    return cxr_json_whole(o, ok);
}

cxr_status cxr_write_shortcut(const char *folder, const cxr_shortcut *s, cxr_error *err)
{
    cxr_status st = cxr_make_folders(folder, err);
    char *table = cxr_path_join(folder, "shortcut.csv"), *object = cxr_path_join(folder, "shortcut.json");
    if (st == CXR_OK && (table == NULL || object == NULL)) st = cxr_mem_fail(err, "a file name");
    if (st == CXR_OK) st = cxr_write_text(table, put_shortcut, s, err);
    if (st == CXR_OK) st = cxr_write_json(object, shortcut_json(s), err);
    cxr_mem_free(table);
    cxr_mem_free(object);
    return st;
}
