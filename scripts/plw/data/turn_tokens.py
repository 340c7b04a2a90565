"""From a whole conversation to token ids, each with the role that it plays in the loss.

A token that holds a letter of an answer is that answer's, one that holds a letter of another turn is that turn's, and
what is left is the template's, with what the tokenizer puts before a text. An end-of-sequence is its answer's.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from plw.data.conversations import ASSISTANT, Turns
from plw.data.template import Spans, exchange_texts
from plw.errors import InputError

TEMPLATE, EARLIER = "template", "earlier"  # beside the roles of turns; EARLIER: an answer before the last
Runs = tuple[tuple[str, int], ...]  # (role, tokens) one behind the other


def conversation_tokens(tokenizer, turns: Turns, *, special_tokens: str) -> tuple[list[int], list[str], list[int]]:
    """Token ids, the role of each (system, user, assistant, EARLIER, TEMPLATE), and where each answer begins.

    special_tokens  keep | escape: what the text of a special token in a turn becomes
    Raises InputError for a tokenizer that does not say where in a text its tokens lie.
    """
    ids: list[int] = []
    roles: list[str] = []
    starts: list[int] = []
    exchanges = exchange_texts(turns)
    for number, (text, spans) in enumerate(exchanges):
        wanted = {"special_tokens": special_tokens, "where": "turns: all of a data set"}
        found = with_offsets(tokenizer, text, add_special_tokens=number == 0, **wanted)
        own = [role_of(start, end, spans) for start, end in found["offset_mapping"]]
        if special_tokens == "escape":
            text_ids = [token for token, (start, end) in zip(found["input_ids"], found["offset_mapping"], strict=True)
                        if end > start]  # fmt: skip
            check_escaped(tokenizer, text_ids)
        answer = ASSISTANT if number == len(exchanges) - 1 else EARLIER
        own = [answer if role == ASSISTANT else role for role in own] + [answer]
        starts.append(len(ids) + own.index(answer))
        ids += [*found["input_ids"], tokenizer.eos_token_id]
        roles += own
    return ids, roles, starts


def role_of(start: int, end: int, spans: Spans) -> str:
    """The role of a token that lies at [start, end) of a text; an answer goes before another turn."""
    touched = [role for first, behind, role in spans if start < behind and end > first]
    return ASSISTANT if ASSISTANT in touched else touched[0] if touched else TEMPLATE


def runs_of(roles: Iterable[str]) -> Runs:
    """Neighbouring tokens of one role together."""
    return tuple((role, sum(1 for _ in same)) for role, same in groupby(roles))


def positions_of(runs: Runs, roles: Sequence[str]) -> list[int]:
    """The positions of the tokens that play one of these roles."""
    found: list[int] = []
    place = 0
    for role, length in runs:
        if role in roles:
            found += range(place, place + length)
        place += length
    return found


def with_offsets(tokenizer, text: str, *, special_tokens: str, where: str, **options):
    """Tokens of a text with `offset_mapping`: the (start, end) of the characters that each stands for.

    special_tokens  keep | escape: what the text of a special token becomes
    where           the key that wants it, for the InputError of a tokenizer that does not say where its tokens lie
    """
    split = {"split_special_tokens": True} if special_tokens == "escape" else {}
    try:
        return tokenizer(text, return_offsets_mapping=True, verbose=False, **split, **options)
    except NotImplementedError:  # transformers' tokenizers in Python
        raise InputError(
            "This tokenizer does not say where in a text its tokens lie.",
            value=type(tokenizer).__name__,
            where=where,
            hint="Leave the key out, or use a fast tokenizer (tokenizer.json).",
        ) from None


def check_escaped(tokenizer, ids: Iterable[int]) -> None:
    """InputError where the text of a special token became the token although it was to stay text."""
    if set(ids) & set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}:
        raise InputError(
            "This tokenizer takes the text of a special token for the token even when asked not to.",
            value=type(tokenizer).__name__,
            where="training.special_tokens",
            hint="Use special_tokens: keep, or a fast tokenizer (tokenizer.json).",
        )
