#include "data/group.h"
#include "base/file.h"
#include "base/mem.h"
#include <string.h>

/* The published set: person12_bacteria_46, IM-0115-0001, NORMAL2-IM-0666-0001-0002. */
#define AUTO_NAMES "^(person[0-9]+)_|^((NORMAL[0-9]*-)?IM-[0-9]+)-"
#define MAX_GROUPS 10

cxr_status cxr_grouper_open(cxr_grouper *g, const char *rule, cxr_error *err)
{
    *g = (cxr_grouper){.automatic = rule == NULL || strcmp(rule, "auto") == 0};
    if (rule != NULL && strncmp(rule, "column:", 7) == 0) {
        g->column = rule + 7;
        if (*g->column == '\0') return cxr_fail(err, CXR_EUSAGE, "group by \"column:\": the column's name is missing");
        return CXR_OK;
    }
    if (rule != NULL && strcmp(rule, "none") == 0) return CXR_OK;
    if (rule != NULL && *rule == '\0') return cxr_fail(err, CXR_EUSAGE, "group by \"\": an empty rule; say none");
    const char *pattern = g->automatic ? AUTO_NAMES : rule;
    const int code = regcomp(&g->regex, pattern, REG_EXTENDED);
    if (code == REG_ESPACE) return cxr_mem_fail(err, "a regular expression");
    if (code != 0) {
        char reason[256];
        (void)regerror(code, &g->regex, reason, sizeof reason);
        return cxr_fail(err, CXR_EUSAGE, "group by \"%s\": not a regular expression: %s", pattern, reason);
    }
    g->has_regex = true;
    return CXR_OK;
}

/* The first parenthesis that took part, or the whole match. */
static regmatch_t patient_part(const regmatch_t m[MAX_GROUPS])
{
    for (int i = 1; i < MAX_GROUPS; i++)
        if (m[i].rm_so >= 0) return m[i];
    return m[0];
}

char *cxr_grouper_text(const cxr_grouper *g, const char *key, const char *class_name)
{
    if (!g->has_regex) return cxr_mem_strdup(key);
    const char *name = cxr_path_name(key);
    regmatch_t m[MAX_GROUPS];
    const int code = regexec(&g->regex, name, MAX_GROUPS, m, 0);
    if (code == REG_ESPACE) return NULL;
    if (code != 0) return cxr_mem_strdup(key);
    const regmatch_t part = patient_part(m);
    const int len = (int)(part.rm_eo - part.rm_so);
    if (len == 0) return cxr_mem_strdup(key); /* nothing says which patient: never one patient for all */
    if (g->automatic) return cxr_mem_printf("%s/%.*s", class_name, len, name + part.rm_so);
    return cxr_mem_printf("%.*s", len, name + part.rm_so);
}

void cxr_grouper_close(cxr_grouper *g)
{
    if (g->has_regex) regfree(&g->regex);
    *g = (cxr_grouper){0};
}
