#include "inspect/picture.h"
#include <math.h>
#include <string.h>

cxr_status cxr_small_make(uint8_t *small, const cxr_image *img, cxr_error *err)
{
    cxr_image out;
    const cxr_status st = cxr_image_resize(&out, img, CXR_SMALL_SIDE, CXR_SMALL_SIDE, NULL, err);
    if (st == CXR_OK) memcpy(small, out.pixels, CXR_SMALL_PIXELS);
    cxr_image_free(&out);
    return st;
}

void cxr_tiny_make(float *tiny, const uint8_t *small)
{
    enum { LEVELS = 4 * 255 + 1 };
    int sum[CXR_TINY_PIXELS], count[LEVELS] = {0};
    float rank[LEVELS];
    for (int y = 0; y < CXR_TINY_SIDE; y++)
        for (int x = 0; x < CXR_TINY_SIDE; x++) {
            const uint8_t *p = small + 2 * y * CXR_SMALL_SIDE + 2 * x, *q = p + CXR_SMALL_SIDE;
            count[sum[y * CXR_TINY_SIDE + x] = p[0] + p[1] + q[0] + q[1]]++;
        }
    for (int level = 0, below = 0; level < LEVELS; below += count[level++])
        rank[level] = (float)(2 * below + count[level]) / CXR_TINY_PIXELS - 1.0f;
    for (int i = 0; i < CXR_TINY_PIXELS; i++) tiny[i] = rank[sum[i]];
}

/* ---- Fingerprint ---- */

/* Places of the lowest frequencies along the anti-diagonals; all are below this. */
#define LOWEST 12

static void cosines(float c[LOWEST][CXR_TINY_SIDE])
{
    for (int u = 0; u < LOWEST; u++)
        for (int x = 0; x < CXR_TINY_SIDE; x++)
            c[u][x] = (float)cos((2 * x + 1) * u * 3.14159265358979323846 / (2 * CXR_TINY_SIDE));
}

void cxr_frequencies(float frequencies[CXR_HASH_BITS], const float *tiny)
{
    float c[LOWEST][CXR_TINY_SIDE], rows[CXR_TINY_SIDE][LOWEST];
    cosines(c);
    for (int y = 0; y < CXR_TINY_SIDE; y++)
        for (int u = 0; u < LOWEST; u++) {
            float sum = 0.0f;
            for (int x = 0; x < CXR_TINY_SIDE; x++) sum += c[u][x] * tiny[y * CXR_TINY_SIDE + x];
            rows[y][u] = sum;
        }
    for (int i = 0, diagonal = 1; i < CXR_HASH_BITS; diagonal++)
        for (int v = 0; v <= diagonal && i < CXR_HASH_BITS; v++, i++) {
            float sum = 0.0f;
            for (int y = 0; y < CXR_TINY_SIDE; y++) sum += c[v][y] * rows[y][diagonal - v];
            frequencies[i] = sum;
        }
}

uint64_t cxr_fingerprint(const float frequencies[CXR_HASH_BITS], const float middle[CXR_HASH_BITS])
{
    uint64_t bits = 0;
    for (int i = 0; i < CXR_HASH_BITS; i++) bits |= (uint64_t)(frequencies[i] > middle[i]) << i;
    return bits;
}

/* ---- Alignment ---- */

#define BLUR        6 /* pixels on either side; three standard deviations */
#define MOST_STEPS  8
#define ENOUGH      0.75f /* of the coarse pictures' likeness, for a look at the fine ones */
#define LEAST_SHARE 0.5f  /* of the pixels that must overlap */

/* Detail of a picture of `side` pixels; at the edges the blur is of what there is. */
typedef struct relief {
    int side;
    float at[CXR_SMALL_PIXELS];
} relief;

/* One direction of the blur: pixels `step` apart, in lines `jump` apart. */
static void blur(float *out, const float *in, int side, int step, int jump)
{
    float weight[BLUR + 1];
    for (int k = 0; k <= BLUR; k++) weight[k] = expf(-(float)(k * k) / 8.0f);
    for (int line = 0; line < side; line++)
        for (int i = 0; i < side; i++) {
            float sum = 0.0f, total = 0.0f;
            for (int k = i < BLUR ? -i : -BLUR; k <= BLUR && i + k < side; k++) {
                const float w = weight[k < 0 ? -k : k];
                sum += w * in[line * jump + (i + k) * step];
                total += w;
            }
            out[line * jump + i * step] = sum / total;
        }
}

static void sharpen(relief *r)
{
    float once[CXR_SMALL_PIXELS], twice[CXR_SMALL_PIXELS];
    blur(once, r->at, r->side, 1, r->side);
    blur(twice, once, r->side, r->side, 1);
    for (int i = 0; i < r->side * r->side; i++) r->at[i] -= twice[i];
}

static void fine_relief(relief *r, const uint8_t *small)
{
    r->side = CXR_SMALL_SIDE;
    for (int i = 0; i < CXR_SMALL_PIXELS; i++) r->at[i] = small[i];
    sharpen(r);
}

static void coarse_relief(relief *r, const float *tiny)
{
    r->side = CXR_TINY_SIDE;
    memcpy(r->at, tiny, CXR_TINY_PIXELS * sizeof *tiny);
    sharpen(r);
}

static void coarsest_relief(relief *r, const float *tiny)
{
    r->side = CXR_TINY_SIDE / 2;
    for (int i = 0; i < r->side * r->side; i++) {
        const float *p = tiny + 2 * (i / r->side) * CXR_TINY_SIDE + 2 * (i % r->side), *q = p + CXR_TINY_SIDE;
        r->at[i] = p[0] + p[1] + q[0] + q[1];
    }
    sharpen(r);
}

/* Where a pixel of the one lies in the other, both from -1 to 1: x' = p0 x + p1 y + p2, y' = p3 x + p4 y + p5. */
typedef struct affine {
    float p[6];
} affine;

/* The picture under the map at each pixel of another, with its slopes along both axes (per unit, not per pixel). */
typedef struct warped {
    int count;
    float value[CXR_SMALL_PIXELS], dx[CXR_SMALL_PIXELS], dy[CXR_SMALL_PIXELS];
    uint16_t pixel[CXR_SMALL_PIXELS];
} warped;

static void warp(warped *w, const relief *r, const affine *a)
{
    const int side = r->side;
    const float half = (float)side / 2.0f;
    w->count = 0;
    for (int i = 0; i < side * side; i++) {
        const float x = ((float)(i % side) + 0.5f) / half - 1.0f, y = ((float)(i / side) + 0.5f) / half - 1.0f;
        const float u = (a->p[0] * x + a->p[1] * y + a->p[2] + 1.0f) * half - 0.5f;
        const float v = (a->p[3] * x + a->p[4] * y + a->p[5] + 1.0f) * half - 0.5f;
        if (!(u >= 0.0f && v >= 0.0f && u < (float)(side - 1) && v < (float)(side - 1))) continue;
        const int left = (int)u, top = (int)v;
        const float s = u - (float)left, t = v - (float)top;
        const float *p = r->at + top * side + left, *q = p + side;
        w->value[w->count] = (1 - t) * ((1 - s) * p[0] + s * p[1]) + t * ((1 - s) * q[0] + s * q[1]);
        w->dx[w->count] = half * ((1 - t) * (p[1] - p[0]) + t * (q[1] - q[0]));
        w->dy[w->count] = half * ((1 - s) * (q[0] - p[0]) + s * (q[1] - p[1]));
        w->pixel[w->count++] = (uint16_t)i;
    }
}

/* Of the pixels where both are: means, deviations, correlation. */
typedef struct match {
    float mean[2], deviation[2], correlation;
} match;

static match compare(const warped *w, const relief *to)
{
    double a = 0, b = 0, aa = 0, bb = 0, ab = 0;
    const double n = w->count;
    for (int i = 0; i < w->count; i++) {
        const double x = (double)w->value[i], y = (double)to->at[w->pixel[i]];
        a += x, b += y, aa += x * x, bb += y * y, ab += x * y;
    }
    match m = {0};
    if (n < (double)LEAST_SHARE * to->side * to->side) return m;
    const double va = aa / n - a / n * (a / n), vb = bb / n - b / n * (b / n);
    if (!(va > 1e-12 && vb > 1e-12)) return m;
    m.mean[0] = (float)(a / n), m.mean[1] = (float)(b / n);
    m.deviation[0] = (float)sqrt(va), m.deviation[1] = (float)sqrt(vb);
    m.correlation = (float)((ab / n - a / n * (b / n)) / sqrt(va * vb));
    return m;
}

/* Solves the 6 x 6 system in place (Cholesky); false when it is not positive definite. */
static bool solve(double h[6][6], double g[6])
{
    for (int i = 0; i < 6; i++)
        for (int j = 0; j <= i; j++) {
            double sum = h[i][j];
            for (int k = 0; k < j; k++) sum -= h[i][k] * h[j][k];
            if (i == j && !(sum > 0.0)) return false;
            h[i][j] = i == j ? sqrt(sum) : sum / h[j][j];
        }
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < i; k++) g[i] -= h[i][k] * g[k];
        g[i] /= h[i][i];
    }
    for (int i = 5; i >= 0; i--) {
        for (int k = i + 1; k < 6; k++) g[i] -= h[k][i] * g[k];
        g[i] /= h[i][i];
    }
    return true;
}

#define LANES 8 /* sums side by side: one alone waits for each addition */

static double dot(const float *a, const float *b, int n)
{
    float lane[LANES] = {0.0f};
    double sum = 0.0;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] += a[i + k] * b[i + k];
    for (; i < n; i++) sum += (double)(a[i] * b[i]);
    for (int k = 0; k < LANES; k++) sum += (double)lane[k];
    return sum;
}

/* One Gauss-Newton step of the map, both sides brought to mean 0 and deviation 1. */
static bool step(affine *a, const warped *w, const relief *to, const match *m)
{
    float slope[6][CXR_SMALL_PIXELS], gap[CXR_SMALL_PIXELS];
    double h[6][6], g[6];
    const float half = (float)to->side / 2.0f;
    for (int i = 0; i < w->count; i++) {
        const int at = w->pixel[i];
        const float x = ((float)(at % to->side) + 0.5f) / half - 1.0f, y = ((float)(at / to->side) + 0.5f) / half - 1.0f;
        const float dx = w->dx[i] / m->deviation[0], dy = w->dy[i] / m->deviation[0];
        slope[0][i] = dx * x, slope[1][i] = dx * y, slope[2][i] = dx;
        slope[3][i] = dy * x, slope[4][i] = dy * y, slope[5][i] = dy;
        gap[i] = (to->at[at] - m->mean[1]) / m->deviation[1] - (w->value[i] - m->mean[0]) / m->deviation[0];
    }
    for (int r = 0; r < 6; r++) {
        g[r] = dot(slope[r], gap, w->count);
        for (int c = 0; c <= r; c++) h[r][c] = dot(slope[r], slope[c], w->count);
        h[r][r] *= 1.0 + 1e-3; /* a damped step where detail is scarce */
    }
    if (!solve(h, g)) return false;
    for (int r = 0; r < 6; r++) a->p[r] += (float)g[r];
    return true;
}

/* Improves the map; the best likeness met. A step may be for the worse as long as later ones make up for it. */
static float align(affine *a, const relief *from, const relief *to)
{
    affine tried = *a;
    float best = 0.0f;
    for (int i = 0, idle = 0; i <= MOST_STEPS && idle < 3; i++) {
        warped w;
        warp(&w, from, &tried);
        const match m = compare(&w, to);
        idle = m.correlation <= best + 1e-3f ? idle + 1 : 0;
        if (m.correlation > best) {
            best = m.correlation;
            *a = tried;
        }
        if (m.deviation[0] == 0.0f || !step(&tried, &w, to, &m)) break;
    }
    return best;
}

float cxr_likeness(const uint8_t *a, const uint8_t *b)
{
    float tiny_a[CXR_TINY_PIXELS], tiny_b[CXR_TINY_PIXELS];
    relief from, to;
    affine map = {{1, 0, 0, 0, 1, 0}};
    cxr_tiny_make(tiny_a, a);
    cxr_tiny_make(tiny_b, b);
    coarsest_relief(&from, tiny_a);
    coarsest_relief(&to, tiny_b);
    (void)align(&map, &from, &to);
    coarse_relief(&from, tiny_a);
    coarse_relief(&to, tiny_b);
    const float coarse = align(&map, &from, &to);
    if (coarse < ENOUGH) return coarse;
    fine_relief(&from, a);
    fine_relief(&to, b);
    return align(&map, &from, &to);
}
