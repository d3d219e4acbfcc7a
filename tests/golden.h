/* Golden fixtures: what the reference framework answered, written by tools/make_golden.py. A fixture is text: lines that begin
 * with '#' (versions, seed), then entries "name count" followed by count numbers. Inputs and weights are not stored: both sides
 * make them from the keyed generator (src/base/rng.h, tools/golden/keyed_rng.py). */
#ifndef CXR_TESTS_GOLDEN_H
#define CXR_TESTS_GOLDEN_H
#include "compare.h"
#include "graph/graph.h"

typedef struct cxr_golden cxr_golden;

/* NULL when the file is missing or malformed: exit with CXR_SKIP, which ctest counts. */
cxr_golden *cxr_golden_open(const char *path);
void cxr_golden_close(cxr_golden **g);
/* The numbers of an entry; NULL when there is none or it has another count. The name is a printf format. */
const float *cxr_golden_get(const cxr_golden *g, size_t count, const char *name, ...) CXR_PRINTF(3, 4);

#define CXR_SKIP 77

/* The key of input `index` of a case: cxr_rng_key(seed, CXR_FOR_TEST, 0, index). */
uint64_t cxr_keyed(uint64_t seed, uint64_t index);
/* out[i] = low + (high - low) * uniform. */
void cxr_keyed_fill(float *out, size_t count, uint64_t key, float low, float high);
/* Grey pixels 0..255. */
void cxr_keyed_pixels(uint8_t *out, size_t count, uint64_t key);
/* Every parameter, running statistics too, keyed by (seed, name), at scales that keep activations healthy:
 * weights uniform in +-sqrt(6 / fan in), biases in +-0.1, batch norm gamma in 0.5..1, beta and mean in +-0.2, var in 0.5..1.5. */
void cxr_keyed_params(const cxr_graph *g, float *params, uint64_t seed);

/* A large array in a few numbers: L2 norm, sum, dot product with a keyed direction (uniform in -1..1), 16 sampled entries;
 * direction and samples are keyed by (seed, name), apart from the parameters' own keys. */
#define CXR_SUMMARY 19
void cxr_summarize(const float *x, size_t count, uint64_t seed, const char *name, float summary[CXR_SUMMARY]);
/* The worst gap of two summaries of arrays of `count` elements, each number against itself and the array's size: norm for the
 * first three, root mean square for the samples. Values below `floor` are noise around an exact zero. */
cxr_gap cxr_summary_gap(const float *got, const float *ref, size_t count, double floor);
#endif
