/* POST /v2/models/{m}/infer: the Open Inference Protocol, version 2, with the binary tensor extension
 * (https://kserve.github.io/website, "V2 Inference Protocol"; Triton's "Binary Tensor Data Extension"). One input: `image`, BYTES
 * [n], image files; or `pixels`, UINT8 [n, 1, side, side], what the network sees. Outputs: `probabilities`, FP32 [n, classes], and
 * `prediction`, the class, `status`, ok or abstain, and `reason`, why, BYTES [n]. */
#include "base/mem.h"
#include "serve/server.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ID_ROOM 129

enum { PROBABILITIES, PREDICTION, STATUS, REASON, OUTPUTS };
static const char *const output_names[OUTPUTS] = {"probabilities", "prediction", "status", "reason"};
static const char *const output_types[OUTPUTS] = {"FP32", "BYTES", "BYTES", "BYTES"};

/* What the reply needs to know of the request. */
typedef struct asked {
    char id[ID_ROOM];
    bool wanted[OUTPUTS], binary[OUTPUTS];
} asked;

/* The one input. */
typedef struct input {
    const char *name;
    json_t *data;         /* NULL: the tensor is binary */
    const uint8_t *bytes; /* then these */
    size_t len;
    int count; /* images */
    bool is_pixels;
} input;

#define REFUSE(...) return cxr_reply_error(reply, 400, __VA_ARGS__), false

/* ---- Reading ---- */

/* The JSON part of the body, and where the binary part begins. */
static json_t *read_json(const cxr_request *r, size_t *json_len, cxr_reply *reply)
{
    const char *length = cxr_request_header(r, "Inference-Header-Content-Length");
    *json_len = r->len;
    if (length != NULL) {
        errno = 0;
        const unsigned long long n = strtoull(length, NULL, 10);
        const bool digits = *length != '\0' && length[strspn(length, "0123456789")] == '\0';
        if (!digits || errno != 0 || n > r->len) {
            cxr_reply_error(reply, 400, "Inference-Header-Content-Length is no number up to the body's length");
            return NULL;
        }
        *json_len = (size_t)n;
    }
    if (*json_len > CXR_JSON_MOST) {
        cxr_reply_error(reply, 413, "the JSON is over %zu bytes", CXR_JSON_MOST);
        return NULL;
    }
    json_error_t e;
    json_t *root = json_loadb((const char *)r->body, *json_len, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL) cxr_reply_error(reply, 400, "the body is no JSON: line %d, column %d", e.line, e.column);
    return root;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* n of [n], [n, 1] or, of pixels, [n, 1, side, side] and [n, side, side]; 0: it is none of them. */
static int images_of(const json_t *shape, bool is_pixels, int side)
{
    json_int_t d[4] = {0};
    const size_t dims = json_array_size(shape);
    if (dims < 1 || dims > 4) return 0;
    for (size_t i = 0; i < dims; i++) {
        const json_t *v = json_array_get(shape, i);
        if (!json_is_integer(v)) return 0;
        d[i] = json_integer_value(v);
    }
    const bool file = !is_pixels && (dims == 1 || (dims == 2 && d[1] == 1));
    const bool square = is_pixels && dims >= 3 && d[dims - 1] == side && d[dims - 2] == side && (dims == 3 || d[1] == 1);
    if (!file && !square) return 0;
    return d[0] >= 1 && d[0] <= 1000000 ? (int)d[0] : 0;
}

static bool read_input(const cxr_request *r, const json_t *root, size_t json_len, input *in, cxr_reply *reply)
{
    const json_t *inputs = json_object_get(root, "inputs"), *first = json_array_get(inputs, 0);
    if (json_array_size(inputs) != 1) REFUSE("inputs must hold one tensor: image or pixels");
    in->is_pixels = strcmp(text_of(first, "name"), "pixels") == 0;
    if (!in->is_pixels && strcmp(text_of(first, "name"), "image") != 0) REFUSE("the input must be called image or pixels");
    const char *type = in->is_pixels ? "UINT8" : "BYTES";
    if (strcmp(text_of(first, "datatype"), type) != 0) REFUSE("the datatype of that input is %s", type);
    const int side = r->served->model->preprocess.size;
    in->count = images_of(json_object_get(first, "shape"), in->is_pixels, side);
    if (in->count == 0 && in->is_pixels) REFUSE("the shape of pixels is [n, 1, %d, %d]", side, side);
    if (in->count == 0) REFUSE("the shape of image is [n]");
    in->data = json_object_get(first, "data");
    const json_t *size = json_object_get(json_object_get(first, "parameters"), "binary_data_size");
    in->bytes = r->body + json_len;
    in->len = r->len - json_len;
    if ((in->data != NULL) == (size != NULL)) REFUSE("an input has either data or binary_data_size");
    if (size != NULL && (!json_is_integer(size) || json_integer_value(size) < 0 || (size_t)json_integer_value(size) != in->len))
        REFUSE("binary_data_size is not the %zu bytes that follow the JSON", in->len);
    if (in->data != NULL && in->len > 0) REFUSE("bytes follow the JSON that no input asks for");
    return true;
}

static bool read_binary(cxr_request *r, const input *in, cxr_reply *reply)
{
    const size_t side = (size_t)r->served->model->preprocess.size, each = side * side;
    if (in->is_pixels && in->len != (size_t)in->count * each) REFUSE("pixels of that shape are %zu bytes each", each);
    size_t at = 0;
    for (int i = 0; i < in->count; i++) {
        uint32_t len = (uint32_t)each;
        if (!in->is_pixels) {
            if (in->len - at < 4) REFUSE("the binary data ends within image %d", i + 1);
            const uint8_t *b = in->bytes + at;
            len = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
            at += 4;
        }
        if (len > in->len - at) REFUSE("the binary data ends within image %d", i + 1);
        r->jobs[i].bytes = in->bytes + at;
        r->jobs[i].len = len;
        at += len;
    }
    if (at != in->len) REFUSE("bytes follow the last image");
    return true;
}

/* Files in base 64. to: at least as much room as all the texts have. */
static bool read_files(cxr_request *r, const input *in, uint8_t *to, cxr_reply *reply)
{
    if (json_array_size(in->data) != (size_t)in->count) REFUSE("data must hold as many images as the shape says");
    for (int i = 0; i < in->count; i++) {
        const json_t *v = json_array_get(in->data, (size_t)i);
        const size_t len = json_string_length(v);
        const char *text = json_string_value(v);
        if (text == NULL || len == 0 || len % 4 != 0) REFUSE("image %d is no text in base 64", i + 1);
        const int bytes = EVP_DecodeBlock(to, (const unsigned char *)text, (int)len);
        if (bytes < 0) REFUSE("image %d is no text in base 64", i + 1);
        r->jobs[i].bytes = to;
        r->jobs[i].len = (size_t)bytes - (text[len - 1] == '=') - (text[len - 2] == '=');
        to += bytes;
    }
    return true;
}

/* Numbers, flat or nested in any way; *left counts those still to come. */
static bool flatten(const json_t *v, uint8_t **to, size_t *left, int depth)
{
    if (json_is_array(v)) {
        bool good = depth < 4;
        for (size_t i = 0; i < json_array_size(v) && good; i++) good = flatten(json_array_get(v, i), to, left, depth + 1);
        return good;
    }
    const json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    if (n < 0 || n > 255 || *left == 0) return false;
    *(*to)++ = (uint8_t)n;
    --*left;
    return true;
}

static bool read_pixels(cxr_request *r, const input *in, uint8_t *to, cxr_reply *reply)
{
    const size_t side = (size_t)r->served->model->preprocess.size, each = side * side;
    size_t left = (size_t)in->count * each;
    uint8_t *at = to;
    if (!flatten(in->data, &at, &left, 0) || left != 0) REFUSE("data must hold %zu whole numbers from 0 to 255 an image", each);
    for (int i = 0; i < in->count; i++) {
        r->jobs[i].bytes = to + (size_t)i * each;
        r->jobs[i].len = each;
    }
    return true;
}

/* What was JSON takes the body's place: it needs no more room. */
static bool read_data(cxr_request *r, const input *in, cxr_reply *reply)
{
    const size_t side = (size_t)r->served->model->preprocess.size;
    if (in->is_pixels && (size_t)in->count > r->len / (side * side)) REFUSE("there are fewer pixels than the shape says");
    uint8_t *bytes = cxr_mem_new(r->room, 1);
    if (bytes == NULL) return cxr_reply_failed(reply, &(cxr_error){.status = CXR_ENOMEM}), false;
    cxr_mem_free(r->body);
    r->body = bytes;
    return in->is_pixels ? read_pixels(r, in, bytes, reply) : read_files(r, in, bytes, reply);
}

static bool read_outputs(const json_t *root, asked *a, cxr_reply *reply)
{
    const json_t *outputs = json_object_get(root, "outputs");
    const bool binary = json_is_true(json_object_get(json_object_get(root, "parameters"), "binary_data_output"));
    (void)snprintf(a->id, sizeof a->id, "%s", text_of(root, "id"));
    for (int k = 0; k < OUTPUTS; k++) {
        a->wanted[k] = outputs == NULL;
        a->binary[k] = binary;
    }
    for (size_t i = 0; i < json_array_size(outputs); i++) {
        const json_t *o = json_array_get(outputs, i), *parameters = json_object_get(o, "parameters");
        const json_t *own = json_object_get(parameters, "binary_data");
        int k = 0;
        while (k < OUTPUTS && strcmp(text_of(o, "name"), output_names[k]) != 0) k++;
        if (k == OUTPUTS) REFUSE("outputs are probabilities, prediction, status and reason");
        if (json_object_get(parameters, "classification") != NULL) REFUSE("the classification extension is not known here");
        a->wanted[k] = true;
        if (own != NULL) a->binary[k] = json_is_true(own);
    }
    return true;
}

static bool type_fits(const cxr_request *r, cxr_reply *reply)
{
    static const char *const types[] = {"application/json", "application/octet-stream", "application/x-www-form-urlencoded",
                                        "application/vnd.sagemaker-triton.binary+json"};
    const char *type = cxr_request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (type == NULL) return true;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strncasecmp(type, types[i], strlen(types[i])) == 0) return true;
    cxr_reply_error(reply, 415, "the body must be application/json, or that and binary tensors as application/octet-stream");
    return false;
}

static bool read_request(cxr_request *r, const json_t *root, size_t json_len, cxr_reply *reply)
{
    input in = {0};
    r->extra = cxr_mem_new(1, sizeof(asked));
    if (r->extra == NULL) return cxr_reply_failed(reply, &(cxr_error){.status = CXR_ENOMEM}), false;
    if (!read_outputs(root, r->extra, reply) || !read_input(r, root, json_len, &in, reply)) return false;
    if (!cxr_request_jobs(r, in.count, CXR_JOB_PREDICT, reply)) return false;
    for (int i = 0; i < in.count; i++) r->jobs[i].is_pixels = in.is_pixels;
    return in.data != NULL ? read_data(r, &in, reply) : read_binary(r, &in, reply);
}

void cxr_infer_start(cxr_request *r, cxr_reply *reply)
{
    size_t json_len = 0;
    if (!type_fits(r, reply) || !cxr_request_model(r, reply)) return;
    json_t *root = read_json(r, &json_len, reply);
    if (root != NULL) (void)read_request(r, root, json_len, reply);
    json_decref(root);
}

/* ---- Writing ---- */

static const char *text_of_output(const cxr_job *j, int output)
{
    const bool abstains = j->judgement.oddity != CXR_ODD_NOTHING;
    if (output == PREDICTION) return j->served->model->classes[j->predicted];
    if (output == STATUS) return abstains ? "abstain" : "ok";
    return abstains ? j->judgement.text : "";
}

static size_t binary_size(const cxr_request *r, int output)
{
    size_t size = 0;
    if (output == PROBABILITIES) return (size_t)r->job_count * (size_t)r->served->model->class_count * sizeof(float);
    for (int i = 0; i < r->job_count; i++) size += 4 + strlen(text_of_output(&r->jobs[i], output));
    return size;
}

static uint8_t *put_text(uint8_t *to, const char *text)
{
    const uint32_t len = (uint32_t)strlen(text);
    for (int b = 0; b < 4; b++) *to++ = (uint8_t)(len >> (8 * b));
    memcpy(to, text, len);
    return to + len;
}

/* Little-endian, as this machine's floats are. */
static uint8_t *put_binary(uint8_t *to, const cxr_request *r, int output)
{
    const size_t size = binary_size(r, output);
    if (output == PROBABILITIES) {
        memcpy(to, r->probabilities, size);
        return to + size;
    }
    for (int i = 0; i < r->job_count; i++) to = put_text(to, text_of_output(&r->jobs[i], output));
    return to;
}

static json_t *data_json(const cxr_request *r, int output)
{
    const int each = output == PROBABILITIES ? r->served->model->class_count : 1;
    json_t *data = json_array();
    for (int i = 0; i < r->job_count * each; i++)
        (void)json_array_append_new(data, output == PROBABILITIES ? json_real((double)r->probabilities[i])
                                                                  : json_string(text_of_output(&r->jobs[i], output)));
    return data;
}

static json_t *output_json(const cxr_request *r, const asked *a, int output)
{
    json_t *o = json_pack("{s:s, s:s}", "name", output_names[output], "datatype", output_types[output]);
    json_t *shape = output == PROBABILITIES ? json_pack("[i, i]", r->job_count, r->served->model->class_count)
                                            : json_pack("[i]", r->job_count);
    (void)json_object_set_new(o, "shape", shape);
    if (a->binary[output])
        (void)json_object_set_new(o, "parameters", json_pack("{s:I}", "binary_data_size", (json_int_t)binary_size(r, output)));
    else
        (void)json_object_set_new(o, "data", data_json(r, output));
    return o;
}

/* Puts the binary tensors behind the JSON. */
static void append_binary(cxr_reply *reply, const cxr_request *r, const asked *a)
{
    size_t total = reply->len;
    bool any = false;
    for (int k = 0; k < OUTPUTS; k++) {
        if (!a->wanted[k] || !a->binary[k]) continue;
        total += binary_size(r, k);
        any = true;
    }
    if (!any || reply->data == NULL) return;
    uint8_t *all = cxr_mem_resize(reply->data, total, 1);
    if (all == NULL) {
        free(reply->data);
        cxr_reply_failed(reply, &(cxr_error){.status = CXR_ENOMEM});
        return;
    }
    uint8_t *to = all + reply->len;
    for (int k = 0; k < OUTPUTS; k++)
        if (a->wanted[k] && a->binary[k]) to = put_binary(to, r, k);
    reply->json_len = reply->len;
    reply->data = all;
    reply->len = total;
    reply->type = "application/octet-stream";
}

void cxr_infer_finish(cxr_request *r, cxr_reply *reply)
{
    const asked *a = r->extra;
    for (int i = 0; i < r->job_count; i++) {
        if (r->jobs[i].error.status == CXR_OK) continue;
        cxr_reply_failed(reply, &r->jobs[i].error);
        return;
    }
    json_t *outputs = json_array();
    for (int k = 0; k < OUTPUTS; k++)
        if (a->wanted[k]) (void)json_array_append_new(outputs, output_json(r, a, k));
    json_t *root = json_pack("{s:s, s:s, s:o}", "model_name", r->served->name, "model_version", "1", "outputs", outputs);
    if (a->id[0] != '\0') (void)json_object_set_new(root, "id", json_string(a->id));
    cxr_reply_json(reply, 200, root);
    append_binary(reply, r, a);
}
