"""A headless Chromium for tests of pages: what the console said, and whether the page is wider than the screen."""
import contextlib

from selenium import webdriver

DESKTOP, PHONE = (1280, 900), (390, 844)


@contextlib.contextmanager
def chromium(size, dark=False):
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        # A window has a least width; the screen that the page sees does not.
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                               {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE, "screenWidth": size[0], "screenHeight": size[1]})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                               {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        yield driver
    finally:
        driver.quit()


def check_page(driver):
    """No word on the console, nothing wider than the screen, every picture there and said in words."""
    said = driver.get_log("browser")
    assert not said, said
    # Not innerWidth: a phone zooms out until a page that is too wide fits.
    width, screen = driver.execute_script("return [document.documentElement.scrollWidth, screen.width]")
    assert width <= screen, f"{width} pixels on a screen of {screen}"
    bad = driver.execute_script("return [...document.images].filter(i => !(i.complete && i.naturalWidth > 0 && i.alt)).length")
    assert bad == 0, f"{bad} pictures"


def check_names_heard(driver):
    """What can be used or looked at has a name for those who hear the page, and no two buttons have the same. The buttons' names."""
    tree = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    value = lambda node, key: node.get(key, {}).get("value", "")
    used = [n for n in tree if not n["ignored"] and value(n, "role") in
            ("button", "link", "slider", "combobox", "checkbox", "textbox", "searchbox", "image", "img", "table", "dialog", "progressbar")]
    nameless = [value(n, "role") for n in used if not value(n, "name")]
    assert used and nameless == [], nameless
    names = [value(n, "name") for n in used if value(n, "role") == "button"]
    assert len(names) == len(set(names)), sorted(names)
    return set(names)


# Text against what lies behind it, both blended over the nearest ground that is opaque; over the radiograph, white at the worst.
CONTRAST = """const numbers = c => { const n = c.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
const over = (top, ground) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * ground[i]);
const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = e => { if (e === null || e.id === 'stage') return [255, 255, 255];
  const c = numbers(getComputedStyle(e).backgroundColor); return c[3] === 1 ? c : over(c, ground(e.parentElement)); };
const poor = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; (node = walker.nextNode());) {
  const e = node.parentElement;
  if (!node.textContent.trim() || !e.checkVisibility({visibilityProperty: true}) || e.closest('.unseen, :disabled, script, select, #stage-note')) continue;
  const back = ground(e), front = over(numbers(getComputedStyle(e).color), back);
  const [a, b] = [light(front), light(back)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) poor.push([node.textContent.trim().slice(0, 30), ratio.toFixed(2)]);
}
return poor;"""


def check_contrast(driver):
    """WCAG 2.2, 1.4.3."""
    poor = driver.execute_script(CONTRAST)
    assert poor == [], poor
