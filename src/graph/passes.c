#include "graph/graph.h"
#include <math.h>
#include <string.h>

/* The last node whose name is `stage` or begins with "stage."; -1: none. */
static int last_of_stage(const cxr_graph *g, const char *stage)
{
    const size_t len = strlen(stage);
    int last = -1;
    for (int i = 0; i < g->node_count; i++) {
        const char *name = g->nodes[i].name;
        if (strncmp(name, stage, len) == 0 && (name[len] == '.' || name[len] == '\0')) last = i;
    }
    return last;
}

int cxr_graph_depth(const cxr_graph *g, int node)
{
    static const char *const before[] = {"avgpool", "layer3", "layer2", "layer1", "maxpool"};
    int depth = 0;
    while (depth < 5 && node <= last_of_stage(g, before[depth])) depth++;
    return depth;
}

/* Each way to freeze, and the stage that it ends behind, from the input on. */
static const char *const cuts[][2] = {{"none", "normalize"}, {"layer1", "layer1"}, {"layer2", "layer2"},
                                      {"layer3", "layer3"},  {"layer4", "layer4"}, {"backbone", "avgpool"}};

int cxr_graph_frozen(const char *freeze)
{
    for (int i = 0; i < (int)(sizeof cuts / sizeof cuts[0]); i++)
        if (strcmp(freeze, cuts[i][0]) == 0) return i;
    return -1;
}

cxr_status cxr_graph_cut(const cxr_graph *g, const char *freeze, int *last, cxr_error *err)
{
    const int frozen = cxr_graph_frozen(freeze);
    *last = frozen < 0 ? -1 : last_of_stage(g, cuts[frozen][1]);
    if (*last >= 0) return CXR_OK;
    return cxr_fail(err, CXR_EUSAGE, "cannot freeze \"%s\": backbone, layer1, layer2, layer3, layer4 or none", freeze);
}

double cxr_fold_scale(const cxr_graph *g, const float *params, int batchnorm, size_t channel, float *bias)
{
    const float *at = params + channel;
    const double gamma = (double)at[cxr_graph_param(g, batchnorm, CXR_BN_WEIGHT)->offset];
    const double beta = (double)at[cxr_graph_param(g, batchnorm, CXR_BN_BIAS)->offset];
    const double mean = (double)at[cxr_graph_param(g, batchnorm, CXR_BN_MEAN)->offset];
    const double var = (double)at[cxr_graph_param(g, batchnorm, CXR_BN_VAR)->offset];
    const double scale = gamma / sqrt(var + (double)g->nodes[batchnorm].epsilon);
    *bias = (float)(beta - mean * scale);
    return scale;
}

void cxr_fold_batchnorm(const cxr_graph *g, const float *params, int conv, int batchnorm, float *weight, float *bias)
{
    const cxr_param *w = cxr_graph_param(g, conv, CXR_WEIGHT);
    const float *from = params + w->offset;
    const size_t out = (size_t)w->dims[0], each = w->count / out;
    for (size_t o = 0; o < out; o++) {
        const double scale = cxr_fold_scale(g, params, batchnorm, o, &bias[o]);
        for (size_t i = 0; i < each; i++) weight[o * each + i] = (float)((double)from[o * each + i] * scale);
    }
}

int cxr_graph_uses(const cxr_graph *g, int node, int first, int last)
{
    int uses = 0;
    for (int i = first; i <= last; i++) uses += (g->nodes[i].in[0] == node) + (g->nodes[i].in[1] == node);
    return uses;
}

/* True when node `next` exists in the span, has that op, and is the only reader of `value`. */
static bool follows(const cxr_graph *g, int value, int next, cxr_op op, int first, int last)
{
    return next <= last && g->nodes[next].op == op && (g->nodes[next].in[0] == value || g->nodes[next].in[1] == value) &&
           cxr_graph_uses(g, value, first, last) == 1;
}

static cxr_fused fuse_conv(const cxr_graph *g, int conv, int first, int last)
{
    cxr_fused f = {.node = conv, .normalize = -1, .batchnorm = -1, .add_input = -1, .output = conv};
    int next = conv + 1;
    if (follows(g, f.output, next, CXR_OP_BATCHNORM, first, last)) f.batchnorm = f.output = next++;
    if (follows(g, f.output, next, CXR_OP_ADD, first, last)) {
        const cxr_node *add = &g->nodes[next];
        f.add_input = add->in[0] == f.output ? add->in[1] : add->in[0];
        f.output = next++;
    }
    if (follows(g, f.output, next, CXR_OP_RELU, first, last)) {
        f.relu = true;
        f.output = next;
    }
    return f;
}

int cxr_graph_fuse(const cxr_graph *g, int first, int last, cxr_fused *out)
{
    int count = 0;
    for (int i = first; i <= last;) {
        cxr_fused f = {.node = i, .normalize = -1, .batchnorm = -1, .add_input = -1, .output = i};
        if (g->nodes[i].op == CXR_OP_CONV) f = fuse_conv(g, i, first, last);
        out[count++] = f;
        i = f.output + 1;
    }
    return count;
}
