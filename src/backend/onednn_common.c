/* Steps that several kinds of program lower alike. */
#include "backend/onednn_plan.h"

cxr_value cxr_lower_batchnorm(cxr_lowering *l, int node, cxr_value x)
{
    const dnnl_memory_desc_t md = cxr_md_batchnorm(&x.md);
    const cxr_value y = cxr_lower_new(l, md);
    x = cxr_lower_as(l, x, &md);
    cxr_lower_primitive(l, cxr_kernel_batchnorm(l, &md));
    cxr_lower_arg(l, DNNL_ARG_SRC, x);
    cxr_lower_arg(l, DNNL_ARG_MEAN, cxr_lower_vector(l, node, CXR_BN_MEAN));
    cxr_lower_arg(l, DNNL_ARG_VARIANCE, cxr_lower_vector(l, node, CXR_BN_VAR));
    cxr_lower_arg(l, DNNL_ARG_SCALE, cxr_lower_vector(l, node, CXR_BN_WEIGHT));
    cxr_lower_arg(l, DNNL_ARG_SHIFT, cxr_lower_vector(l, node, CXR_BN_BIAS));
    cxr_lower_arg(l, DNNL_ARG_DST, y);
    return y;
}

cxr_value cxr_lower_linear(cxr_lowering *l, int node, cxr_desc forward, cxr_value x)
{
    const cxr_value y = cxr_lower_new(l, cxr_md_plain(l->plan->n, l->p->g->nodes[node].shape));
    const dnnl_memory_desc_t weights = cxr_desc_md(forward, dnnl_query_weights_md);
    cxr_lower_primitive(l, forward);
    cxr_lower_arg(l, DNNL_ARG_SRC, (cxr_value){cxr_desc_md(forward, dnnl_query_src_md), x.buffer});
    cxr_lower_arg(l, DNNL_ARG_WEIGHTS, cxr_lower_weight(l, node, -1, &weights));
    cxr_lower_arg(l, DNNL_ARG_BIAS, cxr_lower_vector(l, node, CXR_BIAS));
    cxr_lower_arg(l, DNNL_ARG_DST, (cxr_value){cxr_desc_md(forward, dnnl_query_dst_md), y.buffer});
    return y;
}

cxr_value cxr_lower_relu_backward(cxr_lowering *l, cxr_value y, cxr_value dy, cxr_desc forward)
{
    const cxr_value g = cxr_lower_as(l, dy, &y.md), dx = cxr_lower_new(l, y.md);
    cxr_lower_primitive(l, cxr_kernel_relu(l, &y.md, forward));
    cxr_lower_arg(l, DNNL_ARG_DST, y);
    cxr_lower_arg(l, DNNL_ARG_DIFF_DST, g);
    cxr_lower_arg(l, DNNL_ARG_DIFF_SRC, dx);
    return dx;
}
