#include "inspect/findings.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

cxr_status cxr_check_add(cxr_checked *c, const uint32_t *images, size_t count, double score, const char *note, cxr_error *err)
{
    if (c->count == c->room) {
        const size_t room = c->room == 0 ? 16 : 2 * c->room;
        cxr_finding *grown = cxr_mem_resize(c->findings, room, sizeof *grown);
        if (grown == NULL) return cxr_mem_fail(err, "the findings");
        c->findings = grown;
        c->room = room;
    }
    cxr_finding f = {.count = count, .score = score, .images = cxr_mem_new(count, sizeof *f.images)};
    f.note = note != NULL ? cxr_mem_strdup(note) : NULL;
    if (f.images == NULL || (note != NULL && f.note == NULL)) {
        cxr_mem_free(f.images);
        cxr_mem_free(f.note);
        return cxr_mem_fail(err, "the findings");
    }
    memcpy(f.images, images, count * sizeof *images);
    c->findings[c->count++] = f;
    return CXR_OK;
}

void cxr_check_say(cxr_checked *c, cxr_verdict verdict, const char *format, ...)
{
    va_list args;
    c->verdict = verdict;
    va_start(args, format);
    (void)vsnprintf(c->says, sizeof c->says, format, args);
    va_end(args);
}

void cxr_check_free(cxr_checked *c)
{
    for (size_t i = 0; i < c->count; i++) {
        cxr_mem_free(c->findings[i].images);
        cxr_mem_free(c->findings[i].note);
    }
    cxr_mem_free(c->findings);
    *c = (cxr_checked){0};
}

bool cxr_check_across(const cxr_dataset *d, uint32_t a, uint32_t b)
{
    const cxr_split x = d->samples[a].split, y = d->samples[b].split;
    return x != y && x != CXR_SPLIT_NONE && y != CXR_SPLIT_NONE;
}

bool cxr_finding_across(const cxr_dataset *d, const cxr_finding *f)
{
    for (size_t i = 0; i < f->count; i++)
        for (size_t j = 0; j < i; j++)
            if (cxr_check_across(d, f->images[i], f->images[j])) return true;
    return false;
}

const char *cxr_verdict_name(cxr_verdict v)
{
    static const char *const names[] = {"ok", "look", "problem", "skipped"};
    return names[v];
}

const char *cxr_counted(size_t n, const char *singular)
{
    static _Thread_local char ring[8][64];
    static _Thread_local unsigned at;
    char *text = ring[at++ % 8];
    (void)snprintf(text, sizeof ring[0], "%zu %s%s", n, singular, n == 1 ? "" : "s");
    return text;
}
