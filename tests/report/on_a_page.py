"""What a reader does on a page in a browser."""

from collections.abc import Callable
from typing import Any


def prefer(browser: Any, dark: bool) -> None:
    """What the reader's system asks for; less motion, so that nothing is still scrolling when it is clicked."""
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def wait(browser: Any, ready: Callable[[], bool]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 10).until(lambda _: ready())


def one(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def text(browser: Any, selector: str) -> str:
    return one(browser, selector).text


def pixels(browser: Any, section: str) -> str:
    return browser.execute_script(f"return document.querySelector('{section} canvas').toDataURL()")


def choose(browser: Any, selector: str, value: str) -> None:
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event(arguments[2], {bubbles: true}))"
    element = one(browser, selector)
    browser.execute_script(script, element, value, "input" if element.tag_name == "input" else "change")


def focus(browser: Any, selector: str) -> Any:
    element = one(browser, selector)
    browser.execute_script("arguments[0].focus()", element)
    return element
