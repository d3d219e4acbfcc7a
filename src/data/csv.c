/* The text is given to libcsv line by line, so that every complaint can name its line. A row's strings are gathered in one
 * buffer and then copied, with the pointers to them, into one block of memory. */
#include "data/csv.h"
#include "base/file.h"
#include "base/mem.h"
#include <csv.h>
#include <string.h>

#define MAX_BYTES   ((uint64_t)1 << 30)
#define MAX_COLUMNS 4096

typedef struct reader {
    cxr_csv *out;
    const char *name;
    cxr_error *err;
    cxr_status status;
    size_t line, row_line; /* being read; where the row began, 0 between rows */
    char *text;            /* the fields of this row, each with its NUL */
    size_t used, fields;
    size_t text_room, row_room, line_room;
} reader;

/* Where `p` lies with room for `need` elements; NULL when memory is exhausted, and `p` stays valid. */
static void *reserve(void *p, size_t *room, size_t need, size_t size)
{
    if (need <= *room) return p;
    const size_t more = need < 64 ? 64 : need + need / 2;
    void *grown = cxr_mem_resize(p, more, size);
    if (grown != NULL) *room = more;
    return grown;
}

/* Where the row at hand began; rows ended by a lone CR share a line. */
static size_t row_start(const reader *r)
{
    return r->row_line == 0 ? r->line : r->row_line;
}

static void on_field(void *field, size_t len, void *user)
{
    reader *r = user;
    if (r->status != CXR_OK) return;
    if (++r->fields > MAX_COLUMNS) {
        r->status = cxr_fail(r->err, CXR_ELIMIT, "%s:%zu: more than %d columns", r->name, row_start(r), MAX_COLUMNS);
        return;
    }
    char *text = reserve(r->text, &r->text_room, r->used + len + 1, 1);
    if (text == NULL) {
        r->status = cxr_mem_fail(r->err, r->name);
        return;
    }
    memcpy(text + r->used, field, len);
    text[r->used + len] = '\0';
    r->text = text;
    r->used += len + 1;
}

static cxr_status keep_row(reader *r)
{
    cxr_csv *csv = r->out;
    if (csv->row_count == 0) csv->columns = r->fields;
    if (r->fields != csv->columns)
        return cxr_fail(r->err, CXR_EDATA, "%s:%zu: %zu fields where the header has %zu", r->name, row_start(r), r->fields,
                        csv->columns);
    size_t *lines = reserve(csv->lines, &r->line_room, csv->row_count + 1, sizeof *lines);
    if (lines == NULL) return cxr_mem_fail(r->err, r->name);
    csv->lines = lines;
    char ***rows = reserve(csv->rows, &r->row_room, csv->row_count + 1, sizeof *rows);
    if (rows == NULL) return cxr_mem_fail(r->err, r->name);
    csv->rows = rows;
    char **row = cxr_mem_new(csv->columns * sizeof *row + r->used, 1);
    if (row == NULL) return cxr_mem_fail(r->err, r->name);
    char *text = memcpy(row + csv->columns, r->text, r->used);
    for (size_t i = 0; i < csv->columns; i++, text += strlen(text) + 1) row[i] = text;
    csv->lines[csv->row_count] = row_start(r);
    csv->rows[csv->row_count++] = row;
    return CXR_OK;
}

/* Also called for empty lines and for the LF of a CRLF, where no field came before. */
static void on_row(int end, void *user)
{
    (void)end;
    reader *r = user;
    if (r->status == CXR_OK && r->fields > 0) r->status = keep_row(r);
    r->fields = r->used = r->row_line = 0;
}

static void *resize_bytes(void *p, size_t size)
{
    return cxr_mem_resize(p, size, 1);
}

static int no_spaces(unsigned char c)
{
    (void)c;
    return 0; /* RFC 4180: spaces are part of a field */
}

static cxr_status complain(const reader *r, int code)
{
    if (code == CSV_ENOMEM || code == CSV_ETOOBIG) return cxr_mem_fail(r->err, r->name);
    return cxr_fail(r->err, CXR_EDATA, "%s:%zu: a quote is not closed or stands where none may", r->name, row_start(r));
}

static cxr_status parse_lines(reader *r, struct csv_parser *p, const char *data, size_t len)
{
    const char *const end = data + len;
    for (const char *at = data; at < end && r->status == CXR_OK;) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const size_t n = (size_t)((lf == NULL ? end : lf + 1) - at);
        r->line++;
        if (r->row_line == 0) r->row_line = r->line;
        if (memchr(at, '\0', n) != NULL) return cxr_fail(r->err, CXR_EDATA, "%s:%zu: a NUL byte; not a CSV", r->name, r->line);
        if (csv_parse(p, at, n, on_field, on_row, r) != n) return complain(r, csv_error(p));
        at += n;
    }
    if (r->status == CXR_OK && csv_fini(p, on_field, on_row, r) != 0) return complain(r, csv_error(p));
    return r->status;
}

static cxr_status check_header(const cxr_csv *csv, const char *name, cxr_error *err)
{
    if (csv->row_count == 0) return cxr_fail(err, CXR_EDATA, "%s: empty; a header is needed", name);
    for (size_t i = 0; i < csv->columns; i++)
        if (cxr_csv_column(csv, csv->rows[0][i]) != (int)i)
            return cxr_fail(err, CXR_EDATA, "%s:%zu: column \"%s\" is named twice", name, csv->lines[0], csv->rows[0][i]);
    return CXR_OK;
}

cxr_status cxr_csv_parse(cxr_csv *out, const void *data, size_t len, const char *name, cxr_error *err)
{
    *out = (cxr_csv){0};
    struct csv_parser p;
    if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI | CSV_REPALL_NL) != 0)
        return cxr_fail(err, CXR_EINTERNAL, "libcsv cannot be set up");
    csv_set_realloc_func(&p, resize_bytes);
    csv_set_free_func(&p, cxr_mem_free);
    csv_set_space_func(&p, no_spaces);
    csv_set_blk_size(&p, 4096);
    reader r = {.out = out, .name = name, .err = err};
    const size_t mark = len >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    cxr_status st = parse_lines(&r, &p, (const char *)data + mark, len - mark);
    csv_free(&p);
    cxr_mem_free(r.text);
    if (st == CXR_OK) st = check_header(out, name, err);
    if (st != CXR_OK) cxr_csv_free(out);
    return st;
}

cxr_status cxr_csv_read(cxr_csv *out, const char *path, cxr_error *err)
{
    *out = (cxr_csv){0};
    cxr_buf file;
    cxr_status st = cxr_buf_read(&file, path, MAX_BYTES, err);
    if (st == CXR_OK) st = cxr_csv_parse(out, file.data, file.len, path, err);
    cxr_buf_free(&file);
    return st;
}

void cxr_csv_free(cxr_csv *csv)
{
    for (size_t i = 0; i < csv->row_count; i++) cxr_mem_free(csv->rows[i]);
    cxr_mem_free(csv->rows);
    cxr_mem_free(csv->lines);
    *csv = (cxr_csv){0};
}

int cxr_csv_column(const cxr_csv *csv, const char *name)
{
    for (size_t i = 0; csv->row_count > 0 && i < csv->columns; i++)
        if (strcmp(csv->rows[0][i], name) == 0) return (int)i;
    return -1;
}

void cxr_csv_put(FILE *f, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        (void)fputs(text, f);
    } else {
        (void)csv_fwrite(f, text, strlen(text));
    }
}
