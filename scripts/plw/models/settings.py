"""What a model folder would decide beside its weights, and what is decided in its place.

`generation_config.json` (sampling, penalties, beams, suppressed or forced tokens, …) and probabilities of dropout in
`config.json` are settings of whoever published the model. Only the study's count: decoding is plain greedy decoding
with what a caller names, and dropout is off but for the study's own (App. E.5). A text ends at the tokenizer's
end-of-sequence, which is what training appends, whatever other ends a chat-tuned model's configuration names.
"""

import re

from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

GENERATION, CONFIG = "generation_config.json", "config.json"
DROPOUT = re.compile(r"dropout|_pdrop$|layerdrop$|(^|_)drop_path")
# Of the generation settings: token ids, which the tokenizer decides, and what is no setting of decoding.
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
NO_SETTINGS = (*TOKENS, "transformers_version", "output_attentions", "output_hidden_states")


def without_dropout(config: PreTrainedConfig) -> dict[str, list]:
    """Switch every dropout of a configuration off; returns {key: [the folder's probability, 0.0]}."""
    changed = {}
    for part in {id(part): part for part in (config, config.get_text_config())}.values():
        for key, value in vars(part).items():
            if DROPOUT.search(key) and isinstance(value, int | float) and not isinstance(value, bool) and value:
                changed[key] = [value, 0.0]
                setattr(part, key, 0.0)
    return changed


def without_settings(model: PreTrainedModel) -> dict[str, list]:
    """Leave a model's own generation settings nothing but token ids; returns {key: [the folder's value, ours]}."""
    folder = model.generation_config
    changed = settings_of(folder)
    if changed:
        model.generation_config = GenerationConfig(**{key: getattr(folder, key, None) for key in TOKENS})
    return changed


def settings_of(generation: GenerationConfig) -> dict[str, list]:
    """{key: [value, transformers' own default]} of all settings that are not the default."""
    defaults = generation._get_default_generation_params()
    known = {*vars(GenerationConfig()), *defaults} - {*NO_SETTINGS}  # older folders have other keys beside them
    return {
        key: [value, defaults.get(key)]
        for key, value in sorted(generation.to_dict().items())
        if key in known and not key.startswith("_") and value is not None and value != defaults.get(key)
    }


def end_with(model: PreTrainedModel, tokenizer) -> dict[str, list]:
    """Let texts end at the tokenizer's end-of-sequence; returns what `end_of` says."""
    changed = end_of(model.generation_config, tokenizer)
    if changed or model.generation_config.eos_token_id is None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id
    return changed


def end_of(generation: GenerationConfig, tokenizer) -> dict[str, list]:
    """{"eos_token_id": [the folder's, the tokenizer's]} where these differ."""
    folder, ours = generation.eos_token_id, tokenizer.eos_token_id
    return {} if folder is None or folder in (ours, [ours]) else {"eos_token_id": [folder, ours]}
