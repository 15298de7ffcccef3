"""Viewer and report in a browser without a window: what a user does, and no message on the console."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import warnings

import numpy as np
import pytest
from made_results import CLASSES, make_run

from ats_mag.config.reading import read_config
from ats_mag.evaluation.scored_table import EvaluationWarning
from ats_mag.report.page import write_report
from ats_mag.runs.run import Run

selenium = pytest.importorskip("selenium", reason="needs Selenium: pip install 'ats-mag[test]'")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if BROWSER is None or DRIVER is None:
    pytest.skip("needs Chromium: apt install chromium chromium-driver", allow_module_level=True)

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1280,800"
)
pytestmark = pytest.mark.long  # a minute, of which the browser sleeps most: `make test-browser`
SECONDS = 40  # after which a page that should have changed has failed


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('browser')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def quiet(browser):
    """Afterwards nothing may have been written to the console."""
    browser.get("about:blank")
    browser.get_log("browser")
    yield
    assert browser.get_log("browser") == []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small model with weights as they come, but attention that is not uniform."""
    import keras

    from ats_mag.model.built_in_networks import attention_network, feature_network
    from ats_mag.model.classifier import SlideClassifier

    keras.utils.set_random_seed(1)
    attention = attention_network(2, 4, (8, 8))
    kernel = attention.get_layer("logits").kernel
    kernel.assign(np.random.default_rng(1).normal(0, 0.05, kernel.shape))
    options = {"patch_size": 32, "n_patches": 8, "overview_mpp": 16.0, "explore_steps": 0}
    made = SlideClassifier(CLASSES, attention=attention, feature=feature_network(32, 8, (8, 8)), **options)
    file = tmp_path_factory.mktemp("model") / "model.keras"
    made.save(file)
    return file


@pytest.fixture(scope="module")
def address(slides, model):
    """Of a viewer that runs as users start it."""
    from ats_mag.viewer.server import static_file

    if shutil.which("npm") is None:  # with it, the installation has fetched the script
        pytest.skip("needs OpenSeadragon: apt install npm, then install ats-mag again")
    static_file("openseadragon.min.js")
    command = [sys.executable, "-m", "ats_mag.cli", "view", *map(str, slides), "--model", str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield re.search(r"http://\S+/", process.stdout.readline())[0]
        process.terminate()


def find(browser, selector):
    return browser.find_element("css selector", selector)


def every(browser, selector):
    return browser.find_elements("css selector", selector)


def wait(condition):
    """The first true value of `condition`."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "the page did not get there"
        time.sleep(0.05)
    return found


def drawn(browser, layer):
    """Of the slide (0) or what lies over it (1): the darkest and the most opaque value, and a text that tells it all."""
    return browser.execute_script(
        """
        const canvas = document.querySelector(arguments[0] ? "#slide canvas.overlay" : "#slide canvas:not(.overlay)");
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        let darkest = 255, opaque = 0;
        for (let i = 0; i < data.length; i += 4) {
          if (data[i + 3]) darkest = Math.min(darkest, data[i], data[i + 1], data[i + 2]);
          opaque = Math.max(opaque, data[i + 3]);
        }
        return { darkest, opaque, all: canvas.toDataURL() };
        """,
        layer,
    )


def change(browser, act):
    """Waits until what is drawn over the slide is another than before `act`."""
    before = drawn(browser, 1)["all"]
    act()
    wait(lambda: drawn(browser, 1)["all"] != before)


def test_the_viewer(browser, address, quiet):
    browser.get(address)
    wait(lambda: every(browser, "#gallery button"))
    assert find(browser, "#name").text == "pyramid"
    assert "2400 × 1600 pixels, 0.5 µm/px" in find(browser, "#about").text
    rows = [row.text for row in every(browser, "#classes tbody tr")]
    assert [row.rsplit(maxsplit=1)[0].strip() for row in rows] == CLASSES
    assert sum(float(row.rsplit(maxsplit=1)[1]) for row in rows) == pytest.approx(1, abs=0.002)
    assert len(every(browser, "#gallery button")) == 8
    wait(lambda: drawn(browser, 0)["darkest"] < 150)  # tissue

    # Zooming: the scale bar follows.
    scale = find(browser, "#resolution").text
    find(browser, "#closer").click()
    wait(lambda: find(browser, "#resolution").text != scale)
    find(browser, "#whole").click()
    wait(lambda: find(browser, "#resolution").text == scale)

    # The switches and the slider change what is drawn.
    wait(lambda: drawn(browser, 1)["opaque"] == 255)  # outlines
    for row in every(browser, "#layers tbody tr"):
        for switch in row.find_elements("css selector", "input"):
            change(browser, switch.click)
    assert drawn(browser, 1)["opaque"] == 0
    change(browser, every(browser, "#layers input")[0].click)
    opaque = drawn(browser, 1)["opaque"]
    find(browser, "#opacity").send_keys("\ue012" * 6)  # left
    assert find(browser, "#opacity-value").text == "30 %"
    wait(lambda: 0 < drawn(browser, 1)["opaque"] < opaque)
    for switch in every(browser, "#layers input")[1:]:
        switch.click()

    # A patch, chosen in the list, from the keyboard.
    button = every(browser, "#gallery button")[0]
    change(browser, lambda: button.send_keys("\ue007"))
    assert button.get_attribute("aria-pressed") == "true"
    assert find(browser, "#picture").is_displayed()
    facts = dict(zip(*[[e.text for e in every(browser, f"#facts {tag}")] for tag in ("dt", "dd")], strict=True))
    assert facts["weight"] == button.text
    assert [row.text.rsplit(maxsplit=1)[0] for row in every(browser, "#adds tbody tr")] == CLASSES
    wait(lambda: browser.execute_script("return document.getElementById('picture').naturalWidth") == 32)


def test_a_patch_is_chosen_on_the_slide(browser, address, quiet):
    from selenium.webdriver import ActionChains

    browser.get(address)
    buttons = wait(lambda: every(browser, "#gallery button"))
    with urllib.request.urlopen(f"{address}slides/0/look") as answer:
        patches = sorted(json.load(answer)["patches"], key=lambda patch: -patch["weight"])

    def chosen():
        return [i for i, button in enumerate(buttons) if button.get_attribute("aria-pressed") == "true"]

    def at(x, y):
        """The smallest patch around a place, the heaviest of those of one size, or none."""
        hit = [p for p in patches if 0 <= x - p["x"] < p["side"] and 0 <= y - p["y"] < p["side"]]
        return [patches.index(min(hit, key=lambda p: p["side"]))] if hit else []

    buttons[0].click()  # now it is in the middle, with twice its side around it
    assert chosen() == [0]
    side, middle = patches[0]["side"], [patches[0][axis] + patches[0]["side"] / 2 for axis in "xy"]
    slide = find(browser, "#slide")
    scale = min(slide.size["width"], slide.size["height"]) / (5 * side)
    resolution = None
    while resolution != (resolution := find(browser, "#resolution").text):
        time.sleep(0.4)  # until it stands still
    places = [(0, 0), (0, 2.2), (2.2, 0), (0, -2.2), (-2.2, 0)]
    expected = [at(middle[0] + dx * side, middle[1] + dy * side) for dx, dy in places]
    assert [] in expected
    assert any(expected)
    for (dx, dy), patch in zip(places, expected, strict=True):
        offset = round(dx * side * scale), round(dy * side * scale)
        ActionChains(browser).move_to_element_with_offset(slide, *offset).click().perform()
        wait(lambda patch=patch: chosen() == patch)
        assert find(browser, "#chosen").is_displayed() == bool(patch)
        time.sleep(0.4)  # or the next click makes it a double click


def test_another_slide_of_the_list(browser, address, quiet):
    browser.get(address)
    wait(lambda: every(browser, "#names button"))
    find(browser, "#find").send_keys("IMG")
    (only,) = [button for button in every(browser, "#names button") if button.is_displayed()]
    assert only.text == "<img src=x onerror=alert(1)>"
    only.click()
    wait(lambda: find(browser, "#name").text == only.text)
    assert only.get_attribute("aria-current") == "true"
    wait(lambda: every(browser, "#gallery button"))
    wait(lambda: drawn(browser, 0)["darkest"] < 150)
    assert not every(browser, "#names img")


def test_a_narrow_window_has_it_all_below_each_other(browser, address, quiet):
    size = browser.get_window_size()
    with contextlib.ExitStack() as after:
        after.callback(lambda: browser.set_window_size(size["width"], size["height"]))
        browser.set_window_size(500, 800)
        browser.get(address)
        wait(lambda: every(browser, "#gallery button"))
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        slide, panel = (find(browser, part).rect for part in ("main", "aside"))
        assert panel["y"] >= slide["y"] + slide["height"]
        assert slide["height"] > 300


def test_the_report(browser, tmp_path, quiet):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationWarning)
        config = make_run(tmp_path, folds=1)
    browser.get(write_report(Run.stored(read_config(config))).as_uri())

    def shown():
        return [row for row in every(browser, "#predictions tbody tr") if row.is_displayed()]

    count = len(shown())
    assert count > 6
    search = find(browser, "#search")
    search.send_keys("s0")
    names = [row.text.split()[0] for row in shown()]
    assert 0 < len(names) < count
    assert all(name.startswith("s0") for name in names)
    assert find(browser, "#shown").text == f"{len(names)} of {count} slides"
    search.clear()
    search.send_keys("no such slide")
    assert not shown()
    search.clear()
    search.send_keys(" ")
    assert len(shown()) == count
    find(browser, "#wrong").click()
    assert all("wrong" in row.text for row in shown())
    find(browser, "#wrong").click()
    head = every(browser, "#predictions th")[-1]
    for order, sign in (("ascending", 1), ("descending", -1)):
        head.find_element("css selector", "button").click()
        assert head.get_attribute("aria-sort") == order
        values = [float(row.text.split()[-1]) for row in shown()]
        assert values == sorted(values, key=lambda p: sign * p)
    images = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert browser.execute_script(images)
    assert browser.execute_script("return document.images.length") == 5
