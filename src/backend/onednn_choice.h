/* Kernels chosen by timing. Where the fixed rule and other kernels compute the same in the same layouts, those of a full batch
 * are timed once on this machine, and what is chosen is remembered for good, so that a later program, or a run that goes on,
 * takes the same. The rule is left only for a kernel that is clearly faster, and wherever nothing can be remembered. */
#ifndef CXR_BACKEND_ONEDNN_CHOICE_H
#define CXR_BACKEND_ONEDNN_CHOICE_H
#include "backend/onednn_plan.h"

#define CXR_CHOICE_FILE  "kernels.txt" /* in the cache folder */
#define CXR_CHOICE_BATCH 16            /* programs for fewer images, which are soon done, keep to the rule */
#define CXR_CHOICES_MAX  4             /* kernels to choose from */

/* What is remembered for this machine. *out is NULL where the rule decides: asked for, without a cache folder, for few images. */
CXR_MUST_CHECK cxr_status cxr_choices_open(cxr_choices **out, const cxr_program *p, cxr_error *err);
void cxr_choices_free(cxr_choices *c);
/* One of the kernels of a convolution, the first of which is the rule's. Plans for smaller batches follow the full one's. */
cxr_desc cxr_choose(cxr_lowering *l, cxr_pass pass, const cxr_desc *kernels, int count);
/* Tells programs apart that took other kernels than the rule's; 0: none did. */
uint64_t cxr_choices_digest(const cxr_choices *c);
#endif
