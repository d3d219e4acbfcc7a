/* Negative log-likelihood over log-probabilities, equal to torch.nn.NLLLoss and, with smoothing, to
 * torch.nn.CrossEntropyLoss(weight, label_smoothing) after log_softmax (mean reduction). */
#ifndef CXR_TRAIN_LOSS_H
#define CXR_TRAIN_LOSS_H
#include "cxr/cxr.h"

typedef struct cxr_loss {
    int classes;
    const float *weights; /* per class, or NULL: all 1; lent */
    float smoothing;      /* 0: none */
} cxr_loss;

/* logp: (n, classes); labels: n class indices. Returns the mean loss; dlogp (may be NULL) receives d loss / d logp. */
double cxr_loss_nll(const cxr_loss *loss, const float *logp, const int *labels, int n, float *dlogp);
/* share times the loss with `labels` and 1 - share times that with `others` (Zhang et al. 2018). */
double cxr_loss_mixed(const cxr_loss *loss, const float *logp, const int *labels, const int *others, double share, int n,
                      float *dlogp);
#endif
