/* torchvision's ResNets as nodes. Parameter names are torchvision's, so its weight files load and ours load there. */
#include "graph/graph.h"
#include <stdio.h>
#include <string.h>

/* name + suffix in a buffer that lives until the end of the full expression. */
#define NAMED(prefix, suffix) join((char[CXR_NAME_MAX]){0}, prefix, suffix)

static const char *join(char buffer[CXR_NAME_MAX], const char *prefix, const char *suffix)
{
    (void)snprintf(buffer, CXR_NAME_MAX, "%s%s", prefix, suffix);
    return buffer;
}

static int conv_bn(cxr_graph *g, int x, const char *conv, const char *bn, int channels, int kernel, int stride)
{
    return cxr_graph_batchnorm(g, cxr_graph_conv(g, x, conv, channels, kernel, stride, kernel / 2), bn);
}

/* Identity, or a strided 1x1 convolution where the shape changes (He et al. 2015, option B). */
static int shortcut(cxr_graph *g, int x, const char *block, int in_channels, int channels, int stride)
{
    if (stride == 1 && in_channels == channels) return x;
    return conv_bn(g, x, NAMED(block, ".downsample.0"), NAMED(block, ".downsample.1"), channels, 1, stride);
}

/* Two 3x3 convolutions and a shortcut (He et al. 2015, fig. 2). Returns the last node. */
static int basic_block(cxr_graph *g, int x, const char *block, int in_channels, int channels, int stride)
{
    const int side = shortcut(g, x, block, in_channels, channels, stride);
    int y = conv_bn(g, x, NAMED(block, ".conv1"), NAMED(block, ".bn1"), channels, 3, stride);
    y = cxr_graph_relu(g, y, NULL);
    y = conv_bn(g, y, NAMED(block, ".conv2"), NAMED(block, ".bn2"), channels, 3, 1);
    return cxr_graph_relu(g, cxr_graph_add(g, y, side), block);
}

static const int *blocks_of(const char *arch)
{
    static const int resnet18[4] = {2, 2, 2, 2}, resnet34[4] = {3, 4, 6, 3};
    if (strcmp(arch, "resnet18") == 0) return resnet18;
    return strcmp(arch, "resnet34") == 0 ? resnet34 : NULL;
}

cxr_status cxr_graph_resnet(cxr_graph *g, const char *arch, const cxr_preprocess *pre, cxr_error *err)
{
    const int *blocks = blocks_of(arch);
    if (blocks == NULL) return cxr_fail(err, CXR_EUSAGE, "unknown architecture \"%s\": resnet18 or resnet34", arch);
    int x = cxr_graph_normalize(g, cxr_graph_input(g, pre->size, pre->size), pre->mean, pre->std);
    x = cxr_graph_relu(g, conv_bn(g, x, "conv1", "bn1", 64, 7, 2), "relu");
    x = cxr_graph_maxpool(g, x, "maxpool", 3, 2, 1);
    int in_channels = 64;
    for (int stage = 0; stage < 4; stage++) {
        const int channels = 64 << stage;
        for (int block = 0; block < blocks[stage]; block++) {
            char name[32];
            (void)snprintf(name, sizeof name, "layer%d.%d", stage + 1, block);
            x = basic_block(g, x, name, in_channels, channels, stage > 0 && block == 0 ? 2 : 1);
            in_channels = channels;
        }
    }
    (void)cxr_graph_avgpool(g, x, "avgpool");
    return g->status == CXR_OK ? CXR_OK
                               : cxr_fail(err, g->status, "cannot build %s for %d x %d pixels", arch, pre->size, pre->size);
}
