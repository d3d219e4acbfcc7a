/* cxr summary: the network, layer by layer. */
#include "shared.h"
#include <inttypes.h>
#include <string.h>

typedef struct summary_args {
    cxr_train_opts opts;
    bool network; /* --arch was given */
    int classes;
} summary_args;

static const char *use_arch(void *args, const char *text)
{
    summary_args *a = args;
    for (int i = 0; cxr_words_arch[i] != NULL; i++) {
        if (strcmp(cxr_words_arch[i], text) != 0) continue;
        a->opts.arch = cxr_words_arch[i];
        a->network = true;
        return NULL;
    }
    return "one of resnet18, resnet34";
}

static const char *use_head(void *args, const char *text)
{
    return cxr_parse_head(&((summary_args *)args)->opts, text);
}

static void show_head(const void *args, char *out, size_t room)
{
    cxr_show_head(&((const summary_args *)args)->opts, out, room);
}

static void defaults(void *args)
{
    summary_args *a = args;
    cxr_train_opts_default(&a->opts);
    a->classes = 2;
}

#define FILLS(field) CXR_FILLS(summary_args, field)

static const cxr_option options[] = {
    {.name = "arch",
     .group = "Instead of a model file",
     .words = cxr_words_arch,
     .kind = CXR_ARG_TEXT,
     .parse = use_arch,
     .help = "backbone of an untrained network"},
    {.name = "head",
     .kind = CXR_ARG_TEXT,
     .value = "N,N...|none",
     .parse = use_head,
     .show = show_head,
     .help = "widths of the head's hidden layers"},
    {.name = "classes", FILLS(classes), .value = "N", .low = 2, .high = 10000, .help = "number of classes"},
    {.name = "size",
     FILLS(opts.preprocess.size),
     .value = "N",
     .low = 32,
     .high = 1024,
     .help = "side of the network's square input in pixels"},
    {.name = "freeze", FILLS(opts.freeze), .words = cxr_words_freeze, .help = "how much of the backbone is not trained"},
};

/* ---- Table ---- */

typedef struct totals {
    uint64_t parameters, trainable;
    double gflop;
} totals;

/* One line of the table, without spaces at its end. */
static void row(const char *name, const char *kind, const char *shape, const char *parameters, const char *trainable,
                const char *gflop)
{
    char line[256];
    int n = snprintf(line, sizeof line, "%-24s  %-13s  %13s  %12s  %9s  %7s", name, kind, shape, parameters, trainable, gflop);
    if (n >= (int)sizeof line) n = (int)sizeof line - 1;
    while (n > 0 && line[n - 1] == ' ') n--;
    (void)printf("%.*s\n", n, line);
}

static void rule(void)
{
    row("------------------------", "-------------", "-------------", "------------", "---------", "-------");
}

static void on_layer(void *user, const cxr_layer *l)
{
    totals *t = user;
    char shape[48], parameters[24] = "", gflop[24] = "";
    if (l->shape[1] == 1 && l->shape[2] == 1)
        (void)snprintf(shape, sizeof shape, "%d", l->shape[0]);
    else
        (void)snprintf(shape, sizeof shape, "%dx%dx%d", l->shape[0], l->shape[1], l->shape[2]);
    if (l->parameters > 0) (void)snprintf(parameters, sizeof parameters, "%" PRIu64, l->parameters);
    if (l->gflop > 0) (void)snprintf(gflop, sizeof gflop, "%.4f", l->gflop);
    row(l->name, l->kind, shape, parameters, l->parameters == 0 ? "" : l->trainable ? "yes" : "no", gflop);
    t->parameters += l->parameters;
    t->trainable += l->trainable ? l->parameters : 0;
    t->gflop += l->gflop;
}

static void print_table(const cxr_model *model)
{
    totals t = {0};
    char parameters[24], trainable[24], gflop[24];
    row("layer", "kind", "output shape", "parameters", "trainable", "GFLOP");
    rule();
    cxr_model_summary(model, on_layer, &t);
    rule();
    (void)snprintf(parameters, sizeof parameters, "%" PRIu64, t.parameters);
    (void)snprintf(trainable, sizeof trainable, "%" PRIu64, t.trainable);
    (void)snprintf(gflop, sizeof gflop, "%.4f", t.gflop);
    row("total", "", "", parameters, trainable, gflop);
}

/* What a model file says beside its layers. */
static void print_contract(const cxr_model *model)
{
    const cxr_preprocess *p = cxr_model_preprocess(model);
    const int n = cxr_model_class_count(model);
    (void)printf("\ninput    %dx%d, %s\nclasses  ", p->size, p->size, cxr_words_resize[p->rule]);
    for (int k = 0; k < n; k++) (void)printf("%s%s", k > 0 ? ", " : "", cxr_model_class_name(model, k));
    (void)putchar('\n');
    if (cxr_model_temperature(model) != 1) (void)printf("softmax  at temperature %g\n", cxr_model_temperature(model));
    if (n == 2) (void)printf("decides  %s at probability >= %g\n", cxr_model_class_name(model, 1), cxr_model_threshold(model));
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    summary_args *a = args;
    const bool file = given->operand_count > 0;
    cxr_model *model = NULL;
    if (file && given->any_option)
        return cxr_fail(err, CXR_EUSAGE, "give either a model file or --arch and its options: the file knows its network");
    if (!file && !a->network) return cxr_fail(err, CXR_EUSAGE, "MODEL-FILE or --arch NAME is missing");
    cxr_status st = file ? cxr_model_open(&model, given->operands[0], err) : cxr_model_new(&model, &a->opts, a->classes, err);
    if (st == CXR_OK) print_table(model);
    if (st == CXR_OK && file) print_contract(model);
    cxr_model_close(&model);
    return st;
}

const cxr_command cxr_command_summary = {
    .name = "summary",
    .summary = "show a network as a table",
    .synopsis = {"MODEL-FILE", "--arch NAME [OPTION]..."},
    .about = "Prints the network of a model file, or of an architecture by name: each layer with its output shape, learnable "
             "parameters, whether training changes them, and the cost of one image in GFLOP (a multiply-add counts as two).",
    .examples = {{"a trained model", "cxr summary runs/finetune/weights/best.safetensors"},
                 {"what --freeze layer3 leaves to train", "cxr summary --arch resnet18 --freeze layer3"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 0,
    .operand_max = 1,
    .operand = "MODEL-FILE",
    .args_size = sizeof(summary_args),
    .defaults = defaults,
    .run = run,
};
