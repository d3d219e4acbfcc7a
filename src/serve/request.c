/* What the routes share: replies, the model that is asked, jobs. */
#include "base/mem.h"
#include "serve/server.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cxr_reply_json(cxr_reply *reply, int code, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    *reply = (cxr_reply){.code = text != NULL ? code : 500, .type = "application/json", .data = text};
    if (text != NULL) reply->len = strlen(text);
}

void cxr_reply_error(cxr_reply *reply, int code, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cxr_reply_json(reply, code, json_pack("{s:s}", "error", text));
}

void cxr_reply_failed(cxr_reply *reply, const cxr_error *err)
{
    switch (err->status) {
    case CXR_EUSAGE:
    case CXR_EDATA: cxr_reply_error(reply, 400, "%s", err->text); break;
    case CXR_ELIMIT: cxr_reply_error(reply, 413, "%s", err->text); break;
    case CXR_ENOMEM: cxr_reply_error(reply, 503, "no memory for this at this time: try again"); break;
    default: cxr_reply_error(reply, 500, "it went wrong here"); break; /* what did may name paths */
    }
}

bool cxr_request_model(cxr_request *r, cxr_reply *reply)
{
    cxr_server *s = r->server;
    const char *asked = r->name != NULL ? r->name : cxr_request_argument(r, "model");
    const size_t len = r->name != NULL ? r->name_len : asked != NULL ? strlen(asked) : 0;
    (void)pthread_mutex_lock(&s->menu_lock);
    r->served = cxr_menu_find(&s->menu, asked, len);
    if (r->served != NULL) cxr_served_keep(r->served);
    (void)pthread_mutex_unlock(&s->menu_lock);
    if (r->served == NULL) cxr_reply_error(reply, 404, "there is no model of that name");
    return r->served != NULL;
}

bool cxr_request_jobs(cxr_request *r, int count, cxr_job_kind kind, cxr_reply *reply)
{
    const size_t classes = (size_t)r->served->model->class_count;
    if (count < 1 || count > CXR_IMAGES_MOST) {
        if (count < 1)
            cxr_reply_error(reply, 400, "there is no image");
        else
            cxr_reply_error(reply, 413, "there are %d images, limit %d", count, CXR_IMAGES_MOST);
        return false;
    }
    r->jobs = cxr_mem_new((size_t)count, sizeof *r->jobs);
    r->probabilities = cxr_mem_new((size_t)count * classes, sizeof *r->probabilities);
    if (r->jobs == NULL || r->probabilities == NULL) {
        cxr_reply_failed(reply, &(cxr_error){.status = CXR_ENOMEM});
        return false;
    }
    for (int i = 0; i < count; i++)
        r->jobs[i] = (cxr_job){
            .kind = kind, .served = r->served, .explained = -1, .probabilities = r->probabilities + (size_t)i * classes};
    r->job_count = count;
    return true;
}

void cxr_request_free(cxr_request *r)
{
    if (r->refusal.code != 0 && !r->replied && !r->refusal.lent) free(r->refusal.data);
    for (int i = 0; i < r->job_count; i++) {
        cxr_mem_free(r->jobs[i].map);
        cxr_buf_free(&r->jobs[i].picture);
    }
    if (r->served != NULL) cxr_served_drop(r->served);
    cxr_mem_free(r->jobs);
    cxr_mem_free(r->probabilities);
    cxr_mem_free(r->names);
    cxr_mem_free(r->extra);
    cxr_mem_free(r->body);
    cxr_mem_free(r->uri);
    cxr_mem_free(r);
}
