/* The loop: steps, validation, and what stands between two epochs. */
#include "base/log.h"
#include "base/rng.h"
#include "train/trainer.h"
#include <math.h>
#include <string.h>

/* Runs what is right of the cut; log-probabilities in t->logp. */
static cxr_status forward(cxr_trainer *t, cxr_program *right, const cxr_features *b, uint64_t key, cxr_error *err)
{
    const cxr_tensor *logp = NULL;
    cxr_status st = t->backend->forward(right, b->x, key, &logp, err);
    if (st == CXR_OK) st = t->backend->tensor_read(logp, t->logp, err);
    return st;
}

static cxr_status bad_loss(const cxr_trainer *t, const cxr_features *b, double loss, cxr_error *err)
{
    return cxr_fail(err, CXR_EDATA,
                    "the loss is %s in epoch %d, in the batch that begins with %s: lower --lr or set --clip-norm",
                    isnan(loss) ? "not a number" : "infinite", t->state.epoch + 1, b->first);
}

/* The batch's loss by t->logp, and its gradient in t->dlogp. */
static cxr_status measure(cxr_trainer *t, const cxr_features *b, double *loss, cxr_error *err)
{
    *loss = b->others == NULL ? cxr_loss_nll(&t->loss, t->logp, b->labels, b->n, t->dlogp)
                              : cxr_loss_mixed(&t->loss, t->logp, b->labels, b->others, b->share, b->n, t->dlogp);
    if (t->teachers == NULL) return CXR_OK;
    const float *soft = NULL;
    const cxr_status st = cxr_teachers_ask(t->teachers, b->pixels, b->n, &soft, err);
    if (st == CXR_OK) *loss = cxr_loss_distilled(&t->loss, *loss, t->logp, soft, b->n, t->dlogp);
    return st;
}

/* One optimiser step. */
static cxr_status update(cxr_trainer *t, const cxr_features *b, uint64_t step, double *loss, cxr_error *err)
{
    const cxr_train_opts *o = t->opts;
    const uint64_t total = cxr_feed_batches(t->train_feed) * (uint64_t)o->epochs;
    cxr_status st = forward(t, t->trainable, b, cxr_rng_key(o->seed, CXR_FOR_DROPOUT, 1, step), err);
    if (st != CXR_OK) return st;
    st = measure(t, b, loss, err);
    if (st != CXR_OK || !isfinite(*loss)) return st; /* the caller names the batch */
    memset(t->grads + t->optim.first, 0, t->optim.count * sizeof(float));
    st = t->backend->tensor_write(t->dout, b->n, t->dlogp, err);
    if (st == CXR_OK) st = t->backend->backward(t->trainable, t->dout, t->grads, err);
    if (st != CXR_OK) return st;
    if (o->clip_norm > 0.0f) (void)cxr_optim_clip(&t->optim, t->grads, (double)o->clip_norm);
    cxr_optim_step(&t->optim, t->weights, t->grads, cxr_schedule_lr(o->schedule, (double)o->lr, step, total));
    if (o->ema > 0.0f)
        cxr_optim_average(&t->optim, t->model->params, t->weights, cxr_ema_share((double)o->ema, t->optim.steps));
    return t->backend->refresh(t->trainable, err);
}

static void show_progress(const cxr_trainer *t, double epoch_seconds)
{
    if (t->hooks == NULL || t->hooks->progress == NULL) return;
    const cxr_train_state *s = &t->state;
    const uint64_t size = (uint64_t)t->opts->batch_size, steps = cxr_feed_batches(t->train_feed);
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

static cxr_status train_batch(cxr_trainer *t, const cxr_features *b, cxr_error *err)
{
    cxr_status st = CXR_OK;
    if (b->n >= 2) { /* batch norm needs two */
        const uint64_t step =
            (uint64_t)t->state.epoch * cxr_feed_batches(t->train_feed) + t->state.done / (uint64_t)t->opts->batch_size;
        double loss = 0.0;
        st = update(t, b, step, &loss, err);
        if (st == CXR_OK && !isfinite(loss)) st = bad_loss(t, b, loss, err);
        t->state.loss_sum += loss * b->n;
        t->state.seen += (uint64_t)b->n;
    }
    t->state.done += (uint64_t)b->used;
    return st;
}

/* The rest of the running epoch's training part. */
static cxr_status train_epoch(cxr_trainer *t, const cxr_train_events *events, cxr_error *err)
{
    cxr_train_state *s = &t->state;
    const double before = s->seconds, start = cxr_now();
    double saved = start;
    t->waited = 0.0;
    cxr_status st = cxr_feed_start(t->train_feed, (uint64_t)s->epoch, s->done, err);
    while (st == CXR_OK && s->done < t->train.count) {
        if (cxr_stop_asked(t->hooks)) {
            st = events->checkpoint(events->user, t, err);
            return st != CXR_OK ? st : cxr_fail(err, CXR_ESTOPPED, "stopped in epoch %d, the state is saved", s->epoch + 1);
        }
        cxr_features b;
        st = cxr_feed_next(t->train_feed, &b, &t->waited, err);
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

/* Mean NLL and accuracy over the validation images, with the parameters of the moment. */
static cxr_status validate(cxr_trainer *t, double *mean_loss, double *accuracy, cxr_error *err)
{
    const int classes = t->model->class_count;
    const cxr_loss plain = {.classes = classes};
    double sum = 0.0;
    uint64_t seen = 0, right = 0;
    cxr_status st = t->backend->refresh(t->scorer, err);
    if (st == CXR_OK) st = cxr_feed_start(t->val_feed, 0, 0, err);
    for (;;) {
        cxr_features b = {0};
        if (st == CXR_OK) st = cxr_feed_next(t->val_feed, &b, &t->waited, err);
        if (st != CXR_OK || b.used == 0) break;
        if (b.n > 0) st = forward(t, t->scorer, &b, 0, err);
        if (st != CXR_OK || b.n == 0) continue;
        sum += cxr_loss_nll(&plain, t->logp, b.labels, b.n, NULL) * b.n;
        for (int i = 0; i < b.n; i++) right += cxr_decide(t->logp + i * classes, classes, -1, 0.0) == b.labels[i];
        seen += (uint64_t)b.n;
        if (!isfinite(sum)) st = bad_loss(t, &b, sum, err);
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
    const uint64_t steps = cxr_feed_batches(t->train_feed), last = (uint64_t)(s->epoch + 1) * steps - 1;
    cxr_epoch row = {.epoch = s->epoch + 1,
                     .train_loss = s->loss_sum / (double)s->seen,
                     .lr = cxr_schedule_lr(t->opts->schedule, (double)t->opts->lr, last, steps * (uint64_t)t->opts->epochs),
                     .images_per_second = s->seconds > 0.0 ? (double)s->done / s->seconds : 0.0};
    if (t->opts->swa > 0)
        cxr_optim_average(&t->optim, t->model->params, t->weights, cxr_swa_share(row.epoch, t->opts->epochs, t->opts->swa));
    const cxr_status st = validate(t, &row.val_loss, &row.val_accuracy, err);
    if (st != CXR_OK) return st;
    row.seconds = s->seconds + cxr_now() - start;
    const bool final = t->size == t->sizes.count - 1; /* at another size losses do not compare, and the model is not of it */
    const bool best = final && (s->best_epoch == 0 || row.val_loss < s->best_val_loss);
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

/* The epochs to wait are counted in the last phase: what was planned for later is not given up. */
static bool stop_early(const cxr_trainer *t)
{
    int since = t->state.best_epoch;
    const cxr_phases *const all[] = {&t->freezes, &t->sizes};
    for (int i = 0; i < 2; i++) {
        const int last = all[i]->at[all[i]->count - 1].first;
        if (last > since) since = last;
    }
    return t->opts->early_stop > 0 && t->state.epoch - since >= t->opts->early_stop;
}

cxr_status cxr_trainer_run(cxr_trainer *t, const cxr_train_events *events, cxr_error *err)
{
    cxr_status st = CXR_OK;
    while (st == CXR_OK && t->state.epoch < t->opts->epochs && !stop_early(t)) {
        st = cxr_trainer_enter(t, err);
        if (st == CXR_OK) st = train_epoch(t, events, err);
        if (st == CXR_OK) st = finish_epoch(t, events, err);
    }
    const bool any = t->val_feed != NULL; /* a run that was finished before has no feeds */
    const uint64_t skipped = any ? cxr_feed_skipped(t->train_feed) + cxr_feed_skipped(t->val_feed) : 0;
    if (st == CXR_OK && skipped > 0)
        cxr_log(t->hooks, CXR_WARNING, "%llu unreadable images were skipped", (unsigned long long)skipped);
    if (st == CXR_OK && t->state.epoch < t->opts->epochs)
        cxr_log(t->hooks, CXR_INFO, "stopped early: no lower validation loss for %d epochs", t->opts->early_stop);
    return st;
}
