#include "eval/scope_fit.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/judge.h"
#include "eval/pass.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The Gaussian ---- */

static void mean_of(double *mean, const float *x, size_t count, size_t width)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < width; j++) mean[j] += (double)x[i * width + j];
    for (size_t j = 0; j < width; j++) mean[j] /= (double)count;
}

/* The lower triangle; rows of it in parallel would gain little: 2,000 images of 512 take 0.3 s. */
static void covariance_of(double *c, const double *mean, const float *x, size_t count, size_t width, double *row)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < width; j++) row[j] = (double)x[i * width + j] - mean[j];
        for (size_t j = 0; j < width; j++)
            for (size_t k = 0; k <= j; k++) c[j * width + k] += row[j] * row[k];
    }
    for (size_t j = 0; j < width * width; j++) c[j] /= (double)count - 1.0;
}

static double trace_of(const double *c, size_t width)
{
    double sum = 0.0;
    for (size_t j = 0; j < width; j++) sum += c[j * width + j];
    return sum;
}

/* What LAPACK leaves: values rise, and vectors are the rows. `c` is destroyed. */
typedef struct eigen {
    double *values, *vectors;
    lapack_int *support;
} eigen;

/* The largest `axes` of them. A row-major lower triangle is LAPACK's upper one; its columns are rows here. */
static cxr_status solve(const eigen *e, double *c, int width, int axes, cxr_error *err)
{
    lapack_int found = 0;
    if (axes == 0) return CXR_OK;
    const lapack_int code = LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'U', width, c, width, 0.0, 0.0, width - axes + 1, width,
                                           0.0, &found, e->values, e->vectors, width, e->support);
    if (code == LAPACK_WORK_MEMORY_ERROR) return cxr_mem_fail(err, "eigenvectors");
    if (code != 0 || found != axes)
        return cxr_fail(err, CXR_EINTERNAL, "LAPACK found %d of %d eigenvectors (%d)", (int)found, axes, (int)code);
    return CXR_OK;
}

/* What is left beyond the axes, spread evenly. A millionth of the whole at least: a few images may leave nothing. */
static double rest_of(const cxr_scope *s, const eigen *e, double trace)
{
    double along = 0.0;
    const int others = s->width - s->axes;
    for (int k = 0; k < s->axes; k++) along += e->values[k];
    return fmax((trace - along) / (others > 0 ? others : 1), 1e-6 * trace / s->width);
}

static void describe(cxr_scope *s, const double *mean, const eigen *e, double trace)
{
    const size_t width = (size_t)s->width, axes = (size_t)s->axes;
    for (size_t j = 0; j < width; j++) s->mean[j] = (float)mean[j];
    for (size_t k = 0; k < axes; k++) {
        const size_t from = axes - 1 - k; /* the largest first */
        s->variance[k] = (float)fmax(e->values[from], 1e-6 * trace / s->width);
        for (size_t j = 0; j < width; j++) s->axis[k * width + j] = (float)e->vectors[from * width + j];
    }
    s->rest = (float)rest_of(s, e, trace);
}

cxr_status cxr_scope_describe(cxr_scope **out, const float *features, size_t count, size_t width, int axes, cxr_error *err)
{
    *out = NULL;
    if (count < CXR_SCOPE_LEAST) return CXR_OK;
    const size_t most = count / 4 < width - 1 ? count / 4 : width - 1, kept = (size_t)axes < most ? (size_t)axes : most;
    double *mean = cxr_mem_new(width, sizeof *mean), *c = cxr_mem_new(width * width, sizeof *c);
    double *row = cxr_mem_new(width, sizeof *row);
    const eigen e = {cxr_mem_new(width, sizeof *e.values), cxr_mem_new(width * kept, sizeof *e.vectors),
                     cxr_mem_new(2 * kept, sizeof *e.support)};
    const bool room = mean != NULL && c != NULL && row != NULL && e.values != NULL && e.vectors != NULL && e.support != NULL;
    cxr_status st = room ? CXR_OK : cxr_mem_fail(err, "a covariance");
    double trace = 0.0;
    if (st == CXR_OK) {
        mean_of(mean, features, count, width);
        covariance_of(c, mean, features, count, width, row);
        trace = trace_of(c, width);
    }
    const bool varies = trace > 1e-12 && trace < 1e24; /* else numbers leave the file's range */
    if (st == CXR_OK && varies) st = solve(&e, c, (int)width, (int)kept, err);
    if (st == CXR_OK && varies) st = cxr_scope_new(out, (int)width, (int)kept, err);
    if (st == CXR_OK && varies) describe(*out, mean, &e, trace);
    cxr_mem_free(mean);
    cxr_mem_free(c);
    cxr_mem_free(row);
    cxr_mem_free(e.values);
    cxr_mem_free(e.vectors);
    cxr_mem_free(e.support);
    return st;
}

/* ---- Limits ---- */

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double cxr_scope_quantile(double *values, size_t n, double share)
{
    qsort(values, n, sizeof *values, rising);
    const double rank = ceil(((double)n + 1.0) * (1.0 - share) - 1e-9);
    return values[rank < (double)n ? (size_t)rank - 1 : n - 1];
}

enum { COLOUR, ASPECT, CONTRAST, PAGE, INVERTED, TURNED, OVER, DISTANCE, MEASURES };

/* Every measure of one image, signed so that too much is beyond. */
static void measure(double out[MEASURES], const cxr_scope *s, const cxr_seen *seen)
{
    const cxr_look *l = seen->look;
    const cxr_pose pose = cxr_pose_of(l, s->picture);
    out[COLOUR] = (double)l->colour;
    out[ASPECT] = (double)l->aspect;
    out[CONTRAST] = -(double)l->contrast;
    out[PAGE] = (double)l->page;
    out[INVERTED] = -pose.upright;
    out[TURNED] = pose.turned;
    out[OVER] = pose.over;
    out[DISTANCE] = cxr_scope_distance(s, seen->features);
}

/* A bound gives way to the images that were held back. */
static void set_limits(cxr_scope *s, double *values[MEASURES], size_t n)
{
    cxr_bounds *b = &s->bounds;
    double q[MEASURES];
    for (int i = 0; i < MEASURES; i++)
        q[i] = cxr_scope_quantile(values[i], n, i == DISTANCE ? CXR_SCOPE_ABSTAIN : CXR_SCOPE_FALSE);
    cxr_bounds_default(b);
    b->colour = fmax(b->colour, q[COLOUR]);
    b->aspect = fmax(b->aspect, q[ASPECT]);
    b->contrast = fmin(b->contrast, -q[CONTRAST]);
    b->page = fmax(b->page, q[PAGE]);
    b->inverted = fmin(b->inverted, -q[INVERTED]);
    b->turned = fmax(b->turned, q[TURNED]);
    b->over = fmax(b->over, q[OVER]);
    s->limit = fmax(q[DISTANCE], 1e-30);
}

/* ---- Images ---- */

/* The training images' features and the sum of their thumbnails, each of mean 0 and deviation 1. */
typedef struct training {
    float *features;
    size_t count, width;
    double picture[CXR_LOOK_PIXELS];
} training;

static void add_picture(double to[CXR_LOOK_PIXELS], const cxr_look *look)
{
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < CXR_LOOK_PIXELS; i++) sum += look->small[i];
    const double mean = sum / CXR_LOOK_PIXELS;
    for (int i = 0; i < CXR_LOOK_PIXELS; i++) squares += (look->small[i] - mean) * (look->small[i] - mean);
    const double deviation = sqrt(squares / CXR_LOOK_PIXELS);
    for (int i = 0; deviation > 0.0 && i < CXR_LOOK_PIXELS; i++) to[i] += (look->small[i] - mean) / deviation;
}

static cxr_status take_training(void *user, const cxr_seen *seen)
{
    training *t = user;
    if (seen->outcome->status != CXR_OK) return CXR_OK;
    memcpy(t->features + t->count++ * t->width, seen->features, t->width * sizeof *t->features);
    add_picture(t->picture, seen->look);
    return CXR_OK;
}

/* Spread over all grey levels. */
static void keep_picture(cxr_scope *s, const double sum[CXR_LOOK_PIXELS])
{
    double low = sum[0], high = sum[0];
    for (int i = 1; i < CXR_LOOK_PIXELS; i++) {
        low = fmin(low, sum[i]);
        high = fmax(high, sum[i]);
    }
    for (int i = 0; i < CXR_LOOK_PIXELS; i++)
        s->picture[i] = (uint8_t)lround(high > low ? 255.0 * (sum[i] - low) / (high - low) : 0.0);
}

static const cxr_pass wanted = {.features = true, .looks = true};

static cxr_status fit_training(cxr_scope **out, const cxr_model *m, const char *const *paths, size_t count,
                               const cxr_run_opts *o, const cxr_hooks *hooks, cxr_error *err)
{
    const size_t n = count < CXR_SCOPE_IMAGES ? count : CXR_SCOPE_IMAGES;
    training t = {.width = cxr_feature_width(m)};
    uint32_t *order = cxr_mem_new(count, sizeof *order);
    const char **some = cxr_mem_new(n, sizeof *some);
    t.features = cxr_mem_new(n, t.width * sizeof *t.features);
    cxr_status st = CXR_OK;
    if (order == NULL || some == NULL || t.features == NULL) {
        st = cxr_mem_fail(err, "features");
    } else {
        cxr_rng_permutation(cxr_rng_key(0, CXR_FOR_SCOPE, 0, 0), order, (uint32_t)count);
        for (size_t i = 0; i < n; i++) some[i] = paths[order[i]];
        st = cxr_pass_over(m, some, n, &wanted, o, hooks, take_training, &t, err);
    }
    if (st == CXR_OK) st = cxr_scope_describe(out, t.features, t.count, t.width, CXR_SCOPE_AXES, err);
    if (st == CXR_OK && *out != NULL) {
        (*out)->images = (int64_t)t.count;
        keep_picture(*out, t.picture);
    }
    cxr_mem_free(t.features);
    cxr_mem_free(order);
    cxr_mem_free(some);
    return st;
}

typedef struct held {
    const cxr_scope *scope;
    double *values[MEASURES];
    size_t count;
} held;

static cxr_status take_held(void *user, const cxr_seen *seen)
{
    held *h = user;
    double x[MEASURES];
    if (seen->outcome->status != CXR_OK) return CXR_OK;
    measure(x, h->scope, seen);
    for (int i = 0; i < MEASURES; i++) h->values[i][h->count] = x[i];
    h->count++;
    return CXR_OK;
}

static cxr_status fit_limits(cxr_scope *s, const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                             const cxr_hooks *hooks, cxr_error *err)
{
    held h = {.scope = s};
    double *all = cxr_mem_new(count, MEASURES * sizeof *all);
    if (all == NULL) return cxr_mem_fail(err, "distances");
    for (size_t i = 0; i < MEASURES; i++) h.values[i] = all + i * count;
    const cxr_status st = cxr_pass_over(m, paths, count, &wanted, o, hooks, take_held, &h, err);
    s->held = (int64_t)h.count;
    if (st == CXR_OK && h.count > 0) set_limits(s, h.values, h.count);
    cxr_mem_free(all);
    return st;
}

cxr_status cxr_scope_fit(cxr_scope **out, const cxr_model *m, const char *const *train, size_t train_count,
                         const char *const *held_paths, size_t held_count, const cxr_run_opts *o, const cxr_hooks *hooks,
                         cxr_error *err)
{
    cxr_run_opts run = *o;
    run.precision = CXR_PRECISION_F32;
    *out = NULL;
    if (train_count > UINT32_MAX) return cxr_fail(err, CXR_ELIMIT, "%zu images at once, limit %u", train_count, UINT32_MAX);
    cxr_status st = fit_training(out, m, train, train_count, &run, hooks, err);
    if (st == CXR_OK && *out != NULL) st = fit_limits(*out, m, held_paths, held_count, &run, hooks, err);
    const bool none = st != CXR_OK || (*out != NULL && (*out)->held == 0);
    if (none) cxr_scope_free(out);
    if (*out != NULL)
        cxr_log(hooks, CXR_INFO, "abstaining beyond %.0f, of %lld training and %lld validation images", (*out)->limit,
                (long long)(*out)->images, (long long)(*out)->held);
    else if (st == CXR_OK)
        cxr_log(hooks, CXR_WARNING, "too few images, or too much alike, to say when to abstain");
    return st;
}
