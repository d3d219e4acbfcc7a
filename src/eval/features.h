/* What a model's backbone says of images: the vector behind its global average pool, before the head, of cxr_feature_width()
 * numbers. */
#ifndef CXR_EVAL_FEATURES_H
#define CXR_EVAL_FEATURES_H
#include "eval/predict.h"
#include "model/model.h"

/* The features of a list of images. */
typedef struct cxr_features {
    size_t count, width;
    float *values; /* (count, width): row i is path i's, zeros where that could not be read */
    bool *read;    /* count */
} cxr_features;

/* `tta` is ignored. CXR_EUSAGE for several models joined. An unreadable image is told to the log as a warning, or without `skip` stops. Free with
 * cxr_features_free also after a failure. */
CXR_MUST_CHECK cxr_status cxr_features_of(cxr_features *out, const cxr_model *m, const char *const *paths, size_t count,
                                          bool skip, const cxr_run_opts *o, const cxr_hooks *hooks, cxr_error *err);
void cxr_features_free(cxr_features *f);
#endif
