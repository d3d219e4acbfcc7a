/* Fixed views of an image whose predictions are averaged: its mirror image, and windows of it made larger, as Krizhevsky,
 * Sutskever, Hinton (2012) and He et al. (2016) test with. The first view is the one that is predicted from without. */
#ifndef CXR_DATA_TTA_H
#define CXR_DATA_TTA_H
#include "data/image.h"

/* How many views there are and how to make them; NULL for a value that is none of cxr_tta. Each window is followed by its mirror
 * image. A window is cut out of the square that the resize rule makes with a longer side, rounded: torchvision's Resize(256) and
 * FiveCrop(224) are 8/7 of 224. */
const cxr_squares *cxr_tta_squares(cxr_tta tta);
#endif
