/* How far a backend may be from the reference one: the gap of compare.h, |got - ref| / (|ref| + rms(ref)), for each operator
 * run alone on inputs of size about 1. The reference sums in double, so a gap is the other side's rounding: a sum of K products
 * in f32 is off by about sqrt(K) * 6e-8 of its size when errors are independent, K * 6e-8 at worst. */
#ifndef CXR_TESTS_TOLERANCE_H
#define CXR_TESTS_TOLERANCE_H
#include "graph/graph.h"

typedef struct cxr_tolerance {
    double forward, backward;
} cxr_tolerance;

static inline cxr_tolerance cxr_tolerance_of(cxr_op op)
{
    switch (op) {
    case CXR_OP_INPUT:
    case CXR_OP_ADD:
    case CXR_OP_RELU: return (cxr_tolerance){0.0, 0.0};         /* choose or add once: the same bits */
    case CXR_OP_MAXPOOL: return (cxr_tolerance){0.0, 5e-7};     /* backward adds what overlapping windows give, in any order */
    case CXR_OP_NORMALIZE: return (cxr_tolerance){1e-6, 0.0};   /* two f32 roundings, or a scale and a shift */
    case CXR_OP_DROPOUT: return (cxr_tolerance){2e-7, 2e-7};    /* one product; the mask is the same bits */
    case CXR_OP_AVGPOOL: return (cxr_tolerance){1e-5, 1e-6};    /* sum of up to 3,136 terms that may cancel */
    case CXR_OP_LOGSOFTMAX: return (cxr_tolerance){2e-6, 5e-6}; /* exp and log of another library */
    case CXR_OP_LINEAR: return (cxr_tolerance){2e-6, 1e-5};     /* K <= 512 forward; over the batch backward */
    case CXR_OP_BATCHNORM: return (cxr_tolerance){1e-5, 5e-5};  /* E(x^2)-style variance in f32; sums over N, H, W */
    case CXR_OP_CONV: return (cxr_tolerance){1e-4, 2e-4};       /* K <= 4,608, and Winograd's transforms lose 2 to 3 digits */
    }
    return (cxr_tolerance){0.0, 0.0};
}

/* Chains of operators, up to a whole ResNet-34 with its head: each layer's rounding, grown by those after it. Training batch
 * norms divide by the deviation of few values and ReLU passes or stops a gradient on the sign of a rounded value. */
#define CXR_TOLERANCE_NETWORK ((cxr_tolerance){1e-3, 1e-2})

/* The same in bf16: a value keeps 8 bits, so rounding weights, inputs and output is off by up to 3 * 2^-9 of a term; an RMS of
 * 2.5e-3 was seen for one convolution, and up to five times that for its worst value. */
#define CXR_TOLERANCE_BF16_CONV    ((cxr_tolerance){2e-2, 0.0})
#define CXR_TOLERANCE_BF16_NETWORK ((cxr_tolerance){5e-2, 0.0})

/* Features of a whole ResNet-18 with healthy activations, as a share in L2: rounding that is independent averages out over layers
 * and channels. Seen at 128 and 224 pixels: 2e-7 in f32, 2e-3 in bf16, and 7e-3 in int8, whose steps are 1/255 of a range. */
#define CXR_SHARE_F32  1e-5
#define CXR_SHARE_BF16 1e-2
#define CXR_SHARE_INT8 3e-2

/* Training in bf16, as a share in L2 of output and of each gradient. One rounding is 2^-9 / sqrt(3) = 1.1e-3 of a value on
 * average; a convolution's gradient takes four of them, in weights, inputs and the gradient behind it. In a chain each layer
 * adds its own, and a ReLU whose input is about 0 passes here and stops there: 1 value in 100 is that close. */
#define CXR_TOLERANCE_BF16_TRAINING       ((cxr_tolerance){8e-3, 1e-2})
#define CXR_TOLERANCE_BF16_TRAINING_CHAIN ((cxr_tolerance){5e-2, 2e-1})

/* A first convolution in bf16 inside an image of one grey level, whose kernels sum to zero. Next to the little that is left, the
 * rounding of one weight, times up to 128, was seen as 0.08; rounding each of the 49 by itself leaves 1. */
#define CXR_TOLERANCE_BF16_LEVEL 0.2

/* Likewise a convolution of 16 channels that are not pixels, as a share in L2: 0.0043 was seen, 0.037 with each weight rounded by
 * itself. */
#define CXR_TOLERANCE_BF16_SUMS 0.012
#endif
