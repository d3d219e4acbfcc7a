#include "base/rng.h"
#include <math.h>

double cxr_rng_normal(uint64_t key, uint64_t i)
{
    const double u = ((double)(cxr_rng_u64(key, 2 * i) >> 11) + 1.0) * 0x1p-53; /* (0, 1]: log is finite */
    const double v = (double)(cxr_rng_u64(key, 2 * i + 1) >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void cxr_rng_permutation(uint64_t key, uint32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) out[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t j = cxr_rng_below(key, i, i);
        const uint32_t swap = out[i - 1];
        out[i - 1] = out[j];
        out[j] = swap;
    }
}
