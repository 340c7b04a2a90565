"""A data set's encoded rows: read from instances.jsonl, or made once for all trainings that read them by one tokenizer.

Kept rows lie in a file of Arrow that is mapped into memory: a row becomes an example when it is asked for, and the
ranks of a machine share the pages of the file instead of holding lists of their own.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow

from plw.data.tokenization import EncodedExample, encode_examples, template_of, template_positions
from plw.data.tokenizers import tokenizer_digest
from plw.errors import InputError
from plw.files import atomic_path, locked, read_jsonl

LISTS = {"input_ids": pyarrow.int32(), "template": pyarrow.int32()}
NUMBERS = {
    "prompt_length": pyarrow.int32(),
    "answers_lost": pyarrow.int32(),
    "source_row": pyarrow.int64(),
    "truncated": pyarrow.bool_(),
    "completion_lost": pyarrow.bool_(),
    "prompt_is_prefix": pyarrow.bool_(),
}
SCHEMA = pyarrow.schema(
    [
        *((name, pyarrow.large_list(kind)) for name, kind in LISTS.items()),
        *NUMBERS.items(),
        ("roles", pyarrow.large_string()),  # as JSON; empty for one exchange
    ]
)
SUM = b"sum"  # of the columns, among the file's metadata


@dataclass(frozen=True, slots=True)
class SourcedExample(EncodedExample):
    """An encoded example that knows the row of the source file it came from, for error messages.

    template  positions of the prompt's template (`template_positions`), where it has a weight of its own
    """

    source_row: int = 0
    template: tuple[int, ...] = ()


def read_examples(
    path: Path, tokenizer, max_length: int, *, special_tokens: str = "keep", template: bool = False
) -> list[SourcedExample]:
    """Read instances.jsonl and encode it, in order (`plw.data.tokenization`).

    max_length  tokens of an example at most
    special_tokens  keep | escape: what the text of a special token inside an instance becomes
    template    also say which tokens are the template's
    Raises InputError for a file that is not there or empty.
    """
    if not path.is_file():
        raise InputError("There is no file of instances.", value=str(path), where="--instances")
    instances = read_jsonl(path)
    if not instances:
        raise InputError("The file of instances is empty.", value=str(path), where="--instances")
    encoded = encode_examples(tokenizer, instances, max_length, special_tokens=special_tokens)
    return [
        SourcedExample(
            example.input_ids,
            example.prompt_length,
            example.truncated,
            example.completion_lost,
            example.prompt_is_prefix,
            example.roles,
            example.answers_lost,
            instance.get("source_row", index),
            _template(tokenizer, instance, example, special_tokens) if template else (),
        )
        for index, (example, instance) in enumerate(zip(encoded, instances, strict=True))
    ]


def _template(tokenizer, instance: dict, example: EncodedExample, special_tokens: str) -> tuple[int, ...]:
    if example.roles:
        return template_of(example)
    return template_positions(tokenizer, instance, example.prompt_length, special_tokens=special_tokens)


def kept_examples(
    folder: Path,
    path: Path,
    tokenizer,
    max_length: int,
    *,
    code: str,
    special_tokens: str = "keep",
    template: bool = False,
) -> Sequence[SourcedExample]:
    """As `read_examples`, from a file in `folder` that the first who asks makes while others wait.

    folder  of all data sets and tokenizers;  path: instances.jsonl
    code    sum of the code that encodes: rows that other code made are made anew
    A damaged file counts as absent. Rows are not kept where a tokenizer's rules cannot be read, or the disk is full:
    it may only save time.
    """
    options: dict[str, Any] = {"special_tokens": special_tokens, "template": template}
    try:
        rules = [tokenizer_digest(tokenizer), tokenizer.chat_template]
    except InputError:
        return read_examples(path, tokenizer, max_length, **options)
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    key = hashlib.sha256(json.dumps([content, rules, max_length, options, code]).encode()).hexdigest()[:32]
    file = folder / f"{key}.arrow"
    with locked(file.with_suffix(".lock")):
        found = read_kept(file)
        if found is not None:
            return found
        examples = read_examples(path, tokenizer, max_length, **options)
        try:
            write_kept(file, examples)
        except OSError:
            return examples
        return read_kept(file) or examples


def write_kept(file: Path, examples: Sequence[SourcedExample]) -> None:
    """Write the examples' file, whole or not at all."""
    columns = {name: [getattr(example, name) for example in examples] for name in (*LISTS, *NUMBERS)}
    columns["roles"] = [json.dumps(example.roles) if example.roles else "" for example in examples]
    table = pyarrow.table(columns, SCHEMA).combine_chunks()
    table = table.replace_schema_metadata({SUM: _sum(table)})
    with atomic_path(file) as temporary, pyarrow.ipc.new_file(temporary, table.schema) as stream:
        stream.write_table(table)


def read_kept(file: Path) -> "KeptExamples | None":
    """The examples of a file; None where it is not there, or damaged."""
    try:
        with pyarrow.memory_map(str(file)) as stream:
            table = pyarrow.ipc.open_file(stream).read_all()
        whole = table.schema.equals(SCHEMA) and all(column.num_chunks == 1 for column in table.columns)
        if not whole or (table.schema.metadata or {}).get(SUM) != _sum(table):
            return None
    except (pyarrow.ArrowException, OSError):
        return None
    return KeptExamples(table)


def _sum(table: pyarrow.Table) -> bytes:
    digest = hashlib.sha256()
    for column in table.columns:
        for chunk in column.chunks:
            for buffer in chunk.buffers():
                digest.update(f"{buffer.size if buffer else None}\0".encode())
                digest.update(buffer or b"")
    return digest.hexdigest().encode()


class KeptExamples(Sequence[SourcedExample]):
    """The rows of a mapped file, each made into an example when it is asked for."""

    def __init__(self, table: pyarrow.Table):
        self._rows = table.num_rows
        columns = {name: table.column(name).chunk(0) for name in SCHEMA.names}
        self._lists = {name: (columns[name].offsets.to_numpy(), columns[name].values.to_numpy()) for name in LISTS}
        # Arrow's bools are bits, which cannot be mapped.
        self._numbers = {name: columns[name].to_numpy(zero_copy_only=False) for name in NUMBERS}
        self._roles = columns["roles"]

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[SourcedExample]:
        return (self._example(row) for row in range(self._rows))

    @overload
    def __getitem__(self, index: int) -> SourcedExample: ...

    @overload
    def __getitem__(self, index: slice) -> list[SourcedExample]: ...

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self._example(row) for row in range(*index.indices(self._rows))]
        return self._example(range(self._rows)[index])

    def _example(self, row: int) -> SourcedExample:
        roles = self._roles[row].as_py()
        return SourcedExample(
            input_ids=self._list("input_ids", row).tolist(),
            prompt_length=int(self._numbers["prompt_length"][row]),
            truncated=bool(self._numbers["truncated"][row]),
            completion_lost=bool(self._numbers["completion_lost"][row]),
            prompt_is_prefix=bool(self._numbers["prompt_is_prefix"][row]),
            roles=tuple((role, tokens) for role, tokens in json.loads(roles)) if roles else (),
            answers_lost=int(self._numbers["answers_lost"][row]),
            source_row=int(self._numbers["source_row"][row]),
            template=tuple(self._list("template", row).tolist()),
        )

    def _list(self, name: str, row: int) -> np.ndarray:
        offsets, values = self._lists[name]
        return values[offsets[row] : offsets[row + 1]]


assert {field.name for field in fields(SourcedExample)} == set(SCHEMA.names), "a field that would not be kept"
