"""The page in a real browser, opened from a file: no errors, controls that work, numbers that are the summary's."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kantor.report import write, write_analysis, write_comparison
from kantor.report.pictures import pictures
from kantor.report.run import read_run
from tests.report.on_a_page import choose, focus, one, pixels, prefer, text, wait

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    pytest.importorskip("selenium", reason="needs selenium: pip install 'kantor[browser]'")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, made) -> Callable[..., Any]:
    """Opens the page of a made run: ``opened(width, dark, **run)``; fails where the console has anything to say."""

    def open_page(page: Path | None = None, *, width: int = 1200, dark: bool = False, **run: Any) -> Any:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        prefer(browser, dark)
        browser.get_log("browser")
        browser.get((page or write(made(**run))).resolve().as_uri())
        wait(browser, lambda: text(browser, ".cell") != "")
        assert browser.get_log("browser") == []
        return browser

    return open_page


def test_five_numbers_are_the_summary_s(opened, made):
    run = made()
    browser = opened(write(run))
    rows = json.loads((run / "summary.json").read_text())["methods"]

    def shown(method: str, fact: str) -> str:
        return text(browser, f'#r0-results tr[data-method="{method}"] [data-fact="{fact}"]')

    assert float(shown("none", "mean")) == pytest.approx(100 * rows["none"]["mean"], abs=0.005)
    assert float(shown("kd", "mean")) == pytest.approx(100 * rows["kd"]["mean"], abs=0.005)
    best = rows["kd+neuron_transport"]
    difference = shown("kd+neuron_transport", "difference").rstrip(" ▲")
    assert float(difference) == pytest.approx(100 * best["difference"]["mean"], abs=0.005)
    low = shown("kd+neuron_transport", "interval").split(" to ")[0]
    assert float(low) == pytest.approx(100 * best["interval"][0], abs=0.005)
    assert float(shown("kd", "seconds")) == pytest.approx(rows["kd"]["seconds"], abs=0.05)
    assert f"{100 * best['difference']['mean']:+.1f} points" in text(browser, "h1")


def test_explorer_controls(opened):
    browser = opened()
    first = pixels(browser, ".explorer")
    assert text(browser, '[data-role="epoch-text"]') == "4"
    assert one(browser, '.explorer [data-role="method"]').get_attribute("value") == "kd+neuron_transport"

    choose(browser, '.explorer [data-role="epoch"]', "0")
    assert text(browser, '[data-role="epoch-text"]') == "0"
    untrained = pixels(browser, ".explorer")
    assert untrained != first
    assert "17 %" in text(browser, '[data-role="facts"]')  # an even plan over six units

    choose(browser, '.explorer [data-role="epoch"]', "4")
    assert pixels(browser, ".explorer") == first
    assert "100 %" in text(browser, '[data-role="facts"]')
    choose(browser, '.explorer [data-role="order"]', "numbers")
    assert pixels(browser, ".explorer") != first
    choose(browser, '.explorer [data-role="order"]', "epoch")
    choose(browser, '.explorer [data-role="method"]', "none")
    choose(browser, '.explorer [data-role="seed"]', "2")
    wait(browser, lambda: "of none, seed 2, epoch 4" in one(browser, ".explorer canvas").accessible_name)

    one(browser, ".explorer details summary").click()
    # The table is made when the browser says that it was opened, which is after the click.
    wait(browser, lambda: browser.find_elements("css selector", ".explorer details table") != [])
    table = text(browser, ".explorer details table")
    assert len(table.splitlines()) == 13
    assert "(100 %)" in table
    assert browser.get_log("browser") == []


def test_play_runs_through_the_epochs(opened):
    browser = opened()
    one(browser, '[data-role="play"]').click()
    assert text(browser, '[data-role="epoch-text"]') == "0"
    wait(browser, lambda: int(text(browser, '[data-role="epoch-text"]')) >= 2)
    one(browser, '[data-role="play"]').click()
    assert one(browser, '[data-role="play"]').get_attribute("aria-pressed") == "false"


def test_map_tells_the_recorded_masses(opened, made):
    """Every teacher unit goes to one student unit: the strongest partner told is the recorded one."""
    from selenium.webdriver.common.keys import Keys

    run = made()
    browser = opened(write(run))
    with np.load(run / "kd+neuron_transport" / "seed-0" / "plans" / "epoch-004.npz") as arrays:
        partner = arrays["plan_0"].argmax(axis=1)
    canvas = focus(browser, ".explorer canvas")
    seen = set()
    canvas.send_keys(Keys.PAGE_UP)
    for _ in range(12):
        said = text(browser, '.explorer [data-role="cell"]')
        unit = int(said.split("Teacher unit ")[1].split(" ")[0])
        seen.add(unit)
        best = text(browser, ".partners li")
        assert best.split() == [str(partner[unit]), "100", "%"]
        canvas.send_keys(Keys.ARROW_DOWN)
    assert seen == set(range(12))


def test_pointer_and_hold(opened):
    from selenium.webdriver import ActionChains

    browser = opened()
    canvas = one(browser, ".explorer canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    wide, high = canvas.size["width"] / 2, canvas.size["height"] / 2

    def point(x: float, y: float, click: bool = False) -> str:
        moves = ActionChains(browser).move_to_element_with_offset(canvas, int(x * wide), int(y * high))
        (moves.click() if click else moves).perform()
        return text(browser, '.explorer [data-role="cell"]')

    corner, other = point(-0.95, -0.95), point(0.95, -0.95)
    assert corner != other
    assert "100 % of its mass" in corner or "100 % of its mass" in point(-0.95, 0.95)
    held = point(0.5, 0.5, click=True)
    assert point(-0.95, -0.95) == held
    point(0.5, 0.5, click=True)
    assert point(-0.95, -0.95) == corner


def test_confusion_controls(opened):
    browser = opened()
    counts = pixels(browser, ".confusion")
    assert "True " in text(browser, '.confusion [data-role="cell"]')
    gains = text(browser, '.confusion [data-role="gains"]')
    assert "81.0 89.0 +8.0" in gains
    assert "<b>bird</b>" in gains
    one(browser, '[data-role="difference"]').click()
    wait(browser, lambda: pixels(browser, ".confusion") != counts)
    choose(browser, '.confusion [data-role="method"]', "kd")
    wait(browser, lambda: "81.0 85.0 +4.0" in text(browser, '.confusion [data-role="gains"]'))
    choose(browser, '.confusion [data-role="method"]', "none")
    wait(browser, lambda: text(browser, '.confusion [data-role="gains"]') == "")
    assert browser.get_log("browser") == []


def test_charts_are_read_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    chart = focus(browser, '[data-chart="r0-validation-accuracy"]')
    chart.send_keys(Keys.END)
    said = text(browser, '.card:has([data-chart="r0-validation-accuracy"]) .readout')
    assert said == "Epoch 4: none 78.5 %, kd 82.5 %, kd+neuron_transport 86.5 %"
    chart.send_keys(Keys.ARROW_LEFT)
    assert "Epoch 3:" in text(browser, '.card:has([data-chart="r0-validation-accuracy"]) .readout')


def test_everything_is_reached_by_tab_and_has_a_name(opened):
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    reached = set()
    body = one(browser, "body")
    for _ in range(80):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        if active == body:
            break
        role = active.get_attribute("data-role") or active.tag_name
        reached.add(role)
        assert active.accessible_name, active.get_attribute("outerHTML")[:200]
    assert {"a", "svg", "summary", "pair", "method", "seed", "order", "epoch", "play", "map", "difference"} <= reached
    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('svg, canvas')].filter("
        "e => !e.closest('[aria-hidden=true]') && !e.getAttribute('aria-label')).length"
    )
    assert unnamed == 0


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_fits_the_screen(opened, width, dark):
    browser = opened(width=width, dark=dark)
    for details in browser.find_elements("css selector", "details"):
        browser.execute_script("arguments[0].open = true", details)
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    # Nothing is cut off either, but what can be scrolled.
    beyond = browser.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, pre, .skip, .unseen')"
        " && e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.outerHTML.slice(0, 120))"
    )
    assert beyond == []
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(18, 20, 24)") is dark


def test_map_follows_the_scheme(opened):
    browser = opened()
    light = pixels(browser, ".explorer")
    prefer(browser, dark=True)
    wait(browser, lambda: pixels(browser, ".explorer") != light)


def test_wide_plans_are_binned_with_details_on_demand(opened, made):
    """Single units are told one by one, with the samples that excite the pair that shares most."""
    from selenium.webdriver.common.keys import Keys

    few = {"none": [0.8], "kd": [0.9]}
    run = made(accuracy=few, widths=(2048, 2048), epochs=1, exciting=True)
    page = write(run)
    assert page.stat().st_size < 15e6
    browser = opened(page)
    assert "2048 student units" in text(browser, '[data-role="columns-title"]')
    canvas = focus(browser, ".explorer canvas")
    canvas.send_keys(Keys.SHIFT, Keys.ARROW_DOWN)
    canvas.send_keys(Keys.SHIFT, Keys.ARROW_UP)
    said = text(browser, '.explorer [data-role="cell"]')
    teachers = said.split("Teacher units ")[1].split(" → ")[0].split(", ")
    assert len(teachers) == 4
    assert len(said.split("student units ")[1].split(":")[0].split(", ")) == 4
    with np.load(run / "kd" / "seed-0" / "plans" / "epoch-001.npz") as arrays:
        partner = arrays["masses_0"].argmax(axis=1)
    heads = [head.text.split() for head in browser.find_elements("css selector", ".partners h4")]
    assert sorted(head[1] for head in heads if head[0] == "Teacher") == sorted(teachers)
    unit = int(heads[0][1])
    # The middle bin lies on the diagonal: its units give all that they have to the units of the bin across.
    assert text(browser, ".partners li").split() == [str(partner[unit]), "100", "%"]
    assert "100 % of their mass" in said
    teacher, student = browser.find_elements("css selector", ".images .gallery")
    names = [e.accessible_name for e in teacher.find_elements("css selector", ".thumb")]
    assert len(names) == 6
    assert names[0].split(",")[1].strip() == f"sample {100 + unit % 40}"
    assert len(student.find_elements("css selector", ".both")) == 6
    thumb = teacher.find_element("css selector", ".thumb")
    assert "data:image/png" in thumb.value_of_css_property("background-image")
    assert browser.get_log("browser") == []


def moved_to_one_that_is_not_silent(browser: Any) -> bool:
    from selenium.webdriver.common.keys import Keys

    focus(browser, ".explorer canvas").send_keys(Keys.ARROW_DOWN)
    return "the unit is silent" not in text(browser, ".images")


@pytest.mark.parametrize(("names", "shown"), [(["mri"], "mri"), (["ct", "mri"], "mri"), (["ct"], "student")])
def test_units_of_a_teacher_with_a_view_of_its_own(opened, made, names, shown):
    """Its pictures are those of its view, and the student's where it sees the same."""
    few = {"none": [0.8], "kd": [0.9]}
    run = made(accuracy=few, widths=(4, 4), layers=("layer3", "mri:layer3"), epochs=1, exciting=True)
    with np.load(run / "plan-samples.npz") as arrays:
        content = dict(arrays)
    draw = np.random.default_rng(1)
    content |= {f"teacher/{name}": draw.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8) for name in names}
    np.savez(run / "plan-samples.npz", **content)
    (probe,) = pictures([read_run(run)], 10**7)
    browser = opened(write(run))
    wait(browser, lambda: moved_to_one_that_is_not_silent(browser))
    first, second = browser.find_elements("css selector", ".images .gallery .thumb")[::6]
    assert probe.sheets["student"] in second.value_of_css_property("background-image")
    assert probe.sheets[probe.index["of"][shown]] in first.value_of_css_property("background-image")


def test_a_silent_unit_says_so(opened):
    from selenium.webdriver.common.keys import Keys

    browser = opened(accuracy={"none": [0.8], "kd": [0.9]}, widths=(4, 4), epochs=1, exciting=True)
    canvas = focus(browser, ".explorer canvas")
    canvas.send_keys(Keys.PAGE_UP)
    seen = [text(browser, ".images")]
    for _ in range(3):
        canvas.send_keys(Keys.ARROW_DOWN)
        seen.append(text(browser, ".images"))
    assert sum("the unit is silent" in said for said in seen) == 1


def test_class_names_of_a_label_plan(opened):
    few = {"none": [0.8], "kd": [0.9]}
    browser = opened(accuracy=few, widths=(4, 4), layers=("logits", "teacher:logits"), epochs=1)
    assert "Teacher class " in text(browser, '.explorer [data-role="cell"]')
    assert "student classes" in text(browser, '[data-role="columns-title"]')


def test_several_runs(opened, made):
    browser = opened(write([made(name="first"), made(name="second")]))
    assert len(browser.find_elements("css selector", "#overview tbody tr")) == 6
    choose(browser, '#r1-plans [data-role="epoch"]', "0")
    assert text(browser, '#r1-plans [data-role="epoch-text"]') == "0"
    assert text(browser, '#r0-plans [data-role="epoch-text"]') == "4"


def test_copy(opened):
    browser = opened()
    one(browser, ".copy").click()
    assert text(browser, ".copy") in ("Copied", "Press Ctrl+C")
    assert browser.execute_script("return String(getSelection())") == "kantor distill --data digits"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1600])
def test_pages_of_two_models(opened, compared, analysed, tmp_path, width, dark):
    content = compared(tmp_path)
    browser = opened(write_comparison(tmp_path), width=width, dark=dark)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    wider = browser.execute_script(
        "return [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        ".map(e => [getComputedStyle(e).backgroundImage, e.tabIndex, e.ariaLabel])"
    )
    assert width > 400 or wider
    assert all("gradient" in shade and tab == 0 and "scrolls" in label for shade, tab, label in wider)
    shown = [float(cell.text) for cell in browser.find_elements("css selector", '[data-matrix="cka"] tbody td')]
    assert shown == pytest.approx([value for row in content["matrices"]["cka"] for value in row], abs=6e-4)
    best = min(content["matched"], key=lambda match: match["cost"])
    assert f"one unit {best['a']} and two unit {best['b']}" in text(browser, ".cell")
    assert not one(browser, '.neurons [data-role="method"]').is_displayed()
    assert len(browser.find_elements("css selector", ".matches li")) == 6
    choose(browser, '.neurons [data-role="order"]', "worst")
    worst = max(content["matched"], key=lambda match: match["cost"])
    assert text(browser, ".matches li b") == f"{worst['a']} → {worst['b']}"
    before = pixels(browser, ".neurons")
    choose(browser, '.neurons [data-role="show"]', "plan")
    assert pixels(browser, ".neurons") != before
    label = one(browser, ".matches .thumb").get_attribute("aria-label")
    assert label.startswith("sample ")
    assert label.endswith(("cat", "dog"))
    was = text(browser, ".cell")
    focus(browser, ".neurons canvas").send_keys("\ue015" if "unit 5" not in was else "\ue013")
    assert text(browser, ".cell") != was

    analysed(tmp_path)
    browser = opened(write_analysis(tmp_path), width=width, dark=dark)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert one(browser, '.neurons [data-role="method"]').get_attribute("value") == "kd"
    focus(browser, '[data-chart="a0-0-distance"]').send_keys("\ue010")
    assert "kd 0.3" in text(browser, "figure:has([data-chart='a0-0-distance']) .readout")
