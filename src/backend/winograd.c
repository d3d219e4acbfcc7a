/* An image is cut into tiles of 4 x 4 outputs. For each of 36 positions, the transformed tiles v (tile, in) times the transformed
 * weights u (in, out) are the transformed outputs m (tile, out); for the weights' gradient, v and the transformed gradients are
 * summed over tiles. What is larger stays in memory and is made first, by all threads; what is smaller passes through a thread's
 * own cache. Matrices of a position lie PAD floats further apart than they need: at powers of two, all 36 would share a set of
 * the cache. */
#include "backend/winograd.h"
#include "backend/onednn_plan.h"
#include "backend/winograd_lines.h"
#include <stdatomic.h>

#define LANES     16
#define POSITIONS 36
#define PAD       80
#define COLUMNS   32            /* of a block of m */
#define ROWS      8             /* of a step of the product */
#define CHUNK     128           /* input channels whose weights pass through the cache together */
#define BLOCK     (160 * 1024)  /* floats of transformed tiles in a thread's cache */
#define SHARED    (1280 * 1024) /* floats of transformed tiles in the cache of all threads */
#define SIDE      64            /* of a block of the weights' gradient */
#define STRIP     32            /* tiles that a thread transforms at a time */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t pieces_of(size_t count, size_t step)
{
    return (count + step - 1) / step;
}

static size_t whole(size_t count, size_t step)
{
    return pieces_of(count, step) * step;
}

typedef struct job job;

/* Makes piece `index` of the work of the moment, in thread `thread`. */
typedef void piece(const job *j, size_t index, size_t thread);

/* One pass. Backward data is a forward pass of `in` and `out` exchanged, with the weights turned round. */
struct job {
    size_t n, in, out, h, w, across, each, tiles; /* tiles: in a row, an image, all */
    int threads;
    bool turned;
    const float *x, *dy, *weights;
    float *y, *dweights;
    float *v, *u, *own;              /* scratch: of all threads, and each thread's own */
    size_t own_count;                /* floats of a thread's own */
    size_t first, count, room, side; /* tiles of the moment, of at most `room`; see cxr_winograd_weights() */
    piece *work;
    size_t pieces;
    atomic_size_t taken; /* pieces */
};

static job describe(const cxr_winograd *c, bool turned)
{
    job j = {.n = c->n, .in = c->in, .out = c->out, .h = c->h, .w = c->w, .threads = c->threads, .turned = turned};
    if (turned) {
        j.in = c->out;
        j.out = c->in;
    }
    j.across = (c->w + 3) / 4;
    j.each = j.across * ((c->h + 3) / 4);
    j.tiles = j.each * j.n;
    return j;
}

/* Threads take pieces as they get to them: one whose core another program uses as well takes fewer. No result depends on who
 * made it. */
static void take_pieces(void *ctx, int index, int count)
{
    job *j = ctx;
    (void)count;
    for (size_t k = atomic_fetch_add(&j->taken, 1); k < j->pieces; k = atomic_fetch_add(&j->taken, 1))
        j->work(j, k, (size_t)index);
}

static void share(job *j, piece *work, size_t pieces)
{
    j->work = work;
    j->pieces = pieces;
    atomic_store(&j->taken, 0);
    cxr_team_run(j->threads, take_pieces, j);
}

/* ---- Tiles ---- */

/* Where a tile begins. */
typedef struct place {
    size_t image, y, x;
} place;

INLINE place place_of(const job *j, size_t tile)
{
    const size_t at = tile % j->each;
    return (place){tile / j->each, at / j->across * 4, at % j->across * 4};
}

/* A row of `size` vectors of a plane (h, w, 16), from column x on, which wraps left of the image; 0 outside. */
INLINE void load_row(const job *j, const float *plane, size_t y, size_t x, size_t size, __m512 *to)
{
    const float *row = plane + y * j->w * LANES;
    for (size_t c = 0; c < size; c++)
        to[c] = y < j->h && x + c < j->w ? _mm512_loadu_ps(row + (x + c) * LANES) : _mm512_setzero_ps();
}

/* A tile of 16 channels into the 36 matrices v, which are `apart`; a gradient's is 4 x 4, an input's one larger all around. */
INLINE void tile_in(const job *j, const float *plane, const place *p, bool gradient, float *v, size_t apart)
{
    const size_t size = gradient ? 4 : 6, border = !gradient;
    __m512 d[6], out[6], half[6][6];
    for (size_t r = 0; r < size; r++) {
        load_row(j, plane, p->y + r - border, p->x - border, size, d);
        if (gradient)
            gradient_line(d, half[r]);
        else
            input_line(d, half[r]);
    }
    for (size_t k = 0; k < 6; k++) {
        for (size_t r = 0; r < size; r++) d[r] = half[r][k];
        if (gradient)
            gradient_line(d, out);
        else
            input_line(d, out);
        for (size_t r = 0; r < 6; r++) _mm512_storeu_ps(v + (r * 6 + k) * apart, out[r]);
    }
}

/* Tiles of all channels into v (tile, channels): plane after plane, as they lie in memory. */
INLINE void tiles_in(const job *j, const float *x, size_t channels, size_t first, size_t count, bool gradient, float *v,
                     size_t apart)
{
    const size_t plane = j->h * j->w * LANES;
    for (size_t c = 0; c < channels; c += LANES) {
        for (size_t t = 0; t < count; t++) {
            const place p = place_of(j, first + t);
            tile_in(j, x + (p.image * channels + c) / LANES * plane, &p, gradient, v + t * channels + c, apart);
        }
    }
}

/* The output of a tile of 16 channels out of m. */
INLINE void tile_out(const job *j, float *plane, const place *p, const float *m, size_t apart)
{
    __m512 d[6], out[4], half[6][4];
    for (size_t r = 0; r < 6; r++) {
        for (size_t k = 0; k < 6; k++) d[k] = _mm512_loadu_ps(m + (r * 6 + k) * apart);
        output_line(d, half[r]);
    }
    for (size_t k = 0; k < 4; k++) {
        for (size_t r = 0; r < 6; r++) d[r] = half[r][k];
        output_line(d, out);
        for (size_t r = 0; r < 4; r++)
            if (p->y + r < j->h && p->x + k < j->w) _mm512_storeu_ps(plane + ((p->y + r) * j->w + p->x + k) * LANES, out[r]);
    }
}

/* ---- Weights ---- */

/* The weights from input channel i to 16 output channels from o on, into to, whose matrices are `apart`. */
INLINE void weights_in(const job *j, size_t i, size_t o, float *to, size_t apart)
{
    const size_t step = j->turned ? 9 : 9 * j->in;
    const float *from = j->weights + (j->turned ? (i * j->out + o) * 9 : (o * j->in + i) * 9);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i index = _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)step));
    __m512 d[3], out[6], half[3][6];
    for (int r = 0; r < 3; r++) {
        for (int k = 0; k < 3; k++) d[k] = _mm512_i32gather_ps(index, from + (j->turned ? 8 - r * 3 - k : r * 3 + k), 4);
        weight_line(d, half[r]);
    }
    for (size_t k = 0; k < 6; k++) {
        for (size_t r = 0; r < 3; r++) d[r] = half[r][k];
        weight_line(d, out);
        for (size_t r = 0; r < 6; r++) _mm512_storeu_ps(to + (r * 6 + k) * apart, out[r]);
    }
}

/* u: (in, columns) of the input channels first..last and the columns from o on. */
INLINE void weights_block(const job *j, size_t first, size_t last, size_t o, size_t columns, float *u, size_t apart)
{
    for (size_t i = first; i < last; i++)
        for (size_t c = 0; c < columns; c += LANES) weights_in(j, i, o + c, u + (i - first) * columns + c, apart);
}

/* ---- Products ---- */

/* c (ROWS, 16 * vectors) [+]= a b: element (r, k) of a is a[r * a_row + k * a_step], row k of b begins at b[k * b_row]. */
INLINE void product(size_t count, const float *a, size_t a_row, size_t a_step, const float *b, size_t b_row, float *c,
                    size_t c_row, size_t vectors, bool add)
{
    __m512 sum[ROWS][2];
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < vectors; i++) sum[r][i] = add ? _mm512_loadu_ps(c + r * c_row + i * LANES) : _mm512_setzero_ps();
    for (size_t k = 0; k < count; k++, a += a_step, b += b_row) {
        __m512 row[2];
        for (size_t i = 0; i < vectors; i++) row[i] = _mm512_loadu_ps(b + i * LANES);
        for (size_t r = 0; r < ROWS; r++) {
            const __m512 x = K(a[r * a_row]);
            for (size_t i = 0; i < vectors; i++) sum[r][i] = FMA(x, row[i], sum[r][i]);
        }
    }
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < vectors; i++) _mm512_storeu_ps(c + r * c_row + i * LANES, sum[r][i]);
}

/* The same for `rows` (a multiple of ROWS) and `columns` (of LANES). */
INLINE void matrix(size_t rows, size_t columns, size_t count, const float *a, size_t a_row, size_t a_step, const float *b,
                   size_t b_row, float *c, size_t c_row, bool add)
{
    for (size_t k = 0; k < columns; k += COLUMNS) {
        const bool two = columns - k >= COLUMNS;
        for (size_t r = 0; r < rows; r += ROWS) {
            if (two)
                product(count, a + r * a_row, a_row, a_step, b + k, b_row, c + r * c_row + k, c_row, 2, add);
            else
                product(count, a + r * a_row, a_row, a_step, b + k, b_row, c + r * c_row + k, c_row, 1, add);
        }
    }
}

/* m (rows, columns) [+]= v (rows, count of the in channels) u (count, columns), at every position. */
WIDE static void all_positions(const job *j, size_t rows, size_t columns, size_t count, const float *v, size_t v_apart,
                               const float *u, size_t u_apart, float *m, size_t m_apart, bool add)
{
    for (size_t e = 0; e < POSITIONS; e++)
        matrix(rows, columns, count, v + e * v_apart, j->in, 1, u + e * u_apart, columns, m + e * m_apart, columns, add);
}

WIDE static void tiles_out(const job *j, size_t first, size_t count, size_t o, size_t columns, const float *m, size_t apart)
{
    const size_t plane = j->h * j->w * LANES;
    for (size_t c = 0; c < columns; c += LANES) {
        for (size_t t = 0; t < count; t++) {
            const place p = place_of(j, first + t);
            tile_out(j, j->y + (p.image * j->out + o + c) / LANES * plane, &p, m + t * columns + c, apart);
        }
    }
}

/* ---- Forward, and backward to the data: many tiles, few weights ---- */

static size_t tiles_in_block(const job *j)
{
    const size_t fit = BLOCK / (POSITIONS * j->in) / ROWS * ROWS;
    return fit < 2 * ROWS ? 2 * ROWS : least(fit, whole(j->tiles, ROWS));
}

static size_t weights_apart(const job *j)
{
    return j->in * COLUMNS + PAD;
}

WIDE static void make_weights(const job *j, size_t index, size_t thread)
{
    const size_t groups = j->in / LANES, o = index / groups * COLUMNS, i = index % groups * LANES;
    const size_t columns = least(COLUMNS, j->out - o);
    (void)thread;
    weights_block(j, i, i + LANES, o, columns, j->u + o / COLUMNS * POSITIONS * weights_apart(j) + i * columns,
                  weights_apart(j));
}

WIDE static void run_block_of_tiles(const job *j, size_t index, size_t thread)
{
    const size_t step = tiles_in_block(j), first = index * step, here = least(step, j->tiles - first);
    const size_t v_apart = step * j->in + PAD, m_apart = step * COLUMNS + PAD;
    float *v = j->own + thread * j->own_count, *m = v + POSITIONS * v_apart;
    tiles_in(j, j->x, j->in, first, here, false, v, v_apart);
    for (size_t o = 0; o < j->out; o += COLUMNS) {
        const size_t columns = least(COLUMNS, j->out - o);
        const float *u = j->u + o / COLUMNS * POSITIONS * weights_apart(j);
        all_positions(j, whole(here, ROWS), columns, j->in, v, v_apart, u, weights_apart(j), m, m_apart, false);
        tiles_out(j, first, here, o, columns, m, m_apart);
    }
}

/* ---- The same: few tiles, many weights ---- */

static size_t tiles_apart(const job *j)
{
    return whole(j->tiles, ROWS) * j->in + PAD;
}

WIDE static void make_tiles(const job *j, size_t index, size_t thread)
{
    const size_t t = index * STRIP;
    (void)thread;
    tiles_in(j, j->x, j->in, t, least(STRIP, j->tiles - t), false, j->v + t * j->in, tiles_apart(j));
}

WIDE static void run_block_of_weights(const job *j, size_t index, size_t thread)
{
    const size_t rows = whole(j->tiles, ROWS), u_apart = CHUNK * COLUMNS + PAD, m_apart = rows * COLUMNS + PAD;
    const size_t o = index * COLUMNS, columns = least(COLUMNS, j->out - o);
    float *u = j->own + thread * j->own_count, *m = u + POSITIONS * u_apart;
    for (size_t i = 0; i < j->in; i += CHUNK) {
        const size_t here = least(CHUNK, j->in - i);
        weights_block(j, i, i + here, o, columns, u, u_apart);
        all_positions(j, rows, columns, here, j->v + i, tiles_apart(j), u, u_apart, m, m_apart, i > 0);
    }
    tiles_out(j, 0, j->tiles, o, columns, m, m_apart);
}

/* ---- Both ---- */

static bool few_tiles(const job *j)
{
    return j->tiles < j->out;
}

/* Divides the scratch memory; returns how many floats it takes. */
static size_t divide(job *j, float *scratch)
{
    const size_t threads = (size_t)j->threads, blocks = whole(j->out, COLUMNS) / COLUMNS;
    const size_t shared = POSITIONS * (few_tiles(j) ? tiles_apart(j) : blocks * weights_apart(j));
    const size_t m = POSITIONS * ((few_tiles(j) ? whole(j->tiles, ROWS) : tiles_in_block(j)) * COLUMNS + PAD);
    j->own_count = m + POSITIONS * (few_tiles(j) ? CHUNK * COLUMNS + PAD : tiles_in_block(j) * j->in + PAD);
    j->v = j->u = scratch;
    j->own = scratch == NULL ? NULL : scratch + shared;
    return shared + threads * j->own_count;
}

static void run(const cxr_winograd *c, bool turned, const float *x, const float *weights, float *y, float *scratch)
{
    job j = describe(c, turned);
    const size_t columns = pieces_of(j.out, COLUMNS);
    j.x = x;
    j.weights = weights;
    j.y = y;
    (void)divide(&j, scratch);
    if (few_tiles(&j)) {
        share(&j, make_tiles, pieces_of(j.tiles, STRIP));
        share(&j, run_block_of_weights, columns);
    } else {
        share(&j, make_weights, columns * (j.in / LANES));
        share(&j, run_block_of_tiles, pieces_of(j.tiles, tiles_in_block(&j)));
    }
}

void cxr_winograd_forward(const cxr_winograd *c, const float *x, const float *weights, float *y, float *scratch)
{
    run(c, false, x, weights, y, scratch);
}

void cxr_winograd_data(const cxr_winograd *c, const float *dy, const float *weights, float *dx, float *scratch)
{
    run(c, true, dy, weights, dx, scratch);
}

/* ---- Backward to the weights ---- */

/* Tiles and gradients of `count` tiles, in v (tile, in) and u (tile, out). */
WIDE static void make_pairs(const job *j, size_t index, size_t thread)
{
    const size_t t = index * STRIP, here = least(STRIP, j->count - t);
    (void)thread;
    tiles_in(j, j->x, j->in, j->first + t, here, false, j->v + t * j->in, j->room * j->in + PAD);
    tiles_in(j, j->dy, j->out, j->first + t, here, true, j->u + t * j->out, j->room * j->out + PAD);
}

/* Adds the gradients of weights o.., i.. (rows x columns of them), summed over all tiles in m. */
INLINE void weights_out(const job *j, size_t o, size_t i, size_t rows, size_t columns, const float *m)
{
    const size_t apart = j->side * j->side + PAD;
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c += LANES) {
            float *to = j->dweights + ((o + r) * j->in + i + c) * 9;
            float lanes[9][LANES];
            __m512 d[6], out[3], half[6][3];
            for (size_t y = 0; y < 6; y++) {
                for (size_t x = 0; x < 6; x++) d[x] = _mm512_loadu_ps(m + (y * 6 + x) * apart + r * j->side + c);
                weight_gradient_line(d, half[y]);
            }
            for (size_t x = 0; x < 3; x++) {
                for (size_t y = 0; y < 6; y++) d[y] = half[y][x];
                weight_gradient_line(d, out);
                for (size_t y = 0; y < 3; y++) _mm512_storeu_ps(lanes[y * 3 + x], out[y]);
            }
            for (size_t l = 0; l < LANES; l++)
                for (size_t k = 0; k < 9; k++) to[l * 9 + k] += lanes[k][l];
        }
    }
}

/* Sums the pairs into blocks of side x side weights; a block has its own m where there are more pairs to come. */
WIDE static void sum_pairs(const job *j, size_t index, size_t thread)
{
    const size_t across = pieces_of(j->in, j->side), o = index / across * j->side, i = index % across * j->side;
    const size_t rows = least(j->side, j->out - o), columns = least(j->side, j->in - i);
    const size_t apart = j->side * j->side + PAD;
    float *m = j->own + (j->count == j->tiles ? thread : index) * POSITIONS * apart;
    for (size_t e = 0; e < POSITIONS; e++)
        matrix(rows, columns, j->count, j->u + e * (j->room * j->out + PAD) + o, 1, j->out,
               j->v + e * (j->room * j->in + PAD) + i, j->in, m + e * apart, j->side, j->first > 0);
    if (j->first + j->count == j->tiles) weights_out(j, o, i, rows, columns, m);
}

/* Divides the scratch memory; returns how many floats it takes. */
static size_t divide_pairs(job *j, float *scratch)
{
    const size_t fit = SHARED / (POSITIONS * (j->in + j->out)) / ROWS * ROWS;
    j->room = least(whole(j->tiles, ROWS), fit < 8 * ROWS ? 8 * ROWS : fit);
    j->side = SIDE;
    while (j->side > LANES && whole(j->in, j->side) * whole(j->out, j->side) < (size_t)j->threads * j->side * j->side)
        j->side /= 2;
    const size_t blocks = whole(j->in, j->side) * whole(j->out, j->side) / (j->side * j->side);
    const size_t v = POSITIONS * (j->room * j->in + PAD), u = POSITIONS * (j->room * j->out + PAD);
    j->v = scratch;
    j->u = scratch == NULL ? NULL : scratch + v;
    j->own = scratch == NULL ? NULL : scratch + v + u;
    const size_t own = j->room >= j->tiles ? (size_t)j->threads : blocks;
    return v + u + own * POSITIONS * (j->side * j->side + PAD);
}

void cxr_winograd_weights(const cxr_winograd *c, const float *x, const float *dy, float *dweights, float *scratch)
{
    job j = describe(c, false);
    (void)divide_pairs(&j, scratch);
    j.x = x;
    j.dy = dy;
    j.dweights = dweights;
    for (j.first = 0; j.first < j.tiles; j.first += j.count) {
        j.count = least(j.room, j.tiles - j.first);
        share(&j, make_pairs, pieces_of(j.count, STRIP));
        share(&j, sum_pairs, pieces_of(j.in, j.side) * pieces_of(j.out, j.side));
    }
}

/* ---- Choice ---- */

bool cxr_winograd_pays(const cxr_winograd *c)
{
    const job j = describe(c, false);
    if (cxr_lanes() != LANES || c->in % LANES != 0 || c->out % LANES != 0) return false;
    return j.tiles >= 32 && j.each * 16 <= 2 * c->h * c->w;
}

size_t cxr_winograd_scratch(const cxr_winograd *c, cxr_winograd_pass pass)
{
    job j = describe(c, pass == CXR_WINOGRAD_DATA);
    return pass == CXR_WINOGRAD_WEIGHTS ? divide_pairs(&j, NULL) : divide(&j, NULL);
}
