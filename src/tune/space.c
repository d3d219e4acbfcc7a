#include "tune/space.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "train/options.h"
#include "train/phases.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file being read, for sentences. */
typedef struct source {
    const cxr_toml *toml;
    const char *name;
} source;

CXR_PRINTF(4, 5) static cxr_status wrong(const source *in, const char *key, cxr_error *err, const char *fmt, ...)
{
    char reason[512];
    va_list args;
    va_start(args, fmt);
    const int used = snprintf(reason, sizeof reason, "%.100s: ", key);
    (void)vsnprintf(reason + used, sizeof reason - (size_t)used, fmt, args);
    va_end(args);
    for (char *c = reason; *c != '\0'; c++)
        if ((unsigned char)*c < ' ') *c = '?'; /* keys and values may hold anything */
    return cxr_fail(err, CXR_EDATA, "%s: line %d: %s", in->name, cxr_toml_line(in->toml, key), reason);
}

/* ---- Settings of the search ---- */

static const char *const objectives[] = {"val_loss", "val_accuracy", "perturbed_loss", "perturbed_auroc", NULL};
static const char *const stoppings[] = {"none", "median", NULL};

const char *cxr_objective_name(cxr_objective o)
{
    return objectives[o];
}

static const struct setting {
    const char *name;
    size_t offset; /* of an int, or of an enumeration with words */
    int low, high;
    const char *const *words;
    const char *expected;
} settings[] = {
    {"trials", offsetof(cxr_space, trials), 1, CXR_TRIALS_MOST, NULL, "a whole number from 1 to 10000"},
    {"objective", offsetof(cxr_space, objective), 0, 0, objectives,
     "val_loss, val_accuracy, perturbed_loss or perturbed_auroc"},
    {"stopping", offsetof(cxr_space, stopping), 0, 0, stoppings, "none or median"},
    {"min_epochs", offsetof(cxr_space, min_epochs), 1, 100000, NULL, "a whole number from 1 to 100000"},
    {"min_trials", offsetof(cxr_space, min_trials), 1, CXR_TRIALS_MOST, NULL, "a whole number from 1 to 10000"},
};
#define SETTINGS (sizeof settings / sizeof settings[0])

static bool set_setting(cxr_space *s, const struct setting *what, const json_t *value)
{
    int *to = (int *)((char *)s + what->offset);
    const char *text = json_string_value(value);
    const json_int_t x = json_integer_value(value);
    if (what->words == NULL) {
        if (!json_is_integer(value) || x < what->low || x > what->high) return false;
        *to = (int)x;
        return true;
    }
    for (int i = 0; text != NULL && what->words[i] != NULL; i++) {
        if (strcmp(text, what->words[i]) != 0) continue;
        *to = i;
        return true;
    }
    return false;
}

static cxr_status read_setting(cxr_space *s, const char *key, json_t *value, const source *in, cxr_error *err)
{
    if (strcmp(key, "seed") == 0) {
        const json_int_t x = json_integer_value(value);
        if (!json_is_integer(value) || x < 0) return wrong(in, key, err, "must be a whole number from 0 on");
        s->seed = (uint64_t)x;
        return CXR_OK;
    }
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(key, settings[i].name) != 0) continue;
        return set_setting(s, &settings[i], value) ? CXR_OK : wrong(in, key, err, "must be %s", settings[i].expected);
    }
    return wrong(in, key, err, "is no setting of a search; options of training belong under [fixed] or [search]");
}

/* ---- Options of training ---- */

/* What only building the network finds out: names of architectures. */
static cxr_status check_network(const cxr_train_opts *o, cxr_error *err)
{
    cxr_graph g = {0};
    const cxr_status st = cxr_graph_resnet(&g, o->arch, &o->preprocess, err);
    cxr_graph_free(&g);
    return st;
}

static cxr_status check_value(const char *name, const json_t *value, cxr_error *err)
{
    cxr_train_opts o;
    cxr_train_opts_default(&o);
    cxr_phases phases;
    cxr_status st = cxr_train_opts_set(&o, name, value, err);
    o.epochs = 100000; /* whether there are enough for the phases is for the settings together */
    if (st == CXR_OK) st = cxr_freeze_phases(&phases, &o, err);
    if (st == CXR_OK) st = cxr_size_phases(&phases, &o, err);
    return st == CXR_OK ? check_network(&o, err) : st;
}

static const struct refusal {
    const char *name;
    bool when_searched; /* else always */
    const char *reason;
} refusals[] = {
    {"data", false, "belongs on the command line"},
    {"out", false, "belongs on the command line"},
    {"recipe", false, "belongs on the command line"},
    {"seeds", false, "is for cxr train alone: a trial is one run"},
    {"then_distil", false, "is for cxr train alone: a trial is one run"},
    {"seed", true, "cannot be searched: other validation images make trials that do not compare"},
    {"split_seed", true, "cannot be searched: other validation images make trials that do not compare"},
    {"val_fraction", true, "cannot be searched: other validation images make trials that do not compare"},
    {"group_by", true, "cannot be searched: other validation images make trials that do not compare"},
};

/* Why an option cannot stand here; NULL: it can. */
static const char *refused_name(const char *name, bool searched)
{
    if (cxr_train_opts_kind(name) == CXR_OPTION_UNKNOWN) return "is not an option of cxr train";
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strcmp(name, refusals[i].name) == 0 && (searched || !refusals[i].when_searched)) return refusals[i].reason;
    return NULL;
}

/* One key of [fixed], [search] or, epochs, of the file itself. */
typedef struct entry {
    char name[64];  /* as in args.json */
    char path[160]; /* as in the file: "search.weight-decay" */
    json_t *value;
} entry;

static entry make_entry(const char *table, const char *key, json_t *value)
{
    entry e = {.value = value};
    (void)snprintf(e.path, sizeof e.path, "%s%s%s", table, *table != '\0' ? "." : "", key);
    (void)snprintf(e.name, sizeof e.name, "%s", key);
    for (char *c = e.name; *c != '\0'; c++)
        if (*c == '-') *c = '_';
    return e;
}

static bool given(const cxr_space *s, const char *name)
{
    return json_object_get(s->fixed, name) != NULL || json_object_get(s->searched, name) != NULL;
}

static cxr_status check_name(const cxr_space *s, const entry *e, bool searched, const source *in, cxr_error *err)
{
    const char *reason = refused_name(e->name, searched);
    if (reason != NULL) return wrong(in, e->path, err, "%s", reason);
    return given(s, e->name) ? wrong(in, e->path, err, "is given twice") : CXR_OK;
}

static cxr_status read_fixed(cxr_space *s, const entry *e, const source *in, cxr_error *err)
{
    cxr_error why = {0};
    const cxr_status st = check_name(s, e, false, in, err);
    if (st != CXR_OK) return st;
    if (check_value(e->name, e->value, &why) != CXR_OK) return wrong(in, e->path, err, "%s", why.text);
    return json_object_set(s->fixed, e->name, e->value) == 0 ? CXR_OK : cxr_mem_fail(err, in->name);
}

static cxr_status read_choices(cxr_dimension *d, const entry *e, const source *in, cxr_error *err)
{
    const size_t n = json_array_size(e->value);
    if (n == 0 || n > CXR_CHOICES_MOST)
        return wrong(in, e->path, err, "%zu choices: 1 to %d are possible", n, CXR_CHOICES_MOST);
    for (size_t i = 0; i < n; i++) {
        cxr_error why = {0};
        if (check_value(e->name, json_array_get(e->value, i), &why) != CXR_OK)
            return wrong(in, e->path, err, "choice %zu: %s", i + 1, why.text);
    }
    d->choices = e->value;
    return CXR_OK;
}

/* A number that the option takes. */
static cxr_status read_bound(double *to, const cxr_dimension *d, const entry *e, const char *key, const source *in,
                             cxr_error *err)
{
    cxr_error why = {0};
    const json_t *x = json_object_get(e->value, key);
    if (x == NULL) return wrong(in, e->path, err, "a range needs low and high");
    if (check_value(d->name, x, &why) != CXR_OK) return wrong(in, e->path, err, "%s: %s", key, why.text);
    *to = json_number_value(x);
    return CXR_OK;
}

static cxr_status read_range(cxr_dimension *d, const entry *e, const source *in, cxr_error *err)
{
    const cxr_option_kind kind = cxr_train_opts_kind(d->name);
    const json_t *log = json_object_get(e->value, "log");
    if (kind != CXR_OPTION_WHOLE && kind != CXR_OPTION_REAL)
        return wrong(in, e->path, err, "has no range; list its values: [..., ...]");
    if (json_object_size(e->value) != 2 + (size_t)(log != NULL))
        return wrong(in, e->path, err, "a range is {low = ..., high = ...}, with or without log = true");
    if (log != NULL && !json_is_boolean(log)) return wrong(in, e->path, err, "log must be true or false");
    d->whole = kind == CXR_OPTION_WHOLE;
    d->log = json_is_true(log);
    cxr_status st = read_bound(&d->low, d, e, "low", in, err);
    if (st == CXR_OK) st = read_bound(&d->high, d, e, "high", in, err);
    if (st != CXR_OK) return st;
    if (!(d->low < d->high)) return wrong(in, e->path, err, "low is %g and high %g: low must be less", d->low, d->high);
    if (d->log && !(d->low > 0.0)) return wrong(in, e->path, err, "a logarithmic range cannot begin at 0");
    return CXR_OK;
}

static cxr_status read_searched(cxr_space *s, const entry *e, const source *in, cxr_error *err)
{
    cxr_status st = check_name(s, e, true, in, err);
    if (st != CXR_OK) return st;
    if (s->count == CXR_DIMENSION_MOST) return wrong(in, e->path, err, "more than %d options are searched", CXR_DIMENSION_MOST);
    cxr_dimension *d = &s->dimensions[s->count];
    if (json_object_set(s->searched, e->name, e->value) != 0) return cxr_mem_fail(err, in->name);
    *d = (cxr_dimension){.name = json_object_iter_key(json_object_iter_at(s->searched, e->name)),
                         .line = cxr_toml_line(in->toml, e->path)};
    if (json_is_array(e->value))
        st = read_choices(d, e, in, err);
    else if (json_is_object(e->value))
        st = read_range(d, e, in, err);
    else
        st = wrong(in, e->path, err, "must be a list of choices or a range {low = ..., high = ...}");
    s->count += st == CXR_OK;
    return st;
}

typedef cxr_status (*entry_fn)(cxr_space *s, const entry *e, const source *in, cxr_error *err);

static cxr_status read_table(cxr_space *s, const char *table, json_t *content, entry_fn read, const source *in, cxr_error *err)
{
    const char *key;
    json_t *value;
    cxr_status st = json_is_object(content) ? CXR_OK : wrong(in, table, err, "must be a table");
    json_object_foreach(content, key, value)
    {
        const entry e = make_entry(table, key, value);
        if (st == CXR_OK) st = read(s, &e, in, err);
    }
    return st;
}

/* ---- The file ---- */

static int by_line(const void *a, const void *b)
{
    const cxr_dimension *x = a, *y = b;
    return x->line != y->line ? (x->line > y->line) - (x->line < y->line) : strcmp(x->name, y->name);
}

static cxr_status read_root(cxr_space *s, json_t *root, const source *in, cxr_error *err)
{
    const char *key;
    json_t *value;
    cxr_status st = CXR_OK;
    json_object_foreach(root, key, value)
    {
        const entry e = make_entry("", key, value);
        if (st != CXR_OK) break;
        if (strcmp(key, "fixed") == 0)
            st = read_table(s, key, value, read_fixed, in, err);
        else if (strcmp(key, "search") == 0)
            st = read_table(s, key, value, read_searched, in, err);
        else if (strcmp(key, "epochs") == 0)
            st = read_fixed(s, &e, in, err);
        else
            st = read_setting(s, key, value, in, err);
    }
    if (st == CXR_OK && s->objective >= CXR_BY_PERTURBED_LOSS && given(s, "fit"))
        st = cxr_fail(err, CXR_EDATA, "%s: objective %s sets the option fit itself: leave it out", in->name,
                      cxr_objective_name(s->objective));
    if (st == CXR_OK && s->count == 0) st = cxr_fail(err, CXR_EDATA, "%s: there is nothing under [search]", in->name);
    qsort(s->dimensions, (size_t)s->count, sizeof s->dimensions[0], by_line);
    return st;
}

cxr_status cxr_space_parse(cxr_space *out, const char *text, size_t len, const char *name, cxr_error *err)
{
    cxr_toml toml = {0};
    *out = (cxr_space){.trials = 20,
                       .seed = 1,
                       .stopping = CXR_STOP_MEDIAN,
                       .min_epochs = 3,
                       .min_trials = 3,
                       .fixed = json_object(),
                       .searched = json_object()};
    cxr_status st = out->fixed == NULL || out->searched == NULL ? cxr_mem_fail(err, name) : CXR_OK;
    if (st == CXR_OK) st = cxr_toml_parse(&toml, text, len, name, err);
    if (st == CXR_OK) st = read_root(out, toml.root, &(source){&toml, name}, err);
    cxr_toml_free(&toml);
    if (st != CXR_OK) cxr_space_free(out);
    return st;
}

cxr_status cxr_space_read(cxr_space *out, const char *path, cxr_error *err)
{
    cxr_buf file;
    *out = (cxr_space){0};
    cxr_status st = cxr_buf_read(&file, path, CXR_TOML_BYTES, err);
    if (st != CXR_OK) return st;
    st = cxr_space_parse(out, (const char *)file.data, file.len, path, err);
    cxr_buf_free(&file);
    return st;
}

void cxr_space_free(cxr_space *s)
{
    json_decref(s->fixed);
    json_decref(s->searched);
    *s = (cxr_space){0};
}

/* ---- Draws ---- */

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Four digits are enough to find a setting again, and to hide in what differs between two machines' logarithms. */
static double rounded(double x)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.3e", x);
    return strtod(text, NULL);
}

/* u is in [0, 1). A range of whole numbers ends with the whole of `high`. */
static double scaled(const cxr_dimension *d, double u)
{
    const double high = d->whole ? d->high + 1.0 : d->high;
    const double x = d->log ? d->low * exp(u * log(high / d->low)) : d->low + u * (high - d->low);
    return clamp(d->whole ? floor(x) : rounded(x), d->low, d->high);
}

json_t *cxr_space_draw(const cxr_space *s, const cxr_dimension *d, int trial)
{
    const uint64_t key = cxr_rng_key(s->seed, CXR_FOR_SEARCH, (uint64_t)trial, cxr_rng_name(d->name));
    if (d->choices != NULL)
        return json_incref(json_array_get(d->choices, cxr_rng_below(key, 0, (uint32_t)json_array_size(d->choices))));
    const double x = scaled(d, (double)(cxr_rng_u64(key, 0) >> 11) * 0x1p-53);
    return d->whole ? json_integer((json_int_t)x) : json_real(x);
}

cxr_status cxr_space_apply(const cxr_space *s, int trial, cxr_train_opts *o, json_t **drawn, cxr_error *err)
{
    const char *name;
    json_t *value;
    cxr_status st = CXR_OK;
    *drawn = json_object();
    if (*drawn == NULL) return cxr_mem_fail(err, "a trial");
    json_object_foreach(s->fixed, name, value)
    {
        if (st == CXR_OK) st = cxr_train_opts_set(o, name, value, err);
    }
    for (int i = 0; i < s->count && st == CXR_OK; i++) {
        const cxr_dimension *d = &s->dimensions[i];
        if (json_object_set_new(*drawn, d->name, cxr_space_draw(s, d, trial)) != 0) return cxr_mem_fail(err, "a trial");
        st = cxr_train_opts_set(o, d->name, json_object_get(*drawn, d->name), err);
    }
    if (st == CXR_OK && s->objective >= CXR_BY_PERTURBED_LOSS) o->fit = CXR_FIT_PERTURBED; /* what measures it */
    if (st == CXR_OK) st = cxr_train_opts_check(o, err);
    return st == CXR_OK ? check_network(o, err) : st;
}
