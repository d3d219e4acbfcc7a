/* Batch norm of training, forward and backward, with the add and the ReLU behind it, over channels in blocks of `lanes` (8 or
 * 16): memory is (n, channels / lanes, h * w, lanes), f32 or bf16; arithmetic and statistics are f32 and double. oneDNN's own
 * synchronises its threads by spinning, tens of times a call: with loaders on the same cores it runs 50 times slower. Here a
 * thread owns whole blocks: nothing to wait for, the same bits for any number of threads. Statistics of chunks that fit the
 * first cache are merged as (count, mean, M2): one pass over memory. Backward finds the ReLU's sign again from x, which it
 * reads anyway, so that y need not be kept. */
#include "backend/onednn_plan.h"
#include "base/clones.h"
#include <math.h>

typedef float vec __attribute__((vector_size(32), may_alias));
typedef int32_t vec_mask __attribute__((vector_size(32), may_alias));
typedef uint32_t vec_bits __attribute__((vector_size(32), may_alias));
typedef uint16_t vec_half __attribute__((vector_size(16), may_alias));

#define VEC       8
#define MAX_LANES 16
#define CHUNK     128 /* rows of `lanes` values */

#define INLINE static inline __attribute__((always_inline))
/* One build of the loops for AVX2, one for any x86-64; the loader chooses. */
#define CLONES CXR_CLONES("avx2")

typedef struct norm {
    size_t n, channels, hw, blocks;
    int lanes;
    bool relu, half; /* half: bf16 */
    double epsilon;
    const void *x, *dy, *other; /* other: added; NULL: nothing */
    const float *scale, *shift;
    float *mean, *variance; /* written by forward */
    void *out;              /* y, or dx, which may be dy */
    float *dscale, *dshift; /* added to */
} norm;

/* x where y is not <= 0: not a number passes. */
#define WHERE_POSITIVE(x, y) ((vec)((vec_mask)(x) & ~((y) <= 0.0f)))

/* Eight values from element i on. */
INLINE void get(vec *v, const void *p, size_t i, bool half)
{
    if (half)
        *v = (vec)(__builtin_convertvector(*(const vec_half *)(const void *)((const uint16_t *)p + i), vec_bits) << 16);
    else
        *v = *(const vec *)(const void *)((const float *)p + i);
}

/* To bf16: to nearest, ties to even; not a number stays one. */
INLINE void put(void *p, size_t i, const vec *v, bool half)
{
    if (!half) {
        *(vec *)(void *)((float *)p + i) = *v;
        return;
    }
    const vec_bits bits = (vec_bits)*v, nan = (vec_bits)(*v != *v), top = bits >> 16;
    const vec_bits rounded = (bits + 0x7fff + (top & 1)) >> 16;
    *(vec_half *)(void *)((uint16_t *)p + i) = __builtin_convertvector((rounded & ~nan) | ((top | 0x40) & nan), vec_half);
}

/* Elements of one block: of image i, from row 0. */
INLINE size_t at(const norm *o, size_t block, size_t image)
{
    return (image * o->blocks + block) * o->hw * (size_t)o->lanes;
}

/* A chunk is some images, or some rows of one. */
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

/* What is the same for all values of a block; two vectors where a row has 16 lanes. */
typedef struct affine {
    vec mean[2], scale[2], shift[2]; /* y = (x - mean) * scale + shift */
    vec k[2], average[2], slope[2];  /* dx = k * (g - average - (x - mean) * slope) */
} affine;

/* `halves` (vectors to a row) and the flags are constants where these are inlined. */

/* s += x, or, with a mean, s += (x - mean)^2 over the chunk. */
INLINE void sum_chunk(const norm *o, size_t block, const chunk *c, int halves, bool half, const vec *mean, vec *s)
{
    for (size_t i = c->image; i < c->image + c->images; i++) {
        size_t e = at(o, block, i) + c->row * (size_t)o->lanes;
        for (size_t r = 0; r < c->rows; r++) {
            for (int h = 0; h < halves; h++, e += VEC) {
                vec v;
                get(&v, o->x, e, half);
                if (mean != NULL) v = (v - mean[h]) * (v - mean[h]);
                s[h] += v;
            }
        }
    }
}

INLINE void block_statistics(const norm *o, size_t block, int halves, bool half, double *mean, double *m2)
{
    double count = 0.0;
    for (int l = 0; l < o->lanes; l++) mean[l] = m2[l] = 0.0;
    for (chunk c = {0}; next_chunk(o, &c);) {
        vec sum[2] = {{0}, {0}}, squares[2] = {{0}, {0}};
        const double here = (double)(c.images * c.rows), total = count + here;
        sum_chunk(o, block, &c, halves, half, NULL, sum);
        for (int h = 0; h < halves; h++) sum[h] *= (float)(1.0 / here);
        sum_chunk(o, block, &c, halves, half, sum, squares);
        for (int l = 0; l < o->lanes; l++) {
            const double gap = (double)sum[l / VEC][l % VEC] - mean[l];
            mean[l] += gap * (here / total);
            m2[l] += (double)squares[l / VEC][l % VEC] + gap * gap * (count * here / total);
        }
        count = total;
    }
}

/* Forward's map, from the statistics as they are kept: backward must find the same bits. */
INLINE void read_affine(const norm *o, size_t block, affine *f)
{
    *f = (affine){0};
    for (size_t l = 0, c = block * (size_t)o->lanes; l < (size_t)o->lanes && c < o->channels; l++, c++) {
        f->mean[l / VEC][l % VEC] = o->mean[c];
        f->scale[l / VEC][l % VEC] = (float)((double)o->scale[c] / sqrt((double)o->variance[c] + o->epsilon));
        f->shift[l / VEC][l % VEC] = o->shift[c];
    }
}

INLINE void forward_block(const norm *o, size_t block, int halves, bool relu, bool half, bool add)
{
    double mean[MAX_LANES], m2[MAX_LANES];
    affine f;
    block_statistics(o, block, halves, half, mean, m2);
    for (size_t l = 0, c = block * (size_t)o->lanes; l < (size_t)o->lanes && c < o->channels; l++, c++) {
        o->mean[c] = (float)mean[l];
        o->variance[c] = (float)(m2[l] / ((double)o->n * (double)o->hw));
    }
    read_affine(o, block, &f);
    for (size_t i = 0; i < o->n; i++) {
        size_t e = at(o, block, i);
        for (size_t r = 0; r < o->hw; r++) {
            for (int h = 0; h < halves; h++, e += VEC) {
                vec v, other;
                get(&v, o->x, e, half);
                v = (v - f.mean[h]) * f.scale[h] + f.shift[h];
                if (add) get(&other, o->other, e, half);
                if (add) v += other;
                if (relu) v = WHERE_POSITIVE(v, v);
                put(o->out, e, &v, half);
            }
        }
    }
}

/* x without its mean, and the gradient before the ReLU, of element e. */
INLINE void get_gradient(const norm *o, const affine *f, size_t e, int h, bool relu, bool half, vec *x, vec *g)
{
    get(x, o->x, e, half);
    get(g, o->dy, e, half);
    *x -= f->mean[h];
    if (relu) *g = WHERE_POSITIVE(*g, *x * f->scale[h] + f->shift[h]);
}

/* sums[0] += g, sums[1] += g * (x - mean) over the chunk. */
INLINE void sum_gradients(const norm *o, size_t block, const chunk *c, int halves, bool relu, bool half, const affine *f,
                          vec sums[2][2])
{
    for (size_t i = c->image; i < c->image + c->images; i++) {
        size_t e = at(o, block, i) + c->row * (size_t)o->lanes;
        for (size_t r = 0; r < c->rows; r++) {
            for (int h = 0; h < halves; h++, e += VEC) {
                vec x, g;
                get_gradient(o, f, e, h, relu, half, &x, &g);
                sums[0][h] += g;
                sums[1][h] += g * x;
            }
        }
    }
}

INLINE void write_gradient(const norm *o, size_t block, int halves, bool relu, bool half, const affine *f)
{
    for (size_t i = 0; i < o->n; i++) {
        size_t e = at(o, block, i);
        for (size_t r = 0; r < o->hw; r++) {
            for (int h = 0; h < halves; h++, e += VEC) {
                vec x, g;
                get_gradient(o, f, e, h, relu, half, &x, &g);
                g = f->k[h] * (g - f->average[h] - x * f->slope[h]);
                put(o->out, e, &g, half);
            }
        }
    }
}

INLINE void backward_block(const norm *o, size_t block, int halves, bool relu, bool half)
{
    affine f;
    double sum[MAX_LANES] = {0}, product[MAX_LANES] = {0};
    const size_t first = block * (size_t)o->lanes;
    read_affine(o, block, &f);
    for (chunk c = {0}; next_chunk(o, &c);) {
        vec sums[2][2] = {{{0}, {0}}, {{0}, {0}}};
        sum_gradients(o, block, &c, halves, relu, half, &f, sums);
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
        f.k[l / VEC][l % VEC] = (float)((double)o->scale[first + l] * inverse);
        f.average[l / VEC][l % VEC] = (float)(sum[l] / count);
        f.slope[l / VEC][l % VEC] = (float)(product[l] / count * inverse * inverse);
    }
    write_gradient(o, block, halves, relu, half, &f);
}

/* One build of the inner loops for each set of flags; 8 lanes, of processors without bf16, take theirs as variables. */
CLONES static void forward_blocks(void *ctx, int index, int count)
{
    const norm *o = ctx;
    const bool add = o->other != NULL;
    for (size_t b = (size_t)index; b < o->blocks; b += (size_t)count) {
        if (o->lanes != MAX_LANES) {
            forward_block(o, b, 1, o->relu, false, add);
            continue;
        }
        switch ((o->half ? 4 : 0) + (o->relu ? 2 : 0) + (add ? 1 : 0)) {
        case 0: forward_block(o, b, 2, false, false, false); break;
        case 1: forward_block(o, b, 2, false, false, true); break;
        case 2: forward_block(o, b, 2, true, false, false); break;
        case 3: forward_block(o, b, 2, true, false, true); break;
        case 4: forward_block(o, b, 2, false, true, false); break;
        case 5: forward_block(o, b, 2, false, true, true); break;
        case 6: forward_block(o, b, 2, true, true, false); break;
        default: forward_block(o, b, 2, true, true, true); break;
        }
    }
}

CLONES static void backward_blocks(void *ctx, int index, int count)
{
    const norm *o = ctx;
    for (size_t b = (size_t)index; b < o->blocks; b += (size_t)count) {
        if (o->lanes != MAX_LANES) {
            backward_block(o, b, 1, o->relu, false);
            continue;
        }
        switch ((o->half ? 2 : 0) + (o->relu ? 1 : 0)) {
        case 0: backward_block(o, b, 2, false, false); break;
        case 1: backward_block(o, b, 2, true, false); break;
        case 2: backward_block(o, b, 2, false, true); break;
        default: backward_block(o, b, 2, true, true); break;
        }
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
                  .half = a->half,
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
    o.other = a->count > 6 ? a->x[6] : NULL;
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
    o.shift = a->x[3];
    o.mean = a->x[4];
    o.variance = a->x[5];
    o.out = a->x[6];
    o.dscale = a->x[7];
    o.dshift = a->x[8];
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

/* ---- The gradient of relu(add) ---- */

typedef struct masked_sum {
    size_t vectors;
    bool half;
    const void *a, *b, *y; /* b may be NULL */
    void *out;             /* may be a or b */
} masked_sum;

INLINE void sum_where_positive(const masked_sum *o, size_t first, size_t last, bool half, bool two)
{
    for (size_t e = first * VEC; e < last * VEC; e += VEC) {
        vec g, more, y;
        get(&g, o->a, e, half);
        get(&y, o->y, e, half);
        if (two) get(&more, o->b, e, half);
        if (two) g += more;
        g = WHERE_POSITIVE(g, y);
        put(o->out, e, &g, half);
    }
}

CLONES static void sum_part(void *ctx, int index, int count)
{
    const masked_sum *o = ctx;
    const size_t first = o->vectors * (size_t)index / (size_t)count, last = o->vectors * (size_t)(index + 1) / (size_t)count;
    switch ((o->half ? 2 : 0) + (o->b != NULL ? 1 : 0)) {
    case 0: sum_where_positive(o, first, last, false, false); break;
    case 1: sum_where_positive(o, first, last, false, true); break;
    case 2: sum_where_positive(o, first, last, true, false); break;
    default: sum_where_positive(o, first, last, true, true); break;
    }
}

void cxr_loop_relu_sum_backward(const cxr_loop_args *a)
{
    const cxr_node *v = &a->g->nodes[a->node];
    const size_t lanes = (size_t)cxr_lanes(), blocks = ((size_t)v->shape.c + lanes - 1) / lanes;
    const size_t count = (size_t)a->n * blocks * lanes * (size_t)v->shape.h * (size_t)v->shape.w;
    masked_sum o = {count / VEC, a->half, a->x[2], a->count > 3 ? a->x[3] : NULL, a->x[1], a->x[0]};
    cxr_team_run(a->threads, sum_part, &o);
}
