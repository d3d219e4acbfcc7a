#include "train/optim.h"
#include "base/clones.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

#define BETA1   0.9
#define BETA2   0.999
#define EPSILON 1e-8f

/* Sets what is trained now to the parameters of nodes after `cut`. */
static void set_range(cxr_optim *o, int cut)
{
    const cxr_graph *g = o->graph;
    o->first_param = g->param_count;
    while (o->first_param > 0 && g->params[o->first_param - 1].node > cut) o->first_param--;
    o->first = o->first_param < g->param_count ? g->params[o->first_param].offset : g->float_count;
    o->count = g->float_count - o->first;
}

void cxr_optim_cut(cxr_optim *o, int cut, uint64_t since)
{
    const int before = o->first_param;
    set_range(o, cut);
    for (int i = o->first_param; i < before; i++) o->since[i - o->all_param] = since;
}

cxr_status cxr_optim_open(cxr_optim *o, const cxr_graph *g, int cut, const cxr_train_opts *opts, cxr_error *err)
{
    *o = (cxr_optim){.kind = opts->optimizer, .momentum = opts->momentum, .weight_decay = opts->weight_decay, .graph = g};
    set_range(o, cut);
    o->all_param = o->first_param;
    o->all_first = o->first;
    o->all_count = o->count;
    const size_t params = (size_t)(g->param_count - o->all_param);
    o->m = cxr_mem_new(o->count, sizeof(float));
    o->v = o->kind == CXR_SGD ? NULL : cxr_mem_new(o->count, sizeof(float));
    o->shares = cxr_mem_new(params, sizeof *o->shares);
    o->since = cxr_mem_new(params, sizeof *o->since);
    if (o->m == NULL || (o->v == NULL && o->kind != CXR_SGD) || o->shares == NULL || o->since == NULL) {
        cxr_optim_close(o);
        return cxr_mem_fail(err, "the optimiser's state");
    }
    for (int i = o->all_param; i < g->param_count; i++)
        o->shares[i - o->all_param] = pow((double)opts->layer_decay, cxr_graph_depth(g, g->params[i].node));
    return CXR_OK;
}

void cxr_optim_close(cxr_optim *o)
{
    cxr_mem_free(o->m);
    cxr_mem_free(o->v);
    cxr_mem_free(o->shares);
    cxr_mem_free(o->since);
    *o = (cxr_optim){0};
}

/* One build of the loops for each width of vectors; the loader chooses. Element-wise, so all give the same bits. */
#define CLONES CXR_CLONES("avx512f", "avx2")

/* `steps`: the parameter's own, this one included. */
CLONES static void adam(const cxr_optim *o, const cxr_param *p, float *restrict w, const float *restrict grad, double lr,
                        uint64_t steps)
{
    float *restrict m = o->m + (p->offset - o->all_first), *restrict v = o->v + (p->offset - o->all_first);
    const float step = (float)(lr / (1.0 - pow(BETA1, (double)steps)));
    const float root = (float)sqrt(1.0 - pow(BETA2, (double)steps));
    const bool decoupled = o->kind == CXR_ADAMW, shrinks = decoupled && p->role == CXR_WEIGHT;
    const float shrink = shrinks ? (float)(1.0 - lr * (double)o->weight_decay) : 1.0f;
    const float decay = decoupled ? 0.0f : o->weight_decay;
    const float b1 = (float)(1.0 - BETA1), b2 = (float)BETA2, c2 = (float)(1.0 - BETA2);
    for (size_t i = 0; i < p->count; i++) {
        w[i] *= shrink;
        const float g = grad[i] + decay * w[i];
        m[i] += b1 * (g - m[i]);
        v[i] = b2 * v[i] + c2 * g * g;
        w[i] -= step * m[i] / (sqrtf(v[i]) / root + EPSILON);
    }
}

CLONES static void sgd(const cxr_optim *o, const cxr_param *p, float *restrict w, const float *restrict grad, double lr)
{
    float *restrict velocity = o->m + (p->offset - o->all_first);
    const float rate = (float)lr, decay = o->weight_decay, momentum = o->momentum;
    for (size_t i = 0; i < p->count; i++) {
        velocity[i] = momentum * velocity[i] + grad[i] + decay * w[i];
        w[i] -= rate * velocity[i];
    }
}

void cxr_optim_step(cxr_optim *o, float *params, const float *grads, double lr)
{
    o->steps++;
    for (int i = o->first_param; i < o->graph->param_count; i++) {
        const cxr_param *p = &o->graph->params[i];
        if (!cxr_param_learnable(p)) continue;
        const double rate = lr * o->shares[i - o->all_param];
        if (o->kind == CXR_SGD) {
            sgd(o, p, params + p->offset, grads + p->offset, rate);
        } else {
            adam(o, p, params + p->offset, grads + p->offset, rate, o->steps - o->since[i - o->all_param]);
        }
    }
}

CLONES static void move(float *restrict mean, const float *restrict x, size_t count, float share)
{
    for (size_t i = 0; i < count; i++) mean[i] += share * (x[i] - mean[i]);
}

void cxr_optim_average(const cxr_optim *o, float *mean, const float *params, double share)
{
    if (share == 1.0) {
        memcpy(mean + o->first, params + o->first, o->count * sizeof *mean);
    } else {
        move(mean + o->first, params + o->first, o->count, (float)share);
    }
}

double cxr_ema_share(double decay, uint64_t steps)
{
    const double t = (double)steps, early = (1.0 + t) / (10.0 + t);
    return 1.0 - (early < decay ? early : decay);
}

double cxr_swa_share(int epoch, int epochs, int last)
{
    const int averaged = epoch - (epochs - last);
    return averaged > 1 ? 1.0 / averaged : 1.0;
}

double cxr_optim_clip(const cxr_optim *o, float *grads, double max_norm)
{
    double sum = 0.0;
    for (size_t i = o->first; i < o->first + o->count; i++) sum += (double)grads[i] * (double)grads[i];
    const double norm = sqrt(sum);
    if (max_norm > 0.0 && norm > max_norm) {
        const float scale = (float)(max_norm / (norm + 1e-6));
        for (size_t i = o->first; i < o->first + o->count; i++) grads[i] *= scale;
    }
    return norm;
}

/* From `a` to `b` along half a cosine; x in 0..1. */
static double cosine(double a, double b, double x)
{
    return b + (a - b) * 0.5 * (1.0 + cos(3.14159265358979323846 * x));
}

static double one_cycle(double peak, double t, double steps)
{
    const double rise = 0.3 * steps - 1.0, start = peak / 25.0;
    if (t <= rise) return cosine(start, peak, rise > 0.0 ? t / rise : 1.0);
    const double fall = steps - 1.0 - rise;
    return cosine(peak, start / 1e4, fall > 0.0 ? (t - rise) / fall : 1.0);
}

double cxr_schedule_lr(cxr_schedule kind, double peak, uint64_t t, uint64_t steps)
{
    switch (kind) {
    case CXR_CONSTANT: break;
    case CXR_COSINE: return cosine(peak, 0.0, (double)t / (double)steps);
    case CXR_ONECYCLE: return one_cycle(peak, (double)t, (double)steps);
    }
    return peak;
}
