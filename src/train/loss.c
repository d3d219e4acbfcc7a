#include "train/loss.h"
#include <math.h>
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

/* The logarithm of the sum that divides exp(logp / temperature). */
static double log_total(const cxr_loss *loss, const float *logp)
{
    const double temperature = (double)loss->temperature;
    double most = -INFINITY, sum = 0.0;
    for (int c = 0; c < loss->classes; c++) most = fmax(most, (double)logp[c] / temperature);
    for (int c = 0; c < loss->classes; c++) sum += exp((double)logp[c] / temperature - most);
    return most + log(sum);
}

void cxr_loss_soften(const cxr_loss *loss, const float *logp, int n, double share, float *soft)
{
    for (int i = 0; i < n; i++, logp += loss->classes, soft += loss->classes) {
        const double total = log_total(loss, logp);
        for (int c = 0; c < loss->classes; c++)
            soft[c] += (float)(share * exp((double)logp[c] / (double)loss->temperature - total));
    }
}

double cxr_loss_distilled(const cxr_loss *loss, double hard, const float *logp, const float *soft, int n, float *dlogp)
{
    const double share = (double)loss->distil, temperature = (double)loss->temperature;
    double divergence = 0.0;
    for (int i = 0; i < n; i++, logp += loss->classes, soft += loss->classes) {
        const double total = log_total(loss, logp);
        for (int c = 0; c < loss->classes; c++) {
            const double want = (double)soft[c], log_got = (double)logp[c] / temperature - total;
            if (want > 0.0) divergence += want * (log(want) - log_got);
            if (dlogp == NULL) continue;
            const double slope = temperature * (exp(log_got) - want) / n;
            *dlogp = (float)((1.0 - share) * (double)*dlogp + share * slope);
            dlogp++;
        }
    }
    return (1.0 - share) * hard + share * temperature * temperature * divergence / n;
}
