/* A stand-in for libcxr behind the same header: it says what it was asked and answers what the environment tells it to, so
 * that the command line is tested by itself, in milliseconds. FAKE_STATUS: the status (a number of cxr_status) that the next
 * call fails with. FAKE_RAISE: a signal that arrives while it trains or predicts. */
#include "cxr/cxr.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cxr_model {
    int classes;
    cxr_preprocess preprocess;
};

static const char *const names[] = {"NORMAL", "PNEUMONIA", "OTHER, \"odd\""};

static cxr_status outcome(cxr_error *err)
{
    const char *text = getenv("FAKE_STATUS");
    const cxr_status st = text != NULL ? (cxr_status)atoi(text) : CXR_OK;
    return st == CXR_OK ? st : cxr_fail(err, st, "x-ray.jpeg: fake failure %d", (int)st);
}

static bool stopped(const cxr_hooks *hooks)
{
    const char *text = getenv("FAKE_RAISE");
    if (text != NULL) (void)raise(atoi(text));
    return hooks->should_stop(hooks->user);
}

static void talk(const cxr_hooks *hooks)
{
    hooks->log.write(hooks->log.user, CXR_DEBUG, "a detail");
    hooks->log.write(hooks->log.user, CXR_INFO, "some news");
    hooks->log.write(hooks->log.user, CXR_WARNING, "mind this");
}

const char *cxr_version(void)
{
    return "0.0.0";
}

const char *cxr_build_info(void)
{
    return "fake 1.0\ncpu none";
}

void cxr_limits_default(cxr_limits *o)
{
    *o = (cxr_limits){.max_pixels = 100000000, .max_bytes = 1u << 28, .max_scans = 100};
}

void cxr_preprocess_default(cxr_preprocess *o)
{
    *o = (cxr_preprocess){.size = 128};
}

void cxr_train_opts_default(cxr_train_opts *o)
{
    *o = (cxr_train_opts){.group_by = "auto",
                          .val_fraction = 0.1,
                          .augment = {.flip = 0.5f, .rotate_degrees = 10},
                          .arch = "resnet18",
                          .head = {256, 128},
                          .head_count = 2,
                          .dropout = 0.5f,
                          .freeze = "backbone",
                          .lr = 1e-4f,
                          .layer_decay = 1,
                          .momentum = 0.9f,
                          .distil = 0.5f,
                          .distil_temperature = 2,
                          .epochs = 5,
                          .batch_size = 64,
                          .seed = 1,
                          .seeds = 1,
                          .checkpoint_seconds = 60,
                          .recipe = "article"};
    cxr_limits_default(&o->limits);
    cxr_preprocess_default(&o->preprocess);
}

cxr_status cxr_train_opts_recipe(cxr_train_opts *o, const char *name, cxr_error *err)
{
    const bool article = strcmp(name, "article") == 0;
    if (!article && strcmp(name, "finetune") != 0) return cxr_fail(err, CXR_EUSAGE, "no recipe is called %s", name);
    cxr_train_opts_default(o);
    o->recipe = article ? "article" : "finetune";
    o->class_weights = !article;
    if (!article) o->epochs = 10;
    return CXR_OK;
}

cxr_status cxr_train_opts_check(const cxr_train_opts *o, cxr_error *err)
{
    (void)o;
    (void)err;
    return CXR_OK;
}

static void print_train(const cxr_train_opts *o)
{
    (void)printf("data=%s group_by=%s val_fraction=%g skip=%d max_pixels=%llu\n", o->data, o->group_by, o->val_fraction,
                 o->skip_unreadable, (unsigned long long)o->limits.max_pixels);
    (void)printf("size=%d rule=%d flip=%g rotate=%g crop=%g brightness=%g contrast=%g\n", o->preprocess.size,
                 (int)o->preprocess.rule, (double)o->augment.flip, (double)o->augment.rotate_degrees,
                 (double)o->augment.crop_min_scale, (double)o->augment.brightness, (double)o->augment.contrast);
    (void)printf("size=%d early=%s\n", o->preprocess.size, o->early_sizes ? o->early_sizes : "-");
    (void)printf("zoom=%g gamma=%g noise=%g jpeg=%d erase=%g\n", (double)o->augment.zoom, (double)o->augment.gamma,
                 (double)o->augment.noise, o->augment.jpeg_quality, (double)o->augment.erase);
    (void)printf("arch=%s weights=%s allow=%s heads=%d dropout=%g freeze=%s", o->arch, o->weights ? o->weights : "-",
                 o->allow_missing ? o->allow_missing : "-", o->head_count, (double)o->dropout, o->freeze);
    for (int i = 0; i < o->head_count; i++) (void)printf(" head%d=%d", i, o->head[i]);
    (void)printf("\noptimizer=%d lr=%g decay=%g momentum=%g smoothing=%g class_weights=%d clip=%g schedule=%d\n",
                 (int)o->optimizer, (double)o->lr, (double)o->weight_decay, (double)o->momentum, (double)o->label_smoothing,
                 o->class_weights, (double)o->clip_norm, (int)o->schedule);
    (void)printf("train_images=%d fit=%d swa=%d\n", o->train_images, (int)o->fit, o->swa);
    (void)printf("layer_decay=%g ema=%g mixup=%g cutmix=%g balanced=%d\n", (double)o->layer_decay, (double)o->ema,
                 (double)o->mixup, (double)o->cutmix, o->balanced);
    (void)printf("seeds=%d then=%d ", o->seeds, o->then_distil);
    (void)printf("teachers=%d distil=%g temperature=%g\n", o->teacher_count, (double)o->distil, (double)o->distil_temperature);
    for (int i = 0; i < o->teacher_count; i++) (void)printf("teacher=%s\n", o->teachers[i]);
    (void)printf("precision=%d cache=%d features=%d deterministic=%d tensorboard=%d\n", (int)o->precision, (int)o->cache,
                 o->cache_features, o->deterministic, o->tensorboard);
    (void)printf("epochs=%d batch=%d early=%d seed=%llu device=%d threads=%d checkpoint=%g recipe=%s out=%s\n", o->epochs,
                 o->batch_size, o->early_stop, (unsigned long long)o->seed, (int)o->device, o->threads, o->checkpoint_seconds,
                 o->recipe, o->out);
}

static cxr_status loop(const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    const cxr_progress p = {1, 2, 3, 10, 0.5, 800, 61, 0.03};
    const cxr_epoch e = {1, 0.5, 0.4, 0.9, 1e-4, 2, 800}, next = {2, 0.25, 0.6, 0.9, 1e-4, 2, 800};
    talk(hooks);
    hooks->progress(hooks->user, &p);
    hooks->epoch(hooks->user, &e);
    hooks->epoch(hooks->user, &next);
    *result = (cxr_train_result){.epochs_done = 2, .best_epoch = 1, .best_val_loss = 0.4, .best_val_accuracy = 0.9};
    if (stopped(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped; a checkpoint is saved");
    return outcome(err);
}

cxr_status cxr_train(const cxr_train_opts *o, const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    cxr_seeds s = {
        .of = o->seeds, .names = {"val_loss", "val_accuracy"}, .mean = {0.5, 0.75, NAN, NAN, NAN, NAN}, .sd = {0.25, 0.125}};
    print_train(o);
    for (; o->seeds > 1 && s.count < o->seeds; hooks->seeds(hooks->user, &s)) {
        s.seed[s.count] = o->seed + (uint64_t)s.count;
        s.best_epoch[s.count] = 7;
        s.value[s.count++][1] = 0.9375;
    }
    return loop(hooks, result, err);
}

cxr_status cxr_resume(const char *run, int threads, const cxr_hooks *hooks, cxr_train_result *result, cxr_error *err)
{
    (void)printf("resume=%s threads=%d\n", run, threads);
    return loop(hooks, result, err);
}

void cxr_tune_opts_default(cxr_tune_opts *o)
{
    *o = (cxr_tune_opts){0};
    cxr_train_opts_default(&o->train);
}

cxr_status cxr_tune(const cxr_tune_opts *o, const cxr_hooks *hooks, void (*row)(void *user, const cxr_trial *t), void *user,
                    cxr_error *err)
{
    static const char *const columns[] = {"lr", "freeze"}, *const values[] = {"0.0003", "none"};
    char *weights = NULL;
    talk(hooks);
    (void)printf("tune space=%s data=%s out=%s resume=%d recipe=%s threads=%d cache=%d\n", o->space ? o->space : "-",
                 o->train.data ? o->train.data : "-", o->train.out, o->resume, o->train.recipe, o->train.threads,
                 (int)o->train.cache);
    if (stopped(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
    cxr_status st = outcome(err);
    if (st == CXR_OK && !o->resume) st = o->weights(o->user, o->train.weights, o->train.arch, &weights, err);
    if (st != CXR_OK) return st;
    (void)printf("weights=%s\n", weights ? weights : "-");
    free(weights);
    row(user, &(cxr_trial){7, CXR_TRIAL_DONE, NULL, 10, "val_loss", 0.0625, 61.5, 2, columns, values});
    row(user, &(cxr_trial){1, CXR_TRIAL_FAILED, "no, sir", 1, "val_loss", 0.0 / 0.0, 6, 2, columns, values});
    return CXR_OK;
}

cxr_status cxr_model_open(cxr_model **out, const char *path, cxr_error *err)
{
    *out = NULL;
    if (strstr(path, "missing") != NULL) return cxr_fail(err, CXR_ENOINPUT, "%s: no such file", path);
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return cxr_fail(err, CXR_ENOMEM, "no memory");
    (*out)->classes = strstr(path, "three") != NULL ? 3 : 2;
    cxr_preprocess_default(&(*out)->preprocess);
    return CXR_OK;
}

cxr_status cxr_model_save(const cxr_model *model, const char *path, bool half, cxr_error *err)
{
    (void)printf("save=%s classes=%d half=%d\n", path, model->classes, half);
    return outcome(err);
}

cxr_status cxr_model_join(cxr_model *m, cxr_model **other, cxr_error *err)
{
    if (m->classes != (*other)->classes) return cxr_fail(err, CXR_EDATA, "other classes");
    (void)printf("joined\n");
    cxr_model_close(other);
    return CXR_OK;
}

void cxr_model_close(cxr_model **m)
{
    if (*m == NULL) return;
    free(*m);
    *m = NULL;
}

int cxr_model_class_count(const cxr_model *m)
{
    return m->classes;
}

const char *cxr_model_class_name(const cxr_model *m, int index)
{
    return index < m->classes ? names[index] : NULL;
}

const cxr_preprocess *cxr_model_preprocess(const cxr_model *m)
{
    return &m->preprocess;
}

double cxr_model_temperature(const cxr_model *m)
{
    return m->classes == 3 ? 1.25 : 1.0;
}

double cxr_model_threshold(const cxr_model *m)
{
    (void)m;
    return 0.5;
}

void cxr_model_summary(const cxr_model *m, void (*row)(void *user, const cxr_layer *layer), void *user)
{
    const cxr_layer layers[] = {{"conv1", "convolution", {64, 64, 64}, 9408, false, 0.0771},
                                {"relu", "relu", {64, 64, 64}, 0, false, 0},
                                {"fc.0", "linear", {m->classes, 1, 1}, 1026, true, 0.000002}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) row(user, &layers[i]);
}

cxr_status cxr_model_new(cxr_model **out, const cxr_train_opts *o, int classes, cxr_error *err)
{
    (void)printf("new arch=%s freeze=%s size=%d heads=%d\n", o->arch, o->freeze, o->preprocess.size, o->head_count);
    const cxr_status st = cxr_model_open(out, "new", err);
    if (st == CXR_OK) (*out)->classes = classes > 3 ? 3 : classes;
    return st;
}

void cxr_run_opts_default(cxr_run_opts *o)
{
    *o = (cxr_run_opts){.batch_size = 64};
    cxr_limits_default(&o->limits);
}

cxr_status cxr_predict(const cxr_model *m, const char *const *paths, size_t count, const cxr_run_opts *o,
                       const cxr_hooks *hooks, void (*row)(void *user, const cxr_prediction *p), void *user, cxr_error *err)
{
    static const float probabilities[] = {0.1f, 0.7f, 0.2f};
    (void)m;
    if (o->tta != CXR_TTA_NONE) (void)printf("tta=%d\n", (int)o->tta);
    if (stopped(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
    for (size_t i = 0; i < count; i++) {
        char reason[512];
        (void)snprintf(reason, sizeof reason, "%s: fake is truncated", paths[i]);
        const bool bad = strstr(paths[i], "bad") != NULL;
        const bool odd = strstr(paths[i], "odd") != NULL;
        const cxr_prediction p = {.path = paths[i],
                                  .status = bad ? CXR_EDATA : CXR_OK,
                                  .reason = bad   ? reason
                                            : odd ? "blank, \"grey\""
                                                  : "",
                                  .predicted = 1,
                                  .probabilities = bad ? NULL : probabilities,
                                  .abstain = odd,
                                  .novelty = strstr(paths[i], "new") != NULL ? 0.5 : (double)NAN};
        row(user, &p);
    }
    return outcome(err);
}

cxr_status cxr_evaluate_shortcut(const cxr_model *m, const cxr_evaluate_opts *o, const cxr_hooks *hooks, cxr_shortcut *out,
                                 cxr_error *err)
{
    static const char *const ways[] = {"none", "lungs", "chest", "surroundings"};
    (void)m;
    (void)o;
    (void)hooks;
    *out = (cxr_shortcut){.n = 3, .finding = "A fake finding."};
    for (int k = 0; k < CXR_SHORTCUT_WAYS; k++) {
        out->names[k] = ways[k];
        out->accuracy[k] = 0.5;
        out->auroc[k] = 0.9 - 0.1 * k;
        out->ci95[k][0] = out->ci95[k][1] = NAN;
    }
    return outcome(err);
}

void cxr_explain_opts_default(cxr_explain_opts *o)
{
    *o = (cxr_explain_opts){.layer = "layer4"};
    cxr_run_opts_default(&o->run);
}

cxr_status cxr_explain(const cxr_model *m, const char *const *paths, size_t count, const cxr_explain_opts *o,
                       const cxr_hooks *hooks, void (*row)(void *user, const cxr_explanation *e), void *user, cxr_error *err)
{
    static const float probabilities[] = {0.1f, 0.7f, 0.2f}, map[] = {0.0f, 1.0f};
    (void)m;
    if (o->class_name != NULL) (void)printf("method=%d layer=%s class=%s\n", (int)o->method, o->layer, o->class_name);
    if (stopped(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
    for (size_t i = 0; i < count; i++) {
        char reason[512], figure[512], raw[512];
        (void)snprintf(reason, sizeof reason, "%s: fake is truncated", paths[i]);
        (void)snprintf(figure, sizeof figure, "%s/%s.png", o->out, paths[i]);
        (void)snprintf(raw, sizeof raw, "%s/%s.npy", o->out, paths[i]);
        const bool bad = strstr(paths[i], "bad") != NULL;
        const cxr_explanation e = {.path = paths[i],
                                   .status = bad ? CXR_EDATA : CXR_OK,
                                   .reason = reason,
                                   .predicted = 1,
                                   .explained = o->class_name != NULL ? 0 : 1,
                                   .probabilities = probabilities,
                                   .map = map,
                                   .width = 2,
                                   .height = 1,
                                   .figure = figure,
                                   .raw = raw,
                                   .occlusion = o->check ? 0.25 : NAN,
                                   .randomised = o->check ? 0.125 : NAN,
                                   .lungs = NAN,
                                   .lungs_area = NAN,
                                   .trust = o->check ? CXR_TRUST_DOUBTFUL : CXR_TRUST_UNKNOWN,
                                   .why = o->check ? "no lungs" : NULL,
                                   .deletion = o->curves ? 0.5 : NAN,
                                   .insertion = o->curves ? 0.75 : NAN,
                                   .curves = o->curves ? "c.csv" : NULL};
        row(user, &e);
    }
    return outcome(err);
}

void cxr_serve_opts_default(cxr_serve_opts *o)
{
    *o = (cxr_serve_opts){.listen = "127.0.0.1", .port = 8080, .max_wait_ms = 2, .queue = 256};
    o->connections = 1024;
    o->connections_per_address = 512;
    cxr_run_opts_default(&o->run);
    o->run.batch_size = 1;
}

cxr_status cxr_serve(const cxr_serve_opts *o, const cxr_hooks *hooks, cxr_error *err)
{
    for (int i = 0; i < o->model_count; i++) (void)printf("%s=%s ", o->models[i].name, o->models[i].path);
    for (int i = 0; i < o->host_count; i++) (void)printf("host=%s ", o->hosts[i]);
    (void)printf("listen=%s port=%d batch=%d wait=%g queue=%d connections=%d/%d token=%s cert=%s key=%s threads=%d%s\n",
                 o->listen, o->port, o->run.batch_size, o->max_wait_ms, o->queue, o->connections_per_address, o->connections,
                 o->token_file != NULL ? o->token_file : "-", o->certificate != NULL ? o->certificate : "-",
                 o->key != NULL ? o->key : "-", o->run.threads, o->sandbox ? "" : " open");
    if (o->access != NULL) o->access(o->user, "{}");
    (void)stopped(hooks); /* a server that was told to stop has done its work */
    return outcome(err);
}

void cxr_report_opts_default(cxr_report_opts *o)
{
    *o = (cxr_report_opts){.errors = 12};
}

cxr_status cxr_report(const cxr_model *m, const cxr_report_opts *o, const cxr_hooks *hooks, cxr_error *err)
{
    (void)m;
    (void)hooks;
    (void)err;
    (void)printf("report of %s in %s\n", o->data, o->folder);
    return CXR_OK;
}

void cxr_evaluate_opts_default(cxr_evaluate_opts *o)
{
    *o = (cxr_evaluate_opts){.split = "test"};
    cxr_run_opts_default(&o->run);
}

cxr_status cxr_evaluate(const cxr_model *m, const cxr_evaluate_opts *o, const cxr_hooks *hooks, cxr_metrics **out,
                        cxr_error *err)
{
    static const char *const figures[CXR_METRICS] = {"accuracy",    "balanced_accuracy",
                                                     "sensitivity", "specificity",
                                                     "ppv",         "npv",
                                                     "f1",          "auroc",
                                                     "auprc",       "loss",
                                                     "mcc",         "brier",
                                                     "ece"};
    static double per_class[3] = {0.5, 0.25, 0.125};
    static uint64_t confusion[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    talk(hooks);
    (void)printf("data=%s split=%s split_file=%s out=%s skip=%d batch=%d threads=%d device=%d tta=%d\n", o->data, o->split,
                 o->split_file ? o->split_file : "-", o->out ? o->out : "-", o->skip_unreadable, o->run.batch_size,
                 o->run.threads, (int)o->run.device, (int)o->run.tta);
    *out = NULL;
    const cxr_status st = outcome(err);
    if (st != CXR_OK) return st;
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return cxr_fail(err, CXR_ENOMEM, "no memory");
    **out = (cxr_metrics){
        .n = 45, .classes = m->classes, .positive = m->classes == 2 ? 1 : -1, .threshold = 0.5, .confusion = confusion};
    for (int i = 0; i < CXR_METRICS; i++) {
        (*out)->names[i] = figures[i];
        (*out)->value[i] = i == 5 ? 0.0 / 0.0 : 0.875;
        (*out)->ci95[i][0] = i == 5 ? 0.0 / 0.0 : 0.75;
        (*out)->ci95[i][1] = i == 5 ? 0.0 / 0.0 : 0.9375;
        (*out)->per_class[i] = m->classes > 2 && i > 0 ? per_class : NULL;
    }
    static cxr_metrics part;
    static char name[] = "virus";
    static cxr_subgroup subgroup = {name, &part};
    part = **out;
    if (o->by != NULL) {
        (void)printf("by=%s\n", o->by);
        (*out)->subgroup_count = 1;
        (*out)->subgroups = &subgroup;
    }
    (*out)->prevalence = o->prevalence;
    (*out)->point_count = m->classes > 2 ? 0 : o->skip_unreadable ? 2 : 1;
    for (int i = 0; i < 2; i++)
        (*out)->points[i] = (cxr_point){.name = i == 0 ? "balanced" : "rule_out",
                                        .threshold = 0.25,
                                        .value = {0.875, 0.75, NAN, 0.5, 0.0625, 0.96875},
                                        .ci95 = {{0.75, 1}, {0.5, 1}, {NAN, NAN}, {0.25, 1}, {0, 1}, {0.5, 1}}};
    return CXR_OK;
}

void cxr_metrics_free(cxr_metrics **m)
{
    free(*m);
    *m = NULL;
}

cxr_status cxr_evaluate_robustness(const cxr_model *m, const cxr_evaluate_opts *o, const cxr_hooks *hooks, cxr_robustness **out,
                                   cxr_error *err)
{
    static const char *ways[] = {"none", "fog"};
    static cxr_metrics *each[2];
    static cxr_robustness r = {.count = 2, .names = ways, .each = each, .mean = {0.25}, .worst = {0.125}};
    *out = NULL;
    for (int i = 0; i < 2; i++) {
        const cxr_status st = cxr_evaluate(m, o, hooks, &each[i], err);
        if (st != CXR_OK) return st;
    }
    r.pooled = each[1];
    *out = &r;
    return CXR_OK;
}

void cxr_robustness_free(cxr_robustness **r)
{
    for (int i = 0; *r != NULL && i < (*r)->count; i++) cxr_metrics_free(&(*r)->each[i]);
    *r = NULL;
}

void cxr_inspect_opts_default(cxr_inspect_opts *o)
{
    *o = (cxr_inspect_opts){.group_by = "auto", .run.batch_size = 64};
    cxr_limits_default(&o->run.limits);
}

cxr_status cxr_inspect(const cxr_inspect_opts *o, const cxr_hooks *hooks, cxr_inspection **out, cxr_error *err)
{
    static const char *const classes[] = {"NORMAL", "PNEUMONIA"};
    static const char *const lines[] = {"a.jpeg  b.jpeg", "c.jpeg", "d.jpeg", "e.jpeg", "f.jpeg", "g.jpeg"};
    static size_t counts[2][4] = {{7, 0, 3, 0}, {9, 0, 4, 0}};
    static cxr_data_check checks[] = {{"readable", CXR_VERDICT_OK, "all 23 images can be read", lines, 0},
                                      {"duplicates", CXR_VERDICT_PROBLEM, "6 repeated files, 1 across splits", lines, 6}};
    static char json[] = "{\"images\": 23}\n";
    static cxr_inspection found;
    talk(hooks);
    (void)printf("inspect data=%s group_by=%s split_file=%s model=%d out=%s threads=%d\n", o->data, o->group_by,
                 o->split_file ? o->split_file : "-", o->model != NULL, o->out ? o->out : "-", o->run.threads);
    *out = NULL;
    if (stopped(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
    const cxr_status st = outcome(err);
    if (st != CXR_OK) return st;
    found = (cxr_inspection){23, 2, classes, counts, checks, 2, CXR_VERDICT_PROBLEM, json};
    if (strcmp(o->data, "bad") != 0) found.verdict = CXR_VERDICT_LOOK;
    *out = &found;
    return CXR_OK;
}

void cxr_inspection_free(cxr_inspection **i)
{
    *i = NULL;
}

cxr_status cxr_runs(const char *folder, const cxr_hooks *hooks, cxr_run_list **out, cxr_error *err)
{
    static cxr_run_row rows[2];
    static cxr_run_list list;
    (void)printf("folder=%s\n", folder);
    *out = NULL;
    const cxr_status st = outcome(err);
    if (st != CXR_OK) return st;
    rows[0] = (cxr_run_row){"a, b", "article", "resnet18", 1, 5, 5, 4, 0.5, 0.875, 0.0 / 0.0, 0.0 / 0.0, 0.0 / 0.0, -1, ""};
    rows[1] = (cxr_run_row){"best", "finetune", "resnet34", 2, 3, 9, 3, 0.25, 0.75, 0.9, 0.8, 0.95, 2, "2026-01-31T23:59:59Z"};
    list = (cxr_run_list){2, rows, 1};
    if (hooks->log.write != NULL) hooks->log.write(hooks->log.user, CXR_DEBUG, "left out: because");
    *out = &list;
    return CXR_OK;
}

void cxr_runs_free(cxr_run_list **runs)
{
    *runs = NULL;
}

cxr_status cxr_compare(const char *a, const char *b, int threads, cxr_comparison **out, cxr_error *err)
{
    static const char *const classes[] = {"NORMAL", "PNEUMONIA"};
    static cxr_changed changed[] = {{"x-ray.jpeg", 1, 0, 1}};
    static cxr_comparison c;
    (void)printf("a=%s b=%s threads=%d\n", a, b, threads);
    *out = NULL;
    const cxr_status st = outcome(err);
    if (st != CXR_OK) return st;
    c = (cxr_comparison){.n = 45,
                         .classes = 2,
                         .class_names = classes,
                         .positive = 1,
                         .auroc_p = 0.25,
                         .only_a = 3,
                         .only_b = 9,
                         .mcnemar_p = 0.125,
                         .mcnemar_exact = true,
                         .changed = changed,
                         .changed_count = 1};
    for (int i = 0; i < CXR_METRICS; i++) {
        c.names[i] = i == 5 ? "npv" : "auroc";
        c.a[i] = 0.875;
        c.b[i] = c.difference[i] = i == 5 ? 0.0 / 0.0 : 0.75;
        c.ci95[i][0] = c.ci95[i][1] = i == 5 ? 0.0 / 0.0 : -0.5;
    }
    *out = &c;
    return CXR_OK;
}

cxr_status cxr_comparison_require(const cxr_comparison *c, const char *requirement, cxr_error *err)
{
    if (strstr(requirement, "= ") == NULL) return cxr_fail(err, CXR_EUSAGE, "no requirement");
    if (c == NULL || strstr(requirement, "= 0.5") == NULL) return CXR_OK;
    return cxr_fail(err, CXR_EUNMET, "%s: not met", requirement);
}

cxr_status cxr_comparison_json(const cxr_comparison *c, char **text, cxr_error *err)
{
    (void)err;
    *text = malloc(32);
    if (*text != NULL) (void)snprintf(*text, 32, "{\"n\": %zu}", c->n);
    return CXR_OK;
}

cxr_status cxr_comparison_write(const cxr_comparison *c, const char *folder, cxr_error *err)
{
    (void)err;
    (void)printf("%zu images into %s\n", c->n, folder);
    return CXR_OK;
}

void cxr_comparison_free(cxr_comparison **c)
{
    *c = NULL;
}

void cxr_calibrate_opts_default(cxr_calibrate_opts *o)
{
    *o = (cxr_calibrate_opts){.fit = CXR_FIT_PERTURBED};
    cxr_run_opts_default(&o->run);
}

cxr_status cxr_calibrate(cxr_model *m, const cxr_calibrate_opts *o, const cxr_hooks *hooks, cxr_calibrate_report *report,
                         cxr_error *err)
{
    (void)m;
    talk(hooks);
    (void)printf("calibrate data=%s out=%s fit=%d keep=%d split_file=%s skip=%d batch=%d threads=%d precision=%d\n", o->data,
                 o->out, (int)o->fit, o->keep, o->split_file ? o->split_file : "-", o->skip_unreadable, o->run.batch_size,
                 o->run.threads, (int)o->run.precision);
    if (stopped(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
    *report = (cxr_calibrate_report){45, {1, 0.5, NAN, NAN}, {0.75, 0.25, 0.125, 0.875}};
    return outcome(err);
}

void cxr_quantize_opts_default(cxr_quantize_opts *o)
{
    *o = (cxr_quantize_opts){.images = 512, .seed = 1, .max_loss = 0.002};
    cxr_run_opts_default(&o->run);
}

cxr_status cxr_quantize(cxr_model *m, const cxr_quantize_opts *o, const cxr_hooks *hooks, cxr_quantize_report *report,
                        cxr_error *err)
{
    (void)m;
    talk(hooks);
    (void)printf("quantize data=%s out=%s images=%d seed=%llu max_loss=%g split_file=%s skip=%d batch=%d threads=%d\n", o->data,
                 o->out, o->images, (unsigned long long)o->seed, o->max_loss, o->split_file ? o->split_file : "-",
                 o->skip_unreadable, o->run.batch_size, o->run.threads);
    *report = (cxr_quantize_report){0};
    if (stopped(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
    *report = (cxr_quantize_report){512, 200, 0.9875, 0.98125, 199, 0.03125};
    return outcome(err);
}

cxr_status cxr_fetch_weights(const char *arch, const char *dir, const char *proxy, const cxr_hooks *hooks, char **path,
                             cxr_error *err)
{
    (void)printf("fetch arch=%s dir=%s proxy=%s\n", arch, dir, proxy ? proxy : "-");
    hooks->transfer(hooks->user, 10, 20);
    *path = NULL;
    const cxr_status st = outcome(err);
    return st != CXR_OK || asprintf(path, "%s/%s.pth", dir, arch) >= 0 ? st : cxr_fail(err, CXR_ENOMEM, "no memory");
}

void cxr_free(void *p)
{
    free(p);
}

void cxr_phantom_opts_default(cxr_phantom_opts *o)
{
    *o = (cxr_phantom_opts){.train = 240, .val = 24, .test = 80, .size = 256, .seed = 1};
}

cxr_status cxr_phantom(const cxr_phantom_opts *o, cxr_error *err)
{
    (void)printf("phantom out=%s train=%d val=%d test=%d size=%d seed=%llu\n", o->out, o->train, o->val, o->test, o->size,
                 (unsigned long long)o->seed);
    return outcome(err);
}

void cxr_bench_opts_default(cxr_bench_opts *o)
{
    *o = (cxr_bench_opts){.freeze = "layer3",
                          .stages = {true, true, true},
                          .precisions = {true},
                          .batches = {1, 8, 64},
                          .batch_count = 3,
                          .sizes = {128, 224},
                          .size_count = 2,
                          .threads = {1, 0},
                          .thread_count = 2,
                          .rounds = 5,
                          .seconds = 0.2};
}

static void print_list(const char *name, const int *items, int count)
{
    (void)fprintf(stderr, "%s=", name);
    for (int i = 0; i < count; i++) (void)fprintf(stderr, "%d.", items[i]);
}

cxr_status cxr_bench(const cxr_bench_opts *o, const cxr_hooks *hooks, void (*row)(void *user, const cxr_bench_row *r),
                     void *user, cxr_error *err)
{
    const double none = 0.0 / 0.0;
    (void)fprintf(stderr, "model=%s images=%zu freeze=%s rounds=%d seconds=%g limit=%d deterministic=%d stages=",
                  o->model ? o->model : "-", o->path_count, o->freeze, o->rounds, o->seconds, o->limit, o->deterministic);
    for (int i = 0; i < CXR_STAGES; i++) (void)fputc(o->stages[i] ? '1' : '0', stderr);
    (void)fprintf(stderr, " precisions=%d%d%d ", o->precisions[0], o->precisions[1], o->precisions[2]);
    print_list("batches", o->batches, o->batch_count);
    print_list(" sizes", o->sizes, o->size_count);
    print_list(" threads", o->threads, o->thread_count);
    (void)fputc('\n', stderr);
    row(user, &(cxr_bench_row){.size = 0,
                               .batch = 1,
                               .threads = 1,
                               .rounds = 5,
                               .median = 0.002,
                               .low = 0.001,
                               .high = 0.004,
                               .images_per_second = 500,
                               .limit = none,
                               .share = none});
    row(user, &(cxr_bench_row){CXR_STAGE_FORWARD, CXR_PRECISION_BF16, 128, 8, 2, 5, 0.01, 0.009, 0.02, 800, 0.009, 0.9, NULL});
    row(user,
        &(cxr_bench_row){CXR_STAGE_FORWARD, CXR_PRECISION_INT8, 128, 8, 2, 5, none, none, none, none, none, none, "no, sir"});
    if (stopped(hooks)) return cxr_fail(err, CXR_ESTOPPED, "stopped");
    return outcome(err);
}

void cxr_machine_read(cxr_machine *out)
{
    *out = (cxr_machine){.cpu = "Abacus", .isa = "beads", .cores = 3, .threads = 2, .load = {0.5, 0.25, 0.125}};
}
