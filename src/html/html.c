#include "html/html.h"
#include "base/mem.h"
#include <openssl/evp.h>
#include <stdarg.h>
#include <string.h>

#define MAX_PICTURE ((uint64_t)64 << 20)

extern const char cxr_page_css[], cxr_page_js[];

cxr_status cxr_html_open(cxr_html *h, const char *path, const char *title, cxr_error *err)
{
    *h = (cxr_html){0};
    const cxr_status st = cxr_output_open(&h->file, path, err);
    if (st != CXR_OK) return st;
    /* The policy keeps the promise that nothing is fetched, whatever a name in the data says. */
    cxr_html_markup(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                       "<meta name=\"color-scheme\" content=\"light dark\">\n"
                       "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                       "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n");
    cxr_html_element(h, "title", title);
    cxr_html_markup(h, "\n<link rel=\"icon\" href=\"data:,\">\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", cxr_page_css);
    return CXR_OK;
}

cxr_status cxr_html_commit(cxr_html *h, cxr_error *err)
{
    if (h->error.status != CXR_OK) {
        cxr_html_discard(h);
        return cxr_fail(err, h->error.status, "%s", h->error.text);
    }
    cxr_html_markup(h, "</main>\n<script>\n%s</script>\n</body>\n</html>\n", cxr_page_js);
    return cxr_output_commit(&h->file, err);
}

void cxr_html_discard(cxr_html *h)
{
    cxr_output_discard(&h->file);
}

void cxr_html_markup(cxr_html *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(h->file.stream, format, args);
    va_end(args);
}

/* ---- Text ---- */

/* Bytes of the UTF-8 character at s (Unicode 15, table 3-7); 0: none begins there. */
static size_t character(const unsigned char *s)
{
    if (s[0] < 0x80) return 1;
    const bool two = s[0] >= 0xC2 && s[0] <= 0xDF, three = s[0] >= 0xE0 && s[0] <= 0xEF, four = s[0] >= 0xF0 && s[0] <= 0xF4;
    const unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    const size_t length = two ? 2 : three ? 3 : four ? 4 : 0;
    if (length == 0 || s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    return length;
}

static const char *escape(unsigned char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return c < 0x20 && c != '\t' && c != '\n' ? "\xEF\xBF\xBD" : NULL;
    }
}

void cxr_html_text(cxr_html *h, const char *text)
{
    if (text == NULL) return;
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
        const size_t length = character(s);
        const char *other = length == 0 ? "\xEF\xBF\xBD" : escape(*s);
        if (other != NULL)
            (void)fputs(other, h->file.stream);
        else
            (void)fwrite(s, 1, length, h->file.stream);
        s += length == 0 ? 1 : length;
    }
}

void cxr_html_element(cxr_html *h, const char *tag, const char *text)
{
    cxr_html_markup(h, "<%s>", tag);
    cxr_html_text(h, text);
    cxr_html_markup(h, "</%s>", tag);
}

/* ---- Sections and tables ---- */

void cxr_html_section(cxr_html *h, const char *id, const char *title)
{
    cxr_html_markup(h, "<section id=\"%s\">\n", id);
    cxr_html_element(h, "h2", title);
    cxr_html_markup(h, "\n");
}

void cxr_html_section_end(cxr_html *h)
{
    cxr_html_markup(h, "</section>\n");
}

void cxr_html_table_heads(cxr_html *h, const char *caption)
{
    /* Reachable by the keyboard, since it may have to be scrolled. */
    cxr_html_markup(h, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"");
    cxr_html_text(h, caption);
    cxr_html_markup(h, "\"><table>\n");
    cxr_html_element(h, "caption", caption);
    cxr_html_markup(h, "\n<thead><tr>");
}

void cxr_html_head(cxr_html *h, const char *text)
{
    cxr_html_markup(h, "<th scope=\"col\">");
    cxr_html_text(h, text);
    cxr_html_markup(h, "</th>");
}

void cxr_html_table_rows(cxr_html *h)
{
    cxr_html_markup(h, "</tr></thead>\n<tbody>\n");
}

void cxr_html_table(cxr_html *h, const char *caption, const char *const *heads)
{
    cxr_html_table_heads(h, caption);
    for (; *heads != NULL; heads++) cxr_html_head(h, *heads);
    cxr_html_table_rows(h);
}

void cxr_html_row(cxr_html *h, const char *const *cells)
{
    cxr_html_markup(h, "<tr>");
    for (size_t i = 0; cells[i] != NULL; i++) {
        cxr_html_markup(h, i == 0 ? "<th scope=\"row\">" : "<td>");
        cxr_html_text(h, cells[i]);
        cxr_html_markup(h, i == 0 ? "</th>" : "</td>");
    }
    cxr_html_markup(h, "</tr>\n");
}

void cxr_html_table_end(cxr_html *h)
{
    cxr_html_markup(h, "</tbody></table></div>\n");
}

/* ---- Pictures ---- */

/* The first failure is kept; the page is then not written. */
static bool failed(cxr_html *h, cxr_status st, const cxr_error *err)
{
    if (st != CXR_OK && h->error.status == CXR_OK) h->error = *err;
    return st != CXR_OK;
}

void cxr_html_picture_bytes(cxr_html *h, const char *type, const void *bytes, size_t length, const char *alt)
{
    enum { PIECE = 3 << 10 }; /* of which base64 makes whole characters */
    unsigned char text[PIECE / 3 * 4 + 1];
    cxr_html_markup(h, "<img src=\"data:%s;base64,", type);
    for (size_t at = 0; at < length; at += PIECE) {
        const size_t n = length - at < PIECE ? length - at : PIECE;
        (void)EVP_EncodeBlock(text, (const unsigned char *)bytes + at, (int)n);
        (void)fputs((const char *)text, h->file.stream);
    }
    cxr_html_markup(h, "\" alt=\"");
    cxr_html_text(h, alt);
    cxr_html_markup(h, "\">");
}

void cxr_html_picture_file(cxr_html *h, const char *path, const char *alt)
{
    const char *end = strrchr(cxr_path_name(path), '.');
    const char *type = end == NULL                 ? NULL
                       : strcmp(end, ".svg") == 0  ? "image/svg+xml"
                       : strcmp(end, ".png") == 0  ? "image/png"
                       : strcmp(end, ".jpg") == 0  ? "image/jpeg"
                       : strcmp(end, ".jpeg") == 0 ? "image/jpeg"
                                                   : NULL;
    cxr_buf file = {0};
    cxr_error err = {0};
    cxr_status st = type == NULL ? cxr_fail(&err, CXR_EDATA, "%s: not a picture that a page can hold", path)
                                 : cxr_buf_read(&file, path, MAX_PICTURE, &err);
    if (!failed(h, st, &err)) cxr_html_picture_bytes(h, type, file.data, file.len, alt);
    cxr_buf_free(&file);
}

void cxr_html_picture(cxr_html *h, const cxr_image *image, int quality, const char *alt)
{
    cxr_buf jpeg = {0};
    cxr_error err = {0};
    const cxr_status st = cxr_image_encode_jpeg(&jpeg, image, quality, "a picture of the page", &err);
    if (!failed(h, st, &err)) cxr_html_picture_bytes(h, "image/jpeg", jpeg.data, jpeg.len, alt);
    cxr_buf_free(&jpeg);
}
