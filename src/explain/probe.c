#include "explain/probe.h"
#include "base/mem.h"
#include <string.h>

/* The layer's last node and the node of the logits, on which the log-softmax stands. */
static cxr_status find_nodes(const cxr_graph *g, const char *layer, int *at, int *logits, cxr_error *err)
{
    const int stages = layer == NULL ? -1 : cxr_graph_frozen(layer), last = g->node_count - 1;
    if (stages < 1 || stages > 4)
        return cxr_fail(err, CXR_EUSAGE, "there is no layer \"%s\" to look at: layer1, layer2, layer3 or layer4",
                        layer == NULL ? "" : layer);
    *logits = g->nodes[last].op == CXR_OP_LOGSOFTMAX ? g->nodes[last].in[0] : last;
    return cxr_graph_cut(g, layer, at, err);
}

static cxr_status allocate(cxr_probe *p, int batch, cxr_shape pixels, cxr_error *err)
{
    const size_t n = (size_t)batch, each = cxr_shape_count(p->shape), classes = (size_t)p->classes;
    p->values = cxr_mem_new(n * each, sizeof *p->values);
    p->gradients = cxr_mem_new(n * each, sizeof *p->gradients);
    p->logits = cxr_mem_new(n * classes, sizeof *p->logits);
    p->chosen = cxr_mem_new(n * classes, sizeof *p->chosen);
    if (p->values == NULL || p->gradients == NULL || p->logits == NULL || p->chosen == NULL)
        return cxr_mem_fail(err, "what a layer gives");
    const cxr_status st = p->backend->tensor_new(&p->input, CXR_U8, batch, pixels, err);
    return st == CXR_OK ? p->backend->tensor_new(&p->slope, CXR_F32, batch, (cxr_shape){p->classes, 1, 1}, err) : st;
}

cxr_status cxr_probe_open(cxr_probe *p, const cxr_backend *backend, const cxr_graph *g, float *params, const char *layer,
                          const cxr_compile_opts *o, cxr_error *err)
{
    int at = 0, logits = 0;
    *p = (cxr_probe){.backend = backend};
    cxr_status st = find_nodes(g, layer, &at, &logits, err);
    if (st != CXR_OK) return st;
    p->shape = g->nodes[at].shape;
    p->classes = g->nodes[logits].shape.c;
    cxr_compile_opts side = *o;
    side.mode = CXR_INFER;
    side.producer = NULL;
    st = backend->compile(&p->left, g, 1, at, params, &side, err);
    side.mode = CXR_EXPLAIN;
    side.precision = CXR_PRECISION_F32;
    side.producer = p->left;
    if (st == CXR_OK) st = backend->compile(&p->right, g, at + 1, logits, params, &side, err);
    if (st == CXR_OK) st = allocate(p, o->max_batch, g->nodes[0].shape, err);
    if (st != CXR_OK) cxr_probe_close(p);
    return st;
}

cxr_status cxr_probe_run(cxr_probe *p, int n, const uint8_t *pixels, cxr_error *err)
{
    const cxr_tensor *layer = NULL, *out = NULL;
    p->n = n;
    cxr_status st = p->backend->tensor_write(p->input, n, pixels, err);
    if (st == CXR_OK) st = p->backend->forward(p->left, p->input, 0, &layer, err);
    if (st == CXR_OK) st = p->backend->tensor_read(layer, p->values, err);
    if (st == CXR_OK) st = p->backend->forward(p->right, layer, 0, &out, err);
    return st == CXR_OK ? p->backend->tensor_read(out, p->logits, err) : st;
}

cxr_status cxr_probe_gradients(cxr_probe *p, const int *classes, cxr_error *err)
{
    memset(p->chosen, 0, (size_t)p->n * (size_t)p->classes * sizeof *p->chosen);
    for (int i = 0; i < p->n; i++) p->chosen[i * p->classes + classes[i]] = 1.0f;
    const cxr_status st = p->backend->tensor_write(p->slope, p->n, p->chosen, err);
    return st == CXR_OK ? p->backend->backward(p->right, p->slope, p->gradients, err) : st;
}

void cxr_probe_close(cxr_probe *p)
{
    if (p->backend != NULL) {
        p->backend->close(&p->left);
        p->backend->close(&p->right);
        p->backend->tensor_free(&p->input);
        p->backend->tensor_free(&p->slope);
    }
    cxr_mem_free(p->values);
    cxr_mem_free(p->gradients);
    cxr_mem_free(p->logits);
    cxr_mem_free(p->chosen);
    *p = (cxr_probe){0};
}
