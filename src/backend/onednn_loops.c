/* The steps that oneDNN has no primitive for, over plain (n, c, h, w) memory. */
#include "backend/onednn.h"
#include "backend/onednn_plan.h"
#include "base/clones.h"
#include "base/rng.h"
#include <math.h>

/* GNU OpenMP's, on whose team oneDNN runs: a second pool of threads would fight it for the cores. Called by name because clang
 * comes without its own. */
void GOMP_parallel(void (*work)(void *), void *data, unsigned threads, unsigned flags);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
int omp_pause_resource_all(int kind); /* 2: hard, OpenMP 5.0, 3.2.44 */

typedef struct team_job {
    void (*work)(void *ctx, int index, int count);
    void *ctx;
} team_job;

static void team_member(void *data)
{
    const team_job *job = data;
    job->work(job->ctx, omp_get_thread_num(), omp_get_num_threads());
}

int cxr_team_take(int threads)
{
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

void cxr_team_restore(int before)
{
    omp_set_num_threads(before);
}

void cxr_onednn_keep_kernels(int count)
{
    (void)dnnl_set_primitive_cache_capacity(count);
}

void cxr_onednn_settle(void)
{
    (void)omp_pause_resource_all(2);
}

void cxr_team_run(int threads, void (*work)(void *ctx, int index, int count), void *ctx)
{
    team_job job = {work, ctx};
    if (threads == 1)
        work(ctx, 0, 1);
    else
        GOMP_parallel(team_member, &job, (unsigned)threads, 0);
}

static const cxr_node *node_of(const cxr_loop_args *a)
{
    return &a->g->nodes[a->node];
}

static size_t pixels_of(const cxr_loop_args *a)
{
    return (size_t)node_of(a)->shape.h * (size_t)node_of(a)->shape.w;
}

typedef struct pixels_job {
    const uint8_t *pixels;
    float *y;
    size_t n, hw;
    float table[3][256];
} pixels_job;

static void normalize_images(void *ctx, int index, int count)
{
    const pixels_job *job = ctx;
    for (size_t n = (size_t)index; n < job->n; n += (size_t)count)
        for (size_t c = 0; c < 3; c++)
            for (size_t i = 0; i < job->hw; i++)
                job->y[(n * 3 + c) * job->hw + i] = job->table[c][job->pixels[n * job->hw + i]];
}

/* Pixels (n, 1, h, w), 8 bit, to (n, 3, h, w): 256 possible results a channel. */
void cxr_loop_normalize(const cxr_loop_args *a)
{
    const cxr_node *v = node_of(a);
    pixels_job job = {.pixels = a->x[0], .y = a->x[1], .n = (size_t)a->n, .hw = pixels_of(a)};
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 256; i++) job.table[c][i] = (float)(((double)i / 255.0 - (double)v->mean[c]) / (double)v->std[c]);
    cxr_team_run(a->threads, normalize_images, &job);
}

typedef struct dropout_job {
    const float *x;
    float *y, *mask;
    size_t count;
    uint64_t key;
    float rate, scale;
} dropout_job;

/* Six multiplications of 64 bits an element: vectors of them are several times as fast. */
CXR_CLONES("avx512f", "avx2") static void drop(const dropout_job *job, size_t from, size_t to)
{
    const float *restrict x = job->x, rate = job->rate, scale = job->scale;
    float *restrict y = job->y, *restrict mask = job->mask;
    const uint64_t key = job->key;
    for (size_t e = from; e < to; e++) {
        mask[e] = cxr_rng_uniform(key, e) >= rate ? scale : 0.0f;
        y[e] = x[e] * mask[e];
    }
}

static void drop_share(void *ctx, int index, int count)
{
    const dropout_job *job = ctx;
    const size_t each = job->count / (size_t)count;
    drop(job, (size_t)index * each, index + 1 == count ? job->count : ((size_t)index + 1) * each);
}

/* mask is what x is multiplied by: 0 or 1 / (1 - rate). See cxr_dropout_keep(). */
void cxr_loop_dropout(const cxr_loop_args *a)
{
    const float rate = node_of(a)->rate;
    dropout_job job = {.x = a->x[0],
                       .y = a->x[1],
                       .mask = a->x[2],
                       .count = (size_t)a->n * cxr_shape_count(node_of(a)->shape),
                       .key = cxr_rng_key(a->key, CXR_FOR_DROPOUT, 0, (uint64_t)a->node),
                       .rate = rate,
                       .scale = 1.0f / (1.0f - rate)};
    cxr_team_run(a->threads, drop_share, &job);
}

void cxr_loop_dropout_backward(const cxr_loop_args *a)
{
    const float *dy = a->x[0], *mask = a->x[1];
    float *dx = a->x[2];
    const size_t count = (size_t)a->n * cxr_shape_count(node_of(a)->shape);
    for (size_t e = 0; e < count; e++) dx[e] = dy[e] * mask[e];
}

/* x and y: `channels` values, `stride` apart. */
static void logsoftmax_one(float *y, const float *x, size_t channels, size_t stride)
{
    double max = -INFINITY, sum = 0.0;
    for (size_t c = 0; c < channels; c++) max = fmax(max, (double)x[c * stride]);
    for (size_t c = 0; c < channels; c++) sum += exp((double)x[c * stride] - max);
    const double log_sum = max + log(sum);
    for (size_t c = 0; c < channels; c++) y[c * stride] = (float)((double)x[c * stride] - log_sum);
}

void cxr_loop_logsoftmax(const cxr_loop_args *a)
{
    const float *x = a->x[0];
    float *y = a->x[1];
    const size_t hw = pixels_of(a), channels = (size_t)node_of(a)->shape.c;
    for (size_t n = 0; n < (size_t)a->n; n++)
        for (size_t i = 0; i < hw; i++) logsoftmax_one(y + n * channels * hw + i, x + n * channels * hw + i, channels, hw);
}

/* dx = dy - softmax * sum(dy) */
void cxr_loop_logsoftmax_backward(const cxr_loop_args *a)
{
    const float *dy = a->x[0], *y = a->x[1];
    float *dx = a->x[2];
    const size_t hw = pixels_of(a), channels = (size_t)node_of(a)->shape.c;
    for (size_t k = 0; k < (size_t)a->n * hw; k++) {
        const size_t at = k / hw * channels * hw + k % hw;
        double sum = 0.0;
        for (size_t c = 0; c < channels; c++) sum += (double)dy[at + c * hw];
        for (size_t c = 0; c < channels; c++)
            dx[at + c * hw] = (float)((double)dy[at + c * hw] - exp((double)y[at + c * hw]) * sum);
    }
}

/* running = (1 - momentum) * running + momentum * batch's; the variance unbiased, as PyTorch does. */
void cxr_loop_running(const cxr_loop_args *a)
{
    const float *mean = a->x[0], *variance = a->x[1];
    float *running_mean = a->params + cxr_graph_param(a->g, a->node, CXR_BN_MEAN)->offset;
    float *running_variance = a->params + cxr_graph_param(a->g, a->node, CXR_BN_VAR)->offset;
    const double m = (double)node_of(a)->momentum, count = (double)a->n * (double)pixels_of(a);
    const double unbiased = count / (count - 1.0);
    for (int c = 0; c < node_of(a)->shape.c; c++) {
        running_mean[c] = (float)((1.0 - m) * (double)running_mean[c] + m * (double)mean[c]);
        running_variance[c] = (float)((1.0 - m) * (double)running_variance[c] + m * (double)variance[c] * unbiased);
    }
}

void cxr_loop_add_vector(const cxr_loop_args *a)
{
    const float *x = a->x[0];
    float *to = a->x[1];
    for (int c = 0; c < node_of(a)->shape.c; c++) to[c] += x[c];
}

cxr_winograd cxr_winograd_of(const cxr_graph *g, int node, int n, int threads)
{
    const cxr_shape in = cxr_graph_in_shape(g, node);
    return (cxr_winograd){.n = (size_t)n,
                          .in = (size_t)in.c,
                          .out = (size_t)g->nodes[node].shape.c,
                          .h = (size_t)in.h,
                          .w = (size_t)in.w,
                          .threads = threads};
}

void cxr_loop_winograd(const cxr_loop_args *a)
{
    const cxr_winograd c = cxr_winograd_of(a->g, a->node, a->n, a->threads);
    cxr_winograd_forward(&c, a->x[1], a->params + cxr_graph_param(a->g, a->node, CXR_WEIGHT)->offset, a->x[2], a->x[0]);
}

void cxr_loop_winograd_data(const cxr_loop_args *a)
{
    const cxr_winograd c = cxr_winograd_of(a->g, a->node, a->n, a->threads);
    cxr_winograd_data(&c, a->x[1], a->params + cxr_graph_param(a->g, a->node, CXR_WEIGHT)->offset, a->x[2], a->x[0]);
}

void cxr_loop_winograd_weights(const cxr_loop_args *a)
{
    const cxr_winograd c = cxr_winograd_of(a->g, a->node, a->n, a->threads);
    cxr_winograd_weights(&c, a->x[1], a->x[2], a->x[3], a->x[0]);
}
