"""How to set a prompt loss weight in other trainers, and what its loss is there."""

from typing import Any

# What each trainer can do by itself was looked up in its documentation in November 2026; trainers change.
SWITCHES = {
    "TRL": ("SFTConfig(completion_only_loss=True)", "SFTConfig(completion_only_loss=False)"),
    "axolotl": ("train_on_inputs: false", "train_on_inputs: true"),
    "LLaMA-Factory": ("train_on_prompt: false", "train_on_prompt: true"),
    "ms-swift": ("--loss_scale default", "--loss_scale all"),
}


def trainer_settings(plw: float) -> list[dict[str, Any]]:
    """What to type for a weight: [{trainer, can, settings}], `can` for what reaches this weight itself.

    plw  0 to 1
    """
    ours = f"PromptLossCollator(tokenizer.pad_token_id, plw={plw:.3g})\nattach_prompt_loss(trainer)"
    rows: list[dict[str, Any]] = [{"trainer": "Hugging Face Trainer", "can": True, "settings": ours}]
    for name, (masked, whole) in SWITCHES.items():
        if plw in (0.0, 1.0):
            rows.append({"trainer": name, "can": True, "settings": masked if plw == 0 else whole})
        elif name == "TRL":
            rows.append({"trainer": name, "can": True, "settings": ours})
        elif name == "ms-swift":
            said = (
                f"a loss_scale class of your own that gives the query {plw:.3g} and the answer 1 (--external_plugins)"
            )
            rows.append({"trainer": name, "can": True, "settings": said})
        else:
            rows.append({"trainer": name, "can": False, "settings": f"only 0 ({masked}) or 1 ({whole})"})
    return rows


def denominators(plw: float, ratio_of_loss: float) -> list[dict[str, Any]]:
    """The same weight under the denominators in use: [{normalization, factor, said}].

    plw            0 to 1; ratio_of_loss: completion over prompt tokens as the loss sees them, > 0
    factor  the loss of the completion tokens, relative to that at PLW 0 (1: no change), on data with this ratio
    Which tokens count how much beside each other is the weight's alone; the denominator scales all of it. AdamW takes a
    constant scale out again, gradient clipping and the regularizers' shares do not (docs/loss.md).
    """
    completion = ratio_of_loss / (1 + ratio_of_loss)  # its share of the tokens
    weights = completion + plw * (1 - completion)
    return [
        {
            "normalization": "nonzero_count",
            "factor": completion if plw else 1.0,
            "said": "tokens with a weight: the paper's, by its Figure 2a; transformers with all labels kept, WIT",
        },
        {"normalization": "sum_of_weights", "factor": completion / weights, "said": "sum of the weights"},
        {"normalization": "all_count", "factor": completion, "said": "all tokens"},
    ]
