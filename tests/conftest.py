"""What several test files share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with samples of the real data sets; not part of the project, so tests that need it may skip."""
    folder = Path(os.environ.get("PLW_SAMPLES", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"samples of real data not found at {folder} (set PLW_SAMPLES)")
    return folder
