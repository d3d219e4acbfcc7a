/* POST /predict and /explain: image files as the body, or several in a form. */
#include "base/mem.h"
#include "report/text.h"
#include "serve/server.h"
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FORM_BUFFER 1024
#define SIDE        512 /* of an overlay, unless asked otherwise */
#define SIDE_LEAST  32
#define SIDE_MOST   2048

static bool type_is(const char *type, const char *name)
{
    const size_t len = strlen(name);
    return strncasecmp(type, name, len) == 0 && (name[len - 1] == '/' || strchr("; \t", type[len]) != NULL);
}

/* curl sends a body as a form unless told otherwise; what it is, is told by its content. */
static bool type_is_image(const char *type)
{
    return type == NULL || type_is(type, "image/") || type_is(type, "application/octet-stream") ||
           type_is(type, "application/x-www-form-urlencoded");
}

/* ---- Forms ---- */

typedef struct part {
    size_t at, len; /* in form.bytes */
    char name[128];
} part;

typedef struct form {
    uint8_t *bytes; /* of all files, one after another: no longer than the body */
    size_t len;
    part parts[CXR_IMAGES_MOST];
    int count; /* may go beyond the parts there is room for */
} form;

static enum MHD_Result take_field(void *ctx, enum MHD_ValueKind kind, const char *key, const char *filename, const char *type,
                                  const char *encoding, const char *data, uint64_t at, size_t len)
{
    form *f = ctx;
    (void)kind, (void)key, (void)type, (void)encoding;
    if (filename == NULL) return MHD_YES; /* a field that is no file */
    if (at == 0) {
        if (++f->count > CXR_IMAGES_MOST) return MHD_NO;
        part *p = &f->parts[f->count - 1];
        p->at = f->len;
        (void)snprintf(p->name, sizeof p->name, "%s", filename);
    }
    memcpy(f->bytes + f->len, data, len);
    f->len += len;
    f->parts[f->count - 1].len += len;
    return MHD_YES;
}

/* The form's files take the body's place. */
static bool read_form(cxr_request *r, form *f, cxr_reply *reply)
{
    struct MHD_PostProcessor *p = MHD_create_post_processor(r->connection, FORM_BUFFER, take_field, f);
    f->bytes = cxr_mem_new(r->len, 1);
    bool good = p != NULL && f->bytes != NULL && MHD_post_process(p, (const char *)r->body, r->len) == MHD_YES;
    if (p != NULL && MHD_destroy_post_processor(p) != MHD_YES) good = false;
    if (f->count > CXR_IMAGES_MOST)
        cxr_reply_error(reply, 413, "there are more than %d images", CXR_IMAGES_MOST);
    else if (!good)
        cxr_reply_error(reply, 400, "the form is damaged or cut off");
    if (!good) return false;
    memcpy(r->body, f->bytes, f->len);
    return true;
}

static bool jobs_of_form(cxr_request *r, cxr_job_kind kind, cxr_reply *reply)
{
    form *f = cxr_mem_new(1, sizeof *f);
    if (f == NULL) {
        cxr_reply_failed(reply, &(cxr_error){.status = CXR_ENOMEM});
        return false;
    }
    bool good = read_form(r, f, reply) && cxr_request_jobs(r, f->count, kind, reply);
    if (good && (r->names = cxr_mem_new((size_t)f->count, sizeof *r->names)) == NULL) {
        cxr_reply_failed(reply, &(cxr_error){.status = CXR_ENOMEM});
        good = false;
    }
    for (int i = 0; i < f->count && good; i++) {
        r->jobs[i].bytes = r->body + f->parts[i].at;
        r->jobs[i].len = f->parts[i].len;
        memcpy(r->names[i], f->parts[i].name, sizeof r->names[i]);
    }
    r->many = true;
    cxr_mem_free(f->bytes);
    cxr_mem_free(f);
    return good;
}

static bool make_jobs(cxr_request *r, cxr_job_kind kind, cxr_reply *reply)
{
    const char *type = cxr_request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    const bool is_form = type != NULL && type_is(type, "multipart/form-data");
    if (!is_form && !type_is_image(type)) {
        cxr_reply_error(reply, 415, "a body must be a JPEG or PNG file, or multipart/form-data with such files");
        return false;
    }
    if (!cxr_request_model(r, reply)) return false;
    if (r->len == 0) {
        cxr_reply_error(reply, 400, "the body is empty: it must be a JPEG or PNG file");
        return false;
    }
    if (is_form) return jobs_of_form(r, kind, reply);
    if (!cxr_request_jobs(r, 1, kind, reply)) return false;
    r->jobs[0].bytes = r->body;
    r->jobs[0].len = r->len;
    return true;
}

/* ---- Answers ---- */

static json_t *name_json(const cxr_request *r, int index)
{
    json_t *name = r->names != NULL ? json_string(r->names[index]) : NULL; /* NULL: not UTF-8 */
    return name != NULL ? name : json_null();
}

static json_t *probabilities_json(const cxr_job *j)
{
    const cxr_model *m = j->served->model;
    json_t *all = json_object();
    for (int k = 0; k < m->class_count; k++)
        (void)json_object_set_new(all, m->classes[k], json_real((double)j->probabilities[k]));
    return all;
}

static json_t *timing_json(const cxr_job *j)
{
    return json_pack("{s:f, s:f, s:f, s:i, s:i}", "queue_ms", 1e3 * j->queue_seconds, "decode_ms", 1e3 * j->decode_seconds,
                     "compute_ms", 1e3 * j->compute_seconds, "batch", j->batch, "threads", j->threads);
}

/* What `cxr predict --format json` says of an image, without its path, and more. */
static json_t *answer_json(const cxr_job *j)
{
    const cxr_model *m = j->served->model;
    json_t *a = json_pack("{s:s, s:o}", "prediction", m->classes[j->predicted], "probabilities", probabilities_json(j));
    if (m->positive >= 0) {
        (void)json_object_set_new(a, "threshold", json_real(m->threshold));
        (void)json_object_set_new(a, "decision", json_string(j->predicted == m->positive ? "positive" : "negative"));
    }
    const bool abstains = j->judgement.oddity != CXR_ODD_NOTHING;
    (void)json_object_set_new(a, "status", json_string(abstains ? "abstain" : "ok"));
    (void)json_object_set_new(a, "reason", abstains ? json_string(j->judgement.text) : json_null());
    if (!isnan(j->judgement.novelty)) (void)json_object_set_new(a, "novelty", json_real(j->judgement.novelty));
    (void)json_object_set_new(a, "model", json_string(j->served->name));
    (void)json_object_set_new(a, "model_id", json_string(j->served->id));
    (void)json_object_set_new(a, "timing", timing_json(j));
    return a;
}

static json_t *picture_json(const cxr_buf *png)
{
    char *text = cxr_mem_new(png->len / 3 * 4 + 8, 1);
    if (text != NULL) (void)EVP_EncodeBlock((unsigned char *)text, png->data, (int)png->len);
    json_t *value = text != NULL ? json_string(text) : NULL;
    cxr_mem_free(text);
    return value;
}

/* The same with the heat map, row by row from the top, as shares of its largest value, and how much of it lies on lungs. */
static json_t *explanation_json(const cxr_job *j)
{
    const cxr_model *m = j->served->model;
    json_t *a = answer_json(j), *values = json_array();
    const int cells = j->map_width * j->map_height;
    float most = 0.0f;
    for (int i = 0; i < cells; i++) most = j->map[i] > most ? j->map[i] : most;
    for (int i = 0; i < cells; i++)
        (void)json_array_append_new(values, json_real(most > 0.0f ? (double)(j->map[i] / most) : 0.0));
    json_t *map = json_pack("{s:i, s:i, s:o}", "width", j->map_width, "height", j->map_height, "values", values);
    (void)json_object_set_new(a, "explained", json_string(m->classes[j->explained]));
    (void)json_object_set_new(a, "map", map);
    (void)json_object_set_new(a, "lungs", cxr_json_number(j->lungs));
    (void)json_object_set_new(a, "lungs_area", cxr_json_number(j->lungs_area));
    if (j->picture.len > 0) (void)json_object_set_new(a, "png", picture_json(&j->picture));
    return a;
}

static json_t *failure_json(const cxr_job *j)
{
    const bool told = j->error.status == CXR_EDATA || j->error.status == CXR_ELIMIT || j->error.status == CXR_EUSAGE;
    return json_pack("{s:s, s:s}", "status", "error", "reason", told ? j->error.text : "it went wrong here");
}

static void answer(cxr_request *r, cxr_reply *reply, json_t *(*json_of)(const cxr_job *j))
{
    if (!r->many && r->jobs[0].error.status != CXR_OK) {
        cxr_reply_failed(reply, &r->jobs[0].error);
        return;
    }
    if (!r->many) {
        cxr_reply_json(reply, 200, json_of(&r->jobs[0]));
        return;
    }
    json_t *list = json_array();
    for (int i = 0; i < r->job_count; i++) {
        json_t *one = r->jobs[i].error.status == CXR_OK ? json_of(&r->jobs[i]) : failure_json(&r->jobs[i]);
        (void)json_object_set_new(one, "name", name_json(r, i));
        (void)json_array_append_new(list, one);
    }
    cxr_reply_json(reply, 200, json_pack("{s:o}", "predictions", list));
}

void cxr_predict_start(cxr_request *r, cxr_reply *reply)
{
    (void)make_jobs(r, CXR_JOB_PREDICT, reply);
}

void cxr_predict_finish(cxr_request *r, cxr_reply *reply)
{
    answer(r, reply, answer_json);
}

/* ---- Heat maps ---- */

/* What a client wants: JSON, or a PNG; `format` says so, else what it accepts. Of a form always JSON. */
static bool wants_json(const cxr_request *r)
{
    const char *format = cxr_request_argument(r, "format"), *accept = cxr_request_header(r, MHD_HTTP_HEADER_ACCEPT);
    if (r->many) return true;
    if (format != NULL) return strcmp(format, "png") != 0;
    return accept != NULL && strstr(accept, "application/json") != NULL;
}

/* The class to explain by its name; -1: the predicted one; -2: there is none of that name. */
static int asked_class(const cxr_request *r)
{
    const char *name = cxr_request_argument(r, "class");
    const cxr_model *m = r->served->model;
    if (name == NULL || *name == '\0') return -1;
    for (int k = 0; k < m->class_count; k++)
        if (strcmp(m->classes[k], name) == 0) return k;
    return -2;
}

/* Of the overlay; 0: none is wanted; -1: out of range. */
static int asked_side(const cxr_request *r)
{
    const char *text = cxr_request_argument(r, "side");
    if (text == NULL) return wants_json(r) ? 0 : SIDE;
    const size_t digits = strspn(text, "0123456789");
    const int side = digits >= 1 && digits <= 4 && text[digits] == '\0' ? atoi(text) : -1;
    return side >= SIDE_LEAST && side <= SIDE_MOST ? side : -1;
}

void cxr_explain_start(cxr_request *r, cxr_reply *reply)
{
    if (!make_jobs(r, CXR_JOB_EXPLAIN, reply)) return;
    const int asked = asked_class(r), side = asked_side(r);
    if (r->served->model->next != NULL)
        cxr_reply_error(reply, 400, "a heat map is one model's: these are several");
    else if (asked == -2)
        cxr_reply_error(reply, 400, "the model has no such class");
    else if (side < 0)
        cxr_reply_error(reply, 400, "side must be a whole number from %d to %d", SIDE_LEAST, SIDE_MOST);
    for (int i = 0; i < r->job_count; i++) {
        r->jobs[i].explained = asked;
        r->jobs[i].picture_side = side;
    }
}

void cxr_explain_finish(cxr_request *r, cxr_reply *reply)
{
    cxr_job *j = &r->jobs[0];
    if (wants_json(r) || j->error.status != CXR_OK) {
        answer(r, reply, explanation_json);
        return;
    }
    *reply = (cxr_reply){.code = 200, .type = "image/png", .data = j->picture.data, .len = j->picture.len};
    j->picture = (cxr_buf){0};
}
