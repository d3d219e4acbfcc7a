/* Convolutions in 8 bits (Jacob et al. 2018): a value is a count of steps, unsigned behind a ReLU, signed elsewhere; its step is
 * the node's calibrated peak over the largest count. Weights have a step for each output channel and are rounded such that the
 * sums of a kernel's weights stay (as SQuant does, Guo et al. 2022): rounding errors of one sign would shift whole feature maps.
 *
 * The first convolution reads the pixels themselves, normalising folded into its weights. Four neighbouring pixels become the
 * channels of one, so that its stride of 2 becomes 1 and the kernel's channels fill what the processor multiplies at once; four
 * more channels say where the image is, which keeps the padding of normalised values exact. Neighbouring pixels are nearly
 * equal, so its rounding errors are made to cancel between taps that are near each other, and their sum goes to the bias. */
#include "backend/onednn_plan.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 127 /* of a weight, either sign */
#define MARK 117 /* the value that says "image": its weights are then about as large as the pixels' */
#define GREY 120 /* of a pixel, about: the middle of a radiograph */

#define ALIKE 0.95 /* correlation of pixels side by side */

/* The node whose peak decides on the step of a node's value. */
static const cxr_node *measured(const cxr_graph *g, int node)
{
    while (g->nodes[node].op == CXR_OP_MAXPOOL) node = g->nodes[node].in[0];
    return &g->nodes[node];
}

static dnnl_data_type_t type_of(const cxr_graph *g, int node)
{
    return measured(g, node)->op == CXR_OP_RELU ? dnnl_u8 : dnnl_s8;
}

static float step_of(const cxr_graph *g, int node)
{
    const cxr_node *v = measured(g, node);
    return v->peak / (v->op == CXR_OP_RELU ? 255.0f : 127.0f);
}

static bool reads_pixels(const cxr_graph *g, int conv)
{
    return g->nodes[g->nodes[conv].in[0]].op == CXR_OP_NORMALIZE;
}

cxr_status cxr_int8_ready(const cxr_graph *g, int first, int last, bool *yes, cxr_error *err)
{
    bool ready = true;
    for (int i = first; i <= last; i++) {
        const cxr_node *v = &g->nodes[i];
        if (v->op != CXR_OP_CONV) continue;
        if (reads_pixels(g, i)) {
            ready &= v->in[0] >= first && v->stride == 2 && v->kernel % 2 == 1 && v->kernel <= CXR_INT8_KERNEL &&
                     cxr_graph_uses(g, v->in[0], first, last) == 1;
        } else {
            ready &= measured(g, v->in[0])->peak > 0.0f;
        }
    }
    cxr_fused *groups = cxr_mem_new((size_t)(last - first + 1), sizeof *groups);
    if (groups == NULL) return cxr_mem_fail(err, "the list of convolutions");
    const int count = cxr_graph_fuse(g, first, last, groups);
    for (int i = 0; i < count; i++)
        if (g->nodes[groups[i].node].op == CXR_OP_CONV) ready &= g->nodes[groups[i].output].peak > 0.0f;
    cxr_mem_free(groups);
    *yes = ready;
    return CXR_OK;
}

/* ---- Weights ---- */

/* An output channel's weights as real numbers in groups: the kernel of each input channel; all channels of a 1 x 1 kernel; of
 * pixels, those of the pixel and those of the mark. */
typedef struct rows {
    size_t groups, each;
} rows;

static rows rows_of(const cxr_graph *g, int conv)
{
    const size_t taps = (size_t)g->nodes[conv].kernel * (size_t)g->nodes[conv].kernel;
    const size_t channels = (size_t)cxr_graph_in_shape(g, conv).c;
    if (reads_pixels(g, conv)) return (rows){2, taps};
    return taps == 1 ? (rows){1, channels} : (rows){channels, taps};
}

/* from: the channel's canonical weights; scale: batch norm's. */
static void real_row(const cxr_graph *g, int conv, const float *from, double scale, double *row)
{
    const rows r = rows_of(g, conv);
    if (!reads_pixels(g, conv)) {
        for (size_t i = 0; i < r.groups * r.each; i++) row[i] = (double)from[i] * scale;
        return;
    }
    for (size_t i = 0; i < r.each; i++) {
        cxr_fold_pixel(g, conv, from + i, scale, 0.0, &row[i], &row[r.each + i]);
        row[r.each + i] /= MARK;
    }
}

/* The one of `each` weights whose rounding in the direction of `sign` costs least; -1: all are at their limit. */
static int cheapest(const int8_t *q, const double *v, size_t each, int sign)
{
    int best = -1;
    double most = -1.0;
    for (size_t i = 0; i < each; i++) {
        const double left = (v[i] - (double)q[i]) * sign;
        if (left <= most || q[i] * sign >= MOST) continue;
        most = left;
        best = (int)i;
    }
    return best;
}

/* Rounds v, in steps, such that the sum of each group, and what earlier groups lack, stays within half a step. */
static void round_row(int8_t *q, const double *v, rows r)
{
    double lacks = 0.0;
    for (size_t g = 0; g < r.groups; g++, q += r.each, v += r.each) {
        for (size_t i = 0; i < r.each; i++) {
            q[i] = (int8_t)fmax(-MOST, fmin(MOST, nearbyint(v[i])));
            lacks += v[i] - (double)q[i];
        }
        while (fabs(lacks) > 0.5) {
            const int sign = lacks > 0.0 ? 1 : -1, i = cheapest(q, v, r.each, sign);
            if (i < 0) break;
            q[i] = (int8_t)(q[i] + sign);
            lacks -= sign;
        }
    }
}

/* Correlation of the pixels of two taps; `alike` has it by the distance of rows and columns, k x k. */
static double alike_at(const double *alike, int k, int a, int b)
{
    return alike[abs(a / k - b / k) * k + abs(a % k - b % k)];
}

/* The move of one step from a tap to another that lessens most what errors with these slopes cost; false: none does. */
static bool best_move(const int8_t *q, const double *slope, const double *alike, int k, int *up, int *down)
{
    double least = -1e-6;
    *up = -1;
    for (int i = 0; i < k * k; i++)
        for (int j = 0; j < k * k; j++) {
            const double cost = slope[i] - slope[j] + 1.0 - alike_at(alike, k, i, j);
            if (cost >= least || q[i] >= MOST || q[j] <= -MOST) continue;
            least = cost;
            *up = i;
            *down = j;
        }
    return *up >= 0;
}

/* Moves roundings of a k x k kernel of pixels, v in steps, between taps, which keeps its sum, as long as that lessens d' A d: the
 * square of what errors d of weights add to an image whose pixels correlate as A says. */
static void settle(int8_t *q, const double *v, const double *alike, int k)
{
    double slope[CXR_INT8_KERNEL * CXR_INT8_KERNEL] = {0.0};
    int up, down;
    for (int i = 0; i < k * k; i++)
        for (int j = 0; j < k * k; j++) slope[i] += alike_at(alike, k, i, j) * ((double)q[j] - v[j]);
    for (int moves = 0; moves < 4 * k * k && best_move(q, slope, alike, k, &up, &down); moves++) {
        q[up]++;
        q[down]--;
        for (int i = 0; i < k * k; i++) slope[i] += alike_at(alike, k, i, up) - alike_at(alike, k, i, down);
    }
}

/* What rounding takes from a row of pixel and mark where the image is grey. */
static double lost_of(const int8_t *q, const double *v, size_t taps)
{
    double lost = 0.0;
    for (size_t i = 0; i < taps; i++) lost += GREY * (v[i] - (double)q[i]) + MARK * (v[taps + i] - (double)q[taps + i]);
    return lost;
}

/* Rows of pixel and mark, k x k each, to (8, b, b): the weight of pixel (y, x) belongs to block (y / 2, x / 2). */
static void spread(int8_t *to, const int8_t *row, size_t k)
{
    const size_t b = (k + 1) / 2;
    memset(to, 0, 8 * b * b);
    for (size_t part = 0; part < 2; part++)
        for (size_t y = 0; y < k; y++)
            for (size_t x = 0; x < k; x++)
                to[(part * 4 + y % 2 * 2 + x % 2) * b * b + y / 2 * b + x / 2] = row[part * k * k + y * k + x];
}

typedef struct fill_job {
    const cxr_program *p;
    cxr_weight *w;
    int8_t *to;
    double *room; /* of each thread */
    size_t row, spread;
    double alike[CXR_INT8_KERNEL * CXR_INT8_KERNEL];
} fill_job;

/* A row of pixel and mark; returns what its bias lacks, in steps. */
static double fill_pixels(const fill_job *job, int8_t *to, const double *v)
{
    int8_t q[2 * CXR_INT8_KERNEL * CXR_INT8_KERNEL];
    const rows r = rows_of(job->p->g, job->w->node);
    const int k = job->p->g->nodes[job->w->node].kernel;
    round_row(q, v, r);
    settle(q, v, job->alike, k);
    spread(to, q, (size_t)k);
    return lost_of(q, v, r.each);
}

static void fill_rows(void *ctx, int index, int count)
{
    const fill_job *job = ctx;
    const cxr_graph *g = job->p->g;
    const cxr_weight *w = job->w;
    const cxr_param *param = cxr_graph_param(g, w->node, CXR_WEIGHT);
    const size_t channels = (size_t)param->dims[0], each = param->count / channels;
    const double in = reads_pixels(g, w->node) ? 1.0 : (double)step_of(g, g->nodes[w->node].in[0]);
    double *v = job->room + (size_t)index * job->row;
    for (size_t o = (size_t)index; o < channels; o += (size_t)count) {
        float bias = 0.0f;
        const double scale = w->batchnorm >= 0 ? cxr_fold_scale(g, job->p->params, w->batchnorm, o, &bias) : 1.0;
        real_row(g, w->node, job->p->params + param->offset + o * each, scale, v);
        for (size_t i = 0; i < job->row; i++) v[i] *= in / (double)w->steps[o];
        double lost = 0.0;
        if (job->spread > 0)
            lost = fill_pixels(job, job->to + o * job->spread, v);
        else
            round_row(job->to + o * job->row, v, rows_of(g, w->node));
        w->bias[o] = (float)((double)bias / (double)w->steps[o] + lost);
    }
}

dnnl_status_t cxr_int8_fill(const cxr_program *p, cxr_weight *w, int8_t **plain)
{
    const rows r = rows_of(p->g, w->node);
    const size_t k = (size_t)p->g->nodes[w->node].kernel, blocks = (k + 1) / 2 * ((k + 1) / 2);
    fill_job job = {.p = p, .w = w, .row = r.groups * r.each};
    if (reads_pixels(p->g, w->node)) job.spread = 8 * blocks;
    for (size_t i = 0; job.spread > 0 && i < k * k; i++) job.alike[i] = pow(ALIKE, hypot((double)(i / k), (double)(i % k)));
    const size_t each = job.spread > 0 ? job.spread : job.row;
    job.to = cxr_mem_new_raw((size_t)p->g->nodes[w->node].shape.c, each);
    job.room = cxr_mem_new_raw((size_t)p->o.threads * job.row, sizeof *job.room);
    const bool ok = job.to != NULL && job.room != NULL;
    if (ok) cxr_team_run(p->o.threads, fill_rows, &job);
    cxr_mem_free(job.room);
    *plain = job.to;
    return ok ? dnnl_success : dnnl_out_of_memory;
}

/* What one unit of each output channel's sums is worth. */
static bool find_steps(const cxr_program *p, const cxr_fused *group, float *steps)
{
    const cxr_graph *g = p->g;
    const rows r = rows_of(g, group->node);
    const cxr_param *param = cxr_graph_param(g, group->node, CXR_WEIGHT);
    const size_t channels = (size_t)param->dims[0], each = param->count / channels, count = r.groups * r.each;
    const float in = reads_pixels(g, group->node) ? 1.0f : step_of(g, g->nodes[group->node].in[0]);
    double *row = cxr_mem_new(count, sizeof *row);
    for (size_t o = 0; row != NULL && o < channels; o++) {
        float bias;
        double peak = 0.0;
        const double scale = group->batchnorm >= 0 ? cxr_fold_scale(g, p->params, group->batchnorm, o, &bias) : 1.0;
        real_row(g, group->node, p->params + param->offset + o * each, scale, row);
        for (size_t i = 0; i < count; i++) peak = fmax(peak, fabs(row[i]));
        steps[o] = (float)fmax(peak / MOST, (double)CXR_PEAK_MIN) * in;
    }
    cxr_mem_free(row);
    return row != NULL;
}

/* ---- Pixels ---- */

typedef struct pixels_job {
    const uint8_t *x;
    uint8_t *y;
    cxr_shape in;
    int n, pad, rows, columns; /* of blocks */
} pixels_job;

/* A row of blocks from two rows of pixels, NULL being outside. */
static void pack_row(const pixels_job *job, uint8_t *y, const uint8_t *const line[2])
{
    for (int c = 0; c < job->columns; c++, y += 8) {
        for (int k = 0; k < 4; k++) {
            const int x = 2 * c + k % 2 - job->pad;
            const bool inside = line[k / 2] != NULL && x >= 0 && x < job->in.w;
            y[k] = inside ? line[k / 2][x] : 0;
            y[4 + k] = inside ? MARK : 0;
        }
    }
}

static void pack_images(void *ctx, int index, int count)
{
    const pixels_job *job = ctx;
    for (int i = index; i < job->n * job->rows; i += count) {
        const int image = i / job->rows, row = i % job->rows;
        const uint8_t *line[2];
        for (int k = 0; k < 2; k++) {
            const int y = 2 * row + k - job->pad;
            const bool inside = y >= 0 && y < job->in.h;
            line[k] = inside ? job->x + ((size_t)image * (size_t)job->in.h + (size_t)y) * (size_t)job->in.w : NULL;
        }
        pack_row(job, job->y + (size_t)i * (size_t)job->columns * 8, line);
    }
}

static cxr_shape blocks_of(const cxr_graph *g, int conv)
{
    const cxr_node *v = &g->nodes[conv];
    const int more = (v->kernel + 1) / 2 - 1;
    return (cxr_shape){8, v->shape.h + more, v->shape.w + more};
}

static void loop_pack(const cxr_loop_args *a)
{
    const cxr_shape blocks = blocks_of(a->g, a->node);
    pixels_job job = {a->x[0], a->x[1], cxr_graph_in_shape(a->g, a->node), a->n, a->g->nodes[a->node].pad, blocks.h, blocks.w};
    cxr_team_run(a->threads, pack_images, &job);
}

/* ---- Lowering ---- */

static dnnl_memory_desc_t last_channels(int n, cxr_shape s, dnnl_data_type_t type)
{
    const dnnl_dims_t dims = {n, s.c, s.h, s.w};
    dnnl_memory_desc_t md;
    if (dnnl_memory_desc_init_by_tag(&md, 4, dims, type, dnnl_acdb) != dnnl_success) memset(&md, 0, sizeof md);
    return md;
}

static bool is_int8(const cxr_value *x)
{
    return x->md.data_type == dnnl_u8 || x->md.data_type == dnnl_s8;
}

cxr_value cxr_int8_to_f32(cxr_lowering *l, int node, cxr_value x)
{
    if (!is_int8(&x)) return x;
    const dnnl_memory_desc_t md = cxr_md_blocked(l->plan->n, l->p->g->nodes[node].shape);
    return cxr_lower_rescale(l, x, &md, step_of(l->p->g, node));
}

/* The value of a node, counted in its steps. */
static cxr_value counted(cxr_lowering *l, int node, cxr_value x)
{
    if (is_int8(&x)) return x;
    const dnnl_memory_desc_t md = last_channels(l->plan->n, l->p->g->nodes[node].shape, type_of(l->p->g, node));
    return cxr_lower_rescale(l, x, &md, 1.0f / step_of(l->p->g, node));
}

static cxr_value packed(cxr_lowering *l, int conv, cxr_value pixels)
{
    const cxr_value y = cxr_lower_new(l, last_channels(l->plan->n, blocks_of(l->p->g, conv), dnnl_u8));
    cxr_lower_loop(l, loop_pack);
    cxr_lower_arg(l, 0, pixels);
    cxr_lower_arg(l, 0, y);
    return y;
}

/* steps becomes the output's scales. */
static cxr_desc choose_kernel(cxr_lowering *l, const cxr_fused *group, const dnnl_memory_desc_t *x, float *steps)
{
    const int other = group->add_input;
    const cxr_graph *g = l->p->g;
    const cxr_node *v = &g->nodes[group->node];
    const bool first = reads_pixels(g, group->node);
    const dnnl_dim_t k = first ? (v->kernel + 1) / 2 : v->kernel, w_dims[4] = {v->shape.c, x->dims[1], k, k};
    const dnnl_memory_desc_t w = cxr_md_typed(cxr_md_of(4, w_dims, false), dnnl_s8), b = cxr_md_of(1, w_dims, true);
    const dnnl_memory_desc_t y = last_channels(l->plan->n, v->shape, type_of(g, group->output));
    const dnnl_dims_t stride = {first ? 1 : v->stride, first ? 1 : v->stride}, pad = {first ? 0 : v->pad, first ? 0 : v->pad};
    const float out = step_of(g, group->output);
    for (int o = 0; o < v->shape.c; o++) steps[o] /= out;
    dnnl_convolution_desc_t d;
    dnnl_post_ops_t post = NULL;
    dnnl_status_t st = dnnl_convolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_convolution_direct, x, &w, &b, &y,
                                                          stride, pad, pad);
    if (st == dnnl_success) st = dnnl_post_ops_create(&post);
    if (st == dnnl_success && other >= 0) st = dnnl_post_ops_append_sum_v2(post, step_of(g, other) / out, type_of(g, other));
    if (st == dnnl_success && group->relu) st = dnnl_post_ops_append_eltwise(post, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
    cxr_lower_fail(l, st, "the choice of a kernel");
    cxr_desc pd = l->status == CXR_OK ? cxr_lower_scaled(l, &d, post, steps, v->shape.c) : NULL;
    (void)dnnl_post_ops_destroy(post);
    if (pd == NULL) cxr_lower_fail(l, dnnl_unimplemented, "the choice of a kernel");
    return pd;
}

cxr_value cxr_lower_int8(cxr_lowering *l, const cxr_fused *group, cxr_value x, cxr_value other)
{
    const cxr_graph *g = l->p->g;
    float *steps = cxr_mem_new((size_t)g->nodes[group->node].shape.c, 2 * sizeof *steps), *scales;
    if (steps == NULL || !find_steps(l->p, group, steps)) cxr_lower_fail(l, dnnl_out_of_memory, "the plan");
    x = reads_pixels(g, group->node) ? packed(l, group->node, x) : counted(l, g->nodes[group->node].in[0], x);
    if (l->status != CXR_OK) {
        cxr_mem_free(steps);
        return x;
    }
    scales = steps + g->nodes[group->node].shape.c;
    memcpy(scales, steps, (size_t)g->nodes[group->node].shape.c * sizeof *steps);
    cxr_desc pd = choose_kernel(l, group, &x.md, scales);
    const dnnl_memory_desc_t weights = cxr_desc_md(pd, dnnl_query_weights_md), out = cxr_desc_md(pd, dnnl_query_dst_md);
    cxr_value bias = {.buffer = -1};
    const cxr_value w = pd == NULL ? bias : cxr_lower_int8_weight(l, group, &weights, steps, &bias);
    const cxr_value y =
        group->add_input < 0 ? cxr_lower_new(l, out) : (cxr_value){out, counted(l, group->add_input, other).buffer};
    cxr_mem_free(steps);
    cxr_lower_primitive(l, pd);
    cxr_lower_arg(l, DNNL_ARG_SRC, x);
    cxr_lower_arg(l, DNNL_ARG_WEIGHTS, w);
    cxr_lower_arg(l, DNNL_ARG_BIAS, bias);
    cxr_lower_arg(l, DNNL_ARG_DST, y);
    return y;
}
