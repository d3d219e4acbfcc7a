"""docs/PERFORMANCE.md, written wholly from the rows that are kept."""
import statistics


def signed(row):
    """Ratio, its range, and whether the goal is met, as cells."""
    if not row.peers:
        figure = statistics.median(row.ours)
        text = f"{figure:.2f}" if row.unit == "times" else f"{row.show(row.ours)} {row.unit}"
        if row.unit == "times":
            text = f"{text} ({min(row.ours):.2f}–{max(row.ours):.2f})"
        goal = f"≤ {row.most:g}" + ("" if row.unit == "times" else f" {row.unit}")
        return text, goal, figure <= row.most
    ratios = row.ratios()
    ratio = statistics.median(ratios)
    text = f"{ratio:.2f}" + (f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else "")
    met = row.goal is None or ratio >= row.goal
    goal = "" if row.goal is None else f"{row.goal:.3g}"
    if row.most is not None:
        met = met and statistics.median(row.ours) <= row.most
        goal += f", ≤ {row.most * 1e3:g} ms"
    return text, goal, met


def alone(row):
    """The ratio that the convolutions by themselves would reach: no network of them is faster."""
    if not row.limit or not row.peers:
        return "", ""
    share = statistics.median(row.limit)
    return f"{100 * share:.0f} %", f"{statistics.median(row.ratios()) / share:.2f}"


def table(rows):
    yield "| work | against | ratio (range) | goal | met | cxr | best peer | share of limit | limit's ratio |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        if row.missing:
            yield f"| {row.work} | {row.against} | – | {row.goal or ''} | – | – | {row.missing} | | |"
            continue
        ratio, goal, met = signed(row)
        share, reach = alone(row)
        peer = f"{row.show(row.peers[row.best()])} ({row.best()})" if row.peers else ""
        verdict = "" if row.goal is None and row.most is None else "yes" if met else "no"
        yield (f"| {row.work} | {row.against} | {ratio} | {goal} | {verdict} | {row.show(row.ours)} {row.unit} | {peer} | {share} | "
               f"{reach} |")


def details(rows):
    yield "| work | contender | median | range over the rounds |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        for name, figures in {"**cxr**": row.ours, **row.peers, **row.information}.items():
            if not row.missing and len(figures) > 1:
                ends = sorted((row.show([min(figures)]), row.show([max(figures)])), key=float)
                yield f"| {row.work} | {name} | {row.show(figures)} {row.unit} | {ends[0]}–{ends[1]} |"


def equality(rows):
    yield "| work | on the test images |"
    yield "| --- | --- |"
    for row in rows:
        if row.equality:
            yield f"| {row.work} | {row.equality} |"


HEAD = """# Performance

Written by `bench/peers.sh`; do not edit. cxr and its peers measured in turn, on the same work, threads, images and precision.
A ratio is the best peer's time over ours (of memory: its size over ours), the median over the rounds with the range in
brackets; above 1 cxr is ahead. Peers run in their best setting, found by trying (latency and throughput hints, one and two
streams, channels-last, `torch.compile`, autocast, loader workers).

"share of limit" is how near cxr comes to the network's convolutions by themselves, each run by the fastest kernel that oneDNN has
for its shape, in the same process; "limit's ratio" is the ratio that those alone would have, with nothing between them. Inference
and steps of fine-tuning are timed in steady state inside a process; epochs run from JPEG files, validation included.
"""


def write(path, machine, rows, counted, command):
    parts = [HEAD, "## The machine and the libraries\n", *machine, "", "## Ratios\n", *table(rows), "",
             "## Equality\n", *equality(rows), "", "## Every contender\n", *details(rows), ""]
    if counted:
        parts += ["## Counted work\n", counted.strip(), ""]
    notes = [f"- {row.work}: {note}" for row in rows for note in row.notes]
    if notes:
        parts += ["## Notes\n", *notes, ""]
    parts += ["## Again\n", "```sh", command, "```"]
    with open(path, "w") as f:
        f.write("\n".join(parts) + "\n")
