/* cxr train: options onto cxr_train_opts, a folder for the run, then the library's loop. */
#include "shared.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct train_args {
    cxr_train_opts opts;
    const char *recipe, *weights, *out, *name, *resume;
    unsigned optimizer, schedule, class_weights, fit, resize, device, precision, cache;
    char *cache_dir;
    char early_sizes[256]; /* of --size, before its last comma */
    cxr_talk talk;
    bool several; /* runs by seeds, as the library told */
} train_args;

/* ---- Recipes ---- */

static const char *use_recipe(void *args, const char *text)
{
    train_args *a = args;
    if (cxr_train_opts_recipe(&a->opts, text, NULL) != CXR_OK) return "the name of a recipe: finetune or article";
    a->recipe = a->opts.recipe;
    a->optimizer = a->opts.optimizer;
    a->schedule = a->opts.schedule;
    a->class_weights = a->opts.class_weights;
    a->fit = a->opts.fit;
    a->resize = a->opts.preprocess.rule;
    a->device = a->opts.device;
    a->precision = a->opts.precision;
    a->cache = a->opts.cache;
    return NULL;
}

static void show_recipe(const void *args, char *out, size_t room)
{
    (void)snprintf(out, room, "%s", ((const train_args *)args)->recipe);
}

static const char *use_head(void *args, const char *text)
{
    return cxr_parse_head(&((train_args *)args)->opts, text);
}

static void show_head(const void *args, char *out, size_t room)
{
    cxr_show_head(&((const train_args *)args)->opts, out, room);
}

static const char *add_teacher(void *args, const char *text)
{
    cxr_train_opts *o = &((train_args *)args)->opts;
    if (*text == '\0' || o->teacher_count == CXR_MAX_TEACHERS) return "a model file, at most 16 times";
    o->teachers[o->teacher_count++] = text;
    return NULL;
}

/* "128", or phases: "96:4,128". The last is the model's; the library judges those before it. */
static const char *use_size(void *args, const char *text)
{
    train_args *a = args;
    const char *comma = strrchr(text, ',');
    const size_t early = comma == NULL ? 0 : (size_t)(comma - text);
    uint64_t last = 0;
    if (early >= sizeof a->early_sizes || !cxr_parse_uint(comma == NULL ? text : comma + 1, 32, 1024, &last))
        return "a whole number from 32 to 1024, or sizes by epoch that end with one, as 96:4,128";
    memcpy(a->early_sizes, text, early);
    a->early_sizes[early] = '\0';
    a->opts.early_sizes = comma == NULL ? NULL : a->early_sizes;
    a->opts.preprocess.size = (int)last;
    return NULL;
}

static void show_size(const void *args, char *out, size_t room)
{
    const cxr_train_opts *o = &((const train_args *)args)->opts;
    (void)snprintf(out, room, "%s%s%d", o->early_sizes == NULL ? "" : o->early_sizes, o->early_sizes == NULL ? "" : ",",
                   o->preprocess.size);
}

/* One word, or phases, which the library judges. */
static const char *use_freeze(void *args, const char *text)
{
    bool known = strpbrk(text, ":,") != NULL;
    for (int i = 0; cxr_words_freeze[i] != NULL; i++) known = known || strcmp(cxr_words_freeze[i], text) == 0;
    if (!known) return "one of backbone, layer4, layer3, layer2, layer1, none, or several by epoch, as backbone:2,none";
    ((train_args *)args)->opts.freeze = text;
    return NULL;
}

static void show_freeze(const void *args, char *out, size_t room)
{
    (void)snprintf(out, room, "%s", ((const train_args *)args)->opts.freeze);
}

static void defaults(void *args)
{
    train_args *a = args;
    (void)use_recipe(a, cxr_words_recipe[0]);
    a->weights = "imagenet";
}

/* ---- Options ---- */

#define FILLS(field) CXR_FILLS(train_args, field)

static const char *const switch_words[] = {"off", "on", NULL};
static const char *const fit_words[] = {"none", "val", "perturbed", NULL};

static const cxr_option options[] = {
    {.name = "recipe",
     .group = "Recipe",
     .kind = CXR_ARG_TEXT,
     .words = cxr_words_recipe,
     .parse = use_recipe,
     .show = show_recipe,
     .first = true,
     .help = "settings to start from, whatever the order; every other option overrides them"},

    {.name = "group-by",
     .group = "Data",
     FILLS(opts.group_by),
     .value = "RULE",
     .help = "what tells patients apart, so that none is in two splits: auto (file names of the known data sets, or a CSV's "
             "group column), none, column:NAME, or an extended regular expression whose first group is the patient"},
    {.name = "val-fraction",
     FILLS(opts.val_fraction),
     .value = "X",
     .low = 0.01,
     .high = 0.5,
     .help = "share of the training patients that becomes validation when val/ is missing or too small"},
    {.name = "train-images",
     FILLS(opts.train_images),
     .value = "N",
     .low = 0,
     .high = 1e9,
     .help = "train with N of the training images, drawn by the seed, classes in their shares; 0: all"},
    CXR_OPTION_SKIP_UNREADABLE(FILLS(opts.skip_unreadable)),
    CXR_OPTION_MAX_PIXELS(FILLS(opts.limits.max_pixels)),

    {.name = "size",
     .group = "Input",
     .kind = CXR_ARG_TEXT,
     .value = "N[:EPOCHS,N...]",
     .parse = use_size,
     .show = show_size,
     .help = "side of the network's square input in pixels, 32..1024; 96:4,128 is 96 for four epochs, then 128"},
    {.name = "resize",
     FILLS(resize),
     .words = cxr_words_resize,
     .help = "scale both sides to it, fit the picture into it with black bars, or crop its central square"},
    {.name = "flip", FILLS(opts.augment.flip), .value = "P", .low = 0, .high = 1, .help = "probability of a horizontal flip"},
    {.name = "rotate",
     FILLS(opts.augment.rotate_degrees),
     .value = "DEG",
     .low = 0,
     .high = 180,
     .help = "rotation by an angle drawn from -DEG to DEG degrees"},
    {.name = "crop-scale",
     FILLS(opts.augment.crop_min_scale),
     .value = "MIN",
     .low = 0,
     .high = 1,
     .help = "random resized crop that keeps at least this share of the area; 0: none"},
    {.name = "brightness",
     FILLS(opts.augment.brightness),
     .value = "X",
     .low = 0,
     .high = 1,
     .help = "brightness factor drawn from 1-X to 1+X"},
    {.name = "contrast",
     FILLS(opts.augment.contrast),
     .value = "X",
     .low = 0,
     .high = 1,
     .help = "contrast factor drawn from 1-X to 1+X"},
    {.name = "zoom",
     FILLS(opts.augment.zoom),
     .value = "X",
     .low = 0,
     .high = 0.9,
     .help = "scale about the centre drawn from 1-X to 1+X"},
    {.name = "gamma",
     FILLS(opts.augment.gamma),
     .value = "X",
     .low = 0,
     .high = 9,
     .help = "exponent of the grey levels drawn from 1/(1+X) to 1+X"},
    {.name = "noise",
     FILLS(opts.augment.noise),
     .value = "X",
     .low = 0,
     .high = 1,
     .help = "add noise of a standard deviation drawn from 0 to X, as a share of the grey range"},
    {.name = "jpeg-quality",
     FILLS(opts.augment.jpeg_quality),
     .value = "Q",
     .low = 0,
     .high = 100,
     .help = "save each image as a JPEG of a quality drawn from Q to 100; 0: do not"},
    {.name = "erase",
     FILLS(opts.augment.erase),
     .value = "P",
     .low = 0,
     .high = 1,
     .help = "probability of a grey rectangle over 2 to 33 % of the image"},

    {.name = "arch", .group = "Network", FILLS(opts.arch), .words = cxr_words_arch, .help = "backbone"},
    {.name = "weights",
     .letter = 'w',
     FILLS(weights),
     .value = "imagenet|cxr|none|FILE",
     .help = "where the backbone starts: torchvision's ImageNet weights (fetched once), the model of chest X-rays that comes "
             "with cxr, random, or a .pth, .pt or .safetensors file"},
    {.name = "allow-missing",
     FILLS(opts.allow_missing),
     .value = "PATTERN",
     .help = "tensors that FILE may lack, as a shell pattern; they start from random values"},
    {.name = "head",
     .kind = CXR_ARG_TEXT,
     .value = "N,N...|none",
     .parse = use_head,
     .show = show_head,
     .help = "widths of the head's hidden layers, each with batch norm, ReLU and dropout"},
    {.name = "dropout",
     FILLS(opts.dropout),
     .value = "P",
     .low = 0,
     .high = 1,
     .open = CXR_OPEN_HIGH,
     .help = "dropout after each hidden layer"},
    {.name = "freeze",
     .kind = CXR_ARG_TEXT,
     .words = cxr_words_freeze,
     .parse = use_freeze,
     .show = show_freeze,
     .help = "how much of the backbone stays as loaded: all of it, the stem up to and including a stage, or nothing; "
             "backbone:2,layer3:3,none is all for two epochs, up to layer3 for three, then nothing"},

    {.name = "epochs",
     .letter = 'e',
     .group = "Optimisation",
     FILLS(opts.epochs),
     .value = "N",
     .low = 1,
     .high = 100000,
     .help = "passes over the training images"},
    {.name = "batch-size",
     .letter = 'b',
     FILLS(opts.batch_size),
     .value = "N",
     .low = 2,
     .high = 1024,
     .help = "images per step"},
    {.name = "optimizer", FILLS(optimizer), .words = cxr_words_optimizer, .help = "update rule, as PyTorch's"},
    {.name = "lr",
     FILLS(opts.lr),
     .value = "X",
     .low = 0,
     .high = 1000,
     .open = CXR_OPEN_LOW,
     .help = "learning rate; the peak, where a schedule changes it"},
    {.name = "layer-decay",
     FILLS(opts.layer_decay),
     .value = "X",
     .low = 0,
     .high = 1,
     .open = CXR_OPEN_LOW,
     .help = "factor of the learning rate from each stage to the one before it, the head having all of it"},
    {.name = "schedule", FILLS(schedule), .words = cxr_words_schedule, .help = "course of the learning rate over the run"},
    {.name = "momentum", FILLS(opts.momentum), .value = "X", .low = 0, .high = 1, .open = CXR_OPEN_HIGH, .help = "of sgd"},
    {.name = "weight-decay",
     FILLS(opts.weight_decay),
     .value = "X",
     .low = 0,
     .high = 1000,
     .help = "L2 penalty (adam, sgd) or decoupled decay of all but norms and biases (adamw)"},
    {.name = "clip-norm",
     FILLS(opts.clip_norm),
     .value = "X",
     .low = 0,
     .high = 1e6,
     .help = "scale gradients down to this global norm; 0: off"},
    {.name = "ema",
     FILLS(opts.ema),
     .value = "D",
     .low = 0,
     .high = 1,
     .open = CXR_OPEN_HIGH,
     .help = "the model is a moving average of the weights over steps, with this decay, such as 0.998; 0: the weights"},
    {.name = "swa",
     FILLS(opts.swa),
     .value = "K",
     .low = 0,
     .high = 100000,
     .help = "the model is the mean of the weights at the ends of the last K epochs; 0: the weights"},
    {.name = "mixup",
     FILLS(opts.mixup),
     .value = "A",
     .low = 0,
     .high = 1,
     .help = "blend the images of a batch in pairs, with shares drawn from Beta(A, A); 0: do not"},
    {.name = "cutmix",
     FILLS(opts.cutmix),
     .value = "A",
     .low = 0,
     .high = 1,
     .help = "swap a rectangle between the images of a pair, its area drawn from Beta(A, A); 0: do not"},
    {.name = "label-smoothing",
     FILLS(opts.label_smoothing),
     .value = "X",
     .low = 0,
     .high = 1,
     .open = CXR_OPEN_HIGH,
     .help = "share of each label spread over all classes"},
    {.name = "teacher",
     .kind = CXR_ARG_TEXT,
     .value = "FILE",
     .parse = add_teacher,
     .help = "distil: learn what this model says of each batch as well as the labels; with several (repeat it), their mean"},
    {.name = "distil",
     FILLS(opts.distil),
     .value = "A",
     .low = 0,
     .high = 1,
     .help = "share of the loss that compares with the teachers"},
    {.name = "distil-temperature",
     FILLS(opts.distil_temperature),
     .value = "T",
     .low = 0.1,
     .high = 100,
     .help = "softens the probabilities of both sides in that comparison"},
    {.name = "class-weights", FILLS(class_weights), .words = switch_words, .help = "weigh the loss by inverse class frequency"},
    {.name = "balanced",
     FILLS(opts.balanced),
     .help = "draw training images with replacement, from each class as many as from any other"},
    {.name = "early-stop",
     FILLS(opts.early_stop),
     .value = "N",
     .low = 0,
     .high = 100000,
     .help = "stop after N epochs without a lower validation loss; 0: off"},
    {.name = "fit",
     FILLS(fit),
     .words = fit_words,
     .help = "at the end fit temperature and thresholds on the validation images, as they are or perturbed as by cxr evaluate "
             "--robustness"},
    CXR_OPTION_SEED(FILLS(opts.seed), "of order, augmentation, dropout and random weights"),
    {.name = "seeds",
     FILLS(opts.seeds),
     .value = "N",
     .low = 1,
     .high = CXR_MAX_SEEDS,
     .help = "train N runs on the same split, by --seed and the numbers after it, and print mean and standard deviation"},
    {.name = "then-distil",
     FILLS(opts.then_distil),
     .help = "after --seeds, train one more model, in distilled/, whose teachers they are"},

    {.name = "out",
     .letter = 'o',
     .group = "Run",
     FILLS(out),
     .value = "DIR",
     .help = "the run folder, exactly; refused if it holds a run"},
    {.name = "name",
     .letter = 'n',
     FILLS(name),
     .value = "NAME",
     .help = "without --out the run folder is runs/NAME, or runs/NAME-2, -3, ... (default: the recipe's name)"},
    {.name = "resume",
     FILLS(resume),
     .value = "RUN",
     .help = "continue the run in folder RUN with its own settings; only --threads may be given anew"},
    {.name = "checkpoint-seconds",
     FILLS(opts.checkpoint_seconds),
     .value = "S",
     .low = 0,
     .high = 1e9,
     .help = "time between checkpoints within an epoch; 0: only at its end"},
    CXR_OPTION_DEVICE(FILLS(device)),
    CXR_OPTION_PRECISION(FILLS(precision)),
    CXR_OPTION_THREADS(FILLS(opts.threads)),
    {.name = "cache",
     FILLS(cache),
     .words = cxr_words_cache,
     .help = "where decoded images and features stay between epochs; disk: also between runs, in $XDG_CACHE_HOME/cxr"},
    {.name = "cache-features",
     FILLS(opts.cache_features),
     .value = "K",
     .low = 0,
     .high = 1024,
     .help = "augment each image in K ways and run the frozen part on each once, not in every epoch; 0: new ways each epoch"},
    CXR_OPTION_DETERMINISTIC(FILLS(opts.deterministic)),
    {.name = "tensorboard",
     FILLS(opts.tensorboard),
     .help = "write what results.csv has also for TensorBoard: tensorboard --logdir runs"},
    CXR_OPTION_QUIET(FILLS(talk.quiet)),
    CXR_OPTION_VERBOSE(FILLS(talk.verbose)),
};

/* ---- Run ---- */

static const char *const allowed_with_resume[] = {"resume", "threads", "quiet", "verbose", NULL};

extern const cxr_command cxr_command_train; /* below */

static bool given_option(const cxr_given *given, const char *name)
{
    return cxr_args_given(&cxr_command_train, given, name);
}

static cxr_status check(const train_args *a, const cxr_given *given, cxr_error *err)
{
    if (a->resume == NULL) {
        if (given->operand_count == 0) return cxr_fail(err, CXR_EUSAGE, "DATA is missing");
        if (a->out != NULL && a->name != NULL) return cxr_fail(err, CXR_EUSAGE, "--out and --name exclude each other");
        if (a->name != NULL && (*a->name == '\0' || *a->name == '.' || strchr(a->name, '/') != NULL))
            return cxr_fail(err, CXR_EUSAGE, "--name must be a plain folder name, not '%s'; --out takes a path", a->name);
        if (a->opts.teacher_count == 0 && !a->opts.then_distil &&
            (given_option(given, "distil") || given_option(given, "distil-temperature")))
            return cxr_fail(err, CXR_EUSAGE,
                            "--distil and --distil-temperature are for a --teacher or --then-distil, and none is given");
        return CXR_OK;
    }
    if (given->operand_count > 0)
        return cxr_fail(err, CXR_EUSAGE, "DATA '%s' cannot be given with --resume: the run knows its data", given->operands[0]);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        bool allowed = !given->options[i];
        for (int k = 0; allowed_with_resume[k] != NULL; k++) allowed |= strcmp(options[i].name, allowed_with_resume[k]) == 0;
        if (!allowed)
            return cxr_fail(err, CXR_EUSAGE, "--%s cannot be given with --resume: the run keeps its settings", options[i].name);
    }
    return CXR_OK;
}

static void settle_words(train_args *a)
{
    a->opts.optimizer = a->optimizer;
    a->opts.schedule = a->schedule;
    a->opts.class_weights = a->class_weights != 0;
    a->opts.fit = a->fit;
    a->opts.preprocess.rule = a->resize;
    a->opts.device = a->device;
    if (a->resume == NULL) a->opts.threads = cxr_threads(a->opts.threads);
    a->opts.precision = a->precision;
    a->opts.cache = a->cache;
}

/* Finds the weights and the folder, then trains. */
static cxr_status start(train_args *a, const char *data, const cxr_hooks *hooks, char **run, cxr_train_result *result,
                        cxr_error *err)
{
    char *found = NULL;
    cxr_status st = CXR_OK;
    settle_words(a);
    if (cxr_cache_folder(&a->cache_dir, NULL) == CXR_OK) a->opts.cache_dir = a->cache_dir;
    a->opts.data = data;
    if (strcmp(a->weights, "imagenet") == 0 && access(data, F_OK) != 0) /* said before a download, not after it */
        return cxr_fail(err, CXR_ENOINPUT, "%s: %s", data, strerror(errno));
    if (a->out == NULL)
        st = cxr_free_run_folder(a->name != NULL ? a->name : a->recipe, run, err);
    else if ((*run = strdup(a->out)) == NULL)
        st = cxr_fail(err, CXR_ENOMEM, "no memory for a path");
    a->opts.out = *run;
    if (st == CXR_OK) st = cxr_train_opts_check(&a->opts, err); /* likewise */
    if (st == CXR_OK) st = cxr_find_weights(a->weights, a->opts.arch, hooks, &found, err);
    a->opts.weights = found;
    if (st == CXR_OK) st = cxr_train(&a->opts, hooks, result, err);
    cxr_free(found);
    return st;
}

static int column(const char *name)
{
    return strlen(name) > 12 ? (int)strlen(name) : 12;
}

/* The table of several seeds, when it is complete; figures that no run has are left out. */
static void on_seeds(void *user, const cxr_seeds *s)
{
    char line[64 * (CXR_SEED_FIGURES + 2)];
    ((train_args *)user)->several = true;
    if (s->count < s->of) return;
    size_t used = (size_t)snprintf(line, sizeof line, "%-8s  %10s", "seed", "best epoch");
    for (int k = 0; k < CXR_SEED_FIGURES; k++)
        if (isfinite(s->mean[k])) used += (size_t)snprintf(line + used, sizeof line - used, "  %12s", s->names[k]);
    cxr_say("%s", line);
    for (int i = 0; i < s->count + 2; i++) {
        const double *value = i < s->count ? s->value[i] : i == s->count ? s->mean : s->sd;
        if (i < s->count)
            used = (size_t)snprintf(line, sizeof line, "%-8" PRIu64 "  %10d", s->seed[i], s->best_epoch[i]);
        else
            used = (size_t)snprintf(line, sizeof line, "%-8s  %10s", i == s->count ? "mean" : "sd", "");
        for (int k = 0; k < CXR_SEED_FIGURES; k++)
            if (isfinite(s->mean[k]))
                used += (size_t)snprintf(line + used, sizeof line - used, "  %*.6f", column(s->names[k]), value[k]);
        cxr_say("%s", line);
    }
}

static void say_result(const train_args *a, const char *where, const cxr_train_result *r)
{
    char *distilled = cxr_join(where, "distilled/weights/best.safetensors");
    const bool last = a->several && distilled != NULL && access(distilled, F_OK) == 0;
    if (!a->several || last)
        cxr_say("best epoch %d of %d: val loss %.4f, val accuracy %.2f%%", r->best_epoch, r->epochs_done, r->best_val_loss,
                100 * r->best_val_accuracy);
    if (a->several) cxr_say("models: %s/seed-*/weights/best.safetensors", where);
    if (!a->several || last) cxr_say("model: %s/%sweights/best.safetensors", where, last ? "distilled/" : "");
    free(distilled);
}

static cxr_status run(void *args, const cxr_given *given, cxr_error *err)
{
    train_args *a = args;
    cxr_train_result result = {0};
    char *folder = NULL;
    cxr_status st = check(a, given, err);
    if (st != CXR_OK) return st;

    cxr_hooks hooks = *cxr_console_open(cxr_talk_volume(&a->talk), true);
    hooks.seeds = on_seeds;
    hooks.user = a;
    cxr_console_catch_signals();
    if (a->resume != NULL)
        st = cxr_resume(a->resume, a->opts.threads, &hooks, &result, err);
    else
        st = start(a, given->operands[0], &hooks, &folder, &result, err);
    cxr_console_close();

    const char *where = a->resume != NULL ? a->resume : folder;
    if (st == CXR_OK) {
        say_result(a, where, &result);
        (void)printf("%s\n", where);
    } else if (st == CXR_ESTOPPED) {
        cxr_say("to continue: cxr train --resume %s", where);
    }
    free(folder);
    free(a->cache_dir);
    return st;
}

const cxr_command cxr_command_train = {
    .name = "train",
    .summary = "train a classifier on a data set",
    .synopsis = {"[OPTION]... DATA", "--resume RUN [--threads N]"},
    .about = "Trains a classifier by transfer learning: a ResNet that knows ImageNet, wholly or partly frozen, and a new head. "
             "DATA is a folder that holds train/ and, if there are any, val/ and test/, each with one folder per class; or a "
             "folder of class folders; or a CSV with the columns path,label[,split][,group].\n\n"
             "The run folder receives args.json, split.csv, results.csv, results.png and .svg, log.txt, "
             "weights/best.safetensors (lowest validation loss) and weights/last.safetensors. Its name is printed on standard "
             "output. Ctrl-C saves a checkpoint and stops; --resume continues to the same result, bit for bit. With --seeds "
             "the folder "
             "holds such a folder for each, seed-1 and so on, and seeds.csv.",
    .examples = {{"the best recipe known here: all layers, strong augmentation", "cxr train chest_xray"},
                 {"the published experiment: frozen ImageNet ResNet-18, new head, 5 epochs",
                  "cxr train chest_xray --recipe article"}},
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .operand_min = 0, /* run() asks for DATA unless it resumes */
    .operand_max = 1,
    .operand = "DATA",
    .args_size = sizeof(train_args),
    .defaults = defaults,
    .run = run,
};
