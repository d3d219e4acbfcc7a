/* Models that a network learns from: their mean opinion of a batch's pixels. Their programs are inference in the run's precision,
 * beside the run's own. */
#ifndef CXR_TRAIN_TEACHERS_H
#define CXR_TRAIN_TEACHERS_H
#include "backend/backend.h"
#include "model/model.h"
#include "train/loss.h"

typedef struct cxr_teachers cxr_teachers;

/* Opens the files opts->teachers, to be asked about batches of up to max_batch images. CXR_EDATA when one's classes or input are
 * not those of `student`, which is lent for the call; opts, `loss` and `backend` are lent until close. */
CXR_MUST_CHECK cxr_status cxr_teachers_open(cxr_teachers **out, const cxr_train_opts *opts, const cxr_model *student,
                                            const cxr_loss *loss, const cxr_backend *backend, int max_batch, int threads,
                                            cxr_error *err);
/* Compiles them for images of that size, in place of another one; to be done before they are asked. */
CXR_MUST_CHECK cxr_status cxr_teachers_resize(cxr_teachers *t, int size, cxr_error *err);
/* *soft: (n, classes), the mean of the teachers' softened probabilities (cxr_loss_soften) of the n images that `pixels` holds;
 * lent until the next call. */
CXR_MUST_CHECK cxr_status cxr_teachers_ask(cxr_teachers *t, const cxr_tensor *pixels, int n, const float **soft,
                                           cxr_error *err);
/* Accepts NULL and *t == NULL. */
void cxr_teachers_close(cxr_teachers **t);
#endif
