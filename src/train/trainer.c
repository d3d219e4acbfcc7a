#include "train/trainer.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BATCHES_AHEAD 3

static int last_node(const cxr_trainer *t)
{
    return t->model->graph.node_count - 1;
}

/* The largest batch there can be: a lone last image joins the batch before it, and few images make no large batch. */
static int max_batch(const cxr_trainer *t)
{
    const size_t most = t->train.count > t->val.count ? t->train.count : t->val.count, full = (size_t)t->opts->batch_size + 1;
    return (int)(most < full ? most : full);
}

static cxr_status open_loader(cxr_loader **out, const cxr_trainer *t, const cxr_subset *part, const cxr_augment *augment,
                              cxr_error *err)
{
    const cxr_loader_opts o = {.paths = part->paths,
                               .count = part->count,
                               .preprocess = &t->model->preprocess,
                               .augment = augment,
                               .limits = t->opts->limits,
                               .batch_size = t->opts->batch_size,
                               .threads = t->threads,
                               .ahead = BATCHES_AHEAD,
                               .seed = t->opts->seed};
    return cxr_loader_open(out, &o, err);
}

static cxr_status open_data(cxr_trainer *t, cxr_error *err)
{
    cxr_status st = cxr_subset_open(&t->train, t->data, CXR_SPLIT_TRAIN, err);
    if (st == CXR_OK) st = cxr_subset_open(&t->val, t->data, CXR_SPLIT_VAL, err);
    if (st == CXR_OK && (t->train.count < 2 || t->val.count < 1))
        st = cxr_fail(err, CXR_EDATA, "%s: %zu training and %zu validation images are too few", t->opts->data, t->train.count,
                      t->val.count);
    if (st == CXR_OK) st = open_loader(&t->train_loader, t, &t->train, &t->opts->augment, err);
    if (st == CXR_OK) st = open_loader(&t->val_loader, t, &t->val, NULL, err);
    return st;
}

static cxr_status open_programs(cxr_trainer *t, cxr_error *err)
{
    const cxr_graph *g = &t->model->graph;
    int cut = 0;
    cxr_status st = cxr_graph_cut(g, t->opts->freeze, &cut, err);
    if (st == CXR_OK) st = cxr_backend_find(&t->backend, t->opts->device, err);
    if (st != CXR_OK) return st;
    cxr_compile_opts o = {.mode = CXR_INFER,
                          .max_batch = max_batch(t),
                          .threads = t->threads,
                          .precision = t->opts->precision,
                          .deterministic = t->opts->deterministic,
                          .cache_dir = t->opts->cache_dir};
    st = t->backend->compile(&t->frozen, g, 1, cut, t->model->params, &o, err);
    o.producer = t->frozen;
    if (st == CXR_OK) st = t->backend->compile(&t->scorer, g, cut + 1, last_node(t), t->model->params, &o, err);
    o.mode = CXR_TRAIN;
    if (st == CXR_OK) st = t->backend->compile(&t->trainable, g, cut + 1, last_node(t), t->model->params, &o, err);
    if (st == CXR_OK) st = t->backend->tensor_new(&t->input, CXR_U8, max_batch(t), g->nodes[0].shape, err);
    if (st == CXR_OK) st = t->backend->tensor_new(&t->dout, CXR_F32, max_batch(t), g->nodes[last_node(t)].shape, err);
    if (st == CXR_OK) st = cxr_optim_open(&t->optim, g, cut, t->opts, err);
    if (st != CXR_OK) return st;
    cxr_log(t->hooks, CXR_DEBUG, "memory: frozen part %.1f MB, trainable part %.1f MB, validation %.1f MB",
            1e-6 * (double)t->backend->arena_bytes(t->frozen), 1e-6 * (double)t->backend->arena_bytes(t->trainable),
            1e-6 * (double)t->backend->arena_bytes(t->scorer));
    return CXR_OK;
}

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
    const size_t side = (size_t)t->model->preprocess.size;
    /* Gradients left of the cut are never touched, so their pages never exist. */
    t->grads = cxr_mem_new(t->model->graph.float_count, sizeof(float));
    t->logp = cxr_mem_new(batch * classes, sizeof(float));
    t->dlogp = cxr_mem_new(batch * classes, sizeof(float));
    t->pixels = cxr_mem_new(batch * side, side);
    t->labels = cxr_mem_new(batch, sizeof *t->labels);
    t->order = cxr_mem_new(t->train.count > t->val.count ? t->train.count : t->val.count, sizeof *t->order);
    t->reported = cxr_mem_new(t->train.count + t->val.count, sizeof *t->reported);
    t->class_weights = cxr_mem_new(classes, sizeof(float));
    t->state.history = cxr_mem_new((size_t)t->opts->epochs, sizeof *t->state.history);
    if (t->grads == NULL || t->logp == NULL || t->dlogp == NULL || t->pixels == NULL || t->labels == NULL || t->order == NULL ||
        t->reported == NULL || t->class_weights == NULL || t->state.history == NULL)
        return cxr_mem_fail(err, "the trainer");
    weigh_classes(t);
    t->loss = (cxr_loss){.classes = t->model->class_count,
                         .weights = t->opts->class_weights ? t->class_weights : NULL,
                         .smoothing = t->opts->label_smoothing};
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
    cxr_status st = open_data(t, err);
    if (st == CXR_OK) st = open_programs(t, err);
    if (st == CXR_OK) st = open_buffers(t, err);
    if (st != CXR_OK) cxr_trainer_close(&t);
    *out = t;
    return st;
}

void cxr_trainer_close(cxr_trainer **trainer)
{
    if (trainer == NULL || *trainer == NULL) return;
    cxr_trainer *t = *trainer;
    cxr_loader_close(&t->train_loader);
    cxr_loader_close(&t->val_loader);
    if (t->backend != NULL) {
        t->backend->close(&t->trainable);
        t->backend->close(&t->scorer);
        t->backend->close(&t->frozen);
        t->backend->tensor_free(&t->input);
        t->backend->tensor_free(&t->dout);
    }
    cxr_optim_close(&t->optim);
    cxr_subset_close(&t->train);
    cxr_subset_close(&t->val);
    void *const owned[] = {t->grads, t->logp,     t->dlogp,         t->pixels,       t->labels,
                           t->order, t->reported, t->class_weights, t->state.history};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) cxr_mem_free(owned[i]);
    cxr_mem_free(t);
    *trainer = NULL;
}

/* An unreadable image: an error, or logged and counted once where the user asked for that. `first` is the place of the
 * part's images in t->reported. */
static cxr_status unreadable(cxr_trainer *t, size_t first, uint32_t index, const cxr_error *cause, cxr_error *err)
{
    if (!t->opts->skip_unreadable) return cxr_fail(err, cause->status, "%s", cause->text);
    bool *reported = &t->reported[first + index];
    if (!*reported) {
        cxr_log(t->hooks, CXR_WARNING, "skipped: %s", cause->text);
        t->skipped++;
    }
    *reported = true;
    return CXR_OK;
}

/* Puts the readable images of a batch and their labels into the input tensor; *n is how many. */
static cxr_status feed(cxr_trainer *t, const cxr_batch *b, const cxr_subset *part, int *n, cxr_error *err)
{
    const size_t each = cxr_shape_count(t->model->graph.nodes[0].shape);
    const size_t first = part == &t->train ? 0 : t->train.count;
    *n = 0;
    for (int i = 0; i < b->n; i++) {
        if (b->errors[i].status != CXR_OK) {
            const cxr_status st = unreadable(t, first, b->index[i], &b->errors[i], err);
            if (st != CXR_OK) return st;
            continue;
        }
        memcpy(t->pixels + (size_t)*n * each, b->pixels + (size_t)i * each, each);
        t->labels[(*n)++] = part->labels[b->index[i]];
    }
    return *n == 0 ? CXR_OK : t->backend->tensor_write(t->input, *n, t->pixels, err);
}

/* Frozen part, then `right`, on the input tensor; log-probabilities in t->logp. */
static cxr_status forward(cxr_trainer *t, cxr_program *right, uint64_t key, cxr_error *err)
{
    const cxr_tensor *features = NULL, *logp = NULL;
    cxr_status st = t->backend->forward(t->frozen, t->input, 0, &features, err);
    if (st == CXR_OK) st = t->backend->forward(right, features, key, &logp, err);
    if (st == CXR_OK) st = t->backend->tensor_read(logp, t->logp, err);
    return st;
}

static cxr_status bad_loss(const cxr_trainer *t, const cxr_batch *b, const cxr_subset *part, double loss, cxr_error *err)
{
    return cxr_fail(err, CXR_EDATA,
                    "the loss is %s in epoch %d, in the batch that begins with %s: lower --lr or set --clip-norm",
                    isnan(loss) ? "not a number" : "infinite", t->state.epoch + 1, part->keys[b->index[0]]);
}

static uint64_t batches_per_epoch(const cxr_trainer *t)
{
    const uint64_t size = (uint64_t)t->opts->batch_size, n = t->train.count;
    return n % size == 1 && n > 1 ? n / size : (n + size - 1) / size;
}

/* One optimiser step on the n images in the input tensor. */
static cxr_status update(cxr_trainer *t, int n, uint64_t step, double *loss, cxr_error *err)
{
    const cxr_train_opts *o = t->opts;
    const uint64_t total = batches_per_epoch(t) * (uint64_t)o->epochs;
    cxr_status st = forward(t, t->trainable, cxr_rng_key(o->seed, CXR_FOR_DROPOUT, 1, step), err);
    if (st != CXR_OK) return st;
    *loss = cxr_loss_nll(&t->loss, t->logp, t->labels, n, t->dlogp);
    if (!isfinite(*loss)) return CXR_OK; /* the caller names the batch */
    memset(t->grads + t->optim.first, 0, t->optim.count * sizeof(float));
    st = t->backend->tensor_write(t->dout, n, t->dlogp, err);
    if (st == CXR_OK) st = t->backend->backward(t->trainable, t->dout, t->grads, err);
    if (st != CXR_OK) return st;
    if (o->clip_norm > 0.0f) (void)cxr_optim_clip(&t->optim, t->grads, (double)o->clip_norm);
    cxr_optim_step(&t->optim, t->model->params, t->grads, cxr_schedule_lr(o->schedule, (double)o->lr, step, total));
    return t->backend->refresh(t->trainable, err);
}

static void show_progress(const cxr_trainer *t, double epoch_seconds)
{
    if (t->hooks == NULL || t->hooks->progress == NULL) return;
    const cxr_train_state *s = &t->state;
    const uint64_t size = (uint64_t)t->opts->batch_size, steps = batches_per_epoch(t);
    const double rate = epoch_seconds > 0.0 ? (double)s->done / epoch_seconds : 0.0;
    const double left = (double)(t->opts->epochs - s->epoch) * (double)t->train.count - (double)s->done;
    const uint64_t step = s->done == t->train.count ? steps : s->done / size;
    const cxr_progress p = {.epoch = s->epoch + 1,
                            .epochs = t->opts->epochs,
                            .step = (int)step,
                            .steps = (int)steps,
                            .loss = s->seen > 0 ? s->loss_sum / (double)s->seen : 0.0,
                            .images_per_second = rate,
                            .seconds_left = rate > 0.0 ? left / rate : 0.0,
                            .wait_share = epoch_seconds > 0.0 ? t->waited / epoch_seconds : 0.0};
    t->hooks->progress(t->hooks->user, &p);
}

static cxr_status train_batch(cxr_trainer *t, const cxr_batch *b, cxr_error *err)
{
    int n = 0;
    cxr_status st = feed(t, b, &t->train, &n, err);
    if (st == CXR_OK && n >= 2) { /* batch norm needs two */
        const uint64_t step = (uint64_t)t->state.epoch * batches_per_epoch(t) + t->state.done / (uint64_t)t->opts->batch_size;
        double loss = 0.0;
        st = update(t, n, step, &loss, err);
        if (st == CXR_OK && !isfinite(loss)) st = bad_loss(t, b, &t->train, loss, err);
        t->state.loss_sum += loss * n;
        t->state.seen += (uint64_t)n;
    }
    t->state.done += (uint64_t)b->n;
    return st;
}

/* The rest of the running epoch's training part. */
static cxr_status train_epoch(cxr_trainer *t, const cxr_train_events *events, cxr_error *err)
{
    cxr_train_state *s = &t->state;
    const double before = s->seconds, start = cxr_now();
    double saved = start;
    t->waited = 0.0;
    cxr_rng_permutation(cxr_rng_key(t->opts->seed, CXR_FOR_ORDER, (uint64_t)s->epoch, 0), t->order, (uint32_t)t->train.count);
    cxr_status st = cxr_loader_start(t->train_loader, t->order, t->train.count, (size_t)s->done, (uint64_t)s->epoch, true, err);
    while (st == CXR_OK && s->done < t->train.count) {
        if (cxr_stop_asked(t->hooks)) {
            st = events->checkpoint(events->user, t, err);
            return st != CXR_OK ? st : cxr_fail(err, CXR_ESTOPPED, "stopped in epoch %d, the state is saved", s->epoch + 1);
        }
        cxr_batch b;
        st = cxr_loader_next(t->train_loader, &b, &t->waited, err);
        if (st == CXR_OK) st = train_batch(t, &b, err);
        s->seconds = before + cxr_now() - start;
        if (st == CXR_OK) show_progress(t, s->seconds);
        if (st == CXR_OK && t->opts->checkpoint_seconds > 0.0 && cxr_now() - saved >= t->opts->checkpoint_seconds) {
            st = events->checkpoint(events->user, t, err);
            saved = cxr_now();
        }
    }
    if (st == CXR_OK && s->seen == 0) st = cxr_fail(err, CXR_EDATA, "%s: no readable training image", t->opts->data);
    return st;
}

static int most_probable(const float *p, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (p[i] > p[best]) best = i;
    return best;
}

/* Mean NLL and accuracy over the validation images, with the parameters of the moment. */
static cxr_status validate(cxr_trainer *t, double *mean_loss, double *accuracy, cxr_error *err)
{
    const int classes = t->model->class_count;
    const cxr_loss plain = {.classes = classes};
    double sum = 0.0;
    uint64_t seen = 0, right = 0;
    for (size_t i = 0; i < t->val.count; i++) t->order[i] = (uint32_t)i;
    cxr_status st = t->backend->refresh(t->scorer, err);
    if (st == CXR_OK) st = cxr_loader_start(t->val_loader, t->order, t->val.count, 0, 0, false, err);
    for (;;) {
        cxr_batch b = {0};
        int n = 0;
        if (st == CXR_OK) st = cxr_loader_next(t->val_loader, &b, NULL, err);
        if (st != CXR_OK || b.n == 0) break;
        st = feed(t, &b, &t->val, &n, err);
        if (st == CXR_OK && n > 0) st = forward(t, t->scorer, 0, err);
        if (st != CXR_OK || n == 0) continue;
        sum += cxr_loss_nll(&plain, t->logp, t->labels, n, NULL) * n;
        for (int i = 0; i < n; i++) right += most_probable(t->logp + i * classes, classes) == t->labels[i];
        seen += (uint64_t)n;
        if (!isfinite(sum)) st = bad_loss(t, &b, &t->val, sum, err);
    }
    if (st == CXR_OK && seen == 0) st = cxr_fail(err, CXR_EDATA, "%s: no readable validation image", t->opts->data);
    *mean_loss = seen > 0 ? sum / (double)seen : 0.0;
    *accuracy = seen > 0 ? (double)right / (double)seen : 0.0;
    return st;
}

/* Validates, adds the epoch's row, tells the owner, and makes the state ready for the next epoch. */
static cxr_status finish_epoch(cxr_trainer *t, const cxr_train_events *events, cxr_error *err)
{
    cxr_train_state *s = &t->state;
    const double start = cxr_now();
    const uint64_t steps = batches_per_epoch(t), last = (uint64_t)(s->epoch + 1) * steps - 1;
    cxr_epoch row = {.epoch = s->epoch + 1,
                     .train_loss = s->loss_sum / (double)s->seen,
                     .lr = cxr_schedule_lr(t->opts->schedule, (double)t->opts->lr, last, steps * (uint64_t)t->opts->epochs),
                     .images_per_second = s->seconds > 0.0 ? (double)s->done / s->seconds : 0.0};
    const cxr_status st = validate(t, &row.val_loss, &row.val_accuracy, err);
    if (st != CXR_OK) return st;
    row.seconds = s->seconds + cxr_now() - start;
    const bool best = s->best_epoch == 0 || row.val_loss < s->best_val_loss;
    if (best) {
        s->best_epoch = row.epoch;
        s->best_val_loss = row.val_loss;
        s->best_val_accuracy = row.val_accuracy;
    }
    s->history[s->epoch++] = row;
    s->done = s->seen = 0;
    s->loss_sum = s->seconds = 0.0;
    if (t->hooks != NULL && t->hooks->epoch != NULL) t->hooks->epoch(t->hooks->user, &row);
    return events->epoch(events->user, t, best, err);
}

static bool stop_early(const cxr_trainer *t)
{
    return t->opts->early_stop > 0 && t->state.epoch - t->state.best_epoch >= t->opts->early_stop;
}

cxr_status cxr_trainer_run(cxr_trainer *t, const cxr_train_events *events, cxr_error *err)
{
    cxr_status st = CXR_OK;
    while (st == CXR_OK && t->state.epoch < t->opts->epochs && !stop_early(t)) {
        st = train_epoch(t, events, err);
        if (st == CXR_OK) st = finish_epoch(t, events, err);
    }
    if (st == CXR_OK && t->skipped > 0)
        cxr_log(t->hooks, CXR_WARNING, "%llu unreadable images were skipped", (unsigned long long)t->skipped);
    if (st == CXR_OK && t->state.epoch < t->opts->epochs)
        cxr_log(t->hooks, CXR_INFO, "stopped early: no lower validation loss for %d epochs", t->opts->early_stop);
    return st;
}
