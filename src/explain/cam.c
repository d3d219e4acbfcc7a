#include "explain/cam.h"
#include <math.h>

static double grad_cam_weight(const float *g, size_t hw)
{
    double sum = 0.0;
    for (size_t i = 0; i < hw; i++) sum += (double)g[i];
    return sum / (double)hw;
}

static double grad_cam_pp_weight(const float *a, const float *g, size_t hw)
{
    double total = 0.0, sum = 0.0;
    for (size_t i = 0; i < hw; i++) total += (double)a[i];
    for (size_t i = 0; i < hw; i++)
        if (g[i] > 0.0f) sum += (double)g[i] / (2.0 + total * (double)g[i]);
    return sum;
}

void cxr_cam(float *map, const float *a, const float *g, int channels, size_t hw, cxr_explain_method method)
{
    for (size_t i = 0; i < hw; i++) map[i] = 0.0f;
    for (int c = 0; c < channels; c++, a += hw, g += hw) {
        const double w = method == CXR_GRAD_CAM ? grad_cam_weight(g, hw) : grad_cam_pp_weight(a, g, hw);
        for (size_t i = 0; i < hw; i++) map[i] = (float)((double)map[i] + w * (double)a[i]);
    }
    for (size_t i = 0; i < hw; i++) map[i] = map[i] > 0.0f || isnan(map[i]) ? map[i] : 0.0f;
}
