/* The three normalised channels of a grey image are the same pixels scaled and shifted, so the first convolution can read the
 * pixels themselves: with q = pixel - 128 and normalised_c = q * a_c + b_c, it is one channel of weights sum_c w_c * a_c and a
 * bias sum_c w_c * b_c. Padding is zero after normalising: an output whose window leaves the image lacks the share of the
 * bias that lies outside, which is taken back there. */
#include "graph/graph.h"
#include <string.h>

/* First and one past the last output whose window lies inside `size` inputs; equal when none does. */
static void inside(int size, int out, const cxr_node *v, int *from, int *to)
{
    *from = (v->pad + v->stride - 1) / v->stride;
    *to = size + v->pad < v->kernel ? 0 : (size + v->pad - v->kernel) / v->stride + 1;
    if (*to > out) *to = out;
    if (*from > *to) *from = *to;
}

cxr_inside cxr_conv_inside(const cxr_graph *g, int conv)
{
    const cxr_node *v = &g->nodes[conv];
    const cxr_shape in = cxr_graph_in_shape(g, conv);
    cxr_inside r;
    inside(in.h, v->shape.h, v, &r.y0, &r.y1);
    inside(in.w, v->shape.w, v, &r.x0, &r.x1);
    if (r.x0 == r.x1) r.y1 = r.y0;
    r.outside = (size_t)v->shape.h * (size_t)v->shape.w - (size_t)(r.y1 - r.y0) * (size_t)(r.x1 - r.x0);
    return r;
}

void cxr_fold_pixel(const cxr_graph *g, int conv, const float *from, double scale, double centre, double *weight,
                    double *constant)
{
    const cxr_node *v = &g->nodes[conv], *norm = &g->nodes[v->in[0]];
    *weight = *constant = 0.0;
    for (size_t c = 0; c < 3; c++) {
        const double w = scale * (double)from[c * (size_t)(v->kernel * v->kernel)] / (double)norm->std[c];
        *weight += w / 255.0;
        *constant += w * (centre / 255.0 - (double)norm->mean[c]);
    }
}

/* Minus the constants of the taps of output (y, x) that lie outside. */
static double lacking(const cxr_graph *g, int conv, int y, int x, const double *constant)
{
    const cxr_node *v = &g->nodes[conv];
    const cxr_shape in = cxr_graph_in_shape(g, conv);
    double sum = 0.0;
    for (int i = 0; i < v->kernel; i++) {
        for (int k = 0; k < v->kernel; k++) {
            const int row = y * v->stride - v->pad + i, column = x * v->stride - v->pad + k;
            if (row < 0 || row >= in.h || column < 0 || column >= in.w) sum -= constant[i * v->kernel + k];
        }
    }
    return sum;
}

bool cxr_fold_grey(const cxr_graph *g, const float *params, int conv, int batchnorm, float *weight, float *bias, float *border)
{
    const cxr_node *v = &g->nodes[conv];
    const size_t taps = (size_t)v->kernel * (size_t)v->kernel, channels = (size_t)v->shape.c;
    const float *from = params + cxr_graph_param(g, conv, CXR_WEIGHT)->offset;
    const cxr_inside in = cxr_conv_inside(g, conv);
    double constant[CXR_GREY_TAPS];
    if (taps > CXR_GREY_TAPS) return false;
    for (size_t o = 0; o < channels; o++) {
        bias[o] = 0.0f;
        const double scale = batchnorm >= 0 ? cxr_fold_scale(g, params, batchnorm, o, &bias[o]) : 1.0;
        double sum = (double)bias[o];
        for (size_t i = 0; i < taps; i++) {
            double q;
            cxr_fold_pixel(g, conv, from + o * 3 * taps + i, scale, 128.0, &q, &constant[i]);
            weight[o * taps + i] = (float)q;
            sum += constant[i];
        }
        bias[o] = (float)sum;
        size_t at = o;
        for (int y = 0; y < v->shape.h; y++) {
            for (int x = 0; x < v->shape.w; x++) {
                if (y >= in.y0 && y < in.y1 && x >= in.x0 && x < in.x1) continue;
                border[at] = (float)lacking(g, conv, y, x, constant);
                at += channels;
            }
        }
    }
    return true;
}

int cxr_graph_fuse_grey(const cxr_graph *g, int first, int last, cxr_fused *groups, int count)
{
    if (count < 2 || g->nodes[first].op != CXR_OP_NORMALIZE || cxr_graph_uses(g, first, first, last) != 1) return count;
    cxr_fused *conv = &groups[1], *pool = &groups[2];
    const cxr_node *v = &g->nodes[conv->node];
    if (v->op != CXR_OP_CONV || v->in[0] != first || conv->add_input >= 0 || v->kernel * v->kernel > CXR_GREY_TAPS)
        return count;
    conv->normalize = first;
    if (count > 2 && conv->relu && g->nodes[pool->node].op == CXR_OP_MAXPOOL && g->nodes[pool->node].in[0] == conv->output &&
        cxr_graph_uses(g, conv->output, first, last) == 1) {
        conv->relu = false;
        pool->relu = true;
    }
    memmove(groups, groups + 1, (size_t)(count - 1) * sizeof *groups);
    return count - 1;
}
