"""How much of its training data a model can recite: corpus BLEU on the prompts that it was trained on (§5.3.3).

The paper took 10,000 different prompts and sacreBLEU's corpus BLEU with its defaults (App. E.3 prints the
signature). It prints neither its seed nor how it decoded: here the seed is a setting and decoding is greedy.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU

from plw.data.template import format_prompt
from plw.errors import InputError
from plw.models.generation import fits_context, generate_texts
from plw.models.loading import load_with_tokenizer

SHOWN_SAMPLES = 5
DEFAULTS = {"prompts": 10_000, "seed": 42, "max_new_tokens": 512}  # §5.3.3; seed of the whole paper; training length


@dataclass(frozen=True)
class Example:
    """A training prompt as the model saw it, and the completion that it was trained on."""

    prompt: str
    reference: str


def memorisation(
    source: dict, instances: Sequence[dict], settings: dict, *, dtype: str, device: str, batch_size: int
) -> dict:
    """Memorisation of a saved model: what `measure_memorisation` returns, `seed` and `different_prompts` in all.

    source     of the model;  instances  rows of instances.jsonl that it was trained on
    settings   changes to DEFAULTS; InputError for an unknown key
    """
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        hint = f"Known: {', '.join(DEFAULTS)}."
        raise InputError("Unknown setting of memorisation.", value=unknown[0], where="--settings", hint=hint)
    settings = DEFAULTS | settings
    examples, different = sample_examples(instances, prompts=settings["prompts"], seed=settings["seed"])
    model, tokenizer = load_with_tokenizer(source, dtype=dtype, device=device)
    measured = measure_memorisation(
        model,
        tokenizer,
        examples,
        max_new_tokens=settings["max_new_tokens"],
        batch_size=batch_size,
    )
    return measured | {"seed": settings["seed"], "different_prompts": different}


def sample_examples(instances: Sequence[dict], *, prompts: int, seed: int) -> tuple[list[Example], int]:
    """Different formatted prompts with their completions, and how many different ones there are in all.

    instances  rows of instances.jsonl; of rows with the same formatted prompt the first one counts
    prompts    how many to take; all if there are fewer
    The sample depends on the instances, `prompts` and `seed` alone: it is the same for every run of a data set.
    """
    first: dict[str, str] = {}
    for row in instances:
        first.setdefault(format_prompt(row["instruction"], row["input"]), row["output"])
    pool = list(first)
    picked = random.Random(seed).sample(pool, min(prompts, len(pool)))
    return [Example(prompt, first[prompt]) for prompt in picked], len(pool)


def measure_memorisation(
    model, tokenizer, examples: Sequence[Example], *, max_new_tokens: int, batch_size: int
) -> dict:
    """Corpus BLEU (0 to 100) of greedy completions against what the model was trained on.

    max_new_tokens  upper limit; never more is generated than the longest completion of the examples has
    Returns {bleu, signature, prompts, too_long, max_new_tokens, unfinished, exact, mean_tokens, samples}: `too_long`
    prompts leave no room in the model's context and were left out, `unfinished` completions were cut at the limit,
    `exact` is the share of completions that are the reference to the letter, samples are the first five.
    Raises InputError if there is nothing to complete.
    """
    longest = max((len(_completion_ids(tokenizer, example)) for example in examples), default=0)
    limit = max(min(max_new_tokens, longest + 1), 1)  # one more for the end of the text
    fitting = fits_context(model, tokenizer, [example.prompt for example in examples], max_new_tokens=limit)
    used = [example for example, fits in zip(examples, fitting, strict=True) if fits]
    if not used:
        raise InputError("No training prompt fits into the model's context.", value=f"{len(examples)} prompts")
    texts = generate_texts(
        model, tokenizer, [example.prompt for example in used], max_new_tokens=limit, batch_size=batch_size
    )
    outputs, references = [text.text for text in texts], [example.reference for example in used]
    bleu = BLEU()
    score = bleu.corpus_score(outputs, [references]).score
    return {
        "bleu": score,
        "signature": str(bleu.get_signature()),
        "prompts": len(used),
        "too_long": len(examples) - len(used),
        "max_new_tokens": limit,
        "unfinished": sum(not text.finished for text in texts),
        "exact": sum(map(str.__eq__, outputs, references)) / len(used),
        "mean_tokens": sum(text.tokens for text in texts) / len(used),
        "samples": [
            {"prompt": example.prompt, "reference": example.reference, "output": output}
            for example, output in list(zip(used, outputs, strict=True))[:SHOWN_SAMPLES]
        ],
    }


def _completion_ids(tokenizer, example: Example) -> list[int]:
    return tokenizer(example.reference, add_special_tokens=False, verbose=False)["input_ids"]
