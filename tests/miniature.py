"""The `paper` study in miniature: a study based on it, and a local Hub that serves small twins of all that it names.

Models and data lie under the real names and revisions of config/sources.yaml, so the study changes nothing of them; the
three data files that the paper takes from GitHub have an address on the same server. Everything else that the study
changes is listed in STUDY with its reason.

The judges' twins are models of random weights, whose answers nobody could read. Their weights are therefore laid so
that the token after a prompt is one of two verdicts and then the end: see `give_verdicts`. Which of the two it is hangs
on what random weights make of the prompt, so verdicts differ between texts and mean nothing.
"""

import hashlib
import io
import json
import random
from pathlib import Path

import sentencepiece
import torch
from hub_models import NEVER, folder_files
from hub_repositories import add_data, alpaca_rows, card, lines, parquet
from hub_server import HubServer
from tiny import WORDS, corpus, tiny_tokenizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

ROWS = 24  # of a data set: one update an epoch, also of the one that leaves rows out
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "max_position_embeddings": 4096}

STUDY = """\
base: paper
description: The paper's study in miniature, on the twins that a local Hub serves.
preload: true   # many short jobs on one machine
keep_models: true  # the test looks at them

# What is served is small; a study can say where a file lies, and this one lies on the local server.
datasets:
  alpaca_data: {{source: {alpaca_data}}}
  alpaca_data_cleaned: {{source: {alpaca_data_cleaned}}}
benchmarks:
  # Models of random weights never end a text by themselves.
  truthfulqa_gen: {{max_new_tokens: 8}}
  wmt14_en_fr: {{max_new_tokens: 8}}
  wmt14_fr_en: {{max_new_tokens: 8}}
  wmt16_en_de: {{max_new_tokens: 8}}
  wmt16_de_en: {{max_new_tokens: 8}}
  wmt16_en_ro: {{max_new_tokens: 8}}
  wmt16_ro_en: {{max_new_tokens: 8}}
  alpaca_eval: {{max_new_tokens: 16}}
  pandalm: {{max_new_tokens: 16, source: {pandalm}}}

# All experiments, with the PLWs, ptlms and strengths that every kind of run and every artifact needs.
experiments:
  main: {{plw: [0.0, 0.1, 1.0], datasets: [alpaca_data, alpaca_data_short]}}
  regularizers:
    ptlms: [llama_1_7b]
    plw: [1.0]
    regularizers: {{weight_decay: null, minkowski: [0.0001], dropout: [0.1], label_smoothing: null}}
  datasets: {{ptlms: [llama_3_8b], plw: [0.0]}}
  ratios:
    ptlms: [llama_2_7b]
    datasets: [alpaca_data_cleaned, alpaca_data_medium, alpaca_data_tiny]
    plw: [0.1]
  losses: {{ptlms: [llama_2_7b], plw: [0.1], normalizations: [nonzero_count, sum_of_weights]}}

training:       # two CPU ranks in place of four GPUs; ZeRO-3, bfloat16 and the batch of four sequences are the paper's
  device: cpu
  processes: 2
  threads: 1
  micro_batches_per_update: 4
evaluation: {{device: cpu, threads: 1}}
judges:
  alpaca_eval: {{backend: openai_completions, python: null, server: "{judge}"}}  # vLLM's protocol; vLLM is not at hand
  pandalm: {{max_new_tokens: 8, device: cpu}}
mechanism: {{memorisation: {{prompts: 8, max_new_tokens: 8}}}}
statistics: {{simulations: 50, permutations: 99, bootstrap: 50, gam: {{samples: 100}}}}
"""


def study_text(hub: HubServer, judge: str) -> str:
    """The study file; the three files of GitHub are put on the local server.

    judge  address of the server that holds the Mixtral twin
    """
    files = {
        "alpaca_data": instruction_rows(ROWS, seed=1),
        "alpaca_data_cleaned": instruction_rows(ROWS, seed=2),
        "pandalm": [{"idx": i, **row, "motivation_app": "m"} for i, row in enumerate(alpaca_rows(4))],
    }
    places = {}
    for name, rows in files.items():
        content = json.dumps(rows).encode()
        hub.plain[f"/{name}.json"] = content
        digest = hashlib.sha256(content).hexdigest()
        places[name] = f'{{url: "{hub.endpoint}/{name}.json", sha256: {digest}}}'
    return STUDY.format(judge=judge, **places)


# --- data -------------------------------------------------------------------------------------------------------------
def instruction_rows(count: int, *, seed: int) -> list[dict]:
    """Alpaca rows: three of four with a completion longer than the prompt, the rest the other way round."""
    draw = random.Random(seed)

    def words(low: int, high: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))

    rows = []
    for i in range(count):
        short, long = words(1, 6), words(20, 50)
        instruction, output = (long, short) if i % 4 == 3 else (short, long)
        rows.append({"instruction": instruction, "input": words(1, 3) if i % 8 == 0 else "", "output": output})
    return rows


def serve_paper(hub: HubServer, sources: dict[str, dict], folder: Path) -> None:
    """Everything of the study that is on the Hub; `folder` takes the models while they are made."""
    add_data(hub, sources)
    rows = instruction_rows(ROWS, seed=3)
    talks = [
        [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]
        for row in rows
    ]
    chosen = parquet([{"prompt": t[0]["content"], "messages": t, "chosen": t, "rejected": t} for t in talks])
    _replace(hub, sources["ultrafeedback_binarized_cleaned"], {
        "README.md": card(("default", {"train_sft": "data/train_sft-*"})).encode(),
        "data/train_sft-00000-of-00001-0a1b2c3d4e5f6071.parquet": chosen,
    })  # fmt: skip
    dolly = [
        {"instruction": row["instruction"], "context": row["input"], "response": row["output"], "category": "open_qa"}
        for row in instruction_rows(ROWS, seed=4)
    ]
    _replace(hub, sources["databricks_dolly_15k"], {"databricks-dolly-15k.jsonl": lines(dolly)})
    add_twins(hub, sources, folder)


def _replace(hub: HubServer, source: dict, files: dict[str, bytes]) -> None:
    hub.repositories["dataset", source["hub"]].files |= files


# --- models -----------------------------------------------------------------------------------------------------------
def add_twins(hub: HubServer, sources: dict[str, dict], folder: Path) -> None:
    """The three ptlms, of which LLaMA 2 and 3 are gated, and both judges, PandaLM's with pickled weights alone."""

    def add(name: str, files: dict[str, bytes], *, gated: bool = False) -> None:
        entry = sources[name]
        pinned = {} if entry["revision"] == "main" else {"commit": entry["revision"]}
        hub.add(entry["hub"], {"README.md": b"# A model\n", **files}, gated=gated, **pinned)

    for seed, name in enumerate(("llama_1_7b", "llama_2_7b"), start=1):
        add(name, llama(folder / name, seed=seed), gated=name == "llama_2_7b")
    other = llama(folder / "llama_3_8b", seed=3, bytes_alone=True)
    add("llama_3_8b", {**other, "original/consolidated.00.pth": NEVER, "original/params.json": b"{}"}, gated=True)
    add("mixtral_8x7b_instruct", {**mixtral_judge(folder / "mixtral"), "consolidated.00.pt": NEVER})
    add("pandalm_7b", pandalm_judge(folder / "pandalm"))


def llama(folder: Path, *, seed: int, bytes_alone: bool = False) -> dict[str, bytes]:
    """A LLaMA of random weights in two files of half precision, as they are published.

    bytes_alone  a byte-level tokenizer, as LLaMA 3's, in place of a SentencePiece model
    """
    folder.mkdir(parents=True)
    tokenizer = tiny_tokenizer(folder) if bytes_alone else sentencepiece_tokenizer(folder)
    model = seeded(LlamaForCausalLM, llama_config(tokenizer), seed)
    model.half().save_pretrained(folder, max_shard_size="50KB")
    return folder_files(folder)


def llama_config(tokenizer) -> LlamaConfig:
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=2, **SIZES, **ids)


def mixtral_judge(folder: Path) -> dict[str, bytes]:
    """A mixture of experts that ends an [INST] turn with one of AlpacaEval's two verdicts."""
    folder.mkdir(parents=True)
    tokenizer = sentencepiece_tokenizer(folder, whole=("Output (a)", "Output (b)"))
    config = MixtralConfig(vocab_size=len(tokenizer), num_hidden_layers=1, num_key_value_heads=2, num_local_experts=2,
                           bos_token_id=1, eos_token_id=2, **SIZES)  # fmt: skip
    model = seeded(MixtralForCausalLM, config, 5)
    give_verdicts(model, tokenizer, after=" [/INST]", verdicts=("Output (a)", "Output (b)"))
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder_files(folder)


def pandalm_judge(folder: Path) -> dict[str, bytes]:
    """A LLaMA that continues PandaLM's prompt with 1 or 2, its weights pickled in two parts and in no other form."""
    folder.mkdir(parents=True)
    tokenizer = sentencepiece_tokenizer(folder, whole=("1", "2"))
    model = seeded(LlamaForCausalLM, llama_config(tokenizer), 6)
    give_verdicts(model, tokenizer, after="### Evaluation:\n", verdicts=("1", "2"))
    model.half().save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    placed = {}
    for part in (0, 1):
        file = f"pytorch_model-{part + 1:05d}-of-00002.bin"
        chosen = dict(list(state.items())[part::2])
        torch.save(chosen, folder / file)
        placed |= dict.fromkeys(chosen, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    return folder_files(folder)


def seeded(architecture, config, seed: int):
    """A model of random weights that are always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return architecture(config)


def give_verdicts(model, tokenizer, *, after: str, verdicts: tuple[str, str]) -> None:
    """Lay output weights so that greedy decoding says one of `verdicts`, each one token, behind `after`, then ends.

    What stands in the residual stream is the last token's embedding and, much smaller, what attention and feed-forward
    layers of random weights made of the whole text. The row of each verdict points along the embedding of `after`'s
    last token and a little along a random direction of its own; that of the end along both verdicts'.
    """
    last = tokenizer(after, add_special_tokens=False)["input_ids"][-1]
    first, second = (tokenizer.convert_tokens_to_ids(verdict) for verdict in verdicts)
    with torch.no_grad():
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        head.zero_()
        own = torch.linalg.qr(torch.randn(embedding.shape[1], 5, generator=torch.Generator().manual_seed(0)))[0].T
        embedding[[last, first, second]] = own[:3] * embedding.norm(dim=1).mean()
        head[first], head[second] = own[0] + 0.5 * own[3], own[0] + 0.5 * own[4]
        head[tokenizer.eos_token_id] = own[1] + own[2]


def sentencepiece_tokenizer(folder: Path, *, whole: tuple[str, ...] = ()):
    """A SentencePiece model with byte fallback and LLaMA's special tokens, beside the fast tokenizer made of it.

    whole  texts that are one token each
    """
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for text in corpus() for line in text.split("\n") if line), model_writer=stream,
        model_type="bpe", vocab_size=420, byte_fallback=True, split_digits=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
        user_defined_symbols=list(whole), num_threads=1, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(stream.getvalue())
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                "add_bos_token": True, "add_eos_token": False, "legacy": False, "model_max_length": 4096}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer
