#include "eval/features.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/pass.h"
#include <string.h>

typedef struct receiver {
    cxr_outcome_fn fn;
    void *user;
} receiver;

static cxr_status hand_on(void *user, const cxr_seen *seen)
{
    const receiver *r = user;
    return r->fn(r->user, seen->index, seen->outcome, seen->features);
}

cxr_status cxr_features_paths(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                              const cxr_hooks *hooks, cxr_outcome_fn fn, void *user, cxr_error *err)
{
    if (m->next != NULL) return cxr_fail(err, CXR_EUSAGE, "several models joined have no features of their own");
    receiver r = {fn, user};
    return cxr_pass_over(m, paths, count, &(cxr_pass){.features = true}, o, hooks, hand_on, &r, err);
}

typedef struct collector {
    cxr_features *to;
    bool skip;
    const cxr_hooks *hooks;
} collector;

static cxr_status collect(void *user, size_t index, const cxr_error *outcome, const float *features)
{
    const collector *c = user;
    c->to->read[index] = outcome->status == CXR_OK;
    if (c->to->read[index])
        memcpy(c->to->values + index * c->to->width, features, c->to->width * sizeof *features);
    else if (c->skip)
        cxr_log(c->hooks, CXR_WARNING, "skipped: %s", outcome->text);
    else
        return outcome->status;
    return CXR_OK;
}

cxr_status cxr_features_of(cxr_features *out, const cxr_model *m, const char *const *paths, size_t count, bool skip,
                           const cxr_run_opts *o, const cxr_hooks *hooks, cxr_error *err)
{
    collector c = {out, skip, hooks};
    *out = (cxr_features){.count = count, .width = cxr_feature_width(m)};
    out->values = cxr_mem_new(count, out->width * sizeof *out->values);
    out->read = cxr_mem_new(count, sizeof *out->read);
    if (out->values == NULL || out->read == NULL) return cxr_mem_fail(err, "features");
    return cxr_features_paths(m, paths, count, o, hooks, collect, &c, err);
}

void cxr_features_free(cxr_features *f)
{
    cxr_mem_free(f->values);
    cxr_mem_free(f->read);
    *f = (cxr_features){0};
}
