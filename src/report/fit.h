/* What a model learns once its weights stand: temperature, threshold and operating points from validation images, and what images it
 * can answer about. Training's end and cxr_calibrate() both come through cxr_fit_model(). */
#ifndef CXR_REPORT_FIT_H
#define CXR_REPORT_FIT_H
#include "report/score.h"

typedef struct cxr_fit_images {
    cxr_subset train, val;
} cxr_fit_images;

typedef struct cxr_fit_opts {
    const char *data; /* the data set, for sentences */
    cxr_fit on;       /* CXR_FIT_VAL or CXR_FIT_PERTURBED */
    bool balanced;    /* for the temperature each class weighs as much as another */
    bool keep;        /* temperature and threshold stay as they are */
    bool skip_unreadable;
    cxr_run_opts run; /* its tta is CXR_TTA_NONE */
} cxr_fit_opts;

/* Fits everything that a model file carries from validation, and leaves the rest of the model as it is. What images it can answer about
 * comes from the training images too. *scored receives the validation images' probabilities with what was fitted; free it with
 * cxr_scored_free() also after a failure. */
CXR_MUST_CHECK cxr_status cxr_fit_model(cxr_scored *scored, cxr_model *m, const cxr_fit_images *images, const cxr_fit_opts *o,
                                        const cxr_hooks *hooks, cxr_error *err);
/* Gives `to` what was fitted of `from`, which has the same network. */
CXR_MUST_CHECK cxr_status cxr_fit_copy(cxr_model *to, const cxr_model *from, cxr_error *err);

/* Fits what o->fit asks for and writes it into weights/best and weights/last of the run in `folder`; with CXR_FIT_PERTURBED
 * the best one's figures go to robustness.csv and .json. A fit that was broken off is done again and leaves the same files;
 * one that was finished is not. *result receives the fitted values and the figures. `data` has the run's split. */
CXR_MUST_CHECK cxr_status cxr_fit_run(const char *folder, const cxr_train_opts *o, const cxr_dataset *data,
                                      const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err);
#endif
