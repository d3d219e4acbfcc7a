#include "eval/benefit.h"
#include "eval/points.h"

void cxr_benefit_measure(cxr_benefit *rows, const cxr_predictions *p, int positive)
{
    for (int k = 0; k < CXR_BENEFIT_ROWS; k++) {
        const double threshold = (double)(k + 1) / 100.0, odds = threshold / (1.0 - threshold), n = (double)p->n;
        const cxr_counts c = cxr_count_at(p, positive, threshold);
        rows[k] = (cxr_benefit){threshold, ((double)c.tp - (double)c.fp * odds) / n,
                                ((double)(c.tp + c.fn) - (double)(c.fp + c.tn) * odds) / n};
    }
}
