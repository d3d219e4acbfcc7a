/* What images a model can answer about: a description of those that it was trained on, fitted when training ends (eval/scope_fit.h),
 * kept in the model file as the metadata cxr.scope, and asked at prediction (eval/judge.h). */
#ifndef CXR_MODEL_SCOPE_H
#define CXR_MODEL_SCOPE_H
#include "cxr/cxr.h"
#include <jansson.h>

#define CXR_SCOPE_AXES    32  /* most that are kept */
#define CXR_SCOPE_PICTURE 256 /* pixels of the mean picture: CXR_LOOK_PIXELS */
#define CXR_SCOPE_WIDTH   65536
#define CXR_SCOPE_TEXT    ((size_t)256 << 10) /* most bytes of the metadata, whatever the width */

/* Where a picture stops looking like a radiograph; data/look.h measures. Fitting moves a bound away where validation images lie
 * beyond it. */
typedef struct cxr_bounds {
    double colour;   /* most                                                            default 4     */
    double aspect;   /* most                                                            default 4     */
    double contrast; /* least                                                           default 10    */
    double page;     /* most                                                            default 0.7   */
    double inverted; /* least likeness to the mean picture                              default -0.3  */
    double turned;   /* most that the picture is more like it after a quarter turn      default 0.2   */
    double over;     /* most that it is more like it after half a turn                  default 0.15  */
} cxr_bounds;
void cxr_bounds_default(cxr_bounds *b);

/* A Gaussian of the training images' features whose covariance is that of probabilistic PCA (Tipping and Bishop 1999): the largest
 * variances along their own axes, one variance along all others. */
typedef struct cxr_scope {
    int64_t images, held; /* training images that it describes; validation images that the limit comes from */
    cxr_bounds bounds;
    uint8_t picture[CXR_SCOPE_PICTURE]; /* the mean thumbnail */
    int width, axes;
    float *mean;     /* width */
    float *axis;     /* (axes, width), orthonormal */
    float *variance; /* axes, along each */
    float rest;      /* along every other direction */
    double limit;    /* largest squared Mahalanobis distance that is accepted */
} cxr_scope;

/* Zeros of that size. */
CXR_MUST_CHECK cxr_status cxr_scope_new(cxr_scope **out, int width, int axes, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_scope_copy(cxr_scope **out, const cxr_scope *from, cxr_error *err);
void cxr_scope_free(cxr_scope **s); /* accepts NULL and *s == NULL */

/* As JSON; NULL when memory is exhausted. */
json_t *cxr_scope_json(const cxr_scope *s);
/* From JSON. CXR_EDATA unless every number is there, of its kind and within its range. */
CXR_MUST_CHECK cxr_status cxr_scope_read(cxr_scope **out, const json_t *from, int width, cxr_error *err);
#endif
