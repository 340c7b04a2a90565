"""The settings of a fine-tuning: the study's `training` block, checked and with its defaults (§4.2, App. E.1)."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from plw.data.tokenization import SPECIAL_TOKENS
from plw.errors import InputError, InputErrors

# Keys of the block that speak to the scheduler; they are not the trainer's business.
RESOURCE_KEYS = frozenset({"threads", "runtime_min", "mem_mb", "gpus", "gpu_model", "retries", "nodes"})
NORMALIZATIONS = ("sum_of_weights", "nonzero_count", "all_count", "token_sum")  # plw.training.loss says what they mean
UNITS = ("microbatch", "update")
CHOICES = {
    "lr_scheduler": ("cosine", "linear", "constant", "constant_with_warmup"),
    "compute_dtype": ("float32", "bfloat16"),
    "save_dtype": ("float32", "bfloat16"),
    "last_window": ("keep", "drop"),
    "normalization": NORMALIZATIONS,
    "normalization_unit": UNITS,
    "offload": ("none", "cpu"),
    "on_lost_completion": ("keep", "drop", "error"),
    "device": ("auto", "cpu", "cuda"),
    "special_tokens": SPECIAL_TOKENS,
    "zero_stage": (None, 0, 1, 2, 3),
}
INTEGERS = ("max_length", "micro_batch", "micro_batches_per_update", "physical_batch", "tokens_per_batch", "processes",
            "checkpoint_steps")  # fmt: skip
POSITIVE = ("epochs", "learning_rate", "adam_eps", "max_length", "micro_batch", "micro_batches_per_update",
            "physical_batch", "tokens_per_batch", "processes", "completion_loss_weight")  # fmt: skip
NOT_NEGATIVE = ("warmup_ratio", "weight_decay", "max_grad_norm", "attention_dropout")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How one run is trained; the defaults are Stanford Alpaca's first recommended command, which the paper used.

    epochs                    passes over the data; a fraction ends in the middle of an epoch
    learning_rate             peak, after warm-up over ceil(warmup_ratio × updates) updates
    max_grad_norm             clipping threshold; 0 turns clipping off
    max_length                tokens of a sequence, cut on the right
    compute_dtype             of forward and backward; master weights are float32 in any case
    save_dtype                of the saved model
    micro_batch               sequences of one *logical* micro-batch: what a mean is taken over
    micro_batches_per_update  their number in one optimiser update
    last_window               keep | drop the last, shorter update of an epoch (Alpaca's stack dropped it)
    physical_batch            sequences that a device sees at once; never changes the gradient. "auto": as many as the
                              device's memory holds, which the record of the run then says
    tokens_per_batch          in place of that: as many sequences of like length as have so many tokens, padding
                              included (`plw.study.planning.batches`); None: physical_batch counts
    zero_stage                DeepSpeed's ZeRO stage; None trains without DeepSpeed
    offload                   cpu: DeepSpeed keeps optimiser state (and, at stage 3, parameters) in host memory
    checkpoint_steps          updates between checkpoints; None saves one only when the run is told to stop
    on_lost_completion        rows whose completion was cut off: keep (as Alpaca) | drop | error
    template_loss_weight      weight of the prompt's template and special tokens; None: the PLW, as the paper
    completion_loss_weight    weight of completion tokens (the paper's: 1)
    system_loss_weight        weight of a conversation's system turn; None: the PLW
    earlier_completion_loss_weight  weight of a conversation's answers before the last; None: completion_loss_weight
    special_tokens            a special token's text in a row: keep (it becomes the token, as Alpaca) | escape (text)
    monitor_prompt_loss       also measure the loss of prompt tokens where PLW is 0: true, false, or N for the first of
                              every N updates; loss.csv has an empty cell where it was not measured. It costs a
                              forward pass of the output layer, for short completions 0.8 times the rest of an update
                              (docs/measurements.md)
    """

    epochs: float = 3
    learning_rate: float = 2e-5
    warmup_ratio: float = 0.03
    lr_scheduler: str = "cosine"
    weight_decay: float = 0.0
    adam_betas: tuple[float, float] = (0.9, 0.999)
    adam_eps: float = 1e-8
    max_grad_norm: float = 1.0
    max_length: int = 512
    compute_dtype: str = "bfloat16"
    save_dtype: str = "float32"
    micro_batch: int = 4
    micro_batches_per_update: int = 32
    last_window: str = "keep"
    normalization: str = "nonzero_count"
    normalization_unit: str = "microbatch"
    template_loss_weight: float | None = None
    completion_loss_weight: float = 1.0
    system_loss_weight: float | None = None
    earlier_completion_loss_weight: float | None = None
    physical_batch: int | str = 4
    tokens_per_batch: int | None = None
    processes: int = 1
    device: str = "auto"
    zero_stage: int | None = None
    offload: str = "none"
    gradient_checkpointing: bool = False
    checkpoint_steps: int | None = None
    on_lost_completion: str = "keep"
    special_tokens: str = "keep"
    monitor_prompt_loss: bool | int = 10
    attention_dropout: float = 0.0
    label_smoothing: float = 0.0
    minkowski: float = 0.0

    def for_json(self) -> dict:
        """Return the settings as a plain dict; what has its usual value is not named, as before there were the keys."""
        settings = asdict(self) | {"adam_betas": list(self.adam_betas)}
        usual = {"completion_loss_weight": 1, "template_loss_weight": None, "system_loss_weight": None,
                 "earlier_completion_loss_weight": None, "tokens_per_batch": None}  # fmt: skip
        return {key: value for key, value in settings.items() if key not in usual or value != usual[key]}


def read_settings(training: Mapping, *, where: str = "training") -> TrainingSettings:
    """Check a `training` block and return it as settings; all problems are raised together."""
    known = [field.name for field in fields(TrainingSettings)]
    errors = []
    values: dict[str, Any] = {}
    for key, value in training.items():
        if key in RESOURCE_KEYS:
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"Known keys: {', '.join(known)}."
            errors.append(InputError("Unknown training setting.", value=key, where=where, hint=hint))
        elif problem := _problem(key, value):
            errors.append(InputError(problem, value=value, where=f"{where}.{key}"))
        else:
            values[key] = tuple(value) if key == "adam_betas" else value
    if errors:
        raise InputErrors(errors)
    return TrainingSettings(**values)


def apply_regularizer(settings: TrainingSettings, regularizer: str, strength: float | None) -> TrainingSettings:
    """Return the settings with a run's regulariser switched on (§5.3, App. E.5).

    regularizer  none | weight_decay | dropout (of attention) | label_smoothing | minkowski
    strength     decay coefficient | dropout probability | smoothing factor | alpha; None or 0 for `none`
    """
    keys = {
        "weight_decay": "weight_decay",
        "dropout": "attention_dropout",
        "label_smoothing": "label_smoothing",
        "minkowski": "minkowski",
    }
    if regularizer in ("none", "", None):
        return settings
    if regularizer not in keys:
        raise InputError("Unknown regularizer.", value=regularizer, hint=f"Use none, {', '.join(keys)}.")
    if not strength or strength < 0 or (regularizer in ("dropout", "label_smoothing") and strength >= 1):
        raise InputError(f"The strength of {regularizer} is out of range.", value=strength)
    return TrainingSettings(**(asdict(settings) | {keys[regularizer]: float(strength)}))


def _problem(key: str, value: object) -> str | None:
    """Say what is wrong with one value, or nothing."""
    if key in CHOICES:
        if value not in CHOICES[key] or isinstance(value, bool):
            return f"`{key}` must be one of {', '.join(map(str, CHOICES[key]))}."
    elif key == "gradient_checkpointing":
        if not isinstance(value, bool):
            return f"`{key}` must be true or false."
    elif key == "monitor_prompt_loss":
        if not isinstance(value, int) or (not isinstance(value, bool) and value < 1):
            return f"`{key}` must be true, false or a whole number of updates from 1 on."
    elif key in ("checkpoint_steps", "tokens_per_batch") and value is None:
        return None
    elif key == "adam_betas":
        if not (isinstance(value, list | tuple) and len(value) == 2 and all(0 <= beta < 1 for beta in value)):
            return "`adam_betas` must be two numbers in [0, 1)."
    elif key == "physical_batch" and value == "auto":
        return None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return f"`{key}` must be a number."
    elif (key in POSITIVE or key == "checkpoint_steps") and value <= 0:
        return f"`{key}` must be above 0."
    elif value < 0:
        return f"`{key}` must not be negative."
    elif key in ("template_loss_weight", "system_loss_weight") and value > 1:
        return f"`{key}` lies between 0 and 1."
    elif key in INTEGERS and not isinstance(value, int):
        return f"`{key}` must be a whole number."
    return None
