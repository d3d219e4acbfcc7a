#include "train/loss.h"

static double weight_of(const cxr_loss *loss, int c)
{
    return loss->weights == NULL ? 1.0 : (double)loss->weights[c];
}

double cxr_loss_nll(const cxr_loss *loss, const float *logp, const int *labels, int n, float *dlogp)
{
    double total_weight = 0.0, sum = 0.0;
    for (int i = 0; i < n; i++) total_weight += weight_of(loss, labels[i]);
    const double spread = (double)loss->smoothing / loss->classes;
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < loss->classes; c++) {
            const int at = i * loss->classes + c;
            const double target = spread + (c == labels[i] ? 1.0 - (double)loss->smoothing : 0.0);
            const double share = target * weight_of(loss, c) / total_weight;
            if (share != 0.0) sum -= share * (double)logp[at]; /* 0 x -infinity must stay 0 */
            if (dlogp != NULL) dlogp[at] = (float)-share;
        }
    }
    return sum;
}
