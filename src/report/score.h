/* A model's probabilities over a part of a data set, for who measures them. */
#ifndef CXR_REPORT_SCORE_H
#define CXR_REPORT_SCORE_H
#include "data/subset.h"
#include "eval/metrics.h"

/* Puts the split into an open data set that a split.csv decides: `split_file` where there is one, else that of the run (folder
 * or NULL) which made the model, when that run was trained on `data`: its validation images were carved there and nowhere
 * else. *found says whether there was one. */
CXR_MUST_CHECK cxr_status cxr_split_find(cxr_dataset *d, const char *data, const char *split_file, const char *run, bool *found,
                                         cxr_error *err);
/* Opens `data` with the split of cxr_split_find(), the run being the model's; where there is none, with the one that cxr_train() makes
 * by default, and *report is that one's, else zeros. *d is closed by the caller, also after a failure. */
CXR_MUST_CHECK cxr_status cxr_split_as_trained(cxr_dataset *d, const cxr_model *m, const char *data, const char *split_file,
                                               cxr_split_report *report, cxr_error *err);
/* CXR_EDATA unless the run `other` took the same images of `data` for `split` as the data set d says, or was trained on another. d's
 * split is then lost. */
CXR_MUST_CHECK cxr_status cxr_split_agree(cxr_dataset *d, const char *data, cxr_split split, const char *other, cxr_error *err);
/* Turns the data set's labels into the model's, by name. */
CXR_MUST_CHECK cxr_status cxr_match_classes(cxr_subset *s, const cxr_dataset *d, const cxr_model *m, cxr_error *err);

/* Keys and class names are lent by the part and the model. */
typedef struct cxr_scored {
    cxr_predictions all; /* image by image, of each image its `views` */
    const char **groups; /* all.n, the patient of each */
    int views;
    const cxr_subset *from;
    const cxr_hooks *hooks;
    bool skip;
    size_t skipped;
} cxr_scored;

/* Runs the model over the part. Unreadable images stop, or with `skip` are logged, counted and left out. Free with
 * cxr_scored_free also after a failure. */
CXR_MUST_CHECK cxr_status cxr_score(cxr_scored *out, const cxr_model *m, const cxr_subset *part, const cxr_run_opts *o,
                                    bool skip, const cxr_hooks *hooks, cxr_error *err);
/* The same of each image perturbed in every way of data/perturb.h, "none" first. */
CXR_MUST_CHECK cxr_status cxr_score_perturbed(cxr_scored *out, const cxr_model *m, const cxr_subset *part,
                                              const cxr_run_opts *o, bool skip, const cxr_hooks *hooks, cxr_error *err);
/* The same of each image with parts of it hidden in every way of data/hide.h, "none" first. */
CXR_MUST_CHECK cxr_status cxr_score_hidden(cxr_scored *out, const cxr_model *m, const cxr_subset *part, const cxr_run_opts *o,
                                           bool skip, const cxr_hooks *hooks, cxr_error *err);
/* One view of every image, copied out; free as the others, also after a failure. */
CXR_MUST_CHECK cxr_status cxr_scored_view(cxr_scored *out, const cxr_scored *all, int view, cxr_error *err);
void cxr_scored_free(cxr_scored *s);
#endif
