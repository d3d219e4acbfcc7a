/* What a reader should know before the figures are believed, found in the same files. */
#include "model/model.h"
#include "page/page.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define FEW  100  /* images of a class: the 95 % interval of a share near 0.9 is then wider than 0.11 */
#define GAP  0.05 /* calibration error from which probabilities mislead: 1 in 20 */
#define FALL 0.05 /* of the AUROC on perturbed images that is worth a word */

static void caution(cxr_page *p, const char *kind, const char *format, ...) CXR_PRINTF(3, 4);
static void caution(cxr_page *p, const char *kind, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cxr_html_markup(&p->html, "<li><span class=\"%s\">%s</span> ", kind, strcmp(kind, "ok") == 0 ? "Fine:" : "Look:");
    cxr_html_text(&p->html, text);
    cxr_html_markup(&p->html, "</li>\n");
}

static void readings(cxr_page *p)
{
    const char *split = cxr_page_text_of(json_object_get(p->metrics, "evaluation"), "split");
    const int at = cxr_csv_column(&p->ledger, "split");
    size_t n = 0;
    if (p->ledger.row_count < 2 || at < 0 || *split == '\0' || strcmp(split, "all") == 0) return;
    for (size_t r = 1; r < p->ledger.row_count; r++) n += strcmp(p->ledger.rows[r][at], split) == 0;
    if (strcmp(split, "val") == 0)
        caution(p, "look",
                "These are validation images: epoch, temperature and threshold were chosen on them, and the figures "
                "flatter the model.");
    else if (strcmp(split, "train") == 0)
        caution(p, "look", "These are training images: the figures say how well the model remembers.");
    else
        caution(p, n > 1 ? "look" : "ok", "The %s split was read %zu time%s with this run's models.", split, n,
                n == 1 ? "" : "s");
}

static void sizes(cxr_page *p)
{
    const cxr_predictions *all = &p->outcomes.all;
    for (int k = 0; k < all->classes; k++) {
        size_t n = 0;
        for (size_t i = 0; i < all->n; i++) n += all->label[i] == k;
        if (n < FEW) caution(p, "look", "Only %zu images are %s: the intervals are wide.", n, all->class_names[k]);
    }
}

static void calibration(cxr_page *p)
{
    const double gap = cxr_page_value(p, "ece");
    if (gap > GAP)
        caution(p, "look",
                "Probabilities are off by %.1f points on average: read them as an order, not as chances. cxr calibrate "
                "fits them to your own validation images.",
                100.0 * gap);
    else if (!isnan(gap))
        caution(p, "ok", "Probabilities are off by %.1f points on average.", 100.0 * gap);
}

static void robustness(cxr_page *p)
{
    json_t *all = cxr_page_json(p->o->folder, "robustness.json");
    const char *name, *worst = NULL;
    json_t *figures;
    const double plain = cxr_page_value(p, "auroc");
    double least = plain - FALL;
    json_object_foreach(json_object_get(all, "perturbations"), name, figures)
    {
        const double auroc = cxr_page_number_of(figures, "auroc");
        if (auroc < least) {
            least = auroc;
            worst = name;
        }
    }
    if (worst != NULL)
        caution(p, "look", "On images with \"%s\" the AUROC falls from %.3f to %.3f: images from elsewhere may differ as much.",
                worst, plain, least);
    else if (all != NULL)
        caution(p, "ok", "No perturbation costs more than %.2f of the AUROC.", FALL);
    json_decref(all);
}

static void shortcut(cxr_page *p)
{
    json_t *all = cxr_page_json(p->o->folder, "shortcut.json");
    const char *finding = cxr_page_text_of(all, "finding");
    const json_t *chest = json_object_get(json_object_get(json_object_get(all, "hidden"), "chest"), "auroc");
    const double low = json_number_value(json_array_get(json_object_get(chest, "ci95"), 0));
    if (*finding != '\0') caution(p, low > 0.5 ? "look" : "ok", "%s", finding);
    json_decref(all);
}

void cxr_page_cautions(cxr_page *p)
{
    cxr_html_section(&p->html, "cautions", "Before you believe it");
    cxr_html_markup(&p->html, "<ul>\n");
    readings(p);
    sizes(p);
    calibration(p);
    robustness(p);
    shortcut(p);
    if (p->model->positive >= 0)
        caution(p, "look",
                "Predictive values hold where %.0f %% of images are positive, as here. The threshold explorer shows them "
                "at other shares.",
                100.0 * cxr_page_prevalence(p));
    cxr_html_markup(&p->html, "</ul>\n");
    cxr_html_section_end(&p->html);
}
