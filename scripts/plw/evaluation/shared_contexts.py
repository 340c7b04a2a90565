"""Log-likelihoods of continuations, with the tokens that requests have in common computed once.

A question's context is read once for all its choices, and what stands before every question (a preamble, equal shots)
once for all of them. Each log-likelihood is the same sum of the same terms as without; only rounding differs (about
1e-6 in float32). Nothing here needs the LM Evaluation Harness: it makes the requests and scores the answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel

from plw.models.decoding import MIN_SHARED_TOKENS, PrefixCache, attention_window, common_prefix_length
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
                self._memory.halve(
                    len(batch), tokens=max(len(request.tokens) for one in batch for request in one.requests)
                )
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
        """Log-likelihood and greediness of every request of a batch of groups, one group per row.

        First the groups' own beginnings, padded on the right, go into the cache behind the `prefix` tokens that
        all requests share; then the branches [branch 1 | branch 2 | … | padding] of each group in one row. A
        branch sees its group's beginning and itself, and its positions continue the beginning's.
        """
        beginnings = [group.requests[0].tokens[prefix : group.shared] for group in groups]
        shared = groups[0].requests[0].tokens[:prefix]
        cache = self._prefix_cache.repeated(shared, len(groups)) if prefix else DynamicCache(config=self.model.config)
        if any(beginnings):
            ids = _pad_right(beginnings).to(self.model.device)  # causal: padding behind a text changes nothing in it
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
            input_ids=ids.to(self.model.device),
            position_ids=positions.to(self.model.device),
            attention_mask=mask[:, None].to(self.model.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        yield from _read_off(logits, wanted)


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
