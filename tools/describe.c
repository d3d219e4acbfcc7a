/* describe man VERB | describe completion | describe verbs: the manual page of a verb, the completion for bash, and the verbs' names,
 * from the option tables that the parser uses. The results are committed; a test compares them with what this prints. */
#include "../cli/args.h"
#include <stdlib.h>
#include <string.h>

#define MANUAL_DATE "2026-11-23"

/* ---- Manual page ---- */

/* Text as roff takes it: backslash and hyphen escaped, no line that begins with a control character. */
static void roff(const char *text)
{
    if (*text == '.' || *text == '\'') (void)fputs("\\&", stdout);
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            (void)fputs("\\e", stdout);
        else if (*text == '-')
            (void)fputs("\\-", stdout);
        else
            (void)putchar(*text);
    }
}

/* Sentences on lines of their own, paragraphs apart. */
static void prose(const char *text)
{
    while (*text != '\0') {
        const char *gap = strstr(text, "\n\n"), *stop = strstr(text, ". ");
        const bool paragraph = gap != NULL && (stop == NULL || gap < stop);
        const char *end = paragraph ? gap : stop != NULL ? stop + 1 : text + strlen(text);
        char *sentence = strndup(text, (size_t)(end - text));
        if (sentence != NULL) roff(sentence);
        free(sentence);
        (void)fputs(paragraph ? "\n.PP\n" : "\n", stdout);
        text = end + strspn(end, " \n");
    }
}

static void option_entry(const cxr_option *o, const void *args)
{
    char value[128], note[192];
    cxr_option_value(o, value, sizeof value);
    cxr_option_note(o, args, note, sizeof note);
    (void)printf(".TP\n");
    if (o->letter != 0) (void)printf("\\fB\\-%c\\fR, ", o->letter);
    (void)printf("\\fB\\-\\-");
    roff(o->name);
    (void)printf("\\fR");
    if (*value != '\0') (void)printf(" \\fI%s\\fR", value);
    (void)putchar('\n');
    roff(o->help);
    if (*note != '\0') {
        (void)printf("\n(");
        roff(note);
        (void)putchar(')');
    }
    (void)putchar('\n');
}

static void man_options(const cxr_command *c, const void *args)
{
    (void)printf(".SH OPTIONS\n");
    for (int i = 0; i < c->option_count; i++) {
        const cxr_option *o = &c->options[i];
        if (o->group != NULL && strcmp(o->group, "Options") != 0) (void)printf(".SS %s\n", o->group);
        option_entry(o, args);
    }
    (void)printf(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nshow a summary of the options\n");
}

static void man_page(const cxr_command *c, const void *args)
{
    (void)printf(".\\\" Written by tools/describe.c from the option tables in cli/; do not edit.\n.TH CXR\\-");
    for (const char *p = c->name; *p != '\0'; p++) (void)putchar(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    (void)printf(" 1 %s cxr \"User Commands\"\n.SH NAME\ncxr\\-", MANUAL_DATE);
    roff(c->name);
    (void)printf(" \\- %s\n.SH SYNOPSIS\n", c->summary);
    for (int i = 0; i < 3 && c->synopsis[i] != NULL; i++) {
        (void)printf("%s.B cxr ", i > 0 ? ".br\n" : "");
        roff(c->name);
        (void)putchar('\n');
        roff(c->synopsis[i]);
        (void)putchar('\n');
    }
    (void)printf(".SH DESCRIPTION\n");
    prose(c->about);
    man_options(c, args);
    (void)printf(".SH EXIT STATUS\nAs listed in\n.BR cxr (1).\n.SH EXAMPLES\n");
    for (int i = 0; i < 2 && c->examples[i].what != NULL; i++) {
        (void)printf(".TP\n");
        roff(c->examples[i].what);
        (void)printf("\n.nf\n");
        roff(c->examples[i].command);
        (void)printf("\n.fi\n");
    }
    (void)printf(".SH SEE ALSO\n.BR cxr (1)\n");
}

/* ---- Completion (bash) ---- */

/* What may be completed of "word|word|PLACEHOLDER": not the placeholders, which are in capitals. */
static void print_words(const char *choices)
{
    (void)printf(" words=\"");
    for (const char *p = choices; *p != '\0';) {
        const size_t n = strcspn(p, "|");
        if (*p >= 'a' && *p <= 'z') (void)printf("%.*s ", (int)n, p);
        p += n + (p[n] == '|');
    }
    (void)putchar('"');
}

static void completion_options(const cxr_command *c)
{
    (void)printf("    %s)\n        options=\"", c->name);
    for (int i = 0; i < c->option_count; i++) (void)printf("--%s ", c->options[i].name);
    (void)printf("--help\"\n        case $prev in\n");
    for (int i = 0; i < c->option_count; i++) {
        const cxr_option *o = &c->options[i];
        if (o->kind == CXR_ARG_FLAG) continue;
        char value[128];
        cxr_option_value(o, value, sizeof value);
        (void)printf("        --%s", o->name);
        if (o->letter != 0) (void)printf(" | -%c", o->letter);
        const bool folder = strcmp(value, "DIR") == 0 || strcmp(value, "RUN") == 0;
        const bool file = strstr(value, "FILE") != NULL;
        (void)printf(") %s", folder ? "kind='folder'" : file ? "kind='file'" : "kind='word'");
        if (o->words != NULL || strchr(value, '|') != NULL) print_words(value);
        (void)printf(" ;;\n");
    }
    (void)printf("        esac\n        ;;\n");
}

static void completion(void)
{
    (void)printf("# bash completion for cxr. Written by tools/describe.c from the option tables in cli/; do not edit.\n"
                 "_cxr()\n{\n"
                 "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}\n"
                 "    local options='' words='' kind='operand' verbs='");
    for (const cxr_command *const *c = cxr_commands; *c != NULL; c++) (void)printf("%s ", (*c)->name);
    (void)printf("help'\n    COMPREPLY=()\n"
                 "    if ((COMP_CWORD == 1)); then\n"
                 "        mapfile -t COMPREPLY < <(compgen -W \"$verbs --help --version\" -- \"$cur\")\n"
                 "        return\n    fi\n"
                 "    case $verb in\n    help) options=$verbs kind='word' words=$verbs ;;\n");
    for (const cxr_command *const *c = cxr_commands; *c != NULL; c++) completion_options(*c);
    (void)printf("    esac\n"
                 "    if [[ $kind == operand && $cur == -* ]]; then\n"
                 "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
                 "        return\n    fi\n"
                 "    [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                 "    case $kind in\n"
                 "    folder)\n        compopt -o filenames 2>/dev/null\n"
                 "        mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -d -- \"$cur\")\n        ;;\n"
                 "    file | operand)\n        compopt -o filenames 2>/dev/null\n"
                 "        mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"$cur\")\n        ;;\n"
                 "    esac\n}\ncomplete -F _cxr cxr\n");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "completion") == 0) {
        completion();
        return fflush(stdout) != 0;
    }
    if (argc == 2 && strcmp(argv[1], "verbs") == 0) {
        for (const cxr_command *const *c = cxr_commands; *c != NULL; c++) (void)printf("%s\n", (*c)->name);
        return fflush(stdout) != 0;
    }
    const cxr_command *c = argc == 3 && strcmp(argv[1], "man") == 0 ? cxr_command_find(argv[2]) : NULL;
    void *args = c != NULL ? cxr_command_args(c) : NULL;
    if (args == NULL) {
        (void)fprintf(stderr, "usage: describe man VERB | describe completion | describe verbs\n");
        return 2;
    }
    man_page(c, args);
    free(args);
    return fflush(stdout) != 0;
}
