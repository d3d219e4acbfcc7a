/* Adam (Kingma, Ba 2015), AdamW (Loshchilov, Hutter 2019) and SGD with momentum, with PyTorch's update rules, over the
 * learnable parameters right of the cut. Element-wise on the canonical f32 arrays. The cut may move left during a run; as in
 * PyTorch a parameter's moments start from zero, and Adam's correction of their bias counts its own steps. */
#ifndef CXR_TRAIN_OPTIM_H
#define CXR_TRAIN_OPTIM_H
#include "graph/graph.h"

typedef struct cxr_optim {
    cxr_optimizer kind;
    float momentum;         /* SGD */
    float weight_decay;     /* added to the gradient (Adam, SGD), or decoupled (AdamW; not of norms and biases) */
    const cxr_graph *graph; /* lent */
    /* What is ever trained: parameters, and their floats [all_first, all_first + all_count) of the canonical arrays. */
    int all_param;
    size_t all_first, all_count;
    double *shares;      /* of the learning rate, by parameter from all_param on: layer decay, by stages from the head */
    uint64_t *since;     /* likewise: steps that were taken before its own first */
    float *m, *v;        /* all_count each: first and second moments; SGD keeps its velocity in m and has no v */
    int first_param;     /* parameters from here on are trained now */
    size_t first, count; /* their floats */
    uint64_t steps;
} cxr_optim;

/* Trains the parameters of nodes after `cut`, all of them from the first step on. */
CXR_MUST_CHECK cxr_status cxr_optim_open(cxr_optim *o, const cxr_graph *g, int cut, const cxr_train_opts *opts, cxr_error *err);
/* From now on trains those after `cut` alone, which is not before the cut it was opened with. What was not trained until now has
 * its first step after `since` others. */
void cxr_optim_cut(cxr_optim *o, int cut, uint64_t since);
void cxr_optim_close(cxr_optim *o);
/* One update of `params` from `grads`, both whole canonical arrays. */
void cxr_optim_step(cxr_optim *o, float *params, const float *grads, double lr);
/* The trained range of `mean` moves towards that of `params` by that share of the way, running statistics included; all the way
 * it is a copy. */
void cxr_optim_average(const cxr_optim *o, float *mean, const float *params, double share);
/* The share of a moving average over steps: 1 - `decay`, or 9 / (10 + t) after t steps as long as that is more, so that an early
 * average is not the start. */
double cxr_ema_share(double decay, uint64_t steps);
/* The share of the equal average of the ends of the `last` last epochs (Izmailov et al. 2018, torch.optim.swa_utils), at the end
 * of `epoch` (from 1) of `epochs`: all before them. */
double cxr_swa_share(int epoch, int epochs, int last);
/* Scales the trained gradients so that their L2 norm is at most max_norm (torch.nn.utils.clip_grad_norm_); 0: only measures.
 * Returns the norm before. */
double cxr_optim_clip(const cxr_optim *o, float *grads, double max_norm);

/* The learning rate of step t (from 0) out of `steps`: constant; cosine to zero (CosineAnnealingLR stepped per batch);
 * one-cycle (Smith, Topin 2019; OneCycleLR with its defaults: 30 % rise from peak / 25, fall to peak / 250,000, cosine). */
double cxr_schedule_lr(cxr_schedule kind, double peak, uint64_t t, uint64_t steps);
#endif
