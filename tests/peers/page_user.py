"""What a user does on the page of `cxr serve`, and sees there."""
import base64
import os

import numpy as np
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 60 # seconds, on a busy machine


GIVE = """const [named, how] = arguments, data = new DataTransfer();
for (const [name, text] of named)
  data.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name, {type: 'image/jpeg'}));
const event = how === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
                             : new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});
document.body.dispatchEvent(event);"""


def give(driver, how, paths, names=None):
    named = []
    for i, path in enumerate(paths):
        with open(path, "rb") as f:
            named.append([names[i] if names else os.path.basename(path), base64.b64encode(f.read()).decode()])
    driver.execute_script(GIVE, named, how)


def wait(driver, what, seconds=PATIENCE):
    return WebDriverWait(driver, seconds).until(lambda d: d.execute_script("return " + what))


def wait_for_results(driver, count):
    wait(driver, f"document.querySelectorAll('#rows .called, #rows .clear, #rows .none').length === {count}")
    wait(driver, "/^(What speaks|Empty)/.test(document.getElementById('map-words').textContent)")


def text(driver, name):
    return driver.execute_script("return document.getElementById(arguments[0]).textContent", name)


def by_id(driver, name):
    return driver.find_element("id", name)


def click(driver, name):
    by_id(driver, name).click()


def rows(driver):
    return driver.execute_script("return [...document.querySelectorAll('#rows tr')].map(r => "
                                 "[r.querySelector('.pick span').textContent, r.querySelector('.score').textContent])")


def pixels(driver):
    """Of the canvas as an array (h, w, 3), once it is drawn anew."""
    w, h, data = driver.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => {"
        "const c = document.getElementById('canvas'), copy = new OffscreenCanvas(c.width, c.height).getContext('2d');"
        "copy.drawImage(c, 0, 0); const d = copy.getImageData(0, 0, c.width, c.height).data;"
        "let s = ''; for (let i = 0; i < d.length; i += 8192) s += String.fromCharCode(...d.subarray(i, i + 8192));"
        "done([c.width, c.height, btoa(s)]); }));")
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(h, w, 4)[..., :3].astype(int)


def colourful(picture):
    return float((picture.max(axis=2) - picture.min(axis=2)).mean())


def slide(driver, name, value):
    """By the keyboard: Home, End, or the arrow keys from where it is."""
    by_id(driver, name).send_keys(value)
