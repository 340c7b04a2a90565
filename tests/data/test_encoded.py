"""Encoded rows that are kept for a sweep are those that each training would make, and no damage is believed."""

import errno
import multiprocessing
import os
import sys
import time
from pathlib import Path

import pyarrow
import pytest
from plw.data import encoded
from plw.data.encoded import SCHEMA, KeptExamples, kept_examples, read_examples, read_kept
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError
from plw.files import write_jsonl
from tiny import tiny_instances, tiny_tokenizer

TURNS = [("system", "tell the truth"), ("user", "name a cat"), ("assistant", "red"), ("user", "a dog"),
         ("assistant", "an old dog sleeps")]  # fmt: skip
LENGTH = 160
FORMS = {
    "usual": {},
    "the template's places": {"template": True},
    "special tokens as text": {"special_tokens": "escape"},
    "both": {"special_tokens": "escape", "template": True},
}


@pytest.fixture
def rows(tmp_path) -> Path:
    """Rows of all kinds: short ones, cut ones, one that loses its completion, marked ones, conversations."""
    instances = tiny_instances(20, seed=3)
    instances[2]["output"] += " </s> and more"
    instances[5]["instruction"] = " ".join(["stone"] * 100)
    instances[7]["source_row"] = 2**40
    instances += [{**instances[0], "turns": TURNS, "source_row": 20}, {**instances[0], "turns": TURNS * 3}]
    write_jsonl(tmp_path / "instances.jsonl", instances)
    return tmp_path / "instances.jsonl"


@pytest.fixture
def tokenizer(tmp_path):
    return tokenizer_of(tmp_path / "tokenizer")


def tokenizer_of(folder: Path):
    tiny_tokenizer(folder)
    loaded = load_tokenizer({"path": str(folder)})
    prepare_tokenizer(loaded)
    return loaded


@pytest.mark.parametrize("form", FORMS)
def test_kept_rows_are_the_rows_that_are_read(form, rows, tokenizer, tmp_path):
    expected = read_examples(rows, tokenizer, LENGTH, **FORMS[form])
    assert (
        {example.truncated for example in expected}
        == {example.completion_lost for example in expected}
        == {True, False}
    )
    for _ in range(2):  # made, then found
        kept = kept_examples(tmp_path / "kept", rows, tokenizer, LENGTH, code="", **FORMS[form])
        assert isinstance(kept, KeptExamples) and list(kept) == expected and repr(list(kept)) == repr(expected)
    assert kept[3] == expected[3] and kept[-1] == expected[-1] and kept[4:1:-2] == expected[4:1:-2]
    with pytest.raises(IndexError):
        kept[len(expected)]


def test_the_next_training_encodes_nothing_and_maps_the_file(rows, tokenizer, tmp_path, monkeypatch):
    kept_examples(tmp_path / "kept", rows, tokenizer, LENGTH, code="")
    monkeypatch.setattr(encoded, "encode_examples", lambda *a, **k: pytest.fail("rows are encoded again"))
    kept = kept_examples(tmp_path / "kept", rows, tokenizer_of(tmp_path / "the same elsewhere"), LENGTH, code="")
    (file,) = (tmp_path / "kept").glob("*.arrow")
    if sys.platform == "linux":
        assert str(file) in Path("/proc/self/maps").read_text()
    file.unlink()
    assert kept[0].input_ids, "what is mapped stays, where the folder is deleted meanwhile"


def test_other_rows_tokenizers_settings_and_code_have_files_of_their_own(rows, tokenizer, tmp_path):
    def keep(tokenizer=tokenizer, length=LENGTH, code="", **options):
        kept_examples(tmp_path / "kept", rows, tokenizer, length, code=code, **options)
        return len(list((tmp_path / "kept").glob("*.arrow")))

    assert keep() == keep() == 1
    assert [keep(**options) for options in FORMS.values()] == [1, 2, 3, 4]
    assert keep(length=LENGTH + 1) == 5
    assert keep(code="another") == 6
    other = tokenizer_of(tmp_path / "other")
    other.chat_template = "{{ messages }}"
    assert keep(other) == 7
    other.add_tokens(["zebra"])
    assert keep(other) == 8
    write_jsonl(rows, tiny_instances(3))
    assert keep() == 9


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def one_token_changed(content: bytes) -> bytes:
    first = read_kept_of(content)[0].input_ids
    place = content.index(b"".join(token.to_bytes(4, "little") for token in first))
    return content[:place] + (first[0] + 1).to_bytes(4, "little") + content[place + 4 :]


def read_kept_of(content: bytes) -> KeptExamples:
    return KeptExamples(pyarrow.ipc.open_file(content).read_all())


@pytest.mark.parametrize("damage", [cut, one_token_changed, lambda content: b"", lambda content: b"ARROW1\0\0"])
def test_a_damaged_file_counts_as_absent_and_is_made_anew(damage, rows, tokenizer, tmp_path):
    expected = list(kept_examples(tmp_path / "kept", rows, tokenizer, LENGTH, code=""))
    (file,) = (tmp_path / "kept").glob("*.arrow")
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    assert read_kept(file) is None
    assert list(kept_examples(tmp_path / "kept", rows, tokenizer, LENGTH, code="")) == expected
    assert file.read_bytes() != damaged and read_kept(file) is not None


def test_a_file_of_other_columns_counts_as_absent(tmp_path):
    file = tmp_path / "other.arrow"
    table = pyarrow.table({name: ["text"] for name in SCHEMA.names})
    with pyarrow.ipc.new_file(file, table.schema) as stream:
        stream.write_table(table)
    assert read_kept(file) is None


def test_of_many_that_begin_together_one_encodes(rows, tokenizer, tmp_path, monkeypatch):
    """Forked, since threads of one process share its locks."""
    made = tmp_path / "made"

    def slowly(*arguments, **options):
        with open(made, "a") as log:
            log.write("once\n")
        time.sleep(0.3)  # as long as the others need to come
        return read_examples(*arguments, **options)

    monkeypatch.setattr(encoded, "read_examples", slowly)
    many = [
        multiprocessing.get_context("fork").Process(
            target=kept_examples, args=(tmp_path / "kept", rows, tokenizer, LENGTH), kwargs={"code": ""}
        )
        for _ in range(3)
    ]
    for one in many:
        one.start()
    for one in many:
        one.join()
    assert [one.exitcode for one in many] == [0, 0, 0] and made.read_text() == "once\n"


def test_rows_of_a_tokenizer_whose_rules_cannot_be_read_are_not_kept(rows, tmp_path, monkeypatch):
    class Letters:
        """No tokenizer of the library `tokenizers`."""

        eos_token = "\0"

        def __call__(self, texts, **_):
            return {"input_ids": [list(map(ord, text)) for text in texts]}

    write_jsonl(rows, tiny_instances(4))
    found = kept_examples(tmp_path / "kept", rows, Letters(), LENGTH, code="")
    assert list(found) == read_examples(rows, Letters(), LENGTH) and not (tmp_path / "kept").exists()


def test_missing_or_empty_instances_are_refused_and_leave_no_file(tokenizer, tmp_path):
    for name in ("missing", "empty"):
        if name == "empty":
            write_jsonl(tmp_path / name, [])
        with pytest.raises(InputError, match=name if name == "empty" else "no file of instances"):
            kept_examples(tmp_path / "kept", tmp_path / name, tokenizer, LENGTH, code="")
    assert not list((tmp_path / "kept").glob("*.arrow"))


def test_on_a_full_disk_rows_are_read_and_not_kept(rows, tokenizer, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    found = kept_examples(tmp_path / "kept", rows, tokenizer, LENGTH, code="")
    assert found == read_examples(rows, tokenizer, LENGTH)
    assert [file.suffix for file in (tmp_path / "kept").iterdir()] == [".lock"]
