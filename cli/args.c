/* getopt_long finds the options; the table says what each may hold. Numbers are parsed strictly: no spaces, no sign where
 * none makes sense, nothing after them. */
#include "args.h"
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LONG_BASE 256 /* what getopt_long returns for option i is LONG_BASE + i */
#define HELP      (LONG_BASE + CXR_MAX_OPTIONS)
#define NAME_ROOM 48 /* of a verb's or option's name; longer ones are near to nothing */

bool cxr_parse_uint(const char *text, uint64_t lo, uint64_t hi, uint64_t *out)
{
    char *end = NULL;
    if (*text < '0' || *text > '9') return false;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || v < lo || v > hi) return false;
    *out = v;
    return true;
}

/* Plain decimal notation only: strtod alone takes "inf", "nan", "0x1p3" and leading spaces. */
static bool parse_real(const char *text, double *out)
{
    char *end = NULL;
    if (*text == '\0' || strspn(text, "0123456789.eE+-") != strlen(text)) return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static bool in_range(const cxr_option *o, double v)
{
    if (o->low == 0 && o->high == 0) return true;
    const bool low = (o->open & CXR_OPEN_LOW) != 0 ? v > o->low : v >= o->low;
    const bool high = (o->open & CXR_OPEN_HIGH) != 0 ? v < o->high : v <= o->high;
    return low && high;
}

static bool set_whole(const cxr_option *o, void *field, const char *text)
{
    uint64_t v = 0;
    if (!cxr_parse_uint(text, 0, o->kind == CXR_ARG_INT ? INT32_MAX : UINT64_MAX, &v) || !in_range(o, (double)v)) return false;
    if (o->kind == CXR_ARG_INT)
        *(int *)field = (int)v;
    else
        *(uint64_t *)field = v;
    return true;
}

static bool set_real(const cxr_option *o, void *field, const char *text)
{
    double v = 0;
    if (!parse_real(text, &v)) return false;
    if (o->kind == CXR_ARG_FLOAT) v = (double)(float)v; /* what is checked is what will be used */
    if (!isfinite(v) || !in_range(o, v)) return false;
    if (o->kind == CXR_ARG_FLOAT)
        *(float *)field = (float)v;
    else
        *(double *)field = v;
    return true;
}

static bool set_word(const cxr_option *o, void *field, const char *text)
{
    unsigned i = 0;
    while (o->words != NULL && o->words[i] != NULL && strcmp(o->words[i], text) != 0) i++;
    if (o->words != NULL && o->words[i] == NULL) return false;
    if (o->kind == CXR_ARG_ENUM)
        *(unsigned *)field = i;
    else
        *(const char **)field = text;
    return true;
}

static bool set_field(const cxr_option *o, void *args, const char *text)
{
    void *field = (char *)args + o->offset;
    switch (o->kind) {
    case CXR_ARG_FLAG: *(bool *)field = true; return true;
    case CXR_ARG_INT:
    case CXR_ARG_UINT64: return set_whole(o, field, text);
    case CXR_ARG_FLOAT:
    case CXR_ARG_DOUBLE: return set_real(o, field, text);
    case CXR_ARG_TEXT:
    case CXR_ARG_ENUM: return set_word(o, field, text);
    }
    return false;
}

static cxr_status apply(const cxr_command *c, int index, void *args, const char *text, cxr_error *err)
{
    const cxr_option *o = &c->options[index];
    char expected[256];
    if (o->kind == CXR_ARG_TEXT && o->parse == NULL && *text == '\0') /* as an unset variable in a script gives */
        return cxr_fail(err, CXR_EUSAGE, "the value of --%s is empty", o->name);
    cxr_option_expects(o, expected, sizeof expected);
    if (o->parse != NULL) {
        const char *wanted = o->parse(args, text);
        if (wanted == NULL) return CXR_OK;
        (void)snprintf(expected, sizeof expected, "%s", wanted);
    } else if (set_field(o, args, text)) {
        return CXR_OK;
    }
    return cxr_fail(err, CXR_EUSAGE, "--%s must be %s, not '%s'", o->name, expected, text);
}

/* ---- Nearest names ---- */

/* Edits that turn a into b: insert, delete, replace, swap of neighbours (optimal string alignment). */
static size_t edit_distance(const char *a, const char *b)
{
    const size_t m = strlen(a), n = strlen(b);
    if (m >= NAME_ROOM || n >= NAME_ROOM) return NAME_ROOM;
    size_t d[NAME_ROOM + 1][NAME_ROOM + 1];
    for (size_t i = 0; i <= m; i++) d[i][0] = i;
    for (size_t j = 0; j <= n; j++) d[0][j] = j;
    for (size_t i = 1; i <= m; i++) {
        for (size_t j = 1; j <= n; j++) {
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[m][n];
}

const char *cxr_nearest(const char *text, const char *const *names)
{
    const size_t length = strlen(text);
    const char *nearest = NULL;
    size_t best = length / 3 + 2; /* must be nearer than this */
    for (; *names != NULL; names++) {
        const bool prefix = length > 0 && strncmp(text, *names, length) == 0;
        const size_t d = prefix ? 1 : edit_distance(text, *names);
        if (d < best) {
            best = d;
            nearest = *names;
        }
    }
    return nearest;
}

/* Names that begin with `name`, listed; how many. */
static int list_prefixed(const char *name, const char *const *names, char *out, size_t room)
{
    int count = 0;
    size_t used = 0;
    *out = '\0';
    for (; *names != NULL; names++) {
        if (strncmp(name, *names, strlen(name)) != 0) continue;
        if (used < room) used += (size_t)snprintf(out + used, room - used, "%s--%s", count > 0 ? ", " : "", *names);
        count++;
    }
    return count;
}

static cxr_status unknown_option(const cxr_command *c, const char *word, cxr_error *err)
{
    const char *names[CXR_MAX_OPTIONS + 2];
    for (int i = 0; i < c->option_count; i++) names[i] = c->options[i].name;
    names[c->option_count] = "help";
    names[c->option_count + 1] = NULL;
    char name[NAME_ROOM], several[512];
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    if (*name != '\0' && list_prefixed(name, names, several, sizeof several) > 1)
        return cxr_fail(err, CXR_EUSAGE, "option '%s' could be %s", word, several);
    const char *nearest = cxr_nearest(name, names);
    if (nearest == NULL) return cxr_fail(err, CXR_EUSAGE, "unknown option '%s'", word);
    return cxr_fail(err, CXR_EUSAGE, "unknown option '%s'; did you mean '--%s'?", word, nearest);
}

/* ---- Parsing ---- */

/* What getopt_long saw, in the order given. */
typedef struct seen {
    int index;
    const char *text;
} seen;

static void describe_options(const cxr_command *c, struct option *longs, char *shorts)
{
    *shorts++ = ':';
    *shorts++ = 'h';
    for (int i = 0; i < c->option_count; i++) {
        const cxr_option *o = &c->options[i];
        const int takes = o->kind == CXR_ARG_FLAG ? no_argument : required_argument;
        longs[i] = (struct option){o->name, takes, NULL, LONG_BASE + i};
        if (o->letter == 0) continue;
        *shorts++ = o->letter;
        if (takes == required_argument) *shorts++ = ':';
    }
    longs[c->option_count] = (struct option){"help", no_argument, NULL, HELP};
    longs[c->option_count + 1] = (struct option){0};
    *shorts = '\0';
}

/* The option's index from what getopt_long returned, or -1. */
static int option_index(const cxr_command *c, int code)
{
    if (code >= LONG_BASE) return code - LONG_BASE < c->option_count ? code - LONG_BASE : -1;
    for (int i = 0; i < c->option_count; i++) {
        if (code != 0 && c->options[i].letter == code) return i;
    }
    return -1;
}

static cxr_status bad_option(const cxr_command *c, int code, char **argv, cxr_error *err)
{
    const int index = option_index(c, optopt);
    if (code == ':') return cxr_fail(err, CXR_EUSAGE, "option '--%s' needs a value", c->options[index].name);
    if (optopt >= LONG_BASE) return cxr_fail(err, CXR_EUSAGE, "option '%s' takes no value", argv[optind - 1]);
    if (optopt != 0) return cxr_fail(err, CXR_EUSAGE, "unknown option '-%c'", optopt);
    return unknown_option(c, argv[optind - 1], err);
}

/* Collects the options; *count receives how many. */
static cxr_status scan(const cxr_command *c, int argc, char **argv, seen *list, int *count, cxr_given *given, cxr_error *err)
{
    struct option longs[CXR_MAX_OPTIONS + 2];
    char shorts[2 * CXR_MAX_OPTIONS + 4];
    describe_options(c, longs, shorts);
    optind = 0; /* GNU: begin anew */
    opterr = 0;
    int code;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (code == 'h' || code == HELP) {
            given->help = true;
            return CXR_OK;
        }
        if (code == '?' || code == ':') return bad_option(c, code, argv, err);
        const int index = option_index(c, code);
        list[(*count)++] = (seen){index, optarg};
        given->options[index] = given->any_option = true;
    }
    given->operands = argv + optind;
    given->operand_count = argc - optind;
    return CXR_OK;
}

static cxr_status check_operands(const cxr_command *c, const cxr_given *given, cxr_error *err)
{
    if (given->operand_count < c->operand_min) return cxr_fail(err, CXR_EUSAGE, "%s is missing", c->operand);
    if (c->operand_max >= 0 && given->operand_count > c->operand_max)
        return cxr_fail(err, CXR_EUSAGE, "unexpected operand '%s'", given->operands[c->operand_max]);
    for (int i = 0; i < given->operand_count; i++)
        if (given->operands[i][0] == '\0') return cxr_fail(err, CXR_EUSAGE, "%s is empty", c->operand);
    return CXR_OK;
}

cxr_status cxr_args_parse(const cxr_command *c, int argc, char **argv, void *args, cxr_given *given, cxr_error *err)
{
    *given = (cxr_given){0};
    size_t letters = 1; /* no argument holds more options than characters */
    for (int i = 1; i < argc; i++) letters += strlen(argv[i]);
    seen *list = calloc(letters, sizeof *list);
    if (list == NULL) return cxr_fail(err, CXR_ENOMEM, "no memory for the command line");
    int count = 0;
    cxr_status st = scan(c, argc, argv, list, &count, given, err);
    for (int pass = 0; pass < 2 && !given->help; pass++) {
        for (int i = 0; i < count && st == CXR_OK; i++) {
            if (c->options[list[i].index].first == (pass == 0)) st = apply(c, list[i].index, args, list[i].text, err);
        }
    }
    if (st == CXR_OK && !given->help) st = check_operands(c, given, err);
    free(list);
    return st;
}

bool cxr_args_given(const cxr_command *c, const cxr_given *given, const char *option)
{
    for (int i = 0; i < c->option_count; i++) {
        if (strcmp(c->options[i].name, option) == 0) return given->options[i];
    }
    return false;
}

const cxr_command *cxr_command_find(const char *name)
{
    for (const cxr_command *const *c = cxr_commands; *c != NULL; c++) {
        if (strcmp((*c)->name, name) == 0) return *c;
    }
    return NULL;
}

void *cxr_command_args(const cxr_command *c)
{
    void *args = calloc(1, c->args_size);
    if (args != NULL) c->defaults(args);
    return args;
}
