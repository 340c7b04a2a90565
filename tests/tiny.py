"""Tiny tokenizer and LLaMA-architecture model with random weights, built in a moment, for tests."""

from pathlib import Path

import torch
from plw.data.template import format_prompt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = (  # noqa: SIM905
    "the a cat dog bird river stone tree house light water walks sings sees likes finds near under over red blue "
    "green small large old young and or not what where who name list say write tell translate answer question"
).split()


def corpus() -> list[str]:
    """Text that the tokenizer is trained on: every template and simple sentences of the word list."""
    sentences = [" ".join(WORDS[(i * k) % len(WORDS)] for i in range(1, 9)) + "." for k in range(1, 60)]
    return [format_prompt("name", "list"), format_prompt("say"), *sentences]


def tiny_tokenizer(folder: str | Path, *, vocabulary: int = 384, bos: bool = True) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE with `<s>`, `</s>`, `<unk>` (no padding token) and save it into `folder`.

    `bos` prepends `<s>` to every text, as the LLaMA tokenizers do.
    """
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(corpus(), trainer)
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def tiny_model(folder: str | Path, *, hidden: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save a random LLaMA of about 50,000 parameters and its tokenizer into `folder`; returns the folder."""
    folder = Path(folder)
    tokenizer = tiny_tokenizer(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return folder


def tiny_instances(count: int, *, seed: int = 0, longest: int = 24) -> list[dict]:
    """Instances in the workflow's own form, with inputs in every third row and outputs of very uneven length."""
    generator = torch.Generator().manual_seed(seed)

    def sentence(words: int) -> str:
        picked = torch.randint(len(WORDS), (words,), generator=generator).tolist()
        return " ".join(WORDS[i] for i in picked)

    def length() -> int:
        return int(torch.randint(1, longest + 1, (1,), generator=generator))

    return [
        {
            "instruction": sentence(1 + length() // 4),
            "input": sentence(length() // 3 + 1) if row % 3 == 0 else "",
            "output": sentence(length()),
            "source_row": row,
            "inverted": False,
        }
        for row in range(count)
    ]


SCALED = {  # what each kind does to its logits, strongly enough to be seen in a random model
    "llama": {},
    "mistral": {"sliding_window": 24},
    "granite": {"logits_scaling": 0.25},
    "granitemoe": {"logits_scaling": 0.25, "num_local_experts": 2, "num_experts_per_tok": 1},
    "gemma2": {"final_logit_softcapping": 0.5, "sliding_window": 24, "head_dim": 8, "query_pre_attn_scalar": 8},
    "cohere": {"logit_scale": 4.0},
    "cohere2": {"logit_scale": 4.0, "sliding_window": 24},
}


def tiny_scaled_model(folder: str | Path, name: str, *, seed: int = 0) -> Path:
    """Save a random model of an architecture of SCALED and a tokenizer into `folder`; returns the folder."""
    folder = Path(folder)
    tokenizer = tiny_tokenizer(folder)
    config = AutoConfig.for_model(
        name,
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        initializer_range=0.2,
        **SCALED[name],
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder
