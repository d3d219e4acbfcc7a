/* Starting a network from foreign weights: tensors are matched by torchvision's names, all but the head's. */
#include "base/log.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/parts.h"
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void cxr_name_list_add(cxr_name_list *list, const char *name)
{
    list->count++;
    const size_t room = sizeof list->text - 32; /* keeps space for "and N more" */
    if (list->shown + 1 != list->count || list->len + strlen(name) + 2 > room) return;
    list->len += (size_t)snprintf(list->text + list->len, room - list->len, "%s%s", list->count == 1 ? "" : ", ", name);
    list->shown++;
}

const char *cxr_name_list_text(cxr_name_list *list)
{
    const int more = list->count - list->shown;
    if (more > 0) (void)snprintf(list->text + list->len, sizeof list->text - list->len, " and %d more", more);
    return list->text;
}

static const char *shape_text(char text[128], const int64_t *dims, int rank)
{
    size_t len = (size_t)snprintf(text, 128, "(");
    for (int i = 0; i < rank && len < 100; i++)
        len += (size_t)snprintf(text + len, 128 - len, "%s%" PRId64, i == 0 ? "" : ", ", dims[i]);
    (void)snprintf(text + len, 128 - len, ")");
    return text;
}

cxr_status cxr_model_load_param(cxr_model *m, const cxr_param *p, const cxr_weights *w, const cxr_weight *t, const char *path,
                                cxr_error *err)
{
    int64_t want[4];
    bool same = t->rank == p->rank;
    for (int i = 0; i < p->rank; i++) {
        want[i] = p->dims[i];
        same = same && t->dims[i] == want[i];
    }
    if (!same)
        return cxr_fail(err, CXR_EDATA, "%s: tensor %s has shape %s, the network needs %s", path, p->name,
                        shape_text((char[128]){0}, t->dims, t->rank), shape_text((char[128]){0}, want, p->rank));
    if (t->data == NULL && !t->in_file)
        return cxr_fail(err, CXR_EDATA, "%s: tensor %s holds integers, not floats", path, p->name);
    return cxr_weights_load(w, t, m->params + p->offset, err);
}

static bool is_head(const char *name)
{
    return strncmp(name, "fc.", 3) == 0;
}

bool cxr_is_batch_counter(const char *name)
{
    static const char end[] = ".num_batches_tracked";
    const size_t len = strlen(name), tail = sizeof end - 1;
    return len >= tail && strcmp(name + len - tail, end) == 0;
}

static void warn_unexpected(const cxr_model *m, const cxr_weights *w, const char *path, const cxr_hooks *hooks)
{
    cxr_name_list names = {0};
    for (size_t i = 0; i < w->count; i++) {
        const char *name = w->items[i].name;
        if (is_head(name) || cxr_is_batch_counter(name) || cxr_graph_find_param(&m->graph, name) >= 0) continue;
        cxr_name_list_add(&names, name);
    }
    if (names.count > 0)
        cxr_log(hooks, CXR_WARNING, "%s: %d tensors are not part of %s and were left out: %s", path, names.count, m->arch,
                cxr_name_list_text(&names));
}

static cxr_status load_params(cxr_model *m, const cxr_weights *w, const char *path, const char *allow_missing,
                              const cxr_hooks *hooks, cxr_error *err)
{
    cxr_name_list missing = {0}, random = {0};
    int loaded = 0;
    for (int i = 0; i < m->graph.param_count; i++) {
        const cxr_param *p = &m->graph.params[i];
        if (is_head(p->name)) continue;
        const cxr_weight *tensor = cxr_weights_find(w, p->name);
        if (tensor != NULL) {
            const cxr_status st = cxr_model_load_param(m, p, w, tensor, path, err);
            if (st != CXR_OK) return st;
            loaded++;
        } else {
            const bool allowed = allow_missing != NULL && fnmatch(allow_missing, p->name, 0) == 0;
            cxr_name_list_add(allowed ? &random : &missing, p->name);
        }
    }
    if (missing.count > 0)
        return cxr_fail(err, CXR_EDATA, "%s: %d tensors that %s needs are missing: %s", path, missing.count, m->arch,
                        cxr_name_list_text(&missing));
    if (random.count > 0)
        cxr_log(hooks, CXR_WARNING, "%s: %d missing tensors start from random values: %s", path, random.count,
                cxr_name_list_text(&random));
    cxr_log(hooks, CXR_INFO, "%s: %d tensors loaded into %s", path, loaded, m->arch);
    return CXR_OK;
}

/* Random values for what `w` will not overwrite: drawing them for everything takes longer than loading it. */
static cxr_status init_rest(cxr_model *m, const cxr_weights *w, uint64_t seed, cxr_error *err)
{
    bool *rest = cxr_mem_new((size_t)m->graph.param_count, sizeof *rest);
    if (rest == NULL) return cxr_mem_fail(err, "the list of parameters");
    for (int i = 0; i < m->graph.param_count; i++) {
        const char *name = m->graph.params[i].name;
        rest[i] = is_head(name) || cxr_weights_find(w, name) == NULL;
    }
    cxr_params_init(&m->graph, m->params, seed, rest);
    cxr_mem_free(rest);
    return CXR_OK;
}

/* seed: of a model that is blank so far; NULL: what the file lacks keeps its values. */
static cxr_status load(cxr_model *m, const char *path, const char *allow_missing, const uint64_t *seed, const cxr_hooks *hooks,
                       cxr_error *err)
{
    cxr_weights w;
    cxr_status st = cxr_weights_open(&w, path, err);
    if (st == CXR_OK && seed != NULL) st = init_rest(m, &w, *seed, err);
    if (st == CXR_OK) st = load_params(m, &w, path, allow_missing, hooks, err);
    if (st == CXR_OK) warn_unexpected(m, &w, path, hooks);
    cxr_weights_free(&w);
    return st;
}

cxr_status cxr_model_load_backbone(cxr_model *m, const char *path, const char *allow_missing, const cxr_hooks *hooks,
                                   cxr_error *err)
{
    return load(m, path, allow_missing, NULL, hooks, err);
}

cxr_status cxr_model_start(cxr_model **out, const cxr_train_opts *o, const char *const *classes, int count,
                           const cxr_hooks *hooks, cxr_error *err)
{
    if (o->weights == NULL) return cxr_model_build(out, o, classes, count, err);
    cxr_status st = cxr_model_blank(out, o, classes, count, err);
    if (st == CXR_OK) st = load(*out, o->weights, o->allow_missing, &o->seed, hooks, err);
    if (st != CXR_OK) cxr_model_close(out);
    return st;
}
