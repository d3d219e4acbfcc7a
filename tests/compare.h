/* Comparisons that fail on NaN. */
#ifndef CXR_TESTS_COMPARE_H
#define CXR_TESTS_COMPARE_H
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* Asks "is it good?": `fabs(got - ref) > tolerance` would let NaN through. */
static inline bool cxr_close(double got, double ref, double atol, double rtol)
{
    return isfinite(got) && isfinite(ref) && fabs(got - ref) <= atol + rtol * fabs(ref);
}

/* The difference as a share of the reference, both in L2. Not a number where anything is, and against zeros. */
static inline double cxr_share(const float *got, const float *ref, size_t count)
{
    double difference = 0.0, size = 0.0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)got[i] - (double)ref[i]) * ((double)got[i] - (double)ref[i]);
        size += (double)ref[i] * (double)ref[i];
    }
    return sqrt(difference / size);
}

/* The worst element of two arrays. */
typedef struct cxr_gap {
    double gap; /* |got - ref| / (|ref| + rms(ref)), infinite when either is NaN or infinite */
    size_t at;
    double got, ref;
} cxr_gap;

/* Relative to the element and to the array's root mean square: sums cancel, and an element near zero has the rounding error of
 * its neighbours. Two arrays of zeros have gap 0; anything against zeros is an infinite gap, and so is comparing nothing. */
static inline cxr_gap cxr_gap_of(const float *got, const float *ref, size_t count)
{
    cxr_gap worst = {.gap = count > 0 ? -1.0 : (double)INFINITY};
    double squares = 0.0;
    for (size_t i = 0; i < count; i++) squares += (double)ref[i] * (double)ref[i];
    const double rms = count > 0 ? sqrt(squares / (double)count) : 0.0;
    for (size_t i = 0; i < count; i++) {
        const double g = (double)got[i], r = (double)ref[i], d = fabs(g - r);
        double gap = isfinite(g) && isfinite(r) ? d / (fabs(r) + rms) : (double)INFINITY;
        if (d == 0.0) gap = 0.0;
        if (gap > worst.gap) worst = (cxr_gap){gap, i, g, r};
    }
    return worst;
}
#endif
