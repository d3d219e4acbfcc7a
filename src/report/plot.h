/* Figures drawn with cairo, PNG and SVG from one routine. Colours are told apart in grey and by colour-blind readers. */
#ifndef CXR_REPORT_PLOT_H
#define CXR_REPORT_PLOT_H
#include "cxr/cxr.h"

/* Train and validation loss on one panel, validation accuracy on another, against the epoch; `base`.png and `base`.svg, each
 * written atomically. count 0 draws empty axes. */
CXR_MUST_CHECK cxr_status cxr_plot_results(const char *base, const cxr_epoch *epochs, size_t count, cxr_error *err);
/* Rows true, columns predicted; counts and row percentages in the cells. */
CXR_MUST_CHECK cxr_status cxr_plot_confusion(const char *path_png, const uint64_t *counts, const char *const *classes, int n,
                                             cxr_error *err);
#endif
