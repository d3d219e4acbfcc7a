#include "train/phases.h"
#include "base/mem.h"
#include "graph/graph.h"
#include "model/model.h"
#include <stdlib.h>
#include <string.h>

/* A list that is being read, for its messages. */
typedef struct list {
    const char *option, *text;
    int place; /* of the phase at hand, from 1 */
} list;

static cxr_status refuse(const list *l, const char *what, cxr_error *err)
{
    return cxr_fail(err, CXR_EUSAGE, "%s: phase %d of \"%.100s\" %s", l->option, l->place, l->text, what);
}

/* A whole number of 1 to 6 digits and nothing else; 0: it is not one. */
static int read_number(const char *text, size_t length)
{
    int n = 0;
    if (length == 0 || length > 6) return 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return 0;
        n = 10 * n + (text[i] - '0');
    }
    return n;
}

/* One phase, `length` characters of `text`; *epochs is 0 for the last, which lasts as long as the run. */
static cxr_status read_phase(const list *l, const char *text, size_t length, bool last, cxr_phase *out, int *epochs,
                             cxr_error *err)
{
    const char *colon = memchr(text, ':', length);
    const size_t word = colon == NULL ? length : (size_t)(colon - text);
    if (word == 0) return refuse(l, length == 0 ? "is empty" : "has a number of epochs and nothing else", err);
    if (word >= sizeof out->value) return refuse(l, "is too long for a word or number", err);
    if (last && colon != NULL) return refuse(l, "is the last and lasts to the end: it takes no number of epochs", err);
    if (!last && colon == NULL) return refuse(l, "does not say its epochs, as VALUE:2", err);
    memcpy(out->value, text, word);
    out->value[word] = '\0';
    *epochs = last ? 0 : read_number(colon + 1, length - word - 1);
    return last || *epochs > 0 ? CXR_OK : refuse(l, "has no whole number of epochs from 1 to 999999", err);
}

static cxr_status read_phases(cxr_phases *out, const char *option, const char *text, int epochs, cxr_error *err)
{
    list l = {.option = option, .text = text};
    int first = 0;
    *out = (cxr_phases){0};
    for (const char *at = text; at != NULL;) {
        const size_t length = strcspn(at, ",");
        const bool last = at[length] == '\0';
        int lasts = 0;
        l.place++;
        if (out->count == CXR_PHASES_MOST)
            return cxr_fail(err, CXR_EUSAGE, "%s: \"%.100s\" has more than %d phases", option, text, CXR_PHASES_MOST);
        cxr_phase *p = &out->at[out->count++];
        const cxr_status st = read_phase(&l, at, length, last, p, &lasts, err);
        if (st != CXR_OK) return st;
        p->first = first;
        first += lasts;
        at = last ? NULL : at + length + 1;
    }
    if (first < epochs) return CXR_OK;
    return cxr_fail(err, CXR_EUSAGE, "%s: the phases of \"%.100s\" before the last take %d epochs, and epochs is %d", option,
                    text, first, epochs);
}

cxr_status cxr_freeze_phases(cxr_phases *out, const cxr_train_opts *o, cxr_error *err)
{
    if (o->freeze == NULL) return cxr_fail(err, CXR_EUSAGE, "freeze: nothing is named, not even none");
    cxr_status st = read_phases(out, "freeze", o->freeze, o->epochs, err);
    list l = {.option = "freeze", .text = o->freeze};
    for (int i = 0, before = 0; st == CXR_OK && i < out->count; i++) {
        const int depth = cxr_graph_frozen(out->at[i].value);
        l.place = i + 1;
        if (depth < 0) return refuse(&l, "must be backbone, layer4, layer3, layer2, layer1 or none", err);
        if (i > 0 && depth >= before) return refuse(&l, "does not freeze less than the one before it", err);
        before = depth;
    }
    return st;
}

static cxr_status check_sizes(const cxr_phases *p, const char *text, cxr_error *err)
{
    list l = {.option = "size", .text = text};
    for (int i = 0, before = 0; i < p->count; i++) {
        const int size = read_number(p->at[i].value, strlen(p->at[i].value));
        l.place = i + 1;
        if (size < CXR_INPUT_LEAST || size > CXR_INPUT_MOST)
            return cxr_fail(err, CXR_EUSAGE, "size: phase %d of \"%.100s\" must be a whole number from %d to %d", i + 1, text,
                            CXR_INPUT_LEAST, CXR_INPUT_MOST);
        if (size == before) return refuse(&l, "has the size of the one before it", err);
        before = size;
    }
    return CXR_OK;
}

cxr_status cxr_size_phases(cxr_phases *out, const cxr_train_opts *o, cxr_error *err)
{
    const char *early = o->early_sizes == NULL ? "" : o->early_sizes;
    char *text = cxr_mem_printf("%s%s%d", early, o->early_sizes == NULL ? "" : ",", o->preprocess.size);
    if (text == NULL) return cxr_mem_fail(err, "the sizes of the images");
    cxr_status st = read_phases(out, "size", text, o->epochs, err);
    if (st == CXR_OK) st = check_sizes(out, text, err);
    cxr_mem_free(text);
    return st;
}

int cxr_phase_of(const cxr_phases *p, int epoch)
{
    int i = p->count - 1;
    while (p->at[i].first > epoch) i--;
    return i;
}
