/* The training loop. Left of the cut an INFER program runs, inside the feeds; right of it a TRAIN program; validation runs the
 * right part as an INFER program with the parameters of the moment. The cut and the size of the images may change between
 * epochs: what depends on them is made anew, parameters, moments and the learning rate's course go on. The state between two
 * steps is plain data, so that a checkpoint is a copy of it and a resumed run takes the same steps bit for bit. */
#ifndef CXR_TRAIN_TRAINER_H
#define CXR_TRAIN_TRAINER_H
#include "backend/backend.h"
#include "model/model.h"
#include "train/feed.h"
#include "train/loss.h"
#include "train/optim.h"
#include "train/phases.h"
#include "train/teachers.h"

/* What a run is at between two steps; with the model's parameters and the optimiser's moments it is the whole state. */
typedef struct cxr_train_state {
    int epoch;       /* epochs finished */
    uint64_t done;   /* images of the running epoch already used, read or skipped */
    double loss_sum; /* of the running epoch: batch losses times batch sizes */
    uint64_t seen;   /* images behind loss_sum */
    double seconds;  /* spent in the running epoch */
    int best_epoch;  /* of those at the model's size, from 1; 0: none yet */
    double best_val_loss, best_val_accuracy;
    cxr_epoch *history;                 /* `epoch` rows, room for all of them */
    uint64_t unfrozen[CXR_PHASES_MOST]; /* steps before each phase of freezing that has begun, */
    int unfrozen_count;                 /* so many of them */
} cxr_train_state;

typedef struct cxr_trainer {
    const cxr_train_opts *opts; /* lent, like the next three */
    const cxr_hooks *hooks;
    cxr_model *model; /* what validates and is saved */
    float *weights;   /* what the steps move: the model's parameters, or where the model is their average an array alike */
    const cxr_dataset *data;
    int threads;
    cxr_subset train, val;
    const cxr_backend *backend;
    cxr_phases freezes, sizes;
    /* What the phase of the moment decides; cxr_trainer_enter() makes it. */
    int freeze, size;          /* index of the phases */
    cxr_preprocess preprocess; /* the model's, of the phase's size */
    cxr_graph graph;           /* likewise */
    cxr_program *frozen, *trainable, *scorer;
    cxr_feed *train_feed, *val_feed;
    cxr_tensor *dout; /* gradient of the log-probabilities */
    cxr_optim optim;
    cxr_loss loss;          /* of training; validation is plain NLL */
    cxr_teachers *teachers; /* NULL: none */
    float *class_weights, *grads;
    float *logp, *dlogp; /* (max batch, classes) */
    cxr_train_state state;
    double waited; /* seconds of the running epoch spent waiting for images, validation included */
} cxr_trainer;

/* What the owner of the run does at these moments; a failure ends the run. */
typedef struct cxr_train_events {
    cxr_status (*checkpoint)(void *user, const cxr_trainer *t, cxr_error *err);       /* state may be anywhere in an epoch */
    cxr_status (*epoch)(void *user, const cxr_trainer *t, bool best, cxr_error *err); /* after validation */
    void *user;
} cxr_train_events;

/* The caller may then restore a checkpoint's state before running. */
CXR_MUST_CHECK cxr_status cxr_trainer_open(cxr_trainer **out, const cxr_train_opts *opts, cxr_model *model,
                                           const cxr_dataset *data, const cxr_hooks *hooks, cxr_error *err);
void cxr_trainer_close(cxr_trainer **t);
/* Compiles the programs and opens the feeds of the running epoch's phase, in place of those of another. The run does it where
 * it must; a caller does it before the run to learn what is refused. */
CXR_MUST_CHECK cxr_status cxr_trainer_enter(cxr_trainer *t, cxr_error *err);
/* Trains until the last epoch, an early stop (CXR_OK), a stop that was asked for (CXR_ESTOPPED, checkpoint saved) or a
 * failure. */
CXR_MUST_CHECK cxr_status cxr_trainer_run(cxr_trainer *t, const cxr_train_events *events, cxr_error *err);

/* One file with everything: the model, the optimiser's moments, the state. */
CXR_MUST_CHECK cxr_status cxr_checkpoint_write(const cxr_trainer *t, const char *path, cxr_error *err);
/* Opens the model that a checkpoint holds; *file stays open for cxr_checkpoint_restore. */
CXR_MUST_CHECK cxr_status cxr_checkpoint_open(cxr_weights *file, cxr_model **model, const char *path, cxr_error *err);
/* Only the rows of the epochs that it has behind it, at most `room`; *count receives how many. */
CXR_MUST_CHECK cxr_status cxr_checkpoint_history(const char *path, cxr_epoch *rows, int room, int *count, cxr_error *err);
/* Puts the moments and the state into a trainer opened on that model, before it enters a phase. */
CXR_MUST_CHECK cxr_status cxr_checkpoint_restore(cxr_trainer *t, const cxr_weights *file, const char *path, cxr_error *err);
#endif
