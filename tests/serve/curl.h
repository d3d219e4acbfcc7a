/* A client of libcurl. */
#ifndef CXR_TESTS_SERVE_CURL_H
#define CXR_TESTS_SERVE_CURL_H
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

typedef struct reply {
    CURLcode result;
    long code;  /* 0: there was no reply */
    char *body; /* ended by a zero that len does not count */
    size_t len;
    char headers[4096];
} reply;

static inline size_t reply_take(char *data, size_t size, size_t count, void *to)
{
    reply *r = to;
    char *more = realloc(r->body, r->len + size * count + 1);
    if (more == NULL) return 0;
    r->body = more;
    memcpy(r->body + r->len, data, size * count);
    r->len += size * count;
    r->body[r->len] = '\0';
    return size * count;
}

static inline size_t reply_take_header(char *data, size_t size, size_t count, void *to)
{
    reply *r = to;
    const size_t len = strlen(r->headers), take = size * count < sizeof r->headers - len - 1 ? size * count : 0;
    memcpy(r->headers + len, data, take);
    r->headers[len + take] = '\0';
    return size * count;
}

/* One request by a handle that may have options of its own. data NULL: GET. header NULL: none. To be freed with reply_free(). */
static inline reply ask_url(CURL *c, const char *url, const void *data, size_t len, const char *header)
{
    reply r = {0};
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    if (header != NULL) headers = curl_slist_append(headers, header);
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT, 60L);
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, reply_take);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &r);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, reply_take_header);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, &r);
    if (data != NULL) {
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, data);
    }
    r.result = curl_easy_perform(c);
    if (r.result == CURLE_OK) (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &r.code);
    curl_slist_free_all(headers);
    return r;
}

static inline void reply_free(reply *r)
{
    free(r->body);
    *r = (reply){0};
}
#endif
