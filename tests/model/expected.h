/* fixtures/weights/expected.txt: what PyTorch reads from each good file, compared bit for bit, since every conversion to f32
 * has one right answer. */
#ifndef TESTS_MODEL_EXPECTED_H
#define TESTS_MODEL_EXPECTED_H
#include "model/scratch.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/formats.h"

#define WEIGHT_FIXTURES FIXTURES "/weights/"

static inline cxr_buf fixture(const char *name)
{
    char path[512];
    cxr_buf file;
    (void)snprintf(path, sizeof path, WEIGHT_FIXTURES "%s", name);
    if (cxr_buf_read(&file, path, 1 << 20, NULL) != CXR_OK) exit(77);
    return file;
}

static inline cxr_status parse_bytes(cxr_weights *w, const void *data, size_t len, cxr_error *err)
{
    return cxr_weights_parse(w, &(cxr_source){data, len, "file"}, err);
}

/* Reading a file with the n-th allocation failing, for every n, says so and leaves nothing behind. */
static inline void walk_allocations(const char *name)
{
    cxr_buf bytes = fixture(name);
    bool fired = true;
    for (long n = 0; fired; n++) {
        cxr_weights w;
        cxr_mem_fail_at(n);
        const cxr_status st = parse_bytes(&w, bytes.data, bytes.len, NULL);
        fired = cxr_mem_fail_fired();
        cxr_mem_fail_at(-1);
        assert_int_equal(st, fired ? CXR_ENOMEM : CXR_OK);
        cxr_weights_free(&w);
    }
    cxr_buf_free(&bytes);
}

/* One "tensor ..." line against the tensor of that name. */
static inline const char *compare_line(const cxr_weights *w, char *line)
{
    char *rest = line, *name = strtok_r(line, " ", &rest);
    name = strtok_r(NULL, " ", &rest);
    const bool is_float = *strtok_r(NULL, " ", &rest) == 'f';
    const cxr_weight *t = cxr_weights_find(w, name);
    if (t == NULL || (t->data != NULL) != is_float) return name;
    const int rank = atoi(strtok_r(NULL, " ", &rest));
    if (t->rank != rank) return name;
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        const int64_t dim = strtoll(strtok_r(NULL, " ", &rest), NULL, 10);
        if (t->dims[i] != dim) return name;
        count *= (size_t)dim;
    }
    if (t->count != count) return name;
    for (size_t i = 0; is_float && i < count; i++) {
        const float value = strtof(strtok_r(NULL, " ", &rest), NULL);
        if (memcmp(&value, &t->data[i], sizeof value) != 0) return name;
    }
    return strtok_r(NULL, " ", &rest) == NULL ? NULL : name;
}

/* The name of the first tensor that differs, in a static buffer; NULL: all are as expected, and no other is there. */
static inline const char *compare_expected(const cxr_weights *w, const char *file)
{
    static char differs[300];
    cxr_buf text = fixture("expected.txt");
    char *copy = malloc(text.len + 1), *rest = copy;
    assert_non_null(copy);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    cxr_buf_free(&text);
    char head[300], *line;
    const char *wrong = "(not in expected.txt)";
    size_t left = 0;
    const int head_len = snprintf(head, sizeof head, "file %s ", file);
    while ((line = strtok_r(rest, "\n", &rest)) != NULL && strncmp(line, head, (size_t)head_len) != 0) {}
    if (line != NULL) {
        left = strtoul(line + head_len, NULL, 10);
        wrong = left == w->count ? NULL : "(count)";
    }
    for (; wrong == NULL && left > 0; left--) wrong = compare_line(w, strtok_r(rest, "\n", &rest));
    if (wrong != NULL) (void)snprintf(differs, sizeof differs, "%s", wrong);
    free(copy);
    return wrong == NULL ? NULL : differs;
}

static inline void assert_expected(const char *file)
{
    cxr_weights w;
    cxr_error err = {0};
    cxr_buf bytes = fixture(file);
    if (parse_bytes(&w, bytes.data, bytes.len, &err) != CXR_OK) fail_msg("%s: %s", file, err.text);
    const char *wrong = compare_expected(&w, file);
    if (wrong != NULL) fail_msg("%s: tensor %s is not what PyTorch reads", file, wrong);
    cxr_weights_free(&w);
    cxr_buf_free(&bytes);
}

static inline void assert_refused(const char *what, const void *data, size_t len, cxr_status status, const char *part)
{
    cxr_weights w;
    cxr_error err = {0};
    const cxr_status st = parse_bytes(&w, data, len, &err);
    if (st != status || strstr(err.text, part) == NULL)
        fail_msg("%s: status %d, expected %d; \"%s\" should say \"%s\"", what, (int)st, (int)status, err.text, part);
    assert_null(w.items);
    assert_null(w.meta);
}

/* Every proper prefix is refused, whichever format it then looks like. */
static inline void assert_prefixes_refused(const char *file)
{
    cxr_buf bytes = fixture(file);
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *exact = malloc(len + 1); /* + 1: malloc(0) may be NULL; offset, so that a sanitizer sees the end */
        assert_non_null(exact);
        memcpy(exact + 1, bytes.data, len);
        cxr_weights w;
        const cxr_status st = parse_bytes(&w, exact + 1, len, NULL);
        if (st != CXR_EDATA && st != CXR_ELIMIT) fail_msg("%s: %zu bytes of it: status %d", file, len, (int)st);
        free(exact);
    }
    cxr_buf_free(&bytes);
}
#endif
