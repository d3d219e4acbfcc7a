/* What model.c lends to the other files of this room. */
#ifndef CXR_MODEL_PARTS_H
#define CXR_MODEL_PARTS_H
#include "model/model.h"

#define CXR_CLASSES_MAX 1000

extern const char *const cxr_rule_names[]; /* of cxr_resize_rule */

/* cxr_model_build without the random start: all parameters 0. */
CXR_MUST_CHECK cxr_status cxr_model_blank(cxr_model **out, const cxr_train_opts *o, const char *const *classes, int count,
                                          cxr_error *err);
/* Loads tensor `t` of `w` as parameter `p` of the model. CXR_EDATA when its shape or type differs. */
CXR_MUST_CHECK cxr_status cxr_model_load_param(cxr_model *m, const cxr_param *p, const cxr_weights *w, const cxr_weight *t,
                                               const char *path, cxr_error *err);
/* PyTorch's "<batch norm>.num_batches_tracked", which nothing here needs. */
bool cxr_is_batch_counter(const char *name);

/* A list of names for a sentence: the first few, then how many more. */
typedef struct cxr_name_list {
    char text[480];
    size_t len;
    int count, shown;
} cxr_name_list;
void cxr_name_list_add(cxr_name_list *list, const char *name);
const char *cxr_name_list_text(cxr_name_list *list);
#endif
