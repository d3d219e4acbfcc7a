/* Building a model and answering about it. Its file is model_file.c, its start from foreign weights backbone.c. */
#include "model/model.h"
#include "base/mem.h"
#include "model/parts.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const cxr_rule_names[] = {"squash", "fit", "crop"};

static cxr_status check_preprocess(const cxr_preprocess *p, cxr_error *err)
{
    if (p->size < CXR_INPUT_LEAST || p->size > CXR_INPUT_MOST)
        return cxr_fail(err, CXR_EUSAGE, "input size %d is not in %d..%d", p->size, CXR_INPUT_LEAST, CXR_INPUT_MOST);
    if (p->rule != CXR_RESIZE_SQUASH && p->rule != CXR_RESIZE_FIT && p->rule != CXR_RESIZE_CROP)
        return cxr_fail(err, CXR_EUSAGE, "unknown resize rule %d", (int)p->rule);
    for (int i = 0; i < 3; i++)
        if (!((double)p->std[i] >= CXR_STD_LEAST && (double)p->std[i] <= CXR_STD_MOST &&
              fabs((double)p->mean[i]) <= CXR_MEAN_MOST))
            return cxr_fail(err, CXR_EUSAGE, "mean %g and standard deviation %g of channel %d cannot normalise",
                            (double)p->mean[i], (double)p->std[i], i);
    return CXR_OK;
}

static cxr_status check_network(const cxr_train_opts *o, int classes, cxr_error *err)
{
    if (o->head_count < 0 || o->head_count > CXR_MAX_HEAD)
        return cxr_fail(err, CXR_EUSAGE, "a head of %d hidden layers: at most %d", o->head_count, CXR_MAX_HEAD);
    for (int i = 0; i < o->head_count; i++)
        if (o->head[i] < 1 || o->head[i] > CXR_WIDTH_MOST)
            return cxr_fail(err, CXR_EUSAGE, "head width %d is not in 1..%d", o->head[i], CXR_WIDTH_MOST);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return cxr_fail(err, CXR_EUSAGE, "dropout %g is not in [0, 1)", (double)o->dropout);
    if (classes < 2 || classes > CXR_CLASSES_MAX)
        return cxr_fail(err, CXR_EUSAGE, "%d classes: 2 to %d are possible", classes, CXR_CLASSES_MAX);
    return check_preprocess(&o->preprocess, err);
}

static cxr_status copy_class(cxr_model *m, const char *name, cxr_error *err)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%d", m->class_count);
    if (name == NULL) name = number;
    json_t *valid = json_string(name);
    json_decref(valid);
    if (name[0] == '\0' || valid == NULL)
        return cxr_fail(err, CXR_EDATA, "the name of class %d is empty or not UTF-8", m->class_count);
    for (int i = 0; i < m->class_count; i++)
        if (strcmp(m->classes[i], name) == 0) return cxr_fail(err, CXR_EDATA, "two classes are called %s", name);
    m->classes[m->class_count] = cxr_mem_strdup(name);
    if (m->classes[m->class_count] == NULL) return cxr_mem_fail(err, "class names");
    m->class_count++;
    return CXR_OK;
}

static cxr_status copy_classes(cxr_model *m, const char *const *names, int count, cxr_error *err)
{
    m->classes = cxr_mem_new((size_t)count, sizeof *m->classes);
    cxr_status st = m->classes == NULL ? cxr_mem_fail(err, "class names") : CXR_OK;
    for (int i = 0; i < count && st == CXR_OK; i++) st = copy_class(m, names == NULL ? NULL : names[i], err);
    return st;
}

cxr_status cxr_model_graph(cxr_graph *out, const cxr_model *m, int size, cxr_error *err)
{
    cxr_preprocess pre = m->preprocess;
    pre.size = size;
    const cxr_status st = cxr_graph_resnet(out, m->arch, &pre, err);
    return st != CXR_OK ? st : cxr_graph_head(out, m->head, m->head_count, m->dropout, m->class_count, err);
}

static cxr_status build_graph(cxr_model *m, const cxr_train_opts *o, int classes, cxr_error *err)
{
    int cut;
    (void)snprintf(m->arch, sizeof m->arch, "%s", o->arch);
    (void)snprintf(m->freeze, sizeof m->freeze, "%s", o->freeze);
    memcpy(m->head, o->head, sizeof m->head);
    m->head_count = o->head_count;
    m->dropout = o->dropout;
    m->preprocess = o->preprocess;
    m->positive = classes == 2 ? 1 : -1;
    m->threshold = 0.5;
    m->rule_out = m->rule_in = (double)NAN;
    m->temperature = 1.0;
    cxr_status st = cxr_model_graph(&m->graph, m, o->preprocess.size, err);
    if (st == CXR_OK) st = cxr_graph_cut(&m->graph, o->freeze, &cut, err);
    if (st != CXR_OK) return st;
    m->params = cxr_params_new(&m->graph);
    return m->params == NULL ? cxr_mem_fail(err, "the network's parameters") : CXR_OK;
}

cxr_status cxr_model_blank(cxr_model **out, const cxr_train_opts *o, const char *const *classes, int count, cxr_error *err)
{
    *out = NULL;
    cxr_status st = check_network(o, count, err);
    if (st != CXR_OK) return st;
    cxr_model *m = cxr_mem_new(1, sizeof *m);
    if (m == NULL) return cxr_mem_fail(err, "a model");
    st = copy_classes(m, classes, count, err);
    if (st == CXR_OK) st = build_graph(m, o, count, err);
    if (st != CXR_OK) {
        cxr_model_close(&m);
        return st;
    }
    *out = m;
    return CXR_OK;
}

cxr_status cxr_model_build(cxr_model **out, const cxr_train_opts *o, const char *const *classes, int count, cxr_error *err)
{
    cxr_train_opts final = *o; /* a model is what the last phase of its training makes of it */
    const char *comma = o->freeze == NULL ? NULL : strrchr(o->freeze, ',');
    if (comma != NULL) final.freeze = comma + 1;
    const cxr_status st = cxr_model_blank(out, &final, classes, count, err);
    if (st == CXR_OK) cxr_params_init(&(*out)->graph, (*out)->params, o->seed, NULL);
    return st;
}

cxr_status cxr_model_new(cxr_model **out, const cxr_train_opts *opts, int classes, cxr_error *err)
{
    return cxr_model_build(out, opts, NULL, classes, err);
}

void cxr_model_close(cxr_model **model)
{
    if (model == NULL || *model == NULL) return;
    cxr_model *m = *model;
    *model = NULL;
    cxr_model_close(&m->next);
    for (int i = 0; i < m->class_count; i++) cxr_mem_free(m->classes[i]);
    cxr_mem_free(m->classes);
    cxr_scope_free(&m->scope);
    cxr_mem_free(m->receipt);
    cxr_mem_free(m->path);
    cxr_mem_free(m->params);
    cxr_graph_free(&m->graph);
    cxr_mem_free(m);
}

int cxr_model_class_count(const cxr_model *model)
{
    return model->class_count;
}

const char *cxr_model_class_name(const cxr_model *model, int index)
{
    return index >= 0 && index < model->class_count ? model->classes[index] : NULL;
}

const cxr_preprocess *cxr_model_preprocess(const cxr_model *model)
{
    return &model->preprocess;
}

double cxr_model_threshold(const cxr_model *model)
{
    return model->threshold;
}

double cxr_model_temperature(const cxr_model *model)
{
    return model->temperature;
}

int cxr_feature_node(const cxr_model *m)
{
    int node = m->graph.node_count - 1;
    while (m->graph.nodes[node].op != CXR_OP_AVGPOOL) node--; /* every network has one */
    return node;
}

size_t cxr_feature_width(const cxr_model *m)
{
    return cxr_shape_count(m->graph.nodes[cxr_feature_node(m)].shape);
}

static const char *class_list(const cxr_model *m, char *out, size_t room)
{
    size_t used = 0;
    for (int c = 0; c < m->class_count && used < room; c++)
        used += (size_t)snprintf(out + used, room - used, "%s%s", c > 0 ? ", " : "", m->classes[c]);
    return out;
}

cxr_status cxr_model_match(const cxr_model *m, const cxr_model *other, const char *called, cxr_error *err)
{
    char mine[200], theirs[200];
    const char *path = m->path == NULL ? "the model" : m->path;
    const cxr_preprocess *p = &m->preprocess, *q = &other->preprocess;
    bool same = m->class_count == other->class_count;
    for (int c = 0; same && c < m->class_count; c++) same = strcmp(m->classes[c], other->classes[c]) == 0;
    if (!same)
        return cxr_fail(err, CXR_EDATA, "%s: its classes are %s, those of %s %s", path, class_list(m, mine, sizeof mine),
                        called, class_list(other, theirs, sizeof theirs));
    if (p->rule != q->rule || p->size != q->size)
        return cxr_fail(err, CXR_EDATA, "%s: its images are %d pixels wide by %s, those of %s %d by %s", path, p->size,
                        cxr_rule_names[p->rule], called, q->size, cxr_rule_names[q->rule]);
    return CXR_OK;
}

cxr_status cxr_model_join(cxr_model *model, cxr_model **other, cxr_error *err)
{
    const cxr_status st = cxr_model_match(*other, model, model->path == NULL ? "the other model" : model->path, err);
    if (st != CXR_OK) return st;
    cxr_model **last = &model->next;
    double members = 1.0, joining = 1.0;
    for (; *last != NULL; last = &(*last)->next) members++;
    for (const cxr_model *m = (*other)->next; m != NULL; m = m->next) joining++;
    model->threshold = (members * model->threshold + joining * (*other)->threshold) / (members + joining);
    model->rule_out = (members * model->rule_out + joining * (*other)->rule_out) / (members + joining);
    model->rule_in = (members * model->rule_in + joining * (*other)->rule_in) / (members + joining);
    *last = *other;
    *other = NULL;
    return CXR_OK;
}

int cxr_decide(const float *probability, int classes, int positive, double threshold)
{
    if (classes == 2 && positive >= 0) return (double)probability[positive] >= threshold ? positive : 1 - positive;
    int best = 0;
    for (int k = 1; k < classes; k++)
        if (probability[k] > probability[best]) best = k;
    return best;
}

void cxr_model_summary(const cxr_model *model, void (*row)(void *user, const cxr_layer *layer), void *user)
{
    const cxr_graph *g = &model->graph;
    int cut = -1;
    if (cxr_graph_cut(g, model->freeze, &cut, NULL) != CXR_OK) return; /* cannot be: build checked it */
    for (int i = 0; i < g->node_count; i++) {
        const cxr_node *n = &g->nodes[i];
        cxr_layer layer = {.name = n->name,
                           .kind = cxr_op_name(n->op),
                           .shape = {n->shape.c, n->shape.h, n->shape.w},
                           .gflop = cxr_graph_flop(g, i) / 1e9};
        for (int p = n->first_param; p < n->first_param + n->param_count; p++)
            if (cxr_param_learnable(&g->params[p])) layer.parameters += g->params[p].count;
        layer.trainable = i > cut && layer.parameters > 0;
        row(user, &layer);
    }
}
