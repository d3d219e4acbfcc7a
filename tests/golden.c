#include "golden.h"
#include "base/mem.h"
#include "base/rng.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    char name[96];
    size_t count;
    float *values;
} entry;

struct cxr_golden {
    entry *entries;
    size_t count;
};

static void skip_comments(FILE *f)
{
    int c;
    while ((c = fgetc(f)) == '#')
        while (c != '\n' && c != EOF) c = fgetc(f);
    if (c != EOF) (void)ungetc(c, f);
}

static bool read_entry(cxr_golden *g, const char *name, size_t count, FILE *f)
{
    entry *more = cxr_mem_resize(g->entries, g->count + 1, sizeof *more);
    if (more == NULL) return false;
    g->entries = more;
    entry *e = &g->entries[g->count];
    *e = (entry){.count = count, .values = cxr_mem_new(count, sizeof(float))};
    if (e->values == NULL) return false;
    g->count++;
    (void)snprintf(e->name, sizeof e->name, "%s", name);
    for (size_t i = 0; i < count; i++)
        if (fscanf(f, "%f", &e->values[i]) != 1) return false;
    return true;
}

cxr_golden *cxr_golden_open(const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) return NULL;
    cxr_golden *g = cxr_mem_new(1, sizeof *g);
    char name[96];
    size_t count;
    bool good = g != NULL;
    skip_comments(f);
    while (good && fscanf(f, "%95s %zu", name, &count) == 2) good = count < 1000000 && read_entry(g, name, count, f);
    if (!good || !feof(f) || g->count == 0) cxr_golden_close(&g);
    (void)fclose(f);
    return g;
}

void cxr_golden_close(cxr_golden **golden)
{
    cxr_golden *g = *golden;
    for (size_t i = 0; g != NULL && i < g->count; i++) cxr_mem_free(g->entries[i].values);
    if (g != NULL) cxr_mem_free(g->entries);
    cxr_mem_free(g);
    *golden = NULL;
}

const float *cxr_golden_get(const cxr_golden *g, size_t count, const char *name, ...)
{
    char full[96];
    va_list args;
    va_start(args, name);
    (void)vsnprintf(full, sizeof full, name, args);
    va_end(args);
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->entries[i].name, full) == 0) return g->entries[i].count == count ? g->entries[i].values : NULL;
    return NULL;
}

uint64_t cxr_keyed(uint64_t seed, uint64_t index)
{
    return cxr_rng_key(seed, CXR_FOR_TEST, 0, index);
}

void cxr_keyed_fill(float *out, size_t count, uint64_t key, float low, float high)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)((double)low + ((double)high - (double)low) * (double)cxr_rng_uniform(key, i));
}

void cxr_keyed_pixels(uint8_t *out, size_t count, uint64_t key)
{
    for (size_t i = 0; i < count; i++) out[i] = (uint8_t)(cxr_rng_u64(key, i) >> 56);
}

/* The range that a parameter is drawn from: -high..high where low is not set. */
static void keyed_bounds(const cxr_param *p, float *low, float *high)
{
    switch (p->role) {
    case CXR_WEIGHT: *high = (float)sqrt(6.0 * (double)p->dims[0] / (double)p->count); break;
    case CXR_BIAS: *high = 0.1f; break;
    case CXR_BN_WEIGHT: *high = 1.0f; break;
    case CXR_BN_VAR: *high = 1.5f; break;
    case CXR_BN_BIAS:
    case CXR_BN_MEAN: *high = 0.2f; break;
    }
    *low = p->role == CXR_BN_WEIGHT || p->role == CXR_BN_VAR ? 0.5f : -*high;
}

void cxr_keyed_params(const cxr_graph *g, float *params, uint64_t seed)
{
    for (int i = 0; i < g->param_count; i++) {
        const cxr_param *p = &g->params[i];
        float low = 0.0f, high = 0.0f;
        keyed_bounds(p, &low, &high);
        cxr_keyed_fill(params + p->offset, p->count, cxr_keyed(seed, cxr_rng_name(p->name)), low, high);
    }
}

void cxr_summarize(const float *x, size_t count, uint64_t seed, const char *name, float summary[CXR_SUMMARY])
{
    const uint64_t key = cxr_rng_key(seed, CXR_FOR_TEST, 1, cxr_rng_name(name));
    double squares = 0.0, sum = 0.0, dot = 0.0;
    for (size_t i = 0; i < count; i++) {
        squares += (double)x[i] * (double)x[i];
        sum += (double)x[i];
        dot += (double)x[i] * (2.0 * (double)cxr_rng_uniform(key, i) - 1.0);
    }
    summary[0] = (float)sqrt(squares);
    summary[1] = (float)sum;
    summary[2] = (float)dot;
    for (size_t i = 3; i < CXR_SUMMARY; i++) summary[i] = x[cxr_rng_u64(key, count + i) % count];
}

cxr_gap cxr_summary_gap(const float *got, const float *ref, size_t count, double floor)
{
    cxr_gap worst = {.gap = -1.0};
    const double norm = (double)ref[0];
    for (size_t i = 0; i < CXR_SUMMARY; i++) {
        const double size = i < 3 ? norm : norm / sqrt((double)count);
        const double g = (double)got[i], r = (double)ref[i];
        double gap = isfinite(g) && isfinite(r) ? fabs(g - r) / (fabs(r) + size + floor) : (double)INFINITY;
        if (g - r == 0.0) gap = 0.0;
        if (gap > worst.gap || !isfinite(gap)) worst = (cxr_gap){gap, i, g, r};
    }
    return worst;
}
