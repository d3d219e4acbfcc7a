#include "eval/features.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/pass.h"
#include <string.h>

typedef struct collector {
    cxr_features *to;
    bool skip;
    const cxr_hooks *hooks;
} collector;

static cxr_status collect(void *user, const cxr_seen *seen)
{
    const collector *c = user;
    c->to->read[seen->index] = seen->outcome->status == CXR_OK;
    if (c->to->read[seen->index])
        memcpy(c->to->values + seen->index * c->to->width, seen->features, c->to->width * sizeof *seen->features);
    else if (c->skip)
        cxr_log(c->hooks, CXR_WARNING, "skipped: %s", seen->outcome->text);
    else
        return seen->outcome->status;
    return CXR_OK;
}

cxr_status cxr_features_of(cxr_features *out, const cxr_model *m, const char *const *paths, size_t count, bool skip,
                           const cxr_run_opts *o, const cxr_hooks *hooks, cxr_error *err)
{
    if (m->next != NULL) return cxr_fail(err, CXR_EUSAGE, "several models joined have no features of their own");
    collector c = {out, skip, hooks};
    *out = (cxr_features){.count = count, .width = cxr_feature_width(m)};
    out->values = cxr_mem_new(count, out->width * sizeof *out->values);
    out->read = cxr_mem_new(count, sizeof *out->read);
    if (out->values == NULL || out->read == NULL) return cxr_mem_fail(err, "features");
    return cxr_pass_over(m, paths, count, &(cxr_pass){.features = true}, o, hooks, collect, &c, err);
}

void cxr_features_free(cxr_features *f)
{
    cxr_mem_free(f->values);
    cxr_mem_free(f->read);
    *f = (cxr_features){0};
}
