#include "train/teachers.h"
#include "base/mem.h"
#include <string.h>

struct cxr_teachers {
    const cxr_backend *backend;
    const cxr_loss *loss;
    cxr_compile_opts compile;
    int count, size; /* of the images; 0: not compiled */
    cxr_model *models[CXR_MAX_TEACHERS];
    cxr_graph graphs[CXR_MAX_TEACHERS]; /* of that size */
    cxr_program *programs[CXR_MAX_TEACHERS];
    float *logp, *soft; /* (max batch, classes) */
};

static cxr_status open_teacher(cxr_teachers *t, const char *path, const cxr_model *student, cxr_error *err)
{
    cxr_model **m = &t->models[t->count++];
    const cxr_status st = cxr_model_open(m, path, err);
    return st == CXR_OK ? cxr_model_match(*m, student, "the run", err) : st;
}

static void close_programs(cxr_teachers *t)
{
    for (int i = 0; i < t->count; i++) {
        t->backend->close(&t->programs[i]);
        cxr_graph_free(&t->graphs[i]);
    }
    t->size = 0;
}

cxr_status cxr_teachers_resize(cxr_teachers *t, int size, cxr_error *err)
{
    if (size == t->size) return CXR_OK;
    cxr_status st = CXR_OK;
    close_programs(t);
    for (int i = 0; i < t->count && st == CXR_OK; i++) {
        cxr_graph *g = &t->graphs[i];
        st = cxr_model_graph(g, t->models[i], size, err);
        if (st == CXR_OK)
            st = t->backend->compile(&t->programs[i], g, 1, g->node_count - 1, t->models[i]->params, &t->compile, err);
    }
    if (st == CXR_OK) t->size = size;
    return st;
}

cxr_status cxr_teachers_open(cxr_teachers **out, const cxr_train_opts *opts, const cxr_model *student, const cxr_loss *loss,
                             const cxr_backend *backend, int max_batch, int threads, cxr_error *err)
{
    *out = NULL;
    cxr_teachers *t = cxr_mem_new(1, sizeof *t);
    if (t == NULL) return cxr_mem_fail(err, "the teachers");
    t->backend = backend;
    t->loss = loss;
    t->logp = cxr_mem_new((size_t)max_batch * (size_t)student->class_count, sizeof *t->logp);
    t->soft = cxr_mem_new((size_t)max_batch * (size_t)student->class_count, sizeof *t->soft);
    t->compile = (cxr_compile_opts){.mode = CXR_INFER,
                                    .max_batch = max_batch,
                                    .threads = threads,
                                    .precision = opts->precision,
                                    .deterministic = opts->deterministic,
                                    .cache_dir = opts->cache_dir};
    cxr_status st = t->logp == NULL || t->soft == NULL ? cxr_mem_fail(err, "the teachers") : CXR_OK;
    for (int i = 0; i < opts->teacher_count && st == CXR_OK; i++) st = open_teacher(t, opts->teachers[i], student, err);
    if (st != CXR_OK) cxr_teachers_close(&t);
    *out = t;
    return st;
}

cxr_status cxr_teachers_ask(cxr_teachers *t, const cxr_tensor *pixels, int n, const float **soft, cxr_error *err)
{
    memset(t->soft, 0, (size_t)n * (size_t)t->loss->classes * sizeof *t->soft);
    cxr_status st = CXR_OK;
    for (int i = 0; i < t->count && st == CXR_OK; i++) {
        const cxr_tensor *logp = NULL;
        st = t->backend->forward(t->programs[i], pixels, 0, &logp, err);
        if (st == CXR_OK) st = t->backend->tensor_read(logp, t->logp, err);
        if (st == CXR_OK) cxr_loss_soften(t->loss, t->logp, n, 1.0 / t->count, t->soft);
    }
    *soft = t->soft;
    return st;
}

void cxr_teachers_close(cxr_teachers **teachers)
{
    if (teachers == NULL || *teachers == NULL) return;
    cxr_teachers *t = *teachers;
    close_programs(t);
    for (int i = 0; i < t->count; i++) cxr_model_close(&t->models[i]);
    cxr_mem_free(t->logp);
    cxr_mem_free(t->soft);
    cxr_mem_free(t);
    *teachers = NULL;
}
