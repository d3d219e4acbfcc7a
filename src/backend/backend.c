#include "backend/backend.h"
#include "base/rng.h"

bool cxr_dropout_keep(uint64_t key, int node, uint64_t element, float rate)
{
    return cxr_rng_uniform(cxr_rng_key(key, CXR_FOR_DROPOUT, 0, (uint64_t)node), element) >= rate;
}

int cxr_span_input(const cxr_graph *g, int first, int last)
{
    int input = -1;
    for (int i = first; i <= last; i++) {
        for (int k = 0; k < 2; k++) {
            const int x = g->nodes[i].in[k];
            if (x < 0 || x >= first || x == input) continue;
            if (input >= 0) return -1;
            input = x;
        }
    }
    return input;
}
