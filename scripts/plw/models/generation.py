"""Texts that a model writes: candidates for the judges, and the judges' own answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from plw.data.template import format_prompt
from plw.errors import InputError
from plw.models.decoding import STEP_TOKENS, PrefixCache, generate_from_tokens, plan_batches, rows_of_small_batch
from plw.models.memory import BatchMemory

TEMPLATES = {
    "alpaca": "",
    "alpaca_newline": "\n",
}  # what follows "### Response:"; PandaLM's script adds a newline


@dataclass(frozen=True)
class Generation:
    """What the model wrote after one prompt.

    text      decoded without special tokens, not stripped
    tokens    number of generated tokens, the final end-of-sequence not counted
    finished  the model ended by itself; False if `max_new_tokens` cut it
    """

    text: str
    tokens: int
    finished: bool


def generate_texts(
    model: PreTrainedModel,
    tokenizer,
    prompts: Sequence[str] | Sequence[list[int]],
    *,
    max_new_tokens: int,
    batch_size: int,
    num_beams: int = 1,
    repetition_penalty: float = 1.0,
    free_bytes: int | None = None,
) -> list[Generation]:
    """Continue every prompt without sampling.

    At most `batch_size` prompts go through the model at once, or as many as take next to no memory, and no more than
    its device's memory holds (`free_bytes` of it, if given). The result does not depend on how many these are (in
    float32, and but for ties).

    Prompts are texts or their token ids (`encode_prompts`). Texts get the special tokens that the tokenizer adds by
    default, as in training. `max_new_tokens` shrinks for all prompts alike to what the longest leaves of the model's
    context; InputError if it leaves nothing.
    """
    if not prompts:
        return []
    encoded = encode_prompts(tokenizer, prompts)
    context = getattr(model.config, "max_position_embeddings", None)
    room = max_new_tokens if context is None else min(max_new_tokens, context - max(map(len, encoded)))
    if room < 1:
        longest = max(range(len(encoded)), key=lambda index: len(encoded[index]))
        raise InputError(
            f"A prompt of {len(encoded[longest])} tokens leaves no room in the model's context of {context}.",
            value=tokenizer.decode(encoded[longest], skip_special_tokens=True)[:200],
        )
    settings: dict = {"max_new_tokens": room, "do_sample": False, "eos_token_id": tokenizer.eos_token_id}
    if num_beams > 1:
        settings |= {"num_beams": num_beams, "early_stopping": True}  # PandaLM's setting with beams
    if repetition_penalty != 1.0:
        settings["repetition_penalty"] = repetition_penalty
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    cache, memory = PrefixCache(model), BatchMemory(model, free=free_bytes)
    tokens = (max(map(len, encoded)) + room) * num_beams
    batch_size = max(batch_size, rows_of_small_batch(model, tokens=tokens))
    results: dict[int, Generation] = {}
    planned = plan_batches(
        encoded,
        rows=batch_size,
        steps=room,
        step_tokens=STEP_TOKENS.get(model.device.type, STEP_TOKENS["cuda"]),
        shares=num_beams == 1,
    )
    for batch in planned:
        rows = generate_from_tokens(
            model,
            [encoded[index] for index in batch],
            pad_id=pad_id,
            memory=memory,
            prefix_cache=cache,
            **settings,
        ).tolist()
        for index, row in zip(batch, rows, strict=True):
            results[index] = decode_continuation(tokenizer, row)
    return [results[index] for index in range(len(encoded))]


def encode_prompts(tokenizer, prompts: Sequence[str] | Sequence[list[int]]) -> list[list[int]]:
    """Token ids of prompts, with the special tokens that the tokenizer adds by default; ids stay as they are."""
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    if not texts:
        return [list(prompt) for prompt in prompts if not isinstance(prompt, str)]
    return tokenizer(texts, verbose=False)["input_ids"]


def fits_context(
    model: PreTrainedModel, tokenizer, prompts: Sequence[str] | Sequence[list[int]], *, max_new_tokens: int
) -> list[bool]:
    """For each prompt, a text or its token ids, whether it leaves room for `max_new_tokens` in the model's context."""
    context = getattr(model.config, "max_position_embeddings", None)
    if context is None or not prompts:
        return [True] * len(prompts)
    return [len(ids) + max_new_tokens <= context for ids in encode_prompts(tokenizer, prompts)]


def candidate_prompts(rows: Sequence[dict], template: str = "alpaca") -> list[str]:
    """Prompts of a judged benchmark in the form of the training (or PandaLM's, with a newline more)."""
    if template not in TEMPLATES:
        raise InputError("Unknown candidate template.", value=template, hint=f"Use one of {', '.join(TEMPLATES)}.")
    return [format_prompt(row["instruction"], row.get("input", "")) + TEMPLATES[template] for row in rows]


def without_bos(tokenizer, prompts: Sequence[str]) -> list[str]:
    """The prompts without a beginning-of-sequence mark of their own: with the tokenizer's it would stand twice."""
    return [prompt.removeprefix(tokenizer.bos_token or "") for prompt in prompts]


def decode_continuation(tokenizer, row: list[int]) -> Generation:
    """What the token ids after a prompt say, up to the end of sequence."""
    finished = tokenizer.eos_token_id in row
    tokens = row[: row.index(tokenizer.eos_token_id)] if finished else row
    return Generation(tokenizer.decode(tokens, skip_special_tokens=True), len(tokens), finished)
