#include "data/lungs.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

#define GRID 48 /* the picture is looked at as that many cells a side */
#define SIDE 32 /* of the smallest picture */

/* ---- The outline ---- */

/* In units of the outline: u is the distance from the midline, 1 at the outermost edge, negative on the left of the picture; v is
 * 0 at the apices and 1 at the diaphragm. Drawn by hand after children's films. */
typedef struct row {
    double v, edge, medial[2]; /* medial: left of the midline, and right, where the heart's shadow is left out */
} row;

static double share(double x)
{
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}

static row row_at(double v)
{
    const double rise = 1.0 - share(v / 0.75), low = share((v - 0.35) / 0.45);
    return (row){v, 0.40 + 0.60 * sqrt(1.0 - rise * rise), {0.17 + 0.08 * low, 0.17 + 0.30 * low * low * (3.0 - 2.0 * low)}};
}

static bool inside(const row *r, double u)
{
    const double out = fabs(u);
    return r->v > 0.0 && out > r->medial[u > 0.0] && out < r->edge && r->v < 0.90 + 0.45 * (out - 0.45) * (out - 0.45);
}

bool cxr_lungs_hold(const cxr_lungs *l, double x, double y)
{
    if (!l->found) return false;
    const row r = row_at((y - l->top) / (l->base - l->top));
    return inside(&r, (x - l->spine) / l->half);
}

/* The costophrenic angles reach below `base`: the outline's lowest point is at |u| = 1. */
bool cxr_lungs_frame(const cxr_lungs *l, double x, double y)
{
    const double deepest = 0.90 + 0.45 * 0.55 * 0.55, v = l->found ? (y - l->top) / (l->base - l->top) : -1.0;
    return v > 0.0 && v < deepest && fabs(x - l->spine) < l->half;
}

/* ---- The picture ---- */

typedef struct cells {
    double grey[GRID][GRID];
} cells;

static void reduce(cells *c, const uint8_t *pixels, int width, int height)
{
    for (int j = 0; j < GRID; j++)
        for (int i = 0; i < GRID; i++) {
            const int x0 = i * width / GRID, x1 = (i + 1) * width / GRID, y0 = j * height / GRID, y1 = (j + 1) * height / GRID;
            uint64_t sum = 0, n = 0;
            for (int y = y0; y < y1 + (y1 == y0); y++)
                for (int x = x0; x < x1 + (x1 == x0); x++, n++) sum += pixels[(size_t)y * (size_t)width + (size_t)x];
            c->grey[j][i] = (double)sum / (double)n;
        }
}

typedef struct histogram {
    int count[256], all;
} histogram;

static void add(histogram *h, double grey)
{
    h->count[(int)grey]++;
    h->all++;
}

static double quantile(const histogram *h, double share)
{
    int grey = 0;
    for (int seen = h->count[0]; grey < 255 && seen < share * h->all; seen += h->count[grey]) grey++;
    return grey;
}

/* Marks the dark cells that hang together with the picture's edge: the air around the patient. */
static void find_air(bool air[GRID][GRID], const cells *c, double dark)
{
    for (bool more = true; more;) {
        more = false;
        for (int j = 0; j < GRID; j++)
            for (int i = 0; i < GRID; i++) {
                if (air[j][i] || c->grey[j][i] >= dark) continue;
                const bool edge = i == 0 || j == 0 || i == GRID - 1 || j == GRID - 1;
                if (!edge && !air[j - 1][i] && !air[j + 1][i] && !air[j][i - 1] && !air[j][i + 1]) continue;
                air[j][i] = more = true;
            }
    }
}

static bool beside(bool air[GRID][GRID], int j, int i)
{
    return air[j][i] || (j > 0 && air[j - 1][i]) || (j + 1 < GRID && air[j + 1][i]) || (i > 0 && air[j][i - 1]) ||
           (i + 1 < GRID && air[j][i + 1]);
}

/* Air around the patient is as dark as lungs: it is given the grey of tissue, with the half-dark cells beside it. */
static void fill_air(cells *c)
{
    bool air[GRID][GRID] = {{false}};
    histogram middle = {0}, tissue = {0};
    for (int j = GRID / 8; j < GRID - GRID / 8; j++)
        for (int i = GRID / 8; i < GRID - GRID / 8; i++) add(&middle, c->grey[j][i]);
    find_air(air, c, 0.5 * quantile(&middle, 0.5));
    for (int j = 0; j < GRID; j++)
        for (int i = 0; i < GRID; i++)
            if (!beside(air, j, i)) add(&tissue, c->grey[j][i]);
    if (tissue.all < GRID * GRID / 4) return;
    const double grey = quantile(&tissue, 0.6);
    for (int j = 0; j < GRID; j++)
        for (int i = 0; i < GRID; i++)
            if (beside(air, j, i)) c->grey[j][i] = grey;
}

/* ---- The fit ---- */

typedef struct sums {
    double n, sum, squares;
} sums;

static void take(sums *s, double x)
{
    s->n++;
    s->sum += x;
    s->squares += x * x;
}

static double mean(const sums *s)
{
    return s->sum / s->n;
}

static double deviation(const sums *a, const sums *b)
{
    const double n = a->n + b->n, m = (a->sum + b->sum) / n;
    return sqrt(fmax((a->squares + b->squares) / n - m * m, 0.0));
}

/* Sums over the first i cells of each row, so that those of a stretch cost no more than those of a cell. */
typedef struct table {
    double sum[GRID][GRID + 1], squares[GRID][GRID + 1];
} table;

static void tabulate(table *t, const cells *c)
{
    for (int j = 0; j < GRID; j++) {
        t->sum[j][0] = t->squares[j][0] = 0.0;
        for (int i = 0; i < GRID; i++) {
            t->sum[j][i + 1] = t->sum[j][i] + c->grey[j][i];
            t->squares[j][i + 1] = t->squares[j][i] + c->grey[j][i] * c->grey[j][i];
        }
    }
}

/* Cells of a row, from the first to before the second. */
typedef struct stretch {
    int from, to;
} stretch;

static void take_stretch(sums *s, const table *t, int j, stretch x, double times)
{
    if (x.from >= x.to) return;
    s->n += times * (x.to - x.from);
    s->sum += times * (t->sum[j][x.to] - t->sum[j][x.from]);
    s->squares += times * (t->squares[j][x.to] - t->squares[j][x.from]);
}

/* u of the cells' centres. */
typedef struct columns {
    double u[GRID], per_unit;
} columns;

static void place(columns *c, const cxr_lungs *l)
{
    for (int i = 0; i < GRID; i++) c->u[i] = ((i + 0.5) / GRID - l->spine) / l->half;
    c->per_unit = GRID * l->half;
}

/* Cells before a place x cells right of the first one's centre: one too few at most, and none too many. */
static int before(double x)
{
    return x <= 0.0 ? 0 : x >= GRID ? GRID : (int)x;
}

/* Cells between two places, without those whose centre lies on one. */
static stretch between(const columns *c, double from, double to)
{
    stretch x = {before((from - c->u[0]) * c->per_unit), before((to - c->u[0]) * c->per_unit)};
    while (x.from < GRID && c->u[x.from] <= from) x.from++;
    while (x.to < GRID && c->u[x.to] < to) x.to++;
    return x;
}

/* Where a row lies inside, on both sides of the midline; below the diaphragm's dome it does so twice. How many there are. */
static int stretches(stretch out[4], const columns *c, const row *r)
{
    int n = 0;
    if (r->v <= 0.0) return 0;
    const double dome = r->v > 0.90 ? sqrt((r->v - 0.90) / 0.45) : 0.0;
    for (int right = 0; right < 2; right++) {
        const double inner = r->medial[right], beside = inner > 0.45 + dome ? inner : 0.45 + dome;
        const double ends[2][2] = {{inner, dome > 0.0 ? 0.45 - dome : r->edge}, {beside, dome > 0.0 ? r->edge : 0.0}};
        for (int k = 0; k < 2; k++)
            if (ends[k][0] < ends[k][1])
                out[n++] = right ? between(c, ends[k][0], ends[k][1]) : between(c, -ends[k][1], -ends[k][0]);
    }
    return n;
}

static stretch common(stretch a, stretch b)
{
    return (stretch){a.from > b.from ? a.from : b.from, a.to < b.to ? a.to : b.to};
}

/* The cells of the outline, and of a ring around it with what lies between the lungs; the heart's place counts for neither. */
static double fit(const table *t, const cxr_lungs *l)
{
    sums in = {0}, ring = {0};
    columns c;
    place(&c, l);
    const double out = nextafter(1.3, 2.0); /* what lies on 1.3 belongs to it */
    const stretch wide = between(&c, -out, out), heart = between(&c, 0.0, 0.6);
    for (int j = 0; j < GRID; j++) {
        const row r = row_at(((j + 0.5) / GRID - l->top) / (l->base - l->top));
        if (r.v < -0.15 || r.v > 1.3) continue;
        const double beside_heart = r.v > 0.35 && r.v < 1.0;
        stretch lungs[4];
        const int n = stretches(lungs, &c, &r);
        take_stretch(&ring, t, j, wide, 1.0);
        take_stretch(&ring, t, j, heart, -beside_heart);
        for (int k = 0; k < n; k++) {
            take_stretch(&in, t, j, lungs[k], 1.0);
            take_stretch(&ring, t, j, lungs[k], -1.0);
            take_stretch(&ring, t, j, common(lungs[k], heart), beside_heart);
        }
    }
    if (in.n < 0.06 * GRID * GRID || ring.n < 1.0) return -1.0;
    const double sd = deviation(&in, &ring);
    if (sd < 2.0) return 0.0; /* grey levels: nothing to see */
    return (mean(&ring) - mean(&in)) / sd * sqrt(in.n * ring.n) / (in.n + ring.n);
}

static double square(double x)
{
    return x * x;
}

/* Of children's films. */
static const cxr_lungs typical = {.found = true, .spine = 0.50, .half = 0.38, .top = 0.18, .base = 0.78};

void cxr_lungs_typical(cxr_lungs *out)
{
    *out = typical;
}

/* How far place and size are from the typical ones, in squared deviations. */
static double unusual(const cxr_lungs *l)
{
    return square((l->spine - typical.spine) / 0.08) + square((l->half - typical.half) / 0.07) +
           square((l->top - typical.top) / 0.08) + square((l->base - typical.base) / 0.12);
}

static double merit(const table *t, const cxr_lungs *l)
{
    return fit(t, l) - 0.03 * unusual(l);
}

static bool possible(const cxr_lungs *l)
{
    return l->spine > 0.3 && l->spine < 0.7 && l->half > 0.15 && l->half < 0.5 && l->top > -0.02 && l->top < 0.5 &&
           l->base > 0.4 && l->base < 1.02 && l->base - l->top > 0.25;
}

/* Keeps the better of two. */
static bool improve(cxr_lungs *best, double *most, const table *t, cxr_lungs l)
{
    if (!possible(&l)) return false;
    const double m = merit(t, &l);
    if (m <= *most + 1e-9) return false;
    *most = m;
    *best = l;
    return true;
}

static void search(cxr_lungs *best, const table *greys)
{
    double most = -INFINITY;
    for (int s = 0; s < 5; s++)
        for (int h = 0; h < 5; h++)
            for (int t = 0; t < 6; t++)
                for (int b = 0; b < 6; b++)
                    (void)improve(best, &most, greys,
                                  (cxr_lungs){.spine = 0.40 + 0.05 * s,
                                              .half = 0.24 + 0.06 * h,
                                              .top = 0.05 + 0.06 * t,
                                              .base = 0.55 + 0.08 * b});
    for (double step = 0.03; step > 0.003; step /= 2.0)
        for (bool moved = true; moved;) {
            const cxr_lungs at = *best;
            moved = false;
            for (int k = 0; k < 8; k++) {
                cxr_lungs l = at;
                double *const each[] = {&l.spine, &l.half, &l.top, &l.base};
                *each[k / 2] += k % 2 == 0 ? step : -step;
                moved |= improve(best, &most, greys, l);
            }
        }
}

/* ---- Is it one? ---- */

/* By 200 training films, of which 194 pass, and their inverted copies, of which none does. */
#define LEAST_FIT      0.2
#define LEAST_CONTRAST 0.5 /* deviations of the grey */
#define MOST_UNUSUAL   7.0

/* The spine and the belly must be brighter than each lung: an inverted film, or one that lies on its side, can fit the outline by
 * chance, but not with these. */
static bool has_spine_and_belly(const cells *c, const cxr_lungs *l)
{
    sums lung[2] = {0}, spine = {0}, belly = {0}, all = {0}, none = {0};
    for (int j = 0; j < GRID; j++) {
        const row r = row_at(((j + 0.5) / GRID - l->top) / (l->base - l->top));
        for (int i = 0; i < GRID; i++) {
            const double u = ((i + 0.5) / GRID - l->spine) / l->half;
            sums *to = NULL;
            if (inside(&r, u))
                to = &lung[u > 0.0];
            else if (r.v > 0.05 && r.v < 1.0 && fabs(u) < 0.13)
                to = &spine;
            else if (r.v > 1.02 && r.v < 1.3 && fabs(u) < 0.8)
                to = &belly;
            if (to == NULL) continue;
            take(to, c->grey[j][i]);
            take(&all, c->grey[j][i]);
        }
    }
    if (lung[0].n < 1.0 || lung[1].n < 1.0 || spine.n < 1.0) return false;
    const double least = LEAST_CONTRAST * deviation(&all, &none);
    const double lungs = (lung[0].sum + lung[1].sum) / (lung[0].n + lung[1].n);
    return mean(&spine) - fmax(mean(&lung[0]), mean(&lung[1])) >= least && (belly.n < 1.0 || mean(&belly) - lungs >= least);
}

void cxr_lungs_estimate(cxr_lungs *out, const uint8_t *pixels, int width, int height)
{
    cells seen, filled;
    table greys;
    *out = (cxr_lungs){0};
    if (width < SIDE || height < SIDE) return;
    reduce(&seen, pixels, width, height);
    filled = seen;
    fill_air(&filled);
    tabulate(&greys, &filled);
    cxr_lungs best = {0};
    search(&best, &greys);
    best.fit = fit(&greys, &best);
    best.found = true;
    if (best.fit >= LEAST_FIT && unusual(&best) <= MOST_UNUSUAL && has_spine_and_belly(&seen, &best)) *out = best;
}
