/* What comes after the last step: temperature and threshold of a run's models, fitted on its validation images. */
#ifndef CXR_REPORT_FIT_H
#define CXR_REPORT_FIT_H
#include "data/dataset.h"

/* Fits what o->fit asks for and writes it into weights/best and weights/last of the run in `folder`; with CXR_FIT_PERTURBED
 * the best one's figures go to robustness.csv and .json. A fit that was broken off is done again and leaves the same files;
 * one that was finished is not. *result receives the fitted values and the figures. `data` has the run's split. */
CXR_MUST_CHECK cxr_status cxr_fit_run(const char *folder, const cxr_train_opts *o, const cxr_dataset *data,
                                      const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err);
#endif
