"""Files that grow without bounds end in a message, and memory stays bounded."""

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from checkout import ROOT
from plw.errors import InputError
from plw.study.configuration import load_configuration
from plw.study.rows import parse_rows, read_content
from plw.study.sources import read_rows, resolve_source

# Reads a file as a program does, and prints its message and the most memory that it had, in MiB.
READER = """
import re, sys
from pathlib import Path
from plw.errors import InputError
from plw.study.rows import parse_rows, read_content
try:
    file = Path(sys.argv[1])
    rows = sum(1 for _ in parse_rows(read_content(file), str(file)))
    print(rows, "rows")
except InputError as error:
    print(error.what)
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def read_apart(file: Path) -> tuple[str, int]:
    """The message, and the memory in MiB, of a reader in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", READER, str(file)], capture_output=True, text=True, cwd=ROOT / "scripts", check=True
    )
    *said, memory = done.stdout.strip().splitlines()
    return " ".join(said), int(memory)


def sparse(path: Path, head: bytes, size: int) -> Path:
    with open(path, "wb") as stream:
        stream.write(head)
        stream.seek(size)
        stream.write(b'"}\n')
    return path


def test_a_line_of_two_gigabytes_is_refused_before_it_is_read(tmp_path):
    said, memory = read_apart(sparse(tmp_path / "x.jsonl", b'{"a": 1}\n{"a": "', 2 * 10**9))
    assert "longer than 256 MiB" in said
    assert memory < 300


def test_a_file_of_many_gigabytes_is_refused_by_its_size(tmp_path):
    said, memory = read_apart(sparse(tmp_path / "x.jsonl", b'{"a": "', 10**12))
    assert "more than 4 GiB" in said
    assert memory < 300


def test_a_gzip_file_of_air_takes_no_more_memory_than_it_may_unpack_to(tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b" " * (400 * 2**20), 1))
    said, memory = read_apart(tmp_path / "x.jsonl.gz")
    assert "200 times" in said
    assert memory < 900  # 350 MB, which is 200 times the file, once as it grows and once whole


def test_a_zip_archive_is_never_opened():
    with pytest.raises(InputError, match="zip archive"):
        list(parse_rows(b"PK\x03\x04" + b"\0" * 100, "x.json"))


@pytest.mark.parametrize(
    "bomb",
    [
        *(b"[" * 10**6, b'{"a":' * 10**5, b"9" * 10**7, b'{"a": ' + b"9" * 10**7 + b"}"),
        *(b"-1e" + b"9" * 10**5, b"[" * 10**5 + b"]" * 10**5),
    ],
    ids=["brackets", "braces", "digits", "digits in an object", "exponent", "closed brackets"],
)
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.csv"])
def test_json_that_nests_or_counts_without_end_is_a_bad_row_or_a_message(bomb, name):
    try:
        rows = list(parse_rows(b'{"a": 1}\n' + bomb if name == "x.jsonl" else bomb, name))
    except InputError as error:
        assert len(str(error)) < 2000
    else:
        assert not any(isinstance(row.value, dict) and "b" in row.value for row in rows)


def parquet(table: pyarrow.Table, **options) -> bytes:
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream, **options)
    return stream.getvalue()


def test_a_parquet_file_of_air_or_of_rows_without_end_is_refused():
    air = pyarrow.table({"a": [" " * (150 * 2**20)]})
    with pytest.raises(InputError, match="200 times"):
        list(parse_rows(parquet(air, compression="zstd", use_dictionary=False), "x.parquet"))
    many = pyarrow.table({"a": pyarrow.nulls(5_000_000, pyarrow.string())})
    with pytest.raises(InputError, match="more rows than bytes"):
        list(parse_rows(parquet(many), "x.parquet"))


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/stdin", "/proc/self/mem"])
def test_devices_are_no_files_of_rows(place):
    with pytest.raises(InputError):
        list(read_rows({"path": place}))


def test_a_pipe_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="no ordinary file"):
        read_content(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("figures: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("seeds: [" + "9" * 10**6 + "]", "digits"),
        (
            "figures:\n  a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"  {new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
                for old, new in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "alias",
        ),
        ("figures: &a {b: *a}", "refers to itself"),
        ("training: {epochs: .nan}", "not finite"),
        ("training: {epochs: 1.0e+999}", "not finite"),
    ],
    ids=["deep", "digits", "laughs", "circle", "nan", "infinite"],
)
def test_a_study_file_that_grows_without_bounds_is_a_message(tmp_path, text, words):
    file = tmp_path / "mine.yaml"
    file.write_text(f"base: test\n{text}\n")
    with pytest.raises(InputError, match=words):
        load_configuration({"study": str(file)}, root=ROOT)


def test_a_base_or_a_path_that_no_system_could_name_is_a_message(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"base: {'x' * 5000}\n")
    with pytest.raises(InputError, match="no such study file"):
        load_configuration({"study": str(file)}, root=ROOT)
    with pytest.raises(InputError, match="too long"):
        resolve_source({"path": {"train": ["data/" + "x" * 256]}})


@pytest.mark.parametrize("path", ["a\0b", "a\nb", ["x.jsonl", "\x1b[2J"], {"train": "a\0"}])
def test_a_path_with_control_characters_is_refused(path):
    with pytest.raises(InputError, match="control character"):
        resolve_source({"path": path})
