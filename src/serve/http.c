/* A request's life from its first header to its last byte sent, as libmicrohttpd's callbacks. */
#include "base/log.h"
#include "base/mem.h"
#include "serve/server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URI_MOST    ((size_t)8 << 10)
#define FIELDS_MOST 100
#define SPACES_MOST 8                 /* before a value */
#define PIECES_MOST ((size_t)1 << 17) /* chunks of a body, each of which costs more than its bytes */

typedef enum MHD_Result answer;

const char *cxr_request_header(const cxr_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *cxr_request_argument(const cxr_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

static cxr_peer *peer_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void set_state(const cxr_request *r, cxr_peer_state state)
{
    cxr_peers_set(&r->server->peers, peer_of(r->connection), state);
}

/* ---- What is refused before anything is read of the body ---- */

typedef struct fields {
    size_t bytes;
    int count, hosts, lengths, encodings;
    bool odd; /* a character that no field may have */
} fields;

static answer count_field(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    fields *f = ctx;
    const size_t len = strlen(name), span = value != NULL ? (size_t)((uintptr_t)value - (uintptr_t)name) : len + 1;
    (void)kind;
    f->count++;
    f->bytes += span + (value != NULL ? strlen(value) : 0) + 2; /* the line's end */
    f->odd |= span <= len || span > len + 1 + SPACES_MOST;
    f->hosts += strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
    f->lengths += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    f->encodings += strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    f->odd |= *name == '\0' || strpbrk(name, " \t\r\n") != NULL;
    for (const char *at = value; at != NULL && *at != '\0'; at++) f->odd |= (*at > 0 && *at < ' ' && *at != '\t') || *at == 127;
    return MHD_YES;
}

/* Whether the headers took what they take when each line ends in CR LF. The daemon's strings end at a NUL, and it takes a bare LF and
 * a folded line: what it does not show is seen in the sizes. A field's name and value are where they came in, one after the other,
 * so that spaces between them are counted; of a folded line they are not, and the field is odd. */
static bool sizes_agree(const cxr_request *r, const fields *f)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const size_t line = strlen(r->method) + 1 + strlen(r->uri) + sizeof " HTTP/1.1\r\n" - 1;
    return info == NULL || info->header_size == line + f->bytes + 2;
}

/* A length in digits alone; false: it is none. */
static bool read_length(const char *text, uint64_t *out)
{
    const size_t digits = strspn(text, "0123456789");
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return digits > 0 && text[digits] == '\0' && errno == 0;
}

/* What two parsers might read differently, where a proxy stands before us: RFC 9112, 6.3 and 11.2. */
static bool refuse_form(cxr_request *r, const fields *f)
{
    const char *length = cxr_request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *encoding = cxr_request_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    uint64_t bytes = 0;
    if (strlen(r->uri) > URI_MOST)
        cxr_reply_error(&r->refusal, 414, "the address is longer than %zu bytes", URI_MOST);
    else if (strchr(r->uri, ' ') != NULL)
        cxr_reply_error(&r->refusal, 400, "the address holds a space");
    else if (f->bytes > CXR_HEADERS_MOST || f->count > FIELDS_MOST)
        cxr_reply_error(&r->refusal, 431, "the headers are over %zu bytes or %d fields", CXR_HEADERS_MOST, FIELDS_MOST);
    else if (f->odd || f->hosts != 1 || f->lengths > 1 || f->encodings > 1 || (f->lengths > 0 && f->encodings > 0))
        cxr_reply_error(&r->refusal, 400, "the headers contradict each other or hold what they may not");
    else if (!sizes_agree(r, f))
        cxr_reply_error(&r->refusal, 400, "the headers hold NUL bytes, bare line feeds, folded lines or needless spaces");
    else if (encoding != NULL && strcasecmp(encoding, "chunked") != 0)
        cxr_reply_error(&r->refusal, 400, "the transfer encoding is not known");
    else if (length != NULL && !read_length(length, &bytes))
        cxr_reply_error(&r->refusal, 400, "the length is no number");
    else if (bytes > CXR_BODY_MOST)
        cxr_reply_error(&r->refusal, 413, "the body is over %zu bytes", CXR_BODY_MOST);
    else if (bytes > CXR_BODIES_MOST - r->server->bodies)
        cxr_reply_error(&r->refusal, 503, "too much is being sent at this time: try again");
    return r->refusal.code != 0;
}

static bool refuse_sender(cxr_request *r)
{
    const cxr_guard *g = &r->server->guard;
    const char *host = cxr_request_header(r, MHD_HTTP_HEADER_HOST);
    if (!cxr_guard_host(g, host))
        cxr_reply_error(&r->refusal, 403, "this server does not go by that name");
    else if (!cxr_guard_origin(g, cxr_request_header(r, MHD_HTTP_HEADER_ORIGIN), host))
        cxr_reply_error(&r->refusal, 403, "pages from elsewhere may not ask");
    return r->refusal.code != 0;
}

/* Whether path, of `len` bytes, is what the pattern says; the name that stands for "{m}". */
static bool path_fits(const char *pattern, const char *path, size_t len, const char **name, size_t *name_len)
{
    const char *hole = strstr(pattern, "{m}");
    *name = NULL;
    *name_len = 0;
    if (hole == NULL) return strlen(pattern) == len && memcmp(pattern, path, len) == 0;
    const size_t before = (size_t)(hole - pattern), after = strlen(hole + 3);
    if (len <= before + after || memcmp(pattern, path, before) != 0 || memcmp(hole + 3, path + len - after, after) != 0)
        return false;
    *name = path + before;
    *name_len = len - before - after;
    return memchr(*name, '/', *name_len) == NULL;
}

/* Paths are compared as they were sent: none that we have needs escapes. */
static bool refuse_path(cxr_request *r)
{
    const size_t len = strcspn(r->uri, "?");
    const char *method = strcmp(r->method, MHD_HTTP_METHOD_HEAD) == 0 ? MHD_HTTP_METHOD_GET : r->method;
    bool found = false;
    for (int i = 0; i < cxr_route_count && r->route == NULL; i++) {
        if (!path_fits(cxr_routes[i].path, r->uri, len, &r->name, &r->name_len)) continue;
        found = true;
        if (strcmp(cxr_routes[i].method, method) == 0) r->route = &cxr_routes[i];
    }
    if (r->route == NULL && found) cxr_reply_error(&r->refusal, 405, "this address has another method");
    if (!found) cxr_reply_error(&r->refusal, 404, "there is nothing at this address");
    return r->refusal.code != 0;
}

static bool refuse_rest(cxr_request *r)
{
    const char *coding = cxr_request_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING);
    if (!r->route->free && !cxr_guard_token(&r->server->guard, cxr_request_header(r, MHD_HTTP_HEADER_AUTHORIZATION)))
        cxr_reply_error(&r->refusal, 401, "a token must come as `Authorization: Bearer TOKEN`");
    else if (coding != NULL && strcasecmp(coding, "identity") != 0)
        cxr_reply_error(&r->refusal, 415, "bodies must come without a content encoding");
    return r->refusal.code != 0;
}

/* ---- Replies ---- */

static void add(struct MHD_Response *response, const char *name, const char *value)
{
    (void)MHD_add_response_header(response, name, value);
}

static void add_headers(struct MHD_Response *response, const cxr_request *r, const cxr_reply *reply)
{
    static const char policy[] =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    add(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
    add(response, "X-Request-ID", r->id);
    add(response, "X-Content-Type-Options", "nosniff");
    add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add(response, "Cross-Origin-Resource-Policy", "same-origin");
    if (reply->page) {
        add(response, "Content-Security-Policy", policy);
        add(response, "Referrer-Policy", "no-referrer");
    }
    if (reply->code == 503) add(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (reply->code == 401) add(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (reply->code == 405) add(response, MHD_HTTP_HEADER_ALLOW, strcmp(r->method, "POST") == 0 ? "GET, HEAD" : "POST");
    if (reply->json_len > 0) {
        char number[24];
        (void)snprintf(number, sizeof number, "%zu", reply->json_len);
        add(response, "Inference-Header-Content-Length", number);
    }
    if (r->refusal.code != 0 || atomic_load(&r->server->draining)) add(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static answer send_reply(cxr_request *r, cxr_reply *reply)
{
    if (reply->data == NULL) {
        static char nothing[] = "";
        *reply = (cxr_reply){.code = reply->code != 0 ? reply->code : 500, .type = "text/plain", .data = nothing, .lent = true};
    }
    const enum MHD_ResponseMemoryMode mode = reply->lent ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE;
    struct MHD_Response *response = MHD_create_response_from_buffer(reply->len, reply->data, mode);
    if (response == NULL) {
        if (!reply->lent) free(reply->data);
        return MHD_NO;
    }
    r->replied = true;
    r->code = reply->code;
    r->sent = reply->len;
    add_headers(response, r, reply);
    set_state(r, CXR_PEER_REPLY);
    const answer a = MHD_queue_response(r->connection, (unsigned)reply->code, response);
    MHD_destroy_response(response);
    return a;
}

/* ---- A request's life ---- */

void *cxr_http_line(void *ctx, const char *uri, struct MHD_Connection *c)
{
    cxr_server *s = ctx;
    cxr_request *r = cxr_mem_new(1, sizeof *r);
    if (r == NULL) return NULL;
    *r = (cxr_request){.server = s, .connection = c, .began = cxr_now(), .uri = cxr_mem_strdup(uri)};
    atomic_fetch_add(&s->at_hand, 1);
    s->requests++;
    return r;
}

static bool is_plain(const char *text)
{
    const size_t len = strlen(text);
    return len >= 1 && len <= 64 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static void choose_id(cxr_request *r)
{
    const char *given = cxr_request_header(r, "X-Request-ID");
    if (given != NULL && is_plain(given))
        (void)snprintf(r->id, sizeof r->id, "%s", given);
    else
        (void)snprintf(r->id, sizeof r->id, "%016llx-%llu", (unsigned long long)r->server->instance,
                       (unsigned long long)r->server->requests);
}

static answer begin(cxr_request *r, const char *method)
{
    fields f = {0};
    r->begun = true;
    (void)snprintf(r->method, sizeof r->method, "%s", method);
    choose_id(r);
    (void)MHD_get_connection_values(r->connection, MHD_HEADER_KIND, count_field, &f);
    if (refuse_form(r, &f) || refuse_sender(r) || refuse_path(r) || refuse_rest(r)) return send_reply(r, &r->refusal);
    set_state(r, CXR_PEER_BODY);
    return MHD_YES;
}

static bool grow(cxr_request *r, size_t need)
{
    size_t room = r->room > 0 ? r->room : (size_t)64 << 10;
    while (room < need) room *= 2;
    if (room == r->room) return true;
    if (room - r->room > CXR_BODIES_MOST - r->server->bodies) return false;
    uint8_t *more = cxr_mem_resize(r->body, room, 1);
    if (more == NULL) return false;
    r->server->bodies += room - r->room;
    r->body = more;
    r->room = room;
    return true;
}

/* A refusal waits for the body's end, up to twice what it may have; then the connection goes. */
static answer take_piece(cxr_request *r, const char *data, size_t len)
{
    cxr_peers_received(&r->server->peers, peer_of(r->connection), len);
    r->pieces++;
    if (r->refusal.code == 0 && len > CXR_BODY_MOST - r->len)
        cxr_reply_error(&r->refusal, 413, "the body is over %zu bytes", CXR_BODY_MOST);
    if (r->refusal.code == 0 && r->pieces > PIECES_MOST)
        cxr_reply_error(&r->refusal, 413, "the body comes in over %zu pieces", PIECES_MOST);
    if (r->refusal.code == 0 && !grow(r, r->len + len))
        cxr_reply_error(&r->refusal, 503, "too much is being sent at this time: try again");
    if (r->refusal.code == 0) memcpy(r->body + r->len, data, len);
    r->len += len;
    return r->len > 2 * CXR_BODY_MOST || r->pieces > 2 * PIECES_MOST ? MHD_NO : MHD_YES;
}

/* The last job resumes the connection: its handler is then called again. */
static void job_done(void *ctx)
{
    cxr_request *r = ctx;
    if (atomic_fetch_sub(&r->left, 1) == 1) MHD_resume_connection(r->connection);
}

/* Ends without a reply where there are jobs, and the next call puts them: only after such a call does the daemon wait for nothing of
 * the connection. One that is suspended earlier is read when it is resumed, and is closed without its reply when its client has
 * said that it will send no more (shutdown(), as `nc -N` does). */
static answer start(cxr_request *r)
{
    cxr_reply reply = {0};
    r->started = true;
    if (r->refusal.code != 0) return send_reply(r, &r->refusal);
    r->route->start(r, &reply);
    return reply.code != 0 ? send_reply(r, &reply) : MHD_YES;
}

static answer dispatch(cxr_request *r)
{
    r->dispatched = true;
    for (int i = 0; i < r->job_count; i++) {
        r->jobs[i].done = job_done;
        r->jobs[i].owner = r;
    }
    atomic_store(&r->left, r->job_count);
    set_state(r, CXR_PEER_WORK);
    MHD_suspend_connection(r->connection);
    if (cxr_crew_put(&r->server->crew, r->jobs, r->job_count)) return MHD_YES;
    cxr_reply_error(&r->refusal, 503, "the queue is full: try again");
    MHD_resume_connection(r->connection);
    return MHD_YES;
}

static answer finish(cxr_request *r)
{
    cxr_reply reply = {0};
    if (r->refusal.code != 0) return send_reply(r, &r->refusal);
    r->route->finish(r, &reply);
    return send_reply(r, &reply);
}

answer cxr_http_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                        const char *data, size_t *len, void **request)
{
    cxr_request *r = *request;
    (void)ctx, (void)c, (void)url, (void)version;
    if (r == NULL || r->uri == NULL) return MHD_NO;
    if (!r->begun) return begin(r, method);
    if (*len > 0) {
        const answer a = take_piece(r, data, *len);
        *len = 0;
        return a;
    }
    if (r->replied) return MHD_YES;
    if (!r->started) return start(r);
    return r->dispatched ? finish(r) : dispatch(r);
}

/* ---- Its end ---- */

static void tell_access(const cxr_request *r, double seconds)
{
    const cxr_serve_opts *o = &r->server->o;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char stamp[CXR_STAMP], address[INET6_ADDRSTRLEN] = "";
    if (o->access == NULL) return;
    const struct sockaddr *from = info != NULL ? info->client_addr : NULL;
    if (from != NULL && from->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)from)->sin_addr, address, sizeof address);
    if (from != NULL && from->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, address, sizeof address);
    cxr_stamp(stamp);
    json_t *path = json_stringn(r->uri, strcspn(r->uri, "?")); /* NULL: not UTF-8 */
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:i, s:I, s:I, s:i, s:f}", "time", stamp, "id", r->id, "address", address,
                  "method", r->method, "path", path != NULL ? path : json_null(), "status", r->code, "received",
                  (json_int_t)r->len, "sent", (json_int_t)r->sent, "images", r->job_count, "ms", 1e3 * seconds);
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(4)) : NULL;
    if (text != NULL) o->access(o->user, text);
    free(text);
    json_decref(line);
}

void cxr_http_completed(void *ctx, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode code)
{
    cxr_server *s = ctx;
    cxr_request *r = *request;
    (void)code;
    cxr_peers_set(&s->peers, peer_of(c), CXR_PEER_IDLE);
    if (r == NULL) return;
    const double seconds = cxr_now() - r->began;
    cxr_meter_add(&s->meter, r, seconds);
    if (r->uri != NULL && r->begun) tell_access(r, seconds);
    s->bodies -= r->room;
    cxr_request_free(r);
    *request = NULL;
    atomic_fetch_sub(&s->at_hand, 1);
}

void cxr_http_connection(void *ctx, struct MHD_Connection *c, void **peer, enum MHD_ConnectionNotificationCode code)
{
    cxr_server *s = ctx;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        *peer = info != NULL ? cxr_peers_add(&s->peers, info->connect_fd) : NULL;
    } else if (*peer != NULL) {
        cxr_peers_remove(&s->peers, *peer);
        *peer = NULL;
    }
}
