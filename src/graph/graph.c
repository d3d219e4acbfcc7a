#include "graph/graph.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

/* Makes room for one more element; false and g->status set when memory is exhausted. */
static bool grow(cxr_graph *g, void **items, int count, int *room, size_t size)
{
    if (count < *room) return true;
    const int more = *room == 0 ? 64 : *room * 2;
    void *p = cxr_mem_resize(*items, (size_t)more, size);
    if (p == NULL) {
        g->status = CXR_ENOMEM;
        return false;
    }
    *items = p;
    *room = more;
    return true;
}

/* Appends a node; a failure before it makes this a no-op that returns 0, so builders need no checks of their own. */
static int append(cxr_graph *g, cxr_node node, const char *name)
{
    if (g->status != CXR_OK) return 0;
    if (!grow(g, (void **)&g->nodes, g->node_count, &g->node_room, sizeof *g->nodes)) return 0;
    if (node.shape.c < 1 || node.shape.h < 1 || node.shape.w < 1) {
        g->status = CXR_EUSAGE;
        return 0;
    }
    const int index = g->node_count++;
    if (name != NULL) {
        (void)snprintf(node.name, sizeof node.name, "%s", name);
    } else {
        (void)snprintf(node.name, sizeof node.name, "%s%d", cxr_op_name(node.op), index);
    }
    node.first_param = g->param_count;
    node.param_count = 0;
    g->nodes[index] = node;
    return index;
}

static void add_param(cxr_graph *g, int node, const char *suffix, cxr_role role, int rank, const int dims[4])
{
    if (g->status != CXR_OK) return;
    if (!grow(g, (void **)&g->params, g->param_count, &g->param_room, sizeof *g->params)) return;
    cxr_param *p = &g->params[g->param_count++];
    *p = (cxr_param){.role = role, .node = node, .rank = rank, .offset = g->float_count, .count = 1};
    (void)snprintf(p->name, sizeof p->name, "%.*s.%s", (int)(sizeof p->name - 16), g->nodes[node].name, suffix);
    for (int i = 0; i < rank; i++) {
        p->dims[i] = dims[i];
        p->count *= (size_t)dims[i];
    }
    g->float_count += (p->count + 15) / 16 * 16;
    g->nodes[node].param_count++;
}

static cxr_shape shape_of(const cxr_graph *g, int node)
{
    return g->status == CXR_OK ? g->nodes[node].shape : (cxr_shape){1, 1, 1};
}

int cxr_graph_input(cxr_graph *g, int height, int width)
{
    return append(g, (cxr_node){.op = CXR_OP_INPUT, .in = {-1, -1}, .shape = {1, height, width}}, "input");
}

int cxr_graph_normalize(cxr_graph *g, int x, const float mean[3], const float std[3])
{
    cxr_node n = {.op = CXR_OP_NORMALIZE, .in = {x, -1}, .shape = shape_of(g, x)};
    n.shape.c = 3;
    memcpy(n.mean, mean, sizeof n.mean);
    memcpy(n.std, std, sizeof n.std);
    return append(g, n, "normalize");
}

/* 0, which append refuses, when the window does not fit. */
static int window_out(int size, int kernel, int stride, int pad)
{
    const int room = size + 2 * pad - kernel;
    return room < 0 ? 0 : room / stride + 1;
}

int cxr_graph_conv(cxr_graph *g, int x, const char *name, int out, int kernel, int stride, int pad)
{
    const cxr_shape s = shape_of(g, x);
    const cxr_shape to = {out, window_out(s.h, kernel, stride, pad), window_out(s.w, kernel, stride, pad)};
    const int node = append(
        g, (cxr_node){.op = CXR_OP_CONV, .in = {x, -1}, .shape = to, .kernel = kernel, .stride = stride, .pad = pad}, name);
    add_param(g, node, "weight", CXR_WEIGHT, 4, (int[4]){out, s.c, kernel, kernel});
    return node;
}

int cxr_graph_batchnorm(cxr_graph *g, int x, const char *name)
{
    const cxr_shape s = shape_of(g, x);
    const int node =
        append(g, (cxr_node){.op = CXR_OP_BATCHNORM, .in = {x, -1}, .shape = s, .epsilon = 1e-5f, .momentum = 0.1f}, name);
    const int dims[4] = {s.c};
    add_param(g, node, "weight", CXR_BN_WEIGHT, 1, dims);
    add_param(g, node, "bias", CXR_BN_BIAS, 1, dims);
    add_param(g, node, "running_mean", CXR_BN_MEAN, 1, dims);
    add_param(g, node, "running_var", CXR_BN_VAR, 1, dims);
    return node;
}

int cxr_graph_relu(cxr_graph *g, int x, const char *name)
{
    return append(g, (cxr_node){.op = CXR_OP_RELU, .in = {x, -1}, .shape = shape_of(g, x)}, name);
}

int cxr_graph_add(cxr_graph *g, int a, int b)
{
    const cxr_shape s = shape_of(g, a), t = shape_of(g, b);
    if (s.c != t.c || s.h != t.h || s.w != t.w) g->status = CXR_EUSAGE;
    return append(g, (cxr_node){.op = CXR_OP_ADD, .in = {a, b}, .shape = s}, NULL);
}

int cxr_graph_maxpool(cxr_graph *g, int x, const char *name, int kernel, int stride, int pad)
{
    const cxr_shape s = shape_of(g, x);
    const cxr_shape to = {s.c, window_out(s.h, kernel, stride, pad), window_out(s.w, kernel, stride, pad)};
    return append(
        g, (cxr_node){.op = CXR_OP_MAXPOOL, .in = {x, -1}, .shape = to, .kernel = kernel, .stride = stride, .pad = pad}, name);
}

int cxr_graph_avgpool(cxr_graph *g, int x, const char *name)
{
    return append(g, (cxr_node){.op = CXR_OP_AVGPOOL, .in = {x, -1}, .shape = {shape_of(g, x).c, 1, 1}}, name);
}

int cxr_graph_linear(cxr_graph *g, int x, const char *name, int out)
{
    const int in = (int)cxr_shape_count(shape_of(g, x));
    const int node = append(g, (cxr_node){.op = CXR_OP_LINEAR, .in = {x, -1}, .shape = {out, 1, 1}}, name);
    add_param(g, node, "weight", CXR_WEIGHT, 2, (int[4]){out, in});
    add_param(g, node, "bias", CXR_BIAS, 1, (int[4]){out});
    return node;
}

int cxr_graph_dropout(cxr_graph *g, int x, const char *name, float rate)
{
    return append(g, (cxr_node){.op = CXR_OP_DROPOUT, .in = {x, -1}, .shape = shape_of(g, x), .rate = rate}, name);
}

int cxr_graph_logsoftmax(cxr_graph *g, int x, const char *name)
{
    return append(g, (cxr_node){.op = CXR_OP_LOGSOFTMAX, .in = {x, -1}, .shape = shape_of(g, x)}, name);
}

void cxr_graph_free(cxr_graph *g)
{
    cxr_mem_free(g->nodes);
    cxr_mem_free(g->params);
    *g = (cxr_graph){0};
}

const char *cxr_op_name(cxr_op op)
{
    static const char *const names[] = {"input",    "normalize",    "convolution", "batch norm", "relu",       "add",
                                        "max pool", "average pool", "linear",      "dropout",    "log-softmax"};
    return names[op];
}

cxr_shape cxr_graph_in_shape(const cxr_graph *g, int node)
{
    return g->nodes[g->nodes[node].in[0]].shape;
}

int cxr_graph_find_param(const cxr_graph *g, const char *name)
{
    for (int i = 0; i < g->param_count; i++)
        if (strcmp(g->params[i].name, name) == 0) return i;
    return -1;
}

const cxr_param *cxr_graph_param(const cxr_graph *g, int node, cxr_role role)
{
    const cxr_node *n = &g->nodes[node];
    for (int i = n->first_param; i < n->first_param + n->param_count; i++)
        if (g->params[i].role == role) return &g->params[i];
    return NULL;
}

double cxr_graph_flop(const cxr_graph *g, int node)
{
    const cxr_node *n = &g->nodes[node];
    if (n->op != CXR_OP_CONV && n->op != CXR_OP_LINEAR) return 0.0;
    const cxr_param *w = cxr_graph_param(g, node, CXR_WEIGHT);
    return 2.0 * (double)w->count * (double)n->shape.h * (double)n->shape.w;
}
