"""A real Chromium, found on this machine and driven by playwright."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from typing import Any

# Off Linux, Chrome is not on the PATH.
CHROMIUM_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
)
CHROMIUM_ARGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
INSTALL = "apt-get install chromium (Debian, Ubuntu), or playwright install chromium"


def find_chromium() -> str | None:
    """Return the Chromium to drive: $CHROMIUM, then the usual names, then playwright's own."""
    for name in (os.environ.get("CHROMIUM"), *CHROMIUM_NAMES):
        if name and (found := shutil.which(name)):
            return found
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


def why_not() -> str | None:
    """Return why no browser can be driven here, with the command that mends it; None where one can."""
    if importlib.util.find_spec("playwright") is None:
        return 'playwright is not installed: pip install -e ".[browser]"'
    return None if find_chromium() else f"no Chromium found: {INSTALL}, or set $CHROMIUM to its path"


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Yield a running headless Chromium (playwright's ``Browser``)."""
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGS))
        try:
            yield browser
        finally:
            browser.close()
