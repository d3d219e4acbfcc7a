/* PNG of what cairo drew, fast rather than small: cairo's own writer takes several times as long for a fifth fewer bytes. */
#ifndef CXR_DRAW_PNG_H
#define CXR_DRAW_PNG_H
#include "base/file.h"
#include <cairo.h>

/* An image surface of either 32-bit format, on which all is opaque, as RGB of 8 bits: cxr_buf_free(). `name` is for the sentence. */
CXR_MUST_CHECK cxr_status cxr_surface_png(cxr_buf *out, cairo_surface_t *surface, const char *name, cxr_error *err);
#endif
