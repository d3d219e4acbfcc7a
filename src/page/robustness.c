/* What the figures lose on perturbed images, and what is left of them without lungs. */
#include "page/page.h"

static void perturbations(cxr_page *p)
{
    static const char *const columns[] = {"perturbation", "accuracy", "balanced_accuracy", "sensitivity", "specificity",
                                          "auroc",        NULL},
                             *const heads[] = {"Images", "Accuracy", "Balanced", "Sensitivity", "Specificity", "AUROC", NULL};
    cxr_csv csv;
    if (!cxr_page_csv(&csv, p->o->folder, "robustness.csv")) return;
    cxr_html_section(&p->html, "robustness", "Robustness");
    cxr_html_markup(&p->html, "<p>The same images changed in ways that leave them readable. A figure that falls far here will "
                              "fall on other machines' images.</p>\n");
    cxr_page_plot(p, p->o->folder, "robustness", "Figures on images perturbed in each way.");
    cxr_page_table(p, &csv, "Figures on images perturbed in each way", columns, heads);
    cxr_html_section_end(&p->html);
    cxr_csv_free(&csv);
}

static void shortcut(cxr_page *p)
{
    static const char *const columns[] = {"hidden", "accuracy", "balanced_accuracy", "auroc", "auroc_low", "auroc_high", NULL},
                             *const heads[] = {"Hidden", "Accuracy", "Balanced", "AUROC", "95 % low", "95 % high", NULL};
    cxr_csv csv;
    if (!cxr_page_csv(&csv, p->o->folder, "shortcut.csv")) return;
    json_t *all = cxr_page_json(p->o->folder, "shortcut.json");
    cxr_html_section(&p->html, "shortcut", "Does the model look at the lungs?");
    cxr_html_element(&p->html, "p", cxr_page_text_of(all, "finding"));
    cxr_page_table(p, &csv, "Figures with parts of each image hidden behind one grey", columns, heads);
    cxr_html_markup(&p->html,
                    "<p>The lungs' place is a rough estimate. Chest: the rectangle around them; surroundings: all but "
                    "it.</p>\n");
    cxr_html_section_end(&p->html);
    json_decref(all);
    cxr_csv_free(&csv);
}

void cxr_page_robustness(cxr_page *p)
{
    perturbations(p);
    shortcut(p);
}
