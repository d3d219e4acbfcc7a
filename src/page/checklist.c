/* TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378) and CLAIM (Tejani et al. 2024, Radiology: Artificial Intelligence 6:e240300),
 * item by item in short words: what the program knows stands there, the rest is the author's to write. */
#include "base/file.h"
#include "base/mem.h"
#include "model/model.h"
#include "page/page.h"
#include <math.h>
#include <string.h>

/* What the program can say; each once, for both lists. */
typedef enum fact {
    AUTHOR, /* nothing */
    DATA,
    PREPARED,
    DIVIDED,
    SAMPLE,
    NETWORK,
    TRAINED,
    BALANCE,
    CHOSEN,
    OUTPUT,
    MEASURES,
    RESULTS,
    SUBGROUPS,
    ROBUSTNESS,
    EXPLAINED,
    ERRORS,
    SOFTWARE,
    FACTS
} fact;

typedef struct item {
    const char *number, *topic;
    fact fact;
} item;

static const item tripod[] = {
    {"1", "Title: development or evaluation, population, outcome", AUTHOR},
    {"2", "Abstract", AUTHOR},
    {"3a", "Healthcare context", AUTHOR},
    {"3b", "Target population and intended use", AUTHOR},
    {"3c", "Known health inequalities", AUTHOR},
    {"4", "Objectives", AUTHOR},
    {"5a", "Sources of data", DATA},
    {"5b", "Dates of data", AUTHOR},
    {"6a", "Setting", AUTHOR},
    {"6b", "Eligibility", AUTHOR},
    {"6c", "Treatments received", AUTHOR},
    {"7", "Data preparation", PREPARED},
    {"8a", "Outcome: definition, how and when assessed", AUTHOR},
    {"8b", "Outcome assessors", AUTHOR},
    {"8c", "Blinding of the outcome's assessment", AUTHOR},
    {"9a", "Choice of predictors", AUTHOR},
    {"9b", "Predictors: definition and measurement", PREPARED},
    {"9c", "Predictor assessors", AUTHOR},
    {"10", "Sample size", SAMPLE},
    {"11", "Missing data", AUTHOR},
    {"12a", "How the data were used and divided", DIVIDED},
    {"12b", "Handling of predictors", PREPARED},
    {"12c", "Type of model, building, hyperparameters, validation", TRAINED},
    {"12d", "Heterogeneity across clusters", AUTHOR},
    {"12e", "Measures of performance", MEASURES},
    {"12f", "Model updating", CHOSEN},
    {"12g", "How predictions were calculated", NETWORK},
    {"13", "Class imbalance", BALANCE},
    {"14", "Fairness", AUTHOR},
    {"15", "Output of the model, thresholds", OUTPUT},
    {"16", "Differences between development and evaluation data", AUTHOR},
    {"17", "Ethical approval", AUTHOR},
    {"18a", "Funding", AUTHOR},
    {"18b", "Conflicts of interest", AUTHOR},
    {"18c", "Protocol", AUTHOR},
    {"18d", "Registration", AUTHOR},
    {"18e", "Data sharing", AUTHOR},
    {"18f", "Code sharing", SOFTWARE},
    {"19", "Patient and public involvement", AUTHOR},
    {"20a", "Flow of participants", DIVIDED},
    {"20b", "Characteristics of participants", AUTHOR},
    {"20c", "Development and evaluation data compared", AUTHOR},
    {"21", "Numbers of participants and events in each analysis", SAMPLE},
    {"22", "Specification of the model", NETWORK},
    {"23a", "Performance with intervals, in subgroups", RESULTS},
    {"23b", "Heterogeneity of performance", SUBGROUPS},
    {"24", "Results of updating", CHOSEN},
    {"25", "Interpretation", AUTHOR},
    {"26", "Limitations", AUTHOR},
    {"27a", "Poor or unavailable input data", ROBUSTNESS},
    {"27b", "Interaction and expertise needed of users", AUTHOR},
    {"27c", "Next steps", AUTHOR},
};

static const item claim[] = {
    {"1", "Title or abstract: category of AI", AUTHOR},
    {"2", "Abstract", AUTHOR},
    {"3", "Background and intended use", AUTHOR},
    {"4", "Aims and hypotheses", AUTHOR},
    {"5", "Prospective or retrospective", AUTHOR},
    {"6", "Goal of the study", AUTHOR},
    {"7", "Data sources", DATA},
    {"8", "Inclusion and exclusion", AUTHOR},
    {"9", "Preprocessing", PREPARED},
    {"10", "Selection of data subsets", DIVIDED},
    {"11", "De-identification", AUTHOR},
    {"12", "Missing data", AUTHOR},
    {"13", "Image acquisition", AUTHOR},
    {"14", "Reference standard: definition", AUTHOR},
    {"15", "Reference standard: rationale", AUTHOR},
    {"16", "Reference standard: source and annotators", AUTHOR},
    {"17", "Annotation of the test set", AUTHOR},
    {"18", "Variability between and within annotators", AUTHOR},
    {"19", "How data were assigned to partitions", DIVIDED},
    {"20", "Level at which partitions are disjoint", DIVIDED},
    {"21", "Sample size", SAMPLE},
    {"22", "Model: inputs, outputs, layers", NETWORK},
    {"23", "Software", SOFTWARE},
    {"24", "Initial parameters", TRAINED},
    {"25", "Training: augmentation, hyperparameters, number of models", TRAINED},
    {"26", "Selection of the final model", CHOSEN},
    {"27", "Ensembling", NETWORK},
    {"28", "Metrics", MEASURES},
    {"29", "Statistical measures and uncertainty", MEASURES},
    {"30", "Robustness or sensitivity analysis", ROBUSTNESS},
    {"31", "Explainability", EXPLAINED},
    {"32", "Evaluation on internal data", RESULTS},
    {"33", "Testing on external data", AUTHOR},
    {"34", "Trial registration", AUTHOR},
    {"35", "Numbers included and excluded", SAMPLE},
    {"36", "Demographics of each partition", AUTHOR},
    {"37", "Performance on all partitions", RESULTS},
    {"38", "Estimates of performance and their precision", RESULTS},
    {"39", "Failure analysis", ERRORS},
    {"40", "Limitations", AUTHOR},
    {"41", "Implications for practice", AUTHOR},
    {"42", "Protocol", AUTHOR},
    {"43", "Availability of software, model and data", SOFTWARE},
    {"44", "Funding", AUTHOR},
};

/* ---- Facts ---- */

static const char *rule_name(cxr_resize_rule rule)
{
    return rule == CXR_RESIZE_SQUASH ? "squashed to" : rule == CXR_RESIZE_FIT ? "fitted into" : "cropped to";
}

/* Of the run that trained the model; NULL where the model does not say. */
static void say_training(char *facts[FACTS], const cxr_page *p)
{
    const json_t *args = json_object_get(p->receipt, "args");
    if (!json_is_object(args)) return;
    facts[DATA] =
        cxr_mem_printf("Trained on \"%s\", fingerprint SHA-256 %s. Evaluated on \"%s\".", cxr_page_text_of(args, "data"),
                       cxr_page_text_of(p->receipt, "data_sha256"), p->o->data == NULL ? "unknown" : cxr_path_name(p->o->data));
    facts[DIVIDED] = cxr_mem_printf(
        "Validation: %.3g of the training patients (file-name or table groups, unverified), stratified by class, "
        "where the data brings no larger one; patients never cross a split that is made here; a published test "
        "split is kept. Table under Data and training.",
        cxr_page_number_of(args, "val_fraction"));
    facts[TRAINED] =
        cxr_mem_printf("Start: %s. Recipe %s: %s, learning rate %.3g, schedule %s, %.0f epochs of batches of %.0f, seed "
                       "%.0f; frozen: %s. Every setting is in the receipt.",
                       cxr_page_text_of(args, "weights"), cxr_page_text_of(args, "recipe"), cxr_page_text_of(args, "optimizer"),
                       cxr_page_number_of(args, "lr"), cxr_page_text_of(args, "schedule"), cxr_page_number_of(args, "epochs"),
                       cxr_page_number_of(args, "batch_size"), cxr_page_number_of(args, "seed"), p->model->freeze);
    const bool weighed = json_is_true(json_object_get(args, "class_weights"));
    const bool balanced = json_is_true(json_object_get(args, "balanced"));
    facts[BALANCE] = cxr_mem_printf("%s Balanced accuracy, sensitivity and specificity stand beside accuracy.",
                                    weighed    ? "The loss weighs classes by their inverse frequency."
                                    : balanced ? "Training images are drawn so that classes are as frequent."
                                               : "Training does not correct for it.");
}

static void say_model(char *facts[FACTS], const cxr_page *p)
{
    const cxr_model *m = p->model;
    const cxr_preprocess *pre = &m->preprocess;
    int models = 0;
    for (const cxr_model *k = m; k != NULL; k = k->next) models++;
    facts[PREPARED] =
        cxr_mem_printf("Decoded to one grey channel, EXIF orientation applied, %s %d x %d pixels, normalised by mean and "
                       "standard deviation; all of it is stored in the model file.",
                       rule_name(pre->rule), pre->size, pre->size);
    facts[NETWORK] =
        cxr_mem_printf("%s with %d classes, %d hidden layers in its head; %s.", m->arch, m->class_count, m->head_count,
                       models > 1 ? "several models, whose probabilities are averaged" : "one model, no ensemble");
    facts[CHOSEN] = cxr_mem_printf("The epoch with the lowest validation loss; temperature %.4g and threshold %.4g fitted on "
                                   "validation images. Test took no part.",
                                   m->temperature, m->threshold);
    facts[OUTPUT] = m->positive < 0
                        ? cxr_mem_printf("A probability for each class; the most probable is called.")
                        : cxr_mem_printf("A probability of %s, called at %.4g or more (Youden's index on validation).",
                                         m->classes[m->positive], m->threshold);
    facts[SOFTWARE] = cxr_mem_printf("cxr %s, Apache-2.0. The model is one safetensors file.", cxr_version());
}

static void say_results(char *facts[FACTS], const cxr_page *p)
{
    char auroc[CXR_PAGE_TEXT], sensitivity[CXR_PAGE_TEXT], specificity[CXR_PAGE_TEXT];
    const size_t n = p->outcomes.all.n;
    facts[SAMPLE] = p->model->positive < 0 ? cxr_mem_printf("%zu images evaluated.", n)
                                           : cxr_mem_printf("%zu images evaluated, %zu of them positive. No sample size was "
                                                            "calculated by the program.",
                                                            n, (size_t)lround(cxr_page_prevalence(p) * (double)n));
    facts[MEASURES] =
        cxr_mem_printf("Discrimination, calibration and decisions; 95 %% intervals by Wilson, DeLong and a bootstrap of "
                       "patients. Defined under Figures.");
    facts[RESULTS] = cxr_mem_printf(
        "AUROC %s, sensitivity %s, specificity %s. All under Figures.", cxr_page_figure_text(p, "auroc", auroc),
        cxr_page_figure_text(p, "sensitivity", sensitivity), cxr_page_figure_text(p, "specificity", specificity));
    facts[EXPLAINED] = cxr_mem_printf("Grad-CAM heat maps of the worst errors; a map says where, not why.");
    facts[ERRORS] = cxr_mem_printf("The images called wrong with most confidence are shown under Worst errors.");
    if (cxr_page_has(p, "subgroups.csv")) facts[SUBGROUPS] = cxr_mem_printf("Figures of each subgroup stand under Figures.");
    if (cxr_page_has(p, "robustness.csv"))
        facts[ROBUSTNESS] = cxr_mem_printf("Figures on perturbed images stand under Robustness.");
}

/* ---- Lists ---- */

static void list(cxr_page *p, const char *id, const char *title, const item *items, size_t count, char *const facts[FACTS])
{
    cxr_html *h = &p->html;
    size_t known = 0;
    for (size_t i = 0; i < count; i++) known += facts[items[i].fact] != NULL;
    cxr_html_section(h, id, title);
    cxr_html_markup(h,
                    "<p>%zu of %zu items can be answered in part or whole by this program; what it says is a start, not the "
                    "answer.</p>\n<details><summary>The items</summary>\n",
                    known, count);
    cxr_html_table(h, title, (const char *const[]){"Item", "Topic", "What is known", NULL});
    for (size_t i = 0; i < count; i++) {
        cxr_html_markup(h, "<tr><th scope=\"row\">%s</th><td>%s</td>", items[i].number, items[i].topic);
        if (facts[items[i].fact] != NULL)
            cxr_html_element(h, "td", facts[items[i].fact]);
        else
            cxr_html_markup(h, "<td class=\"look\">Author must complete</td>");
        cxr_html_markup(h, "</tr>\n");
    }
    cxr_html_table_end(h);
    cxr_html_markup(h, "</details>\n");
    cxr_html_section_end(h);
}

cxr_status cxr_page_checklists(cxr_page *p, cxr_error *err)
{
    char *facts[FACTS] = {0};
    say_training(facts, p);
    say_model(facts, p);
    say_results(facts, p);
    const bool ok = facts[MEASURES] != NULL && facts[RESULTS] != NULL;
    if (ok) {
        list(p, "tripod", "TRIPOD+AI", tripod, sizeof tripod / sizeof *tripod, facts);
        list(p, "claim", "CLAIM", claim, sizeof claim / sizeof *claim, facts);
    }
    for (int f = 0; f < FACTS; f++) cxr_mem_free(facts[f]);
    return ok ? CXR_OK : cxr_mem_fail(err, "the checklists");
}
