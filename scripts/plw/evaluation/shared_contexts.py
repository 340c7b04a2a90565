"""Log-likelihoods of continuations, with the tokens that requests have in common computed once.

A question's context is read once for all its choices, and what stands before every question (a preamble, equal shots)
once for all of them; questions that are short beside it stand in one row, so that it is not copied for each. Each
log-likelihood is the same sum of the same terms as without; only rounding differs (about 1e-6 in float32). Nothing here
needs the LM Evaluation Harness: it makes the requests and scores the answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from plw.models.decoding import (
    MIN_SHARED_TOKENS,
    PrefixCache,
    attention_window,
    common_prefix_length,
)
from plw.models.memory import BatchMemory, is_out_of_memory

SHARED_PART = 0.5  # requests whose common beginning is at least this part of them form one group
SOFTMAX_DTYPE = torch.float32  # in bfloat16 a log-probability near -5 is a multiple of 1/32: choices tie
MAX_ROW_TOKENS = 512  # of branches in a row, beside the group's beginning: attention costs its square
# Groups share a row up to this part of what all requests share: short questions behind long shots, as ARC's. Beyond it
# attention between questions, which the mask throws away, costs more than the rows that are saved.
PACKED_PART = 1 / 6


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


class SharedContexts:
    """Log-likelihoods under one model.

    batch_size    groups of requests (questions) in a forward pass; half as many, from there on, after out-of-memory
    prefix_cache  of the same model, to be shared with its generation; default: an own one
    """

    def __init__(self, model: PreTrainedModel, *, batch_size: int, prefix_cache: PrefixCache | None = None):
        self.model, self.batch_size = model, batch_size
        self._prefix_cache, self._memory = prefix_cache or PrefixCache(model), BatchMemory(model)

    def score(self, requests: Sequence[Request]) -> list[tuple[float, bool]]:
        """(log-likelihood in nats, whether greedy decoding would have written it) of each request, in their order."""
        results: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        window = attention_window(self.model)
        apart = window is not None and max((len(request.tokens) for request in requests), default=0) > window
        if apart:
            prefix, groups = 0, [Group([one], 0) for one in sorted(requests, key=lambda one: -len(one.tokens))]
        else:
            prefix = shared_beginning(requests)
            groups = sorted(group_requests(requests, prefix=prefix), key=lambda group: -group.shared)
        done = 0
        while done < len(groups):
            batch = groups[done : done + self.batch_size]
            try:
                found = list(self._score_apart(batch) if apart else self._score_groups(batch, prefix))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                found = None  # the error holds the batch's tensors; they must be gone before the next try
            if found is None:
                self._memory.halve(len(batch), tokens=max(map(_longest, batch)))
                self.batch_size = len(batch) // 2
                continue
            for index, result in found:
                results[index] = result
            done += len(batch)
        return results

    @torch.inference_mode()
    def _score_apart(self, groups: list[Group]) -> Iterator[tuple[int, tuple[float, bool]]]:
        """The same without sharing, one request per row: what stands in one row would move a window of attention."""
        requests = [group.requests[0] for group in groups]
        ids = _pad_right([request.tokens for request in requests])  # causal: padding behind changes nothing
        wanted = [
            (request, row, list(range(_first_wanted(request), len(request.tokens))))
            for row, request in enumerate(requests)
        ]
        yield from _read_off(self.model(input_ids=ids.to(self.model.device), use_cache=False).logits, wanted)

    @torch.inference_mode()
    def _score_groups(self, groups: list[Group], prefix: int) -> Iterator[tuple[int, tuple[float, bool]]]:
        """Log-likelihood and greediness of every request of a batch of groups, one group or several in a row.

        First the groups' own beginnings go into the cache behind the `prefix` tokens that all requests share, then the
        branches: [beginning 1 | beginning 2 | … | padding], [branch 1 of 1 | branch 2 of 1 | branch 1 of 2 | … |
        padding]. A beginning sees the prefix and itself, a branch its beginning besides; positions go on from there.
        """
        rows = pack_groups(groups, prefix=prefix)
        shared = groups[0].requests[0].tokens[:prefix]
        cache = self._prefix_cache.repeated(shared, len(rows)) if prefix else DynamicCache(config=self.model.config)
        beginnings, branches = [], []
        for row in rows:
            start, first, second = prefix, [], []
            for group in row:
                beginning = _Part(group.requests[0].tokens[prefix : group.shared], prefix, range(0))
                end = start + len(beginning.tokens)
                first.append(beginning)
                second += [_Part(branch, group.shared, range(start, end)) for branch in group.branches]
                start = end
            beginnings.append(first)
            branches.append(second)
        if any(part.tokens for row in beginnings for part in row):
            laid = _lay_out(beginnings, prefix=prefix, cached=prefix)
            # One beginning a row needs no mask: padding on its right changes nothing in it.
            several = {} if len(rows) == len(groups) else self._placed(laid)
            ids = laid.ids.to(self.model.device)
            self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **several)
        laid = _lay_out(branches, prefix=prefix, cached=cache.get_seq_length())
        logits = self.model(
            input_ids=laid.ids.to(self.model.device), past_key_values=cache, use_cache=True, **self._placed(laid)
        ).logits
        requests = [[request for group in row for request in group.requests] for row in rows]
        wanted = [
            (request, row, list(range(end - len(request.continuation), end)))
            for row, (ends, members) in enumerate(zip(laid.ends, requests, strict=True))
            for request, end in zip(members, ends, strict=True)
        ]
        yield from _read_off(logits, wanted)

    def _placed(self, laid: "_Layout") -> dict[str, torch.Tensor]:
        """The arguments of the model that say where the tokens stand and what each may look at."""
        visible, dtype = torch.from_numpy(laid.visible).to(self.model.device), self.model.dtype
        mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
        mask.masked_fill_(~visible, torch.finfo(dtype).min)
        return {
            "position_ids": torch.from_numpy(laid.positions).to(self.model.device),
            "attention_mask": mask[:, None],
        }


def cut_tokens(context: list[int], continuation: list[int], max_length: int) -> list[int]:
    """Context and continuation, cut on the left to what a model of this context length can read."""
    return (context + continuation)[-(max_length + 1) :]


def make_requests(tokens: Sequence[list[int]], continuations: Sequence[int]) -> list[Request]:
    """Requests from whole token ids (`cut_tokens`) and how many of each are the continuation."""
    return [
        Request(index, ids[:-1], ids[-count:])
        for index, (ids, count) in enumerate(zip(tokens, continuations, strict=True))
    ]


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


def pack_groups(groups: Sequence[Group], *, prefix: int) -> list[list[Group]]:
    """Rows of a batch, in order: groups that are short beside the `prefix` of all requests stand together."""
    rows: list[list[Group]] = []
    filled = 0
    for group in groups:
        tokens = group.shared - prefix + sum(map(len, group.branches))
        if not rows or filled + tokens > PACKED_PART * prefix:
            rows.append([])
            filled = 0
        rows[-1].append(group)
        filled += tokens
    return rows


def _longest(group: Group) -> int:
    return max(len(request.tokens) for request in group.requests)


def _first_wanted(request: Request) -> int:
    """Number of tokens before the first whose logits are needed: those may belong to a common beginning."""
    return len(request.tokens) - len(request.continuation)


def _pad_right(rows: list[list[int]]) -> torch.Tensor:
    """Token ids [rows, longest], filled with 0."""
    padded = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.long)
    for padded_row, row in zip(padded, rows, strict=True):
        padded_row[: len(row)] = torch.tensor(row, dtype=torch.long)
    return padded


@dataclass(frozen=True)
class _Part:
    """Tokens that follow each other in a row: where their positions begin, and which columns of the cache they see."""

    tokens: list[int]
    position: int
    seen: range


@dataclass(frozen=True)
class _Layout:
    """Parts in rows, filled on the right.

    ids, positions  [rows, width];  visible  [rows, width, cached + width], what each column may look at
    ends            by row, the column after each part
    """

    ids: torch.Tensor
    positions: np.ndarray
    visible: np.ndarray
    ends: list[list[int]]


def _lay_out(rows: Sequence[Sequence[_Part]], *, prefix: int, cached: int) -> _Layout:
    """Put parts behind a cache of `cached` columns, of which every part sees the first `prefix` and those it names."""
    ids = _pad_right([[token for part in row for token in part.tokens] for row in rows])
    height, width = ids.shape
    positions = np.zeros((height, width), dtype=np.int64)
    first, last = np.zeros((2, height, width), dtype=np.int64)  # columns of the cache that are seen
    owner = np.broadcast_to(
        -1 - np.arange(width), (height, width)
    ).copy()  # padding sees itself: a softmax needs something
    ends: list[list[int]] = []
    for number, row in enumerate(rows):
        start = 0
        ends.append([])
        for place, part in enumerate(row):
            end = start + len(part.tokens)
            positions[number, start:end] = np.arange(part.position, part.position + end - start)
            first[number, start:end], last[number, start:end] = part.seen.start, part.seen.stop
            owner[number, start:end] = place
            ends[-1].append(end)
            start = end
    columns = np.arange(cached)
    before = (columns >= first[..., None]) & (columns < last[..., None])
    before[..., :prefix] |= (owner >= 0)[..., None]
    own = (owner[:, :, None] == owner[:, None, :]) & np.tri(width, dtype=bool)
    return _Layout(ids, positions, np.concatenate([before, own], axis=2), ends)


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
