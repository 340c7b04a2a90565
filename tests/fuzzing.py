"""Hostile inputs: files of a corpus with a few places changed, and how many of them a test tries."""

from collections.abc import Callable

import pytest
from checkout import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CASES = ROOT / "tests/cases"
# What has broken readers of other people: marks, halves, numbers that grow, brackets that do not end.
TOKENS = [
    *(b"", b"\0", b"\r", b"\n", b"\n\n", b'"', b'""', b"\\", b",", b":", b"\t", b"{", b"}", b"[", b"]", b"\xc3"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"PAR1", b"PK\x03\x04", b"\xed\xa0\xbd", b'"\\ud83d"'),
    *(b"NaN", b"1e999", b"-0", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"null", b"true", b"no", b"2024"),
    *(b"&a [*a]", b"!!python/object/apply:os.system [x]", b"../x", b"<script>", b"</s>", b"\xe2\x80\xa8", b"\x1b[2J"),
]


def corpus(*patterns: str) -> list[bytes]:
    """The files of tests/cases that match a pattern; at least one."""
    found = [path.read_bytes() for pattern in patterns for path in sorted(CASES.glob(pattern))]
    assert found
    return found


@st.composite
def changed(draw, seeds: list[bytes]) -> bytes:
    """One of `seeds` with up to five places cut out, written over or written twice."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.sampled_from([0, 0, 1, 2, 7, 40]))
        new = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6), st.just(content[start:end] * 2)))
        content = content[:start] + new + content[end:]
    return content


def tried(few: int, many: int):
    """Parametrises a test by the number of inputs: the few always and the same, the many in the night and others."""
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.nightly)])


def fuzz(check: Callable, examples: int, *strategies: st.SearchStrategy) -> None:
    """Call `check` with that many inputs; it fails by any exception that it does not catch itself."""
    configured = settings(
        max_examples=examples,
        derandomize=examples < 1000,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    configured(given(*strategies)(check))()
