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

void cxr_page_robustness(cxr_page *p)
{
    perturbations(p);
}
