#include "serve/hostile.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL(...) snprintf(h->label, sizeof h->label, __VA_ARGS__)
#define HOST       "Host: 127.0.0.1\r\n"
#define POST       "POST /predict HTTP/1.1\r\n" HOST
#define IMAGE      "Content-Type: image/jpeg\r\n"
#define COUNT(a)   (sizeof(a) / sizeof *(a))

static hostile *hostile_bytes(hostiles *t, const void *bytes, size_t len)
{
    static hostile spare;
    hostile *h = t->count < HOSTILE_MOST ? &t->all[t->count++] : &spare;
    *h = (hostile){.bytes = cxr_mem_new(len, 1), .len = len};
    if (h->bytes != NULL) memcpy(h->bytes, bytes, len);
    return h;
}

CXR_PRINTF(2, 3) static hostile *hostile_text(hostiles *t, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    const int len = vasprintf(&text, fmt, args);
    va_end(args);
    hostile *h = hostile_bytes(t, len > 0 ? text : "", len > 0 ? (size_t)len : 0);
    free(text);
    return h;
}

void hostile_free(hostiles *t)
{
    for (int i = 0; i < t->count; i++) cxr_mem_free(t->all[i].bytes);
    t->count = 0;
}

/* `count` times `unit`. Free with cxr_mem_free(). */
static char *hostile_repeat(const char *unit, size_t count)
{
    const size_t len = strlen(unit);
    char *text = cxr_mem_new(len * count + 1, 1);
    for (size_t i = 0; text != NULL && i < count; i++) memcpy(text + i * len, unit, len);
    return text;
}

/* ---- Lines and headers ---- */

void hostile_lengths(hostiles *t)
{
    static const char *const lengths[] = {"-1",
                                          "+1",
                                          "0x10",
                                          "1e3",
                                          "1 1",
                                          "1,1",
                                          "1.0",
                                          "1;",
                                          "\"1\"",
                                          "NaN",
                                          "--1",
                                          "16a",
                                          "99999999999999999999",
                                          "18446744073709551615",
                                          "18446744073709551616",
                                          "9223372036854775808",
                                          "33554433",
                                          "4294967296",
                                          "4294967312",
                                          "\xd9\xa1"};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        hostile *h = hostile_text(t, POST IMAGE "Content-Length: %s\r\n\r\n0123456789abcdef", lengths[i]);
        (void)LABEL("length %s", lengths[i]);
    }
    static const char *const pairs[] = {
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4\r\ncontent-length: 0\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \vchunked\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding\t: chunked\r\nContent-Length: 4\r\n",
        "Content-Length : 4\r\n",
        "X: y\r\n Content-Length: 4\r\nContent-Length: 4\r\n",
    };
    for (size_t i = 0; i < COUNT(pairs); i++) {
        hostile *h = hostile_text(t, POST IMAGE "%s\r\n0\r\n\r\n", pairs[i]);
        (void)LABEL("framing %.60s", pairs[i]);
    }
}

void hostile_lines(hostiles *t)
{
    static const struct {
        const char *text;
        bool broken;
    } lines[] = {
        {"GET\r\n\r\n", true},
        {"GET /v2\r\n\r\n", false},
        {"/v2 HTTP/1.1\r\n" HOST "\r\n", false},
        {" GET /v2 HTTP/1.1\r\n" HOST "\r\n", true},
        {"GET  /v2 HTTP/1.1\r\n" HOST "\r\n", false},
        {"GET /v2  HTTP/1.1\r\n" HOST "\r\n", false},
        {"GET\t/v2\tHTTP/1.1\r\n" HOST "\r\n", true},
        {"GET /v2 HTTP/1.1 x\r\n" HOST "\r\n", false},
        {"GET /a b HTTP/1.1\r\n" HOST "\r\n", false},
        {"GET v2 HTTP/1.1\r\n" HOST "\r\n", false},
        {"GET /v2 HTTP/1.\r\n" HOST "\r\n", false},
        {"GET /v2 HTTP/11\r\n" HOST "\r\n", false},
        {"GET /v2 http/1.1\r\n" HOST "\r\n", false},
        {"GET /v2 XTTP/1.1\r\n" HOST "\r\n", false},
        {"get /v2 HTTP/1.1\r\n" HOST "\r\n", false},
        {"G\x01T /v2 HTTP/1.1\r\n" HOST "\r\n", false},
        {"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" HOST "\r\n", false},
        {"TRACE /v2 HTTP/1.1\r\n" HOST "\r\n", false},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", false},
        {"DELETE /predict HTTP/1.1\r\n" HOST "\r\n", false},
        {"PUT /predict HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", false},
        {"GET http://example.org/v2 HTTP/1.1\r\n" HOST "\r\n", false},
        {"GET //v2 HTTP/1.1\r\n" HOST "\r\n", false},
        {"GET /v2/ HTTP/1.1\r\n" HOST "\r\n", false},
        {"GET /v2# HTTP/1.1\r\n" HOST "\r\n", false},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", true},
        {"\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n\r\n", true},
        {"EHLO example.org\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\nHost:\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n" HOST HOST "\r\n", false},
        {"GET /v2 HTTP/1.1\r\n" HOST "no colon\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n" HOST ": no name\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n" HOST "a b: c\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n" HOST "a : c\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n" HOST "X-A: \x01\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n" HOST "X-A: \x7f\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n" HOST "X-A: a\r\n b\r\n\r\n", false},
        {"GET /v2 HTTP/1.1\r\n X: y\r\n" HOST "\r\n", false},
    };
    for (size_t i = 0; i < COUNT(lines); i++) {
        hostile *h = hostile_text(t, "%s", lines[i].text);
        (void)LABEL("line %.70s", lines[i].text);
        h->broken = lines[i].broken;
    }
}

void hostile_ends(hostiles *t)
{
    static const struct {
        const char *label, *bytes;
        size_t len;
    } raw[] = {
#define RAW(label, text) {label, text, sizeof text - 1}
        RAW("LF after the line", "GET /v2 HTTP/1.1\n" HOST "\r\n"),
        RAW("LF after a field", "GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\n\r\n"),
        RAW("LF at the end", "GET /v2 HTTP/1.1\r\n" HOST "\n"),
        RAW("LF alone", "GET /v2 HTTP/1.1\nHost: 127.0.0.1\n\n"),
        RAW("CR alone", "GET /v2 HTTP/1.1\rHost: 127.0.0.1\r\r"),
        RAW("CR in a field", "GET /v2 HTTP/1.1\r\n" HOST "X-A: a\rb\r\n\r\n"),
        RAW("LF CR", "GET /v2 HTTP/1.1\n\rHost: 127.0.0.1\n\r\n\r"),
        RAW("zero in the method", "G\0T /v2 HTTP/1.1\r\n" HOST "\r\n"),
        RAW("zero in the path", "GET /v2\0 HTTP/1.1\r\n" HOST "\r\n"),
        RAW("zero in the version", "GET /v2 HTTP/1\0.1\r\n" HOST "\r\n"),
        RAW("zero in a name", "GET /v2 HTTP/1.1\r\n" HOST "X\0A: a\r\n\r\n"),
        RAW("zero in a value", "GET /v2 HTTP/1.1\r\n" HOST "X-A: a\0b\r\n\r\n"),
        RAW("zero in the host", "GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\0.example.org\r\n\r\n"),
        RAW("zeros", "\0\0\0\0\0\0\0\0\r\n\r\n"),
        RAW("LF in a chunked body", POST IMAGE "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n"),
#undef RAW
    };
    for (size_t i = 0; i < COUNT(raw); i++) {
        hostile *h = hostile_bytes(t, raw[i].bytes, raw[i].len);
        (void)LABEL("%s", raw[i].label);
        h->broken = strcmp(raw[i].label, "CR alone") == 0 || strcmp(raw[i].label, "zeros") == 0;
    }
}

void hostile_sizes(hostiles *t)
{
    char *kilo = hostile_repeat("a", 1024), *path = hostile_repeat("a", 9000), *field = hostile_repeat("b", 17000);
    char *fields = hostile_repeat("X-Y: z\r\n", 101), *many = hostile_repeat("X-Y: z\r\n", 20000);
    hostile *h = hostile_text(t, "%s /v2 HTTP/1.1\r\n" HOST "\r\n", kilo);
    (void)LABEL("long method");
    h = hostile_text(t, "GET /%s HTTP/1.1\r\n" HOST "\r\n", path);
    (void)LABEL("long path");
    h->status = 414;
    h = hostile_text(t, "GET /v2?%s HTTP/1.1\r\n" HOST "\r\n", path);
    (void)LABEL("long query");
    h->status = 414;
    h = hostile_text(t, "GET /v2 HTTP/1.1\r\n" HOST "X-A: %s\r\n\r\n", field);
    (void)LABEL("long field");
    h->status = 431;
    h = hostile_text(t, "GET /v2 HTTP/1.1\r\n" HOST "%s: a\r\n\r\n", field);
    (void)LABEL("long name");
    h->status = 431;
    h = hostile_text(t, "GET /v2 HTTP/1.1\r\n" HOST "%s\r\n", fields);
    (void)LABEL("many fields");
    h->status = 431;
    h = hostile_text(t, "GET /v2 HTTP/1.1\r\n" HOST "%s\r\n", many);
    (void)LABEL("endless fields");
    h->status = 431;
    cxr_mem_free(kilo), cxr_mem_free(path), cxr_mem_free(field), cxr_mem_free(fields), cxr_mem_free(many);
}

void hostile_chunks(hostiles *t)
{
    static const char *const chunks[] = {"g\r\nabc\r\n0\r\n\r\n",        "-1\r\nabc\r\n0\r\n\r\n",
                                         "+3\r\nabc\r\n0\r\n\r\n",       "0x3\r\nabc\r\n0\r\n\r\n",
                                         "3 3\r\nabc\r\n0\r\n\r\n",      "\r\nabc\r\n0\r\n\r\n",
                                         "3\r\nabcd\r\n0\r\n\r\n",       "3\r\nabc0\r\n\r\n",
                                         "ffffffffffffffff\r\nabc\r\n",  "fffffffffffffffff\r\nabc\r\n",
                                         "10000000000000003\r\nabc\r\n", "3\r\nabc\r\n0\r\nX\r\n\r\n",
                                         "7fffffff\r\nabc\r\n",          "3;a=\x01\r\nabc\r\n0\r\n\r\n"};
    for (size_t i = 0; i < COUNT(chunks); i++) {
        hostile *h = hostile_text(t, POST IMAGE "Transfer-Encoding: chunked\r\n\r\n%s", chunks[i]);
        (void)LABEL("chunk %.60s", chunks[i]);
        h->broken = strlen(chunks[i]) > 0 && strstr(chunks[i], "0\r\n") == NULL;
    }
    char *flood = hostile_repeat("1\r\na\r\n", 150000), *extension = hostile_repeat("e", 100000);
    hostile *h = hostile_text(t, POST IMAGE "Transfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", flood);
    (void)LABEL("a flood of chunks");
    h = hostile_text(t, POST IMAGE "Transfer-Encoding: chunked\r\n\r\n1;%s\r\na\r\n0\r\n\r\n", extension);
    (void)LABEL("a long chunk extension");
    h->status = 500; /* libmicrohttpd's own, for a line that does not fit its buffer */
    cxr_mem_free(flood), cxr_mem_free(extension);
}

/* ---- Bodies ---- */

static hostile *hostile_post(hostiles *t, const char *path, const char *headers, const void *body, size_t len)
{
    char *head =
        cxr_mem_printf("POST %s HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\nConnection: close\r\n\r\n", path, headers, len);
    const size_t at = head != NULL ? strlen(head) : 0;
    uint8_t *all = cxr_mem_new(at + len, 1);
    if (all != NULL && head != NULL) memcpy(all, head, at);
    if (all != NULL && len > 0) memcpy(all + at, body, len);
    hostile *h = hostile_bytes(t, all, all != NULL ? at + len : 0);
    cxr_mem_free(all), cxr_mem_free(head);
    return h;
}

void hostile_types(hostiles *t, const cxr_buf *image)
{
    static const char *const types[] = {"text/html",
                                        "text/plain",
                                        "application/json",
                                        "application/xml",
                                        "video/mp4",
                                        "audio/wav",
                                        "multipart/mixed; boundary=x",
                                        "application/pdf",
                                        "imagejpeg",
                                        "x",
                                        "*/*",
                                        "message/http"};
    for (size_t i = 0; i < COUNT(types); i++) {
        char header[128];
        (void)snprintf(header, sizeof header, "Content-Type: %s\r\n", types[i]);
        hostile *h = hostile_post(t, "/predict", header, image->data, image->len);
        (void)LABEL("type %s", types[i]);
        h->status = 415;
    }
    hostile *h = hostile_post(t, "/predict", IMAGE "Content-Encoding: gzip\r\n", image->data, image->len);
    (void)LABEL("encoded body");
    h->status = 415;
    h = hostile_post(t, "/predict?model=nobody", IMAGE, image->data, image->len);
    (void)LABEL("no such model");
    h->status = 404;
}

void hostile_forms(hostiles *t)
{
#define FORM(b) "Content-Type: multipart/form-data" b "\r\n"
#define PART    "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.jpg\"\r\n\r\n"
    static const struct {
        const char *header, *body;
    } forms[] = {
        {FORM(""), PART "abc\r\n--x--\r\n"},
        {FORM("; boundary="), PART "abc\r\n--x--\r\n"},
        {FORM("; boundary=\"x"), PART "abc\r\n--x--\r\n"},
        {FORM("; boundary=y"), PART "abc\r\n--x--\r\n"},
        {FORM("; boundary=x"), ""},
        {FORM("; boundary=x"), "--x--\r\n"},
        {FORM("; boundary=x"), PART "abc"},
        {FORM("; boundary=x"), PART "abc\r\n--x--\r\n"},
        {FORM("; boundary=x"), "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nabc\r\n--x--\r\n"},
        {FORM("; boundary=x"), "--x\r\n\r\nabc\r\n--x--\r\n"},
        {FORM("; boundary=x"), "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\r\n\r\nabc\r\n--x--\r\n"},
        {FORM("; boundary=x"), "--x\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\n\nabc\n--x--\n"},
        {FORM("; boundary=x"), "--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\na\r\n--y--\r\n--x--\r\n"},
    };
    for (size_t i = 0; i < COUNT(forms); i++) {
        hostile *h = hostile_post(t, "/predict", forms[i].header, forms[i].body, strlen(forms[i].body));
        (void)LABEL("form %zu", i);
    }
    char *parts = hostile_repeat(PART "a\r\n", 65), *name = hostile_repeat("n", 20000);
    char *long_name =
        cxr_mem_printf("--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"%s\"\r\n\r\nabc\r\n--x--\r\n", name);
    hostile *h = hostile_post(t, "/predict", FORM("; boundary=x"), parts, strlen(parts));
    (void)LABEL("form of 65 files");
    h = hostile_post(t, "/predict", FORM("; boundary=x"), long_name, strlen(long_name));
    (void)LABEL("form with a long name");
    cxr_mem_free(parts), cxr_mem_free(name), cxr_mem_free(long_name);
}

void hostile_tensors(hostiles *t)
{
#define TENSOR(name, type, shape, rest)                                                                                        \
    "{\"inputs\":[{\"name\":\"" name "\",\"datatype\":\"" type "\",\"shape\":" shape rest "}]}"
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "{}",
        "null",
        "1",
        "\"\"",
        "{\"inputs\":[]}",
        "{\"inputs\":{}}",
        "{\"inputs\":[1]}",
        "\xff\xfe",
        "{\"inputs\":[{}]}",
        TENSOR("image", "BYTES", "[1]", ""),
        TENSOR("image", "BYTES", "[0]", ",\"data\":[]"),
        TENSOR("image", "BYTES", "[-1]", ",\"data\":[\"aGk=\"]"),
        TENSOR("image", "BYTES", "[2]", ",\"data\":[\"aGk=\"]"),
        TENSOR("image", "BYTES", "[1]", ",\"data\":[\"aGk=\"]"),
        TENSOR("image", "BYTES", "[1]", ",\"data\":[\"%%%%\"]"),
        TENSOR("image", "BYTES", "[1]", ",\"data\":[7]"),
        TENSOR("image", "BYTES", "[65]", ",\"data\":[]"),
        TENSOR("image", "BYTES", "[4611686018427387904]", ",\"data\":[]"),
        TENSOR("image", "BYTES", "[18446744073709551617]", ",\"data\":[]"),
        TENSOR("image", "BYTES", "[1.5]", ",\"data\":[]"),
        TENSOR("image", "FP32", "[1]", ",\"data\":[1]"),
        TENSOR("image", "BYTES", "[1]", ",\"parameters\":{\"binary_data_size\":4}"),
        TENSOR("image", "BYTES", "[1]", ",\"parameters\":{\"binary_data_size\":-4}"),
        TENSOR("image", "BYTES", "[1]", ",\"parameters\":{\"shared_memory_region\":\"x\"}"),
        TENSOR("pixels", "UINT8", "[1,1,32,32]", ",\"data\":[1,2,3]"),
        TENSOR("pixels", "UINT8", "[1,1,32,33]", ",\"data\":[1,2,3]"),
        TENSOR("pixels", "UINT8", "[1,3,32,32]", ",\"data\":[1,2,3]"),
        TENSOR("pixels", "UINT8", "[1000000,1,32,32]", ",\"data\":[1]"),
        TENSOR("pixels", "UINT8", "[1,1,32,32]", ",\"data\":[256]"),
        TENSOR("other", "UINT8", "[1,1,32,32]", ",\"data\":[1]"),
        "{\"inputs\":[{\"name\":\"image\"},{\"name\":\"image\"}]}",
    };
    const char *const json = "Content-Type: application/json\r\n", *const path = "/v2/models/toy/infer";
    for (size_t i = 0; i < COUNT(bodies); i++) {
        hostile *h = hostile_post(t, path, json, bodies[i], strlen(bodies[i]));
        (void)LABEL("tensor %.70s", bodies[i]);
    }
    static const char *const splits[] = {"-1", "0", "99999", "x", "18446744073709551616", "1"};
    for (size_t i = 0; i < COUNT(splits); i++) {
        char header[128];
        (void)snprintf(header, sizeof header, "Inference-Header-Content-Length: %s\r\n", splits[i]);
        hostile *h = hostile_post(t, path, header, bodies[16], strlen(bodies[16]));
        (void)LABEL("JSON of %s bytes", splits[i]);
    }
    char *deep = hostile_repeat("[", 100000);
    hostile *h = hostile_post(t, path, json, deep, strlen(deep));
    (void)LABEL("deep JSON");
    cxr_mem_free(deep);
}

/* ---- Images ---- */

/* Every so often a prefix, and one whose size fields promise too much. */
void hostile_image(hostiles *t, const char *name, const cxr_buf *image, int cuts, const char *path)
{
    for (int i = 0; i < cuts; i++) {
        const size_t len = image->len * (size_t)i / (size_t)cuts;
        hostile *h = hostile_post(t, path, "Content-Type: application/octet-stream\r\n", image->data, len);
        (void)LABEL("%s cut at %zu, to %s", name, len, path);
    }
}

/* Width and height of a PNG's header (its CRC is then wrong too) or a JPEG's frame. */
void hostile_bomb(hostiles *t, const char *name, const cxr_buf *image, const char *path)
{
    cxr_buf copy = {cxr_mem_new(image->len, 1), image->len};
    if (copy.data == NULL) return;
    memcpy(copy.data, image->data, image->len);
    const bool png = image->data[0] == 0x89;
    size_t at = 16;
    while (!png && at + 9 < copy.len && !(copy.data[at] == 0xff && (copy.data[at + 1] == 0xc0 || copy.data[at + 1] == 0xc2)))
        at++;
    memset(copy.data + (png ? at + 1 : at + 5), 0xff, png ? 3 : 4);
    hostile *h = hostile_post(t, path, "Content-Type: application/octet-stream\r\n", copy.data, copy.len);
    (void)LABEL("%s of too many pixels, to %s", name, path);
    cxr_buf_free(&copy);
}

/* ---- Paths and names ---- */

void hostile_paths(hostiles *t)
{
    static const char *const folders[] = {"/", "/v2/", "/v2/models/", "/static/"};
    static const char *const ups[] = {"../",
                                      "..%2f",
                                      "..%2F",
                                      "%2e%2e/",
                                      "%2e%2e%2f",
                                      ".%2e/",
                                      "..\\",
                                      "..%5c",
                                      "..%255c",
                                      "%252e%252e%252f",
                                      "..%c0%af",
                                      "..%c1%9c",
                                      "%c0%ae%c0%ae/",
                                      "..;/",
                                      "....//",
                                      "..../",
                                      "/../",
                                      "..%00/",
                                      "..%u2215",
                                      "%uff0e%uff0e/",
                                      "\xef\xbc\x8e\xef\xbc\x8e/"};
    static const char *const targets[] = {"etc/passwd", "proc/self/environ", "models/toy.safetensors"};
    for (size_t f = 0; f < COUNT(folders); f++)
        for (size_t u = 0; u < COUNT(ups); u++)
            for (size_t g = 0; g < COUNT(targets); g++) {
                char *up = hostile_repeat(ups[u], 6);
                hostile *h =
                    hostile_text(t, "GET %s%s%s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", folders[f], up, targets[g]);
                (void)LABEL("path %s%s%s", folders[f], ups[u], targets[g]);
                cxr_mem_free(up);
            }
    static const char *const plain[] = {"/etc/passwd", "//etc/passwd", "/file:///etc/passwd", "/%00", "/.git/config", "/.env"};
    for (size_t i = 0; i < COUNT(plain); i++) {
        hostile *h = hostile_text(t, "GET %s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", plain[i]);
        (void)LABEL("path %s", plain[i]);
    }
}

void hostile_senders(hostiles *t)
{
    static const char *const hosts[] = {"example.org",
                                        "example.org:8080",
                                        "127.0.0.1.example.org",
                                        "localhost.example.org",
                                        "xlocalhost",
                                        "localhost.",
                                        "localhost:",
                                        "localhost:x",
                                        "localhost:123456",
                                        "127.0.0.1:",
                                        "127.0.0.1.",
                                        "127.0.0.1@example.org",
                                        "user@127.0.0.1",
                                        "0.0.0.0",
                                        "10.0.0.1",
                                        "192.168.0.1:80",
                                        "[::2]",
                                        "[::1",
                                        "::1",
                                        "[127.0.0.1]",
                                        "[localhost]",
                                        "2130706433",
                                        "0x7f000001",
                                        "0177.0.0.1",
                                        "127.1",
                                        "\xe2\x91\xa0.example.org",
                                        "http://127.0.0.1",
                                        "*",
                                        "127.0.0.1, example.org",
                                        "127.0.0.1 example.org"};
    static const char *const origins[] = {"null",
                                          "http://example.org",
                                          "https://127.0.0.1",
                                          "http://127.0.0.1.example.org",
                                          "http://localhost",
                                          "http://127.0.0.1:1",
                                          "127.0.0.1",
                                          "file://",
                                          "http://",
                                          "http://127.0.0.1/",
                                          "http://127.0.0.1 http://example.org",
                                          "http://user@127.0.0.1",
                                          "moz-extension://x",
                                          "ftp://127.0.0.1",
                                          "*"};
    for (size_t i = 0; i < COUNT(hosts); i++) {
        hostile *h = hostile_text(t, "GET /v2/health/live HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", hosts[i]);
        (void)LABEL("host %s", hosts[i]);
        h->status = 403;
    }
    for (size_t i = 0; i < COUNT(origins); i++) {
        hostile *h =
            hostile_text(t, "GET /v2/health/live HTTP/1.1\r\n" HOST "Origin: %s\r\nConnection: close\r\n\r\n", origins[i]);
        (void)LABEL("origin %s", origins[i]);
        h->status = 403;
    }
}
