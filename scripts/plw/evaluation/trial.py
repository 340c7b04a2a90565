"""A judge's first answers, looked at before the rest is asked.

A wrong prompt, pattern or chat format makes a judge's answers unreadable from the first on. Asked of a whole batch,
that costs hours of several GPUs and is refused only at the end (`judgements.refuse_unparsed`).
"""

from collections.abc import Callable, Sequence
from math import comb
from pathlib import Path

from plw.errors import InputError

TRIAL_PROMPTS = 32  # one forward pass of the default batch; at min_parsed 0.9, 23 readable answers or fewer stop it
CHANCE = 0.01  # how often a judge of which exactly min_parsed can be read is stopped by the draw of the first
SHOWN_ANSWERS = 3
SHOWN_CHARACTERS = 160  # of a prompt's head and end, and of an answer


def refuse_unreadable_trial(
    prompts: Sequence[str],
    answers: Sequence[str],
    *,
    readable: Callable[[str], bool],
    min_parsed: float,
    file: Path,
) -> None:
    """InputError if fewer answers can be read than `min_parsed` (0 to 1) allows, by more than chance.

    readable  whether an answer holds a verdict
    file      where the answers are kept, for the message
    """
    unread = [(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True) if not readable(answer)]
    read = len(prompts) - len(unread)
    if read >= min_parsed * len(prompts) or at_most(read, len(prompts), min_parsed) >= CHANCE:
        return
    shown = "".join(
        f"\n  Prompt:  {_shorten(prompt)}\n  Answer:  {_head(answer)}" for prompt, answer in unread[:SHOWN_ANSWERS]
    )
    raise InputError(
        f"The judge's first answers cannot be read: {read} of {len(prompts)} hold a verdict. "
        f"Nothing else was asked.{shown}",
        value=min_parsed,
        where="judge.min_parsed",
        hint=(
            "An answer in words of its own: mend the judge's prompt (config/judges) or its patterns. An answer that is "
            "cut off: raise max_new_tokens. An empty answer: the prompt leaves no room in the judge's context, or the "
            "judge ended at once. If such answers are to be expected, lower min_parsed. "
            f"All answers so far: {file}"
        ),
    )


def at_most(successes: int, trials: int, probability: float) -> float:
    """The probability of so many successes or fewer (binomial distribution)."""
    return sum(
        comb(trials, count) * probability**count * (1 - probability) ** (trials - count)
        for count in range(successes + 1)
    )


def _shorten(prompt: str) -> str:
    """Head and end of a prompt on one line: templates begin alike and matter most where the answer starts."""
    if len(prompt) <= 2 * SHOWN_CHARACTERS:
        return repr(prompt)
    return f"{prompt[:SHOWN_CHARACTERS]!r} … {prompt[-SHOWN_CHARACTERS:]!r}"


def _head(answer: str) -> str:
    return repr(answer[:SHOWN_CHARACTERS]) + (" …" if len(answer) > SHOWN_CHARACTERS else "")
