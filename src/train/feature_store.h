/* Where features at the cut are kept between epochs and, on disk, between runs. */
#ifndef CXR_TRAIN_FEATURE_STORE_H
#define CXR_TRAIN_FEATURE_STORE_H
#include "train/trainer.h"

/* How many views of each training image there are: opts->cache_features; 1 where no transform is random; 0: each epoch's own. */
int cxr_train_views(const cxr_train_opts *o);
/* The store of `views` features of each image of a part, made with `augment` (NULL: none), for a trainer whose frozen program is
 * compiled. *out is NULL where nothing is kept: nothing is frozen, each epoch has views of its own (0), the cache is off, or
 * the features would take more than half of the machine's memory, which is a warning. A file is found again by a run with
 * the same frozen parameters, images, preprocessing, transforms, seed, precision, batch size and threads: all that decides a
 * feature's bits. Images are told by content: then part->contents is read, which the part's loader must be held to. */
CXR_MUST_CHECK cxr_status cxr_feature_store_open(cxr_store **out, const cxr_trainer *t, cxr_subset *part,
                                                 const cxr_augment *augment, int views, cxr_error *err);
#endif
