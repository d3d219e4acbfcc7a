/* The command line as data. One table per verb drives the parser, --help, the manual pages and shell completion, so that they
 * cannot disagree. An option's kind follows from the type of the field it fills; its default is whatever the defaults put
 * there. */
#ifndef CXR_CLI_ARGS_H
#define CXR_CLI_ARGS_H
#include "cxr/cxr.h"
#include <stdio.h>

#define CXR_MAX_OPTIONS 128

typedef enum cxr_arg_kind {
    CXR_ARG_FLAG, /* bool; takes no value */
    CXR_ARG_INT,
    CXR_ARG_UINT64,
    CXR_ARG_FLOAT,
    CXR_ARG_DOUBLE,
    CXR_ARG_TEXT, /* const char *, lent from argv; one of `words` where there are any */
    CXR_ARG_ENUM  /* the index in `words` */
} cxr_arg_kind;

/* The designated initialisers that tie an option to field `f` of the verb's argument struct T. */
#define CXR_FILLS(T, f)                                                                                                        \
    .offset = offsetof(T, f), .kind = _Generic(((T *)0)->f, bool                                                               \
                                               : CXR_ARG_FLAG, int                                                             \
                                               : CXR_ARG_INT, uint64_t                                                         \
                                               : CXR_ARG_UINT64, float                                                         \
                                               : CXR_ARG_FLOAT, double                                                         \
                                               : CXR_ARG_DOUBLE, const char *                                                  \
                                               : CXR_ARG_TEXT, unsigned                                                        \
                                               : CXR_ARG_ENUM)

typedef enum cxr_open { CXR_CLOSED = 0, CXR_OPEN_LOW = 1, CXR_OPEN_HIGH = 2 } cxr_open; /* ends a range leaves out */

typedef struct cxr_option {
    const char *name; /* long, without dashes */
    char letter;      /* short, or 0 */
    cxr_arg_kind kind;
    const char *value; /* what help calls the value; NULL for a flag or where `words` are shown */
    size_t offset;
    double low, high; /* of a number; both 0: any; as the library checks them again */
    cxr_open open;
    const char *const *words; /* NULL-terminated */
    const char *group;        /* heading of this and the following options */
    const char *help;         /* no full stop; range and default are added */
    bool first;               /* applied before all others, wherever it stands */
    /* Takes the value itself, for what no kind describes: NULL when fine, else what was expected. */
    const char *(*parse)(void *args, const char *text);
    /* Writes the default of an option with `parse`; or NULL. */
    void (*show)(const void *args, char *out, size_t room);
} cxr_option;

typedef struct cxr_given {
    char **operands; /* lent from argv */
    int operand_count;
    bool help;
    bool options[CXR_MAX_OPTIONS]; /* which of the command's were given */
    bool any_option;
} cxr_given;

typedef struct cxr_example {
    const char *what, *command;
} cxr_example;

typedef struct cxr_command {
    const char *name;
    const char *summary;     /* one line, no full stop */
    const char *synopsis[3]; /* what follows "cxr NAME"; NULL-terminated unless full */
    const char *about;       /* paragraphs, separated by an empty line */
    cxr_example examples[2];
    const cxr_option *options;
    int option_count;             /* at most CXR_MAX_OPTIONS */
    int operand_min, operand_max; /* max -1: any */
    const char *operand;          /* its name in messages */
    size_t args_size;
    void (*defaults)(void *args);
    cxr_status (*run)(void *args, const cxr_given *given, cxr_error *err);
} cxr_command;

/* Parses argv[1..] into `args`, which holds the defaults. Stops early when help is asked for. CXR_EUSAGE with its sentence. */
CXR_MUST_CHECK cxr_status cxr_args_parse(const cxr_command *c, int argc, char **argv, void *args, cxr_given *given,
                                         cxr_error *err);
bool cxr_args_given(const cxr_command *c, const cxr_given *given, const char *option);
/* Strict decimal number: digits only; false when it is not one or outside lo..hi. */
bool cxr_parse_uint(const char *text, uint64_t lo, uint64_t hi, uint64_t *out);
/* The name nearest to `text` by edit distance, or NULL when none is near. `names` is NULL-terminated. */
const char *cxr_nearest(const char *text, const char *const *names);
/* What the option accepts, for a sentence after "must be": "a whole number from 1 to 1024". */
void cxr_option_expects(const cxr_option *o, char *out, size_t room);
/* The range and default as shown in help: "1..1024, default 64"; empty when there is nothing to say. */
void cxr_option_note(const cxr_option *o, const void *args, char *out, size_t room);
/* The value's name in help: "N", "adam|adamw|sgd"; empty for a flag. */
void cxr_option_value(const cxr_option *o, char *out, size_t room);

/* Help of one verb; `args` holds its defaults. Lines are at most `width` columns. */
void cxr_help_command(FILE *f, const cxr_command *c, const void *args, int width);
/* Help of the whole program. */
void cxr_help_program(FILE *f, int width);

/* Every verb, NULL-terminated. */
extern const cxr_command *const cxr_commands[];
const cxr_command *cxr_command_find(const char *name);
/* The verb's argument struct with its defaults, to be freed. */
void *cxr_command_args(const cxr_command *c);
#endif
