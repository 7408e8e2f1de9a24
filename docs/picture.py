"""Draw the README's pictures and table from a finished demo run: python docs/picture.py runs/demo."""

import base64
import io
import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from kantor.report import write

HERE = Path(__file__).parent
MARKS = ("<!-- demo table: make picture -->\n", "<!-- end of demo table -->")
# Name, from the top of the first to the bottom of the last, width of the window.
PICTURES = (("report", ".answer", "#r0-results", 1100), ("plan", ".explorer .controls", ".explorer .split", 1100))


def main(run: Path) -> None:
    methods = json.loads((run / "summary.json").read_text())["methods"]
    page = write(run)
    readme = HERE.parent / "README.md"
    text = readme.read_text(encoding="utf-8")
    pattern = re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1])
    readme.write_text(re.sub(pattern, lambda _: MARKS[0] + table(methods) + MARKS[1], text, flags=re.DOTALL), "utf-8")
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        sys.exit("The table is new; the pictures need a browser: apt-get install chromium chromium-driver")
    for dark in (False, True):
        with opened(page, dark) as browser:
            for name, first, last, width in PICTURES:
                photograph(browser, HERE / f"{name}{'-dark' if dark else ''}.png", first, last, width)


def table(methods: dict) -> str:
    lines = [
        "| method | accuracy, % | 95 % interval | to the student alone | 95 % interval | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in methods.items():
        low, high = (100 * bound for bound in row["interval"])
        line = f"| {name} | {100 * row['mean']:.1f} | {low:.1f} to {high:.1f} | "
        if row["difference"]:
            below, above = (100 * bound for bound in row["difference"]["interval"])
            line += f"{100 * row['difference']['mean']:+.1f} | {below:+.1f} to {above:+.1f} | "
        else:
            line += "| | "
        lines.append(line + f"{row['seconds']:.1f} |")
    return "\n".join(lines) + "\n"


@contextmanager
def opened(page: Path, dark: bool) -> Iterator:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.resolve().as_uri())
    yield browser
    browser.quit()


def photograph(browser, path: Path, first: str, last: str, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    time.sleep(1)  # the plan is unpacked and drawn anew
    script = "const r = s => document.querySelector(s).getBoundingClientRect();"
    script += "return [r(arguments[0]).top + scrollY, r(arguments[1]).bottom + scrollY]"
    top, bottom = browser.execute_script(script, first, last)
    clip = {"x": 0, "y": top - 12, "width": width, "height": bottom - top + 24, "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    # Flat colours: a palette makes the file a third as large.
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path} ({path.stat().st_size / 1e3:.0f} kB, {picture.width} x {picture.height})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
