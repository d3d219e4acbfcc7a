#include "train/loss.h"
#include <string.h>

static double weight_of(const cxr_loss *loss, int c)
{
    return loss->weights == NULL ? 1.0 : (double)loss->weights[c];
}

/* share times the mean loss; share times its gradient is added to dlogp. */
static double add_share(const cxr_loss *loss, const float *logp, const int *labels, int n, double share, float *dlogp)
{
    double total_weight = 0.0, sum = 0.0;
    for (int i = 0; i < n; i++) total_weight += weight_of(loss, labels[i]);
    const double spread = (double)loss->smoothing / loss->classes;
    for (int i = 0; i < n; i++) {
        for (int c = 0; c < loss->classes; c++) {
            const int at = i * loss->classes + c;
            const double target = spread + (c == labels[i] ? 1.0 - (double)loss->smoothing : 0.0);
            const double weight = share * (target * weight_of(loss, c) / total_weight);
            if (weight != 0.0) sum -= weight * (double)logp[at]; /* 0 x -infinity must stay 0 */
            if (dlogp != NULL) dlogp[at] -= (float)weight;
        }
    }
    return sum;
}

static void clear(const cxr_loss *loss, int n, float *dlogp)
{
    if (dlogp != NULL) memset(dlogp, 0, (size_t)n * (size_t)loss->classes * sizeof *dlogp);
}

double cxr_loss_nll(const cxr_loss *loss, const float *logp, const int *labels, int n, float *dlogp)
{
    clear(loss, n, dlogp);
    return add_share(loss, logp, labels, n, 1.0, dlogp);
}

double cxr_loss_mixed(const cxr_loss *loss, const float *logp, const int *labels, const int *others, double share, int n,
                      float *dlogp)
{
    clear(loss, n, dlogp);
    return add_share(loss, logp, labels, n, share, dlogp) + add_share(loss, logp, others, n, 1.0 - share, dlogp);
}
