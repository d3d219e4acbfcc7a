/* Exceptions end here: memory is the only reason for one but toml++'s own, and both become a status. */
#include "tune/toml.h"
#include <cmath>
#include <new>
#include <string>
#include <toml++/toml.h>

namespace
{

/* What is wrong, and the line. */
struct fault {
    std::string text;
    unsigned line;
};

struct reader {
    json_t *lines;
    json_t *convert(const toml::node &node, const std::string &key, int depth);
    json_t *table(const toml::table &t, const std::string &key, int depth);
    json_t *array(const toml::array &a, const std::string &key, int depth);
};

unsigned line_of(const toml::node &node)
{
    return node.source().begin.line;
}

json_t *present(json_t *value)
{
    if (value == nullptr) throw std::bad_alloc();
    return value;
}

/* What jansson holds is freed on the way out of an exception too. */
struct owned {
    json_t *value;
    explicit owned(json_t *v) : value(present(v)) {}
    owned(const owned &) = delete;
    owned &operator=(const owned &) = delete;
    ~owned() { json_decref(value); }
    json_t *take()
    {
        json_t *v = value;
        value = nullptr;
        return v;
    }
};

json_t *string(const std::string &text, const toml::node &node)
{
    if (text.find('\0') != std::string::npos) throw fault{"text must not hold a NUL", line_of(node)};
    json_t *value = json_stringn(text.data(), text.size());
    if (value == nullptr) throw fault{"text must be UTF-8", line_of(node)};
    return value;
}

json_t *real(double x, const toml::node &node)
{
    if (!std::isfinite(x)) throw fault{"a number must be finite", line_of(node)};
    return present(json_real(x));
}

json_t *reader::table(const toml::table &t, const std::string &key, int depth)
{
    owned object(json_object());
    for (const auto &[k, node] : t) {
        const std::string name(k.str()), path = key.empty() ? name : key + "." + name;
        if (name.find('\0') != std::string::npos) throw fault{"a key must not hold a NUL", line_of(node)};
        owned value(convert(node, path, depth));
        owned line(json_integer(static_cast<json_int_t>(line_of(node))));
        if (json_object_setn_new(object.value, name.data(), name.size(), value.take()) != 0 ||
            json_object_setn_new(lines, path.data(), path.size(), line.take()) != 0)
            throw fault{"a key must be UTF-8", line_of(node)};
    }
    return object.take();
}

json_t *reader::array(const toml::array &a, const std::string &key, int depth)
{
    owned list(json_array());
    for (const toml::node &node : a) {
        owned value(convert(node, key, depth));
        if (json_array_append_new(list.value, value.take()) != 0) throw std::bad_alloc();
    }
    return list.take();
}

json_t *reader::convert(const toml::node &node, const std::string &key, int depth)
{
    if ((node.is_table() || node.is_array()) && depth >= CXR_TOML_DEPTH)
        throw fault{"more than " + std::to_string(CXR_TOML_DEPTH) + " tables and arrays inside one another", line_of(node)};
    switch (node.type()) {
    case toml::node_type::table: return table(*node.as_table(), key, depth + 1);
    case toml::node_type::array: return array(*node.as_array(), key, depth + 1);
    case toml::node_type::string: return string(node.as_string()->get(), node);
    case toml::node_type::integer: return present(json_integer(static_cast<json_int_t>(node.as_integer()->get())));
    case toml::node_type::floating_point: return real(node.as_floating_point()->get(), node);
    case toml::node_type::boolean: return present(json_boolean(node.as_boolean()->get()));
    default: throw fault{"a date or time is no setting", line_of(node)};
    }
}

void parse(cxr_toml *out, const char *text, size_t len)
{
    const toml::table document = toml::parse(std::string_view(text, len));
    owned lines(json_object());
    reader r{lines.value};
    out->root = r.table(document, "", 1);
    out->lines = lines.take();
}

/* What toml++ is not asked: whether it is too much; and bytes that bring version 3.3 to undefined behaviour outside of strings
 * and comments (letters outside ASCII) or to a failing assertion (control characters). Inside strings both can be escaped. */
cxr_status check_text(const char *text, size_t len, const char *name, cxr_error *err)
{
    if (len > CXR_TOML_BYTES) return cxr_fail(err, CXR_ELIMIT, "%s: %zu bytes, limit %d", name, len, CXR_TOML_BYTES);
    size_t dots = 0;
    unsigned line = 1;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = static_cast<unsigned char>(text[i]);
        if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || c > '~')
            return cxr_fail(err, CXR_EDATA,
                            "%s: line %u: byte %u is no printable ASCII; in a string it can stand as \\u00E9 does", name, line,
                            static_cast<unsigned>(c));
        dots += c == '.';
        line += c == '\n';
    }
    if (dots > CXR_TOML_DOTS)
        return cxr_fail(err, CXR_ELIMIT, "%s: %zu dots, limit %d: dotted keys could nest too deep", name, dots, CXR_TOML_DOTS);
    return CXR_OK;
}

/* Other people's sentences may hold bytes of the file. */
std::string printable(std::string_view text)
{
    std::string out(text.substr(0, 400));
    for (char &c : out)
        if (c < ' ' || c > '~') c = '?';
    return out;
}

} // namespace

cxr_status cxr_toml_parse(cxr_toml *out, const char *text, size_t len, const char *name, cxr_error *err)
{
    *out = cxr_toml{nullptr, nullptr};
    const cxr_status st = check_text(text, len, name, err);
    if (st != CXR_OK) return st;
    try {
        parse(out, text, len);
        return CXR_OK;
    } catch (const fault &f) {
        return cxr_fail(err, CXR_EDATA, "%s: line %u: %s", name, f.line, f.text.c_str());
    } catch (const toml::parse_error &e) {
        return cxr_fail(err, CXR_EDATA, "%s: line %u: %s", name, e.source().begin.line, printable(e.description()).c_str());
    } catch (const std::bad_alloc &) {
        return cxr_fail(err, CXR_ENOMEM, "%s: memory is exhausted", name);
    } catch (...) {
        return cxr_fail(err, CXR_EINTERNAL, "%s: the TOML parser failed", name);
    }
}

void cxr_toml_free(cxr_toml *t)
{
    json_decref(t->root);
    json_decref(t->lines);
    *t = cxr_toml{nullptr, nullptr};
}

int cxr_toml_line(const cxr_toml *t, const char *key)
{
    return static_cast<int>(json_integer_value(json_object_get(t->lines, key)));
}
