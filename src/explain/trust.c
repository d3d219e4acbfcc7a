#include "explain/trust.h"
#include <math.h>
#include <stddef.h>

void cxr_map_reduce(float *out, int side, const float *map, int height, int width)
{
    for (int j = 0; j < side; j++)
        for (int i = 0; i < side; i++) {
            const int y0 = j * height / side, y1 = (j + 1) * height / side, x0 = i * width / side, x1 = (i + 1) * width / side;
            double sum = 0.0;
            for (int y = y0; y < y1; y++)
                for (int x = x0; x < x1; x++) sum += fmax((double)map[y * width + x], 0.0);
            out[j * side + i] = (float)(sum / ((y1 - y0) * (x1 - x0)));
        }
}

/* Of v[i] among n values, from 1; less the mean of all ranks. */
static double rank_of(const float *v, int n, int i)
{
    int less = 0, equal = 0;
    for (int k = 0; k < n; k++) {
        less += v[k] < v[i];
        equal += v[k] == v[i];
    }
    return less + (equal + 1) / 2.0 - (n + 1) / 2.0;
}

double cxr_spearman(const float *a, const float *b, int n)
{
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (int i = 0; i < n; i++) {
        const double x = rank_of(a, n, i), y = rank_of(b, n, i);
        if (!isfinite(a[i]) || !isfinite(b[i])) return NAN;
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return aa > 0.0 && bb > 0.0 ? ab / sqrt(aa * bb) : NAN;
}

#define SAMPLES 8 /* of a cell, each way */

static double covered(const cxr_lungs *l, int x, int y, int width, int height)
{
    int in = 0;
    for (int j = 0; j < SAMPLES; j++)
        for (int i = 0; i < SAMPLES; i++)
            in += cxr_lungs_hold(l, (x + (i + 0.5) / SAMPLES) / width, (y + (j + 0.5) / SAMPLES) / height);
    return (double)in / (SAMPLES * SAMPLES);
}

void cxr_lung_share(const cxr_lungs *l, const float *map, int height, int width, double *share, double *area)
{
    double sum = 0.0, held = 0.0, lungs = 0.0;
    *share = *area = NAN;
    if (!l->found) return;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const double c = covered(l, x, y, width, height), m = fmax((double)map[y * width + x], 0.0);
            lungs += c;
            sum += m;
            held += c * m;
        }
    *area = lungs / (height * width);
    if (sum > 0.0) *share = held / sum;
}

/* The rank correlation that two maps of so many independent cells exceed by chance 5 times in 100 (one sided, normal). */
static double by_chance(int cells)
{
    return 1.645 / sqrt(cells - 1.0);
}

#define SAME    0.7 /* with the maps of a network that knows nothing: as alike as two looks at the same thing */
#define SIMILAR 0.5

void cxr_trust_judge(cxr_explanation *e, int cells)
{
    bool empty = true;
    for (int i = 0; i < e->height * e->width; i++) empty &= !(e->map[i] > 0.0f);
    e->trust = CXR_TRUST_NO;
    if (empty)
        e->why = "the map is empty";
    else if (e->randomised >= SAME)
        e->why = "it hardly changes when the network's weights are replaced by random ones";
    else if (cells > 0 && e->occlusion <= 0.0)
        e->why = "hiding what it marks does not lower the class's logit";
    else
        e->trust = CXR_TRUST_DOUBTFUL;
    if (e->trust == CXR_TRUST_NO) return;
    if (cells > 0 && isnan(e->occlusion))
        e->why = "hiding parts of the image lowers the class's logit nowhere";
    else if (cells > 0 && e->occlusion < by_chance(cells))
        e->why = "it agrees with occlusion no better than chance may";
    else if (isnan(e->randomised))
        e->why = "with random weights there is no map to compare with";
    else if (e->randomised >= SIMILAR)
        e->why = "it stays similar when the network's weights are replaced by random ones";
    else if (isnan(e->lungs))
        e->why = "no lungs were found to compare it with";
    else if (e->lungs < e->lungs_area)
        e->why = "less of it lies on the estimated lungs than chance would put there";
    else
        e->trust = CXR_TRUST_YES;
}
