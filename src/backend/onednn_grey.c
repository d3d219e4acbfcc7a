/* The first convolution on the grey pixels themselves: normalising is folded into its weights (graph/grey.c). The convolution
 * writes its outputs as if the image went on at the border; a loop of our own then adds what the outputs there lack. */
#include "backend/onednn_plan.h"

/* Few images are done before a second thread has woken up. */
static int team_of(const cxr_loop_args *a)
{
    return a->n < 4 ? 1 : a->threads;
}

/* ---- Pixels ---- */

typedef struct pixels_job {
    const uint8_t *x;
    void *y;
    size_t count;
    bool bf16;
} pixels_job;

/* -128..127 lose nothing in bf16. */
static void shift_pixels(void *ctx, int index, int count)
{
    const pixels_job *job = ctx;
    const size_t end = job->count * ((size_t)index + 1) / (size_t)count;
    for (size_t i = job->count * (size_t)index / (size_t)count; i < end; i++) {
        const float q = (float)((int)job->x[i] - 128);
        if (job->bf16)
            ((uint16_t *)job->y)[i] = cxr_to_bf16(q);
        else
            ((float *)job->y)[i] = q;
    }
}

static void loop_pixels(const cxr_loop_args *a)
{
    const cxr_shape in = cxr_graph_in_shape(a->g, a->node);
    pixels_job job = {a->x[1], a->x[0], (size_t)a->n * (size_t)in.h * (size_t)in.w, a->half};
    cxr_team_run(team_of(a), shift_pixels, &job);
}

/* ---- Border ---- */

typedef struct border_job {
    char *y;             /* (n, channels / lanes, h, w, lanes) */
    const float *border; /* (outputs outside, channels) */
    cxr_shape shape;
    cxr_inside in;
    int n, lanes;
    bool bf16;
} border_job;

static void add_lanes(const border_job *job, size_t at, const float *x)
{
    if (job->bf16) {
        uint16_t *y = (uint16_t *)(void *)job->y + at;
        for (int l = 0; l < job->lanes; l++) y[l] = cxr_to_bf16(cxr_from_bf16(y[l]) + x[l]);
    } else {
        float *y = (float *)(void *)job->y + at;
        for (int l = 0; l < job->lanes; l++) y[l] += x[l];
    }
}

/* One block of channels of one image. */
static void add_block(const border_job *job, size_t image_block, size_t block)
{
    const cxr_inside *in = &job->in;
    const size_t lanes = (size_t)job->lanes, width = (size_t)job->shape.w;
    const size_t start = image_block * (size_t)job->shape.h * width * lanes;
    const float *x = job->border + block * lanes;
    for (int row = 0; row < job->shape.h; row++) {
        const bool across = row >= in->y0 && row < in->y1;
        for (int column = 0; column < job->shape.w; column++) {
            if (across && column >= in->x0 && column < in->x1) continue;
            add_lanes(job, start + ((size_t)row * width + (size_t)column) * lanes, x);
            x += job->shape.c;
        }
    }
}

static void add_border(void *ctx, int index, int count)
{
    const border_job *job = ctx;
    const size_t blocks = (size_t)(job->shape.c / job->lanes);
    for (size_t i = (size_t)index; i < (size_t)job->n * blocks; i += (size_t)count) add_block(job, i, i % blocks);
}

static void loop_border(const cxr_loop_args *a)
{
    border_job job = {a->x[0], a->x[1], a->g->nodes[a->node].shape, cxr_conv_inside(a->g, a->node), a->n, cxr_lanes(), a->half};
    cxr_team_run(team_of(a), add_border, &job);
}

/* ---- Lowering ---- */

bool cxr_lower_grey(cxr_lowering *l, const cxr_fused *group, cxr_value x, cxr_value *y)
{
    cxr_desc pd = cxr_kernel_grey(l);
    if (pd == NULL) return false;
    const dnnl_memory_desc_t md = cxr_desc_md(pd, dnnl_query_weights_md);
    const cxr_value q = cxr_lower_new(l, cxr_desc_md(pd, dnnl_query_src_md));
    cxr_value weight[3];
    cxr_lower_loop(l, loop_pixels);
    cxr_lower_arg(l, 0, q);
    cxr_lower_arg(l, 0, x);
    *y = cxr_lower_new(l, cxr_desc_md(pd, dnnl_query_dst_md));
    cxr_lower_grey_weight(l, group, &md, weight);
    cxr_lower_primitive(l, pd);
    cxr_lower_arg(l, DNNL_ARG_SRC, q);
    cxr_lower_arg(l, DNNL_ARG_WEIGHTS, weight[0]);
    cxr_lower_arg(l, DNNL_ARG_BIAS, weight[1]);
    cxr_lower_arg(l, DNNL_ARG_DST, *y);
    cxr_lower_loop(l, loop_border);
    cxr_lower_arg(l, 0, *y);
    cxr_lower_arg(l, 0, weight[2]);
    return true;
}
