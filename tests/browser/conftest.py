"""One Chromium for all tests of the built book."""

import pytest
from pdf import FLAGS, chromium

NO_CHROMIUM = (
    "NO CHROMIUM: the book was NOT tested in a browser. "
    "Install it (Debian: apt-get install chromium) or set CHROMIUM to its program."
)


@pytest.fixture(scope="session")
def browser():
    """Chromium; what it asks of other hosts, it does not find."""
    if not chromium():
        pytest.skip(NO_CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()
