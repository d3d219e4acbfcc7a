/* cxr compare: two models' predictions of the same images, and what must hold between them. */
#include "shared.h"
#include <inttypes.h>
#include <math.h>

#define MAX_REQUIREMENTS 16

typedef struct compare_args {
    const char *require[MAX_REQUIREMENTS]; /* lent from argv */
    int require_count, threads;
    unsigned format;
    const char *out;
    bool quiet;
} compare_args;

static void defaults(void *args)
{
    *(compare_args *)args = (compare_args){0};
}

static const char *add_requirement(void *args, const char *text)
{
    compare_args *a = args;
    if (a->require_count == MAX_REQUIREMENTS) return "at most 16 times";
    if (cxr_comparison_require(NULL, text, NULL) != CXR_OK)
        return "a figure, >= or <=, and a number, such as 'auroc >= -0.002'";
    a->require[a->require_count++] = text;
    return NULL;
}

#define FILLS(field) CXR_FILLS(compare_args, field)

static const char *const format_words[] = {"table", "json", NULL};

static const cxr_option options[] = {
    {.name = "require",
     .letter = 'r',
     .group = "Options",
     .kind = CXR_ARG_TEXT,
     .value = "TEXT",
     .parse = add_requirement,
     .help =
         "exit with status 1 unless the difference of a figure, B less A, is so, as in 'auroc >= -0.002'; several are allowed"},
    {.name = "out", .letter = 'o', FILLS(out), .value = "DIR", .help = "write compare.json and changed.csv there"},
    {.name = "format",
     .letter = 'f',
     FILLS(format),
     .words = format_words,
     .help = "tables to read, or one JSON object with everything"},
    CXR_OPTION_THREADS(FILLS(threads)),
    {.name = "quiet", .letter = 'q', FILLS(quiet), .help = "do not list the images on which the decision changed"},
};

static void print_number(double v, bool sign)
{
    if (isnan(v))
        (void)printf("  %8s", "-");
    else
        (void)printf(sign ? "  %+8.4f" : "  %8.4f", v);
}

static void print_figures(const cxr_comparison *c)
{
    (void)printf("images             %9zu\n", c->n);
    if (c->positive >= 0) (void)printf("positive class     %9s\n", c->class_names[c->positive]);
    (void)printf("%-17s  %8s  %8s  %8s  %18s\n", "", "A", "B", "B - A", "95 % interval");
    for (int f = 0; f < CXR_METRICS; f++) {
        char interval[48] = "-";
        if (!isnan(c->ci95[f][0])) (void)snprintf(interval, sizeof interval, "%+.4f to %+.4f", c->ci95[f][0], c->ci95[f][1]);
        (void)printf("%-17s", c->names[f]);
        print_number(c->a[f], false);
        print_number(c->b[f], false);
        print_number(c->difference[f], true);
        (void)printf("  %18s\n", interval);
    }
}

static void print_tests(const cxr_comparison *c)
{
    if (!isnan(c->auroc_p)) (void)printf("\nequal areas under the ROC (DeLong)    p = %.4g\n", c->auroc_p);
    (void)printf("%sequally often right (McNemar, %s)  p = %.4g: only A %" PRIu64 " images, only B %" PRIu64 "\n",
                 isnan(c->auroc_p) ? "\n" : "", c->mcnemar_exact ? "exact" : "chi-squared", c->mcnemar_p, c->only_a, c->only_b);
}

static void print_changed(const cxr_comparison *c)
{
    (void)printf("\nchanged side: %zu images%s\n", c->changed_count, c->changed_count > 0 ? " (class: A -> B)" : "");
    for (size_t i = 0; i < c->changed_count; i++) {
        const cxr_changed *x = &c->changed[i];
        (void)printf("%s: %s -> %s  %s\n", c->class_names[x->label], c->class_names[x->a], c->class_names[x->b], x->path);
    }
}

static cxr_status print(const compare_args *a, const cxr_comparison *c, cxr_error *err)
{
    if (a->format == 1) {
        char *text = NULL;
        const cxr_status st = cxr_comparison_json(c, &text, err);
        if (st == CXR_OK) (void)puts(text);
        cxr_free(text);
        return st;
    }
    print_figures(c);
    print_tests(c);
    if (!a->quiet) print_changed(c);
    return CXR_OK;
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    const compare_args *a = args;
    cxr_comparison *c = NULL;
    cxr_status st = cxr_compare(given->operands[0], given->operands[1], cxr_threads(a->threads), &c, err);
    if (st == CXR_OK) st = print(a, c, err);
    if (st == CXR_OK && a->out != NULL) st = cxr_comparison_write(c, a->out, err);
    for (int i = 0; i < a->require_count && (st == CXR_OK || st == CXR_EUNMET) && c != NULL; i++) {
        cxr_error unmet;
        const cxr_status here = cxr_comparison_require(c, a->require[i], &unmet);
        if (here == CXR_OK) continue;
        if (st == CXR_EUNMET) cxr_complain("%s", err->text);
        st = here;
        *err = unmet;
    }
    cxr_comparison_free(&c);
    return st;
}

const cxr_command cxr_command_compare = {
    .name = "compare",
    .summary = "tell two models apart on the same images",
    .synopsis = {"[OPTION]... A B"},
    .about =
        "Reads the predictions of two evaluations of the same images, each a predictions.csv or a folder that holds it or "
        "test/predictions.csv, as cxr evaluate --out writes it. Prints the figures of both, their differences (B less A) "
        "with 95 % intervals, DeLong's test of the areas under the ROC, McNemar's test of the decisions, and the images on "
        "which the decision changed. Intervals are DeLong's for the area of two classes, else from a bootstrap of "
        "patients, of which both sides have the same in each draw.\n\n"
        "With --require the exit status is 1 when a requirement does not hold, so that a script can refuse a model that "
        "is worse than the one before; with --format json standard output stays one object.",
    .examples = {{"two runs, each evaluated into its folder test", "cxr compare runs/article runs/finetune"},
                 {"refuse a model that ranks worse or is less often right",
                  "cxr compare old/test new/test --require 'auroc >= -0.002' --require 'accuracy >= 0'"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 2,
    .operand_max = 2,
    .operand = "A or B",
    .args_size = sizeof(compare_args),
    .defaults = defaults,
    .run = run,
};
