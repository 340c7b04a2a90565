"""How large the generated world and its files are: for the demo, for the test, and a study's changes."""

from plw.errors import InputError

# Chosen so that a model of some 10^5 weights learns the world from about 2·10^6 tokens, and the runs of the
# demo (102; 60 in its main experiment) are trained and evaluated on two cores within its 20 minutes (measured).
DEMO_SIZE: dict[str, int] = {
    "people": 24,  # each with a home, a job, a favourite food and a pet
    "animals": 20,  # colour, habitat, diet, skill
    "villages": 10,  # region, river, product
    "tools": 12,  # material, use; at most 12, because uses are written out in wording.py
    "documents": 60000,  # of the pretraining corpus, about 30 tokens each
    "instructions": 600,  # rows of each of the four instruction data sets
    "arc_train": 40,  # at least 25: the shots
    "arc_test": 48,
    "piqa": 64,
    "truthfulqa": 40,
    "winogrande_train": 20,  # at least 5: the shots
    "winogrande": 64,
    "translation_validation": 12,  # per pair of languages
    "translation_test": 20,
    "alpaca_eval": 24,
    "pandalm": 24,
    "judge_train": 12000,  # pairs, half of them in each prompt form
    "judge_heldout": 400,
    # How hard the world is. These values leave everything as a small test needs it; config/studies/demo.yaml tunes them
    # by the rules of docs/demo.md.
    "told_people": 100,  # at most so many people of whose deeds is told; WinoGrande's form asks for all people
    "advised_objects": 4,  # objects of each tool that advice names; PIQA's form asks for all four
    "into_english": 50,  # percent of the parallel texts; out of English is harder to learn
    "answer_mark": 0,  # 1: the questions of TruthfulQA's generated form end with "A:", as those of its choices do
    "plain_long": 65,  # percent of plain's answers that are long, so that R_g falls between 2 and 4 as in AlpacaData
    "elaborations": 1,  # further things that cleaned's answers tell of
    "judge_facts": 1,  # 0: no pair of the judge differs in facts alone
    "judge_gap": 0,  # percent by which the qualities of a pair differ at least, where they differ
    "closed": 0,  # percent of cleaned's rows that are questions with a short answer: prompt inversion leaves them alone
}

# A world for the end-to-end test: made in less than two seconds.
TEST_SIZE: dict[str, int] = {
    **DEMO_SIZE,
    "people": 8,
    "animals": 6,
    "villages": 4,
    "documents": 3000,
    "instructions": 96,
    "arc_train": 26,
    "arc_test": 10,
    "piqa": 10,
    "truthfulqa": 8,
    "winogrande_train": 8,
    "winogrande": 10,
    "translation_validation": 2,
    "translation_test": 4,
    "alpaca_eval": 6,
    "pandalm": 6,
    "judge_train": 600,
    "judge_heldout": 60,
}

MINIMUM = {"people": 6, "animals": 5, "villages": 4, "tools": 6, "arc_train": 25, "winogrande_train": 5,
           "told_people": 4, "closed": 0, "judge_gap": 0, "judge_facts": 0, "answer_mark": 0}  # fmt: skip
MAXIMUM = {"people": 100, "animals": 100, "villages": 30, "tools": 12, "advised_objects": 4, "plain_long": 100,
           "into_english": 100,
           "elaborations": 3, "closed": 100, "judge_gap": 90, "judge_facts": 1, "answer_mark": 1}  # fmt: skip


def complete_size(changes: dict[str, int], *, base: dict[str, int] = DEMO_SIZE) -> dict[str, int]:
    """Return `base` with `changes`; raises InputError for an unknown key or a number outside its range."""
    unknown = sorted(set(changes) - set(base))
    if unknown:
        raise InputError(f"Unknown size {unknown[0]!r}.", where="--size", hint=f"Known: {', '.join(base)}.")
    size = {**base, **changes}
    for key, value in size.items():
        low, high = MINIMUM.get(key, 1), MAXIMUM.get(key, 10_000_000)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(f"Size {key!r} must be a whole number from {low} to {high}.", value=value, where="--size")
    return size
