#include "tune/trials.h"
#include "base/file.h"
#include "base/mem.h"
#include "report/tables.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MOST   (64u << 20)
#define EPOCHS_MOST 100000

static void free_ended(cxr_ended *t)
{
    cxr_mem_free(t->reason);
    cxr_mem_free(t->losses);
    json_decref(t->values);
    *t = (cxr_ended){0};
}

cxr_status cxr_trials_add(cxr_trials *trials, cxr_ended *t, cxr_error *err)
{
    const size_t n = (size_t)trials->count + 1;
    cxr_ended *items = cxr_mem_resize(trials->items, n, sizeof *items);
    if (items != NULL) trials->items = items;
    double *means = cxr_mem_resize(trials->means, n, sizeof *means);
    if (means != NULL) trials->means = means;
    if (items == NULL || means == NULL) {
        free_ended(t);
        return cxr_mem_fail(err, "a trial");
    }
    items[trials->count++] = *t;
    *t = (cxr_ended){0};
    return CXR_OK;
}

void cxr_trials_free(cxr_trials *trials)
{
    for (int i = 0; i < trials->count; i++) free_ended(&trials->items[i]);
    cxr_mem_free(trials->items);
    cxr_mem_free(trials->means);
    *trials = (cxr_trials){0};
}

/* ---- Median ---- */

static double mean(const double *x, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool cxr_median_stops(cxr_trials *earlier, const double *losses, int epochs, int min_trials)
{
    double *means = earlier->means, best = INFINITY;
    size_t n = 0;
    for (int i = 0; i < earlier->count; i++) {
        const cxr_ended *t = &earlier->items[i];
        if (t->state != CXR_TRIAL_FAILED && t->epochs >= epochs) means[n++] = mean(t->losses, epochs);
    }
    for (int i = 0; i < epochs; i++) best = fmin(best, losses[i]);
    if (n == 0 || n < (size_t)min_trials) return false;
    qsort(means, n, sizeof *means, by_value);
    return best > 0.5 * (means[(n - 1) / 2] + means[n / 2]);
}

/* ---- File ---- */

static json_t *ended_json(const cxr_ended *t)
{
    json_t *losses = json_array();
    for (int i = 0; i < t->epochs; i++) (void)json_array_append_new(losses, json_real(t->losses[i])); /* counted below */
    const bool whole = losses != NULL && json_array_size(losses) == (size_t)t->epochs;
    json_t *o = json_pack("{s:s,s:s?,s:f,s:o,s:O}", "state", cxr_trial_state_name(t->state), "reason", t->reason, "seconds",
                          t->seconds, "losses", losses, "values", t->values);
    if (whole && o != NULL &&
        json_object_set_new(o, "objective", isfinite(t->objective) ? json_real(t->objective) : json_null()) == 0)
        return o;
    json_decref(o);
    return NULL;
}

cxr_status cxr_trials_write(const cxr_trials *trials, const char *path, cxr_error *err)
{
    json_t *list = json_array();
    for (int i = 0; i < trials->count; i++) (void)json_array_append_new(list, ended_json(&trials->items[i]));
    const bool whole = list != NULL && json_array_size(list) == (size_t)trials->count;
    json_t *root = json_pack("{s:s,s:o}", "data_sha256", trials->data, "trials", list);
    char *text = whole && root != NULL ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    const cxr_status st = text == NULL ? cxr_mem_fail(err, path) : cxr_file_write(path, text, strlen(text), err);
    free(text);
    return st;
}

static bool read_state(cxr_trial_state *to, const char *text)
{
    for (int s = CXR_TRIAL_DONE; s <= CXR_TRIAL_FAILED; s++) {
        *to = (cxr_trial_state)s;
        if (strcmp(text, cxr_trial_state_name(*to)) == 0) return true;
    }
    return false;
}

static bool read_losses(cxr_ended *t, const json_t *list)
{
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || n > EPOCHS_MOST) return false;
    t->losses = cxr_mem_new(n, sizeof *t->losses);
    t->epochs = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(list, i);
        if (!json_is_number(x) || t->losses == NULL) return false;
        t->losses[i] = json_number_value(x);
    }
    return t->losses != NULL;
}

/* False: it is no trial, or memory is exhausted; *t is to be freed either way. */
static bool read_ended(cxr_ended *t, json_t *from)
{
    const char *state = "";
    json_t *reason = NULL, *losses = NULL, *values = NULL, *objective = NULL;
    *t = (cxr_ended){.objective = NAN};
    if (json_unpack(from, "{s:s,s:o,s:F,s:o,s:o,s:o}", "state", &state, "reason", &reason, "seconds", &t->seconds, "losses",
                    &losses, "values", &values, "objective", &objective) != 0)
        return false;
    t->values = json_incref(values);
    if (!read_state(&t->state, state) || !read_losses(t, losses) || !json_is_object(values)) return false;
    if (json_is_number(objective)) t->objective = json_number_value(objective);
    if (!json_is_number(objective) && !json_is_null(objective)) return false;
    if (t->state != CXR_TRIAL_FAILED) return json_is_null(reason);
    t->reason = json_is_string(reason) ? cxr_mem_strdup(json_string_value(reason)) : NULL;
    return t->reason != NULL && json_is_null(objective);
}

static cxr_status read_trials(cxr_trials *out, json_t *root, const char *path, cxr_error *err)
{
    const char *data = "";
    json_t *list = NULL;
    if (json_unpack(root, "{s:s,s:o}", "data_sha256", &data, "trials", &list) != 0 || !json_is_array(list) ||
        strlen(data) >= sizeof out->data)
        return cxr_fail(err, CXR_EDATA, "%s: not the trials of a search", path);
    (void)snprintf(out->data, sizeof out->data, "%s", data);
    cxr_status st = CXR_OK;
    for (size_t i = 0; i < json_array_size(list) && st == CXR_OK; i++) {
        cxr_ended t;
        if (read_ended(&t, json_array_get(list, i))) {
            st = cxr_trials_add(out, &t, err);
        } else {
            free_ended(&t);
            st = cxr_fail(err, CXR_EDATA, "%s: trial %zu is damaged", path, i + 1);
        }
    }
    return st;
}

cxr_status cxr_trials_read(cxr_trials *out, const char *path, cxr_error *err)
{
    cxr_buf file;
    json_error_t why = {0};
    *out = (cxr_trials){0};
    cxr_status st = cxr_buf_read(&file, path, FILE_MOST, err);
    if (st != CXR_OK) return st;
    json_t *root = json_loadb((const char *)file.data, file.len, JSON_REJECT_DUPLICATES, &why);
    cxr_buf_free(&file);
    if (root == NULL) return cxr_fail(err, CXR_EDATA, "%s: line %d: %s", path, why.line, why.text);
    st = read_trials(out, root, path, err);
    json_decref(root);
    if (st != CXR_OK) cxr_trials_free(out);
    return st;
}
