/* The server's inside: a connection's bytes become a request (http.c), a route answers it or makes jobs of it (routes.c), workers do the
 * jobs, and the route makes the reply. Everything but the workers runs on one thread, the daemon's; a request that waits for
 * workers costs none. */
#ifndef CXR_SERVE_SERVER_H
#define CXR_SERVE_SERVER_H
#include "serve/guard.h"
#include "serve/peers.h"
#include "serve/served.h"
#include "serve/tls.h"
#include "serve/work.h"
#include <jansson.h>
#include <microhttpd.h>

#define CXR_BODY_MOST    ((size_t)32 << 20)  /* of one request */
#define CXR_BODIES_MOST  ((size_t)512 << 20) /* of all requests at one time */
#define CXR_HEADERS_MOST ((size_t)16 << 10)
#define CXR_JSON_MOST    ((size_t)8 << 20) /* of a body: parsed it takes a hundred times as much memory */
#define CXR_IMAGES_MOST  64                /* of one request */

typedef struct cxr_request cxr_request;

typedef struct cxr_reply {
    int code; /* 0: none yet */
    const char *type;
    void *data; /* freed with free(), unless lent */
    size_t len;
    bool lent, page; /* page: a browser shows it */
    size_t json_len; /* Inference-Header-Content-Length; 0: not sent */
} cxr_reply;

/* What can be asked. A path's "{m}" is the name of a model, or of a part of the page. */
typedef struct cxr_route {
    const char *method, *path;
    bool free; /* without the token: what a load balancer asks, and pages */
    /* The body is there. Fills the reply, or makes jobs and leaves its code 0: then finish fills it when they are done. */
    void (*start)(cxr_request *r, cxr_reply *reply);
    void (*finish)(cxr_request *r, cxr_reply *reply);
} cxr_route;

extern const cxr_route cxr_routes[];
extern const int cxr_route_count;
#define CXR_ROUTES_MOST 32

/* Figures for /metrics. Daemon's thread only. */
#define CXR_METER_CODES   16
#define CXR_METER_BUCKETS 14
typedef struct cxr_meter {
    uint64_t requests[CXR_ROUTES_MOST + 1][CXR_METER_CODES]; /* the last row: no route */
    uint64_t seconds[CXR_METER_BUCKETS + 1], answered;       /* of requests with images */
    double seconds_sum;
} cxr_meter;

typedef struct cxr_server {
    cxr_serve_opts o;
    const cxr_hooks *hooks;
    cxr_guard guard;
    int workers, socket, port;
    pthread_mutex_t menu_lock;
    cxr_menu menu;
    cxr_crew crew;
    cxr_peers peers;
    cxr_meter meter;
    cxr_tls tls; /* lent to the daemon */
    struct MHD_Daemon *daemon;
    atomic_bool draining;
    atomic_int at_hand; /* requests whose reply is not sent whole */
    size_t bodies;      /* bytes of bodies; daemon's thread only, as the next */
    uint64_t requests;  /* so far */
    uint64_t instance;  /* random: request ids of two servers differ */
} cxr_server;

struct cxr_request {
    cxr_server *server;
    struct MHD_Connection *connection;
    const cxr_route *route; /* NULL: none */
    char id[65];
    char *uri;        /* as it was sent */
    const char *name; /* of the model in the path; NULL: none. Lent from uri */
    size_t name_len;
    char method[16];
    double began;
    uint8_t *body;
    size_t len, room, pieces;
    bool begun, started, dispatched, replied;
    cxr_reply refusal; /* code not 0: the reply, whatever else the body brings */
    /* what start makes */
    cxr_served *served; /* kept */
    cxr_job *jobs;
    float *probabilities;
    char (*names)[128]; /* of files, by job; NULL: they have none */
    int job_count;
    atomic_int left; /* jobs */
    bool many;       /* the reply is a list */
    void *extra;     /* a route's own, freed with cxr_mem_free() */
    int code;        /* sent */
    size_t sent;
};

/* ---- http.c: the daemon's callbacks, on its thread; `ctx` is the server ---- */

void *cxr_http_line(void *ctx, const char *uri, struct MHD_Connection *c);
enum MHD_Result cxr_http_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                                 const char *data, size_t *len, void **request);
void cxr_http_completed(void *ctx, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode code);
void cxr_http_connection(void *ctx, struct MHD_Connection *c, void **peer, enum MHD_ConnectionNotificationCode code);

/* ---- listen.c ---- */

/* Opens the socket, which takes connections from now on. The caller closes it also after a failure. */
CXR_MUST_CHECK cxr_status cxr_http_open(cxr_server *s, cxr_error *err);
/* Answers from now on. */
CXR_MUST_CHECK cxr_status cxr_http_start(cxr_server *s, cxr_error *err);
/* Takes what waits at the door and then nobody; lets requests end, at most `seconds`. */
void cxr_http_drain(cxr_server *s, double seconds);
void cxr_http_close(cxr_server *s);

/* A header's or query argument's value; NULL: not there. Lent. */
const char *cxr_request_header(const cxr_request *r, const char *name);
const char *cxr_request_argument(const cxr_request *r, const char *name);

/* ---- request.c: what routes share ---- */

/* {"error": text}, where text may tell no paths. */
void cxr_reply_error(cxr_reply *reply, int code, const char *fmt, ...) CXR_PRINTF(3, 4);
/* Takes the value. */
void cxr_reply_json(cxr_reply *reply, int code, json_t *value);
/* The reply for a job's or call's error: 400, 413, 503 or 500. */
void cxr_reply_failed(cxr_reply *reply, const cxr_error *err);
/* The model that the path or the query names, kept for the request; false: 404 is the reply. */
bool cxr_request_model(cxr_request *r, cxr_reply *reply);
/* Jobs of that kind with room for their results; false: the reply says why. */
bool cxr_request_jobs(cxr_request *r, int count, cxr_job_kind kind, cxr_reply *reply);
void cxr_request_free(cxr_request *r);

/* ---- metrics.c ---- */

void cxr_meter_add(cxr_meter *m, const cxr_request *r, double seconds);
/* Prometheus text; NULL when memory is exhausted. To be freed with free(). */
char *cxr_meter_text(cxr_server *s);

/* ---- card.c ---- */

void cxr_card_add(json_t *parameters, const cxr_model *m);

/* ---- routes ---- */

void cxr_predict_start(cxr_request *r, cxr_reply *reply);
void cxr_predict_finish(cxr_request *r, cxr_reply *reply);
void cxr_explain_start(cxr_request *r, cxr_reply *reply);
void cxr_explain_finish(cxr_request *r, cxr_reply *reply);
void cxr_infer_start(cxr_request *r, cxr_reply *reply);
void cxr_infer_finish(cxr_request *r, cxr_reply *reply);
#endif
