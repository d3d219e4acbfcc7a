/* Images that are likely not what they should be, told by simple measures on the tiny pictures. The mean of the set's tiny
 * pictures shows what its images look like; one that resembles the mean more when that is turned or inverted is a suspect. */
#include "base/mem.h"
#include "inspect/findings.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLAT    5.0   /* grey levels of deviation; the flattest film of the published set has 18.7 */
#define LEAST   20    /* images that a mean is made of */
#define ALIKE   0.5f  /* the median resemblance of a set whose mean means something; the published one's is 0.86 */
#define MARGIN  0.05f /* by which another position must be the better one */
#define STRANGE 0.2f  /* less resemblance than that in any position; the least of the published set's is 0.28 */

static double deviation(const uint8_t *small)
{
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < CXR_SMALL_PIXELS; i++) {
        sum += small[i];
        squares += (double)small[i] * small[i];
    }
    const double mean = sum / CXR_SMALL_PIXELS;
    return sqrt(fmax(0.0, squares / CXR_SMALL_PIXELS - mean * mean));
}

static bool is_seen(const cxr_scan *s, size_t i)
{
    return cxr_scan_readable(s, i) && deviation(cxr_scan_small(s, i)) >= FLAT;
}

cxr_status cxr_check_blank(cxr_checked *c, const cxr_scan *s, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (uint32_t i = 0; i < s->count && st == CXR_OK; i++)
        if (cxr_scan_readable(s, i) && !is_seen(s, i)) st = cxr_check_add(c, &i, 1, deviation(cxr_scan_small(s, i)), NULL, err);
    if (c->count > 0)
        cxr_check_say(c, CXR_VERDICT_PROBLEM, "%s of nearly one grey", cxr_counted(c->count, "image"));
    else
        cxr_check_say(c, CXR_VERDICT_OK, "no image is blank");
    return st;
}

/* To length 1. */
static void normalise(float *tiny)
{
    double squares = 0.0;
    for (int i = 0; i < CXR_TINY_PIXELS; i++) squares += (double)tiny[i] * (double)tiny[i];
    const float scale = squares > 0.0 ? (float)(1.0 / sqrt(squares)) : 0.0f;
    for (int i = 0; i < CXR_TINY_PIXELS; i++) tiny[i] *= scale;
}

static float resemblance(const float *a, const float *b)
{
    double sum = 0.0;
    for (int i = 0; i < CXR_TINY_PIXELS; i++) sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

/* A quarter to the left. */
static void turn(float *out, const float *in)
{
    for (int y = 0; y < CXR_TINY_SIDE; y++)
        for (int x = 0; x < CXR_TINY_SIDE; x++) out[y * CXR_TINY_SIDE + x] = in[x * CXR_TINY_SIDE + CXR_TINY_SIDE - 1 - y];
}

/* The mean in four positions. */
typedef struct views {
    float at[4][CXR_TINY_PIXELS];
} views;

/* False: too few images. */
static bool mean_picture(views *v, const cxr_scan *s)
{
    float tiny[CXR_TINY_PIXELS];
    size_t n = 0;
    memset(v->at[0], 0, sizeof v->at[0]);
    for (size_t i = 0; i < s->count; i++) {
        if (!is_seen(s, i)) continue;
        cxr_tiny_make(tiny, cxr_scan_small(s, i));
        normalise(tiny);
        for (int k = 0; k < CXR_TINY_PIXELS; k++) v->at[0][k] += tiny[k];
        n++;
    }
    normalise(v->at[0]);
    for (int k = 1; k < 4; k++) turn(v->at[k], v->at[k - 1]);
    return n >= LEAST;
}

static const char *const positions[8] = {
    NULL,       "turned a quarter to the left",           "upside down",           "turned a quarter to the right",
    "inverted", "inverted, turned a quarter to the left", "inverted, upside down", "inverted, turned a quarter to the right"};

/* Which position suits the picture best; *upright is how well its own does. */
static int best_position(const views *v, const uint8_t *small, float *upright, float *best)
{
    float tiny[CXR_TINY_PIXELS];
    int which = 0;
    cxr_tiny_make(tiny, small);
    normalise(tiny);
    *upright = *best = resemblance(tiny, v->at[0]);
    for (int k = 1; k < 8; k++) {
        const float r = k < 4 ? resemblance(tiny, v->at[k]) : -resemblance(tiny, v->at[k - 4]);
        if (r > *best) {
            *best = r;
            which = k;
        }
    }
    return which;
}

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static cxr_status compare_with(cxr_checked *c, const views *v, const cxr_scan *s, float *each, size_t *seen, cxr_error *err)
{
    cxr_status st = CXR_OK;
    for (uint32_t i = 0; i < s->count && st == CXR_OK; i++) {
        float upright, best;
        if (!is_seen(s, i)) continue;
        const int which = best_position(v, cxr_scan_small(s, i), &upright, &best);
        each[(*seen)++] = upright;
        if (best < STRANGE)
            st = cxr_check_add(c, &i, 1, (double)best, "unlike the others", err);
        else if (best > upright + MARGIN)
            st = cxr_check_add(c, &i, 1, (double)(best - upright), positions[which], err);
    }
    return st;
}

cxr_status cxr_check_suspects(cxr_checked *c, const cxr_scan *s, cxr_error *err)
{
    views v;
    if (!mean_picture(&v, s)) {
        cxr_check_say(c, CXR_VERDICT_SKIPPED, "fewer than %d images to compare with", LEAST);
        return CXR_OK;
    }
    float *each = cxr_mem_new(s->count, sizeof *each);
    size_t seen = 0;
    if (each == NULL) return cxr_mem_fail(err, "the suspects");
    const cxr_status st = compare_with(c, &v, s, each, &seen, err);
    qsort(each, seen, sizeof *each, by_size);
    const float median = each[seen / 2];
    cxr_mem_free(each);
    if (median < ALIKE) {
        const cxr_checked empty = {.name = c->name, .title = c->title, .method = c->method, .score = c->score};
        cxr_check_free(c);
        *c = empty;
        cxr_check_say(c, CXR_VERDICT_SKIPPED, "the images differ too much from each other to tell (median resemblance %.2f)",
                      (double)median);
    } else if (c->count > 0) {
        cxr_check_say(c, CXR_VERDICT_LOOK, "%s suspected to be inverted, turned or no such film",
                      cxr_counted(c->count, "image"));
    } else {
        cxr_check_say(c, CXR_VERDICT_OK, "no image seems inverted, turned or no such film");
    }
    return st;
}
