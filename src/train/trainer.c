#include "train/trainer.h"
#include "base/grant.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/feature_store.h"
#include <stdlib.h>
#include <string.h>

#define BATCHES_AHEAD 3

/* The largest batch there can be: a lone last image joins the batch before it, and few images make no large batch. */
static int max_batch(const cxr_trainer *t)
{
    const size_t most = t->train.count > t->val.count ? t->train.count : t->val.count, full = (size_t)t->opts->batch_size + 1;
    return (int)(most < full ? most : full);
}

static cxr_status open_parts(cxr_trainer *t, cxr_error *err)
{
    cxr_status st = cxr_subset_open(&t->train, t->data, CXR_SPLIT_TRAIN, err);
    if (st == CXR_OK) st = cxr_subset_open(&t->val, t->data, CXR_SPLIT_VAL, err);
    if (st == CXR_OK && (t->train.count < 2 || t->val.count < 1))
        st = cxr_fail(err, CXR_EDATA, "%s: %zu training and %zu validation images are too few", t->opts->data, t->train.count,
                      t->val.count);
    return st;
}

/* The optimiser, over what is trained in the last phase at the latest, and what it moves. */
static cxr_status open_weights(cxr_trainer *t, cxr_error *err)
{
    const cxr_graph *g = &t->model->graph;
    const cxr_optim *o = &t->optim;
    int cut = 0;
    cxr_status st = cxr_graph_cut(g, t->freezes.at[t->freezes.count - 1].value, &cut, err);
    if (st == CXR_OK) st = cxr_optim_open(&t->optim, g, cut, t->opts, err);
    t->weights = t->model->params;
    if (st != CXR_OK || (t->opts->ema == 0.0f && t->opts->swa == 0)) return st;
    t->weights = cxr_mem_new(g->float_count, sizeof(float)); /* left of the cut never touched */
    if (t->weights == NULL) return cxr_mem_fail(err, "the weights behind their average");
    memcpy(t->weights + o->all_first, t->model->params + o->all_first, o->all_count * sizeof(float));
    return CXR_OK;
}

/* ---- Phases ---- */

static cxr_status open_programs(cxr_trainer *t, int cut, cxr_error *err)
{
    const cxr_graph *g = &t->graph;
    const int last = g->node_count - 1;
    cxr_compile_opts o = {.mode = CXR_INFER,
                          .max_batch = max_batch(t),
                          .threads = t->threads,
                          .precision = t->opts->precision,
                          .deterministic = t->opts->deterministic,
                          .cache_dir = t->opts->cache_dir};
    cxr_status st = t->backend->compile(&t->frozen, g, 1, cut, t->model->params, &o, err);
    o.producer = t->frozen;
    if (o.precision == CXR_PRECISION_AUTO) o.precision = CXR_PRECISION_F32; /* auto is for what is not trained */
    o.compact = true; /* the memory of the training program stays beside its own */
    if (st == CXR_OK) st = t->backend->compile(&t->scorer, g, cut + 1, last, t->model->params, &o, err);
    o.mode = CXR_TRAIN;
    o.compact = false;
    if (st == CXR_OK) st = t->backend->compile(&t->trainable, g, cut + 1, last, t->weights, &o, err);
    if (st == CXR_OK) st = t->backend->tensor_new(&t->dout, CXR_F32, max_batch(t), g->nodes[last].shape, err);
    if (st != CXR_OK) return st;
    cxr_log(t->hooks, CXR_DEBUG, "memory: frozen part %.1f MB, trainable part %.1f MB, validation %.1f MB",
            1e-6 * (double)t->backend->arena_bytes(t->frozen), 1e-6 * (double)t->backend->arena_bytes(t->trainable),
            1e-6 * (double)t->backend->arena_bytes(t->scorer));
    return CXR_OK;
}

static cxr_status open_feed(cxr_feed **out, const cxr_trainer *t, cxr_subset *part, const cxr_augment *augment, cxr_error *err)
{
    const bool training = part == &t->train;
    const bool frozen = t->optim.first_param > 0; /* something is: else each epoch has views of its own */
    const int views = !training ? 1 : frozen ? cxr_train_views(t->opts) : 0;
    cxr_store *store = NULL;
    const cxr_status st = cxr_feature_store_open(&store, t, part, augment, views, err);
    if (st != CXR_OK) return st;
    const bool once = store != NULL && views == 1; /* each image is read once: its pixels need no cache */
    const cxr_feed_opts o = {.hooks = t->hooks,
                             .backend = t->backend,
                             .frozen = t->frozen,
                             .part = part,
                             .loader = {.paths = part->paths,
                                        .contents = (const char(*)[65])part->contents,
                                        .count = part->count,
                                        .preprocess = &t->preprocess,
                                        .augment = augment,
                                        .limits = t->opts->limits,
                                        .batch_size = t->opts->batch_size,
                                        .threads = t->threads,
                                        .ahead = BATCHES_AHEAD,
                                        .seed = t->opts->seed,
                                        .replacement = training && t->opts->balanced,
                                        .cache = once ? CXR_CACHE_OFF : t->opts->cache,
                                        .cache_dir = t->opts->cache_dir,
                                        .hooks = t->hooks},
                             .shuffle = training,
                             .skip_unreadable = t->opts->skip_unreadable,
                             .mixup = training ? t->opts->mixup : 0.0f,
                             .cutmix = training ? t->opts->cutmix : 0.0f,
                             .views = views,
                             .store = store};
    return cxr_feed_open(out, &o, err);
}

static void leave_phase(cxr_trainer *t)
{
    cxr_feed_close(&t->train_feed);
    cxr_feed_close(&t->val_feed);
    if (t->backend == NULL) return;
    t->backend->close(&t->trainable);
    t->backend->close(&t->scorer);
    t->backend->close(&t->frozen);
    t->backend->tensor_free(&t->dout);
    cxr_graph_free(&t->graph);
}

/* Cuts the optimiser as the phases until now did. */
static cxr_status unfreeze(cxr_trainer *t, int *cut, cxr_error *err)
{
    cxr_train_state *s = &t->state;
    cxr_status st = CXR_OK;
    for (int i = 0; i <= t->freeze && st == CXR_OK; i++) {
        if (i == s->unfrozen_count) s->unfrozen[s->unfrozen_count++] = t->optim.steps;
        st = cxr_graph_cut(&t->graph, t->freezes.at[i].value, cut, err);
        if (st == CXR_OK) cxr_optim_cut(&t->optim, *cut, s->unfrozen[i]);
    }
    return st;
}

cxr_status cxr_trainer_enter(cxr_trainer *t, cxr_error *err)
{
    const int freeze = cxr_phase_of(&t->freezes, t->state.epoch), size = cxr_phase_of(&t->sizes, t->state.epoch);
    if (t->val_feed != NULL && freeze == t->freeze && size == t->size) return CXR_OK;
    leave_phase(t); /* before there is another: the memory is not taken twice */
    int cut = 0;
    t->freeze = freeze;
    t->size = size;
    t->preprocess = t->model->preprocess;
    t->preprocess.size = atoi(t->sizes.at[size].value);
    if (t->freezes.count > 1 || t->sizes.count > 1)
        cxr_log(t->hooks, CXR_INFO, "from epoch %d on: images of %d x %d, frozen: %s", t->state.epoch + 1, t->preprocess.size,
                t->preprocess.size, t->freezes.at[freeze].value);
    cxr_status st = cxr_model_graph(&t->graph, t->model, t->preprocess.size, err);
    if (st == CXR_OK) st = unfreeze(t, &cut, err);
    if (st == CXR_OK && t->teachers != NULL) st = cxr_teachers_resize(t->teachers, t->preprocess.size, err);
    if (st == CXR_OK) st = open_programs(t, cut, err);
    if (st == CXR_OK) st = open_feed(&t->train_feed, t, &t->train, &t->opts->augment, err);
    if (st == CXR_OK) st = open_feed(&t->val_feed, t, &t->val, NULL, err);
    return st;
}

/* ---- Opening and closing ---- */

/* Inverse class frequency, 1 on average over the training images. */
static void weigh_classes(cxr_trainer *t)
{
    const int classes = t->model->class_count;
    for (int c = 0; c < classes; c++) {
        const double n = (double)cxr_dataset_count(t->data, CXR_SPLIT_TRAIN, c);
        t->class_weights[c] = n > 0.0 ? (float)((double)t->train.count / (n * classes)) : 0.0f;
    }
}

static cxr_status open_buffers(cxr_trainer *t, cxr_error *err)
{
    const size_t batch = (size_t)max_batch(t), classes = (size_t)t->model->class_count;
    /* Gradients left of the cut are never touched, so their pages never exist. */
    t->grads = cxr_mem_new(t->model->graph.float_count, sizeof(float));
    t->logp = cxr_mem_new(batch * classes, sizeof(float));
    t->dlogp = cxr_mem_new(batch * classes, sizeof(float));
    t->class_weights = cxr_mem_new(classes, sizeof(float));
    t->state.history = cxr_mem_new((size_t)t->opts->epochs, sizeof *t->state.history);
    if (t->grads == NULL || t->logp == NULL || t->dlogp == NULL || t->class_weights == NULL || t->state.history == NULL)
        return cxr_mem_fail(err, "the trainer");
    weigh_classes(t);
    t->loss = (cxr_loss){.classes = t->model->class_count,
                         .weights = t->opts->class_weights ? t->class_weights : NULL,
                         .smoothing = t->opts->label_smoothing,
                         .distil = t->opts->distil,
                         .temperature = t->opts->distil_temperature};
    return CXR_OK;
}

cxr_status cxr_trainer_open(cxr_trainer **out, const cxr_train_opts *opts, cxr_model *model, const cxr_dataset *data,
                            const cxr_hooks *hooks, cxr_error *err)
{
    *out = NULL;
    cxr_trainer *t = cxr_mem_new(1, sizeof *t);
    if (t == NULL) return cxr_mem_fail(err, "the trainer");
    t->opts = opts;
    t->hooks = hooks;
    t->model = model;
    t->data = data;
    t->threads = opts->threads > 0 ? opts->threads : cxr_thread_grant();
    cxr_status st = cxr_freeze_phases(&t->freezes, opts, err);
    if (st == CXR_OK) st = cxr_size_phases(&t->sizes, opts, err);
    if (st == CXR_OK) st = open_parts(t, err);
    if (st == CXR_OK) st = cxr_backend_find(&t->backend, opts->device, err);
    if (st == CXR_OK) st = open_weights(t, err);
    if (st == CXR_OK) st = open_buffers(t, err);
    if (st == CXR_OK && opts->teacher_count > 0)
        st = cxr_teachers_open(&t->teachers, opts, model, &t->loss, t->backend, max_batch(t), t->threads, err);
    if (st != CXR_OK) cxr_trainer_close(&t);
    *out = t;
    return st;
}

void cxr_trainer_close(cxr_trainer **trainer)
{
    if (trainer == NULL || *trainer == NULL) return;
    cxr_trainer *t = *trainer;
    leave_phase(t);
    cxr_teachers_close(&t->teachers);
    cxr_optim_close(&t->optim);
    if (t->weights != t->model->params) cxr_mem_free(t->weights);
    cxr_subset_close(&t->train);
    cxr_subset_close(&t->val);
    void *const owned[] = {t->grads, t->logp, t->dlogp, t->class_weights, t->state.history};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) cxr_mem_free(owned[i]);
    cxr_mem_free(t);
    *trainer = NULL;
}
