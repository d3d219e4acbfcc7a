/* Absorption is summed shape by shape at each pixel: the trunk, less the air of the lungs, plus bone and what fills the air;
 * then the film turns it into grey. Every shape is a product of soft steps, so nothing is drawn, only evaluated. */
#include "base/rng.h"
#include "data/phantom.h"
#include <math.h>

#define GRID 64 /* cells of the texture's lattice, a power of two */

typedef struct scene {
    const cxr_patient *p;
    const cxr_exposure *e;
    float cosine, sine; /* of the exposure's turn */
    float lattice[GRID][GRID];
} scene;

/* ---- Shapes ---- */

/* 0 below -1, 1 above 1, smooth between. */
static float step_up(float x)
{
    const float t = fminf(fmaxf(0.5f * x + 0.5f, 0.0f), 1.0f);
    return t * t * (3.0f - 2.0f * t);
}

/* 1 in the middle, 0 from distance 1 on. */
static float bump(float squared)
{
    const float t = fmaxf(1.0f - squared, 0.0f);
    return t * t;
}

static float square(float x)
{
    return x * x;
}

/* Smooth random field with features of about 1 / frequency. */
static float texture(const scene *s, float x, float y, float frequency)
{
    const float gx = x * frequency + 31.0f, gy = y * frequency + 17.0f;
    const float fx = floorf(gx), fy = floorf(gy);
    const unsigned i = (unsigned)(int)fx % GRID, j = (unsigned)(int)fy % GRID;
    const float tx = square(gx - fx) * (3.0f - 2.0f * (gx - fx)), ty = square(gy - fy) * (3.0f - 2.0f * (gy - fy));
    const float *upper = s->lattice[j], *lower = s->lattice[(j + 1) % GRID];
    const float above = upper[i] + tx * (upper[(i + 1) % GRID] - upper[i]);
    const float below = lower[i] + tx * (lower[(i + 1) % GRID] - lower[i]);
    return above + ty * (below - above);
}

static float trunk_at(const cxr_patient *p, float x, float y)
{
    const float half = p->neck + (p->trunk - p->neck) * step_up((y + 0.74f) / 0.16f) + 0.10f * step_up((y + 0.35f) / 0.5f);
    return step_up((half - fabsf(x)) / 0.035f);
}

/* Lateral edge of the rib cage at height y. */
static float cage_edge(const cxr_patient *p, int side, float y)
{
    const float t = fminf(fmaxf((y - p->top[side]) / (0.8f * (p->base[side] - p->top[side])), 0.0f), 1.0f);
    return p->wide[side] * (0.30f + 0.70f * sqrtf(1.0f - square(1.0f - t)));
}

/* The share of air: x is measured outwards from the spine. */
static float lung_at(const cxr_patient *p, int side, float x, float y, float edge)
{
    const float dome = p->base[side] + 0.55f * square(x - 0.36f);
    return step_up((x - p->medial) / 0.03f) * step_up((edge - x) / 0.03f) * step_up((y - p->top[side]) / 0.05f) *
           step_up((dome - y) / 0.03f);
}

static float heart_at(const cxr_patient *p, float x, float y)
{
    const float dx = x - p->heart_x, dy = y - p->heart_y;
    const float a = (dx * 0.87f + dy * 0.50f) / p->heart_rx, b = (dy * 0.87f - dx * 0.50f) / p->heart_ry;
    const float knob = square((x - p->medial + 0.02f) / 0.08f) + square((y + 0.30f) / 0.13f);            /* the aortic arch */
    const float beside = step_up((p->medial + 0.05f - fabsf(x)) / 0.05f) * step_up((y + 0.30f) / 0.15f); /* great vessels */
    const float heart = step_up((1.0f - sqrtf(a * a + b * b)) / 0.14f);
    return 1.0f - (1.0f - heart) * (1.0f - 0.7f * step_up((1.0f - knob) / 0.6f)) * (1.0f - 0.6f * beside);
}

/* A band of `width` in each period, its borders brighter, as cortical bone is. */
static float rib_profile(float phase, float width)
{
    const float d = fabsf(phase - floorf(phase) - 0.5f) / width;
    return step_up((1.0f - d) / 0.25f) * (0.65f + 0.5f * square(d));
}

static float ribs_at(const cxr_patient *p, int side, float x, float y, float edge)
{
    const float inside = step_up((edge + 0.05f - x) / 0.03f) * step_up((y - p->top[side] + 0.02f) / 0.05f) *
                         step_up((p->base[side] + 0.35f - y) / 0.2f);
    const float back = rib_profile((y + 0.12f * x - p->rib_fall * x * x * x) / p->rib_step + p->rib_start, 0.24f);
    const float front = rib_profile((y - 0.45f * (edge - x)) / (1.15f * p->rib_step) + p->rib_start, 0.26f);
    return inside * (back * step_up((x - 0.06f) / 0.04f) + 0.5f * front * step_up((x - 0.30f) / 0.08f));
}

static float clavicle_at(const cxr_patient *p, float x, float y)
{
    const float line = p->clavicle - p->clavicle_rise * (x - 0.1f) + 0.25f * square(x - 0.45f);
    return bump(square((y - line) / 0.04f)) * step_up((x - 0.06f) / 0.03f) * step_up((0.85f - x) / 0.05f);
}

static float spine_at(const cxr_patient *p, float x, float y)
{
    const float vertebra = 0.75f + 0.25f * step_up((fabsf(y / 0.13f - floorf(y / 0.13f) - 0.5f) - 0.25f) / -0.12f);
    return bump(square(x / (p->medial + 0.02f))) * vertebra;
}

/* ---- Drawing the numbers ---- */

typedef struct stream {
    uint64_t key, i;
} stream;

static float between(stream *s, float a, float b)
{
    return a + (b - a) * cxr_rng_uniform(s->key, s->i++);
}

/* Where air is seen, not behind the heart: what is hidden teaches nothing. */
static void draw_place(cxr_opacity *o, const cxr_patient *p, stream *s)
{
    float air = 0.0f;
    for (int tries = 0; air < 0.9f && tries < 100; tries++) {
        const int side = between(s, 0, 1) < 0.5f ? 0 : 1;
        const float out = between(s, p->medial + 0.10f, p->wide[side] - 0.08f);
        o->x = side == 0 ? -out : out;
        o->y = between(s, p->top[side] + 0.25f, p->base[side] - 0.02f);
        air = lung_at(p, side, out, o->y, cage_edge(p, side, o->y)) * (1.0f - heart_at(p, o->x, o->y));
    }
}

static void draw_opacity(cxr_opacity *o, const cxr_patient *p, stream *s)
{
    const float r = between(s, 0.18f, 0.38f);
    draw_place(o, p, s);
    o->rx = r * between(s, 0.8f, 1.3f);
    o->ry = r * between(s, 0.7f, 1.2f);
    o->strength = between(s, 0.65f, 1.0f);
    o->patchy = between(s, 0.0f, 0.7f);
    o->fissure = between(s, 0, 1) < 0.25f ? o->y + between(s, -0.05f, 0.10f) : 10.0f;
}

void cxr_patient_draw(cxr_patient *p, uint64_t key, bool ill)
{
    stream s = {key, 0};
    *p = (cxr_patient){.trunk = between(&s, 0.92f, 1.08f), .neck = between(&s, 0.24f, 0.34f)};
    const float top = between(&s, -0.78f, -0.66f), base = between(&s, 0.34f, 0.52f), wide = between(&s, 0.68f, 0.82f);
    for (int side = 0; side < 2; side++) {
        p->top[side] = top + between(&s, -0.02f, 0.02f);
        p->base[side] = base + (side == 0 ? -0.05f : 0.0f) + between(&s, -0.02f, 0.02f); /* the liver lifts its side */
        p->wide[side] = wide + between(&s, -0.02f, 0.02f);
    }
    p->medial = between(&s, 0.10f, 0.15f);
    p->heart_x = between(&s, 0.08f, 0.16f);
    p->heart_y = p->base[1] - between(&s, 0.12f, 0.19f);
    p->heart_rx = between(&s, 0.25f, 0.36f);
    p->heart_ry = between(&s, 0.22f, 0.29f);
    p->rib_step = between(&s, 0.135f, 0.165f);
    p->rib_start = between(&s, 0, 1);
    p->rib_contrast = between(&s, 0.035f, 0.075f);
    p->rib_fall = between(&s, 0.40f, 0.65f);
    p->clavicle = p->top[0] + between(&s, 0.14f, 0.22f);
    p->clavicle_rise = between(&s, 0.10f, 0.30f);
    p->spine = between(&s, 0.05f, 0.11f);
    p->hilum = between(&s, 0.04f, 0.10f);
    p->vessels = between(&s, 0.02f, 0.06f);
    p->gas_x = between(&s, 0.30f, 0.50f);
    p->gas = between(&s, 0.0f, 0.25f);
    p->texture = cxr_rng_u64(s.key, s.i++);
    if (!ill) return;
    p->opacities = 1 + (int)between(&s, 0, CXR_MAX_OPACITIES - 0.01f);
    for (int i = 0; i < p->opacities; i++) draw_opacity(&p->opacity[i], p, &s);
}

void cxr_exposure_draw(cxr_exposure *e, uint64_t key, int size)
{
    stream s = {key, 0};
    const float scale = between(&s, 0.85f, 1.15f), aspect = between(&s, 1.0f, 1.35f);
    *e = (cxr_exposure){.width = (int)lrintf((float)size * scale * sqrtf(aspect)),
                        .height = (int)lrintf((float)size * scale / sqrtf(aspect))};
    e->x = between(&s, -0.06f, 0.06f);
    e->y = between(&s, -0.06f, 0.06f);
    e->turn = between(&s, -0.06f, 0.06f);
    e->zoom = between(&s, 0.92f, 1.10f);
    e->gamma = between(&s, 0.75f, 1.35f);
    e->gain = between(&s, 0.78f, 1.12f);
    e->black = between(&s, 0.0f, 0.08f);
    e->noise = between(&s, 0.008f, 0.030f);
    e->heel = between(&s, -0.08f, 0.08f);
    const bool framed = between(&s, 0, 1) < 0.3f;
    for (int i = 0; i < 4; i++) e->border[i] = framed ? between(&s, 0.0f, 0.06f) : 0.0f;
    e->marker = between(&s, 0, 1) < 0.6f;
    e->grain = cxr_rng_u64(s.key, s.i++);
}

/* ---- Absorption ---- */

/* The share of air that disease fills. */
static float opacity_at(const scene *s, float x, float y)
{
    float clear = 1.0f;
    for (int i = 0; i < s->p->opacities; i++) {
        const cxr_opacity *o = &s->p->opacity[i];
        const float r2 = square((x - o->x) / o->rx) + square((y - o->y) / o->ry);
        if (r2 >= 1.7f) continue;
        const float broken = 1.0f - o->patchy * (0.5f + 0.5f * texture(s, x, y, 13.0f));
        clear *= 1.0f - o->strength * bump(r2 / 1.7f) * step_up((o->fissure - y) / 0.02f) * broken;
    }
    return 1.0f - clear;
}

static float absorption(const scene *s, float x, float y)
{
    const cxr_patient *p = s->p;
    const int side = x < 0.0f ? 0 : 1;
    const float out = fabsf(x), edge = cage_edge(p, side, y);
    const float body = trunk_at(p, x, y);
    if (body <= 0.0f) return 0.0f;
    const float air = lung_at(p, side, out, y, edge) * (1.0f - heart_at(p, x, y));
    float a = 0.56f + 0.08f * step_up((y - 0.5f) / 0.3f) + 0.05f * texture(s, x, y, 3.0f);
    a += p->spine * spine_at(p, x, y) + p->rib_contrast * ribs_at(p, side, out, y, edge) + 0.09f * clavicle_at(p, out, y);
    a += 0.10f * bump(square((out - 0.95f) / 0.22f) + square((y + 0.52f) / 0.16f)); /* shoulder joints */
    if (side == 1) a -= p->gas * bump(square((x - p->gas_x) / 0.15f) + square((y - p->base[1] - 0.16f) / 0.08f));
    if (air > 0.0f) {
        const float near_hilum = bump(square((out - 0.2f) / 0.45f) + square((y + 0.02f) / 0.55f));
        const float vessels = texture(s, x, y, 9.0f) * 0.6f + texture(s, y, x, 19.0f) * 0.4f;
        const float filled = opacity_at(s, x, y);
        a -= air * 0.40f * (1.0f - 0.9f * filled);
        a += air * (p->hilum * square(near_hilum) + p->vessels * vessels * (0.4f + near_hilum));
    }
    return a * body;
}

/* ---- The film ---- */

/* About normal, of deviation 1: the sum of four uniform numbers from one draw. */
static float grain_at(uint64_t key, size_t pixel)
{
    const uint64_t r = cxr_rng_u64(key, pixel);
    const int sum = (int)(r & 0xFFFF) + (int)(r >> 16 & 0xFFFF) + (int)(r >> 32 & 0xFFFF) + (int)(r >> 48);
    return ((float)sum / 65536.0f - 2.0f) * 1.7320508f;
}

static bool is_marker(const cxr_exposure *e, float x, float y)
{
    if (!e->marker) return false;
    const float mx = (x + 0.93f) / 0.07f, my = (y + 0.86f) / 0.10f; /* an L */
    return mx > 0 && mx < 1 && my > 0 && my < 1 && (mx < 0.3f || my > 0.78f);
}

/* The place of the body that a place of the picture (-1..1) shows. */
static void body_at(const cxr_exposure *e, float cosine, float sine, float px, float py, float *x, float *y)
{
    *x = (cosine * px - sine * py) / e->zoom - e->x;
    *y = (sine * px + cosine * py) / e->zoom - e->y;
}

float cxr_phantom_lung(const cxr_patient *p, const cxr_exposure *e, float across, float down)
{
    float x, y;
    body_at(e, cosf(e->turn), sinf(e->turn), 2.0f * across - 1.0f, 2.0f * down - 1.0f, &x, &y);
    const int side = x < 0.0f ? 0 : 1;
    return lung_at(p, side, fabsf(x), y, cage_edge(p, side, y)) * (1.0f - heart_at(p, x, y));
}

static uint8_t film(const scene *s, int column, int row)
{
    const cxr_exposure *e = s->e;
    const float w = (float)e->width, h = (float)e->height, across = ((float)column + 0.5f) / w, down = ((float)row + 0.5f) / h;
    if (across < e->border[0] || down < e->border[1] || across > 1 - e->border[2] || down > 1 - e->border[3]) return 0;
    const float px = 2.0f * across - 1.0f, py = 2.0f * down - 1.0f;
    float x, y;
    body_at(e, s->cosine, s->sine, px, py, &x, &y);
    float a = is_marker(e, px, py) ? 0.95f : absorption(s, x, y) * (1.0f + e->heel * py) / 0.75f;
    a += e->noise * grain_at(e->grain, (size_t)row * (size_t)e->width + (size_t)column);
    const float grey = e->black + e->gain * powf(fmaxf(a, 0.0f), e->gamma) * (1.0f - e->black);
    return (uint8_t)lrintf(255.0f * fminf(grey, 1.0f));
}

cxr_status cxr_phantom_render(cxr_image *out, const cxr_patient *p, const cxr_exposure *e, cxr_error *err)
{
    scene s = {.p = p, .e = e, .cosine = cosf(e->turn), .sine = sinf(e->turn)};
    const cxr_status st = cxr_image_new(out, e->width, e->height, err);
    if (st != CXR_OK) return st;
    for (int j = 0; j < GRID; j++)
        for (int i = 0; i < GRID; i++) s.lattice[j][i] = 2.0f * cxr_rng_uniform(p->texture, (uint64_t)(j * GRID + i)) - 1.0f;
    for (int row = 0; row < e->height; row++)
        for (int column = 0; column < e->width; column++)
            out->pixels[(size_t)row * (size_t)e->width + (size_t)column] = film(&s, column, row);
    return CXR_OK;
}
