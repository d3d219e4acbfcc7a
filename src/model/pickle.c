#include "model/pickle.h"
#include "base/mem.h"
#include "model/formats.h"
#include <stdio.h>
#include <string.h>

#define VALUE_MAX ((size_t)1 << 20) /* objects of one pickle, entries of its stack and of its memo */

enum { ORDERED_DICT, REBUILD_TENSOR, REBUILD_TENSOR_V2, REBUILD_PARAMETER, FIRST_STORAGE };

static const struct {
    const char *module, *name;
} globals[] = {
    {"collections", "OrderedDict"},
    {"torch._utils", "_rebuild_tensor"},
    {"torch._utils", "_rebuild_tensor_v2"},
    {"torch._utils", "_rebuild_parameter"},
    {"torch", "FloatStorage"},
    {"torch", "HalfStorage"},
    {"torch", "BFloat16Storage"},
    {"torch", "DoubleStorage"},
    {"torch", "LongStorage"},
    {"torch", "IntStorage"},
    {"torch", "ShortStorage"},
    {"torch", "CharStorage"},
    {"torch", "ByteStorage"},
    {"torch", "BoolStorage"},
};
static const char *const storage_stems[] = {"Float", "Half",  "BFloat16", "Double", "Long",
                                            "Int",   "Short", "Char",     "Byte",   "Bool"};

typedef struct machine {
    const uint8_t *at, *end;
    const char *path;
    cxr_pickle *out;
    cxr_pickle_value **stack, **memo;
    size_t depth, stack_room, memo_room, memo_count;
    cxr_error *err;
    bool stopped;
} machine;

static const cxr_pickle_value mark_value = {.kind = CXR_PICKLE_MARK};

/* ---- Failures and memory ---- */

static cxr_status broken(machine *m, const char *what)
{
    return cxr_fail(m->err, CXR_EDATA, "%s: damaged pickle: %s", m->path, what);
}

static cxr_status too_large(machine *m)
{
    return cxr_fail(m->err, CXR_ELIMIT, "%s: the pickle holds more than %zu objects", m->path, VALUE_MAX);
}

/* Makes room for `need` elements of an array that is VALUE_MAX long at most. */
static cxr_status reserve(machine *m, void **items, size_t *room, size_t need, size_t size)
{
    if (need <= *room) return CXR_OK;
    if (need > VALUE_MAX) return too_large(m);
    size_t more = *room < 8 ? 8 : *room * 2;
    while (more < need) more *= 2;
    void *p = cxr_mem_resize(*items, more, size);
    if (p == NULL) return cxr_mem_fail(m->err, "a pickle");
    memset((char *)p + *room * size, 0, (more - *room) * size);
    *items = p;
    *room = more;
    return CXR_OK;
}

static cxr_status push(machine *m, cxr_pickle_value *v)
{
    const cxr_status st = reserve(m, (void **)&m->stack, &m->stack_room, m->depth + 1, sizeof *m->stack);
    if (st == CXR_OK) m->stack[m->depth++] = v;
    return st;
}

/* A new value on the stack. */
static cxr_status push_new(machine *m, cxr_pickle_value v)
{
    cxr_pickle *out = m->out;
    cxr_status st = reserve(m, (void **)&out->values, &out->room, out->count + 1, sizeof *out->values);
    if (st != CXR_OK) return st;
    cxr_pickle_value *copy = cxr_mem_new(1, sizeof *copy);
    if (copy == NULL) return cxr_mem_fail(m->err, "a pickle");
    *copy = v;
    out->values[out->count++] = copy;
    return push(m, copy);
}

static cxr_status add_items(machine *m, cxr_pickle_value *to, cxr_pickle_value *const *items, size_t count)
{
    const cxr_status st = reserve(m, (void **)&to->items, &to->room, to->count + count, sizeof *to->items);
    if (st != CXR_OK) return st;
    for (size_t i = 0; i < count; i++) to->items[to->count++] = items[i];
    return CXR_OK;
}

/* The topmost value; NULL when there is none or it is a mark. */
static cxr_pickle_value *top(const machine *m)
{
    return m->depth == 0 || m->stack[m->depth - 1]->kind == CXR_PICKLE_MARK ? NULL : m->stack[m->depth - 1];
}

static cxr_pickle_value *pop(machine *m)
{
    cxr_pickle_value *v = top(m);
    if (v != NULL) m->depth--;
    return v;
}

/* Index of the topmost mark; SIZE_MAX when there is none. */
static size_t find_mark(const machine *m)
{
    size_t i = m->depth;
    while (i > 0 && m->stack[i - 1]->kind != CXR_PICKLE_MARK) i--;
    return i - 1;
}

/* `bytes` bytes of argument; NULL when the pickle ends before. */
static const uint8_t *take(machine *m, uint64_t bytes)
{
    if (bytes > (uint64_t)(m->end - m->at)) return NULL;
    const uint8_t *p = m->at;
    m->at += bytes;
    return p;
}

/* ---- Opcodes ---- */

static cxr_status op_int(machine *m, int bytes, bool is_signed)
{
    const uint8_t *p = take(m, (uint64_t)bytes);
    if (p == NULL) return broken(m, "ends within a number");
    const uint64_t v = cxr_load_le(p, bytes);
    return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_INT, .integer = is_signed ? (int32_t)v : (int64_t)v});
}

/* LONG1: a length byte, then two's complement, little-endian. */
static cxr_status op_long(machine *m)
{
    const uint8_t *len = take(m, 1), *p = len == NULL ? NULL : take(m, *len);
    if (p == NULL) return broken(m, "ends within a number");
    if (*len > 8) return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_LONG, .text = (const char *)p, .text_len = *len});
    uint64_t v = cxr_load_le(p, *len);
    if (*len > 0 && *len < 8 && (p[*len - 1] & 0x80) != 0) v |= UINT64_MAX << (8 * *len);
    return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_INT, .integer = (int64_t)v});
}

static cxr_status op_text(machine *m, int len_bytes)
{
    const uint8_t *len = take(m, (uint64_t)len_bytes);
    const uint8_t *p = len == NULL ? NULL : take(m, cxr_load_le(len, len_bytes));
    if (p == NULL) return broken(m, "ends within a text");
    const size_t n = (size_t)(m->at - p);
    return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_TEXT, .text = (const char *)p, .text_len = n});
}

static bool same(const char *text, size_t len, const char *other)
{
    return strlen(other) == len && memcmp(text, other, len) == 0;
}

static cxr_status push_global(machine *m, const char *module, size_t module_len, const char *name, size_t name_len)
{
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++)
        if (same(module, module_len, globals[i].module) && same(name, name_len, globals[i].name))
            return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_GLOBAL, .integer = (int64_t)i});
    char shown[2][64];
    cxr_printable(shown[0], sizeof shown[0], module, module_len);
    cxr_printable(shown[1], sizeof shown[1], name, name_len);
    return cxr_fail(m->err, CXR_EDATA, "%s: refused: the pickle asks for %s.%s, which no dictionary of tensors needs", m->path,
                    shown[0], shown[1]);
}

static const char *take_line(machine *m, size_t *len)
{
    const uint8_t *newline = memchr(m->at, '\n', (size_t)(m->end - m->at));
    if (newline == NULL) return NULL;
    const char *line = (const char *)m->at;
    *len = (size_t)(newline - m->at);
    m->at = newline + 1;
    return line;
}

static cxr_status op_global(machine *m)
{
    size_t module_len = 0, name_len = 0;
    const char *module = take_line(m, &module_len);
    const char *name = module == NULL ? NULL : take_line(m, &name_len);
    return name == NULL ? broken(m, "ends within a name") : push_global(m, module, module_len, name, name_len);
}

static cxr_status op_stack_global(machine *m)
{
    const cxr_pickle_value *name = pop(m), *module = pop(m);
    if (name == NULL || module == NULL || name->kind != CXR_PICKLE_TEXT || module->kind != CXR_PICKLE_TEXT)
        return broken(m, "a global's name is not two texts");
    return push_global(m, module->text, module->text_len, name->text, name->text_len);
}

/* The topmost `count` values become a tuple. */
static cxr_status op_tuple(machine *m, size_t count)
{
    if (count > m->depth) return broken(m, "a tuple of more than there is");
    const size_t first = m->depth - count;
    for (size_t i = first; i < m->depth; i++)
        if (m->stack[i]->kind == CXR_PICKLE_MARK) return broken(m, "a tuple across a mark");
    cxr_pickle_value tuple = {.kind = CXR_PICKLE_TUPLE};
    cxr_status st = add_items(m, &tuple, m->stack + first, count);
    m->depth = first;
    const size_t before = m->out->count;
    if (st == CXR_OK) st = push_new(m, tuple);
    if (m->out->count == before) cxr_mem_free(tuple.items); /* not taken over */
    return st;
}

static cxr_status op_tuple_to_mark(machine *m)
{
    const size_t mark = find_mark(m);
    if (mark == SIZE_MAX) return broken(m, "a tuple without its mark");
    const size_t count = m->depth - mark - 1;
    const cxr_status st = op_tuple(m, count);
    if (st != CXR_OK) return st;
    m->stack[mark] = m->stack[mark + 1];
    m->depth = mark + 1;
    return CXR_OK;
}

/* The values from `first` on go into the container, and leave it on top. */
static cxr_status extend(machine *m, size_t container, size_t first, cxr_pickle_kind kind)
{
    cxr_pickle_value *to = m->stack[container];
    const size_t count = m->depth - first; /* none of them a mark */
    if (to->kind != kind || (kind == CXR_PICKLE_DICT && count % 2 != 0)) return broken(m, "items for something else");
    const cxr_status st = add_items(m, to, m->stack + first, count);
    m->depth = container + 1;
    return st;
}

static cxr_status op_extend_to_mark(machine *m, cxr_pickle_kind kind)
{
    const size_t mark = find_mark(m);
    if (mark == SIZE_MAX || mark == 0) return broken(m, "items without their mark");
    return extend(m, mark - 1, mark + 1, kind);
}

static cxr_status op_extend(machine *m, size_t count, cxr_pickle_kind kind)
{
    if (m->depth < count + 1) return broken(m, "items without a container");
    for (size_t i = m->depth - count - 1; i < m->depth; i++)
        if (m->stack[i]->kind == CXR_PICKLE_MARK) return broken(m, "items across a mark");
    return extend(m, m->depth - count - 1, m->depth - count, kind);
}

/* One value on the stack becomes a storage or tensor that holds it. */
static cxr_status wrap(machine *m, cxr_pickle_kind kind, cxr_pickle_value *args)
{
    cxr_status st = push_new(m, (cxr_pickle_value){.kind = kind});
    if (st == CXR_OK) st = add_items(m, m->stack[m->depth - 1], &args, 1);
    return st;
}

static cxr_status op_persistent_id(machine *m)
{
    cxr_pickle_value *id = pop(m);
    if (id == NULL || id->kind != CXR_PICKLE_TUPLE) return broken(m, "a storage is not described by a tuple");
    return wrap(m, CXR_PICKLE_STORAGE, id);
}

static cxr_status op_reduce(machine *m)
{
    cxr_pickle_value *args = pop(m);
    const cxr_pickle_value *callee = pop(m);
    if (args == NULL || args->kind != CXR_PICKLE_TUPLE || callee == NULL || callee->kind != CXR_PICKLE_GLOBAL)
        return broken(m, "a call of no known function");
    switch (callee->integer) {
    case ORDERED_DICT:
        if (args->count != 0) return broken(m, "OrderedDict with arguments");
        return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_DICT});
    case REBUILD_TENSOR:
    case REBUILD_TENSOR_V2:
        if (args->count < 4) return broken(m, "a tensor of too few arguments");
        return wrap(m, CXR_PICKLE_TENSOR, args);
    case REBUILD_PARAMETER:
        if (args->count == 0 || args->items[0]->kind != CXR_PICKLE_TENSOR) return broken(m, "a parameter that is no tensor");
        return wrap(m, CXR_PICKLE_TENSOR, (cxr_pickle_value *)args->items[0]->items[0]);
    default: return broken(m, "a storage class is called");
    }
}

/* Only the attributes of an OrderedDict (`_metadata`), which say nothing about tensors: dropped. */
static cxr_status op_build(machine *m)
{
    const cxr_pickle_value *attributes = pop(m), *to = top(m);
    if (attributes == NULL || attributes->kind != CXR_PICKLE_DICT || to == NULL || to->kind != CXR_PICKLE_DICT)
        return broken(m, "attributes of something else than a dictionary");
    return CXR_OK;
}

static cxr_status memo_put(machine *m, uint64_t index)
{
    cxr_pickle_value *v = top(m);
    if (v == NULL) return broken(m, "nothing to remember");
    if (index >= VALUE_MAX) return too_large(m);
    const cxr_status st = reserve(m, (void **)&m->memo, &m->memo_room, (size_t)index + 1, sizeof *m->memo);
    if (st != CXR_OK) return st;
    if (m->memo[index] == NULL) m->memo_count++;
    m->memo[index] = v;
    return CXR_OK;
}

static cxr_status op_put(machine *m, int bytes)
{
    const uint8_t *p = take(m, (uint64_t)bytes);
    return p == NULL ? broken(m, "ends within a number") : memo_put(m, cxr_load_le(p, bytes));
}

static cxr_status op_get(machine *m, int bytes)
{
    const uint8_t *p = take(m, (uint64_t)bytes);
    if (p == NULL) return broken(m, "ends within a number");
    const uint64_t index = cxr_load_le(p, bytes);
    if (index >= m->memo_room || m->memo[index] == NULL) return broken(m, "remembers what was never there");
    return push(m, m->memo[index]);
}

static cxr_status op_skip(machine *m, int bytes)
{
    return take(m, (uint64_t)bytes) == NULL ? broken(m, "ends within an argument") : CXR_OK;
}

static cxr_status op_protocol(machine *m)
{
    const uint8_t *version = take(m, 1);
    if (version == NULL) return broken(m, "ends within its header");
    if (*version < 2 || *version > 5)
        return cxr_fail(m->err, CXR_EDATA, "%s: pickle protocol %d is not supported", m->path, *version);
    return CXR_OK;
}

static cxr_status op_stop(machine *m)
{
    m->out->root = pop(m);
    if (m->out->root == NULL || m->depth != 0) return broken(m, "does not end with one value");
    m->stopped = true;
    return CXR_OK;
}

static cxr_status step(machine *m, uint8_t opcode)
{
    switch (opcode) {
    case 0x80: return op_protocol(m);
    case 0x95: return op_skip(m, 8); /* FRAME: its length serves streaming only */
    case '.': return op_stop(m);
    case '(': return push(m, (cxr_pickle_value *)&mark_value);
    case 'N': return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_NONE});
    case 0x88: return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_BOOL, .integer = 1});
    case 0x89: return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_BOOL});
    case 'J': return op_int(m, 4, true);
    case 'K': return op_int(m, 1, false);
    case 'M': return op_int(m, 2, false);
    case 0x8a: return op_long(m);
    case 'G': /* BINFLOAT: no tensor needs its value */
        return op_skip(m, 8) != CXR_OK ? CXR_EDATA : push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_FLOAT});
    case 'X': return op_text(m, 4);
    case 0x8c: return op_text(m, 1);
    case ')': return op_tuple(m, 0);
    case 0x85: return op_tuple(m, 1);
    case 0x86: return op_tuple(m, 2);
    case 0x87: return op_tuple(m, 3);
    case 't': return op_tuple_to_mark(m);
    case ']': return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_LIST});
    case 'a': return op_extend(m, 1, CXR_PICKLE_LIST);
    case 'e': return op_extend_to_mark(m, CXR_PICKLE_LIST);
    case '}': return push_new(m, (cxr_pickle_value){.kind = CXR_PICKLE_DICT});
    case 's': return op_extend(m, 2, CXR_PICKLE_DICT);
    case 'u': return op_extend_to_mark(m, CXR_PICKLE_DICT);
    case 'q': return op_put(m, 1);
    case 'r': return op_put(m, 4);
    case 0x94: return memo_put(m, m->memo_count);
    case 'h': return op_get(m, 1);
    case 'j': return op_get(m, 4);
    case 'c': return op_global(m);
    case 0x93: return op_stack_global(m);
    case 'Q': return op_persistent_id(m);
    case 'R': return op_reduce(m);
    case 'b': return op_build(m);
    default:
        return cxr_fail(m->err, CXR_EDATA, "%s: refused: pickle opcode 0x%02x, which no dictionary of tensors needs", m->path,
                        opcode);
    }
}

cxr_status cxr_pickle_load(cxr_pickle *out, const uint8_t *data, size_t len, const char *path, cxr_error *err)
{
    *out = (cxr_pickle){0};
    machine m = {.at = data, .end = data + len, .path = path, .out = out, .err = err};
    cxr_status st = len >= 2 && data[0] == 0x80 ? CXR_OK : broken(&m, "does not say its protocol");
    if (st == CXR_OK) st = reserve(&m, (void **)&m.stack, &m.stack_room, 1, sizeof *m.stack);
    while (st == CXR_OK && !m.stopped) {
        const uint8_t *opcode = take(&m, 1);
        st = opcode == NULL ? broken(&m, "ends too early: truncated?") : step(&m, *opcode);
    }
    out->length = (size_t)(m.at - data);
    cxr_mem_free(m.stack);
    cxr_mem_free(m.memo);
    if (st != CXR_OK) cxr_pickle_free(out);
    return st;
}

void cxr_pickle_free(cxr_pickle *p)
{
    for (size_t i = 0; i < p->count; i++) {
        cxr_mem_free(p->values[i]->items);
        cxr_mem_free(p->values[i]);
    }
    cxr_mem_free(p->values);
    *p = (cxr_pickle){0};
}

bool cxr_pickle_is_text(const cxr_pickle_value *v, const char *text)
{
    return v->kind == CXR_PICKLE_TEXT && same(v->text, v->text_len, text);
}

const cxr_pickle_value *cxr_pickle_get(const cxr_pickle_value *v, const char *key)
{
    if (v == NULL || v->kind != CXR_PICKLE_DICT) return NULL;
    for (size_t i = v->count; i >= 2; i -= 2) /* the last of equal keys counts, as in Python */
        if (cxr_pickle_is_text(v->items[i - 2], key)) return v->items[i - 1];
    return NULL;
}

const char *cxr_pickle_storage_class(const cxr_pickle_value *v)
{
    return v->kind == CXR_PICKLE_GLOBAL && v->integer >= FIRST_STORAGE ? storage_stems[v->integer - FIRST_STORAGE] : NULL;
}
