/* What cxr_bench() measures: one configuration, opened, timed once a round, closed. A piece of work fills the stages it has:
 * a training step's parts are timed in one go, because each needs the one before. */
#ifndef CXR_BENCH_WORK_H
#define CXR_BENCH_WORK_H
#include "backend/backend.h"
#include "backend/onednn.h"
#include "base/file.h"
#include "data/image.h"
#include "model/model.h"
#include "train/optim.h"

/* What everything is fed from: encoded images in memory. */
typedef struct cxr_pictures {
    cxr_buf *files;
    const char *const *names; /* lent; NULL: phantoms */
    size_t count;
} cxr_pictures;
CXR_MUST_CHECK cxr_status cxr_pictures_open(cxr_pictures *p, const char *const *paths, size_t count, cxr_error *err);
/* As the network of preprocessing `target` reads it. */
CXR_MUST_CHECK cxr_status cxr_picture_decode(cxr_image *out, const cxr_pictures *p, size_t index, const cxr_preprocess *target,
                                             cxr_error *err);
void cxr_pictures_close(cxr_pictures *p);

typedef enum cxr_work_kind {
    CXR_WORK_DECODE,
    CXR_WORK_TRANSFORM,
    CXR_WORK_FORWARD,
    CXR_WORK_FROZEN,
    CXR_WORK_TRAIN
} cxr_work_kind;

typedef struct cxr_work_for {
    cxr_work_kind kind;
    cxr_precision precision;
    int size, batch, threads;
    const cxr_bench_opts *opts; /* lent, like the rest */
    const cxr_pictures *pictures;
    cxr_model *model; /* of that size; training steps move its parameters a little */
    int cut;
    const cxr_hooks *hooks;
} cxr_work_for;

typedef struct cxr_work {
    cxr_work_for what;
    cxr_image *images; /* to transform: every picture decoded */
    const cxr_backend *backend;
    cxr_program *frozen, *program;
    cxr_tensor *input, *dout;
    cxr_optim optim;
    float *grads, *logp, *dlogp;
    uint8_t *pixels;
    int *labels;
    uint64_t steps;
    cxr_conv_limit *limit; /* NULL: no convolutions, or not asked for */
} cxr_work;

/* Seconds for one batch, by stage; NaN where it has none. */
typedef struct cxr_times {
    double stage[CXR_STAGES], limit[CXR_STAGES];
} cxr_times;

CXR_MUST_CHECK cxr_status cxr_work_open(cxr_work *w, const cxr_work_for *what, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_work_round(cxr_work *w, cxr_times *t, cxr_error *err);
size_t cxr_work_bytes(const cxr_work *w);
void cxr_work_close(cxr_work *w); /* safe on a zeroed one */

/* Decoding the pictures, or transforming `images` where there are, on that many threads: seconds for `batch` of them. */
CXR_MUST_CHECK cxr_status cxr_pictures_time(const cxr_work_for *what, const cxr_image *images, double *seconds, cxr_error *err);
#endif
