/* Random numbers as pure functions of a key: no state, so the same run for any number of threads and after any resume.
 * mix64 is the finaliser of SplitMix64 (Steele, Lea, Flood 2014, fig. 15). tools/golden/keyed_rng.py mirrors this file. */
#ifndef CXR_BASE_RNG_H
#define CXR_BASE_RNG_H
#include "cxr/cxr.h"

/* What a number is drawn for; part of the key, so that two purposes never share numbers. Values are part of the format of
 * reproducible runs: append, never renumber. */
typedef enum cxr_purpose {
    CXR_FOR_ORDER = 1,   /* shuffling of an epoch's samples */
    CXR_FOR_AUGMENT = 2, /* transforms of one sample */
    CXR_FOR_DROPOUT = 3,
    CXR_FOR_INIT = 4, /* initial parameters */
    CXR_FOR_SPLIT = 5,
    CXR_FOR_PHANTOM = 6,
    CXR_FOR_TEST = 7, /* fixtures */
    CXR_FOR_CALIBRATION = 8,
    CXR_FOR_MIX = 9,       /* mixing of a batch's images */
    CXR_FOR_THINNING = 10, /* which training images are used */
    CXR_FOR_PERTURBATION = 11,
    CXR_FOR_SEARCH = 12,    /* settings of a trial */
    CXR_FOR_BOOTSTRAP = 13, /* which patients a draw holds */
    CXR_FOR_SCOPE = 14
} cxr_purpose;

static inline uint64_t cxr_mix64(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline uint64_t cxr_rng_key(uint64_t seed, cxr_purpose purpose, uint64_t epoch, uint64_t index)
{
    return cxr_mix64(cxr_mix64(cxr_mix64(cxr_mix64(seed) ^ (uint64_t)purpose) ^ epoch) ^ index);
}

/* A name as a number (FNV-1a), so that what is drawn for it does not depend on its place in a list. */
static inline uint64_t cxr_rng_name(const char *name)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name != '\0'; name++) h = (h ^ (uint8_t)*name) * 0x100000001B3u;
    return h;
}

/* The i-th 64-bit number of a key. */
static inline uint64_t cxr_rng_u64(uint64_t key, uint64_t i)
{
    return cxr_mix64(key ^ cxr_mix64(i));
}

/* The i-th number of a key in [0, 1): 24 bits, exact in float. */
static inline float cxr_rng_uniform(uint64_t key, uint64_t i)
{
    return (float)(cxr_rng_u64(key, i) >> 40) * 0x1p-24f;
}

/* The i-th number of a key in [0, n), n > 0: the high half of a 64 x 32 bit product, with a bias below 2^-32 and never a loop. */
static inline uint32_t cxr_rng_below(uint64_t key, uint64_t i, uint32_t n)
{
    return (uint32_t)(((cxr_rng_u64(key, i) >> 32) * n) >> 32);
}

/* The i-th standard normal number of a key (Box-Muller, first of the pair). */
double cxr_rng_normal(uint64_t key, uint64_t i);

/* Fills out[0..n) with a permutation of 0..n-1 (Fisher-Yates). */
void cxr_rng_permutation(uint64_t key, uint32_t *out, uint32_t n);
#endif
