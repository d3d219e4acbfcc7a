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
