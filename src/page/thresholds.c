/* Operating points, decision curve, and the explorer: the page's script counts anew from the scores that are in the page. */
#include "base/mem.h"
#include "model/model.h"
#include "page/page.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SCORES 200000 /* about 2 MB of page */

static int rising(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void put_scores(cxr_page *p, const char *name, bool positive)
{
    const cxr_predictions *all = &p->outcomes.all;
    float *scores = cxr_mem_new(all->n, sizeof *scores);
    size_t n = 0;
    for (size_t i = 0; scores != NULL && i < all->n; i++)
        if ((all->label[i] == p->model->positive) == positive)
            scores[n++] = all->probability[i * (size_t)all->classes + (size_t)p->model->positive];
    if (n > 0) qsort(scores, n, sizeof *scores, rising);
    cxr_html_markup(&p->html, "\"%s\":[", name);
    for (size_t i = 0; i < n; i++) cxr_html_markup(&p->html, "%s%.9g", i == 0 ? "" : ",", (double)scores[i]);
    cxr_html_markup(&p->html, "]");
    cxr_mem_free(scores);
}

/* The predictions have the model's classes, but perhaps in another order. */
static bool same_order(const cxr_page *p)
{
    const cxr_predictions *all = &p->outcomes.all;
    if (all->classes != p->model->class_count) return false;
    for (int k = 0; k < all->classes; k++)
        if (strcmp(all->class_names[k], p->model->classes[k]) != 0) return false;
    return true;
}

double cxr_page_prevalence(const cxr_page *p)
{
    const cxr_predictions *all = &p->outcomes.all;
    size_t positives = 0;
    for (size_t i = 0; i < all->n; i++) positives += all->label[i] == p->model->positive;
    return (double)positives / (double)all->n;
}

/* What the script fills in. */
static const char *const counted[][2] = {
    {"x-sensitivity", "Sensitivity"},
    {"x-specificity", "Specificity"},
    {"x-accuracy", "Accuracy"},
    {"x-ppv", "PPV"},
    {"x-npv", "NPV"},
    {"tp", "True positives"},
    {"fn", "False negatives"},
    {"fp", "False positives"},
    {"tn", "True negatives"},
};

static void explorer(cxr_page *p)
{
    cxr_html *h = &p->html;
    cxr_html_markup(
        h,
        "<h3 id=\"explorer\">Threshold explorer</h3>\n<p>What another threshold would have done on these images, "
        "and what it would mean where another share of patients is positive. A threshold that is chosen here is "
        "chosen on these images: measure it on others.</p>\n<div class=\"controls\">\n"
        "<div><label for=\"threshold\">Threshold: <output id=\"at-threshold\"></output></label>\n"
        "<input id=\"threshold\" type=\"range\" min=\"0\" max=\"1\" step=\"any\" value=\"%.17g\"></div>\n"
        "<div><label for=\"prevalence\">Prevalence: <output id=\"at-prevalence\"></output></label>\n"
        "<input id=\"prevalence\" type=\"range\" min=\"0\" max=\"100\" step=\"any\" value=\"%.6g\"></div>\n</div>\n",
        p->model->threshold, 100.0 * cxr_page_prevalence(p));
    cxr_html_markup(h, "<ul class=\"cards\" aria-live=\"polite\">\n");
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
        cxr_html_markup(h, "<li><span>%s</span><strong id=\"%s\">–</strong></li>\n", counted[i][1], counted[i][0]);
    cxr_html_markup(h, "</ul>\n");
    cxr_html_markup(h, "<script type=\"application/json\" id=\"scores\">{");
    put_scores(p, "positive", true);
    cxr_html_markup(h, ",");
    put_scores(p, "negative", false);
    cxr_html_markup(h, "}</script>\n");
}

/* ---- Operating points ---- */

static const char *const named[][3] = {
    {"balanced", "Balanced", "largest sensitivity + specificity"},
    {"rule_out", "Rule out", "below it the positive class is ruled out: sensitivity at least 0.95"},
    {"rule_in", "Rule in", "from it the positive class is ruled in: specificity at least 0.95"},
    {"threshold", "Stored", "as in the model file"},
};

static const char *const shown[][2] = {
    {"sensitivity", "Sensitivity"},
    {"specificity", "Specificity"},
    {"ppv", "PPV"},
    {"npv", "NPV"},
    {"ppv_at_prevalence", "PPV at the prevalence"},
    {"npv_at_prevalence", "NPV at the prevalence"},
};

static void point_row(cxr_page *p, const char *const name[3], const json_t *point, size_t columns)
{
    const double threshold = cxr_page_number_of(point, "threshold");
    cxr_html_markup(&p->html,
                    "<tr><th scope=\"row\">%s<span class=\"meaning\">%s</span></th><td>%.4f<br><button type=\"button\" "
                    "data-threshold=\"%.17g\">Explore</button></td>",
                    name[1], name[2], threshold, threshold);
    for (size_t i = 0; i < columns; i++) {
        char text[CXR_PAGE_TEXT];
        cxr_html_markup(&p->html, "<td>%s</td>", cxr_page_number_text(json_object_get(point, shown[i][0]), text));
    }
    cxr_html_markup(&p->html, "</tr>\n");
}

static void points(cxr_page *p)
{
    const json_t *all = json_object_get(p->metrics, "operating_points");
    const double given = cxr_page_number_of(p->metrics, "prevalence");
    const size_t columns = sizeof shown / sizeof *shown - (isnan(given) ? 2 : 0);
    if (json_object_size(all) == 0) return;
    cxr_html_markup(&p->html, "<p>Chosen on validation images and stored in the model, measured here with 95 %% intervals.");
    if (!isnan(given))
        cxr_html_markup(&p->html, " Predictive values also where %.3g %% of patients are positive, by Bayes' rule.",
                        100.0 * given);
    cxr_html_markup(&p->html, "</p>\n");
    cxr_html_table_heads(&p->html, "Operating points");
    cxr_html_head(&p->html, "Point");
    cxr_html_head(&p->html, "Threshold");
    for (size_t i = 0; i < columns; i++) cxr_html_head(&p->html, shown[i][1]);
    cxr_html_table_rows(&p->html);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        const json_t *point = json_object_get(all, named[i][0]);
        if (point != NULL) point_row(p, named[i], point, columns);
    }
    cxr_html_table_end(&p->html);
}

void cxr_page_thresholds(cxr_page *p)
{
    if (p->model->positive < 0 || p->outcomes.all.n > MOST_SCORES || !same_order(p)) return;
    cxr_html_section(&p->html, "thresholds", "Operating points");
    points(p);
    explorer(p);
    cxr_page_plot(p, p->o->folder, "decision_curve",
                  "Decision curve: net benefit of the model, of treating all and of treating none, against the threshold.");
    cxr_html_section_end(&p->html);
}
