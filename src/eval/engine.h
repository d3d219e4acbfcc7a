/* A model ready to answer: its programs, and pixels in, probabilities and features out. Who has images as files goes through
 * eval/pass.h. One thread at a time; engines of one model are independent, and each holds the weights in its kernels' layouts. */
#ifndef CXR_EVAL_ENGINE_H
#define CXR_EVAL_ENGINE_H
#include "backend/backend.h"
#include "model/model.h"

/* The programs of one member of a model: the whole network, or, where features are wanted, backbone and head. */
typedef struct cxr_member {
    cxr_program *first, *head; /* head NULL: not wanted, or within first */
    size_t width;              /* of its features */
} cxr_member;

typedef struct cxr_engine_opts {
    bool probabilities, features; /* what is wanted */
    int images, views;            /* at most at once; inputs of each image, one after another */
    int threads;                  /* 1 or more */
} cxr_engine_opts;

typedef struct cxr_engine {
    const cxr_model *model;
    cxr_engine_opts o;
    const cxr_backend *backend;
    cxr_member *members;
    int count; /* of members */
    cxr_tensor *input;
    float *own, *probabilities; /* (images, views, classes): a member's, and the members' mean */
    float *pooled, *features;   /* (images, views, width): a member's; (images, width): of first views */
    size_t width;               /* of all members' features */
} cxr_engine;

/* The model is lent until close. Of run its batch size and threads are not looked at. To be closed also after a failure. */
CXR_MUST_CHECK cxr_status cxr_engine_open(cxr_engine *e, const cxr_model *m, const cxr_engine_opts *o, const cxr_run_opts *run,
                                          cxr_error *err);
/* pixels: (images, views, side, side). Fills probabilities and features, as they are wanted. What it gives of an image depends on
 * o.images, never on how many others come with it, as long as all fit in 64 views. */
CXR_MUST_CHECK cxr_status cxr_engine_run(cxr_engine *e, int images, const uint8_t *pixels, cxr_error *err);
/* CXR_EDATA unless all numbers of image `index` of the last run are finite. */
CXR_MUST_CHECK cxr_status cxr_engine_check(const cxr_engine *e, int index, cxr_error *err);
void cxr_engine_close(cxr_engine *e); /* zeroes it; safe on zeros */
#endif
