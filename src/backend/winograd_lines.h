/* The one-dimensional transforms of F(4, 3) on the points 0, a, -a, b, -b and infinity, over vectors of 16 channels, and their
 * square: each applied to rows, then to columns. a and b are those of oneDNN: they lose a digit less than the usual 1 and 2. */
#ifndef CXR_BACKEND_WINOGRAD_LINES_H
#define CXR_BACKEND_WINOGRAD_LINES_H
#include <immintrin.h>

#define WIDE   __attribute__((target("avx512f")))
#define INLINE WIDE static inline __attribute__((always_inline))

#define A    0.625f
#define B    1.5f
#define A2   (A * A)
#define B2   (B * B)
#define N0   (1.0f / (A2 * B2)) /* one over the product of a point's distances to the others */
#define NA   (1.0f / (2.0f * A2 * (A2 - B2)))
#define NB   (1.0f / (2.0f * B2 * (B2 - A2)))
#define K(x) _mm512_set1_ps(x)

#define ADD(x, y)     _mm512_add_ps(x, y)
#define SUB(x, y)     _mm512_sub_ps(x, y)
#define MUL(x, y)     _mm512_mul_ps(x, y)
#define FMA(x, y, z)  _mm512_fmadd_ps(x, y, z)  /* x * y + z */
#define FNMA(x, y, z) _mm512_fnmadd_ps(x, y, z) /* z - x * y */

/* Each reads a row or column of values and writes one. */

/* 6 inputs to 6. */
INLINE void input_line(const __m512 *d, __m512 *to)
{
    const __m512 ae = FNMA(K(B2), d[2], d[4]), ao = FNMA(K(B2), d[1], d[3]);
    const __m512 be = FNMA(K(A2), d[2], d[4]), bo = FNMA(K(A2), d[1], d[3]);
    to[0] = FMA(K(A2 * B2), d[0], FNMA(K(A2 + B2), d[2], d[4]));
    to[1] = FMA(K(A), ao, ae);
    to[2] = FNMA(K(A), ao, ae);
    to[3] = FMA(K(B), bo, be);
    to[4] = FNMA(K(B), bo, be);
    to[5] = FMA(K(A2 * B2), d[1], FNMA(K(A2 + B2), d[3], d[5]));
}

/* 6 products to 4 outputs. */
INLINE void output_line(const __m512 *m, __m512 *to)
{
    const __m512 as = ADD(m[1], m[2]), ad = SUB(m[1], m[2]);
    const __m512 bs = ADD(m[3], m[4]), bd = SUB(m[3], m[4]);
    to[0] = ADD(m[0], ADD(as, bs));
    to[1] = FMA(K(A), ad, MUL(K(B), bd));
    to[2] = FMA(K(A2), as, MUL(K(B2), bs));
    to[3] = FMA(K(A * A2), ad, FMA(K(B * B2), bd, m[5]));
}

/* 4 gradients of outputs to 6: output_line() transposed. */
INLINE void gradient_line(const __m512 *g, __m512 *to)
{
    const __m512 ae = FMA(K(A2), g[2], g[0]), ao = FMA(K(A * A2), g[3], MUL(K(A), g[1]));
    const __m512 be = FMA(K(B2), g[2], g[0]), bo = FMA(K(B * B2), g[3], MUL(K(B), g[1]));
    to[0] = g[0];
    to[1] = ADD(ae, ao);
    to[2] = SUB(ae, ao);
    to[3] = ADD(be, bo);
    to[4] = SUB(be, bo);
    to[5] = g[3];
}

/* 3 weights to 6. */
INLINE void weight_line(const __m512 *w, __m512 *to)
{
    const __m512 ae = MUL(K(NA), FMA(K(A2), w[2], w[0])), ao = MUL(K(NA * A), w[1]);
    const __m512 be = MUL(K(NB), FMA(K(B2), w[2], w[0])), bo = MUL(K(NB * B), w[1]);
    to[0] = MUL(K(N0), w[0]);
    to[1] = ADD(ae, ao);
    to[2] = SUB(ae, ao);
    to[3] = ADD(be, bo);
    to[4] = SUB(be, bo);
    to[5] = w[2];
}

/* 6 sums to the gradients of 3 weights: weight_line() transposed. */
INLINE void weight_gradient_line(const __m512 *m, __m512 *to)
{
    const __m512 as = MUL(K(NA), ADD(m[1], m[2])), ad = MUL(K(NA), SUB(m[1], m[2]));
    const __m512 bs = MUL(K(NB), ADD(m[3], m[4])), bd = MUL(K(NB), SUB(m[3], m[4]));
    to[0] = FMA(K(N0), m[0], ADD(as, bs));
    to[1] = FMA(K(A), ad, MUL(K(B), bd));
    to[2] = FMA(K(A2), as, FMA(K(B2), bs, m[5]));
}
#endif
