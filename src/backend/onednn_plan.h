/* Inside of the CPU backend. A program is one or two sections, spans that take a batch in slices of their own size
 * (onednn_sections.c). A plan is a section lowered, for one slice size, to steps: oneDNN primitives and a few loops of our own.
 * Steps name buffers; a buffer's lifetime is the range of steps that name it, and finishing a plan gives each arena
 * buffer an offset such that buffers alive together never overlap. Scratchpads are buffers that live for one step. */
#ifndef CXR_BACKEND_ONEDNN_PLAN_H
#define CXR_BACKEND_ONEDNN_PLAN_H
#include "backend/backend.h"
#include "backend/winograd.h"
#include <oneapi/dnnl/dnnl.h>
#include <string.h>

typedef enum cxr_pass { CXR_FORWARD, CXR_BACKWARD_DATA, CXR_BACKWARD_WEIGHTS } cxr_pass;

/* What a buffer's offset counts from. */
typedef enum cxr_base {
    CXR_AT_ARENA,
    CXR_AT_INPUT, /* the section's input, from the slice's first image */
    CXR_AT_OUT,   /* the section's output, likewise; training's lies in the arena */
    CXR_AT_DOUT,  /* the tensor given to backward */
    CXR_AT_GRADS, /* the gradients given to backward */
    CXR_AT_FIXED, /* `fixed`: weights, which the program owns */
    CXR_BASES
} cxr_base;

typedef struct cxr_buffer {
    cxr_base base;
    size_t bytes, offset;
    char *fixed;
    int first, last; /* steps; first > last: unused */
    bool shared;     /* several values name it: never written in place */
} cxr_buffer;

/* A tensor inside a plan: a view of a buffer. */
typedef struct cxr_value {
    dnnl_memory_desc_t md;
    int buffer; /* -1: none */
} cxr_value;

typedef struct cxr_loop_args {
    const cxr_graph *g;
    int node, n, threads, count; /* count: of x */
    bool half;                   /* x[0] is bf16 */
    uint64_t key;
    float *params;
    void *const *x; /* the step's buffers in the order they were added */
} cxr_loop_args;

typedef void cxr_loop(const cxr_loop_args *a);

#define CXR_STEP_ARGS 12

typedef struct cxr_step {
    int node;
    dnnl_primitive_t primitive; /* NULL: `loop` */
    cxr_loop *loop;
    int arg_count;
    struct {
        int arg, buffer;
        dnnl_memory_desc_t md;
        dnnl_memory_t memory; /* primitives only */
    } args[CXR_STEP_ARGS];
} cxr_step;

typedef struct cxr_plan {
    int first, last, input;   /* its section's */
    int n;                    /* images */
    dnnl_memory_desc_t in_md; /* of the input tensor it was made for */
    cxr_buffer *buffers;
    int buffer_count, buffer_room;
    cxr_step *steps;
    int step_count, step_room;
    int forward_steps; /* the rest are backward's */
    size_t arena_bytes;
    cxr_value out;
    char *bound[2][CXR_BASES]; /* bases that the memories of forward and backward point into */
    struct cxr_plan *next;
} cxr_plan;

/* A parameter in the layout that a kernel wants. */
typedef struct cxr_weight {
    int node, batchnorm; /* batchnorm >= 0: folded in */
    cxr_role role;
    dnnl_memory_desc_t md;
    float *data;
    float *bias;   /* folded batch norm's; NULL: none */
    double *scale; /* likewise: of each output channel */
    bool grey;     /* one channel, of cxr_fold_grey(), with its */
    float *border;
    float *steps;             /* int8: what one unit of each output channel's sums is worth */
    dnnl_primitive_t reorder; /* canonical to md; NULL: same layout, or Winograd's */
    bool ready;               /* data holds the parameters */
    struct cxr_weight *next;
} cxr_weight;

/* Nodes first..last of a program, run on `slice` images at a time. */
typedef struct cxr_section {
    int first, last, input, slice;
    char *out; /* of inference: room for the output of max_batch images */
    size_t out_bytes;
} cxr_section;

#define CXR_SECTIONS 2

typedef struct cxr_choices cxr_choices; /* onednn_choice.h */

struct cxr_tensor {
    const cxr_backend *backend;
    cxr_dtype type;
    cxr_shape shape;
    int max_batch, n; /* n images held */
    dnnl_memory_desc_t md;
    void *data;
};

struct cxr_program {
    const cxr_backend *backend;
    const cxr_graph *g;
    int first, last, input;
    float *params;
    cxr_compile_opts o;
    dnnl_data_type_t type; /* of convolutions and what lies between them: o.precision resolved */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    cxr_weight *weights;
    cxr_choices *choices; /* NULL: kernels by the fixed rule */
    cxr_section sections[CXR_SECTIONS];
    int section_count;
    cxr_plan *plans; /* those of full batches first */
    cxr_plan *ran;   /* of the last successful forward of training; NULL: none */
    uint64_t key;    /* likewise */
    char *arena;
    size_t arena_bytes;
    cxr_tensor out;
};

/* ---- Lowering ---- */

/* A plan under construction. The first failure is kept; after it every call does nothing, so that lowering a node needs no
 * checks of its own. Primitive descriptors live until cxr_lower_end(). */
typedef struct cxr_lowering {
    cxr_program *p;
    cxr_plan *plan;
    int node; /* being lowered: named in errors */
    dnnl_primitive_desc_t *descs;
    int desc_count, desc_room;
    cxr_status status;
    cxr_error *err;
} cxr_lowering;

typedef const_dnnl_primitive_desc_t cxr_desc;

/* Memory descriptors of n images, f32. */
dnnl_memory_desc_t cxr_md_plain(int n, cxr_shape s);   /* (n, c, h, w), dense */
dnnl_memory_desc_t cxr_md_any(int n, cxr_shape s);     /* the kernel's choice */
dnnl_memory_desc_t cxr_md_blocked(int n, cxr_shape s); /* channels in blocks of 16 or 8, as the ISA likes */
/* bf16 is the upper half of f32; to nearest, ties to even. Finite values. */
static inline float cxr_from_bf16(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline uint16_t cxr_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
int cxr_lanes(void);                                                        /* 16 or 8 */
bool cxr_has_int8(void);                                                    /* kernels that do not saturate between */
bool cxr_has_bf16(void);                                                    /* kernels as fast as f32's or faster */
dnnl_memory_desc_t cxr_md_of(int rank, const dnnl_dim_t *dims, bool plain); /* plain or the kernel's choice */
/* The layout to add in: md, or plain where md pads its channels, which oneDNN's SSE4.1 kernel with ReLU gets wrong. */
dnnl_memory_desc_t cxr_md_for_add(const dnnl_memory_desc_t *md);
/* md for n images; with elements of another type. */
dnnl_memory_desc_t cxr_md_images(dnnl_memory_desc_t md, int n);
dnnl_memory_desc_t cxr_md_typed(dnnl_memory_desc_t md, dnnl_data_type_t type);
bool cxr_md_same(const dnnl_memory_desc_t *a, const dnnl_memory_desc_t *b);
/* (n, c, 1, 1) without padding is the same bytes in each layout: its plain descriptor then, else md. */
dnnl_memory_desc_t cxr_md_simplest(const dnnl_memory_desc_t *md);
/* The layout batch norm is fast in: md, or blocks where a plain vector is the same bytes. */
dnnl_memory_desc_t cxr_md_batchnorm(const dnnl_memory_desc_t *md);

/* The status and sentence of a failed oneDNN call while `doing` something for node `name`. */
cxr_status cxr_dnnl_fail(cxr_error *err, dnnl_status_t st, const char *doing, const char *name);

void cxr_lower_fail(cxr_lowering *l, dnnl_status_t st, const char *doing);
/* NULL when the library has no kernel for it (no failure). post-ops may be NULL. */
cxr_desc cxr_lower_try(cxr_lowering *l, const_dnnl_op_desc_t op, const_dnnl_post_ops_t post, cxr_desc hint);
/* The same in 8 bits: what is summed up is multiplied by a scale for each output channel. */
cxr_desc cxr_lower_scaled(cxr_lowering *l, const_dnnl_op_desc_t op, const_dnnl_post_ops_t post, const float *scales, int count);
/* The same, a missing kernel being a failure. */
cxr_desc cxr_lower_desc(cxr_lowering *l, const_dnnl_op_desc_t op, const_dnnl_post_ops_t post, cxr_desc hint);
dnnl_memory_desc_t cxr_desc_md(cxr_desc pd, dnnl_query_t what);
const char *cxr_desc_kernel(cxr_desc pd); /* the implementation's name; reference ones contain "ref" */

cxr_value cxr_lower_new(cxr_lowering *l, dnnl_memory_desc_t md);
cxr_value cxr_lower_fixed(cxr_lowering *l, float *data, dnnl_memory_desc_t md); /* of the program's own */
cxr_value cxr_lower_at(cxr_lowering *l, cxr_base base, size_t offset, dnnl_memory_desc_t md);
/* Appends a step; its arguments follow by cxr_lower_arg() (`arg` is ignored by loops). */
void cxr_lower_primitive(cxr_lowering *l, cxr_desc pd);
void cxr_lower_loop(cxr_lowering *l, cxr_loop *loop);
void cxr_lower_arg(cxr_lowering *l, int arg, cxr_value v);
/* x in the layout md: the same buffer when the bytes are the same, else a new value. */
cxr_value cxr_lower_as(cxr_lowering *l, cxr_value x, const dnnl_memory_desc_t *md);
/* A new value that holds x in the layout md; with `add`, adds x to `to` instead. */
cxr_value cxr_lower_copy(cxr_lowering *l, cxr_value x, const dnnl_memory_desc_t *md);
/* A new value that holds x * scale in the layout and type md. */
cxr_value cxr_lower_rescale(cxr_lowering *l, cxr_value x, const dnnl_memory_desc_t *md, float scale);
void cxr_lower_add_to(cxr_lowering *l, cxr_value x, cxr_value to);
void cxr_lower_copy_to(cxr_lowering *l, cxr_value x, cxr_value to); /* in the layout of `to` */
/* A parameter as a value: in layout md (role CXR_WEIGHT; batchnorm >= 0: folded), or a vector as it is. */
cxr_value cxr_lower_weight(cxr_lowering *l, int node, int batchnorm, const dnnl_memory_desc_t *md);
cxr_value cxr_lower_folded_bias(cxr_lowering *l, int node, int batchnorm, const dnnl_memory_desc_t *md);
/* Those of a first convolution that reads pixels: weights in layout md, bias, border. */
void cxr_lower_grey_weight(cxr_lowering *l, const cxr_fused *group, const dnnl_memory_desc_t *md, cxr_value out[3]);
cxr_value cxr_lower_vector(cxr_lowering *l, int node, cxr_role role);
/* The span's input in the program's type or f32, or as pixels where the first node reads those. With `keep` it
 * outlives the caller's tensor. */
cxr_value cxr_lower_input(cxr_lowering *l, bool keep);
/* Whether the plan is its section's first, which is for full batches. */
bool cxr_plan_is_full(const cxr_lowering *l);
/* Gives buffers their places and creates the memories. */
void cxr_lower_end(cxr_lowering *l);

void cxr_lower_infer(cxr_lowering *l);
/* A convolution joined to the normalize node before it, of pixels x; false where the library has no fast kernel for it
 * (onednn_grey.c). */
bool cxr_lower_grey(cxr_lowering *l, const cxr_fused *group, cxr_value x, cxr_value *y);
void cxr_lower_train(cxr_lowering *l);
void cxr_lower_explain(cxr_lowering *l);
/* Steps of several of these (onednn_common.c): batch norm by its running statistics; a linear layer by its forward kernel; and
 * the gradient before a ReLU whose output is y. */
cxr_value cxr_lower_batchnorm(cxr_lowering *l, int node, cxr_value x);
cxr_value cxr_lower_linear(cxr_lowering *l, int node, cxr_desc forward, cxr_value x);
cxr_value cxr_lower_relu_backward(cxr_lowering *l, cxr_value y, cxr_value dy, cxr_desc forward);

/* ---- 8 bits (onednn_int8.c) ---- */

#define CXR_INT8_KERNEL 11 /* the largest first convolution, its side */

/* Whether the span's convolutions can run in 8 bits: all that they read and write was calibrated. */
CXR_MUST_CHECK cxr_status cxr_int8_ready(const cxr_graph *g, int first, int last, bool *yes, cxr_error *err);
/* A convolution of x; it adds to `other`, which it overwrites, where the group has a sum. */
cxr_value cxr_lower_int8(cxr_lowering *l, const cxr_fused *group, cxr_value x, cxr_value other);
/* The value of a node as real numbers. */
cxr_value cxr_int8_to_f32(cxr_lowering *l, int node, cxr_value x);
/* Its weights in layout md, and their bias; `steps` is copied. */
cxr_value cxr_lower_int8_weight(cxr_lowering *l, const cxr_fused *group, const dnnl_memory_desc_t *md, const float *steps,
                                cxr_value *bias);
/* Makes the weights in plain order, to be freed, and the bias. */
dnnl_status_t cxr_int8_fill(const cxr_program *p, cxr_weight *w, int8_t **plain);

/* ---- Sections (onednn_sections.c) ---- */

/* Decides on the sections of a program whose span, options and type are set. */
void cxr_sections_choose(cxr_program *p);
/* Makes the plans that full batches of layout in_md need, and leaves the output's layout in p->out. */
cxr_status cxr_sections_plan(cxr_program *p, const dnnl_memory_desc_t *in_md, cxr_error *err);
/* Runs forward on the images of `in`, into p->out. */
cxr_status cxr_sections_run(cxr_program *p, const cxr_tensor *in, cxr_error *err);
void cxr_sections_free(cxr_program *p);

/* ---- Plans, weights (onednn_weights.c) ---- */

void cxr_plan_free(cxr_plan *plan);
/* Runs the steps of forward or backward on the given bases. */
cxr_status cxr_plan_run(cxr_plan *plan, const cxr_program *p, cxr_pass pass, char *const bases[CXR_BASES], cxr_error *err);
/* Whether a weight of the node in that layout exists already. */
bool cxr_weight_held(const cxr_program *p, int node, const dnnl_memory_desc_t *md);
/* Reads the parameters that were not read yet; with `all`, every one again. */
cxr_status cxr_weights_refresh(cxr_program *p, bool all, cxr_error *err);
void cxr_reordered_free(cxr_program *p);

/* ---- Tensors (onednn.c, onednn_keep.c) ---- */

/* The tensor's images in the layout md. */
cxr_status cxr_tensor_reorder(const cxr_tensor *t, const dnnl_memory_desc_t *md, void *host, cxr_error *err);
void cxr_keep_form(const cxr_program *p, cxr_form *out);
cxr_status cxr_keep_new(cxr_tensor **out, const cxr_program *p, cxr_error *err);
cxr_status cxr_keep_save(const cxr_tensor *t, const cxr_tensor *like, void *images, cxr_error *err);
cxr_status cxr_keep_load(cxr_tensor *t, int n, const void *images, cxr_error *err);

/* ---- Kernels chosen (onednn_kernels.c) and loops of our own (onednn_loops.c) ---- */

typedef struct cxr_conv_want {
    cxr_pass pass;
    dnnl_memory_desc_t src, dst; /* as they lie; for backward data src is ignored */
    bool bias, sum, relu;        /* forward only */
    cxr_desc hint;               /* backward: the forward descriptor */
} cxr_conv_want;

cxr_desc cxr_kernel_conv(cxr_lowering *l, const cxr_conv_want *want);
/* One channel of pixels in, blocks out, no ReLU; NULL when there is no fast kernel. */
cxr_desc cxr_kernel_grey(cxr_lowering *l);
/* Forward of inference; *relu: done by it. Takes and gives the layout x. */
cxr_desc cxr_kernel_maxpool(cxr_lowering *l, const dnnl_memory_desc_t *x, bool *relu);
/* Forward when hint is NULL. Both take and give the layout x. */
cxr_desc cxr_kernel_pool(cxr_lowering *l, const dnnl_memory_desc_t *x, cxr_desc hint);
cxr_desc cxr_kernel_batchnorm(cxr_lowering *l, const dnnl_memory_desc_t *x);
cxr_desc cxr_kernel_relu(cxr_lowering *l, const dnnl_memory_desc_t *x, cxr_desc hint);
cxr_desc cxr_kernel_add(cxr_lowering *l, const dnnl_memory_desc_t *x, bool relu);
/* Linear layers see (n, features) of plain vectors, (n, c, h, w) of anything else. */
cxr_desc cxr_kernel_linear(cxr_lowering *l, cxr_pass pass, const dnnl_memory_desc_t *x, cxr_desc hint);
dnnl_memory_desc_t cxr_linear_in(const dnnl_memory_desc_t *x);

/* Weights for Winograd kernels (onednn_winograd.c). False for layouts that are left to oneDNN. */
bool cxr_winograd_knows(const dnnl_memory_desc_t *md);
/* weights: (out, in, 3, 3); scale: of each output channel, or NULL. The same bits as oneDNN's reorder of weights * scale. */
void cxr_winograd_fill(float *to, const dnnl_memory_desc_t *md, const float *weights, const double *scale, int threads);

/* Sets the calling thread's team, on which oneDNN runs, and returns its former size, for cxr_team_restore(). */
int cxr_team_take(int threads);
void cxr_team_restore(int before);
/* Runs work(ctx, index, count) on each of a team of up to `threads` threads, the calling one included. */
void cxr_team_run(int threads, void (*work)(void *ctx, int index, int count), void *ctx);

/* A convolution of n images, for winograd.h. */
cxr_winograd cxr_winograd_of(const cxr_graph *g, int node, int n, int threads);

cxr_loop cxr_loop_normalize;           /* pixels, y */
cxr_loop cxr_loop_dropout;             /* x, y, mask; all plain */
cxr_loop cxr_loop_dropout_backward;    /* dy, mask, dx */
cxr_loop cxr_loop_logsoftmax;          /* x, y; both plain */
cxr_loop cxr_loop_logsoftmax_backward; /* dy, y, dx */
cxr_loop cxr_loop_running;             /* mean, variance: into the node's running statistics */
cxr_loop cxr_loop_add_vector;          /* x, gradient: adds (channels) */
/* x, scale, shift, mean, variance, y, and what is added before the ReLU, if anything; x, y and that in cxr_md_blocked(), f32 or
 * bf16. Backward: dy, x, scale, shift, mean, variance, dx (may be dy), the gradients of scale and shift. */
cxr_loop cxr_loop_batchnorm, cxr_loop_batchnorm_relu, cxr_loop_batchnorm_backward, cxr_loop_batchnorm_relu_backward;
/* scratch memory; x, y or dy, dx or x, dy, dw, in cxr_md_blocked() but for the canonical dw, which is added to. They read the
 * canonical weights. */
cxr_loop cxr_loop_winograd, cxr_loop_winograd_data, cxr_loop_winograd_weights;
/* dx, y, dy, and a second part of dy, if any: (dy + more) where y > 0. In cxr_md_blocked(); dx may be a dy. */
cxr_loop cxr_loop_relu_sum_backward;
#endif
