"""The model as lm-eval sees it: loaded once, with contexts shared between the choices of a question.

`shared_contexts` off is lm-eval's own HFLM, digit for digit. On, the tokens that requests have in common are
computed once: a question's context for all its choices, and what stands before every question (a preamble,
equal shots) for the whole benchmark. Each log-likelihood is the same sum of the same terms; only rounding
differs (about 1e-6 in float32). Either way log-probabilities are taken in float32, as HFLM does on request
(`softmax_dtype`); for a float32 model that changes nothing. A batch that the device's memory does not hold is halved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from lm_eval.models.huggingface import HFLM
from transformers import DynamicCache

from plw.models.decoding import (
    MIN_SHARED_TOKENS,
    PrefixCache,
    StopAtStrings,
    common_prefix_length,
    generate_from_tokens,
)
from plw.models.memory import BatchMemory, is_out_of_memory

SHARED_PART = 0.5  # requests whose common beginning is at least this part of them form one group
SOFTMAX_DTYPE = torch.float32  # in bfloat16 a log-probability near -5 is a multiple of 1/32: choices tie
MAX_ROW_TOKENS = 512  # of branches in a row, beside the group's beginning: attention costs its square


@dataclass(frozen=True)
class Request:
    """One log-likelihood request.

    `tokens` without the last, and how many final tokens are the continuation.
    """

    index: int
    tokens: list[int]
    continuation: list[int]


@dataclass(frozen=True)
class Group:
    """Requests with a common beginning of `shared` tokens, computed together in one row."""

    requests: list[Request]
    shared: int

    @property
    def branches(self) -> list[list[int]]:
        """What each request adds to the beginning; never empty."""
        return [request.tokens[self.shared :] for request in self.requests]


class HarnessModel(HFLM):
    """An in-memory model and tokenizer for lm-eval.

    Counts requests that did not fit into the model's context.
    """

    def __init__(self, model, tokenizer, *, batch_size: int, add_bos: bool = False, shared_contexts: bool = False):
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            add_bos_token=add_bos,
            softmax_dtype=SOFTMAX_DTYPE,
        )
        self.shared_contexts = shared_contexts
        self.truncated = 0
        self._prefix_cache, self._memory = PrefixCache(model), BatchMemory(model)
        self._encode = lru_cache(maxsize=4096)(self._encode_once)  # lm-eval encodes a context once per choice

    def _encode_once(self, string: str) -> tuple[int, ...]:
        return tuple(super().tok_encode(string))

    def tok_encode(self, string, add_special_tokens=None, left_truncate_len=None, **kwargs):
        if add_special_tokens is None and left_truncate_len is None and not kwargs:
            return list(self._encode(string))
        return super().tok_encode(string, add_special_tokens, left_truncate_len, **kwargs)

    def _loglikelihood_tokens(self, requests, disable_tqdm: bool = False, override_bs: int | None = None):
        self.truncated += sum(len(context) + len(rest) > self.max_length + 1 for _, context, rest in requests)
        longest = max((len(context) + len(rest) for _, context, rest in requests), default=0)
        while True:
            try:
                if self.shared_contexts:
                    return self._score_shared(requests)
                return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # From the first again: lm-eval takes the longest requests first, so little was done. Out of the `except`,
            # because the error holds the batch's tensors.
            self._memory.halve(self.batch_size, tokens=min(longest, self.max_length))
            self.batch_size_per_gpu = self.batch_size // 2

    def _score_shared(self, requests) -> list[tuple[float, bool]]:
        """Log-likelihood and greediness of every request, contexts shared."""
        prepared = [
            Request(index, (context + rest)[-(self.max_length + 1) :][:-1], rest)
            for index, (_, context, rest) in enumerate(requests)
        ]
        results: list[tuple[float, bool]] = [(0.0, False)] * len(prepared)
        prefix = shared_beginning(prepared)
        groups = sorted(group_requests(prepared, prefix=prefix), key=lambda group: -group.shared)
        for start in range(0, len(groups), self.batch_size):
            for index, result in self._score_groups(groups[start : start + self.batch_size], prefix):
                results[index] = result
        return results

    @torch.inference_mode()
    def _score_groups(self, groups: list[Group], prefix: int) -> Iterator[tuple[int, tuple[float, bool]]]:
        """Log-likelihood and greediness of every request of a batch of groups, one group per row.

        First the groups' own beginnings, padded on the right, go into the cache behind the `prefix` tokens that
        all requests share; then the branches [branch 1 | branch 2 | … | padding] of each group in one row. A
        branch sees its group's beginning and itself, and its positions continue the beginning's.
        """
        beginnings = [group.requests[0].tokens[prefix : group.shared] for group in groups]
        shared = groups[0].requests[0].tokens[:prefix]
        cache = self._prefix_cache.repeated(shared, len(groups)) if prefix else DynamicCache(config=self.config)
        if any(beginnings):
            ids = _pad_right(beginnings).to(self.device)  # causal: the padding behind a text changes nothing in it
            self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cached = prefix + max(map(len, beginnings))
        ids = _pad_right([[token for branch in group.branches for token in branch] for group in groups])
        positions = torch.zeros_like(ids)
        visible = torch.zeros((*ids.shape, cached + ids.shape[1]), dtype=torch.bool)
        wanted: list[tuple[Request, int, list[int]]] = []  # request, row, columns whose logits predict it
        for row, group in enumerate(groups):
            columns = _lay_out(group, cached, positions[row], visible[row])
            wanted += [(request, row, columns[i]) for i, request in enumerate(group.requests)]
        dtype = self.model.dtype
        mask = torch.zeros(visible.shape, dtype=dtype).masked_fill_(~visible, torch.finfo(dtype).min)
        logits = self.model(
            input_ids=ids.to(self.device),
            position_ids=positions.to(self.device),
            attention_mask=mask[:, None].to(self.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        yield from _read_off(logits, wanted)

    def _model_generate(self, context, max_length: int, stop: list[str], **generation):
        if not self.shared_contexts or generation.get("do_sample") or generation.get("num_beams", 1) > 1:
            return self._generate_plain(context, max_length, stop, **generation)
        generation.pop("temperature", None)
        mask = generation.pop("attention_mask").bool()
        prompts = [row[keep].tolist() for row, keep in zip(context, mask, strict=True)]
        generated = generate_from_tokens(
            self.model,
            prompts,
            pad_id=self.tokenizer.pad_token_id,
            memory=self._memory,
            prefix_cache=self._prefix_cache,
            stopping=[StopAtStrings(self.tokenizer, stop, context.shape[1])],
            max_new_tokens=max_length - context.shape[1],
            **{"do_sample": False, **generation},
        )
        return torch.cat([context, generated], dim=1)

    def _generate_plain(self, context, max_length: int, stop: list[str], *, attention_mask, **generation):
        """lm-eval's own generation, in halves where the whole batch does not fit."""
        try:
            return super()._model_generate(context, max_length, stop, attention_mask=attention_mask, **generation)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        self._memory.halve(len(context), tokens=max_length, beams=generation.get("num_beams", 1))
        half = len(context) // 2
        parts = [
            self._generate_plain(context[rows], max_length, stop, attention_mask=attention_mask[rows], **generation)
            for rows in (slice(half), slice(half, None))
        ]
        longest, fill = max(part.shape[1] for part in parts), self.tokenizer.pad_token_id
        padded = [torch.nn.functional.pad(part, (0, longest - part.shape[1]), value=fill) for part in parts]
        return torch.cat(padded)


def shared_beginning(requests: Sequence[Request]) -> int:
    """Number of leading tokens that all requests share and whose logits nobody needs.

    0 if it is not worth a cache.
    """
    length = common_prefix_length([request.tokens for request in requests])
    length = min(length, min(map(_first_wanted, requests)) - 1)
    return length if length >= MIN_SHARED_TOKENS else 0


def group_requests(requests: Sequence[Request], *, prefix: int) -> list[Group]:
    """Put neighbours together that share most of what follows `prefix`: the choices of one question."""
    groups: list[Group] = []
    for request in requests:
        limit = _first_wanted(request)
        if groups:
            last = groups[-1]
            first = last.requests[0].tokens
            shared = min(last.shared, limit, common_prefix_length([first, request.tokens]))
            branches = sum(len(other.tokens) - shared for other in [*last.requests, request])
            longest = max(len(first), len(request.tokens))
            if branches <= MAX_ROW_TOKENS and shared - prefix >= SHARED_PART * (longest - prefix):
                groups[-1] = Group([*last.requests, request], shared)
                continue
        groups.append(Group([request], limit))
    return groups


def _first_wanted(request: Request) -> int:
    """Number of tokens before the first whose logits are needed: those may belong to a common beginning."""
    return len(request.tokens) - len(request.continuation)


def _pad_right(rows: list[list[int]]) -> torch.Tensor:
    """Token ids [rows, longest], filled with 0."""
    padded = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.long)
    for padded_row, row in zip(padded, rows, strict=True):
        padded_row[: len(row)] = torch.tensor(row, dtype=torch.long)
    return padded


def _lay_out(group: Group, cached: int, positions: torch.Tensor, visible: torch.Tensor) -> list[list[int]]:
    """Fill a row's positions [width] and what each column may look at, visible [width, cached + width].

    Returns, for each request, the columns whose logits predict its continuation.
    """
    columns, start = [], 0
    for request, branch in zip(group.requests, group.branches, strict=True):
        end = start + len(branch)
        positions[start:end] = torch.arange(group.shared, group.shared + len(branch))
        visible[start:end, : group.shared] = True
        lower = torch.ones((len(branch), len(branch)), dtype=torch.bool).tril()
        visible[start:end, cached + start : cached + end] = lower
        columns.append(list(range(end - len(request.continuation), end)))
        start = end
    padding = torch.arange(start, len(positions))
    visible[padding, cached + padding] = True  # padding sees itself: a softmax needs something
    return columns


def _read_off(logits: torch.Tensor, wanted: list) -> Iterator[tuple[int, tuple[float, bool]]]:
    """Sum the log-probabilities of each continuation; logits [rows, columns, vocabulary]."""
    rows = torch.tensor([row for _, row, columns in wanted for _ in columns])
    places = torch.tensor([column for _, _, columns in wanted for column in columns])
    targets = torch.tensor([token for request, _, _ in wanted for token in request.continuation])
    scores = torch.log_softmax(logits[rows, places], dim=-1, dtype=SOFTMAX_DTYPE)
    chosen = scores.gather(1, targets.to(scores.device)[:, None])[:, 0].cpu()
    greedy = (scores.argmax(dim=-1).cpu() == targets).tolist()
    position = 0
    for request, _, columns in wanted:
        end = position + len(columns)
        yield request.index, (float(chosen[position:end].sum()), all(greedy[position:end]))
        position = end
