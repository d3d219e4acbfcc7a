/* Help, rendered from the option tables: two columns, wrapped. */
#include "args.h"
#include <stdlib.h>
#include <string.h>

#define INDENT 27 /* where an option's text begins */

/* ---- What an option takes, in words ---- */

static bool has_range(const cxr_option *o)
{
    return o->low != 0 || o->high != 0;
}

static void append(char *out, size_t room, const char *text)
{
    const size_t used = strlen(out);
    if (used < room) (void)snprintf(out + used, room - used, "%s", text);
}

static void join_words(const cxr_option *o, const char *between, char *out, size_t room)
{
    for (int i = 0; o->words[i] != NULL; i++) {
        if (i > 0) append(out, room, between);
        append(out, room, o->words[i]);
    }
}

static const char *upper(const cxr_option *o)
{
    return (o->open & CXR_OPEN_HIGH) != 0 ? "below" : "up to";
}

void cxr_option_expects(const cxr_option *o, char *out, size_t room)
{
    *out = '\0';
    if (o->words != NULL) {
        append(out, room, "one of ");
        join_words(o, ", ", out, room);
        return;
    }
    const char *noun = o->kind == CXR_ARG_INT || o->kind == CXR_ARG_UINT64 ? "a whole number" : "a number";
    if (!has_range(o))
        (void)snprintf(out, room, "%s", noun);
    else if ((o->open & CXR_OPEN_LOW) != 0)
        (void)snprintf(out, room, "%s above %.10g, %s %.10g", noun, o->low, upper(o), o->high);
    else
        (void)snprintf(out, room, "%s from %.10g to %s%.10g", noun, o->low, (o->open & CXR_OPEN_HIGH) != 0 ? "below " : "",
                       o->high);
}

static void range_note(const cxr_option *o, char *out, size_t room)
{
    if (!has_range(o)) return;
    if ((o->open & CXR_OPEN_LOW) != 0)
        (void)snprintf(out, room, "above %.10g, %s %.10g", o->low, upper(o), o->high);
    else
        (void)snprintf(out, room, "%.10g to %s%.10g", o->low, (o->open & CXR_OPEN_HIGH) != 0 ? "below " : "", o->high);
}

static void default_note(const cxr_option *o, const void *args, char *out, size_t room)
{
    const void *field = (const char *)args + o->offset;
    if (o->show != NULL) {
        o->show(args, out, room);
        return;
    }
    if (o->parse != NULL) return;
    switch (o->kind) {
    case CXR_ARG_FLAG: break;
    case CXR_ARG_INT: (void)snprintf(out, room, "%d", *(const int *)field); break;
    case CXR_ARG_UINT64: (void)snprintf(out, room, "%llu", (unsigned long long)*(const uint64_t *)field); break;
    case CXR_ARG_FLOAT: (void)snprintf(out, room, "%g", (double)*(const float *)field); break;
    case CXR_ARG_DOUBLE: /* outside the range: there is none */
        if ((o->open & CXR_OPEN_LOW) == 0 || *(const double *)field > o->low)
            (void)snprintf(out, room, "%g", *(const double *)field);
        break;
    case CXR_ARG_TEXT:
        if (*(const char *const *)field != NULL) (void)snprintf(out, room, "%s", *(const char *const *)field);
        break;
    case CXR_ARG_ENUM: (void)snprintf(out, room, "%s", o->words[*(const unsigned *)field]); break;
    }
}

void cxr_option_note(const cxr_option *o, const void *args, char *out, size_t room)
{
    char fallback[128] = "";
    *out = '\0';
    range_note(o, out, room);
    default_note(o, args, fallback, sizeof fallback);
    if (*fallback == '\0') return;
    append(out, room, *out == '\0' ? "default " : ", default ");
    append(out, room, fallback);
}

void cxr_option_value(const cxr_option *o, char *out, size_t room)
{
    *out = '\0';
    if (o->kind == CXR_ARG_FLAG) return;
    if (o->value != NULL)
        append(out, room, o->value);
    else
        join_words(o, "|", out, room);
}

/* ---- Layout ---- */

/* Prints text word by word; the cursor stands at `column` and lines go on at `indent`. */
static void wrap(FILE *f, const char *text, int column, int indent, int width)
{
    bool first = true;
    while (*text != '\0') {
        const int length = (int)strcspn(text, " \n");
        if (!first && column + 1 + length > width) {
            (void)fprintf(f, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            (void)fputc(' ', f);
            column++;
        }
        (void)fwrite(text, 1, (size_t)length, f);
        column += length;
        first = false;
        text += length;
        text += *text != '\0';
    }
    (void)fputc('\n', f);
}

static void paragraphs(FILE *f, const char *text, int width)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        const size_t length = end == NULL ? strlen(text) : (size_t)(end - text);
        char *one = strndup(text, length);
        if (one != NULL) wrap(f, one, 0, 0, width);
        free(one);
        text += length + (end == NULL ? 0 : 2);
        (void)fputc('\n', f);
    }
}

static void option_row(FILE *f, const char *head, const char *text, int width)
{
    int column = fprintf(f, "  %s", head);
    if (column + 2 > INDENT) {
        (void)fputc('\n', f);
        column = 0;
    }
    (void)fprintf(f, "%*s", INDENT - column, "");
    wrap(f, text, INDENT, INDENT, width);
}

static void option_help(FILE *f, const cxr_option *o, const void *args, int width)
{
    char head[160], value[128], note[192], text[768];
    cxr_option_value(o, value, sizeof value);
    if (o->letter != 0)
        (void)snprintf(head, sizeof head, "-%c, --%s%s%s", o->letter, o->name, *value != '\0' ? " " : "", value);
    else
        (void)snprintf(head, sizeof head, "    --%s%s%s", o->name, *value != '\0' ? " " : "", value);
    cxr_option_note(o, args, note, sizeof note);
    if (*note != '\0')
        (void)snprintf(text, sizeof text, "%s (%s)", o->help, note);
    else
        (void)snprintf(text, sizeof text, "%s", o->help);
    option_row(f, head, text, width);
}

static void examples(FILE *f, const cxr_example *list)
{
    (void)fprintf(f, "\nExamples:\n");
    for (int i = 0; i < 2 && list[i].what != NULL; i++)
        (void)fprintf(f, "%s  # %s\n  %s\n", i > 0 ? "\n" : "", list[i].what, list[i].command);
}

void cxr_help_command(FILE *f, const cxr_command *c, const void *args, int width)
{
    for (int i = 0; i < 3 && c->synopsis[i] != NULL; i++)
        (void)fprintf(f, "%s cxr %s %s\n", i == 0 ? "Usage:" : "      ", c->name, c->synopsis[i]);
    (void)fputc('\n', f);
    paragraphs(f, c->about, width);
    for (int i = 0; i < c->option_count; i++) {
        const cxr_option *o = &c->options[i];
        if (o->group != NULL) (void)fprintf(f, "%s%s:\n", i > 0 ? "\n" : "", o->group);
        option_help(f, o, args, width);
    }
    option_row(f, "-h, --help", "show this help", width);
    examples(f, c->examples);
    (void)fprintf(f, "\nExit status: 0 done, 2 usage, 65 bad data, 66 missing input; 'man cxr' lists the others.\n");
}

void cxr_help_program(FILE *f, int width)
{
    static const cxr_example list[2] = {
        {"train on a folder of class folders", "cxr train chest_xray"},
        {"classify new images", "cxr predict --model runs/finetune/weights/best.safetensors new/*.jpeg"},
    };
    (void)fprintf(f, "Usage: cxr VERB [OPTION]... [OPERAND]...\n       cxr VERB --help\n\n");
    paragraphs(f,
               "Trains, evaluates and runs chest-X-ray classifiers by transfer learning. For research; not a medical device.",
               width);
    (void)fprintf(f, "Verbs:\n");
    for (const cxr_command *const *c = cxr_commands; *c != NULL; c++) option_row(f, (*c)->name, (*c)->summary, width);
    (void)fprintf(f, "\nOptions:\n");
    option_row(f, "-h, --help", "show this help; after a verb, that verb's", width);
    option_row(f, "    --version", "show the version, the libraries in use and the CPU's features", width);
    examples(f, list);
}
