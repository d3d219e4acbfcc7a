/* The figures' sections: headline, table, curves, confusion matrix, calibration, subgroups. */
#include "base/file.h"
#include "base/mem.h"
#include "eval/bootstrap.h"
#include "model/model.h"
#include "page/page.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How many patients; 0 when memory is exhausted. */
static size_t patients(const cxr_outcomes *o)
{
    cxr_clusters c;
    const size_t n = cxr_clusters_open(&c, (const char *const *)o->groups, o->all.n, NULL) == CXR_OK ? c.count : 0;
    cxr_clusters_close(&c);
    return n;
}

static void card(cxr_page *p, const char *name, const char *title)
{
    const json_t *ci = json_object_get(json_object_get(p->metrics, name), "ci95");
    const double v = cxr_page_value(p, name);
    cxr_html_markup(&p->html, "<li><span>%s</span><strong>", title);
    if (isnan(v))
        cxr_html_markup(&p->html, "–</strong>");
    else
        cxr_html_markup(&p->html, "%.3f</strong>", v);
    if (json_is_number(json_array_get(ci, 0)))
        cxr_html_markup(&p->html, "<span>95 %% interval %.3f to %.3f</span>", json_number_value(json_array_get(ci, 0)),
                        json_number_value(json_array_get(ci, 1)));
    cxr_html_markup(&p->html, "</li>\n");
}

static void images_sentence(cxr_page *p)
{
    const cxr_predictions *all = &p->outcomes.all;
    cxr_html_markup(&p->html, "<p>%zu images of %zu patients (by file name or table: unverified)", all->n,
                    patients(&p->outcomes));
    for (int k = 0; k < all->classes; k++) {
        size_t count = 0;
        for (size_t i = 0; i < all->n; i++) count += all->label[i] == k;
        cxr_html_markup(&p->html, "%s%zu ", k == 0 ? ": " : ", ", count);
        cxr_html_text(&p->html, all->class_names[k]);
        cxr_html_markup(&p->html, " (%.1f %%)", 100.0 * (double)count / (double)all->n);
    }
    cxr_html_markup(&p->html, ".</p>\n");
}

void cxr_page_headline(cxr_page *p)
{
    const json_t *evaluation = json_object_get(p->metrics, "evaluation");
    cxr_html *h = &p->html;
    cxr_html_markup(h, "<h1>Evaluation of ");
    cxr_html_text(h, p->model->path == NULL ? "a model" : cxr_path_name(p->model->path));
    if (*cxr_page_text_of(evaluation, "split") != '\0')
        cxr_html_markup(h, " on the %s split", cxr_page_text_of(evaluation, "split"));
    cxr_html_markup(h, "</h1>\n<p class=\"faint\">");
    cxr_html_text(h, cxr_page_text_of(evaluation, "data"));
    cxr_html_markup(h, "%s%s · cxr %s</p>\n", *cxr_page_text_of(evaluation, "data") != '\0' ? " · " : "",
                    cxr_page_text_of(evaluation, "time"), cxr_version());
    cxr_html_markup(h, "<p class=\"notice\">For research and teaching. Not a medical device: never the basis of a clinical "
                       "decision.</p>\n<ul class=\"cards\">\n");
    card(p, "auroc", "Area under the ROC");
    card(p, "accuracy", "Accuracy");
    card(p, "sensitivity", p->model->positive >= 0 ? "Sensitivity" : "Sensitivity, mean");
    card(p, "specificity", p->model->positive >= 0 ? "Specificity" : "Specificity, mean");
    cxr_html_markup(h, "</ul>\n");
    images_sentence(p);
    if (p->model->positive < 0) return;
    cxr_html_markup(h, "<p>Positive class: ");
    cxr_html_element(h, "strong", p->model->classes[p->model->positive]);
    cxr_html_markup(h,
                    ", called at a probability of %.4g or more. Always calling the more frequent class would be right "
                    "as often as its share above.</p>\n",
                    p->model->threshold);
}

/* ---- Figures ---- */

static const char *const meanings[][3] = {
    {"accuracy", "Accuracy", "share of images that are called right"},
    {"balanced_accuracy", "Balanced accuracy",
     "mean of the classes' shares called right: 0.5 for calling all alike, whatever the shares"},
    {"sensitivity", "Sensitivity", "share of positive images that are called positive"},
    {"specificity", "Specificity", "share of negative images that are called negative"},
    {"ppv", "Positive predictive value", "share of images called positive that are; holds at this share of positives only"},
    {"npv", "Negative predictive value", "share of images called negative that are; holds at this share of positives only"},
    {"f1", "F1", "harmonic mean of PPV and sensitivity"},
    {"auroc", "Area under the ROC", "chance that a positive image scores above a negative one; no threshold"},
    {"auprc", "Average precision", "precision averaged over recall; a useless model has the share of positives"},
    {"mcc", "Matthews correlation", "correlation of labels and decisions, -1 to 1"},
    {"loss", "Loss", "mean negative log-likelihood in nats; less is better"},
    {"brier", "Brier score", "mean squared error of the probability; less is better"},
    {"ece", "Calibration error (ECE)", "mean gap between confidence and accuracy over 15 bins; less is better"},
};

static void figures_table(cxr_page *p)
{
    static const char *const heads[] = {"Figure", "Value (95 % interval)", NULL};
    cxr_html_table(&p->html,
                   "Intervals: Wilson's for shares, DeLong's for the area under the ROC, else 2,000 bootstrap draws of "
                   "patients",
                   heads);
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        char text[CXR_PAGE_TEXT];
        cxr_html_markup(&p->html, "<tr><th scope=\"row\">%s<span class=\"meaning\">%s</span></th><td>%s</td></tr>\n",
                        meanings[i][1], meanings[i][2], cxr_page_figure_text(p, meanings[i][0], text));
    }
    cxr_html_table_end(&p->html);
}

/* Counts and shares of the true class's images. */
static void confusion_table(cxr_page *p)
{
    const json_t *confusion = json_object_get(p->metrics, "confusion");
    const cxr_predictions *all = &p->outcomes.all;
    cxr_html_table_heads(&p->html, "Confusion matrix: true class by row, called class by column; counts and shares of the row");
    cxr_html_head(&p->html, "True");
    for (int k = 0; k < all->classes; k++) {
        char *head = cxr_mem_printf("called %s", all->class_names[k]);
        cxr_html_head(&p->html, head);
        cxr_mem_free(head);
    }
    cxr_html_table_rows(&p->html);
    for (int t = 0; t < all->classes; t++) {
        const json_t *row = json_array_get(confusion, (size_t)t);
        double sum = 0.0;
        for (int k = 0; k < all->classes; k++) sum += json_number_value(json_array_get(row, (size_t)k));
        cxr_html_markup(&p->html, "<tr><th scope=\"row\">");
        cxr_html_text(&p->html, all->class_names[t]);
        cxr_html_markup(&p->html, "</th>");
        for (int k = 0; k < all->classes; k++) {
            const double count = json_number_value(json_array_get(row, (size_t)k));
            cxr_html_markup(&p->html, "<td>%.0f (%.1f %%)</td>", count, sum > 0.0 ? 100.0 * count / sum : 0.0);
        }
        cxr_html_markup(&p->html, "</tr>\n");
    }
    cxr_html_table_end(&p->html);
}

static void calibration(cxr_page *p)
{
    cxr_csv bins;
    if (!cxr_page_csv(&bins, p->o->folder, "calibration.csv")) return;
    char text[CXR_PAGE_TEXT], ece[CXR_PAGE_TEXT];
    cxr_html_markup(&p->html,
                    "<h3 id=\"calibration\">Calibration</h3>\n<p>Whether a probability of 0.8 is right 8 times in 10: "
                    "Brier score %s, calibration error %s. Probabilities are divided by the temperature %.3f, "
                    "fitted on validation images.</p>\n",
                    cxr_page_figure_text(p, "brier", text), cxr_page_figure_text(p, "ece", ece), p->model->temperature);
    const json_t *c = json_object_get(p->metrics, "calibration");
    cxr_html_markup(&p->html,
                    "<p>Logistic recalibration: slope %s, 1 where probabilities are neither too extreme nor too timid; "
                    "intercept %s, 0 where they are neither too high nor too low on the whole.</p>\n",
                    cxr_page_number_text(json_object_get(c, "slope"), text),
                    cxr_page_number_text(json_object_get(c, "intercept"), ece));
    cxr_page_plot(p, p->o->folder, "calibration", "Reliability diagram: observed share of positives against the probability.");
    cxr_csv_free(&bins);
}

static void subgroups(cxr_page *p)
{
    cxr_csv csv;
    if (!cxr_page_csv(&csv, p->o->folder, "subgroups.csv")) return;
    static const char *const columns[] = {"subgroup",    "images",          "positive",
                                          "sensitivity", "sensitivity_low", "sensitivity_high",
                                          "specificity", "specificity_low", "specificity_high",
                                          "auroc",       "auroc_low",       "auroc_high",
                                          NULL},
                             *const heads[] = {"Subgroup", "Images", "Positive", "Sensitivity", "from", "to", "Specificity",
                                               "from",     "to",     "AUROC",    "from",        "to",   NULL};
    cxr_html_markup(&p->html, "<h3 id=\"subgroups\">Subgroups</h3>\n");
    cxr_page_table(p, &csv, "Figures of each subgroup, with the ends of their 95 % intervals", columns, heads);
    cxr_csv_free(&csv);
}

void cxr_page_figures(cxr_page *p)
{
    char text[CXR_PAGE_TEXT], alt[160];
    cxr_html_section(&p->html, "figures", "Figures");
    figures_table(p);
    cxr_html_markup(&p->html, "<div class=\"plots\">\n");
    (void)snprintf(alt, sizeof alt, "ROC curve, area %s.", cxr_page_figure_text(p, "auroc", text));
    cxr_page_plot(p, p->o->folder, "roc", alt);
    (void)snprintf(alt, sizeof alt, "Precision-recall curve, average precision %s.", cxr_page_figure_text(p, "auprc", text));
    cxr_page_plot(p, p->o->folder, "pr", alt);
    cxr_html_markup(&p->html, "</div>\n");
    confusion_table(p);
    calibration(p);
    subgroups(p);
    cxr_html_section_end(&p->html);
}
