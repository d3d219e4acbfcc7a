#include "eval/bootstrap.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEED           1 /* fixed: the same predictions have the same intervals */
#define MOST_UNDEFINED (CXR_DRAWS / 20)

/* ---- Clusters ---- */

typedef struct named {
    const char *name;
    size_t image;
} named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static cxr_status number_groups(cxr_clusters *c, const char *const *names, cxr_error *err)
{
    named *sorted = cxr_mem_new(c->n, sizeof *sorted);
    if (sorted == NULL) return cxr_mem_fail(err, "the groups");
    for (size_t i = 0; i < c->n; i++) sorted[i] = (named){names[i], i};
    qsort(sorted, c->n, sizeof *sorted, by_name);
    for (size_t i = 0; i < c->n; i++) {
        c->count += i == 0 || strcmp(sorted[i].name, sorted[i - 1].name) != 0;
        c->of[sorted[i].image] = c->count - 1;
    }
    cxr_mem_free(sorted);
    return CXR_OK;
}

cxr_status cxr_clusters_open(cxr_clusters *c, const char *const *names, size_t n, cxr_error *err)
{
    *c = (cxr_clusters){.n = n};
    if (n > UINT32_MAX) return cxr_fail(err, CXR_ELIMIT, "%zu images are more than intervals are made of", n);
    c->of = cxr_mem_new(n, sizeof *c->of);
    if (c->of == NULL) return cxr_mem_fail(err, "the groups");
    if (names != NULL) return number_groups(c, names, err);
    for (size_t i = 0; i < n; i++) c->of[i] = c->count++;
    return CXR_OK;
}

void cxr_clusters_close(cxr_clusters *c)
{
    cxr_mem_free(c->of);
    *c = (cxr_clusters){0};
}

/* ---- Draws ---- */

typedef struct resampling {
    const cxr_figures *t;
    const cxr_clusters *c;
    double *value;
    double *const *per_class; /* or NULL */
} resampling;

/* What one thread needs for a draw. */
typedef struct worker {
    resampling *r;
    uint32_t *times, *weight; /* of each group; of each image */
    uint64_t *confusion;
    double *of_class[CXR_METRICS]; /* of each class, in one draw; NULL where nobody asks */
} worker;

static void draw(void *user, int number, size_t d)
{
    const worker *w = (const worker *)user + number;
    const cxr_clusters *c = w->r->c;
    const uint64_t key = cxr_rng_key(SEED, CXR_FOR_BOOTSTRAP, d, 0);
    double figures[CXR_METRICS];
    memset(w->times, 0, c->count * sizeof *w->times);
    for (uint32_t g = 0; g < c->count; g++) w->times[cxr_rng_below(key, g, c->count)]++;
    for (size_t i = 0; i < c->n; i++) w->weight[i] = w->times[c->of[i]];
    cxr_figures_measure(w->r->t, w->weight, w->confusion, figures, w->r->per_class != NULL ? w->of_class : NULL);
    for (int f = 0; f < CXR_METRICS; f++) w->r->value[(size_t)f * CXR_DRAWS + d] = figures[f];
    for (int f = 0; w->r->per_class != NULL && f < CXR_METRICS; f++)
        for (int k = 0; w->r->per_class[f] != NULL && k < w->r->t->p->classes; k++)
            w->r->per_class[f][(size_t)k * CXR_DRAWS + d] = w->of_class[f][k];
}

static bool reserve(worker *w, resampling *r)
{
    const size_t classes = (size_t)r->t->p->classes;
    *w = (worker){.r = r,
                  .times = cxr_mem_new(r->c->count, sizeof *w->times),
                  .weight = cxr_mem_new(r->c->n, sizeof *w->weight),
                  .confusion = cxr_mem_new(classes, classes * sizeof *w->confusion)};
    bool ok = w->times != NULL && w->weight != NULL && w->confusion != NULL;
    for (int f = 0; r->per_class != NULL && f < CXR_METRICS && ok; f++) {
        w->of_class[f] = cxr_mem_new(classes, sizeof *w->of_class[f]);
        ok = w->of_class[f] != NULL;
    }
    return ok;
}

cxr_status cxr_bootstrap(double *value, double *const per_class[CXR_METRICS], const cxr_figures *t, const cxr_clusters *c,
                         int threads, cxr_error *err)
{
    resampling r = {.t = t, .c = c, .value = value, .per_class = per_class};
    const int count = cxr_workers(threads, CXR_DRAWS);
    worker *workers = cxr_mem_new((size_t)count, sizeof *workers);
    bool ok = workers != NULL;
    for (int i = 0; i < count && ok; i++) ok = reserve(&workers[i], &r);
    if (ok) cxr_parallel(count, CXR_DRAWS, draw, workers);
    for (int i = 0; i < count && workers != NULL; i++) {
        cxr_mem_free(workers[i].times);
        cxr_mem_free(workers[i].weight);
        cxr_mem_free(workers[i].confusion);
        for (int f = 0; f < CXR_METRICS; f++) cxr_mem_free(workers[i].of_class[f]);
    }
    cxr_mem_free(workers);
    return ok ? CXR_OK : cxr_mem_fail(err, "the bootstrap");
}

/* ---- Percentiles ---- */

/* What is undefined goes to the end. */
static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, int count, double share)
{
    const double place = share * (count - 1), below = floor(place);
    const int i = (int)below, next = i + 1 < count ? i + 1 : i;
    return sorted[i] + (place - below) * (sorted[next] - sorted[i]);
}

void cxr_bootstrap_interval(double *draws, double ci[2])
{
    int count = CXR_DRAWS;
    qsort(draws, CXR_DRAWS, sizeof *draws, by_size);
    while (count > 0 && isnan(draws[count - 1])) count--;
    const bool known = CXR_DRAWS - count <= MOST_UNDEFINED && draws[0] < draws[count - 1];
    ci[0] = known ? percentile(draws, count, 0.025) : (double)NAN;
    ci[1] = known ? percentile(draws, count, 0.975) : (double)NAN;
}
