/* What a search tries: a TOML file of settings that every trial shares ([fixed]), of settings that are drawn ([search]), and of
 * the search itself. Names and values pass the check of train's own options. A draw depends on the seed, the trial's number
 * and the option's name alone: not on what else is searched, nor on what was drawn before. */
#ifndef CXR_TUNE_SPACE_H
#define CXR_TUNE_SPACE_H
#include "tune/toml.h"

#define CXR_TRIALS_MOST    10000
#define CXR_CHOICES_MOST   1000
#define CXR_DIMENSION_MOST 64

typedef enum cxr_objective { CXR_BY_LOSS, CXR_BY_ACCURACY, CXR_BY_PERTURBED_LOSS, CXR_BY_PERTURBED_AUROC } cxr_objective;
typedef enum cxr_stopping { CXR_STOP_NONE, CXR_STOP_MEDIAN } cxr_stopping;

/* One searched option. */
typedef struct cxr_dimension {
    const char *name;
    int line;
    json_t *choices;  /* array; NULL: a range */
    double low, high; /* closed */
    bool whole, log;  /* whole: numbers without fraction; log: uniform in the logarithm */
} cxr_dimension;

typedef struct cxr_space {
    int trials;                                   /* 1..10000             default 20       */
    uint64_t seed;                                /* of the draws         default 1        */
    cxr_objective objective;                      /*                      default val_loss */
    cxr_stopping stopping;                        /*                      default median   */
    int min_epochs;                               /* that a trial has, however it goes     1..100000   default 3 */
    int min_trials;                               /* earlier ones that a median needs      1..10000    default 3 */
    json_t *fixed, *searched;                     /* name in args.json: value in the file; they own what the rest lends */
    cxr_dimension dimensions[CXR_DIMENSION_MOST]; /* in the file's order */
    int count;
} cxr_space;

/* CXR_EDATA for what is no such setting, with file, line, key and reason; else as cxr_toml_parse(). */
CXR_MUST_CHECK cxr_status cxr_space_parse(cxr_space *out, const char *text, size_t len, const char *name, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_space_read(cxr_space *out, const char *path, cxr_error *err);
void cxr_space_free(cxr_space *s);

/* The value of dimension d in trial 1, 2, ...: a new reference, NULL when memory is exhausted. Numbers of a range have four
 * significant digits. */
json_t *cxr_space_draw(const cxr_space *s, const cxr_dimension *d, int trial);
/* Puts what is fixed, then what trial `trial` draws, over *o. *drawn (name: value, in the dimensions' order) is given to the
 * caller, on failure too where it is not NULL; strings of *o are its or the space's. CXR_EUSAGE: this combination is refused. */
CXR_MUST_CHECK cxr_status cxr_space_apply(const cxr_space *s, int trial, cxr_train_opts *o, json_t **drawn, cxr_error *err);
/* "val_loss", "val_accuracy", "perturbed_loss", "perturbed_auroc". */
const char *cxr_objective_name(cxr_objective o);
#endif
