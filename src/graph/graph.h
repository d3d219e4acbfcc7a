/* The network as data: an array of nodes in execution order, and an array of the parameters they name. Builders append;
 * everything that has to know the network walks these arrays. Node 0 is the input: one grey channel of 8-bit pixels, which
 * the `normalize` node turns into the backbone's three normalised channels, so that preprocessing is part of the graph. */
#ifndef CXR_GRAPH_GRAPH_H
#define CXR_GRAPH_GRAPH_H
#include "cxr/cxr.h"

#define CXR_NAME_MAX 64

typedef enum cxr_op {
    CXR_OP_INPUT,     /* 8-bit grey pixels (1, H, W) */
    CXR_OP_NORMALIZE, /* (1, H, W) -> (3, H, W): (pixel / 255 - mean[c]) / std[c] */
    CXR_OP_CONV,      /* weight (out, in, k, k); no bias */
    CXR_OP_BATCHNORM, /* weight, bias, running_mean, running_var (C) */
    CXR_OP_RELU,
    CXR_OP_ADD,       /* two inputs of one shape */
    CXR_OP_MAXPOOL,   /* padding counts as -infinity */
    CXR_OP_AVGPOOL,   /* global: (C, H, W) -> (C, 1, 1) */
    CXR_OP_LINEAR,    /* weight (out, in), bias (out); input flattened */
    CXR_OP_DROPOUT,   /* training only: zero with probability p, scale the rest by 1 / (1 - p) */
    CXR_OP_LOGSOFTMAX /* over channels */
} cxr_op;

typedef struct cxr_shape {
    int c, h, w;
} cxr_shape; /* of one image; a vector is (C, 1, 1) */

typedef enum cxr_role {
    CXR_WEIGHT,
    CXR_BIAS, /* convolution, linear */
    CXR_BN_WEIGHT,
    CXR_BN_BIAS,
    CXR_BN_MEAN,
    CXR_BN_VAR /* running statistics: kept by forward in training, never by the optimiser */
} cxr_role;

typedef struct cxr_param {
    char name[CXR_NAME_MAX]; /* torchvision's: "layer1.0.conv1.weight" */
    cxr_role role;
    int node;
    int rank;
    int dims[4];
    size_t offset, count; /* in floats, into cxr_params.data and gradients; offsets are multiples of 16 */
} cxr_param;

typedef struct cxr_node {
    cxr_op op;
    char name[CXR_NAME_MAX];      /* torchvision's module name; "" for functional ones gets "<op><index>" */
    int in[2];                    /* node indices; -1: none */
    cxr_shape shape;              /* output */
    int kernel, stride, pad;      /* convolution, max pool */
    int first_param, param_count; /* into graph.params, in the order the op lists them */
    float rate;                   /* dropout */
    float epsilon, momentum;      /* batch norm: 1e-5, 0.1 */
    float mean[3], std[3];        /* normalize */
    float peak;                   /* largest magnitude of the output over calibration images; 0: not measured */
} cxr_node;

#define CXR_PEAK_MIN 1e-12f /* a peak, and what is divided by it, stays a normal number */
#define CXR_PEAK_MAX 1e12f

typedef struct cxr_graph {
    cxr_node *nodes;
    int node_count, node_room;
    cxr_param *params;
    int param_count, param_room;
    size_t float_count; /* length of the parameter array, padding included */
    cxr_status status;  /* first failure of an append; later appends do nothing */
} cxr_graph;

/* Appends return the new node's index. They record failure in g->status (memory, shape), which the builder checks once. */
int cxr_graph_input(cxr_graph *g, int height, int width);
int cxr_graph_normalize(cxr_graph *g, int x, const float mean[3], const float std[3]);
int cxr_graph_conv(cxr_graph *g, int x, const char *name, int out, int kernel, int stride, int pad);
int cxr_graph_batchnorm(cxr_graph *g, int x, const char *name);
int cxr_graph_relu(cxr_graph *g, int x, const char *name);
int cxr_graph_add(cxr_graph *g, int a, int b);
int cxr_graph_maxpool(cxr_graph *g, int x, const char *name, int kernel, int stride, int pad);
int cxr_graph_avgpool(cxr_graph *g, int x, const char *name);
int cxr_graph_linear(cxr_graph *g, int x, const char *name, int out);
int cxr_graph_dropout(cxr_graph *g, int x, const char *name, float rate);
int cxr_graph_logsoftmax(cxr_graph *g, int x, const char *name);
void cxr_graph_free(cxr_graph *g); /* zeroes it */

const char *cxr_op_name(cxr_op op); /* "convolution", "batch norm", ... */
/* Shape of the node's first input. */
cxr_shape cxr_graph_in_shape(const cxr_graph *g, int node);
/* How many stages lie between the node and the head: 0 in the head, 1 in layer4, ..., 4 in layer1, 5 in the stem. */
int cxr_graph_depth(const cxr_graph *g, int node);
/* The index of the parameter with that name, or -1. */
int cxr_graph_find_param(const cxr_graph *g, const char *name);
/* Parameter `role` of a node; NULL when it has none. */
const cxr_param *cxr_graph_param(const cxr_graph *g, int node, cxr_role role);
static inline bool cxr_param_learnable(const cxr_param *p)
{
    return p->role != CXR_BN_MEAN && p->role != CXR_BN_VAR;
}
static inline size_t cxr_shape_count(cxr_shape s)
{
    return (size_t)s.c * (size_t)s.h * (size_t)s.w;
}
/* 2 x multiply-adds of the node for one image; convolution and linear only, others count 0. */
double cxr_graph_flop(const cxr_graph *g, int node);

/* ---- Builders ---- */

/* torchvision's ResNet-18 ("resnet18") or -34 up to and including the global average pool, behind input and normalize (He et
 * al. 2015). CXR_EUSAGE for another name. */
CXR_MUST_CHECK cxr_status cxr_graph_resnet(cxr_graph *g, const char *arch, const cxr_preprocess *pre, cxr_error *err);
/* Appends `fc`: for each hidden width Linear, BatchNorm, ReLU, Dropout; then Linear to `classes` and LogSoftmax, named
 * fc.0, fc.1, ... as torch.nn.Sequential does. */
CXR_MUST_CHECK cxr_status cxr_graph_head(cxr_graph *g, const int *widths, int count, float dropout, int classes,
                                         cxr_error *err);

/* ---- Passes ---- */

int cxr_graph_frozen(const char *freeze); /* stages that it freezes: 0 for "none", 5 for "backbone"; -1: another name */
/* The last node of the frozen part for --freeze: "backbone" (global average pool), "layer1".."layer4", "none" (the normalize
 * node: nothing learnable is left of it). CXR_EUSAGE for another name. */
CXR_MUST_CHECK cxr_status cxr_graph_cut(const cxr_graph *g, const char *freeze, int *last, cxr_error *err);
/* Batch norm with running statistics is y = x * scale + bias. The scale of one channel, gamma / sqrt(var + eps), in double. */
double cxr_fold_scale(const cxr_graph *g, const float *params, int batchnorm, size_t channel, float *bias);
/* Batch norm folded into the convolution before it: y = conv(x, weight) + bias, each weight multiplied by its output channel's
 * scale in double. `weight` has the convolution's count, `bias` its output channels. */
void cxr_fold_batchnorm(const cxr_graph *g, const float *params, int conv, int batchnorm, float *weight, float *bias);

/* A group of nodes that one inference kernel may run: a convolution [+ batch norm] [+ add] [+ ReLU], or any single node. */
typedef struct cxr_fused {
    int node;      /* the convolution, or the single node */
    int normalize; /* -1: none; see cxr_graph_fuse_grey() */
    int batchnorm; /* -1: none */
    int add_input; /* -1: none; else the node whose output is added */
    bool relu;     /* of a single node: a max pool's, see cxr_graph_fuse_grey() */
    int output;    /* the node whose value the group produces */
} cxr_fused;
/* Covers nodes first..last (inclusive) in order. `out` has room for last - first + 1. Returns how many groups. A value read
 * by two consumers is never fused away. An add's other operand always comes from an earlier group. */
int cxr_graph_fuse(const cxr_graph *g, int first, int last, cxr_fused *out);

/* Joins the normalize node of a span's groups to the first convolution where that alone reads it, and moves the convolution's
 * ReLU behind a max pool that alone reads it: max and ReLU commute, and what the border lacks is added before them. Returns the
 * new number of groups. */
int cxr_graph_fuse_grey(const cxr_graph *g, int first, int last, cxr_fused *groups, int count);
/* Outputs (y0..y1, x0..x1) of a convolution whose windows lie inside the image, ends excluded, and how many do not. */
typedef struct cxr_inside {
    int y0, y1, x0, x1;
    size_t outside;
} cxr_inside;
cxr_inside cxr_conv_inside(const cxr_graph *g, int conv);
/* One tap of a convolution of normalised channels as one of pixels: with q = pixel - centre it adds weight * q + constant.
 * from: the weight of the first channel of three, kernel x kernel apart, each multiplied by scale. */
void cxr_fold_pixel(const cxr_graph *g, int conv, const float *from, double scale, double centre, double *weight,
                    double *constant);
#define CXR_GREY_TAPS 121 /* of the largest kernel that folds, 11 x 11 */
/* The normalize node before a convolution, and batch norm (-1: none) behind it, folded into it: y = conv(pixel - 128, weight) +
 * bias + border, in double. weight: (out, 1, k, k); border: for each output outside, row by row, `out` values. False: too large
 * a kernel. */
bool cxr_fold_grey(const cxr_graph *g, const float *params, int conv, int batchnorm, float *weight, float *bias, float *border);
/* Consumers of a node's value inside first..last. */
int cxr_graph_uses(const cxr_graph *g, int node, int first, int last);
#endif
