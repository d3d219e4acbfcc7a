/* When to say nothing: whether an image is one that a model can answer about, by a look at the picture and by the distance of its
 * features from those of the training images. */
#ifndef CXR_EVAL_JUDGE_H
#define CXR_EVAL_JUDGE_H
#include "data/look.h"
#include "model/model.h"

/* What is wrong with an image, the first that holds. */
typedef enum cxr_oddity {
    CXR_ODD_NOTHING,
    CXR_ODD_BLANK,    /* next to one grey                                                       */
    CXR_ODD_COLOUR,   /* a colour picture                                                       */
    CXR_ODD_PAGE,     /* a page: most of it is paper                                            */
    CXR_ODD_ASPECT,   /* long and narrow                                                        */
    CXR_ODD_TURNED,   /* more like the mean picture after a quarter turn, either way            */
    CXR_ODD_OVER,     /* after half a turn                                                      */
    CXR_ODD_INVERTED, /* a negative: dark where the mean picture is bright                      */
    CXR_ODD_FEATURES  /* far from the training images to the network                            */
} cxr_oddity;

/* A picture beside the mean one: likeness as it is, and how much more it is after a quarter and half a turn; -2 where it is little
 * like it even then, below 0.4: that is no radiograph turned. */
typedef struct cxr_pose {
    double upright, turned, over;
} cxr_pose;
cxr_pose cxr_pose_of(const cxr_look *look, const uint8_t picture[CXR_LOOK_PIXELS]);

/* Looks alone: any of the first four, or with a mean picture of the first seven. */
cxr_oddity cxr_look_oddity(const cxr_look *look, const cxr_bounds *bounds, const uint8_t *picture);
/* Squared Mahalanobis distance. A covariance U diag(v) U' + r (I - U U') has the inverse U diag(1/v) U' + (I - U U') / r, so with
 * d = x - mean and z = U'd it is sum(z^2 / v) + (d'd - z'z) / r. */
double cxr_scope_distance(const cxr_scope *s, const float *features);

typedef struct cxr_judgement {
    cxr_oddity oddity;
    double novelty; /* distance as a share of the limit, a mean over the members that have a scope; NaN: none has */
    char text[160]; /* why, when oddity is not CXR_ODD_NOTHING; a sentence without its stop */
} cxr_judgement;

/* Whether a member has a scope, so that features are asked for. */
bool cxr_has_scope(const cxr_model *m);

/* Of models joined the first that has a scope judges the picture. One without looks at the first four by default bounds.
 * features: of each member in turn; unused, and may be NULL, where no member has a scope. */
void cxr_judge(cxr_judgement *out, const cxr_model *m, const cxr_look *look, const float *features);
#endif
