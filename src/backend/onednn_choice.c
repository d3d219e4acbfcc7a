/* The file: a line for each choice, "machine, library, threads: batch and shape<TAB>kernel". Lines are only appended, each by
 * one write, and the first that names a kernel at hand is the one that counts, for the program that wrote it too: whoever asks,
 * and whatever else is written at the same time, gets the same answer. Lines of other machines and damaged ones fit no question.
 * Without the file, or room in it, nothing is chosen. */
#include "backend/onednn_choice.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define MAX_BYTES ((uint64_t)256 << 10)
#define KEY_ROOM  320
#define FASTER    0.9  /* of the rule's time: less than that is no reason to leave it */
#define ROUNDS    5    /* at least, the first of which does not count */
#define SECONDS   0.02 /* at least, for all kernels of one shape */
#define BUDGET    0.3  /* at most, for a program, but for the run that is under way */

typedef struct taken {
    char shape[128], kernel[64];
    bool rule;
} taken;

struct cxr_choices {
    char *path;
    char machine[128];
    cxr_buf file;
    taken *taken;
    int count, room;
    double spent;
};

/* ---- The file ---- */

static void name_machine(char *out, size_t room, int threads)
{
    unsigned r[4] = {0};
    char vendor[13] = "";
#if defined(__x86_64__)
    if (__get_cpuid(0, &r[0], &r[1], &r[3], &r[2]) != 0) memcpy(vendor, &r[1], 12);
    if (__get_cpuid(1, &r[0], &r[1], &r[2], &r[3]) == 0) r[0] = 0;
#endif
    const dnnl_version_t *v = dnnl_version();
    (void)snprintf(out, room, "%s %x isa %x, oneDNN %d.%d.%d, %d threads", vendor, r[0], (unsigned)dnnl_get_effective_cpu_isa(),
                   v->major, v->minor, v->patch, threads);
}

/* What cannot be read is as good as not there; too large a file has gone wrong and is begun anew. */
static void read_file(cxr_choices *c)
{
    cxr_buf_free(&c->file);
    if (cxr_buf_read(&c->file, c->path, MAX_BYTES, NULL) == CXR_ELIMIT) (void)unlink(c->path);
}

static int find_kernel(const cxr_desc *kernels, int count, const char *name, size_t length)
{
    for (int i = 0; i < count; i++) {
        const char *kernel = cxr_desc_kernel(kernels[i]);
        if (strlen(kernel) == length && memcmp(kernel, name, length) == 0) return i;
    }
    return -1;
}

/* The kernel that the first fitting line names; -1 when there is none. */
static int remembered(const cxr_choices *c, const char *key, const cxr_desc *kernels, int count)
{
    const char *at = (const char *)c->file.data, *const end = at + c->file.len;
    const size_t length = strlen(key);
    int found = -1;
    while (found < 0 && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) break; /* not written whole */
        if ((size_t)(stop - at) > length && memcmp(at, key, length) == 0)
            found = find_kernel(kernels, count, at + length, (size_t)(stop - at) - length);
        at = stop + 1;
    }
    return found;
}

static void append(const cxr_choices *c, const char *key, const char *kernel)
{
    char line[KEY_ROOM + 80];
    const int n = snprintf(line, sizeof line, "%s%s%s\n", c->file.len > 0 && c->file.data[c->file.len - 1] != '\n' ? "\n" : "",
                           key, kernel);
    if (n < 0 || (size_t)n >= sizeof line || c->file.len + (size_t)n > MAX_BYTES) return;
    const int fd = open(c->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return;
    if (write(fd, line, (size_t)n) == n) (void)fsync(fd);
    (void)close(fd);
}

cxr_status cxr_choices_open(cxr_choices **out, const cxr_program *p, cxr_error *err)
{
    const cxr_compile_opts *o = &p->o;
    *out = NULL;
    if (o->deterministic || o->cache_dir == NULL || o->max_batch < CXR_CHOICE_BATCH || p->type != dnnl_f32) return CXR_OK;
    if (cxr_make_folders(o->cache_dir, NULL) != CXR_OK) return CXR_OK;
    cxr_choices *c = cxr_mem_new(1, sizeof *c);
    if (c != NULL) c->path = cxr_path_join(o->cache_dir, CXR_CHOICE_FILE);
    if (c == NULL || c->path == NULL) {
        cxr_choices_free(c);
        return cxr_mem_fail(err, "choices of kernels");
    }
    name_machine(c->machine, sizeof c->machine, o->threads);
    read_file(c);
    *out = c;
    return CXR_OK;
}

void cxr_choices_free(cxr_choices *c)
{
    if (c == NULL) return;
    cxr_buf_free(&c->file);
    cxr_mem_free(c->path);
    cxr_mem_free(c->taken);
    cxr_mem_free(c);
}

/* ---- Timing ---- */

static const struct {
    dnnl_query_t what;
    int index, arg;
} operands[] = {
    {dnnl_query_src_md, 0, DNNL_ARG_SRC},           {dnnl_query_weights_md, 0, DNNL_ARG_WEIGHTS},
    {dnnl_query_weights_md, 1, DNNL_ARG_BIAS},      {dnnl_query_dst_md, 0, DNNL_ARG_DST},
    {dnnl_query_diff_src_md, 0, DNNL_ARG_DIFF_SRC}, {dnnl_query_diff_weights_md, 0, DNNL_ARG_DIFF_WEIGHTS},
    {dnnl_query_diff_dst_md, 0, DNNL_ARG_DIFF_DST}, {dnnl_query_scratchpad_md, 0, DNNL_ARG_SCRATCHPAD},
};
#define OPERANDS ((int)(sizeof operands / sizeof operands[0]))

typedef struct contestant {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[OPERANDS];
    int arg_count;
    double best; /* seconds */
} contestant;

static const dnnl_memory_desc_t *operand_md(cxr_desc pd, int i)
{
    return dnnl_primitive_desc_query_md(pd, operands[i].what, operands[i].index);
}

static size_t operand_bytes(cxr_desc pd, int i)
{
    const dnnl_memory_desc_t *md = operand_md(pd, i);
    return md == NULL ? 0 : dnnl_memory_desc_get_size(md);
}

/* Memory for operand i of every kernel: 0.0115 throughout, an ordinary number. */
static dnnl_status_t share_operand(char **data, const cxr_desc *kernels, int count, int i)
{
    size_t most = 0;
    for (int k = 0; k < count; k++) {
        const size_t bytes = operand_bytes(kernels[k], i);
        if (bytes > most) most = bytes;
    }
    if (most == 0) return dnnl_success;
    *data = cxr_mem_new_raw(most, 1);
    if (*data == NULL) return dnnl_out_of_memory;
    memset(*data, 0x3C, most);
    return dnnl_success;
}

static dnnl_status_t enter(contestant *k, cxr_desc pd, char *const data[OPERANDS], dnnl_engine_t engine)
{
    dnnl_status_t st = dnnl_primitive_create(&k->primitive, pd);
    for (int i = 0; i < OPERANDS && st == dnnl_success; i++) {
        if (operand_bytes(pd, i) == 0) continue;
        k->args[k->arg_count].arg = operands[i].arg;
        st = dnnl_memory_create(&k->args[k->arg_count++].memory, operand_md(pd, i), engine, data[i]);
    }
    return st;
}

static dnnl_status_t run_once(contestant *k, dnnl_stream_t stream, bool counts)
{
    const double start = cxr_now();
    dnnl_status_t st = dnnl_primitive_execute(k->primitive, stream, k->arg_count, k->args);
    if (st == dnnl_success) st = dnnl_stream_wait(stream);
    const double seconds = cxr_now() - start;
    if (counts && (k->best == 0.0 || seconds < k->best)) k->best = seconds;
    return st;
}

/* In turns, so that what disturbs one disturbs the others, for no longer than `seconds`. */
static dnnl_status_t race(contestant *k, int count, dnnl_stream_t stream, double seconds)
{
    const double start = cxr_now();
    dnnl_status_t st = dnnl_success;
    for (int round = 0; st == dnnl_success; round++) {
        const double passed = cxr_now() - start;
        if (passed > seconds || (round >= ROUNDS && passed >= SECONDS)) break;
        for (int i = 0; i < count && st == dnnl_success; i++) st = run_once(&k[i], stream, round > 0);
    }
    return st;
}

/* The fastest; the first unless another is clearly faster or none was timed. */
static int winner(const contestant *k, int count)
{
    int best = 0;
    double least = k[0].best * FASTER;
    for (int i = 1; i < count; i++) {
        if (!(k[i].best > 0.0 && k[i].best < least)) continue;
        best = i;
        least = k[i].best;
    }
    return best;
}

static int measure(cxr_lowering *l, const cxr_desc *kernels, int count)
{
    cxr_choices *c = l->p->choices;
    contestant k[CXR_CHOICES_MAX] = {0};
    char *data[OPERANDS] = {0};
    const double start = cxr_now();
    dnnl_status_t st = dnnl_success;
    for (int i = 0; i < OPERANDS && st == dnnl_success; i++) st = share_operand(&data[i], kernels, count, i);
    for (int i = 0; i < count && st == dnnl_success; i++) st = enter(&k[i], kernels[i], data, l->p->engine);
    if (st == dnnl_success) st = race(k, count, l->p->stream, BUDGET - c->spent);
    const int best = st == dnnl_success ? winner(k, count) : 0;
    for (int i = 0; i < count; i++) {
        for (int a = 0; a < k[i].arg_count; a++) (void)dnnl_memory_destroy(k[i].args[a].memory);
        (void)dnnl_primitive_destroy(k[i].primitive);
    }
    for (int i = 0; i < OPERANDS; i++) cxr_mem_free(data[i]);
    cxr_lower_fail(l, st, "the timing of kernels");
    c->spent += cxr_now() - start;
    return best;
}

/* ---- Choosing ---- */

static void name_shape(char *out, size_t room, const cxr_lowering *l, cxr_pass pass)
{
    static const char *const names[] = {"forward", "backward data", "backward weights"};
    const cxr_node *v = &l->p->g->nodes[l->node];
    const cxr_shape in = cxr_graph_in_shape(l->p->g, l->node);
    (void)snprintf(out, room, "%s %dx%dx%d to %dx%dx%d, kernel %d stride %d pad %d", names[pass], in.c, in.h, in.w, v->shape.c,
                   v->shape.h, v->shape.w, v->kernel, v->stride, v->pad);
}

static const taken *find_taken(const cxr_choices *c, const char *shape)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->taken[i].shape, shape) == 0) return &c->taken[i];
    return NULL;
}

static void take(cxr_lowering *l, const char *shape, const char *kernel, bool rule)
{
    cxr_choices *c = l->p->choices;
    if (c->count == c->room) {
        const int more = c->room == 0 ? 16 : c->room * 2;
        taken *bigger = cxr_mem_resize(c->taken, (size_t)more, sizeof *bigger);
        if (bigger == NULL) {
            cxr_lower_fail(l, dnnl_out_of_memory, "the choice of a kernel");
            return;
        }
        c->taken = bigger;
        c->room = more;
    }
    taken *t = &c->taken[c->count++];
    *t = (taken){.rule = rule};
    (void)snprintf(t->shape, sizeof t->shape, "%s", shape);
    (void)snprintf(t->kernel, sizeof t->kernel, "%s", kernel);
}

/* Remembered, or timed and remembered; the rule's where the file does not say so afterwards. */
static int ask(cxr_lowering *l, const char *shape, const cxr_desc *kernels, int count)
{
    cxr_choices *c = l->p->choices;
    char key[KEY_ROOM];
    (void)snprintf(key, sizeof key, "%s: %d images %s\t", c->machine, l->plan->n, shape);
    int best = remembered(c, key, kernels, count);
    if (best >= 0) return best;
    best = measure(l, kernels, count);
    if (l->status != CXR_OK) return 0;
    append(c, key, cxr_desc_kernel(kernels[best]));
    read_file(c);
    best = remembered(c, key, kernels, count);
    return best >= 0 ? best : 0;
}

cxr_desc cxr_choose(cxr_lowering *l, cxr_pass pass, const cxr_desc *kernels, int count)
{
    char shape[sizeof((taken *)NULL)->shape];
    name_shape(shape, sizeof shape, l, pass);
    const taken *t = find_taken(l->p->choices, shape);
    if (t != NULL) {
        const int i = find_kernel(kernels, count, t->kernel, strlen(t->kernel));
        return kernels[i >= 0 && !t->rule ? i : 0];
    }
    if (!cxr_plan_is_full(l) || count < 2) return kernels[0];
    const int best = ask(l, shape, kernels, count);
    take(l, shape, cxr_desc_kernel(kernels[best]), best == 0);
    return kernels[best];
}

uint64_t cxr_choices_digest(const cxr_choices *c)
{
    uint64_t digest = 0;
    for (int i = 0; c != NULL && i < c->count; i++) {
        if (c->taken[i].rule) continue;
        digest = cxr_mix64(digest + 1);
        for (const char *s = c->taken[i].shape; *s != '\0'; s++) digest = cxr_mix64(digest ^ (uint64_t)(unsigned char)*s);
        for (const char *s = c->taken[i].kernel; *s != '\0'; s++) digest = cxr_mix64(digest ^ (uint64_t)(unsigned char)*s);
    }
    return digest;
}
