/* A page that is one file: pictures, style and script are inside it, nothing comes from elsewhere. Text is escaped here and
 * nowhere else; markup is what the caller's literals say. Errors of writing are found by cxr_html_commit(). */
#ifndef CXR_HTML_HTML_H
#define CXR_HTML_HTML_H
#include "data/image.h"

typedef struct cxr_html {
    cxr_output file;
    cxr_error error; /* the first one, of a picture */
} cxr_html;

/* Opens the page at `path`: head, style, and a <main> that cxr_html_commit() ends. */
CXR_MUST_CHECK cxr_status cxr_html_open(cxr_html *h, const char *path, const char *title, cxr_error *err);
/* Ends the page with the script of its controls, and writes it atomically. After a picture's failure: that, and no page. */
CXR_MUST_CHECK cxr_status cxr_html_commit(cxr_html *h, cxr_error *err);
void cxr_html_discard(cxr_html *h); /* as cxr_output_discard() */

/* Markup; %-conversions are for numbers and for texts of this program, never for what came from outside. */
void cxr_html_markup(cxr_html *h, const char *format, ...) CXR_PRINTF(2, 3);
/* Text, escaped for content and for attributes in quotes. Bytes that are not UTF-8 become U+FFFD. NULL: nothing. */
void cxr_html_text(cxr_html *h, const char *text);
/* <tag>text</tag> */
void cxr_html_element(cxr_html *h, const char *tag, const char *text);

/* <section id="..."><h2>title</h2>; id is a literal. */
void cxr_html_section(cxr_html *h, const char *id, const char *title);
void cxr_html_section_end(cxr_html *h);

/* A table that scrolls sideways on a narrow screen; the first cell of each row is its header. heads: NULL ends them. */
void cxr_html_table(cxr_html *h, const char *caption, const char *const *heads);
void cxr_html_row(cxr_html *h, const char *const *cells); /* NULL ends them */
void cxr_html_table_end(cxr_html *h);
/* The same where heads are known one by one: heads, each, rows. */
void cxr_html_table_heads(cxr_html *h, const char *caption);
void cxr_html_head(cxr_html *h, const char *text);
void cxr_html_table_rows(cxr_html *h);

/* Pictures, with what they show in words. A file of type PNG, JPEG or SVG (told by its name's end) as it is; a grey picture as
 * a JPEG of that quality. What fails is said by cxr_html_commit(). */
void cxr_html_picture_file(cxr_html *h, const char *path, const char *alt);
void cxr_html_picture(cxr_html *h, const cxr_image *image, int quality, const char *alt);
void cxr_html_picture_bytes(cxr_html *h, const char *type, const void *bytes, size_t length, const char *alt);
#endif
