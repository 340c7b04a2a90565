"""What several tests of the report share."""

import headless_browser
import pytest


@pytest.fixture(scope="session")
def browser() -> str:
    """A browser's program, where there is one or it can be installed."""
    return headless_browser.program()
