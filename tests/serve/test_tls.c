/* The program as it is run with --cert and --key: it answers as it does without them, to clients that check its certificate, and only
 * by versions of TLS that are safe. The certificates are made here. */
#include "serve/curl.h"
#include "serve/tls.h"
#include "serve/wire.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

enum { CLIENTS = 4 };

static wire_server plain, tls;
static char *dir, *model;
static cxr_buf jpeg;
static char ours[2][256], theirs[2][256]; /* files of certificate and key */

/* ---- Certificates ---- */

static bool add_names(X509 *x)
{
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    const bool good = names != NULL && X509_add_ext(x, names, -1) == 1;
    X509_EXTENSION_free(names);
    return good;
}

/* Signed by itself, for this machine, for an hour. */
static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    const bool good = X509_set_version(x, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
                      X509_gmtime_adj(X509_getm_notBefore(x), -60) != NULL &&
                      X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL && X509_set_pubkey(x, key) == 1 &&
                      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"localhost", -1, -1, 0) == 1 &&
                      X509_set_issuer_name(x, name) == 1 && add_names(x) && X509_sign(x, key, EVP_sha256()) > 0;
    assert_true(good);
    return x;
}

static FILE *open_in(char path[256], const char *name)
{
    (void)snprintf(path, 256, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    return f;
}

static void make_pair(char paths[2][256], const char *certificate, const char *key_name, const char *passphrase)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    X509 *x = make_certificate(key);
    FILE *f = open_in(paths[0], certificate);
    assert_int_equal(PEM_write_X509(f, x), 1);
    assert_int_equal(fclose(f), 0);
    f = open_in(paths[1], key_name);
    const EVP_CIPHER *cipher = passphrase != NULL ? EVP_aes_128_cbc() : NULL;
    const int length = passphrase != NULL ? (int)strlen(passphrase) : 0;
    assert_int_equal(PEM_write_PrivateKey(f, key, cipher, (const uint8_t *)passphrase, length, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
    X509_free(x);
    EVP_PKEY_free(key);
}

/* ---- Clients ---- */

static CURL *trusting(const char *certificate)
{
    CURL *c = curl_easy_init();
    assert_non_null(c);
    assert_int_equal(curl_easy_setopt(c, CURLOPT_CAINFO, certificate), CURLE_OK);
    return c;
}

static reply ask_by(CURL *c, const char *path, const char *header)
{
    char url[256];
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d%s", tls.port, path);
    const bool image = strcmp(path, "/predict") == 0 || strcmp(path, "/explain") == 0;
    return ask_url(c, url, image ? jpeg.data : NULL, jpeg.len, header);
}

static reply ask(const char *path, const char *header)
{
    CURL *c = trusting(ours[0]);
    const reply r = ask_by(c, path, header);
    curl_easy_cleanup(c);
    return r;
}

static void expect_answer(void)
{
    reply r = ask("/predict", NULL);
    assert_int_equal(r.code, 200);
    reply_free(&r);
}

/* ---- Tests ---- */

static void it_answers_as_without(void **state)
{
    static const char *const paths[] = {"/v2", "/v2/models", "/predict", "/explain"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char url[256];
        CURL *c = curl_easy_init();
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", plain.port, paths[i]);
        reply a = ask_url(c, url, i < 2 ? NULL : jpeg.data, jpeg.len, NULL), b = ask(paths[i], NULL);
        curl_easy_cleanup(c);
        assert_int_equal(a.code, 200);
        assert_int_equal(b.code, 200);
        const char *timing = memmem(a.body, a.len, "\"timing\"", 8);
        const size_t same = timing != NULL ? (size_t)(timing - a.body) : a.len;
        assert_true(b.len >= same);
        if (timing == NULL) assert_int_equal(b.len, same);
        assert_memory_equal(b.body, a.body, same);
        reply_free(&a);
        reply_free(&b);
    }
}

static void clients_can_tell_it_from_others(void **state)
{
    (void)state;
    CURL *c = trusting(theirs[0]);
    reply r = ask_by(c, "/predict", NULL);
    curl_easy_cleanup(c);
    assert_int_equal(r.result, CURLE_PEER_FAILED_VERIFICATION);
    reply_free(&r);
    expect_answer();
}

static void old_versions_are_refused(void **state)
{
    static const struct {
        long versions;
        const char *ciphers; /* what a client needs to want the old versions itself */
        CURLcode result;
    } cases[] = {{CURL_SSLVERSION_TLSv1_0 | CURL_SSLVERSION_MAX_TLSv1_0, "ALL:@SECLEVEL=0", CURLE_SSL_CONNECT_ERROR},
                 {CURL_SSLVERSION_TLSv1_1 | CURL_SSLVERSION_MAX_TLSv1_1, "ALL:@SECLEVEL=0", CURLE_SSL_CONNECT_ERROR},
                 {CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2, NULL, CURLE_OK},
                 {CURL_SSLVERSION_TLSv1_3 | CURL_SSLVERSION_MAX_TLSv1_3, NULL, CURLE_OK}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CURL *c = trusting(ours[0]);
        assert_int_equal(curl_easy_setopt(c, CURLOPT_SSLVERSION, cases[i].versions), CURLE_OK);
        if (cases[i].ciphers != NULL)
            assert_int_equal(curl_easy_setopt(c, CURLOPT_SSL_CIPHER_LIST, cases[i].ciphers), CURLE_OK);
        reply r = ask_by(c, "/v2", NULL);
        if (r.result != cases[i].result) fail_msg("case %zu: %s", i, curl_easy_strerror(r.result));
        reply_free(&r);
        curl_easy_cleanup(c);
    }
}

static void pages_from_elsewhere_may_not_ask(void **state)
{
    char own[64], without[64];
    (void)state;
    (void)snprintf(own, sizeof own, "Origin: https://127.0.0.1:%d", tls.port);
    (void)snprintf(without, sizeof without, "Origin: http://127.0.0.1:%d", tls.port);
    const struct {
        const char *header;
        long code;
    } cases[] = {
        {own, 200}, {without, 403}, {"Origin: https://example.org", 403}, {"Host: example.org", 403}, {"Host: localhost", 200}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reply r = ask("/predict", cases[i].header);
        if (r.code != cases[i].code) fail_msg("%s: %ld", cases[i].header, r.code);
        reply_free(&r);
    }
}

/* Plain HTTP, noise, the beginning of a handshake that does not go on: no answer, and no harm to others. */
static void what_is_no_handshake_gets_no_answer(void **state)
{
    static const char http[] = "GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", noise[] = "\0\1\2\3\4\5\6\7\10\11\12\13";
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    (void)state;
    const int before = wire_descriptors(&tls), waits = wire_connect(tls.port);
    assert_true(waits >= 0 && wire_send(waits, hello, sizeof hello - 1));
    for (int i = 0; i < 20; i++) {
        wire_reply a = wire_ask(tls.port, http, sizeof http - 1, WIRE_REPLY_SECONDS);
        wire_reply b = wire_ask(tls.port, noise, sizeof noise, WIRE_REPLY_SECONDS);
        assert_true(a.status == 0 && !a.late && memmem(a.bytes, a.len, "cxr", 3) == NULL);
        assert_true(b.status == 0 && !b.late);
        cxr_mem_free(a.bytes);
        cxr_mem_free(b.bytes);
    }
    expect_answer();
    (void)close(waits);
    const double limit = wire_limit(WIRE_REPLY_SECONDS);
    while (wire_descriptors(&tls) > before && cxr_now() < limit) wire_nap(5);
    assert_true(wire_descriptors(&tls) <= before);
}

static void files_that_do_not_serve_are_told(void **state)
{
    char locked[2][256], empty[256], none[256], expected[2][600];
    (void)state;
    make_pair(locked, "locked.pem", "locked.key", "secret");
    assert_int_equal(fclose(open_in(empty, "empty")), 0);
    (void)snprintf(none, sizeof none, "%s/none", dir);
    (void)snprintf(expected[0], sizeof expected[0], "%s: is not the key of the certificate in %s", theirs[1], ours[0]);
    (void)snprintf(expected[1], sizeof expected[1], "%s: holds no key as PEM, or one under a passphrase", locked[1]);
    const struct {
        const char *certificate, *key;
        cxr_status status;
        const char *says;
    } cases[] = {{ours[0], ours[1], CXR_OK, ""},
                 {ours[0], theirs[1], CXR_EDATA, expected[0]},
                 {locked[0], locked[1], CXR_EDATA, expected[1]},
                 {empty, ours[1], CXR_EDATA, "holds no certificate as PEM"},
                 {ours[1], ours[1], CXR_EDATA, "holds no certificate as PEM"},
                 {ours[0], empty, CXR_EDATA, "holds no key as PEM"},
                 {ours[0], ours[0], CXR_EDATA, "holds no key as PEM"},
                 {none, ours[1], CXR_ENOINPUT, "No such file"},
                 {ours[0], none, CXR_ENOINPUT, "No such file"},
                 {dir, ours[1], CXR_EDATA, "not a regular file"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cxr_tls t;
        cxr_error err = {0};
        const cxr_status st = cxr_tls_open(&t, cases[i].certificate, cases[i].key, &err);
        if (st != cases[i].status || strstr(err.text, cases[i].says) == NULL) fail_msg("case %zu: %s", i, err.text);
        cxr_tls_close(&t);
        assert_null(t.key);
    }
}

typedef struct client {
    pthread_t thread;
    int answered, lost;
    atomic_bool *stopped;
} client;

/* A connection for each request, until none can be had. */
static void *ask_on(void *user)
{
    client *k = user;
    for (;;) {
        long sent = 0;
        CURL *c = trusting(ours[0]);
        reply r = ask_by(c, "/predict", NULL);
        (void)curl_easy_getinfo(c, CURLINFO_REQUEST_SIZE, &sent);
        curl_easy_cleanup(c);
        const bool stopped = atomic_load(k->stopped), refused = r.code == 0 && sent == 0 && stopped;
        const bool answered = r.code == 200 || (r.code == 503 && stopped);
        k->answered += answered;
        k->lost += !answered && !refused;
        reply_free(&r);
        if (!answered) return NULL;
    }
}

static void no_reply_is_lost(void **state)
{
    client clients[CLIENTS];
    atomic_bool stopped = false;
    int answered = 0, lost = 0;
    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){.stopped = &stopped};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, ask_on, &clients[i]), 0);
    }
    wire_nap(200);
    atomic_store(&stopped, true);
    const int status = wire_stop(&tls);
    for (int i = 0; i < CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        answered += clients[i].answered;
        lost += clients[i].lost;
    }
    assert_int_equal(status, 0);
    assert_int_equal(lost, 0);
    assert_true(answered > 0);
}

/* ---- All ---- */

static int set_up(void **state)
{
    const char *const with[] = {"--threads", "2", "--cert", ours[0], "--key", ours[1], WIRE_MODE, NULL};
    (void)state;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return -1;
    dir = scratch_new();
    scratch_write(dir, "plain/empty", "");
    scratch_write(dir, "tls/empty", "");
    scratch_write(dir, "model/empty", "");
    model = cxr_path_join(dir, "model/toy.safetensors");
    char *logs[] = {cxr_path_join(dir, "plain"), cxr_path_join(dir, "tls")};
    assert_true(model != NULL && logs[0] != NULL && logs[1] != NULL && wire_model(model, 1, 32));
    assert_int_equal(cxr_buf_read(&jpeg, FIXTURES "/images/grey.jpg", 1 << 20, NULL), CXR_OK);
    make_pair(ours, "ours.pem", "ours.key", NULL);
    make_pair(theirs, "theirs.pem", "theirs.key", NULL);
    const bool good =
        wire_start(&plain, CXR_PROGRAM, logs[0], model, with + 6) && wire_start(&tls, CXR_PROGRAM, logs[1], model, with);
    cxr_mem_free(logs[0]), cxr_mem_free(logs[1]);
    return good ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    wire_free(&plain), wire_free(&tls);
    cxr_buf_free(&jpeg);
    cxr_mem_free(model);
    scratch_remove(dir);
    curl_global_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_answers_as_without),
        cmocka_unit_test(clients_can_tell_it_from_others),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(pages_from_elsewhere_may_not_ask),
        cmocka_unit_test(what_is_no_handshake_gets_no_answer),
        cmocka_unit_test(files_that_do_not_serve_are_told),
        cmocka_unit_test(no_reply_is_lost),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
