/* Negative log-likelihood over log-probabilities, equal to torch.nn.NLLLoss and, with smoothing, to
 * torch.nn.CrossEntropyLoss(weight, label_smoothing) after log_softmax (mean reduction). With teachers, also
 * torch.nn.KLDivLoss (batchmean) to what they say. */
#ifndef CXR_TRAIN_LOSS_H
#define CXR_TRAIN_LOSS_H
#include "cxr/cxr.h"

typedef struct cxr_loss {
    int classes;
    const float *weights; /* per class, or NULL: all 1; lent */
    float smoothing;      /* 0: none */
    float distil;         /* share of the comparison with teachers */
    float temperature;    /* of that comparison */
} cxr_loss;

/* logp: (n, classes); labels: n class indices. Returns the mean loss; dlogp (may be NULL) receives d loss / d logp. */
double cxr_loss_nll(const cxr_loss *loss, const float *logp, const int *labels, int n, float *dlogp);
/* share times the loss with `labels` and 1 - share times that with `others` (Zhang et al. 2018). */
double cxr_loss_mixed(const cxr_loss *loss, const float *logp, const int *labels, const int *others, double share, int n,
                      float *dlogp);
/* 1 - distil times `hard`, a loss whose gradient is in dlogp (may be NULL), and distil times temperature^2 times the mean over the
 * images of KL(soft || softmax(logp / temperature)) (Hinton, Vinyals, Dean 2015). soft: (n, classes), cxr_loss_soften's. */
double cxr_loss_distilled(const cxr_loss *loss, double hard, const float *logp, const float *soft, int n, float *dlogp);
/* Adds `share` times softmax(logp / temperature) to soft, both (n, classes). */
void cxr_loss_soften(const cxr_loss *loss, const float *logp, int n, double share, float *soft);
#endif
