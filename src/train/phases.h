/* Settings that change by epoch: "A:2,B:3,C" is A for two epochs, B for three and C for the rest. Where the network is cut
 * (freeze) and how large its images are (size) are such settings. */
#ifndef CXR_TRAIN_PHASES_H
#define CXR_TRAIN_PHASES_H
#include "cxr/cxr.h"

#define CXR_PHASES_MOST 16

typedef struct cxr_phase {
    char value[16];
    int first; /* epoch, from 0 */
} cxr_phase;

typedef struct cxr_phases {
    int count; /* >= 1 */
    cxr_phase at[CXR_PHASES_MOST];
} cxr_phases;

/* The phases of o->freeze, each of which freezes less than the one before it. CXR_EUSAGE names the option, the phase and what is
 * wrong with it: also where the last one would begin behind the last epoch. */
CXR_MUST_CHECK cxr_status cxr_freeze_phases(cxr_phases *out, const cxr_train_opts *o, cxr_error *err);
/* Those of o->early_sizes, with o->preprocess.size as the last; neighbours differ. */
CXR_MUST_CHECK cxr_status cxr_size_phases(cxr_phases *out, const cxr_train_opts *o, cxr_error *err);
/* The index of the phase that epoch `epoch` (from 0) belongs to. */
int cxr_phase_of(const cxr_phases *p, int epoch);
#endif
