/* The trials of a search that have ended: what decides whether the next one is worth going on with, and tune.json, from which a
 * search is resumed. */
#ifndef CXR_TUNE_TRIALS_H
#define CXR_TUNE_TRIALS_H
#include "cxr/cxr.h"
#include <jansson.h>

typedef struct cxr_ended {
    cxr_trial_state state;
    char *reason;     /* NULL: it did not fail */
    int epochs;       /* finished */
    double *losses;   /* validation loss of each */
    double objective; /* NaN: there is none */
    double seconds;
    json_t *values; /* object: searched option: value */
} cxr_ended;

typedef struct cxr_trials {
    cxr_ended *items; /* trial 1 first */
    int count;
    double *means; /* room for a mean of each */
    char data[65]; /* fingerprint of the data set */
} cxr_trials;

/* Takes what `t` owns, on failure too. */
CXR_MUST_CHECK cxr_status cxr_trials_add(cxr_trials *trials, cxr_ended *t, cxr_error *err);
void cxr_trials_free(cxr_trials *trials);
CXR_MUST_CHECK cxr_status cxr_trials_write(const cxr_trials *trials, const char *path, cxr_error *err);
/* CXR_EDATA when the file is not what cxr_trials_write wrote. */
CXR_MUST_CHECK cxr_status cxr_trials_read(cxr_trials *out, const char *path, cxr_error *err);

/* The median stopping rule (Golovin et al. 2017, Google Vizier, 3.2.2): whether the best of losses[0..epochs) is worse than the
 * median, over the trials that did not fail and have as many epochs, of the mean of their first `epochs` losses. Never with
 * fewer than min_trials of these. */
bool cxr_median_stops(cxr_trials *earlier, const double *losses, int epochs, int min_trials);
#endif
