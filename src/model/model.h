/* A model: graph, parameters, preprocessing, classes, temperature, thresholds, scope, and the receipt of its training. One safetensors
 * file holds it whole; its tensors carry torchvision's names. */
#ifndef CXR_MODEL_MODEL_H
#define CXR_MODEL_MODEL_H
#include "graph/graph.h"
#include "graph/params.h"
#include "model/scope.h"
#include "model/weights.h"

/* What a network may be, closed. */
#define CXR_INPUT_LEAST 32
#define CXR_INPUT_MOST  1024
#define CXR_WIDTH_MOST  65536 /* of a hidden layer */
#define CXR_MEAN_MOST   1e3   /* either sign */
#define CXR_STD_LEAST   1e-6
#define CXR_STD_MOST    1e3
#define CXR_COLDEST     1e-2 /* temperature */
#define CXR_HOTTEST     1e2

struct cxr_model {
    char arch[16];
    int head[CXR_MAX_HEAD];
    int head_count;
    float dropout;
    char freeze[16];
    cxr_preprocess preprocess;
    char **classes;
    int class_count;
    int positive;             /* two classes: index 1; else -1 */
    double threshold;         /* 0.5 until fitted */
    double rule_out, rule_in; /* thresholds of the other operating points (eval/fit.h); NaN: none */
    double temperature;       /* of the softmax; 1 until fitted */
    cxr_scope *scope;         /* what images it can answer about, owned; NULL: not fitted */
    char *receipt;            /* JSON text: data fingerprint, arguments, seed, versions; NULL: none */
    char *path;               /* the file it was opened from; NULL: none */
    cxr_model *next;          /* the other members of an ensemble, owned; NULL: it is one model */
    cxr_graph graph;
    float *params; /* canonical, graph.float_count */
};

/* A new network with random parameters. classes: `count` names, copied; NULL: "0", "1", ... Of phases of o->freeze the last
 * counts. */
CXR_MUST_CHECK cxr_status cxr_model_build(cxr_model **out, const cxr_train_opts *o, const char *const *classes, int count,
                                          cxr_error *err);
/* The model's network for images of another size, into a graph of zeros: same nodes, same parameters at the same places. The
 * caller frees it, also after a failure. */
CXR_MUST_CHECK cxr_status cxr_model_graph(cxr_graph *out, const cxr_model *m, int size, cxr_error *err);
/* Copies the backbone's tensors (all but fc.*) from a weight file. Wrong shape: CXR_EDATA with both shapes. Missing tensors are
 * CXR_EDATA, listed, unless they match the glob allow_missing (fnmatch; may be NULL); then they keep their random start, with a
 * warning. Unexpected ones are listed as a warning; fc.* and num_batches_tracked are expected to be left over. */
CXR_MUST_CHECK cxr_status cxr_model_load_backbone(cxr_model *m, const char *path, const char *allow_missing,
                                                  const cxr_hooks *hooks, cxr_error *err);
/* A network as training begins: the backbone from the file o->weights, where one is named; random parameters elsewhere. */
CXR_MUST_CHECK cxr_status cxr_model_start(cxr_model **out, const cxr_train_opts *o, const char *const *classes, int count,
                                          const cxr_hooks *hooks, cxr_error *err);
/* Writes the model file. `extra` (may be NULL) are further tensors and `extra_meta` further metadata pairs, which a checkpoint
 * adds to the model it holds. */
CXR_MUST_CHECK cxr_status cxr_model_write(const cxr_model *m, const char *path, const cxr_weight_out *extra, size_t extra_count,
                                          const char *const *extra_meta, size_t extra_meta_count, cxr_error *err);
/* Builds the model a weight file describes and loads its parameters. cxr_model_open is cxr_weights_open + this. */
CXR_MUST_CHECK cxr_status cxr_model_from_weights(cxr_model **out, const cxr_weights *w, const char *path, cxr_error *err);
/* CXR_EDATA, naming `other` as it is called, unless both have the same classes in the same order and take the same pixels: resize
 * rule and size. */
CXR_MUST_CHECK cxr_status cxr_model_match(const cxr_model *m, const cxr_model *other, const char *called, cxr_error *err);
/* The node of the global average pool, and how many numbers it gives of an image: 512 for ResNet-18 and -34. */
int cxr_feature_node(const cxr_model *m);
size_t cxr_feature_width(const cxr_model *m);
/* The predicted class: with two classes and one of them positive, that one when its probability >= threshold; else the most
 * probable one (the lower index of equals), by log-probabilities as well. */
int cxr_decide(const float *probability, int classes, int positive, double threshold);
#endif
