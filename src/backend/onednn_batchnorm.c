/* Batch norm of training, forward and backward, with the ReLU behind it, over channels in blocks of `lanes` (8 or 16): memory
 * is (n, channels / lanes, h * w, lanes). oneDNN's own synchronises its threads by spinning, tens of times a call: with loaders
 * on the same cores it runs 50 times slower. Here a thread owns whole blocks: nothing to wait for, the same bits for any number
 * of threads. Statistics of chunks that fit the first cache are merged as (count, mean, M2): one pass over memory. */
#include "backend/onednn_plan.h"
#include <math.h>

typedef float vec __attribute__((vector_size(32), may_alias));
typedef int32_t vec_mask __attribute__((vector_size(32), may_alias));

#define VEC       8
#define MAX_LANES 16
#define CHUNK     128 /* rows of `lanes` floats */

#define INLINE static inline __attribute__((always_inline))
/* One build of the loops for AVX2, one for any x86-64; the loader chooses. */
#define CLONES __attribute__((target_clones("avx2", "default")))

typedef struct norm {
    size_t n, channels, hw, blocks;
    int lanes;
    bool relu;
    double epsilon;
    const float *x, *y, *dy, *scale, *shift;
    float *mean, *variance; /* written by forward */
    float *out;             /* y, or dx, which may be dy */
    float *dscale, *dshift; /* added to */
} norm;

/* Rows of one block: of image i, from row 0. */
INLINE size_t at(const norm *o, size_t block, size_t image)
{
    return (image * o->blocks + block) * o->hw * (size_t)o->lanes;
}

/* A chunk is some images, or some rows of one. Calls body with [row, end) for each image of it. */
typedef struct chunk {
    size_t image, images, row, rows;
} chunk;

INLINE bool next_chunk(const norm *o, chunk *c)
{
    if (c->images == 0) { /* the first */
        *c = (chunk){0, o->hw >= CHUNK ? 1 : CHUNK / o->hw, 0, o->hw >= CHUNK ? CHUNK : o->hw};
    } else if (c->row + c->rows < o->hw) {
        c->row += c->rows;
    } else {
        c->image += c->images;
        c->row = 0;
    }
    if (c->image >= o->n) return false;
    if (c->images > o->n - c->image) c->images = o->n - c->image;
    const size_t left = o->hw - c->row, full = o->hw >= CHUNK ? CHUNK : o->hw;
    c->rows = left < full ? left : full;
    return true;
}

/* `halves` (vectors to a row) and `relu` are constants where these are inlined. */

/* s += x, or, with a mean, s += (x - mean)^2 over the chunk. */
INLINE void sum_chunk(const norm *o, size_t block, const chunk *c, int halves, const vec *mean, vec *s)
{
    for (size_t i = c->image; i < c->image + c->images; i++) {
        const vec *x = (const vec *)(const void *)(o->x + at(o, block, i) + c->row * (size_t)o->lanes);
        for (size_t r = 0; r < c->rows; r++, x += halves) {
            for (int h = 0; h < halves; h++) {
                vec v = x[h];
                if (mean != NULL) v = (v - mean[h]) * (v - mean[h]);
                s[h] += v;
            }
        }
    }
}

INLINE void block_statistics(const norm *o, size_t block, int halves, double *mean, double *m2)
{
    double count = 0.0;
    for (int l = 0; l < o->lanes; l++) mean[l] = m2[l] = 0.0;
    for (chunk c = {0}; next_chunk(o, &c);) {
        vec sum[2] = {{0}, {0}}, squares[2] = {{0}, {0}};
        const double here = (double)(c.images * c.rows), total = count + here;
        sum_chunk(o, block, &c, halves, NULL, sum);
        for (int h = 0; h < halves; h++) sum[h] *= (float)(1.0 / here);
        sum_chunk(o, block, &c, halves, sum, squares);
        for (int l = 0; l < o->lanes; l++) {
            const double gap = (double)sum[l / VEC][l % VEC] - mean[l];
            mean[l] += gap * (here / total);
            m2[l] += (double)squares[l / VEC][l % VEC] + gap * gap * (count * here / total);
        }
        count = total;
    }
}

INLINE void forward_block(const norm *o, size_t block, int halves, bool relu)
{
    double mean[MAX_LANES], m2[MAX_LANES];
    vec centre[2] = {{0}, {0}}, scale[2] = {{0}, {0}}, shift[2] = {{0}, {0}};
    block_statistics(o, block, halves, mean, m2);
    for (size_t l = 0, c = block * (size_t)o->lanes; l < (size_t)o->lanes && c < o->channels; l++, c++) {
        const double variance = m2[l] / ((double)o->n * (double)o->hw);
        o->mean[c] = centre[l / VEC][l % VEC] = (float)mean[l];
        o->variance[c] = (float)variance;
        scale[l / VEC][l % VEC] = (float)((double)o->scale[c] / sqrt(variance + o->epsilon));
        shift[l / VEC][l % VEC] = o->shift[c];
    }
    for (size_t i = 0; i < o->n; i++) {
        const vec *x = (const vec *)(const void *)(o->x + at(o, block, i));
        vec *y = (vec *)(void *)(o->out + at(o, block, i));
        for (size_t r = 0; r < o->hw; r++, x += halves, y += halves) {
            for (int h = 0; h < halves; h++) {
                const vec v = (x[h] - centre[h]) * scale[h] + shift[h];
                y[h] = relu ? (vec)((vec_mask)v & ~(v <= 0.0f)) : v; /* not a number stays one */
            }
        }
    }
}

/* The gradient before the ReLU. */
#define BEFORE_RELU(dy, y) (relu ? (vec)((vec_mask)(dy) & ~((y) <= 0.0f)) : (dy))

/* sums[0] += g, sums[1] += g * (x - mean) over the chunk. */
INLINE void sum_gradients(const norm *o, size_t block, const chunk *c, int halves, bool relu, const vec *mean, vec sums[2][2])
{
    for (size_t i = c->image; i < c->image + c->images; i++) {
        const size_t first = at(o, block, i) + c->row * (size_t)o->lanes;
        const vec *x = (const vec *)(const void *)(o->x + first), *dy = (const vec *)(const void *)(o->dy + first);
        const vec *y = relu ? (const vec *)(const void *)(o->y + first) : dy;
        for (size_t r = 0; r < c->rows; r++, x += halves, y += halves, dy += halves) {
            for (int h = 0; h < halves; h++) {
                const vec g = BEFORE_RELU(dy[h], y[h]);
                sums[0][h] += g;
                sums[1][h] += g * (x[h] - mean[h]);
            }
        }
    }
}

/* out = k * (g - average - (x - mean) * slope) */
INLINE void write_gradient(const norm *o, size_t block, int halves, bool relu, const vec *mean, const vec *k,
                           const vec *average, const vec *slope)
{
    for (size_t i = 0; i < o->n; i++) {
        const size_t first = at(o, block, i);
        const vec *x = (const vec *)(const void *)(o->x + first), *dy = (const vec *)(const void *)(o->dy + first);
        const vec *y = relu ? (const vec *)(const void *)(o->y + first) : dy;
        vec *dx = (vec *)(void *)(o->out + first);
        for (size_t r = 0; r < o->hw; r++, x += halves, y += halves, dy += halves, dx += halves) {
            for (int h = 0; h < halves; h++) {
                const vec g = BEFORE_RELU(dy[h], y[h]);
                dx[h] = k[h] * (g - average[h] - (x[h] - mean[h]) * slope[h]);
            }
        }
    }
}

INLINE void backward_block(const norm *o, size_t block, int halves, bool relu)
{
    vec mean[2] = {{0}, {0}}, k[2] = {{0}, {0}}, average[2] = {{0}, {0}}, slope[2] = {{0}, {0}};
    double sum[MAX_LANES] = {0}, product[MAX_LANES] = {0};
    const size_t first = block * (size_t)o->lanes;
    for (size_t l = 0; l < (size_t)o->lanes && first + l < o->channels; l++) mean[l / VEC][l % VEC] = o->mean[first + l];
    for (chunk c = {0}; next_chunk(o, &c);) {
        vec sums[2][2] = {{{0}, {0}}, {{0}, {0}}};
        sum_gradients(o, block, &c, halves, relu, mean, sums);
        for (int l = 0; l < o->lanes; l++) {
            sum[l] += (double)sums[0][l / VEC][l % VEC];
            product[l] += (double)sums[1][l / VEC][l % VEC];
        }
    }
    const double count = (double)o->n * (double)o->hw;
    for (size_t l = 0; l < (size_t)o->lanes && first + l < o->channels; l++) {
        const double inverse = 1.0 / sqrt((double)o->variance[first + l] + o->epsilon);
        o->dshift[first + l] += (float)sum[l];
        o->dscale[first + l] += (float)(product[l] * inverse);
        k[l / VEC][l % VEC] = (float)((double)o->scale[first + l] * inverse);
        average[l / VEC][l % VEC] = (float)(sum[l] / count);
        slope[l / VEC][l % VEC] = (float)(product[l] / count * inverse * inverse);
    }
    write_gradient(o, block, halves, relu, mean, k, average, slope);
}

CLONES static void forward_blocks(void *ctx, int index, int count)
{
    const norm *o = ctx;
    for (size_t b = (size_t)index; b < o->blocks; b += (size_t)count) {
        if (o->lanes == MAX_LANES && o->relu)
            forward_block(o, b, MAX_LANES / VEC, true);
        else if (o->lanes == MAX_LANES)
            forward_block(o, b, MAX_LANES / VEC, false);
        else
            forward_block(o, b, 1, o->relu);
    }
}

CLONES static void backward_blocks(void *ctx, int index, int count)
{
    const norm *o = ctx;
    for (size_t b = (size_t)index; b < o->blocks; b += (size_t)count) {
        if (o->lanes == MAX_LANES && o->relu)
            backward_block(o, b, MAX_LANES / VEC, true);
        else if (o->lanes == MAX_LANES)
            backward_block(o, b, MAX_LANES / VEC, false);
        else
            backward_block(o, b, 1, o->relu);
    }
}

static norm describe(const cxr_loop_args *a, bool relu)
{
    const cxr_node *v = &a->g->nodes[a->node];
    const size_t lanes = (size_t)cxr_lanes(), channels = (size_t)v->shape.c;
    return (norm){.n = (size_t)a->n,
                  .channels = channels,
                  .hw = (size_t)v->shape.h * (size_t)v->shape.w,
                  .blocks = (channels + lanes - 1) / lanes,
                  .lanes = (int)lanes,
                  .relu = relu,
                  .epsilon = (double)v->epsilon};
}

static void forward(const cxr_loop_args *a, bool relu)
{
    norm o = describe(a, relu);
    o.x = a->x[0];
    o.scale = a->x[1];
    o.shift = a->x[2];
    o.mean = a->x[3];
    o.variance = a->x[4];
    o.out = a->x[5];
    cxr_team_run(a->threads, forward_blocks, &o);
}

void cxr_loop_batchnorm(const cxr_loop_args *a)
{
    forward(a, false);
}

void cxr_loop_batchnorm_relu(const cxr_loop_args *a)
{
    forward(a, true);
}

static void backward(const cxr_loop_args *a, bool relu)
{
    norm o = describe(a, relu);
    o.dy = a->x[0];
    o.x = a->x[1];
    o.scale = a->x[2];
    o.mean = a->x[3];
    o.variance = a->x[4];
    o.out = a->x[5];
    o.dscale = a->x[6];
    o.dshift = a->x[7];
    o.y = relu ? a->x[8] : NULL;
    cxr_team_run(a->threads, backward_blocks, &o);
}

void cxr_loop_batchnorm_backward(const cxr_loop_args *a)
{
    backward(a, false);
}

void cxr_loop_batchnorm_relu_backward(const cxr_loop_args *a)
{
    backward(a, true);
}
