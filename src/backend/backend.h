/* A backend compiles a span of a graph into a program and runs it. INFER programs may fold, fuse and plan memory as they
 * like; TRAIN and EXPLAIN programs keep what backward needs. Layouts and kernels never leave the backend: what flows between two of its
 * programs is an opaque tensor. Every backend agrees with the reference one (ref.c) within the tolerance stated in
 * tests/backend/tolerance.h. */
#ifndef CXR_BACKEND_BACKEND_H
#define CXR_BACKEND_BACKEND_H
#include "graph/graph.h"

typedef enum cxr_mode {
    CXR_INFER,
    CXR_TRAIN,
    CXR_EXPLAIN /* forward as INFER's, with running statistics and without dropout; backward to the span's input alone */
} cxr_mode;
typedef enum cxr_dtype { CXR_U8, CXR_F32 } cxr_dtype; /* of host data; a backend may compute in another type */

typedef struct cxr_program cxr_program; /* each backend's begins with `const cxr_backend *backend` */
typedef struct cxr_tensor cxr_tensor;   /* likewise */

typedef struct cxr_compile_opts {
    cxr_mode mode;
    int max_batch;               /* forward takes 1..max_batch images */
    int threads;                 /* >= 1 */
    cxr_precision precision;     /* int8: INFER only, and of nodes whose peak is known. auto: bf16 in INFER programs where
                                    the processor has it, else f32; EXPLAIN: f32 or auto. CXR_EUNAVAILABLE when the backend
                                    lacks it */
    bool deterministic;          /* kernels by a fixed rule, not by timing them */
    const char *cache_dir;       /* where choices of kernels are remembered; NULL: the rule's. Lent during compile */
    bool compact;                /* INFER: no layouts of weights that are larger than the weights, at some cost in speed */
    const cxr_program *producer; /* the program whose output will be the input: its layout is adopted; NULL: host tensors */
} cxr_compile_opts;

/* A program's output, one image of it, as bytes in the backend's own layout. */
typedef struct cxr_form {
    size_t image_bytes;
    char name[192]; /* library, instruction set, precision, layout: programs of one name give the same bytes */
} cxr_form;

typedef struct cxr_backend {
    const char *name; /* "reference", "cpu", "cuda" */

    /* A host-filled tensor of up to max_batch images of `shape`. */
    cxr_status (*tensor_new)(cxr_tensor **out, cxr_dtype type, int max_batch, cxr_shape shape, cxr_error *err);
    void (*tensor_free)(cxr_tensor **t);
    /* Copies n images in plain (n, c, h, w) order into the tensor, which then holds n images. */
    cxr_status (*tensor_write)(cxr_tensor *t, int n, const void *host, cxr_error *err);
    /* Copies the images a tensor holds out, as plain f32 (n, c, h, w). */
    cxr_status (*tensor_read)(const cxr_tensor *t, float *host, cxr_error *err);

    /* What a program gives, kept and given back bit for bit. keep_new: a tensor of the form that p gives for full batches,
     * freed by tensor_free. keep_save copies the images that t, an output of p, holds to `images`, back to back, in the form of
     * `like`, such a tensor. keep_load makes it hold the n images copied from there. */
    void (*keep_form)(const cxr_program *p, cxr_form *out);
    cxr_status (*keep_new)(cxr_tensor **out, const cxr_program *p, cxr_error *err);
    cxr_status (*keep_save)(const cxr_tensor *t, const cxr_tensor *like, void *images, cxr_error *err);
    cxr_status (*keep_load)(cxr_tensor *t, int n, const void *images, cxr_error *err);

    /* Compiles nodes first..last (inclusive). The span's input is the one node before `first` that it reads (node 0's pixels
     * when first is 1). `params` is canonical and lent until close: whoever changes it calls refresh() before the program runs
     * again. A TRAIN program writes running statistics into it. Nodes and g are lent until close. */
    cxr_status (*compile)(cxr_program **out, const cxr_graph *g, int first, int last, float *params, const cxr_compile_opts *o,
                          cxr_error *err);
    /* Reads the parameters again after the optimiser or a load changed them. */
    cxr_status (*refresh)(cxr_program *p, cxr_error *err);
    /* Runs on the images `in` holds. *out is lent until the next forward or close. `key` decides dropout in TRAIN programs:
     * element e of node v (counted over the batch in (n, c, h, w) order: i * c + channel for vectors) is kept when
     * cxr_rng_uniform(cxr_rng_key(key, CXR_FOR_DROPOUT, 0, v), e) >= rate. INFER programs ignore it. A TRAIN program with a
     * batch norm over one value per channel (one image of 1 x 1) fails with CXR_EUSAGE: its variance does not exist. */
    cxr_status (*forward)(cxr_program *p, const cxr_tensor *in, uint64_t key, const cxr_tensor **out, cxr_error *err);
    /* TRAIN programs, after forward: adds d loss / d parameter to `grads` (canonical layout, whole graph). dout: gradient of
     * the last node's output, for the images of the last forward. No gradient flows to the span's input.
     * EXPLAIN programs, likewise: writes to `grads` the gradient of the span's input, plain f32 (n, c, h, w), and computes that
     * of no parameter. */
    cxr_status (*backward)(cxr_program *p, const cxr_tensor *dout, float *grads, cxr_error *err);
    /* Bytes of the activations' arena for max_batch. */
    size_t (*arena_bytes)(const cxr_program *p);
    void (*close)(cxr_program **p);
} cxr_backend;

/* The backend for a device. CXR_EUNAVAILABLE with a sentence when this build has none. `auto` takes the fastest present. */
CXR_MUST_CHECK cxr_status cxr_backend_find(const cxr_backend **out, cxr_device device, cxr_error *err);

extern const cxr_backend cxr_backend_reference; /* ref.c */
extern const cxr_backend cxr_backend_cpu;       /* onednn.c */

/* What every backend refuses before it works, with a sentence: a span or options that cannot be compiled; `what`, a tensor, of
 * another shape than the program wants or of n images outside 1..max_batch; training a batch norm on one value per channel,
 * whose unbiased variance divides by count - 1. */
CXR_MUST_CHECK cxr_status cxr_check_span(const cxr_backend *b, const cxr_graph *g, int first, int last,
                                         const cxr_compile_opts *o, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_check_images(const cxr_backend *b, const char *what, cxr_shape got, cxr_shape want, int n,
                                           int max_batch, cxr_error *err);
CXR_MUST_CHECK cxr_status cxr_check_statistics(const cxr_graph *g, int first, int last, int n, cxr_error *err);

/* True when dropout keeps the element; see forward(). */
bool cxr_dropout_keep(uint64_t key, int node, uint64_t element, float rate);
/* The node before `first` whose value the span reads; -1 when there is not exactly one. */
int cxr_span_input(const cxr_graph *g, int first, int last);
#endif
