"""The pages in a browser: report.html's explorer counts what numpy counts, at desktop and phone widths, light and dark."""
import csv
import os
import subprocess
import sys
import tempfile

import numpy as np

from browser import DESKTOP, PHONE, check_page, chromium

CXR = os.path.join(sys.argv[1], "..", "cxr")


def evaluated(folder):
    data, out = os.path.join(folder, "data"), os.path.join(folder, "out")
    subprocess.run([CXR, "phantom", "--out", data, "--train", "8", "--val", "2", "--test", "8", "--seed", "3"], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([CXR, "evaluate", "-q", data, "--out", out], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(out, "predictions.csv"), newline="") as f:
        rows = list(csv.DictReader(f))
    scores = np.array([float(r["probability_PNEUMONIA"]) for r in rows])
    return os.path.join(out, "report.html"), scores, np.array([r["label"] == "PNEUMONIA" for r in rows])


def move(driver, name, value):
    driver.execute_script("const e = document.getElementById(arguments[0]); e.value = arguments[1];"
                          "e.dispatchEvent(new Event('input'))", name, str(value))


def text(driver, name):
    return driver.execute_script("return document.getElementById(arguments[0]).textContent", name)


def check_explorer(driver, scores, positive):
    for threshold in (0.0, *np.sort(scores)[[3, 8, 12]], 1.0):
        move(driver, "threshold", threshold)
        threshold = float(driver.execute_script("return document.getElementById('threshold').value"))
        called = scores >= threshold
        counts = [int((called & positive).sum()), int((~called & positive).sum()), int((called & ~positive).sum()),
                  int((~called & ~positive).sum())]
        assert [int(text(driver, name)) for name in ("tp", "fn", "fp", "tn")] == counts, threshold
    move(driver, "threshold", np.sort(scores)[12])
    move(driver, "prevalence", 10)
    called = scores >= np.sort(scores)[12]
    sensitivity, specificity = called[positive].mean(), (~called[~positive]).mean()
    rate = sensitivity * 0.1 + (1 - specificity) * 0.9
    assert text(driver, "x-ppv") == f"{100 * sensitivity * 0.1 / rate:.1f} %", text(driver, "x-ppv")


with tempfile.TemporaryDirectory() as folder:
    report, scores, positive = evaluated(folder)
    for size in (DESKTOP, PHONE):
        for dark in (False, True):
            with chromium(size, dark) as driver:
                driver.get("file://" + report)
                check_explorer(driver, scores, positive)
                for details in driver.find_elements("tag name", "summary"):
                    details.click()
                check_page(driver)
