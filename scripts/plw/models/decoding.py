"""Batched decoding that computes a beginning shared by all prompts only once, and no row beyond its end.

Few-shot examples, TruthfulQA's preamble and the judges' instructions stand before every prompt of a
benchmark. Their keys and values are computed once and repeated over the batch. The generated tokens are those
of plain `model.generate` (up to rounding: the sums are the same, their order in memory is not).
"""

import copy
import inspect
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from plw.models.memory import BatchMemory, bytes_per_token, is_out_of_memory

SMALL_BATCH_BYTES = 2**27  # what a batch may take in any case: those of a small model are filled up to it
# Tokens of a prompt that are read in the time of a step of writing: measured on a core with hidden 96. On a GPU that
# step reads all weights, and an A100 computes 312 Tflop/s over reading 2 TB/s.
STEP_TOKENS = {"cpu": 50, "cuda": 150}
KEPT_SHARE = (
    0.75  # with no more than this of a batch's rows unfinished the others leave it, which copies the cache once
)
# What a model's generation settings may say and change no greedy text.
PLAIN_SETTINGS = {
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "transformers_version",
    "_from_model_config",
    "use_cache",
}
MIN_SHARED_TOKENS = 16  # a shorter common beginning costs more in handling than it saves


def common_prefix_length(sequences: Sequence[list[int]]) -> int:
    """Number of leading items that all sequences share."""
    first, last = min(sequences), max(sequences)  # in lexical order these two differ earliest
    shared, least = 0, min(len(first), len(last)) + 1  # so many are shared, and fewer than so many
    while shared + 1 < least:  # halving, as slices are compared much faster than items
        middle = (shared + least) // 2
        if first[shared:middle] == last[shared:middle]:
            shared = middle
        else:
            least = middle
    return shared


def plan_batches(
    prompts: Sequence[list[int]], *, rows: int, steps: int, step_tokens: int, shares: bool = True
) -> list[list[int]]:
    """Places of the prompts in batches of at most `rows`, so that few tokens are read.

    Either by length, so that little is filled up, or by their words, so that a batch has a long beginning in common,
    as a judge's prompts on one instruction have: whichever reads fewer tokens.

    steps        tokens to write at most;  step_tokens: how many tokens of a prompt are read in the time of a step
    shares       whether a batch reads its common beginning once; if not, only the length counts
    """
    lengths = [len(prompt) for prompt in prompts]
    fixed = (steps + 1) * step_tokens  # of a batch, whatever its rows; one more for its beginning
    by_length = sorted(range(len(prompts)), key=lambda place: (-lengths[place], prompts[place]))
    plain = [by_length[start : start + rows] for start in range(0, len(by_length), rows)]
    if not shares:
        return plain
    cost = sum(_tokens_read([prompts[place] for place in batch]) + fixed for batch in plain)
    by_words = sorted(range(len(prompts)), key=lambda place: prompts[place])
    ends, cheapest = _cut_into_batches([prompts[place] for place in by_words], rows=rows, fixed=fixed)
    if cheapest >= cost:
        return plain
    return [by_words[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _tokens_read(prompts: Sequence[list[int]]) -> int:
    shared = min(common_prefix_length(prompts), min(map(len, prompts)) - 1)
    return shared + len(prompts) * (max(map(len, prompts)) - shared)


def _cut_into_batches(prompts: Sequence[list[int]], *, rows: int, fixed: int) -> tuple[list[int], float]:
    """Where to cut prompts in the order of their words so that the fewest tokens are read, and how many these are."""
    lengths = np.array([len(prompt) for prompt in prompts])
    common = np.array([0, *(common_prefix_length(pair) for pair in pairwise(prompts))])  # with the one before
    least, begins = np.zeros(len(prompts) + 1), [0] * (len(prompts) + 1)
    for end in range(1, len(prompts) + 1):
        first = max(0, end - rows)
        longest = np.maximum.accumulate(lengths[first:end][::-1])  # of the batches that begin at end - 1, end - 2, …
        shared = np.minimum.accumulate(np.concatenate([lengths[end - 1 : end] - 1, common[first + 1 : end][::-1]]))
        shared = np.minimum(shared, np.minimum.accumulate(lengths[first:end][::-1]) - 1)
        count = np.arange(1, end - first + 1)
        total = least[first:end][::-1] + fixed + shared + count * (longest - shared)
        best = int(total.argmin())
        least[end], begins[end] = total[best], end - 1 - best
    ends = []
    end = len(prompts)
    while end:
        ends.append(end)
        end = begins[end]
    return ends[::-1], float(least[-1])


def rows_of_small_batch(model: PreTrainedModel, *, tokens: int) -> int:
    """How many texts of so many tokens are written within SMALL_BATCH_BYTES: these need no other limit."""
    logits = model.config.get_text_config().vocab_size * 4  # of a row's last token, in float32
    return SMALL_BATCH_BYTES // (tokens * bytes_per_token(model) + logits)


def attention_window(model: PreTrainedModel) -> int | None:
    """Tokens that the model's narrowest attention looks back over (Mistral, Gemma 2); None if all see everything."""
    windows = [layer.sliding_window for layer in DynamicCache(config=model.config).layers if layer.is_sliding]
    return min(windows, default=None)


class PrefixCache:
    """Keys and values of the last common beginning, kept between batches."""

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.tokens: list[int] = []
        self.cache: DynamicCache | None = None

    @torch.inference_mode()
    def repeated(self, tokens: list[int], rows: int) -> DynamicCache:
        """The cache after `tokens`, for a batch of `rows` equal beginnings; the caller may extend it."""
        if tokens != self.tokens:
            cache = DynamicCache(config=self.model.config)
            ids = torch.tensor([tokens], device=self.model.device)
            self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            self.tokens, self.cache = list(tokens), cache
        assert self.cache is not None  # `tokens` are never empty
        repeated = copy.deepcopy(self.cache)
        repeated.batch_repeat_interleave(rows)
        return repeated


class StopAtStrings(StoppingCriteria):
    """Stops a row as soon as its new text holds one of the strings; looks only at the last few tokens."""

    def __init__(self, tokenizer, strings: Iterable[str], prompt_length: int, *, window: int = 8):
        self.tokenizer = tokenizer
        self.strings = list(strings)
        self.prompt_length = prompt_length
        self.window = window + max((len(string) for string in self.strings), default=0)
        self.done: torch.Tensor | None = None  # rows that have ended; None before a batch begins

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs) -> torch.Tensor:
        if self.done is None:
            self.done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        tail = input_ids[:, max(self.prompt_length, input_ids.shape[1] - self.window) :]
        self.done |= torch.tensor(self.stops(tail.tolist()), device=self.done.device)
        return self.done

    def stops(self, texts: Sequence[list[int]]) -> list[bool]:
        """Whether each of these token ids, new ones alone, holds one of the strings near its end."""
        decoded = self.tokenizer.batch_decode([ids[-self.window :] for ids in texts])
        return [any(string in text for string in self.strings) for text in decoded]


def generate_from_tokens(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    *,
    pad_id: int,
    memory: BatchMemory,
    prefix_cache: PrefixCache | None = None,
    stopping: Sequence[StopAtStrings] = (),
    **generation,
) -> torch.Tensor:
    """Return the new token ids [rows, steps] of one batch; rows that end early are filled with `pad_id`.

    prompts       token ids of each prompt, not empty
    memory        how many of them go through the model at once; after out-of-memory half as many, from there on
    prefix_cache  compute a common beginning once; None decodes plainly. Not used with beams, nor where a text may grow
                  longer than a window of the model's attention, which would count the filling behind the beginning
    generation    arguments of `model.generate` (max_new_tokens, do_sample, num_beams …)
    """
    longest = max(map(len, prompts))
    need = {"tokens": longest + generation["max_new_tokens"], "beams": generation.get("num_beams", 1)}
    window = attention_window(model)
    if window is not None and need["tokens"] > window:
        prefix_cache = None
    parts: list[torch.Tensor] = []
    done = 0
    while done < len(prompts):
        rows = memory.rows(len(prompts) - done, **need)
        for criterion in stopping:
            criterion.done = None
        try:
            part = _generate_at_once(
                model,
                prompts[done : done + rows],
                longest=longest,
                pad_id=pad_id,
                prefix_cache=prefix_cache,
                stopping=stopping,
                **generation,
            )
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            part = None  # the error holds the batch's tensors; they must be gone before the next try
        if part is None:
            memory.halve(rows, **need)
        else:
            parts.append(part)
            done += rows
    steps = max(part.shape[1] for part in parts)
    padded = [torch.nn.functional.pad(part, (0, steps - part.shape[1]), value=pad_id) for part in parts]
    return torch.cat(padded)


@torch.inference_mode()
def _generate_at_once(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    *,
    longest: int,
    pad_id: int,
    prefix_cache: PrefixCache | None,
    stopping: Sequence[StopAtStrings],
    **generation,
) -> torch.Tensor:
    """New token ids [rows, steps] of prompts that are filled on the left to `longest` tokens."""
    shared = 0
    if prefix_cache is not None and generation.get("num_beams", 1) == 1:
        shared = min(common_prefix_length(prompts), min(map(len, prompts)) - 1)
    shared = shared if shared >= MIN_SHARED_TOKENS else 0
    ids = torch.zeros((len(prompts), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):  # [beginning | padding | rest]: the beginning stands at the same place
        ids[row] = prompt[0]  # padding is masked, but a repetition penalty sees it: a token that the prompt has anyway
        start = longest - (len(prompt) - shared)
        ids[row, :shared], ids[row, start:] = torch.tensor(prompt[:shared]), torch.tensor(prompt[shared:])
        mask[row, :shared], mask[row, start:] = 1, 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    if _is_greedy(model, generation):
        cache = DynamicCache(config=model.config)
        if shared:
            assert prefix_cache is not None  # without one nothing is shared
            cache = prefix_cache.repeated(prompts[0][:shared], len(prompts))
        ends = generation.get("eos_token_id", model.generation_config.eos_token_id)
        written = _write_greedily(
            model,
            ids,
            mask,
            cache,
            steps=generation["max_new_tokens"],
            ends={ends} if isinstance(ends, int) else set(ends or ()),
            stopping=stopping,
        )
        steps = max(map(len, written))
        return torch.tensor([row + [pad_id] * (steps - len(row)) for row in written], device=model.device)
    if shared:
        assert prefix_cache is not None
        generation["past_key_values"] = prefix_cache.repeated(prompts[0][:shared], len(prompts))
    output = model.generate(
        input_ids=ids,
        attention_mask=mask,
        pad_token_id=pad_id,
        stopping_criteria=StoppingCriteriaList(stopping),
        **generation,
    )
    return output[:, longest:]


def _is_greedy(model: PreTrainedModel, generation: dict) -> bool:
    """Whether the likeliest token is taken at each step, and nothing else of `generate` is asked for.

    Neither by the arguments nor by settings of the model's own.
    """
    neutral = {"max_new_tokens": generation["max_new_tokens"], "do_sample": False, "num_beams": 1}
    asked = {key: value for key, value in generation.items() if key != "eos_token_id"}
    own = {key for key, value in model.generation_config.to_diff_dict().items() if value not in (None, False)}
    return asked.items() <= neutral.items() and own <= PLAIN_SETTINGS


def _write_greedily(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    cache: DynamicCache,
    *,
    steps: int,
    ends: set[int],
    stopping: Sequence[StopAtStrings],
) -> list[list[int]]:
    """The tokens that `model.generate` would write, its end included; rows that are done leave the batch.

    ids, mask  [rows, longest], of which `cache` holds the first columns already
    ends       token ids that end a text
    """
    written: list[list[int]] = [[] for _ in ids]
    rows = list(range(len(ids)))  # of `written`, in the order of the batch
    open_rows = set(rows)
    places = {"position_ids"} & inspect.signature(model.forward).parameters.keys()
    positions = (mask.cumsum(dim=-1) - 1).clamp_min(0)[:, cache.get_seq_length() :]
    inputs = ids[:, cache.get_seq_length() :]
    for _ in range(steps):
        given = dict.fromkeys(places, positions)
        logits = model(
            input_ids=inputs, attention_mask=mask, past_key_values=cache, use_cache=True, logits_to_keep=1, **given
        ).logits[:, -1]
        inputs = logits.float().argmax(dim=-1, keepdim=True)
        for row, (token,) in zip(rows, inputs.tolist(), strict=True):
            if row in open_rows:
                written[row].append(token)
        asked = sorted(open_rows)
        open_rows -= {row for row in asked if written[row][-1] in ends}
        for criterion in stopping:
            found = criterion.stops([written[row] for row in asked])
            open_rows -= {row for row, stops in zip(asked, found, strict=True) if stops}
        if not open_rows:
            break
        mask, positions = torch.nn.functional.pad(mask, (0, 1), value=1), positions[:, -1:] + 1
        if len(open_rows) <= KEPT_SHARE * len(rows):
            kept = torch.tensor([place for place, row in enumerate(rows) if row in open_rows], device=mask.device)
            rows = [row for row in rows if row in open_rows]
            cache.batch_select_indices(kept)
            inputs, mask, positions = inputs[kept], mask[kept], positions[kept]
    return written
