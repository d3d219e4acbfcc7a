/* The classifier that replaces torchvision's `fc`: torch.nn.Sequential's numbering names the parameters. */
#include "graph/graph.h"
#include <stdio.h>

typedef struct sequence {
    char name[32];
    int next;
} sequence;

static const char *next_name(sequence *s)
{
    (void)snprintf(s->name, sizeof s->name, "fc.%d", s->next++);
    return s->name;
}

cxr_status cxr_graph_head(cxr_graph *g, const int *widths, int count, float dropout, int classes, cxr_error *err)
{
    sequence fc = {.next = 0};
    int x = g->node_count - 1;
    for (int i = 0; i < count; i++) {
        x = cxr_graph_linear(g, x, next_name(&fc), widths[i]);
        x = cxr_graph_batchnorm(g, x, next_name(&fc));
        x = cxr_graph_relu(g, x, next_name(&fc));
        x = cxr_graph_dropout(g, x, next_name(&fc), dropout);
    }
    x = cxr_graph_linear(g, x, next_name(&fc), classes);
    (void)cxr_graph_logsoftmax(g, x, next_name(&fc));
    return g->status == CXR_OK ? CXR_OK : cxr_fail(err, g->status, "cannot build a head for %d classes", classes);
}
