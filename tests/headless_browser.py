"""A real browser without a window, for tests of pages: its program, and documents after loading."""

import shutil
import subprocess
from pathlib import Path

import debian_packages
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def program() -> str:
    """A browser's program; Chromium is installed where there is none and it may be, else the test is skipped."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = debian_packages.why_not("chromium")
        if reason:
            pytest.skip(reason)
        debian_packages.install("chromium", "chromium")
    return found or "chromium"


def loaded(browser: str, path: Path, *flags: str) -> str:
    """The document of a file as the browser has it once the page is loaded and its scripts, if any, have run."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path.parent / 'profile'}"]
    command += [*flags, "--virtual-time-budget=2000", "--dump-dom", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def document_after_loading(browser: str, content: str, folder: Path, *, width: int = 1200) -> str:
    """The document of a page's text after loading, in a window of that width."""
    (folder / "page.html").write_text(content, encoding="utf-8")
    return loaded(browser, folder / "page.html", f"--window-size={width},2000")
