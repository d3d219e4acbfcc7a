"""The page of `cxr serve` in a browser, driven as people do: by drop, paste, choice, mouse and keyboard alone; what it shows is what
`cxr predict` says."""
import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np
from PIL import Image, ImageOps
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from browser import DESKTOP, PHONE, check_contrast, check_names_heard, check_page, chromium
from page_user import PATIENCE, by_id, click, colourful, give, pixels, rows, slide, text, wait, wait_for_results

CXR = os.path.join(sys.argv[1], "..", "cxr")


def images(folder):
    data = os.path.join(folder, "data")
    subprocess.run([CXR, "phantom", "--out", data, "--train", "1", "--val", "1", "--test", "2", "--seed", "3"], check=True,
                   stdout=subprocess.DEVNULL)
    test = os.path.join(data, "test")
    found = sorted(os.path.join(at, name) for at, _, names in os.walk(test) for name in names)
    return [found[0], found[1], found[-1]]


def trusting(folder, name="trusting", **points):
    """The shipped model without what it was fitted to know its own images by: phantoms are none of them. With other operating points."""
    with open(os.path.join(os.path.dirname(CXR), "models", "cxr-pneumonia-resnet18.safetensors"), "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        weights = f.read()
    del header["__metadata__"]["cxr.scope"]
    del header["__metadata__"]["cxr.operating_points"]
    if points:
        header["__metadata__"]["cxr.operating_points"] = json.dumps(points)
    text, path = json.dumps(header).encode(), os.path.join(folder, name + ".safetensors")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + weights)
    return path


def predicted(paths, *options):
    rows = {}
    for path in paths: # each by itself, as the page asks
        said = subprocess.run([CXR, "predict", "-q", "--deterministic", "--batch-size", "1", "--format", "csv", *options, path], check=True, stdout=subprocess.PIPE, text=True).stdout
        rows[os.path.basename(path)] = next(csv.DictReader(said.splitlines()))
    return rows


def explained(folder, paths, *options):
    said = subprocess.run([CXR, "explain", "-q", "--check", "--format", "csv", "--out", os.path.join(folder, "maps"), *options, *paths], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {os.path.basename(row["path"]): row for row in csv.DictReader(said.splitlines())}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def serving(port, *options):
    server = subprocess.Popen([CXR, "serve", "-q", "--port", str(port), *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(10 * PATIENCE):
            assert server.poll() is None, "cxr serve ended"
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready").read()
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0


# ---- Checks ----

def check_answers(driver, expected, model):
    shown = dict(rows(driver))
    for name, row in expected.items():
        p = float(row["probability_PNEUMONIA"])
        want = "> 99.9\u00a0%" if p > 0.9995 else "< 0.1\u00a0%" if p < 0.0005 else f"{100 * p:.1f}\u00a0%"
        assert shown[name] == want, (name, shown[name], p)
    chosen = expected[text(driver, "result-title")]
    assert text(driver, "verdict") == chosen["prediction"], text(driver, "verdict")
    threshold = f"{100 * model['threshold']:.1f}\u00a0%"
    assert f"the threshold of {threshold}" in text(driver, "verdict-words"), text(driver, "verdict-words")
    assert text(driver, "meaning-words").startswith("Of 100 images"), text(driver, "meaning-words")
    assert text(driver, "status").startswith("ok"), text(driver, "status")
    assert re.fullmatch(r".* in the server, .* in all", text(driver, "time")), text(driver, "time")
    label = driver.execute_script("return document.querySelector('.axis').getAttribute('aria-label')")
    assert f"the threshold at {threshold}" in label, label
    legend = driver.execute_script("return document.querySelector('.points').textContent")
    for name, at in (("rule-out", model["rule_out"]), ("rule-in", model["rule_in"])):
        shown = f"{100 * at:.1f}\u00a0%"
        assert f"the {name} point at {shown}" in label and f"{name} {shown}" in legend, (label, legend)
    places = driver.execute_script("return [...document.querySelectorAll('.axis .point')].map(p => parseFloat(p.style.left) / 100)")
    assert np.allclose(places, [model["rule_out"], model["rule_in"]]), places


def side(p, model):
    """Of the operating points; the class goes by the threshold."""
    out, within, called = p < model.get("rule_out", 0), p >= model.get("rule_in", 2), p >= model["threshold"]
    said = ("contradict" if out and within else "Below the rule-out point: PNEUMONIA is ruled out." if out
            else "At or above the rule-in point: PNEUMONIA is ruled in." if within
            else "At or above the rule-out point: PNEUMONIA is not ruled out." if "rule_in" not in model
            else "Below the rule-in point: PNEUMONIA is not ruled in." if "rule_out" not in model
            else "Between the rule-out and the rule-in point: PNEUMONIA is neither ruled out nor ruled in.")
    return said, out != within and within != called


def check_points(driver, expected, model):
    seen = set()
    for pick in driver.find_elements("css selector", ".pick"):
        pick.click()
        said, odd = side(float(expected[text(driver, "result-title")]["probability_PNEUMONIA"]), model)
        seen.add(said)
        words = text(driver, "points-words")
        assert said in words and ("threshold alone" in words) == odd, (said, odd, words)
        assert text(driver, "said").startswith(text(driver, "result-title")) and text(driver, "said").endswith(words), text(driver, "said")
    return seen


def check_trust(driver, url, folder, paths, *options):
    """Under the map stands how much of it lies on the lungs, as the server and `cxr explain --check` say."""
    rows, doubtful = explained(folder, paths, *options), 0
    for path, of in [(p, of) for p in paths for of in ("", "PNEUMONIA")]:
        name = os.path.basename(path)
        driver.find_element("css selector", f".pick[title='{name}']").click()
        Select(by_id(driver, "map-class")).select_by_value(of)
        wait(driver, "/^(What speaks|Empty)/.test(document.getElementById('map-words').textContent)")
        with open(path, "rb") as f:
            request = urllib.request.Request(url + f"explain?format=json&class={of}", f.read(), {"Content-Type": "image/jpeg"})
        answer = json.load(urllib.request.urlopen(request))
        said, share, area = text(driver, "map-trust"), answer["lungs"], answer["lungs_area"]
        assert of or all(abs(float(rows[name][key]) - answer[key]) < 1e-3 for key in ("lungs", "lungs_area")), (rows[name], answer)
        if max(answer["map"]["values"]) == 0:
            assert said == "" and text(driver, "map-words").startswith("Empty") and share is None, (said, share)
            continue
        assert said.startswith("Doubtful: ") == (share < area), (said, share, area)
        doubtful += share < area
        assert f"{int(100 * share + 0.5)}\u00a0% of it" in said and f"take {int(100 * area + 0.5)}\u00a0%" in said, (said, share, area)
        assert said.endswith("Full check: cxr explain --check."), said
    assert doubtful > 0
    Select(by_id(driver, "map-class")).select_by_value("")


def check_overlay(driver):
    mixed = colourful(pixels(driver))
    slide(driver, "opacity", Keys.HOME)
    assert colourful(pixels(driver)) == 0.0, "colours without a heat map"
    slide(driver, "opacity", Keys.END)
    assert colourful(pixels(driver)) > mixed > 0.0, "no more of the heat map at 100 %"
    click(driver, "tool-pan")
    slide(driver, "opacity", Keys.HOME)


def check_view(driver):
    stage = by_id(driver, "stage")
    plain = pixels(driver)
    click(driver, "invert")
    assert np.abs(pixels(driver) - (255 - plain))[300:-300, 300:-300].max() <= 1, "not the negative" # smoothing rounds twice
    click(driver, "invert")
    click(driver, "tool-window")
    ActionChains(driver).move_to_element(stage).click_and_hold().move_by_offset(-80, 40).release().perform()
    width, level = int(text(driver, "width-value")), int(text(driver, "level-value"))
    assert (width, level) == (176, 148), (width, level)
    assert np.abs(pixels(driver) - plain).max() > 20
    slide(driver, "width", Keys.ARROW_LEFT)
    assert int(text(driver, "width-value")) == width - 1
    click(driver, "auto")
    assert int(text(driver, "width-value")) > width
    click(driver, "tool-pan")
    click(driver, "reset")
    assert (text(driver, "width-value"), text(driver, "level-value")) == ("256", "128")
    assert np.array_equal(pixels(driver), plain), "reset does not restore the view"
    fitted = text(driver, "corner-zoom")
    ActionChains(driver).scroll_from_origin(_origin(stage), 0, -400).perform()
    assert int(text(driver, "corner-zoom")[:-2]) > int(fitted[:-2])
    zoomed = pixels(driver)
    ActionChains(driver).move_to_element(stage).click_and_hold().move_by_offset(60, 30).release().perform()
    moved = pixels(driver)
    gap = np.abs(moved[130:430, 160:460] - zoomed[100:400, 100:400]).max()
    assert gap <= 2, f"the image did not follow the mouse: {gap}" # places are rounded between pixels
    ActionChains(driver).double_click(stage).perform()
    assert text(driver, "corner-zoom") == fitted


def _origin(element):
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
    return ScrollOrigin.from_element(element)


def check_sorting(driver, expected):
    came = [name for name, _ in rows(driver)]
    by_score = sorted(expected, key=lambda name: float(expected[name]["probability_PNEUMONIA"]))
    head = by_id(driver, "score-head")
    for want, order in ((by_score[::-1], "descending"), (by_score, "ascending"), (came, "none")):
        head.click()
        assert [name for name, _ in rows(driver)] == want, order
        assert driver.execute_script("return document.querySelector('th[data-sort=score]').ariaSort") == order


def check_csv(driver, folder, expected):
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": folder})
    click(driver, "export")
    path = os.path.join(folder, "cxr.csv")
    WebDriverWait(driver, PATIENCE).until(lambda _: os.path.exists(path) and os.path.getsize(path) > 0)
    with open(path, newline="", encoding="utf-8") as f:
        table = csv.DictReader(f)
        got = {row["path"]: row for row in table}
    os.remove(path)
    for row in expected.values():
        assert table.fieldnames[:len(row)] == list(row), table.fieldnames
    assert set(expected) <= set(got), got.keys()
    for name, row in expected.items():
        for key in row:
            if key.startswith("probability_"):
                assert np.float32(got[name][key]) == np.float32(row[key]), (name, key, got[name][key], row[key])
        for key in ("prediction", "status", "reason"):
            assert got[name][key] == row[key], (name, key, got[name][key], row[key])
    return got


def check_card(driver, model):
    click(driver, "card-open")
    said = text(driver, "card-body")
    for part in ("never the basis of a clinical decision", "resnet18", "NORMAL, PNEUMONIA", f"{model['threshold']:.4g}", "128 × 128", model["id"]):
        assert part in said, (part, said)
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert not driver.execute_script("return document.getElementById('card').open")


def check_keyboard(driver, count):
    """Tab reaches every control once, in order of the page, each with a ring around it; keys do what buttons do."""
    driver.execute_script("document.activeElement.blur(); window.getSelection().removeAllRanges(); document.body.tabIndex = -1;"
                          "document.body.focus(); document.body.removeAttribute('tabindex')")
    reached = []
    for _ in range(60):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        name, ring = driver.execute_script(
            "const e = document.activeElement; return [e === document.body ? '' : e.id || e.className || e.textContent,"
            "getComputedStyle(e).outlineStyle]")
        if name == "": # the end
            break
        reached.append(name)
        assert ring not in ("none", ""), f"{name} shows no focus"
    order = ["skip", "card-open", "theme", "add", "export", "clear", "tool-pan", "tool-window", "zoom-out", "zoom-fit", "zoom-in", "stage",
             "map-class", "opacity", "width", "level", "invert", "auto", "reset"]
    assert [name for name in reached if name in order] == order, reached
    assert reached.count("pick") == count, reached
    first, second = [name for name, _ in rows(driver)][:2]
    driver.find_element("css selector", ".pick").send_keys(Keys.ENTER)
    assert text(driver, "result-title") == first
    driver.find_element("css selector", ".pick").send_keys(Keys.ARROW_DOWN)
    assert text(driver, "result-title") == second
    stage = by_id(driver, "stage")
    stage.send_keys("k")
    assert text(driver, "result-title") == first
    wait(driver, f"document.getElementById('canvas').getAttribute('aria-label').includes({first!r})")
    fitted, plain = text(driver, "corner-zoom"), pixels(driver)
    stage.send_keys("+", "+")
    assert text(driver, "corner-zoom") != fitted
    stage.send_keys(Keys.ARROW_RIGHT, "0", "i")
    assert text(driver, "corner-zoom") == fitted
    assert driver.execute_script("return document.getElementById('invert').getAttribute('aria-pressed')") == "true"
    stage.send_keys("r", "i")
    assert np.array_equal(pixels(driver), plain)


def check_names(driver, path, folder):
    """Names are text, never markup, and no formulas in a table that is saved."""
    names = ["<img src=x onerror=document.title='taken'>.jpg", '=1+1,"a".jpg', "\u202egpj.exe \U0001fa7b.jpg"]
    before = len(rows(driver))
    give(driver, "paste", [path] * 3, names)
    wait_for_results(driver, before + 3)
    assert [name for name, _ in rows(driver)][before:] == names
    assert driver.title == "cxr" and driver.execute_script("return document.images.length") == 0
    got = check_csv(driver, folder, {})
    assert "./" + names[1] in got and names[0] in got, got.keys()


def desktop(url, folder, paths, expected, *options):
    with chromium(DESKTOP) as driver:
        driver.get(url)
        model = json.load(urllib.request.urlopen(url + "v2/models"))["models"][0]["parameters"]
        policy = urllib.request.urlopen(url).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, policy
        give(driver, "drop", paths)
        wait_for_results(driver, 3)
        check_answers(driver, expected, model)
        assert len(check_points(driver, expected, model)) == 3
        check_trust(driver, url, folder, paths, *options)
        assert check_names_heard(driver) >= set(expected)
        check_contrast(driver)
        check_overlay(driver)
        check_view(driver)
        check_sorting(driver, expected)
        check_csv(driver, folder, expected)
        check_card(driver, model)
        check_keyboard(driver, 3)
        check_names(driver, paths[0], folder)
        click(driver, "theme")
        check_contrast(driver)
        check_page(driver)
        click(driver, "clear")
        assert rows(driver) == [] and by_id(driver, "welcome-add").is_displayed()
        check_page(driver)


def phone(url, paths):
    with chromium(PHONE) as driver:
        driver.get(url)
        check_page(driver)
        by_id(driver, "files").send_keys("\n".join(paths))
        wait_for_results(driver, 3)
        verdict = driver.execute_script("return document.getElementById('verdict').getBoundingClientRect().bottom")
        assert verdict < PHONE[1], f"the answer is {verdict} pixels down"
        small = driver.execute_script("return [...document.querySelectorAll('button')].filter(b => b.offsetParent && "
                                      "b.getBoundingClientRect().height < 40).map(b => b.textContent)")
        assert small == [], small
        driver.find_elements("css selector", ".pick")[2].click()
        assert driver.execute_script("return window.scrollY") == 0
        check_page(driver)
        check_contrast(driver)
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 320, "height": 568, "deviceScaleFactor": 1, "mobile": True,
                                                                       "screenWidth": 320, "screenHeight": 568}) # WCAG 2.2, 1.4.10
        check_page(driver)


def damaged(url, folder, paths):
    """What is no image is told in its row, and the rest goes on."""
    bad = os.path.join(folder, "bad.jpg")
    with open(bad, "wb") as f:
        f.write(b"\xff\xd8\xff\xe0 not an image")
    with chromium(DESKTOP) as driver:
        driver.get(url)
        give(driver, "drop", [bad, paths[0]])
        wait(driver, "document.querySelectorAll('#rows .clear, #rows .called').length === 1 && document.querySelector('#rows .failed')")
        why = driver.execute_script("return document.querySelector('.why').textContent")
        assert why.endswith(".") and "JPEG" in why, why
        assert text(driver, "verdict") == "No result" and text(driver, "verdict-words") == why
        assert text(driver, "stage-note") == "This browser cannot show the file."
        assert by_id(driver, "again").is_displayed() and by_id(driver, "retry").is_displayed()


def abstaining(port, folder, phantom):
    """What the model has nothing to say of has no class, and its number is not spoken of as a frequency."""
    blank, negative = os.path.join(folder, "blank.png"), os.path.join(folder, "negative.png")
    Image.new("L", (256, 256), 128).save(blank)
    ImageOps.invert(Image.open(phantom).convert("L")).save(negative)
    expected = predicted([blank, phantom, negative])
    with serving(port) as url, chromium(DESKTOP) as driver:
        driver.get(url)
        give(driver, "drop", [blank, phantom, negative])
        wait_for_results(driver, 3)
        why = expected["blank.png"]["reason"]
        assert text(driver, "verdict-words") == f"The model abstains: {why}.", (why, text(driver, "verdict-words"))
        assert (text(driver, "verdict"), text(driver, "status")) == ("No answer", "abstain")
        assert [score for _, score in rows(driver)] == ["abstains"] * 3 and not by_id(driver, "hundred").is_displayed()
        assert "should not be relied on" in text(driver, "meaning-words") and text(driver, "points-words") == ""
        driver.find_elements("css selector", ".pick")[2].click()
        wait_for_results(driver, 3)
        assert text(driver, "map-trust").startswith("Doubtful: no lungs were found"), text(driver, "map-trust")
        click(driver, "previous")
        click(driver, "previous")
        check_csv(driver, folder, expected)
        check_page(driver)


def points(port, folder, paths):
    """Operating points that lie the other way round, one alone, and none: each model by its own."""
    files = {"crossed": trusting(folder, "crossed", rule_out=0.02, rule_in=0.003), "out": trusting(folder, "out", rule_out=0.003),
             "in": trusting(folder, "in", rule_in=0.003), "none": trusting(folder, "none")}
    expected, seen = predicted(paths, "--model", files["none"]), set()
    with serving(port, *(o for name, path in files.items() for o in ("--model", f"{name}={path}"))) as url, chromium(DESKTOP) as driver:
        driver.get(url)
        give(driver, "drop", paths)
        for name in files:
            Select(by_id(driver, "model")).select_by_value(name)
            wait_for_results(driver, 3)
            model = json.load(urllib.request.urlopen(url + "v2/models/" + name))["parameters"]
            if name != "none":
                seen |= check_points(driver, expected, model)
        assert len(seen) == 5, seen
        assert driver.execute_script("return document.querySelectorAll('.point, .points').length") == 0 and text(driver, "points-words") == ""
        assert "point" not in driver.execute_script("return document.querySelector('.axis').getAttribute('aria-label')")


BUSY = """const real = window.fetch; let left = arguments[0];
window.fetch = (path, options) => path.startsWith('predict') && left-- > 0
  ? Promise.resolve(new Response('{"error": "the queue is full: try again"}', {status: 503, headers: {'Retry-After': '2'}}))
  : real(path, options);"""


def held_up(port, paths):
    """A busy server is asked again when it said; one that is gone is waited for; waiting can be cancelled."""
    with chromium(DESKTOP) as driver:
        with serving(port) as url:
            driver.get(url)
            wait(driver, "document.getElementById('score-head').textContent === 'PNEUMONIA'")
            driver.execute_script(BUSY, 2)
            began = time.monotonic()
            give(driver, "drop", paths)
            wait(driver, "!document.getElementById('banner').hidden")
            assert "busy" in text(driver, "banner-text")
            wait_for_results(driver, 3)
            assert time.monotonic() - began > 1.9 and driver.execute_script("return document.getElementById('banner').hidden")
            click(driver, "clear")
        give(driver, "drop", paths[:2])
        wait(driver, "document.getElementById('banner-text').textContent.includes('cannot be reached')")
        click(driver, "cancel")
        wait(driver, "document.querySelectorAll('#rows .waiting').length === 2 && document.getElementById('banner').hidden")
        with serving(port):
            click(driver, "retry")
            wait_for_results(driver, 2)


def token(port, folder, paths):
    """Asked for once, whatever is asked of the server; the page itself is free."""
    path, secret = os.path.join(folder, "token"), "0123456789abcdef-secret"
    with open(path, "w", encoding="ascii") as f:
        f.write(secret + "\n")
    with serving(port, "--token-file", path) as url, chromium(DESKTOP) as driver:
        driver.get(url)
        give(driver, "drop", paths)
        wait(driver, "document.getElementById('token').open")
        by_id(driver, "token-text").send_keys(secret, Keys.ENTER)
        wait_for_results(driver, 3)
        assert not driver.execute_script("return document.getElementById('token').open")


with tempfile.TemporaryDirectory() as folder:
    paths = images(folder)
    options = ("--model", trusting(folder, rule_out=0.003, rule_in=0.02))
    expected = predicted(paths, *options)
    port = free_port()
    with serving(port, *options) as url:
        desktop(url, folder, paths, expected, *options)
        phone(url, paths)
        damaged(url, folder, paths)
    abstaining(port, folder, paths[0])
    points(port, folder, paths)
    held_up(port, paths)
    token(port, folder, paths)
