"""docs/PERFORMANCE.md, written wholly from the rows that are kept."""
import statistics


def spread(figures, show="{:.2f}".format):
    """Median, and the range of more than one."""
    text = show(statistics.median(figures))
    return text + (f" ({show(min(figures))}–{show(max(figures))})" if len(figures) > 1 else "")


def signed(row):
    """What a row has to show, its goal, and whether it is met, as cells."""
    goals, met = [], True
    if row.peers:
        text = spread(row.ratios())
        if row.goal is not None:
            goals.append(f"{row.goal:.3g}")
            met = statistics.median(row.ratios()) >= row.goal
    elif row.unit == "times":
        text = spread(row.ours)
    else:
        text = f"{row.show(row.ours)} {row.unit}"
    if row.most is not None:
        goals.append(f"≤ {row.most * row.scale:g}" + ("" if row.unit == "times" else f" {row.unit}"))
        met = met and statistics.median(row.ours) <= row.most
    if row.least_share is not None:
        goals.append(f"≥ {100 * row.least_share:.0f} % of limit")
        met = met and statistics.median(row.limit) >= row.least_share
    return text, ", ".join(goals), ("yes" if met else "no") if goals else ""


def alone(row):
    """The ratio that the convolutions by themselves would reach: no network of them is faster."""
    if not row.limit or not row.peers:
        return "", ""
    share = statistics.median(row.limit)
    return f"{100 * share:.0f} %", f"{statistics.median(row.ratios()) / share:.2f}"


def line(*cells):
    return "| " + " | ".join(cells) + " |"


def table(rows):
    yield line("work", "against", "ratio (range)", "goal", "met", "cxr", "best peer", "share of limit", "limit's ratio")
    yield line(*["---"] * 9)
    for row in rows:
        if row.missing:
            yield line(row.work, row.against, "–", "", "–", "–", row.missing, "", "")
            continue
        ratio, goal, met = signed(row)
        peer = f"{row.show(row.peers[row.best()])} ({row.best()})" if row.peers else ""
        yield line(row.work, row.against, ratio, goal, met, f"{row.show(row.ours)} {row.unit}", peer, *alone(row))


def details(rows):
    yield line("work", "contender", "median", "range over the rounds")
    yield line(*["---"] * 4)
    for row in rows:
        for name, figures in {"**cxr**": row.ours, **row.peers, **row.information}.items():
            if not row.missing and len(figures) > 1:
                ends = sorted((row.show([min(figures)]), row.show([max(figures)])), key=float)
                yield line(row.work, name, f"{row.show(figures)} {row.unit}", "–".join(ends))


def equality(rows):
    yield line("work", "largest change", "at most", "same decision", "at least", "AUROC", "loss of it", "at most", "met",
               "OpenVINO's largest change", "loss of AUROC")
    yield line(*["---"] * 11)
    for row in rows:
        if row.equality and not row.missing:
            cells = row.equality["cells"]
            yield line(row.work, *cells[:7], "yes" if row.equality["met"] else "no", *cells[7:])


HEAD = """# Performance

Written by `bench/peers.sh`; do not edit. cxr and its peers measured in turn, on the same work, threads, images and precision.
A ratio is the best peer's time over ours (of memory: its size over ours), the median over the rounds with the range in
brackets; above 1 cxr is ahead. Peers run in their best setting, found by trying: of OpenVINO latency and throughput hints and
the batch in pieces, of PyTorch channels-last, `torch.compile`, autocast and loader workers.

"share of limit" is how near cxr comes to the network's convolutions by themselves, each run by the fastest kernel that oneDNN has
for its shape, in the same process; "limit's ratio" is the ratio that those alone would have, with nothing between them. Inference
and steps of fine-tuning are timed in steady state inside a process, from pixels that are ready: cxr's of one channel, the peers' of
the three that their network takes. Epochs run from JPEG files, validation included; memory is the peak of a whole process.
"""
EQUALITY = """The model on the test images, in each row's precision and batch size, against the same model in PyTorch, f32: changes of the
probability, decisions at the model's threshold, area under the ROC curve.
"""


def write(path, machine, rows, counted, command):
    parts = [HEAD, "## The machine and the libraries\n", *machine, "", "## Ratios\n", *table(rows), "",
             "## Equality\n", EQUALITY, *equality(rows), "", "## Every contender\n", *details(rows), "",
             "## Counted work\n", counted.strip(), ""]
    notes = [f"- {row.work}, {row.against}: {note}" for row in rows for note in row.notes]
    if notes:
        parts += ["## Notes\n", *notes, ""]
    parts += ["## Again\n", "```sh", command, "```"]
    with open(path, "w") as f:
        f.write("\n".join(parts) + "\n")
