/* Everything that can be asked, and the answers that need no worker. */
#include "serve/server.h"
#include <string.h>

/* ---- Files that are part of the program ---- */

extern const char cxr_openapi_json[], cxr_index_html[], cxr_app_css[], cxr_app_js[], cxr_api_js[], cxr_viewer_js[],
    cxr_result_js[], cxr_table_js[], cxr_card_js[], cxr_icon_svg[];

/* What is at an address as it is; text, ended by a zero. */
typedef struct asset {
    const char *name, *type, *text;
} asset;
#define STYLE  "text/css; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
static const asset assets[] = {
    {"openapi.json", "application/json", cxr_openapi_json},
    {"index.html", "text/html; charset=utf-8", cxr_index_html},
    {"app.css", STYLE, cxr_app_css},
    {"app.js", SCRIPT, cxr_app_js},
    {"api.js", SCRIPT, cxr_api_js},
    {"viewer.js", SCRIPT, cxr_viewer_js},
    {"result.js", SCRIPT, cxr_result_js},
    {"table.js", SCRIPT, cxr_table_js},
    {"card.js", SCRIPT, cxr_card_js},
    {"icon.svg", "image/svg+xml", cxr_icon_svg},
};

static void send_asset(cxr_reply *reply, const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof assets / sizeof assets[0]; i++) {
        const asset *a = &assets[i];
        if (strlen(a->name) != len || memcmp(a->name, name, len) != 0) continue;
        *reply = (cxr_reply){.code = 200,
                             .type = a->type,
                             .data = (void *)(uintptr_t)a->text,
                             .len = strlen(a->text),
                             .lent = true,
                             .page = true};
        return;
    }
    cxr_reply_error(reply, 404, "there is nothing at this address");
}

static void send_description(cxr_request *r, cxr_reply *reply)
{
    (void)r;
    send_asset(reply, "openapi.json", strlen("openapi.json"));
}

static void send_page(cxr_request *r, cxr_reply *reply)
{
    (void)r;
    send_asset(reply, "index.html", strlen("index.html"));
}

static void send_part(cxr_request *r, cxr_reply *reply)
{
    send_asset(reply, r->name, r->name_len);
}

/* ---- The protocol's small answers ---- */

static void send_server(cxr_request *r, cxr_reply *reply)
{
    (void)r;
    cxr_reply_json(reply, 200,
                   json_pack("{s:s, s:s, s:[s]}", "name", "cxr", "version", cxr_version(), "extensions", "binary_tensor_data"));
}

static void send_live(cxr_request *r, cxr_reply *reply)
{
    (void)r;
    cxr_reply_json(reply, 200, json_pack("{s:b}", "live", 1));
}

static void send_ready(cxr_request *r, cxr_reply *reply)
{
    const bool ready = !atomic_load(&r->server->draining);
    cxr_reply_json(reply, ready ? 200 : 503, json_pack("{s:b}", "ready", ready));
}

static void send_model_ready(cxr_request *r, cxr_reply *reply)
{
    if (!cxr_request_model(r, reply)) return;
    const bool ready = !atomic_load(&r->server->draining);
    cxr_reply_json(reply, ready ? 200 : 503, json_pack("{s:s, s:b}", "name", r->served->name, "ready", ready));
}

static void add_tensor(json_t *list, const char *name, const char *type, json_t *shape)
{
    (void)json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", name, "datatype", type, "shape", shape));
}

static json_t *model_json(const cxr_served *s)
{
    const cxr_model *m = s->model;
    json_t *classes = json_array();
    for (int k = 0; k < m->class_count; k++) (void)json_array_append_new(classes, json_string(m->classes[k]));
    json_t *parameters =
        json_pack("{s:s, s:s, s:i, s:o}", "id", s->id, "arch", m->arch, "size", m->preprocess.size, "classes", classes);
    if (m->positive >= 0) {
        (void)json_object_set_new(parameters, "positive", json_string(m->classes[m->positive]));
        (void)json_object_set_new(parameters, "threshold", json_real(m->threshold));
    }
    cxr_card_add(parameters, m);
    json_t *inputs = json_array(), *outputs = json_array();
    add_tensor(inputs, "image", "BYTES", json_pack("[i]", -1));
    add_tensor(inputs, "pixels", "UINT8", json_pack("[i, i, i, i]", -1, 1, m->preprocess.size, m->preprocess.size));
    add_tensor(outputs, "probabilities", "FP32", json_pack("[i, i]", -1, m->class_count));
    add_tensor(outputs, "prediction", "BYTES", json_pack("[i]", -1));
    add_tensor(outputs, "status", "BYTES", json_pack("[i]", -1));
    add_tensor(outputs, "reason", "BYTES", json_pack("[i]", -1));
    return json_pack("{s:s, s:[s], s:s, s:o, s:o, s:o}", "name", s->name, "versions", "1", "platform", "cxr", "inputs", inputs,
                     "outputs", outputs, "parameters", parameters);
}

static void send_model(cxr_request *r, cxr_reply *reply)
{
    if (cxr_request_model(r, reply)) cxr_reply_json(reply, 200, model_json(r->served));
}

static void send_models(cxr_request *r, cxr_reply *reply)
{
    json_t *list = json_array();
    (void)pthread_mutex_lock(&r->server->menu_lock);
    for (int i = 0; i < r->server->menu.count; i++) (void)json_array_append_new(list, model_json(r->server->menu.served[i]));
    (void)pthread_mutex_unlock(&r->server->menu_lock);
    cxr_reply_json(reply, 200, json_pack("{s:o}", "models", list));
}

static void send_metrics(cxr_request *r, cxr_reply *reply)
{
    char *text = cxr_meter_text(r->server);
    *reply = (cxr_reply){.code = text != NULL ? 200 : 500, .type = "text/plain; version=0.0.4", .data = text};
    if (text != NULL) reply->len = strlen(text);
}

const cxr_route cxr_routes[] = {
    {"GET", "/", true, send_page, NULL},
    {"GET", "/page/{m}", true, send_part, NULL},
    {"GET", "/openapi.json", true, send_description, NULL},
    {"GET", "/v2", false, send_server, NULL},
    {"GET", "/v2/health/live", true, send_live, NULL},
    {"GET", "/v2/health/ready", true, send_ready, NULL},
    {"GET", "/v2/models", false, send_models, NULL},
    {"GET", "/v2/models/{m}", false, send_model, NULL},
    {"GET", "/v2/models/{m}/ready", false, send_model_ready, NULL},
    {"POST", "/v2/models/{m}/infer", false, cxr_infer_start, cxr_infer_finish},
    {"POST", "/predict", false, cxr_predict_start, cxr_predict_finish},
    {"POST", "/explain", false, cxr_explain_start, cxr_explain_finish},
    {"GET", "/metrics", false, send_metrics, NULL},
};
const int cxr_route_count = sizeof cxr_routes / sizeof cxr_routes[0];
_Static_assert(sizeof cxr_routes / sizeof cxr_routes[0] <= CXR_ROUTES_MOST, "the meter has a row for each route");
