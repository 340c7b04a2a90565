"""From an instance to token ids, exactly as Stanford Alpaca does it.

The prompt and the whole example (prompt + completion + end-of-sequence, joined as text) are tokenised
separately, each with the special tokens that the tokenizer adds by default, and cut on the right to
`max_length`. The first `len(prompt ids)` positions of the example count as prompt. Where the tokenizer merges
the last character of the prompt with the first of the completion, the border is therefore off by a token; the
paper trained on that, so it is kept and counted (`prompt_is_prefix`).
Source: tatsu-lab/stanford_alpaca@761dc5b, train.py (`preprocess`, `_tokenize_fn`).

A special token's text inside an instance (`</s>` in a row about HTML) becomes that token, as in Alpaca's code; with
`escape` it stays text, and only the end-of-sequence that is added is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plw.data.conversations import ASSISTANT
from plw.data.template import field_spans, format_prompt
from plw.data.turn_tokens import (
    EARLIER,
    TEMPLATE,
    Runs,
    check_escaped,
    conversation_tokens,
    positions_of,
    runs_of,
    with_offsets,
)

CHUNK_ROWS = 1000  # rows per call of the tokenizer: enough for its threads, small enough for memory


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """One training sequence.

    input_ids         token ids of prompt and completion, at most `max_length`
    prompt_length     leading positions that belong to the prompt (template and BOS included), <= len(input_ids)
    truncated         tokens were cut off on the right, so at least the end-of-sequence is missing
    completion_lost   no completion token is left
    prompt_is_prefix  the prompt tokenised alone is how the example begins
    roles             of a whole conversation: the role of each token (`plw.data.turn_tokens`), as runs; prompt_length
                      then ends where the first answer begins. Empty for one exchange
    answers_lost      answers of a conversation of which no token is left
    """

    input_ids: list[int]
    prompt_length: int
    truncated: bool
    completion_lost: bool
    prompt_is_prefix: bool
    roles: Runs = ()
    answers_lost: int = 0

    @property
    def prompt_tokens(self) -> int:
        """How many tokens are the prompt's; in a conversation all that are no answer's."""
        return len(self.input_ids) - len(positions_of(self.roles, ANSWERS)) if self.roles else self.prompt_length


ANSWERS = (ASSISTANT, EARLIER)
SPECIAL_TOKENS = ("keep", "escape")
FIELDS = ("instruction", "input", "output")


def special_texts(tokenizer) -> tuple[str, ...]:
    """The texts that this tokenizer takes for special tokens wherever they stand."""
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return tuple(dict.fromkeys(text for text in (*tokenizer.all_special_tokens, *added) if text))


def holds_special(row: Mapping, specials: Sequence[str]) -> bool:
    """Whether a field or a turn of the row holds the text of a special token."""
    texts = [said for _, said in row.get("turns", ())] or [row[field] for field in FIELDS]
    return any(special in text for text in texts for special in specials)


def encode_example(tokenizer, instruction: str, input: str, output: str, max_length: int) -> EncodedExample:
    """Encode one instance; see the head of this module."""
    row = {"instruction": instruction, "input": input, "output": output}
    return encode_examples(tokenizer, [row], max_length)[0]


def encode_examples(
    tokenizer, instances: Iterable[dict], max_length: int, *, special_tokens: str = "keep"
) -> list[EncodedExample]:
    """Encode instances (`instruction`, `input`, `output`, perhaps `turns`) in order; as one at a time, but faster.

    special_tokens  keep | escape: what the text of a special token inside an instance becomes
    Raises InputError for a tokenizer that cannot escape.
    """
    instances = list(instances)
    encoded = []
    for start in range(0, len(instances), CHUNK_ROWS):
        encoded += _encode_chunk(tokenizer, instances[start : start + CHUNK_ROWS], max_length)
    if special_tokens == "escape":
        specials = special_texts(tokenizer)
        for index, row in enumerate(instances):
            if not row.get("turns") and holds_special(row, specials):
                encoded[index] = _escaped(tokenizer, row, max_length)
    for index, row in enumerate(instances):
        if row.get("turns"):
            encoded[index] = _conversation(tokenizer, row["turns"], max_length, special_tokens)
    return encoded


def _conversation(tokenizer, turns, max_length: int, special_tokens: str) -> EncodedExample:
    whole, roles, starts = conversation_tokens(tokenizer, turns, special_tokens=special_tokens)
    kept = roles[:max_length]
    return EncodedExample(
        input_ids=whole[:max_length],
        prompt_length=min(starts[0], len(kept)),
        truncated=len(kept) < len(whole),
        completion_lost=starts[0] >= len(kept),
        prompt_is_prefix=True,  # every token has its role by where it lies
        roles=runs_of(kept),
        answers_lost=sum(start >= len(kept) for start in starts),
    )


def template_positions(tokenizer, row: Mapping, length: int, *, special_tokens: str = "keep") -> tuple[int, ...]:
    """The positions among the first `length` tokens of a row's prompt that hold nothing of its instruction or input.

    They are the template's and what the tokenizer puts before a text; a token that holds both is the field's.
    Raises InputError for a tokenizer that does not say where in a text its tokens lie.
    """
    text = format_prompt(row["instruction"], row["input"])
    found = with_offsets(tokenizer, text, special_tokens=special_tokens, where="training.template_loss_weight")
    lying = found["offset_mapping"][:length]
    spans = field_spans(row["instruction"], row["input"])
    return tuple(
        place
        for place, (start, end) in enumerate(lying)
        if not any(start < behind and end > first for first, behind in spans)
    )


def _escaped(tokenizer, row: dict, max_length: int) -> EncodedExample:
    """One instance whose special tokens are text; only what the tokenizer itself adds and the end are tokens."""
    prompt_text = format_prompt(row["instruction"], row["input"])
    prompt, whole = (
        tokenizer(text, split_special_tokens=True, verbose=False)["input_ids"]
        for text in (prompt_text, prompt_text + row["output"])
    )
    alone = tokenizer(row["output"], split_special_tokens=True, add_special_tokens=False, verbose=False)["input_ids"]
    check_escaped(tokenizer, alone)
    whole = [*whole, tokenizer.eos_token_id]
    cut, prompt = whole[:max_length], prompt[:max_length]
    return EncodedExample(
        input_ids=cut,
        prompt_length=min(len(prompt), len(cut)),
        truncated=len(cut) < len(whole),
        completion_lost=len(prompt) >= len(cut),
        prompt_is_prefix=cut[: len(prompt)] == prompt,
    )


def _encode_chunk(tokenizer, instances: Sequence[dict], max_length: int) -> list[EncodedExample]:
    prompts = [format_prompt(row["instruction"], row["input"]) for row in instances]
    texts = [prompt + row["output"] + tokenizer.eos_token for prompt, row in zip(prompts, instances, strict=True)]
    prompt_ids = _truncated_ids(tokenizer, prompts, max_length)
    text_ids = _truncated_ids(tokenizer, texts, max_length)
    return [
        EncodedExample(
            input_ids=whole,
            prompt_length=min(len(prompt), len(whole)),
            truncated=truncated,
            completion_lost=len(prompt) >= len(whole),
            prompt_is_prefix=whole[: len(prompt)] == prompt,
        )
        for (prompt, _), (whole, truncated) in zip(prompt_ids, text_ids, strict=True)
    ]


def _truncated_ids(tokenizer, texts: list[str], max_length: int) -> list[tuple[list[int], bool]]:
    """Token ids of each text, cut to `max_length`, and whether something was cut.

    What a tokenizer puts around a text stands before it alone (`plw.data.tokenizers`), so a cut is a slice.
    """
    whole = tokenizer(texts, verbose=False)["input_ids"]
    return [(ids[:max_length], len(ids) > max_length) for ids in whole]


def count_problems(examples: Iterable[EncodedExample]) -> dict[str, int]:
    """Rows per problem of the pre-flight table: truncated, completion_lost, prompt_not_a_prefix.

    Where there are whole conversations also how many, and how many rows lost answers and how many answers that are.
    """
    counts = {"rows": 0, "truncated": 0, "completion_lost": 0, "prompt_not_a_prefix": 0}
    for example in examples:
        counts["rows"] += 1
        counts["truncated"] += example.truncated
        counts["completion_lost"] += example.completion_lost
        counts["prompt_not_a_prefix"] += not example.prompt_is_prefix
        if example.roles:
            for key, number in (("conversations", 1), ("rows_with_answers_lost", example.answers_lost > 0),
                                ("answers_lost", example.answers_lost)):  # fmt: skip
                counts[key] = counts.get(key, 0) + number
    return counts


def template_of(example: EncodedExample) -> tuple[int, ...]:
    """The positions of a conversation's template; `template_positions` tells those of one exchange."""
    return tuple(positions_of(example.roles, (TEMPLATE,)))
