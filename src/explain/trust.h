/* Whether a heat map says anything about the model: what is measured of it, and the verdict. Pure functions. */
#ifndef CXR_EXPLAIN_TRUST_H
#define CXR_EXPLAIN_TRUST_H
#include "cxr/cxr.h"
#include "data/lungs.h"

/* Means over the parts of a map when it is divided into side x side; side is at most its own. What is below 0 counts as 0. */
void cxr_map_reduce(float *out, int side, const float *map, int height, int width);
/* Spearman's rank correlation of n pairs, ties at their mean rank; NaN where one side is constant. Time grows as n squared. */
double cxr_spearman(const float *a, const float *b, int n);
/* *share: of the sum of the map, of what lies in the lungs; *area: of the picture, which is what a map that knows nothing would have.
 * Both NaN where no lungs were found; *share also where the map is empty. */
void cxr_lung_share(const cxr_lungs *l, const float *map, int height, int width, double *share, double *area);

/* Fills e->trust from what was measured, and `why`, NULL with CXR_TRUST_YES: a static text. cells: of the map that
 * was compared with occlusion; 0: it is one itself. docs/explanation.md has the rules and their reasons. */
void cxr_trust_judge(cxr_explanation *e, int cells);
#endif
