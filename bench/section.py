"""A part of a Markdown file that a script writes: what stands between <!-- NAME --> and <!-- /NAME -->."""


def replace(path, name, lines):
    with open(path) as f:
        before, begin, rest = f.read().partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->\n")
    if not begin or not end:
        raise SystemExit(f"{path}: has no part <!-- {name} -->")
    with open(path, "w") as f:
        f.write(before + begin + "\n".join(lines) + "\n" + end + after)
