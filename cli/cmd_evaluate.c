/* cxr evaluate: a model's figures on a split, as tables on standard output and as files. */
#include "shared.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct evaluate_args {
    cxr_evaluate_opts opts;
    cxr_models models;
    unsigned device, precision, tta;
    bool robustness, shortcut;
    char *cache_dir;
    cxr_talk talk;
} evaluate_args;

static void defaults(void *args)
{
    evaluate_args *a = args;
    cxr_evaluate_opts_default(&a->opts);
    a->device = a->opts.run.device;
}

static const char *add_model(void *args, const char *text)
{
    return cxr_add_model(&((evaluate_args *)args)->models, text);
}

#define FILLS(field) CXR_FILLS(evaluate_args, field)

static const char *const split_words[] = {"test", "val", "train", "all", NULL};

static const cxr_option options[] = {
    CXR_OPTION_MODELS(add_model),
    {.name = "split",
     FILLS(opts.split),
     .words = split_words,
     .help = "which images of DATA; all: every one, whatever split it is in"},
    CXR_OPTION_SPLIT_FILE(FILLS(opts.split_file)),
    {.name = "out",
     .letter = 'o',
     FILLS(opts.out),
     .value = "DIR",
     .help = "write report.html there, a page with everything, and metrics.json, predictions.csv, tables and plots"},
    {.name = "robustness",
     FILLS(robustness),
     .help = "also measure on the images changed in 20 fixed ways, such as contrast, crop, rotation, noise and JPEG quality"},
    {.name = "shortcut",
     FILLS(shortcut),
     .help = "also measure with the lungs hidden, and with all but the chest: does the model look at them?"},
    {.name = "by",
     FILLS(opts.by),
     .value = "COLUMN",
     .help =
         "also measure each subgroup: images with the same value in that column of DATA, a CSV; subtype: kinds of pneumonia "
         "that file names tell"},
    {.name = "prevalence",
     FILLS(opts.prevalence),
     .value = "P",
     .low = 0,
     .high = 1,
     .open = CXR_OPEN_LOW | CXR_OPEN_HIGH,
     .help = "also give the predictive values where that share of patients is positive"},
    CXR_OPTION_SKIP_UNREADABLE(FILLS(opts.skip_unreadable)),
    CXR_OPTION_MAX_PIXELS(FILLS(opts.run.limits.max_pixels)),
    CXR_OPTION_BATCH(FILLS(opts.run.batch_size)),
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_PRECISION(FILLS(precision)),
    CXR_OPTION_TTA(FILLS(tta)),
    CXR_OPTION_THREADS(FILLS(opts.run.threads)),
    CXR_OPTION_DETERMINISTIC(FILLS(opts.run.deterministic)),
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

/* ---- Tables ---- */

static int widest_class(const cxr_model *model, int least)
{
    for (int k = 0; k < cxr_model_class_count(model); k++) {
        const int n = (int)strlen(cxr_model_class_name(model, k));
        if (n > least) least = n;
    }
    return least;
}

static void print_figure(double v)
{
    if (isnan(v))
        (void)printf("  %8s", "-");
    else
        (void)printf("  %8.4f", v);
}

static void print_interval(const double ci[2])
{
    char text[40] = "-";
    if (!isnan(ci[0])) (void)snprintf(text, sizeof text, "%.4f to %.4f", ci[0], ci[1]);
    (void)printf("  %16s", text);
}

static void print_head(const cxr_model *model, const cxr_metrics *m)
{
    (void)printf("images             %9zu\n", m->n);
    if (m->positive >= 0)
        (void)printf("positive class     %9s  at probability >= %.4g\n", cxr_model_class_name(model, m->positive),
                     m->threshold);
}

static void print_figures(const cxr_model *model, const cxr_metrics *m)
{
    print_head(model, m);
    (void)printf("%-17s  %8s  %16s", "", m->classes > 2 ? "macro" : "", "95 % interval");
    for (int k = 0; m->classes > 2 && k < m->classes; k++) (void)printf("  %8.8s", cxr_model_class_name(model, k));
    (void)putchar('\n');
    for (int i = 0; i < CXR_METRICS; i++) {
        (void)printf("%-17s", m->names[i]);
        print_figure(m->value[i]);
        print_interval(m->ci95[i]);
        for (int k = 0; m->per_class[i] != NULL && k < m->classes; k++) print_figure(m->per_class[i][k]);
        (void)putchar('\n');
        if (i == 0 && m->positive >= 0 && m->threshold != 0.5) {
            (void)printf("%-17s", "accuracy at 0.5");
            print_figure(m->accuracy_at_half);
            (void)putchar('\n');
        }
    }
}

static int column_named(const cxr_metrics *m, const char *name)
{
    int f = 0;
    while (f < CXR_METRICS - 1 && strcmp(m->names[f], name) != 0) f++;
    return f;
}

static void print_cell(double v)
{
    char text[16] = "-";
    if (!isnan(v)) (void)snprintf(text, sizeof text, "%.4f", v);
    (void)printf("  %12s", text);
}

static void print_ends(const double ci[2])
{
    char text[40] = "-";
    if (!isnan(ci[0])) (void)snprintf(text, sizeof text, "%.3f-%.3f", ci[0], ci[1]);
    (void)printf("  %12s", text);
}

static void print_point(const cxr_point *p, int columns)
{
    (void)printf("%-17s  %8.4f", p->name, p->threshold);
    for (int f = 0; f < columns; f++) print_cell(p->value[f]);
    (void)printf("\n  %-25s", "95 % interval");
    for (int f = 0; f < columns; f++) print_ends(p->ci95[f]);
    (void)putchar('\n');
}

/* Nothing where the model has no points and no prevalence is given: the figures above are those of its threshold. */
static void print_points(const cxr_metrics *m)
{
    if (m->positive >= 0 && m->point_count == 1)
        (void)printf("\nno operating points: this model has a threshold only; cxr calibrate fits them on validation images\n");
    if (m->point_count == 0 || (m->point_count == 1 && m->prevalence == 0)) return;
    (void)printf("\n%-17s  %8s  %12s  %12s  %12s  %12s", "operating point", "from", "sensitivity", "specificity", "ppv", "npv");
    if (m->prevalence > 0) {
        char head[2][24];
        (void)snprintf(head[0], sizeof head[0], "ppv at %.3g", m->prevalence);
        (void)snprintf(head[1], sizeof head[1], "npv at %.3g", m->prevalence);
        (void)printf("  %12s  %12s", head[0], head[1]);
    }
    (void)putchar('\n');
    for (int i = 0; i < m->point_count; i++) print_point(&m->points[i], m->prevalence > 0 ? CXR_POINT_FIGURES : 4);
}

static void print_subgroups(const cxr_metrics *m, const char *by)
{
    static const char *const heads[] = {"accuracy", "sensitivity", "specificity", "auroc"};
    enum { COLUMNS = sizeof heads / sizeof *heads };
    int columns[COLUMNS], width = (int)strlen(by) + 3;
    if (width < 15) width = 15;
    for (int k = 0; k < m->subgroup_count; k++)
        if ((int)strlen(m->subgroups[k].name) > width) width = (int)strlen(m->subgroups[k].name);
    (void)printf("\nby %-*s  %8s", width - 3, by, "images");
    for (int c = 0; c < COLUMNS; c++) {
        columns[c] = column_named(m, heads[c]);
        (void)printf("  %12s", heads[c]);
    }
    (void)putchar('\n');
    for (int k = 0; k < m->subgroup_count; k++) {
        const cxr_metrics *x = m->subgroups[k].figures;
        (void)printf("%-*s  %8zu", width, m->subgroups[k].name, x->n);
        for (int c = 0; c < COLUMNS; c++) print_cell(x->value[columns[c]]);
        (void)printf("\n  %-*s", width + 8, "95 % interval");
        for (int c = 0; c < COLUMNS; c++) print_ends(x->ci95[columns[c]]);
        (void)putchar('\n');
    }
}

static void print_confusion(const cxr_model *model, const cxr_metrics *m)
{
    const int width = widest_class(model, 7);
    (void)printf("\n%-*s  predicted\n%-*s", width, "true", width, "");
    for (int k = 0; k < m->classes; k++) (void)printf("  %*s", width, cxr_model_class_name(model, k));
    (void)putchar('\n');
    for (int t = 0; t < m->classes; t++) {
        (void)printf("%-*s", width, cxr_model_class_name(model, t));
        for (int k = 0; k < m->classes; k++) (void)printf("  %*" PRIu64, width, m->confusion[t * m->classes + k]);
        (void)putchar('\n');
    }
}

static void print_row(int width, const char *name, const double figures[CXR_METRICS], const int *columns, int count)
{
    (void)printf("%-*s", width, name);
    for (int c = 0; c < count; c++) print_figure(figures[columns[c]]);
    (void)putchar('\n');
}

static void print_robustness(const cxr_model *model, const cxr_robustness *r)
{
    static const char *const heads[][2] = {{"accuracy", "accuracy"},   {"balanced", "balanced_accuracy"},
                                           {"sensit.", "sensitivity"}, {"specif.", "specificity"},
                                           {"auroc", "auroc"},         {"loss", "loss"}};
    enum { COLUMNS = sizeof heads / sizeof *heads };
    int columns[COLUMNS], width = 6;
    for (int k = 0; k < r->count; k++) width = (int)strlen(r->names[k]) > width ? (int)strlen(r->names[k]) : width;
    print_head(model, r->each[0]);
    (void)printf("\n%-*s", width, "");
    for (int c = 0; c < COLUMNS; c++) {
        columns[c] = column_named(r->pooled, heads[c][1]);
        (void)printf("  %8s", heads[c][0]);
    }
    (void)putchar('\n');
    for (int k = 0; k < r->count; k++) print_row(width, r->names[k], r->each[k]->value, columns, COLUMNS);
    print_row(width, "mean", r->mean, columns, COLUMNS);
    print_row(width, "worst", r->worst, columns, COLUMNS);
    print_row(width, "pooled", r->pooled->value, columns, COLUMNS);
}

/* Measures and prints. */
static cxr_status evaluate(const evaluate_args *a, const cxr_model *model, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_metrics *metrics = NULL;
    const cxr_status st = cxr_evaluate(model, &a->opts, hooks, &metrics, err);
    cxr_console_close();
    if (st == CXR_OK) {
        print_figures(model, metrics);
        print_confusion(model, metrics);
        print_points(metrics);
        if (a->opts.by != NULL) print_subgroups(metrics, a->opts.by);
    }
    cxr_metrics_free(&metrics);
    return st;
}

static cxr_status evaluate_robustness(const evaluate_args *a, const cxr_model *model, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_robustness *r = NULL;
    const cxr_status st = cxr_evaluate_robustness(model, &a->opts, hooks, &r, err);
    cxr_console_close();
    if (st == CXR_OK) print_robustness(model, r);
    cxr_robustness_free(&r);
    return st;
}

static cxr_status evaluate_shortcut(const evaluate_args *a, const cxr_model *model, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_shortcut s;
    cxr_evaluate_opts o = a->opts;
    o.run.tta = CXR_TTA_NONE;
    const cxr_status st = cxr_evaluate_shortcut(model, &o, hooks, &s, err);
    cxr_console_close();
    if (st != CXR_OK) return st;
    (void)printf("\n%-12s  %8s  %8s  %16s\n", "hidden", "accuracy", "auroc", "95 % interval");
    for (int k = 0; k < CXR_SHORTCUT_WAYS; k++) {
        (void)printf("%-12s", s.names[k]);
        print_figure(s.accuracy[k]);
        print_figure(s.auroc[k]);
        print_interval(s.ci95[k]);
        (void)putchar('\n');
    }
    (void)printf("%s\n", s.finding);
    return st;
}

static cxr_status report(const evaluate_args *a, const cxr_model *model, const cxr_hooks *hooks, cxr_error *err)
{
    cxr_report_opts o;
    cxr_report_opts_default(&o);
    o.folder = a->opts.out;
    o.data = a->opts.data;
    o.run = a->opts.run;
    o.run.tta = CXR_TTA_NONE;
    return cxr_report(model, &o, hooks, err);
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    evaluate_args *a = args;
    cxr_model *model = NULL;
    a->opts.data = given->operands[0];
    cxr_settle_run(&a->opts.run, a->device, a->precision, &a->cache_dir);
    a->opts.run.tta = a->tta;
    const cxr_hooks *hooks = cxr_console_open(cxr_talk_volume(&a->talk), true);
    cxr_console_catch_signals();
    cxr_status st = cxr_open_models(&model, &a->models, err);
    if (st == CXR_OK) st = evaluate(a, model, hooks, err);
    if (st == CXR_OK && a->robustness) st = evaluate_robustness(a, model, hooks, err);
    if (st == CXR_OK && a->shortcut) st = evaluate_shortcut(a, model, hooks, err);
    if (st == CXR_OK && a->opts.out != NULL) st = report(a, model, hooks, err);
    cxr_console_close();
    cxr_model_close(&model);
    free(a->cache_dir);
    return st;
}

const cxr_command cxr_command_evaluate = {
    .name = "evaluate",
    .summary = "measure a model on a data set",
    .synopsis = {"[OPTION]... DATA"},
    .about =
        "Prints a model's figures on one split of DATA, which is laid out as for cxr train: accuracy, balanced accuracy, "
        "sensitivity, specificity, predictive values, F1, areas under the ROC and the precision-recall curve, loss, Matthews' "
        "correlation, Brier score and calibration error, each with its 95 % interval, and the confusion matrix. "
        "Preprocessing, classes and threshold come from the model file. Classes are matched by name; a "
        "class that the model does not know stops.\n\n"
        "With --robustness every image is also shown to the model in 20 fixed ways that leave it readable: other contrast, "
        "brightness and gamma, another frame, rotated, noisy, as a poor JPEG, coarser, with a black border. Each row of the "
        "table has the figures of one way, the first those of the images as they are; below stand their mean, the worst of "
        "each, and those of all predictions as one set. That is a second reading of the split.\n\n"
        "With --shortcut the images are shown again with the lungs hidden, with the whole chest, and with all but the chest, "
        "by a "
        "rough estimate of where the lungs lie: a model that still ranks well without the chest uses something else. That is "
        "another reading.\n\n"
        "With --out the page report.html is one file that needs nothing but itself: figures, curves, a threshold explorer, the "
        "worst "
        "errors with heat maps, split, receipt and readings, and the TRIPOD+AI and CLAIM items with what is known.",
    .examples = {{"figures on the test split, also as files",
                  "cxr evaluate --model runs/finetune/weights/best.safetensors chest_xray --out runs/finetune/test"},
                 {"the validation images that a run carved out of train/",
                  "cxr evaluate --model runs/finetune/weights/best.safetensors chest_xray --split val --split-file "
                  "runs/finetune/split.csv"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 1,
    .operand_max = 1,
    .operand = "DATA",
    .args_size = sizeof(evaluate_args),
    .defaults = defaults,
    .run = run,
};
