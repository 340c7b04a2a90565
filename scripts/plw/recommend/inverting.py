"""`plw invert`: a file of instruction data with its prompts inverted (App. A)."""

from collections.abc import Iterable, Iterator

from plw.data.instances import Instance, instance_rows
from plw.data.inversion import invert_all, invert_to_target
from plw.data.ratios import Measure, count_characters, field_lengths, parts_of
from plw.errors import InputError
from plw.recommend.lengths import open_file
from plw.recommend.tokenizers import token_counter_of


class InvertedFile(Iterable[dict]):
    """The inverted rows of a file (instruction, input, output, source_row, inverted), to be gone through once.

    `said` is then what became of the ratio in words. Rows are read as they come; with a target ratio all of them are
    held, because any of them may be the one that reaches it.
    """

    def __init__(self, instances: Iterable[Instance], counter: Measure | None, *, r_g: float | None, seed: int):
        self._instances, self._counter, self._r_g, self._seed = instances, counter, r_g, seed
        self.said = ""

    def __iter__(self) -> Iterator[dict]:
        measure = self._counter or count_characters
        sums = {"before": [0, 0], "after": [0, 0]}  # completion, prompt
        rows = inverted = 0
        for part, result in self._parts():
            for name, instances in (("before", part), ("after", result)):
                lengths = field_lengths(instances, measure)
                sums[name][0] += sum(lengths.output)
                sums[name][1] += sum(lengths.prompt)
            rows, inverted = rows + len(result), inverted + sum(instance.inverted for instance in result)
            yield from instance_rows(result)
        unit = "characters" if self._counter is None else "tokens"
        ratios = (completion / prompt if prompt else None for completion, prompt in sums.values())
        shown = " to ".join("none" if ratio is None else f"{ratio:.3g}" for ratio in ratios)
        self.said = f"{inverted:,} of {rows:,} rows inverted; R_g from {shown} ({unit})"

    def _parts(self) -> Iterator[tuple[list[Instance], list[Instance]]]:
        """Instances and what becomes of them."""
        if self._r_g is None or self._counter is None:
            for part in parts_of(self._instances):
                yield part, invert_all(part, count_characters).instances
        else:
            whole = list(self._instances)
            result = invert_to_target(whole, count_characters, self._counter, r_g=self._r_g, seed=self._seed)
            yield whole, result.instances


def invert_file(
    file: str,
    *,
    format: str | None = None,
    tokenizer: str | None = None,
    r_g: float | None = None,
    seed: int = 42,
    most_left_out: float = 0.1,
) -> InvertedFile:
    """The rows of a file with their prompts inverted.

    r_g   invert rows in a seeded random order until the ratio of mean tokens reaches this; None: every row whose
          completion has more characters than its prompt, the paper's rule for its Short sets
    Other arguments as `plw.recommend.decision.recommend`.
    Raises InputError for a target that is not positive or without a tokenizer; while rows are read, as `open_file`, and
    for a target that cannot be reached.
    """
    counter = token_counter_of(tokenizer)
    if r_g is not None and not r_g > 0:
        raise InputError("R_g must be a positive number.", value=r_g, where="--r-g")
    if r_g is not None and counter is None:
        raise InputError("A target R_g is one of tokens.", value=r_g, where="--r-g", hint="Give --tokenizer.")
    return InvertedFile(open_file(file, format=format, most_left_out=most_left_out), counter, r_g=r_g, seed=seed)
