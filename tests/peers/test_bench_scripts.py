"""What the bench scripts do with figures: verdicts of rows, missing ones, the documents; article_options.py and recipes.py from end to
end, on phantoms."""
import contextlib
import io
import os
import subprocess
import sys
import tempfile

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench")
sys.path[:0] = [BENCH, os.path.join(BENCH, "peers")]

import readme
import recipes
import report
import section
from rounds import Measurement, Missing, Row, interleave, timed


def raises(kind, call):
    try:
        call()
    except kind:
        return True
    return False


def check_verdicts():
    row = Row("r", "work", "rivals", 2.0, unit="images/s", per=64)
    row.take({"cxr": [1.0, 2.0, 1.0], "slow": [9.0, 9.0, 9.0], "fast": [2.0, 3.0, 3.0]})
    assert row.best() == "fast" and report.signed(row) == ("2.00 (1.50–3.00)", "2", "yes")
    row.goal = 2.01
    assert report.signed(row)[2] == "no"
    row.goal, row.least_share, row.limit = 2.0, 0.92, [0.91]
    assert report.signed(row)[1:] == ("2, ≥ 92 % of limit", "no") and report.alone(row) == ("91 %", "2.20")
    row.limit = [0.92]
    assert report.signed(row)[2] == "yes"

    start = Row("s", "start", "script", 25.0, most=0.1)
    start.take({"cxr": [0.101], "script": [4.0]})
    assert report.signed(start) == ("39.60", "25, ≤ 100 ms", "no")
    slowdown = Row("c", "slowdown", "alone", most=2.5, unit="times", scale=1)
    slowdown.ours = [2.0, 2.4, 3.0]
    assert report.signed(slowdown) == ("2.40 (2.00–3.00)", "≤ 2.5", "yes")


def check_missing(folder):
    """A row that cannot be filled is listed with the reason, and stops nothing."""
    def refuse(row):
        raise Missing("no such processor")

    def fail(row):
        raise ValueError("broken\nin two lines")

    never, refused, failed = (Row(key, key + " work", "") for key in ("never", "refused", "failed"))
    with contextlib.redirect_stderr(io.StringIO()):
        assert Measurement("refused", [refused], refuse).run(folder, "now") == "no such processor"
        assert Measurement("failed", [failed], fail).run(folder, "now") == "failed: broken"
    again = [Row(row.key, row.work, "") for row in (never, refused, failed)]
    for row in again:
        row.recall(folder)
    path = os.path.join(folder, "doc.md")
    report.write(path, ["- machine"], again, "", "bench/peers.sh")
    for row, why in zip(readme.tables(path)[2:5], ("not measured", "no such processor", "failed: broken")):
        assert row[6] == why, row

    filled = Row("refused", "x", "")
    Measurement("refused", [filled], lambda row: row.take({"cxr": [1.0], "peer": [3.0]})).run(folder, "now")
    again[1].recall(folder)
    assert again[1].missing == "" and again[1].ratios() == [3.0]


def check_rounds():
    order = []
    found = interleave({name: lambda name=name: order.append(name) or len(order) for name in "ab"}, 2)
    assert order == list("abab") and found == {"a": [1, 3], "b": [2, 4]}
    assert timed(lambda: None, least=0) >= 0


def check_documents(folder):
    path = os.path.join(folder, "README.md")
    with open(path, "w") as f:
        f.write("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")
    assert raises(SystemExit, lambda: section.replace(path, "others", []))
    performance, results, recipe = (os.path.join(folder, name) for name in ("p.md", "r.md", "f.md"))
    with open(performance, "w") as f:
        f.write("| inference bf16, batch 64 | OpenVINO bf16 | 1.30 (1.2–1.4) | 1 | yes | 880 images/s | 681 (OpenVINO) | 94 % | 1.4 |\n"
                "| inference int8, batch 64 | OpenVINO int8 | – | | – | – | refused | | |\n"
                "| inference bf16, batch 64 | OpenVINO bf16 | 681 images/s | 670–690 |\n")  # of the table of contenders
    with open(results, "w") as f:
        f.write("| cxr, mean ± sd | 0.8349 ± 0.0105 | 0.92 ± 0.01 |\n| PyTorch, mean ± sd | 0.8355 ± 0.0067 | 0.91 ± 0.02 |\n")
    with open(recipe, "w") as f:
        f.write("| 1 | 0.95 | [0.9, 1] | 0.99 |\n| mean ± sd | 0.9571 ± 0.0041 | | 0.9890 ± 0.0012 | | |\n")
    sys.argv[1:] = [performance, results, recipe, path]
    readme.main()
    with open(path) as f:
        text = f.read()
    assert text.startswith("before\n<!-- figures -->\n") and text.endswith("<!-- /figures -->\nafter\n") and "old" not in text
    rows = readme.tables(path)
    assert rows[2][1] == "95.7 ± 0.4 %" and rows[3][1] == "0.9890 ± 0.0012"
    assert rows[4][1:3] == ["83.5 ± 1.1 %", "PyTorch 83.5 ± 0.7 %; the article 82.5 %"]
    assert rows[6] == ["inference bf16, batches of 64", "880 images/s", "681 (OpenVINO)", "1.30"] and len(rows) == 7


def check_options(program, folder):
    """Two seeds; the cache keeps every bit, and a second call reads no split again."""
    data, out, document = (os.path.join(folder, name) for name in ("phantoms", "runs", "options.md"))
    subprocess.run([program, "phantom", "--out", data, "--train", "24", "--val", "16", "--test", "16", "--size", "64"], check=True,
                   stdout=subprocess.DEVNULL)
    with open(document, "w") as f:
        f.write("<!-- options -->\n<!-- /options -->\n")
    command = [sys.executable, os.path.join(BENCH, "article_options.py"), "--cxr", program, "--data", data, "--weights", "none",
               "--out", out, "--seeds", "1", "2", "--into", document]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr  # 1: the gate of a model that learnt nothing may be shut
    rows = {row[0]: row for row in readme.tables(document)}
    assert len(rows) == 11 and rows["f32, images in memory"][5:] == ["yes", "yes"]
    assert rows["--cache off"][6] == rows["--cache disk"][6] == "yes" and rows["--cache-features 4"][6] == "no"
    with open(os.path.join(out, "article-1", "ledger.csv")) as f:
        assert sum(",test," in line for line in f) <= 3


def check_intervals():
    """As SciPy has them."""
    from scipy import stats

    low, high = recipes.wilson(603 / 624, 624)
    known = stats.binomtest(603, 624).proportion_ci(method="wilson")
    assert abs(low - known.low) < 1e-6 and abs(high - known.high) < 1e-6
    values = [0.95, 0.96, 0.955, 0.957, 0.962]
    mean, sd, (low, high) = recipes.spread(values)
    known = stats.t.interval(0.95, len(values) - 1, mean, sd / len(values) ** 0.5)
    assert abs(sd - stats.tstd(values)) < 1e-12 and abs(low - known[0]) < 1e-5 and abs(high - known[1]) < 1e-5  # points of 3 digits


def check_recipes(program, folder):
    """Two seeds, with and without views; a second call reads no split again."""
    data, out, document = (os.path.join(folder, name) for name in ("phantoms", "recipe-runs", "recipes.md"))
    with open(document, "w") as f:
        f.write("<!-- seeds -->\n<!-- /seeds -->\n<!-- tta -->\n<!-- /tta -->\n")
    command = [sys.executable, os.path.join(BENCH, "recipes.py"), "seeds", "tta", "--cxr", program, "--data", data, "--weights", "none",
               "--out", out, "--seeds", "1", "2", "--into", document]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    rows = readme.tables(document)
    assert [row[0] for row in rows] == ["seed", "---", "1", "2", "mean ± sd", "95 % of the mean", "views", "---", "none", "flip", "scales", "crops",
                                         "none, 2 models averaged"]
    with open(os.path.join(out, "finetune-1", "ledger.csv")) as f:
        assert sum(",test," in line for line in f) == 5  # alone with four sets of views, and together with the other


def main():
    program = os.path.join(os.path.dirname(sys.argv[1]), "cxr")
    check_verdicts()
    check_rounds()
    with tempfile.TemporaryDirectory() as folder:
        check_missing(folder)
        check_documents(folder)
        check_options(program, folder)
        check_intervals()
        check_recipes(program, folder)


main()
