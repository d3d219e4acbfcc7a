/* Class activation maps from what a layer gave and what it did to one class's logit. Pure functions: no allocation, no state. */
#ifndef CXR_EXPLAIN_CAM_H
#define CXR_EXPLAIN_CAM_H
#include "cxr/cxr.h"

/* a: the layer's values, not negative (they come from a ReLU); g: the gradient of the logit y with respect to them; both
 * (channels, hw), map (hw), in the values' own units. With S(c) the sum of a over channel c and + the positive part:
 *   Grad-CAM (Selvaraju et al. 2017, eq. 1, 2):          map = (sum over c of w(c) a(c))+,   w(c) = mean of g(c)
 *   Grad-CAM++ (Chattopadhay et al. 2018, eq. 10, 19):   the same with w(c) = sum of alpha(c) g(c)+,
 *     alpha = g^2 / (2 g^2 + S(c) g^3) = 1 / (2 + S(c) g) where g is not zero; the score is exp(y), whose factor exp(y) is left
 *     out, being one number for the whole map. Where g is positive alpha's denominator is at least 2. */
void cxr_cam(float *map, const float *a, const float *g, int channels, size_t hw, cxr_explain_method method);
#endif
