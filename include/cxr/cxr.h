/* cxr: train, evaluate and run chest-X-ray classifiers by transfer learning.
 *
 * The one installed header. Handles are opaque; `open`/`new` give, `get` lends until close, `close` nulls the caller's
 * pointer. Every call that can fail returns a cxr_status and writes one sentence to its cxr_error (NULL is accepted).
 * The library neither prints, nor exits, nor reads the environment: the caller's hooks receive what there is to say.
 * A handle may be used by one thread at a time; different handles are independent. */
#ifndef CXR_CXR_H
#define CXR_CXR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CXR_API               __attribute__((visibility("default")))
#define CXR_MUST_CHECK        __attribute__((warn_unused_result))
#define CXR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CXR_API
#define CXR_MUST_CHECK
#define CXR_PRINTF(fmt, args)
#endif

/* ---- Status ---- */

typedef enum cxr_status {
    CXR_OK = 0,
    CXR_EUSAGE,       /* an option is out of range or contradicts another                */
    CXR_EDATA,        /* content is not what it must be: image, table, weights, loss      */
    CXR_ELIMIT,       /* content is over a limit (pixels, bytes, scans)                   */
    CXR_ENOINPUT,     /* a file or folder that must exist does not                        */
    CXR_ECREATE,      /* an output cannot be created                                      */
    CXR_EIO,          /* reading or writing failed half-way: device, space, permission    */
    CXR_EUNAVAILABLE, /* this build or machine lacks what was asked for (CUDA, network)   */
    CXR_ENOMEM,       /* memory is exhausted                                              */
    CXR_ESTOPPED,     /* the caller asked to stop; what was done so far is saved          */
    CXR_EINTERNAL,    /* a bug in cxr, or a library call that must not fail did           */
    CXR_EUNMET        /* what the caller required of a result does not hold               */
} cxr_status;

/* Zero it before use. `text` is one sentence naming what, where and why, without a final newline. */
typedef struct cxr_error {
    cxr_status status;
    char text[1024];
} cxr_error;

/* Sets the error (err may be NULL) and returns `status`, so that `return cxr_fail(...)` reads well. */
CXR_API cxr_status cxr_fail(cxr_error *err, cxr_status status, const char *fmt, ...) CXR_PRINTF(3, 4);

/* ---- Log ---- */

typedef enum cxr_level { CXR_DEBUG, CXR_INFO, CXR_WARNING } cxr_level;

typedef struct cxr_logger {
    void (*write)(void *user, cxr_level level, const char *line); /* NULL: silent; may come from any thread */
    void *user;
} cxr_logger;

/* ---- Version ---- */

/* "0.1.0". Static. */
CXR_API const char *cxr_version(void);
/* Lines "name version" of the libraries in use, backends built in and CPU features, newline separated. Static. */
CXR_API const char *cxr_build_info(void);

/* ---- Images and preprocessing ---- */

/* Caps on what is accepted from outside, checked before memory is taken. */
typedef struct cxr_limits {
    uint64_t max_pixels; /* width x height of one image       1..1e12   default 100,000,000 */
    uint64_t max_bytes;  /* size of one image file            1..1e12   default 256 MiB     */
    uint32_t max_scans;  /* scans of a progressive JPEG       1..1e6    default 100         */
} cxr_limits;
CXR_API void cxr_limits_default(cxr_limits *o);

typedef enum cxr_resize_rule {
    CXR_RESIZE_SQUASH, /* scale both sides to `size`; the aspect ratio is lost                      */
    CXR_RESIZE_FIT,    /* letterbox: scale the longer side to `size`, centre, pad with black        */
    CXR_RESIZE_CROP    /* scale the shorter side to `size`, take the central square                 */
} cxr_resize_rule;

/* How an image becomes the network's input. Stored in the model file; never given again after training. */
typedef struct cxr_preprocess {
    cxr_resize_rule rule; /* default squash                                     */
    int size;             /* side of the square input    32..1024          default 128       */
    float mean[3];        /* per channel, of pixels in 0..1   -1000..1000  default ImageNet  */
    float std[3];         /* per channel                      1e-6..1000   default ImageNet  */
} cxr_preprocess;
CXR_API void cxr_preprocess_default(cxr_preprocess *o);

/* Random transforms of training images, in this order: crop, zoom, flip, rotation, brightness, contrast, gamma, noise, JPEG,
 * erasing. All off: zeros. */
typedef struct cxr_augment {
    float flip;           /* probability of a horizontal flip                              0..1    default 0.5 (article) */
    float rotate_degrees; /* angle drawn from [-x, x], degrees; nearest pixel, black fill  0..180  default 10  (article) */
    float crop_min_scale; /* random resized crop: least share of the area kept; 0 = off    0..1    default 0             */
    float brightness;     /* factor from [1-x, 1+x]                                        0..1    default 0             */
    float contrast;       /* factor from [1-x, 1+x], about the mean grey                   0..1    default 0             */
    float zoom;           /* factor from [1-x, 1+x], about the centre; black fill          0..0.9  default 0             */
    float gamma;          /* exponent from [1/(1+x), 1+x], uniform in its logarithm        0..9    default 0             */
    float noise;          /* added; standard deviation from [0, x] of the grey range       0..1    default 0             */
    int jpeg_quality;     /* saved as a JPEG of a quality from x to 100; 0 = off           0..100  default 0             */
    float erase;          /* probability of a grey rectangle of 2 to 33 % of the area      0..1    default 0             */
} cxr_augment;

/* ---- Training ---- */

typedef enum cxr_optimizer { CXR_ADAM, CXR_ADAMW, CXR_SGD } cxr_optimizer;
typedef enum cxr_schedule { CXR_CONSTANT, CXR_COSINE, CXR_ONECYCLE } cxr_schedule;
typedef enum cxr_device { CXR_DEVICE_AUTO, CXR_DEVICE_CPU, CXR_DEVICE_CUDA, CXR_DEVICE_REFERENCE } cxr_device;
/* What the network computes in. Parameters, batch-norm statistics and the loss are f32 in all of them; f32 gives the same
 * numbers on every machine to about 1e-6. */
typedef enum cxr_precision {
    CXR_PRECISION_F32,
    CXR_PRECISION_BF16, /* CXR_EUNAVAILABLE where the CPU has neither AVX512_BF16 nor AMX */
    CXR_PRECISION_INT8, /* inference, of a model that cxr_quantize() calibrated */
    CXR_PRECISION_AUTO  /* bf16 for inference and the frozen part of training where the CPU has it, else f32 */
} cxr_precision;
/* Where training keeps what it would otherwise compute again each epoch: decoded images, and features at the cut. */
typedef enum cxr_cache { CXR_CACHE_RAM, CXR_CACHE_DISK, CXR_CACHE_OFF } cxr_cache;

/* What temperature, threshold and operating points are fitted on when training ends. */
typedef enum cxr_fit {
    CXR_FIT_NONE,     /* they stay 1 and 0.5, and there are no operating points */
    CXR_FIT_VAL,      /* the validation images */
    CXR_FIT_PERTURBED /* the validation images in every way of cxr_evaluate_robustness(), together */
} cxr_fit;

#define CXR_MAX_HEAD     8  /* hidden layers of a head */
#define CXR_MAX_TEACHERS 16 /* models that one learns from */
#define CXR_MAX_SEEDS    100

typedef struct cxr_train_opts {
    /* data */
    const char *data;     /* folder with train/ [val/ test/], of class folders, or a CSV    required           */
    const char *group_by; /* "auto", "none", "column:NAME" or a POSIX extended regex        default "auto"     */
    double val_fraction;  /* share of training groups carved for validation       0.01..0.5 default 0.1        */
    int train_images;     /* how many of the training images are used; 0 = all    0..1e9    default 0          */
    bool skip_unreadable; /* count and list unreadable images instead of stopping           default false      */
    cxr_limits limits;
    /* input */
    cxr_preprocess preprocess;
    const char *early_sizes; /* sizes of the first epochs, "96:4,112:2": 4 at 96, 2 at 112, the rest at preprocess.size,
                                which is the model's; validation is at the epoch's size; NULL: none   default NULL */
    cxr_augment augment;
    /* network */
    const char *arch;          /* "resnet18" or "resnet34"                                       default "resnet18" */
    const char *weights;       /* a weight file, or NULL: random start                           default NULL       */
    const char *allow_missing; /* glob of tensor names that it may lack, or NULL                 default NULL       */
    int head[CXR_MAX_HEAD];    /* widths of hidden layers                              1..65536  default 256, 128   */
    int head_count;            /* how many                                             0..8      default 2          */
    float dropout;             /* after each hidden layer                              [0, 1)    default 0.5        */
    /* "backbone", "layer1".."layer4" (and all before) or "none"; or phases, each of which freezes less than the one before:
     * "backbone:2,layer3:3,none" is two epochs, three, and the rest                              default "backbone" */
    const char *freeze;
    /* optimisation */
    cxr_optimizer optimizer; /*                                                                default Adam       */
    float lr;                /* peak learning rate                                   (0, 1000] default 1e-4       */
    float layer_decay;       /* factor of the rate from a stage to the one before it (0, 1]    default 1          */
    float weight_decay;      /* L2 (Adam, SGD) or decoupled (AdamW, weights only)    0..1000   default 0          */
    float momentum;          /* SGD only                                             [0, 1)    default 0.9        */
    float mixup;             /* a of Beta(a, a), the share of blended pairs; 0 = off 0..1      default 0          */
    float cutmix;            /* the same of pairs that swap a rectangle              0..1      default 0          */
    float label_smoothing;   /* share of each label spread over all classes          [0, 1)    default 0          */
    bool class_weights;      /* weigh the loss by inverse class frequency                      default false      */
    bool balanced;           /* draw images with replacement, each class as often as another   default false      */
    float clip_norm;         /* most of the global gradient norm; 0 = off            0..1e6    default 0          */
    float ema;               /* decay of the average over steps that is the model    [0, 1)    default 0: none    */
    int swa;                 /* the model averages the ends of that many last epochs 0..epochs default 0: none    */
    cxr_schedule schedule;   /* course of the learning rate                                    default constant   */
    int epochs;              /*                                                      1..100000 default 5          */
    int batch_size;          /* images per step                                      2..1024   default 64         */
    int early_stop;          /* epochs to wait for a lower validation loss; 0 = off  0..100000 default 0          */
    uint64_t seed;           /* order, augmentation, dropout, initial values         0..9.2e18 default 1          */
    uint64_t split_seed;     /* which images are validation, or of train_images; 0 = seed 0..9.2e18 default 0     */
    int seeds;               /* runs by seed, seed + 1, ... that differ in nothing else 1..100  default 1          */
    bool then_distil;        /* with 2 to 16 seeds: one more model, whose teachers they are    default false      */
    cxr_fit fit;             /* what temperature and thresholds are fitted on                  default none       */
    /* distillation (Hinton, Vinyals, Dean 2015) */
    const char *teachers[CXR_MAX_TEACHERS]; /* model files with the data's classes and the run's input size and rule */
    int teacher_count;                      /*                                                   0..16      default 0 */
    float distil;             /* share of the loss that compares with the teachers   0..1       default 0.5        */
    float distil_temperature; /* of both sides' probabilities in it                  0.1..100   default 2          */
    /* machine */
    cxr_device device;         /*                                                                default auto       */
    int threads;               /* compute and loader; 0 = what the machine grants      0..1024   default 0          */
    double checkpoint_seconds; /* between checkpoints in an epoch; 0 = at its end only 0..1e9    default 60         */
    cxr_precision precision;   /*                                                                default f32        */
    cxr_cache cache;           /*                                                                default ram        */
    const char *cache_dir;     /* folder of cache files, created; NULL: none are kept            default NULL       */
    int cache_features;        /* augmented views whose features are kept; 0 = none      0..1024 default 0          */
    bool deterministic;        /* kernels by a fixed rule, not by timing them                    default false      */
    bool tensorboard;          /* the epochs also as an event file for TensorBoard               default false      */
    /* where */
    const char *recipe; /* name kept in args.json; sets nothing here                      default "article"  */
    const char *out;    /* run folder, created; refused if it holds a run                 required           */
} cxr_train_opts;

/* The published experiment (recipe "article"). */
CXR_API void cxr_train_opts_default(cxr_train_opts *o);
/* The settings of a recipe: "finetune", the whole network by docs/RECIPES.md's winner, or "article". All others: CXR_EUSAGE. */
CXR_API CXR_MUST_CHECK cxr_status cxr_train_opts_recipe(cxr_train_opts *o, const char *name, cxr_error *err);
/* What cxr_train() refuses before it looks at any file: CXR_EUSAGE with the name, the value and the range of an option. */
CXR_API CXR_MUST_CHECK cxr_status cxr_train_opts_check(const cxr_train_opts *o, cxr_error *err);

typedef struct cxr_progress {
    int epoch, epochs; /* from 1                                                     */
    int step, steps;   /* batches done of this epoch                                 */
    double loss;       /* mean training loss of this epoch so far                    */
    double images_per_second;
    double seconds_left; /* of the whole run                                           */
    double wait_share;   /* share of the epoch's time spent waiting for data   0..1    */
} cxr_progress;

/* One row of results.csv. */
typedef struct cxr_epoch {
    int epoch; /* from 1 */
    double train_loss, val_loss, val_accuracy;
    double lr;                /* of the epoch's last step */
    double seconds;           /* training and validation */
    double images_per_second; /* training images over the training part's time */
} cxr_epoch;

#define CXR_SEED_FIGURES 6

/* Runs that differ in the seed alone: figures of each one's best epoch. A row of seeds.csv each. */
typedef struct cxr_seeds {
    int count, of; /* finished; in all */
    uint64_t seed[CXR_MAX_SEEDS];
    int best_epoch[CXR_MAX_SEEDS];
    const char *names[CXR_SEED_FIGURES]; /* val_loss, val_accuracy, and perturbed_... as in cxr_train_result */
    double value[CXR_MAX_SEEDS][CXR_SEED_FIGURES];
    double mean[CXR_SEED_FIGURES], sd[CXR_SEED_FIGURES]; /* of the finished; sd of a sample, NaN of one */
} cxr_seeds;

typedef struct cxr_hooks {
    cxr_logger log;
    void (*progress)(void *user, const cxr_progress *p); /* NULL: none; from the calling thread, every step */
    void (*epoch)(void *user, const cxr_epoch *e);       /* NULL: none; after each epoch                    */
    bool (*should_stop)(void *user);                     /* NULL: never; asked between steps                */
    void *user;
    /* NULL: none; bytes of a download so far, of its total (0: not known). From the calling thread. */
    void (*transfer)(void *user, uint64_t done, uint64_t total);
    void (*seeds)(void *user, const cxr_seeds *s); /* NULL: none; after each run of several seeds */
} cxr_hooks;

typedef struct cxr_train_result {
    int epochs_done;
    int best_epoch; /* lowest validation loss of the epochs at preprocess.size; 0: there was none */
    double best_val_loss, best_val_accuracy;
    double temperature, threshold; /* of the best model; 1 and 0.5 where nothing was fitted */
    /* Of the best model with them, on all perturbed validation images as one set; NaN unless fit is perturbed. */
    double perturbed_auroc, perturbed_loss, perturbed_accuracy, perturbed_balanced_accuracy;
} cxr_train_result;

/* Trains and fills the run folder opts->out: args.json, split.csv, results.csv/.png/.svg, weights/best|last.safetensors,
 * checkpoint.safetensors, with CXR_FIT_PERTURBED robustness.csv/.json. With several seeds, folders seed-S with all that, and
 * distilled, and seeds.csv; the result is that of the last of them. hooks and result may be NULL. CXR_ESTOPPED: a checkpoint was
 * saved, cxr_resume() continues. */
CXR_API CXR_MUST_CHECK cxr_status cxr_train(const cxr_train_opts *opts, const cxr_hooks *hooks, cxr_train_result *result,
                                            cxr_error *err);
/* Continues the run in folder `run` from its last checkpoint with the arguments it was started with; the result equals an
 * unbroken run bit for bit when the thread count is the same, and the folder of cache files is there. threads: 0 = as the run was started. */
CXR_API CXR_MUST_CHECK cxr_status cxr_resume(const char *run, int threads, const cxr_hooks *hooks, cxr_train_result *result,
                                             cxr_error *err);

/* ---- Runs ---- */

#define CXR_RUN_TIME 32

/* A run folder of cxr_train(), as its files say. What is not known is NaN. */
typedef struct cxr_run_row {
    char *path; /* from the folder given on */
    char *recipe, *arch;
    uint64_t seed;
    int epochs_done, epochs;                                  /* finished; asked for */
    int best_epoch;                                           /* as in cxr_train_result; 0: none yet */
    double val_loss, val_accuracy;                            /* of it */
    double test_accuracy, test_balanced_accuracy, test_auroc; /* of test/metrics.json in the run */
    int test_readings;                                        /* of split test in its ledger; -1: that cannot be read */
    char started[CXR_RUN_TIME]; /* "2026-01-31T23:59:59Z", when its args.json was written, or "" */
} cxr_run_row;

typedef struct cxr_run_list {
    size_t count;
    cxr_run_row *rows; /* in byte order of paths, folder by folder */
    size_t skipped;    /* folders left out, each with its reason in the log: an args.json that is not a run's, half a table */
} cxr_run_list;

/* The runs in `folder`, which may be one, and in its folders, four deep. CXR_ENOINPUT when there is none. */
CXR_API CXR_MUST_CHECK cxr_status cxr_runs(const char *folder, const cxr_hooks *hooks, cxr_run_list **out, cxr_error *err);
CXR_API void cxr_runs_free(cxr_run_list **runs);

/* ---- Search ---- */

typedef struct cxr_tune_opts {
    const char *space;    /* TOML file: what is fixed, what is searched, how (docs/tuning.md)   required to start */
    cxr_train_opts train; /* what the file says nothing about; data, and out, the search's folder, created        */
    bool resume;          /* go on with the search in folder train.out: of the rest only train.threads counts,
                             where it is not 0                                                   default false    */
    /* Finds the weights file that a trial's option `weights` names, "imagenet" say; *path NULL: random start; to be freed with
     * cxr_free(). NULL: every name is a file's. */
    cxr_status (*weights)(void *user, const char *name, const char *arch, char **path, cxr_error *err);
    void *user;
} cxr_tune_opts;
CXR_API void cxr_tune_opts_default(cxr_tune_opts *o);

typedef enum cxr_trial_state {
    CXR_TRIAL_DONE,
    CXR_TRIAL_STOPPED, /* it fell behind the median of earlier trials */
    CXR_TRIAL_FAILED   /* its settings contradict each other, or its loss was not finite */
} cxr_trial_state;

/* One row of tune.csv. Lent until the callback returns. */
typedef struct cxr_trial {
    int number; /* from 1; its run folder is trial-001 in the search's */
    cxr_trial_state state;
    const char *reason;  /* why it failed; NULL: it did not */
    int epochs;          /* finished */
    const char *measure; /* what is sought: "val_loss", "val_accuracy", "perturbed_loss", "perturbed_auroc" */
    double objective;    /* of its best epoch, by validation loss; NaN: it failed, or was stopped before that was measured */
    double seconds;      /* training and validation */
    int count;           /* options searched */
    const char *const *names, *const *values; /* of these options, as text */
} cxr_trial;

/* Trains with settings drawn at random, one run folder for each trial, and keeps the table tune.csv in train.out. A trial whose
 * best validation loss falls behind the median of the earlier ones' running means is stopped (Golovin et al. 2017, Google
 * Vizier, 3.2.2). At the end `row` gets every trial, the best first, those that failed last; the test split is not read.
 * CXR_ESTOPPED: a checkpoint was saved, `resume` continues; the result is that of an unbroken search as cxr_resume()'s is of an
 * unbroken run. A trial that fails is a row; CXR_EDATA when none has a best epoch. */
CXR_API CXR_MUST_CHECK cxr_status cxr_tune(const cxr_tune_opts *opts, const cxr_hooks *hooks,
                                           void (*row)(void *user, const cxr_trial *t), void *user, cxr_error *err);

/* ---- Models ---- */

typedef struct cxr_model cxr_model;

CXR_API CXR_MUST_CHECK cxr_status cxr_model_open(cxr_model **out, const char *path, cxr_error *err);
CXR_API void cxr_model_close(cxr_model **model); /* accepts NULL and *model == NULL */
/* Writes the model to `path`, atomically. half: weights rounded to f16, norms and biases as they are; half the bytes. A weight
 * beyond f16's 65504 is CXR_EDATA, and nothing is written. Of paths in the receipt of its training only names are left. */
CXR_API CXR_MUST_CHECK cxr_status cxr_model_save(const cxr_model *model, const char *path, bool half, cxr_error *err);
/* Makes `model` one with *other, which it takes (and nulls): predictions are the means of their calibrated probabilities, decided at
 * the mean of their thresholds. Any number may be joined. CXR_EDATA, and nothing is taken, unless both have the same classes in the
 * same order, the same resize rule and the same size. */
CXR_API CXR_MUST_CHECK cxr_status cxr_model_join(cxr_model *model, cxr_model **other, cxr_error *err);
CXR_API int cxr_model_class_count(const cxr_model *model);
CXR_API const char *cxr_model_class_name(const cxr_model *model, int index); /* NULL when out of range */
CXR_API const cxr_preprocess *cxr_model_preprocess(const cxr_model *model);
CXR_API double cxr_model_threshold(const cxr_model *model); /* of the positive class; two classes */
/* What log-probabilities are divided by before they are reported, 1: nothing (Guo et al. 2017). Probabilities have it applied. */
CXR_API double cxr_model_temperature(const cxr_model *model);

/* One line of the network's summary. Strings are lent until the call's callback returns. */
typedef struct cxr_layer {
    const char *name;    /* torchvision's module name, "layer1.0.conv1" */
    const char *kind;    /* "convolution", "linear", ... */
    int shape[3];        /* output: channels, height, width */
    uint64_t parameters; /* learnable; running statistics not counted */
    bool trainable;
    double gflop; /* 2 x multiply-adds for one image / 1e9 */
} cxr_layer;
/* Calls `row` for every node in order. */
CXR_API void cxr_model_summary(const cxr_model *model, void (*row)(void *user, const cxr_layer *layer), void *user);
/* The same network, untrained: architecture, head, freeze and input size are taken from `opts`, `classes` >= 2. */
CXR_API CXR_MUST_CHECK cxr_status cxr_model_new(cxr_model **out, const cxr_train_opts *opts, int classes, cxr_error *err);

/* ---- Prediction ---- */

/* Test-time augmentation: probabilities are means over views of the image, and take that many times as long. The windows are of
 * the image at 8/7 (and 4/3) of the input's side. */
typedef enum cxr_tta {
    CXR_TTA_NONE,   /* the image */
    CXR_TTA_FLIP,   /* 2: the image, and mirrored like each view of the others */
    CXR_TTA_SCALES, /* 6: the image and the central windows at 8/7 and at 4/3 */
    CXR_TTA_CROPS   /* 12: the image and the four corners and the centre at 8/7 */
} cxr_tta;

typedef struct cxr_run_opts {
    int batch_size; /* 1..1024, default 64; views count, an image's are never parted */
    int threads;    /* 0 = what the machine grants */
    cxr_device device;
    cxr_precision precision; /* default f32 */
    cxr_tta tta;             /* of cxr_predict() and cxr_evaluate(); default none */
    const char *cache_dir;   /* folder where kernels chosen by timing are remembered; NULL: none are timed */
    bool deterministic;      /* kernels by a fixed rule, not by timing them */
    cxr_limits limits;
} cxr_run_opts;
CXR_API void cxr_run_opts_default(cxr_run_opts *o);

/* One image's outcome, in the order given. Lent until the callback returns. */
typedef struct cxr_prediction {
    const char *path;
    cxr_status status;          /* CXR_OK, or why there is no prediction */
    const char *reason;         /* the sentence, when status is not CXR_OK; why, when the model abstains; else empty */
    int predicted;              /* class index */
    const float *probabilities; /* cxr_model_class_count() of them, in class order */
    bool abstain;               /* the image is none that the model's answer holds for, which is given all the same */
    double novelty;             /* distance of its features from the training images' as a share of what is accepted; NaN: the
                                   model was not fitted to tell */
} cxr_prediction;

/* What a model says nothing about: a picture that is blank, in colour, a page of text, long and narrow; and where training or
 * cxr_calibrate() fitted the model to tell, one that is inverted, turned, or far from the training images to the network. */
/* Classifies files and, recursively and in byte order, the images of folders. A bad image is a prediction with a status;
 * the rest goes on and the call returns CXR_OK. */
CXR_API CXR_MUST_CHECK cxr_status cxr_predict(const cxr_model *model, const char *const *paths, size_t count,
                                              const cxr_run_opts *opts, const cxr_hooks *hooks,
                                              void (*row)(void *user, const cxr_prediction *p), void *user, cxr_error *err);

/* ---- Explanation ---- */

/* Which way a heat map is made. */
typedef enum cxr_explain_method {
    CXR_GRAD_CAM,    /* Selvaraju et al. 2017: what a layer gives, weighed by its mean gradient */
    CXR_GRAD_CAM_PP, /* Grad-CAM++, Chattopadhay et al. 2018: weighed where the gradient is positive */
    CXR_OCCLUSION    /* Zeiler, Fergus 2014: by how much hiding a part lowers the class's logit; needs no layer */
} cxr_explain_method;

/* Whether a map says something about the model; docs/explanation.md has the rules. */
typedef enum cxr_trust {
    CXR_TRUST_UNKNOWN, /* it was not checked */
    CXR_TRUST_YES,
    CXR_TRUST_DOUBTFUL,
    CXR_TRUST_NO
} cxr_trust;

typedef struct cxr_explain_opts {
    cxr_explain_method method; /*                                                        default Grad-CAM  */
    const char *layer;         /* "layer1".."layer4": of whose values the map is made    default "layer4"  */
    const char *class_name;    /* what the map is to explain; NULL: the predicted class  default NULL      */
    const char *out;           /* folder of the images' figures and maps, created; NULL: none is written   */
    bool check;                /* ask whether each map can be trusted; some 20 times as long  default false */
    bool curves;               /* deletion and insertion curves; some 30 times as long   default false     */
    cxr_run_opts run;          /* its tta is ignored; gradients are f32 whatever the precision             */
} cxr_explain_opts;
CXR_API void cxr_explain_opts_default(cxr_explain_opts *o);

/* One image's heat map, in the order given. Lent until the callback returns. */
typedef struct cxr_explanation {
    const char *path;
    cxr_status status;          /* CXR_OK, or why there is no map                               */
    const char *reason;         /* the sentence, when status is not CXR_OK                      */
    int predicted, explained;   /* class indices                                                */
    const float *probabilities; /* cxr_model_class_count() of them, in class order              */
    const float *map;           /* height x width: before it is resized. 0 or more; of occlusion also below */
    int width, height;          /* of the map                                                   */
    const char *figure, *raw;   /* files written: a PNG and the map as .npy; NULL without `out` */
    /* With `check`; else NaN and CXR_TRUST_UNKNOWN. Rank correlations are Spearman's, of maps of at most 8 x 8 parts; NaN where
     * one of them is constant. */
    double occlusion;  /* with the map of hiding one part after another */
    double randomised; /* with the network's maps while its layers become random from the head down, mean (Adebayo 2018) */
    double lungs, lungs_area; /* share of the map, and of the picture, in the estimated lungs; NaN where none were found */
    cxr_trust trust;
    const char *why; /* not yes: the reason; else NULL */
    /* With `curves`; else NaN and NULL: areas under the class's probability (Petsiuk et al. 2018), low and high are good. */
    double deletion, insertion;
    const char *curves; /* file written */
} cxr_explanation;

/* Says of files, and of the images of folders as cxr_predict() finds them, where the model saw what speaks for a class: the gradient
 * of the class's logit (before any softmax and temperature) at a layer. opts->out receives for each image, under its path
 * without the folders that all have in common, a figure NAME.png and the map as NAME.npy. A bad image is an explanation with a
 * status. CXR_EUSAGE for a layer or class that the model has not, and for several models joined. */
CXR_API CXR_MUST_CHECK cxr_status cxr_explain(const cxr_model *model, const char *const *paths, size_t count,
                                              const cxr_explain_opts *opts, const cxr_hooks *hooks,
                                              void (*row)(void *user, const cxr_explanation *e), void *user, cxr_error *err);

/* ---- Evaluation ---- */

#define CXR_METRICS       13
#define CXR_POINTS        3
#define CXR_POINT_FIGURES 6

/* What a model does at a threshold of the positive class. */
typedef struct cxr_point {
    const char *name; /* "balanced", "rule_out", "rule_in"; "threshold": that of a model with no chosen ones */
    double threshold;
    double value[CXR_POINT_FIGURES];   /* sensitivity, specificity, ppv, npv; ppv, npv at the prevalence; NaN when undefined */
    double ci95[CXR_POINT_FIGURES][2]; /* Wilson's; at the prevalence the logit interval of Mercaldo et al. 2007 */
} cxr_point;

/* Some of the images, and their figures. */
typedef struct cxr_subgroup {
    char *name;
    struct cxr_metrics *figures;
} cxr_subgroup;

typedef struct cxr_metrics {
    size_t n;
    int classes;
    int positive;                             /* index of the positive class; -1 with more than two classes */
    double threshold;                         /* of the positive class's probability; two classes */
    const char *names[CXR_METRICS];           /* accuracy, balanced_accuracy, sensitivity, specificity, ppv, npv, f1, auroc,
                                             auprc, loss, mcc, brier, ece */
    double value[CXR_METRICS];                /* two classes: of the positive class; more: macro mean; NaN when undefined */
    double *per_class[CXR_METRICS];           /* more than two classes: `classes` values one-vs-rest, or NULL */
    double (*per_class_ci95[CXR_METRICS])[2]; /* their 95 % intervals, NaN when undefined; or NULL */
    uint64_t *confusion;                      /* classes x classes, row = true class */
    double accuracy_at_half;                  /* with two classes that of threshold 0.5; else the accuracy */
    double ci95[CXR_METRICS][2];              /* low and high end of `value`'s 95 % interval; NaN when undefined */
    int point_count; /* two classes: 1, or one for each operating point of the model; else, and in cxr_robustness, 0 */
    cxr_point points[CXR_POINTS];
    const char *point_figures[CXR_POINT_FIGURES]; /* sensitivity, ..., npv, ppv_at_prevalence, npv_at_prevalence */
    double prevalence;                            /* as it was asked for; 0: it was not */
    int subgroup_count;                           /* those that were asked for, in byte order of their names */
    cxr_subgroup *subgroups;
} cxr_metrics;

typedef struct cxr_evaluate_opts {
    const char *data;       /* as in cxr_train_opts; required */
    const char *split;      /* "test", "val", "train" or "all"            default "test" */
    const char *split_file; /* a run's split.csv that decides membership, or NULL        */
    const char *out;        /* folder for metrics.json, predictions.csv, plots (docs/evaluation.md), or NULL */
    double prevalence;      /* of the positive class, where predictive values are asked for too; 0: no     [0, 1) default 0 */
    const char *by;         /* what subgroups to measure too: a column of data, a CSV; "subtype": by file name; NULL: none */
    bool skip_unreadable;
    cxr_run_opts run;
} cxr_evaluate_opts;
CXR_API void cxr_evaluate_opts_default(cxr_evaluate_opts *o);

CXR_API CXR_MUST_CHECK cxr_status cxr_evaluate(const cxr_model *model, const cxr_evaluate_opts *opts, const cxr_hooks *hooks,
                                               cxr_metrics **out, cxr_error *err);
CXR_API void cxr_metrics_free(cxr_metrics **m);

/* Figures of a model on the same images changed in fixed ways: docs/evaluation.md lists them. */
typedef struct cxr_robustness {
    int count;           /* of the ways; the first is "none" */
    const char **names;  /* of each; static texts */
    cxr_metrics **each;  /* of each */
    cxr_metrics *pooled; /* of all predictions as one set */
    double mean[CXR_METRICS],
        worst[CXR_METRICS];           /* over the ways; of loss, brier and ece the worst is the largest, else the least */
    double mean_ci95[CXR_METRICS][2]; /* of the mean; NaN when undefined */
} cxr_robustness;

/* As cxr_evaluate(); opts->out receives robustness.csv, .json, .png and .svg. Each image is decoded once. */
CXR_API CXR_MUST_CHECK cxr_status cxr_evaluate_robustness(const cxr_model *model, const cxr_evaluate_opts *opts,
                                                          const cxr_hooks *hooks, cxr_robustness **out, cxr_error *err);
CXR_API void cxr_robustness_free(cxr_robustness **r);

#define CXR_SHORTCUT_WAYS 4

/* Does the model look at the lungs? Its figures on the same images with parts of them hidden behind one grey: nothing; the
 * lungs; the rectangle around them; all but that rectangle. Where the lungs lie is a rough estimate (docs/evaluation.md). */
typedef struct cxr_shortcut {
    size_t n;
    const char *names[CXR_SHORTCUT_WAYS]; /* "none", "lungs", "chest", "surroundings"; static */
    double accuracy[CXR_SHORTCUT_WAYS], balanced_accuracy[CXR_SHORTCUT_WAYS], auroc[CXR_SHORTCUT_WAYS];
    double ci95[CXR_SHORTCUT_WAYS][2]; /* of the AUROC; NaN when undefined */
    double kept;                       /* without the chest, of the AUROC above 0.5; NaN when there is none */
    char finding[320];                 /* what that says, a sentence or two */
} cxr_shortcut;

/* As cxr_evaluate(); opts->out receives shortcut.csv and shortcut.json. */
CXR_API CXR_MUST_CHECK cxr_status cxr_evaluate_shortcut(const cxr_model *model, const cxr_evaluate_opts *opts,
                                                        const cxr_hooks *hooks, cxr_shortcut *out, cxr_error *err);

/* ---- Serving ---- */

#define CXR_MAX_SERVED 16 /* models at once */

typedef struct cxr_serve_model {
    const char *name; /* in addresses: 1 to 63 letters, digits, '.', '_' and '-' */
    const char *path; /* model file; read again when asked to reload */
} cxr_serve_model;

typedef struct cxr_serve_opts {
    const cxr_serve_model *models; /* the first answers who names none; required */
    int model_count;               /*                                             1..16                       */
    const char *listen;            /* IPv4 or IPv6 address in digits, or "localhost"    default "127.0.0.1"   */
    int port;                      /* 0: any that is free                         0..65535   default 8080      */
    cxr_run_opts run;              /* batch_size: most images of a micro-batch    1..64      default 1;
                                      threads: workers, one thread each; limits: default 50 million pixels, 32 MiB, 100
                                      scans; kernels are chosen by the fixed rule; tta: none                  */
    double max_wait_ms;            /* that an image waits for its batch to fill   0..1000    default 2        */
    int queue;                     /* images that may wait; more: 503             1..65536   default 256      */
    int connections;               /* at once                                     1..65536   default 1024     */
    int connections_per_address;   /* of them from one address                    1..65536   default 512      */
    const char *const *hosts;      /* further names under which clients may ask, "cxr.example.org"; lent      */
    int host_count;                /*                                             0..64                       */
    const char *token_file;        /* its first line must come with every request, as `Authorization: Bearer TOKEN`;
                                      required where `listen` is not this machine alone      default NULL     */
    const char *certificate, *key; /* PEM files: TLS                                         default NULL     */
    bool sandbox; /* once models are warm the process gives up what serving does not need, for good (docs/serving.md); it must
                     be the caller's only thread                                               default false    */
    void (*listening)(void *user, int port);      /* NULL, or told once when requests are answered         */
    void (*access)(void *user, const char *line); /* NULL, or gets one line of JSON for each request; any thread */
    bool (*should_reload)(void *user);            /* NULL, or asked like the hooks' should_stop: open the models again */
    void *user;
} cxr_serve_opts;
CXR_API void cxr_serve_opts_default(cxr_serve_opts *o);

/* Answers over HTTP (docs/serving.md) until hooks->should_stop, then lets the requests at hand end. An answer depends on the image,
 * the model and the batch size, and on nothing else that is asked; it is that of cxr_predict() with `deterministic` and the same
 * batch size. A reload that fails is a warning, and the old models stay. */
CXR_API CXR_MUST_CHECK cxr_status cxr_serve(const cxr_serve_opts *opts, const cxr_hooks *hooks, cxr_error *err);

/* ---- Report ---- */

typedef struct cxr_report_opts {
    const char *folder; /* cxr_evaluate()'s out: its files are read, report.html is written there; required */
    const char *data;   /* the data set they are of: for pictures of the worst errors; NULL: none is shown */
    int errors;         /* pictures at most            0..100 default 12 */
    cxr_run_opts run;   /* of their heat maps */
} cxr_report_opts;
CXR_API void cxr_report_opts_default(cxr_report_opts *o);
/* One page that needs nothing but itself: figures with intervals, curves, the threshold explorer, the worst errors with heat maps,
 * split and receipt of the model's training, TRIPOD+AI and CLAIM items with what is known. Sections whose files are not in the
 * folder are left out. The split is not read again. CXR_ENOINPUT or CXR_EDATA without cxr_evaluate()'s files. */
CXR_API CXR_MUST_CHECK cxr_status cxr_report(const cxr_model *model, const cxr_report_opts *opts, const cxr_hooks *hooks,
                                             cxr_error *err);

/* ---- Inspection ---- */

/* What a check of a data set comes to. */
typedef enum cxr_verdict {
    CXR_VERDICT_OK,
    CXR_VERDICT_LOOK,    /* a person should look: it may be right                  */
    CXR_VERDICT_PROBLEM, /* figures made with this data cannot be trusted before it is put right */
    CXR_VERDICT_SKIPPED  /* the check could not be made; it says why               */
} cxr_verdict;

typedef struct cxr_inspect_opts {
    const char *data;       /* as in cxr_train_opts                                  required         */
    const char *group_by;   /* as in cxr_train_opts                                  default "auto"   */
    const char *split_file; /* a run's split.csv that decides membership, or NULL                     */
    const cxr_model *model; /* whose features tell train from test; NULL: they are not told; lent     */
    const char *out;        /* folder for inspect.json and inspect.html, created; NULL: none          */
    cxr_run_opts run;       /* its tta is ignored                                                     */
} cxr_inspect_opts;
CXR_API void cxr_inspect_opts_default(cxr_inspect_opts *o);

typedef struct cxr_data_check {
    const char *name; /* "near-duplicates" */
    cxr_verdict verdict;
    const char *says;         /* a sentence without a full stop */
    const char *const *lines; /* one for each finding, what matters most first */
    size_t line_count;
} cxr_data_check;

typedef struct cxr_inspection {
    size_t images;
    int classes;
    const char *const *class_names;
    size_t (*counts)[4]; /* of each class: images in train, val, test, and in none of them */
    cxr_data_check *checks;
    size_t check_count;
    cxr_verdict verdict; /* the worst of the checks'; never CXR_VERDICT_SKIPPED */
    char *json;          /* all of it as one JSON object, as in inspect.json */
} cxr_inspection;

/* Looks a data set over before it is trained on: what docs/data.md lists. Each image is read once, and once more for its features.
 * Unreadable images are findings. No model is judged, so no reading of the test split is counted. */
CXR_API CXR_MUST_CHECK cxr_status cxr_inspect(const cxr_inspect_opts *opts, const cxr_hooks *hooks, cxr_inspection **out,
                                              cxr_error *err);
CXR_API void cxr_inspection_free(cxr_inspection **i);

/* ---- Comparison ---- */

/* An image on which two models decide differently. */
typedef struct cxr_changed {
    const char *path;
    int label, a, b; /* class indices */
} cxr_changed;

/* Two models on the same images. Differences are B's figure less A's. */
typedef struct cxr_comparison {
    size_t n;
    int classes;
    const char *const *class_names;
    int positive;                   /* two classes: the second; more: -1 */
    const char *names[CXR_METRICS]; /* as in cxr_metrics */
    double a[CXR_METRICS], b[CXR_METRICS], difference[CXR_METRICS];
    double ci95[CXR_METRICS][2]; /* of the difference; NaN when undefined */
    double auroc_p;              /* two classes: DeLong's test of equal areas, two sided; NaN when undefined */
    uint64_t only_a, only_b;     /* images that A alone, B alone has right */
    double mcnemar_p;            /* two sided: that these are as many */
    bool mcnemar_exact;          /* binomial: fewer than 25 such images; else chi-squared, corrected */
    cxr_changed *changed;        /* in byte order of paths */
    size_t changed_count;
    const char *files[2]; /* the predictions.csv read of A and B */
} cxr_comparison;

/* a, b: a predictions.csv that cxr_evaluate() wrote, or a folder that holds it or test/predictions.csv. CXR_EDATA when they are not
 * of the same images with the same labels and classes, naming the first difference. threads 0: what the machine grants. */
CXR_API CXR_MUST_CHECK cxr_status cxr_compare(const char *a, const char *b, int threads, cxr_comparison **out, cxr_error *err);
/* requirement: a figure's name, >= or <=, and the bound of its difference: "auroc >= -0.002". CXR_EUNMET when it does not hold,
 * or the difference is undefined; CXR_EUSAGE when it is none. c NULL: only its form is looked at. */
CXR_API CXR_MUST_CHECK cxr_status cxr_comparison_require(const cxr_comparison *c, const char *requirement, cxr_error *err);
/* The comparison as one JSON object (docs/evaluation.md), to be freed with cxr_free(). What is not defined is null, as is a path that
 * is not UTF-8. */
CXR_API CXR_MUST_CHECK cxr_status cxr_comparison_json(const cxr_comparison *c, char **text, cxr_error *err);
/* compare.json and changed.csv (path,label,a,b) into `folder`, which is created. */
CXR_API CXR_MUST_CHECK cxr_status cxr_comparison_write(const cxr_comparison *c, const char *folder, cxr_error *err);
CXR_API void cxr_comparison_free(cxr_comparison **c);

/* ---- Calibration ---- */

typedef struct cxr_calibrate_opts {
    const char *data;       /* as in cxr_train_opts; required */
    const char *split_file; /* a run's split.csv that decides membership, or NULL                     */
    const char *out;        /* the model file to write, maybe the one that was opened; required       */
    cxr_fit fit;            /* validation images as they are or perturbed            default perturbed */
    bool keep;              /* temperature and threshold stay, the rest is fitted    default false     */
    bool skip_unreadable;
    cxr_run_opts run; /* its tta is ignored */
} cxr_calibrate_opts;
CXR_API void cxr_calibrate_opts_default(cxr_calibrate_opts *o);

/* What a model carries from validation. rule_out, rule_in: thresholds of the largest value whose sensitivity, the smallest whose
 * specificity was at least 0.95 there; NaN where there is none. */
typedef struct cxr_fitted {
    double temperature, threshold, rule_out, rule_in;
} cxr_fitted;

typedef struct cxr_calibrate_report {
    size_t n; /* validation images */
    cxr_fitted before, after;
} cxr_calibrate_report;

/* Fits anew, on the validation images of DATA, what training fits at its end: temperature, threshold and operating points; and
 * writes the model to opts->out. Where the model's receipt says that its loss weighed the classes alike, so does the temperature's.
 * The test split is not read. Where no split.csv decides, validation is what cxr_train() would take. */
CXR_API CXR_MUST_CHECK cxr_status cxr_calibrate(cxr_model *model, const cxr_calibrate_opts *opts, const cxr_hooks *hooks,
                                                cxr_calibrate_report *report, cxr_error *err);

/* ---- Quantisation ---- */

typedef struct cxr_quantize_opts {
    const char *data;       /* as in cxr_train_opts; required */
    const char *split_file; /* a run's split.csv that decides membership, or NULL                           */
    const char *out;        /* the model file to write; required                                            */
    int images;             /* training images to calibrate with                       1..65536 default 512   */
    uint64_t seed;          /* which ones                                              0..9.2e18 default 1  */
    double max_loss;        /* most that the area under the ROC curve may fall by      0..1     default 0.002 */
    bool skip_unreadable;
    cxr_run_opts run; /* its precision is ignored */
} cxr_quantize_opts;
CXR_API void cxr_quantize_opts_default(cxr_quantize_opts *o);

/* What int8 costs on the validation split. */
typedef struct cxr_quantize_report {
    size_t calibrated;            /* training images looked at */
    size_t n;                     /* validation images */
    double auroc_f32, auroc_int8; /* more than two classes: macro mean */
    size_t same;                  /* images with the same decision */
    double largest;               /* change of a probability */
} cxr_quantize_report;

/* Calibrates `model` for int8 on training images of DATA, measures both precisions on validation, and writes the model with its
 * ranges to opts->out. CXR_EDATA, and nothing is written, when int8 loses more than max_loss; the report is filled then too.
 * The test split is not read. Where no split.csv decides, validation is what cxr_train() would take. */
CXR_API CXR_MUST_CHECK cxr_status cxr_quantize(cxr_model *model, const cxr_quantize_opts *opts, const cxr_hooks *hooks,
                                               cxr_quantize_report *report, cxr_error *err);

/* ---- Weights and phantoms ---- */

/* Makes sure that the official ImageNet weights of `arch` lie complete and verified (SHA-256) in `dir`, fetching or resuming
 * the download if not. *path receives the file's path (caller frees with cxr_free). proxy: URL or NULL. */
CXR_API CXR_MUST_CHECK cxr_status cxr_fetch_weights(const char *arch, const char *dir, const char *proxy,
                                                    const cxr_hooks *hooks, char **path, cxr_error *err);
CXR_API void cxr_free(void *p);

typedef struct cxr_phantom_opts {
    const char *out;      /* folder to create; refused when it exists and is not empty */
    int train, val, test; /* images per class   default 240, 24, 80 */
    int size;             /* mean side in pixels; each image differs   64..4096   default 256 */
    uint64_t seed;        /* default 1 */
} cxr_phantom_opts;
CXR_API void cxr_phantom_opts_default(cxr_phantom_opts *o);
/* Writes synthetic chest radiographs as train/val/test folders of JPEGs, NORMAL and PNEUMONIA, several per patient. */
CXR_API CXR_MUST_CHECK cxr_status cxr_phantom(const cxr_phantom_opts *opts, cxr_error *err);

/* ---- Speed ---- */

/* What cxr_bench() times. */
typedef enum cxr_stage {
    CXR_STAGE_DECODE,         /* image file in memory to grey pixels, as large as the size needs                             */
    CXR_STAGE_TRANSFORM,      /* grey pixels to the network's input, with the article's augmentation */
    CXR_STAGE_FORWARD,        /* the whole network, inference                                   */
    CXR_STAGE_FROZEN,         /* inference of what lies left of the cut                         */
    CXR_STAGE_TRAIN_FORWARD,  /* what lies right of the cut, keeping what backward needs        */
    CXR_STAGE_TRAIN_BACKWARD, /* its gradients                                                  */
    CXR_STAGE_OPTIMIZER,      /* Adam's update and the kernels' reading of the new parameters   */
    CXR_STAGE_STEP,           /* the three before, together                                     */
    CXR_STAGES
} cxr_stage;

#define CXR_BENCH_LIST 8 /* values of one dimension */

typedef struct cxr_bench_opts {
    const char *model;                         /* model file; NULL: resnet18 with the article's head, random  default NULL   */
    const char *const *paths;                  /* images to decode and transform; lent                                       */
    size_t path_count;                         /* 0: phantoms of some 1024 x 1024 pixels                      default 0      */
    const char *freeze;                        /* where the cut is, as in cxr_train_opts                      default layer3 */
    bool stages[CXR_STAGES];                   /*                                                             default all    */
    bool precisions[CXR_PRECISION_AUTO];       /* f32, bf16, int8                                        default all    */
    int batches[CXR_BENCH_LIST], batch_count;  /*                                       1..1024     default 1,8,64 */
    int sizes[CXR_BENCH_LIST], size_count;     /* sides of the network's input         32..1024     default 128,224 */
    int threads[CXR_BENCH_LIST], thread_count; /* 0 = what the machine grants          0..1024     default 1,0    */
    int rounds;                                /*                                      5..1000     default 5      */
    double seconds;                            /* least length of one measurement      0..60       default 0.2    */
    bool limit;                                /* measure the convolutions alone too               default true   */
    const char *cache_dir;                     /* as in cxr_run_opts */
    bool deterministic;
} cxr_bench_opts;
CXR_API void cxr_bench_opts_default(cxr_bench_opts *o);

/* One configuration. Decoding and transforming know neither precision nor batch: the first asked for, and 1. */
typedef struct cxr_bench_row {
    cxr_stage stage;
    cxr_precision precision;
    int size, batch, threads, rounds;
    double median, low, high; /* seconds for the batch, over the rounds; NaN when there are none */
    double images_per_second; /* of the median */
    double limit;             /* seconds that the span's convolutions alone need, median; NaN: it has none */
    double share;             /* limit / seconds, median over the rounds; NaN likewise */
    const char *reason;       /* why there is no figure, or NULL; lent until the callback returns */
} cxr_bench_row;

/* Times the stages inside this process. Rounds are interleaved: each visits the configurations one after the other, as many
 * at a time as fit into a gigabyte or so, each after a run that does not count. */
CXR_API CXR_MUST_CHECK cxr_status cxr_bench(const cxr_bench_opts *opts, const cxr_hooks *hooks,
                                            void (*row)(void *user, const cxr_bench_row *r), void *user, cxr_error *err);

/* The machine of the moment, for the head of a table of figures. What cannot be read is "" or 0. */
typedef struct cxr_machine {
    char cpu[64];      /* the processor's own name */
    char governor[32]; /* of frequency, "performance" */
    char isa[32];      /* of the kernels, "avx512_core_bf16" */
    int cores;         /* online */
    int threads;       /* that this process may use at once */
    size_t l1, l2, l3; /* bytes of data cache as one core sees them */
    double load[3];    /* average of 1, 5 and 15 minutes */
} cxr_machine;
CXR_API void cxr_machine_read(cxr_machine *out);

#ifdef __cplusplus
}
#endif
#endif
