/* A server and its clients: what it answers is what cxr_predict() says of the same image, bit for bit, however it is asked. */
#include "serve/toy_server.h"
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static test_server server;

/* ---- What prediction says ---- */

typedef struct known {
    float p[2];
    int predicted;
    bool abstain;
    char reason[160];
    double novelty;
} known;

static void take(void *user, const cxr_prediction *p)
{
    known *k = user;
    assert_int_equal(p->status, CXR_OK);
    k->predicted = p->predicted;
    k->abstain = p->abstain;
    k->novelty = p->novelty;
    (void)snprintf(k->reason, sizeof k->reason, "%s", p->reason);
    memcpy(k->p, p->probabilities, sizeof k->p);
}

static known predict(const char *model, const char *image, int batch)
{
    known k = {0};
    cxr_model *m = NULL;
    cxr_run_opts o;
    const char *paths[64];
    cxr_run_opts_default(&o);
    o.deterministic = true;
    o.threads = 1;
    o.batch_size = batch;
    for (int i = 0; i < 64; i++) paths[i] = image;
    assert_int_equal(cxr_model_open(&m, toy_path(model), NULL), CXR_OK);
    assert_int_equal(cxr_predict(m, paths, (size_t)batch, &o, NULL, take, &k, NULL), CXR_OK);
    cxr_model_close(&m);
    return k;
}

static const char *image(int label, int i)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/data/val/%c/%d.jpeg", toy_root, 'A' + label, i);
    return path;
}

static cxr_buf file_of(const char *path)
{
    cxr_buf b = {0};
    assert_int_equal(cxr_buf_read(&b, path, 1 << 20, NULL), CXR_OK);
    return b;
}

static json_t *parse(const reply *r)
{
    json_t *root = json_loadb(r->body, r->len, 0, NULL);
    assert_non_null(root);
    return root;
}

/* JSON carries nine digits, which tell floats apart. */
static void check_prediction(const json_t *a, const known *k)
{
    static const char *const classes[] = {"A", "B"};
    assert_string_equal(json_string_value(json_object_get(a, "prediction")), classes[k->predicted]);
    assert_string_equal(json_string_value(json_object_get(a, "decision")), k->predicted == 1 ? "positive" : "negative");
    assert_string_equal(json_string_value(json_object_get(a, "status")), k->abstain ? "abstain" : "ok");
    const json_t *reason = json_object_get(a, "reason"), *novelty = json_object_get(a, "novelty");
    if (k->abstain)
        assert_string_equal(json_string_value(reason), k->reason);
    else
        assert_true(json_is_null(reason));
    assert_true(isnan(k->novelty) ? novelty == NULL : fabs(json_real_value(novelty) / k->novelty - 1.0) < 1e-8);
    for (int i = 0; i < 2; i++) {
        const float p = (float)json_real_value(json_object_get(json_object_get(a, "probabilities"), classes[i]));
        assert_memory_equal(&p, &k->p[i], sizeof p);
    }
}

static json_int_t timing_of(const json_t *a, const char *what)
{
    return json_integer_value(json_object_get(json_object_get(a, "timing"), what));
}

static void a_body_is_answered_as_prediction_does(void **state)
{
    (void)state;
    for (int label = 0; label < 2; label++)
        for (int i = 0; i < 4; i++) {
            const char *path = image(label, i);
            const known k = predict("toy.safetensors", path, 1);
            cxr_buf file = file_of(path);
            reply r = ask(&server, "/predict", file.data, file.len, "Content-Type: image/jpeg");
            assert_int_equal(r.code, 200);
            json_t *a = parse(&r);
            check_prediction(a, &k);
            assert_string_equal(json_string_value(json_object_get(a, "model")), "toy");
            assert_int_equal(timing_of(a, "batch"), 1);
            assert_int_equal(timing_of(a, "threads"), 2); /* there was nobody else */
            json_decref(a);
            reply_free(&r);
            cxr_buf_free(&file);
        }
}

static void a_model_is_asked_by_its_name(void **state)
{
    (void)state;
    const char *path = image(0, 0);
    const known k = predict("other.safetensors", path, 1);
    assert_true(k.abstain && k.novelty > 1.0);
    cxr_buf file = file_of(path);
    reply r = ask(&server, "/predict?model=other", file.data, file.len, NULL);
    assert_int_equal(r.code, 200);
    json_t *a = parse(&r);
    check_prediction(a, &k);
    json_decref(a);
    reply_free(&r);
    r = ask(&server, "/predict?model=nobody", file.data, file.len, NULL);
    assert_int_equal(r.code, 404);
    reply_free(&r);
    cxr_buf_free(&file);
}

/* ---- Forms ---- */

static size_t put(char *to, const void *data, size_t len)
{
    memcpy(to, data, len);
    return len;
}

static size_t put_file(char *to, const char *name, const cxr_buf *file)
{
    char head[256];
    const int n = snprintf(head, sizeof head,
                           "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
                           "Content-Type: image/jpeg\r\n\r\n",
                           name);
    size_t len = put(to, head, (size_t)n);
    len += put(to + len, file->data, file->len);
    return len + put(to + len, "\r\n", 2);
}

static void a_form_is_a_list_in_its_order(void **state)
{
    (void)state;
    char *body = malloc(1 << 20);
    cxr_buf files[3] = {file_of(image(0, 1)), {(uint8_t *)body, 0}, file_of(image(1, 1))};
    const known first = predict("toy.safetensors", image(0, 1), 1), last = predict("toy.safetensors", image(1, 1), 1);
    const cxr_buf text = {(uint8_t *)(uintptr_t) "no image", 8};
    size_t len = put_file(body, "a.jpeg", &files[0]);
    len += put_file(body + len, "b.txt", &text);
    len += put_file(body + len, "c.jpeg", &files[2]);
    len += put(body + len, "--XX--\r\n", 8);
    reply r = ask(&server, "/predict", body, len, "Content-Type: multipart/form-data; boundary=XX");
    assert_int_equal(r.code, 200);
    json_t *root = parse(&r);
    const json_t *list = json_object_get(root, "predictions");
    assert_int_equal(json_array_size(list), 3);
    check_prediction(json_array_get(list, 0), &first);
    check_prediction(json_array_get(list, 2), &last);
    assert_int_equal(timing_of(json_array_get(list, 0), "threads"), 1); /* others waited */
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "name")), "a.jpeg");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "status")), "error");
    json_decref(root);
    reply_free(&r);
    /* cut off at any place it is 4xx, or fewer files; never more */
    for (size_t cut = 1; cut < len; cut += 97) {
        r = ask(&server, "/predict", body, cut, "Content-Type: multipart/form-data; boundary=XX");
        assert_true(r.code == 400 || r.code == 200);
        reply_free(&r);
    }
    cxr_buf_free(&files[0]);
    cxr_buf_free(&files[2]);
    free(body);
}

/* ---- Heat maps ---- */

static void a_heat_map_is_a_picture_or_numbers(void **state)
{
    (void)state;
    cxr_buf file = file_of(image(1, 2));
    reply r = ask(&server, "/explain?side=64", file.data, file.len, NULL);
    assert_int_equal(r.code, 200);
    cxr_limits limits;
    cxr_limits_default(&limits);
    cxr_image img = {0};
    assert_int_equal(cxr_image_decode(&img, r.body, r.len, "reply", NULL, &limits, NULL), CXR_OK);
    assert_int_equal(img.width, 64);
    cxr_image_free(&img);
    reply_free(&r);
    r = ask(&server, "/explain?class=A", file.data, file.len, "Accept: application/json");
    assert_int_equal(r.code, 200);
    json_t *a = parse(&r);
    const json_t *map = json_object_get(a, "map");
    assert_string_equal(json_string_value(json_object_get(a, "explained")), "A");
    assert_int_equal(json_array_size(json_object_get(map, "values")),
                     json_integer_value(json_object_get(map, "width")) * json_integer_value(json_object_get(map, "height")));
    assert_true(json_is_null(json_object_get(a, "lungs")) &&
                json_is_null(json_object_get(a, "lungs_area"))); /* noise has none */
    json_decref(a);
    reply_free(&r);
    r = ask(&server, "/explain?class=C", file.data, file.len, NULL);
    assert_int_equal(r.code, 400);
    reply_free(&r);
    r = ask(&server, "/explain?side=9999", file.data, file.len, NULL);
    assert_int_equal(r.code, 400);
    reply_free(&r);
    cxr_buf_free(&file);
}

/* ---- The Open Inference Protocol ---- */

static void check_floats(const void *data, const known *k)
{
    assert_memory_equal(data, k->p, sizeof k->p);
}

static void a_binary_tensor_comes_back_as_floats(void **state)
{
    (void)state;
    char body[65536], header[128];
    cxr_buf file = file_of(image(0, 3));
    const known k = predict("toy.safetensors", image(0, 3), 1);
    const int json = snprintf(body, sizeof body,
                              "{\"id\":\"x1\",\"inputs\":[{\"name\":\"image\",\"datatype\":\"BYTES\",\"shape\":[1],"
                              "\"parameters\":{\"binary_data_size\":%zu}}],\"outputs\":[{\"name\":\"probabilities\","
                              "\"parameters\":{\"binary_data\":true}}]}",
                              file.len + 4);
    const uint32_t len = (uint32_t)file.len;
    size_t all = (size_t)json + put(body + json, &len, 4);
    all += put(body + all, file.data, file.len);
    (void)snprintf(header, sizeof header, "Inference-Header-Content-Length: %d", json);
    reply r = ask(&server, "/v2/models/toy/infer", body, all, header);
    assert_int_equal(r.code, 200);
    const char *told = strstr(r.headers, "Inference-Header-Content-Length: ");
    assert_non_null(told);
    const size_t head = (size_t)atoi(told + 33);
    assert_int_equal(r.len, head + sizeof k.p);
    check_floats(r.body + head, &k);
    json_t *root = json_loadb(r.body, head, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(root, "id")), "x1");
    assert_string_equal(json_string_value(json_object_get(root, "model_name")), "toy");
    json_decref(root);
    reply_free(&r);
    cxr_buf_free(&file);
}

static void pixels_in_json_are_the_input_itself(void **state)
{
    (void)state;
    char body[16384];
    size_t len = (size_t)snprintf(body, sizeof body,
                                  "{\"inputs\":[{\"name\":\"pixels\",\"datatype\":\"UINT8\",\"shape\":[1,1,32,32],\"data\":[");
    cxr_image in = {0}, seen = {0};
    cxr_limits limits;
    cxr_limits_default(&limits);
    const char *path = image(1, 3);
    const known k = predict("toy.safetensors", path, 1);
    cxr_preprocess pre;
    cxr_preprocess_default(&pre);
    pre.size = 32;
    assert_int_equal(cxr_image_load(&in, path, &pre, &limits, NULL), CXR_OK);
    assert_int_equal(cxr_image_prepare(&seen, &in, &pre, NULL), CXR_OK);
    for (int i = 0; i < 32 * 32; i++)
        len += (size_t)snprintf(body + len, sizeof body - len, "%s%d", i > 0 ? "," : "", seen.pixels[i]);
    len += (size_t)snprintf(body + len, sizeof body - len, "]}]}");
    reply r = ask(&server, "/v2/models/toy/infer", body, len, "Content-Type: application/json");
    assert_int_equal(r.code, 200);
    json_t *root = parse(&r);
    const json_t *data = json_object_get(json_array_get(json_object_get(root, "outputs"), 0), "data");
    for (size_t i = 0; i < 2; i++) {
        const float p = (float)json_real_value(json_array_get(data, i));
        assert_memory_equal(&p, &k.p[i], sizeof p);
    }
    json_decref(root);
    reply_free(&r);
    cxr_image_free(&in);
    cxr_image_free(&seen);
}

#define IMAGE(rest)  "{\"inputs\":[{\"name\":\"image\",\"datatype\":\"BYTES\"," rest "}]}"
#define PIXELS(rest) "{\"inputs\":[{\"name\":\"pixels\",\"datatype\":\"UINT8\"," rest "}]}"

static void wrong_tensors_are_told(void **state)
{
    static const char *const bodies[] = {"",
                                         "[]",
                                         "{",
                                         "null",
                                         "{}",
                                         "{\"inputs\":[]}",
                                         "{\"inputs\":{}}",
                                         "{\"inputs\":[{},{}]}",
                                         "{\"inputs\":[{\"name\":\"image\"}]}",
                                         IMAGE("\"shape\":[1]"),
                                         IMAGE("\"shape\":[0],\"data\":[]"),
                                         IMAGE("\"shape\":[-1],\"data\":[\"AAAA\"]"),
                                         IMAGE("\"shape\":[1e3],\"data\":[\"AAAA\"]"),
                                         IMAGE("\"shape\":[65],\"data\":[\"AAAA\"]"),
                                         IMAGE("\"shape\":[1],\"data\":[1]"),
                                         IMAGE("\"shape\":[1],\"data\":[\"\"]"),
                                         IMAGE("\"shape\":[1],\"data\":[\"AAA\"]"),
                                         IMAGE("\"shape\":[1],\"data\":[\"A*==\"]"),
                                         IMAGE("\"shape\":[1],\"data\":[\"====\"]"),
                                         IMAGE("\"shape\":[2],\"data\":[\"AAAA\"]"),
                                         IMAGE("\"shape\":[1,2],\"data\":[\"AAAA\"]"),
                                         IMAGE("\"shape\":[1],\"data\":[\"AAAA\"],\"parameters\":{\"binary_data_size\":0}"),
                                         IMAGE("\"shape\":[1],\"parameters\":{\"binary_data_size\":1}"),
                                         IMAGE("\"shape\":[1],\"parameters\":{\"binary_data_size\":-1}"),
                                         IMAGE("\"shape\":[1],\"parameters\":{\"binary_data_size\":18446744073709551615}"),
                                         IMAGE("\"shape\":[1],\"parameters\":{\"binary_data_size\":0}"),
                                         PIXELS("\"shape\":[1,1,32,32],\"data\":[1]"),
                                         PIXELS("\"shape\":[1000000,1,32,32],\"data\":[1]"),
                                         PIXELS("\"shape\":[1,1,32,33],\"data\":[1]"),
                                         PIXELS("\"shape\":[1,3,32,32],\"data\":[1]"),
                                         PIXELS("\"shape\":[1,1,32,32],\"data\":[[[[256]]]]"),
                                         PIXELS("\"shape\":[1,1,32,32],\"data\":[[[[[[[[[[1]]]]]]]]]]"),
                                         PIXELS("\"shape\":[1,1,32,32],\"parameters\":{\"binary_data_size\":0}"),
                                         "{\"inputs\":[{\"name\":\"image\",\"name\":\"pixels\"}]}",
                                         "{\"inputs\":[{\"name\":\"image\",\"datatype\":\"FP32\"}]}",
                                         "{\"outputs\":[{\"name\":\"nothing\"}]}"};
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        reply r = ask(&server, "/v2/models/toy/infer", bodies[i], strlen(bodies[i]), "Content-Type: application/json");
        if (r.code != 400 && r.code != 413) fail_msg("%s: %ld", bodies[i], r.code);
        assert_non_null(strstr(r.body, "{\"error\":"));
        reply_free(&r);
    }
}

/* ---- Small answers ---- */

static void small_answers(void **state)
{
    static const struct {
        const char *path;
        long code;
        const char *holds;
    } cases[] = {
        {"/v2", 200, "binary_tensor_data"},
        {"/v2/health/live", 200, "true"},
        {"/v2/health/ready", 200, "true"},
        {"/v2/models/toy", 200, "\"classes\":[\"A\",\"B\"]"},
        {"/v2/models/toy/ready", 200, "true"},
        {"/v2/models/none", 404, "error"},
        {"/v2/models", 200, "\"other\""},
        {"/openapi.json", 200, "/predict"},
        {"/metrics", 200, "cxr_model_info{model=\"toy\""},
        {"/predict", 405, "error"},
        {"/nothing", 404, "error"},
        {"/v2/models/toy/infer", 405, "error"},
        {"/v2/models//ready", 404, "error"},
        {"/predict/", 404, "error"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        reply r = ask(&server, cases[i].path, NULL, 0, NULL);
        if (r.code != cases[i].code) fail_msg("%s: %ld", cases[i].path, r.code);
        assert_non_null(strstr(r.body, cases[i].holds));
        reply_free(&r);
    }
}

static void a_request_keeps_its_name(void **state)
{
    (void)state;
    reply r = ask(&server, "/v2", NULL, 0, "X-Request-ID: abc-1.2_3");
    assert_non_null(strstr(r.headers, "X-Request-ID: abc-1.2_3\r\n"));
    reply_free(&r);
    r = ask(&server, "/v2", NULL, 0, "X-Request-ID: a b\"c");
    assert_null(strstr(r.headers, "a b"));
    assert_non_null(strstr(r.headers, "X-Request-ID: "));
    reply_free(&r);
    nap(0.05);
    assert_non_null(strstr(
        server.lines, "\"id\":\"abc-1.2_3\",\"address\":\"127.0.0.1\",\"method\":\"GET\",\"path\":\"/v2\",\"status\":200"));
}

static void a_body_is_what_it_says(void **state)
{
    static const struct {
        const char *type;
        long code;
    } cases[] = {{"Content-Type: text/plain", 415},
                 {"Content-Type: application/json", 415},
                 {"Content-Type: image/jpegx", 400},
                 {"Content-Encoding: gzip", 415},
                 {"Content-Type: multipart/form-data", 400},
                 {"Content-Type: multipart/form-data; boundary=", 400},
                 {"Content-Type: image/png", 400}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        reply r = ask(&server, "/predict", "not an image", 12, cases[i].type);
        if (r.code != cases[i].code) fail_msg("%s: %ld", cases[i].type, r.code);
        reply_free(&r);
    }
    reply r = ask(&server, "/predict", "", 0, NULL);
    assert_int_equal(r.code, 400);
    reply_free(&r);
}

/* ---- Micro-batches ---- */

typedef struct client {
    pthread_t thread;
    test_server *server;
    int label, i, wrong;
    known k;
} client;

static void *ask_often(void *ctx)
{
    client *c = ctx;
    char path[256];
    cxr_buf file = {0};
    (void)snprintf(path, sizeof path, "%s/data/val/%c/%d.jpeg", toy_root, 'A' + c->label, c->i);
    if (cxr_buf_read(&file, path, 1 << 20, NULL) != CXR_OK) c->wrong++;
    for (int n = 0; n < 40; n++) {
        reply r = ask(c->server, "/predict", file.data, file.len, NULL);
        json_t *root = r.code == 200 ? json_loadb(r.body, r.len, 0, NULL) : NULL;
        const json_t *p = json_object_get(root, "probabilities");
        const float a = (float)json_real_value(json_object_get(p, "A"));
        c->wrong += root == NULL || memcmp(&a, &c->k.p[0], sizeof a) != 0;
        json_decref(root);
        reply_free(&r);
    }
    cxr_buf_free(&file);
    return NULL;
}

/* 16 clients, 640 requests, each with its own image: no answer is another's, and none depends on what else is asked. */
static void many_clients_get_their_own_answers(int batch)
{
    test_server s;
    client clients[16];
    server_opts(&s);
    s.o.run.batch_size = batch;
    assert_true(server_start(&s));
    for (int i = 0; i < 16; i++) {
        clients[i] = (client){.server = &s, .label = i % 2, .i = i / 2};
        clients[i].k = predict("toy.safetensors", image(i % 2, i / 2), batch);
    }
    for (int i = 0; i < 16; i++) assert_int_equal(pthread_create(&clients[i].thread, NULL, ask_often, &clients[i]), 0);
    int wrong = 0;
    for (int i = 0; i < 16; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        wrong += clients[i].wrong;
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(server_stop(&s), CXR_OK);
}

static void answers_do_not_depend_on_others(void **state)
{
    (void)state;
    many_clients_get_their_own_answers(1);
    many_clients_get_their_own_answers(8);
}

/* ---- Beginning and end ---- */

static void a_full_queue_says_when_to_come_again(void **state)
{
    (void)state;
    test_server s;
    char *body = malloc(1 << 20);
    cxr_buf file = file_of(image(0, 0));
    server_opts(&s);
    s.o.queue = 2;
    assert_true(server_start(&s));
    size_t len = 0;
    for (int i = 0; i < 3; i++) len += put_file(body + len, "a.jpeg", &file);
    len += put(body + len, "--XX--\r\n", 8);
    reply r = ask(&s, "/predict", body, len, "Content-Type: multipart/form-data; boundary=XX");
    assert_int_equal(r.code, 503);
    assert_non_null(strstr(r.headers, "Retry-After: 1\r\n"));
    reply_free(&r);
    assert_int_equal(server_stop(&s), CXR_OK);
    cxr_buf_free(&file);
    free(body);
}

static void models_are_read_again(void **state)
{
    (void)state;
    test_server s;
    server_opts(&s);
    s.models[0].path = toy_path("changing.safetensors");
    assert_true(toy_model("changing.safetensors", 1));
    assert_true(server_start(&s));
    cxr_buf file = file_of(image(0, 0));
    const known before = predict("toy.safetensors", image(0, 0), 1), after = predict("other.safetensors", image(0, 0), 1);
    for (int round = 0; round < 3; round++) {
        const known *k = round == 0 ? &before : &after;
        if (round == 1) assert_true(toy_model("changing.safetensors", 2));
        if (round == 2) assert_int_equal(cxr_file_write(toy_path("changing.safetensors"), "bad", 3, NULL), CXR_OK); /* stays */
        if (round > 0) {
            const char *line = round == 1 ? "reloaded toy" : "the old models stay";
            atomic_store(&s.reload, true);
            for (int i = 0; i < 1000 && strstr(s.log, line) == NULL; i++) nap(0.01);
            assert_non_null(strstr(s.log, line));
        }
        reply r = ask(&s, "/predict", file.data, file.len, NULL);
        json_t *a = parse(&r);
        check_prediction(a, k);
        json_decref(a);
        reply_free(&r);
    }
    cxr_buf_free(&file);
    assert_int_equal(server_stop(&s), CXR_OK);
}

static void refused(void (*change)(test_server *s), const char *says)
{
    test_server s;
    server_opts(&s);
    change(&s);
    assert_false(server_start(&s));
    assert_int_not_equal(s.error.status, CXR_OK);
    if (strstr(s.error.text, says) == NULL) fail_msg("%s: %s", says, s.error.text);
}

static void listen_everywhere(test_server *s)
{
    s->o.listen = "0.0.0.0";
}
static void listen_on_name(test_server *s)
{
    s->o.listen = "example.org";
}
static void listen_v6(test_server *s)
{
    s->o.listen = "::";
}
static void bad_name(test_server *s)
{
    s->models[0].name = "a/b";
}
static void same_name(test_server *s)
{
    s->o.model_count = 2, s->models[1].name = "toy";
}
static void no_file(test_server *s)
{
    s->models[0].path = "/none/there";
}
static void no_token(test_server *s)
{
    s->o.token_file = "/none/there";
}
static void short_token(test_server *s)
{
    s->o.token_file = toy_path("short");
}
static void no_key(test_server *s)
{
    s->o.certificate = "x";
}
static void large_batch(test_server *s)
{
    s->o.run.batch_size = 65;
}
static void own_port(test_server *s)
{
    s->o.port = atomic_load(&server.port);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    assert_int_equal(cxr_file_write(toy_path("short"), "abc\n", 4, NULL), CXR_OK);
    refused(listen_everywhere, "needs a token");
    refused(listen_v6, "needs a token");
    refused(listen_on_name, "no address");
    refused(bad_name, "cannot be called");
    refused(same_name, "two models");
    refused(no_file, "/none/there");
    refused(no_token, "/none/there");
    refused(short_token, "token");
    refused(no_key, "belong together");
    refused(large_batch, "batch size");
    refused(own_port, "cannot listen");
}

static void a_token_is_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *path, *header;
        long code;
    } cases[] = {{"/v2", NULL, 401},
                 {"/v2", "Authorization: Bearer 0123456789abcde", 401},
                 {"/v2", "Authorization: Bearer 0123456789abcdeg", 401},
                 {"/v2", "Authorization: Bearer 0123456789abcdef0", 401},
                 {"/v2", "Authorization: Basic 0123456789abcdef", 401},
                 {"/v2", "Authorization: Bearer 0123456789abcdef", 200},
                 {"/metrics", NULL, 401},
                 {"/v2/health/ready", NULL, 200}};
    test_server s;
    server_opts(&s);
    assert_int_equal(cxr_file_write(toy_path("token"), "0123456789abcdef\nmore\n", 22, NULL), CXR_OK);
    s.o.token_file = toy_path("token");
    s.o.listen = "0.0.0.0";
    assert_true(server_start(&s));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        reply r = ask(&s, cases[i].path, NULL, 0, cases[i].header);
        if (r.code != cases[i].code) fail_msg("%s, %s: %ld", cases[i].path, cases[i].header, r.code);
        reply_free(&r);
    }
    assert_int_equal(server_stop(&s), CXR_OK);
}

/* ---- All ---- */

static int create(void **state)
{
    (void)state;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !toy_create()) return -1;
    if (!toy_model("toy.safetensors", 1) || !toy_model("other.safetensors", 2)) return -1;
    server_opts(&server);
    server.o.model_count = 2;
    return server_start(&server) ? 0 : -1;
}

static int destroy(void **state)
{
    (void)state;
    const bool good = server_stop(&server) == CXR_OK;
    toy_remove();
    curl_global_cleanup();
    return good ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_answered_as_prediction_does),
        cmocka_unit_test(a_model_is_asked_by_its_name),
        cmocka_unit_test(a_form_is_a_list_in_its_order),
        cmocka_unit_test(a_heat_map_is_a_picture_or_numbers),
        cmocka_unit_test(a_binary_tensor_comes_back_as_floats),
        cmocka_unit_test(pixels_in_json_are_the_input_itself),
        cmocka_unit_test(wrong_tensors_are_told),
        cmocka_unit_test(small_answers),
        cmocka_unit_test(a_request_keeps_its_name),
        cmocka_unit_test(a_body_is_what_it_says),
        cmocka_unit_test(answers_do_not_depend_on_others),
        cmocka_unit_test(a_full_queue_says_when_to_come_again),
        cmocka_unit_test(models_are_read_again),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_token_is_asked_for),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
