/* Figures in Prometheus' text format (exposition format 0.0.4). */
#include "base/mem.h"
#include "serve/server.h"
#include <stdio.h>
#include <stdlib.h>

static const int codes[CXR_METER_CODES] = {200, 400, 401, 403, 404, 405, 408, 413, 414, 415, 429, 431, 500, 503, 0};
static const double bounds[CXR_METER_BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                 0.25,  0.5,    1.0,   2.5,  5.0,   10.0, 30.0};

void cxr_meter_add(cxr_meter *m, const cxr_request *r, double seconds)
{
    const int route = r->route != NULL ? (int)(r->route - cxr_routes) : CXR_ROUTES_MOST;
    int code = 0, bucket = 0;
    while (codes[code] != 0 && codes[code] != r->code) code++;
    m->requests[route][code]++;
    if (r->job_count == 0 || r->code != 200) return;
    while (bucket < CXR_METER_BUCKETS && seconds > bounds[bucket]) bucket++;
    m->seconds[bucket]++;
    m->answered++;
    m->seconds_sum += seconds;
}

static void head(FILE *f, const char *name, const char *type, const char *help)
{
    (void)fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_requests(FILE *f, const cxr_meter *m)
{
    head(f, "cxr_requests_total", "counter", "Requests by address and status; status 0: no reply was sent.");
    for (int i = 0; i <= CXR_ROUTES_MOST; i++)
        for (int k = 0; k < CXR_METER_CODES; k++) {
            if (m->requests[i][k] == 0) continue;
            (void)fprintf(f, "cxr_requests_total{path=\"%s\",code=\"%d\"} %llu\n",
                          i < CXR_ROUTES_MOST ? cxr_routes[i].path : "none", codes[k], (unsigned long long)m->requests[i][k]);
        }
}

static void put_seconds(FILE *f, const cxr_meter *m)
{
    uint64_t sum = 0;
    head(f, "cxr_request_seconds", "histogram",
         "From the first header to the last byte of the reply, of requests with images.");
    for (int i = 0; i < CXR_METER_BUCKETS; i++) {
        sum += m->seconds[i];
        (void)fprintf(f, "cxr_request_seconds_bucket{le=\"%g\"} %llu\n", bounds[i], (unsigned long long)sum);
    }
    (void)fprintf(
        f, "cxr_request_seconds_bucket{le=\"+Inf\"} %llu\ncxr_request_seconds_sum %.6f\ncxr_request_seconds_count %llu\n",
        (unsigned long long)m->answered, m->seconds_sum, (unsigned long long)m->answered);
}

static void put_crew(FILE *f, cxr_crew *c)
{
    uint64_t sum = 0;
    (void)pthread_mutex_lock(&c->lock);
    head(f, "cxr_queue_images", "gauge", "Images that wait for a worker.");
    (void)fprintf(f, "cxr_queue_images %d\n", c->waiting);
    head(f, "cxr_images_total", "counter", "Images that workers took.");
    (void)fprintf(f, "cxr_images_total %llu\n", (unsigned long long)c->images);
    head(f, "cxr_batch_images", "histogram", "Images of a micro-batch.");
    for (int i = 0; i < CXR_BATCH_BUCKETS - 1; i++) {
        sum += c->batch_sizes[i];
        (void)fprintf(f, "cxr_batch_images_bucket{le=\"%d\"} %llu\n", 1 << i, (unsigned long long)sum);
    }
    (void)fprintf(f, "cxr_batch_images_bucket{le=\"+Inf\"} %llu\ncxr_batch_images_sum %llu\ncxr_batch_images_count %llu\n",
                  (unsigned long long)c->batches, (unsigned long long)c->images, (unsigned long long)c->batches);
    (void)pthread_mutex_unlock(&c->lock);
}

static void put_server(FILE *f, cxr_server *s)
{
    (void)pthread_mutex_lock(&s->peers.lock);
    const uint64_t count = s->peers.count, cut = s->peers.cut;
    (void)pthread_mutex_unlock(&s->peers.lock);
    head(f, "cxr_connections", "gauge", "Open connections.");
    (void)fprintf(f, "cxr_connections %llu\n", (unsigned long long)count);
    head(f, "cxr_connections_cut_total", "counter", "Connections that were cut because they were too slow.");
    (void)fprintf(f, "cxr_connections_cut_total %llu\n", (unsigned long long)cut);
    head(f, "cxr_model_info", "gauge", "Models in service; id is the start of the file's SHA-256.");
    (void)pthread_mutex_lock(&s->menu_lock);
    for (int i = 0; i < s->menu.count; i++)
        (void)fprintf(f, "cxr_model_info{model=\"%s\",id=\"%s\"} 1\n", s->menu.served[i]->name, s->menu.served[i]->id);
    (void)pthread_mutex_unlock(&s->menu_lock);
}

char *cxr_meter_text(cxr_server *s)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL) return NULL;
    put_requests(f, &s->meter);
    put_seconds(f, &s->meter);
    put_crew(f, &s->crew);
    put_server(f, s);
    if (fclose(f) == 0) return text;
    free(text);
    return NULL;
}
