"""Tokens per second of our trainer against the stock HF Trainer in Alpaca's layout, side by side.

Both train the same model on the same sequences in the same updates, turn by turn, and are timed by processor time (on a
GPU by the clock), so that a busy machine slows both; only the ratios count. Before that, one update each must give the
same loss and gradient norm, and one backward pass the gradient of a plain loop. Where TRL is installed, its SFTTrainer
with its own defaults takes part (bfloat16 and gradient checkpointing among them).

    OMP_NUM_THREADS=1 python benchmarks/bench_training.py --rounds 5 --output bench_training.json
    OMP_NUM_THREADS=1 python benchmarks/bench_training.py --smollm2    # rate of a model of that shape
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
from plw.data.tokenization import EncodedExample
from plw.files import write_json
from plw.recommend.hardware import hardware_here
from plw.training.fine_tuning import make_plan, training_arguments
from plw.training.forward.counting import matrix_sizes
from plw.training.forward.output_layer import WeightedOutput
from plw.training.loss import IGNORED, pad
from plw.training.loss_log import LossLog, read_loss
from plw.training.record import measure_matrix_rate
from plw.training.settings import read_settings
from plw.training.trainer import PromptLossTrainer
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

PAD = 0
# Mean prompt (template included) and completion tokens, from Table 1 and the templates' own length; spread of a
# log-normal that resembles them. Speed depends on the lengths alone.
SHAPES = {"alpaca": (62, 65, 0.35, 0.9), "short": (202, 14, 0.75, 0.6)}
# Alpaca's prompts begin with their template: some 39 tokens before the instruction where there is an input, 28 where
# there is none, the first 9 of them the same (LLaMA's tokenizer; 53 and 35 with what stands after the instruction, see
# plw.study.planning.workload). Four rows in ten of AlpacaData have an input.
BEGINNINGS, SAME, WITH_INPUT = (39, 28), 9, 0.4
# shape, PLW, further settings, whether prompts begin with the template
CASES: dict[str, tuple[str, float, dict, bool]] = {
    "alpaca, plw 0.1": ("alpaca", 0.1, {}, True),
    "alpaca, plw 0.1, no common beginnings": ("alpaca", 0.1, {}, False),
    "short, plw 0.1": ("short", 0.1, {}, True),
    "short, plw 0": ("short", 0.0, {}, True),
    "short, plw 0, prompt loss measured in each update": ("short", 0.0, {"monitor_prompt_loss": True}, True),
    "short, plw 0, prompt loss not measured": ("short", 0.0, {"monitor_prompt_loss": False}, True),
    "short, plw 0, not measured, no common beginnings": ("short", 0.0, {"monitor_prompt_loss": False}, False),
}
SMOLLM2 = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
           "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True}  # fmt: skip


def draw_examples(shape: str, count: int, vocabulary: int, seed: int, *, template: bool) -> list[EncodedExample]:
    """Random token ids with log-normal lengths; `template`: prompts begin with one of two rows of ids."""
    rng = random.Random(seed)
    whole = [1 + place % (vocabulary - 1) for place in range(BEGINNINGS[0])]
    other = [1 + place % (vocabulary - 1) for place in range(BEGINNINGS[0], sum(BEGINNINGS) - SAME)]
    begins = whole, [*whole[:SAME], *other]
    mean_prompt, mean_completion, spread_prompt, spread_completion = SHAPES[shape]

    def length(mean: float, spread: float) -> int:
        return max(1, round(mean * rng.lognormvariate(-(spread**2) / 2, spread)))

    examples = []
    for _ in range(count):
        prompt, completion = length(mean_prompt, spread_prompt), length(mean_completion, spread_completion)
        ids = [rng.randrange(1, vocabulary) for _ in range(min(prompt + completion, 512))]
        if template:
            begin = begins[rng.random() > WITH_INPUT][: prompt - 1]
            ids[: len(begin)] = begin
        examples.append(EncodedExample(ids, min(prompt, len(ids)), False, prompt >= len(ids), True))
    return examples


def new_model(options) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=options.vocabulary,
            hidden_size=options.hidden,
            intermediate_size=options.hidden * 8 // 3,
            num_hidden_layers=options.layers,
            num_attention_heads=4,
        )
    )


def collate_as_alpaca(features: list[dict]) -> dict[str, torch.Tensor]:
    """Right padding to the longest of the batch; the loss is the model's own."""
    lengths = torch.tensor([len(feature["input_ids"]) for feature in features])
    input_ids = pad([feature["input_ids"] for feature in features], PAD)
    mask = torch.arange(input_ids.shape[1]) < lengths[:, None]
    labels = pad([feature["labels"] for feature in features], IGNORED)
    return {"input_ids": input_ids, "attention_mask": mask.long(), "labels": labels}


class StockTrainer(Trainer):
    """The stock Trainer; only the order of rows is fixed to ours, and the gradient norm is kept."""

    def _get_train_sampler(self, *_):
        return range(len(self.train_dataset))

    def _get_grad_norm(self, model, grad_norm=None):
        self.norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        return self.norm


def run_stock(model, examples, order, plw: float, options, folder) -> dict[str, float]:
    """Train with labels masked at PLW 0 and kept otherwise (a fraction costs the same, were it there)."""
    dataset = [
        {
            "input_ids": example.input_ids,
            "labels": [
                IGNORED if plw == 0 and place < example.prompt_length else token
                for place, token in enumerate(example.input_ids)
            ],
        }
        for example in (examples[row] for row in order)
    ]
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=1,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=options.micro_batches,
        learning_rate=1e-5,
        bf16=options.bfloat16,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
        save_strategy="no",
        use_cpu=options.cpu,
        dataloader_pin_memory=False,
    )
    trainer = StockTrainer(model, arguments, train_dataset=dataset, data_collator=collate_as_alpaca)
    trainer.remove_callback(PrinterCallback)
    start = clock(options)
    result = trainer.train()
    return {"seconds": clock(options) - start, "loss": result.training_loss, "norm": float(trainer.norm)}


def run_trl(model, examples, order, plw: float, options, folder) -> dict[str, float]:
    """TRL's SFTTrainer as it comes: only the order of rows, the update and where to compute are given."""
    from datasets import Dataset  # heavy, and only for this
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    class OrderedTrainer(SFTTrainer):
        def _get_train_sampler(self, *_):
            return range(len(self.train_dataset))

    rows: dict[str, list] = {"input_ids": [examples[row].input_ids for row in order]}
    if plw == 0:
        rows["completion_mask"] = [
            [int(place >= examples[row].prompt_length) for place in range(len(examples[row].input_ids))]
            for row in order
        ]
    words = Tokenizer(models.WordLevel({"<pad>": PAD, "</s>": 1}, unk_token="<pad>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>")
    size = SFTConfig(output_dir=folder, use_cpu=options.cpu).per_device_train_batch_size
    arguments = SFTConfig(
        output_dir=folder,
        num_train_epochs=1,
        gradient_accumulation_steps=max(4 * options.micro_batches // size, 1),
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        use_cpu=options.cpu,
    )
    data = Dataset.from_dict(rows)
    trainer = OrderedTrainer(model, arguments, train_dataset=data, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    start = clock(options)
    result = trainer.train()
    return {"seconds": clock(options) - start, "loss": result.training_loss}


def missing_trl() -> str | None:
    """Why TRL takes no part, or None."""
    try:
        import trl  # noqa: F401
    except ImportError as error:
        return f"TRL's SFTTrainer takes no part: {error}"
    return None


def settings_of(extra: dict, options):
    return read_settings(
        {
            "epochs": 1,
            "learning_rate": 1e-5,
            "compute_dtype": "bfloat16" if options.bfloat16 else "float32",
            "micro_batch": 4,
            "micro_batches_per_update": options.micro_batches,
            "physical_batch": options.physical_batch,
            "tokens_per_batch": vars(options).get("tokens_per_batch"),
            "normalization_unit": "update",  # what transformers 5 divides by, for the comparison of gradients
        }
        | extra
    )


def run_ours(model, examples, plw: float, extra: dict, options, folder) -> dict:
    settings = settings_of(extra, options)
    plan = make_plan(examples, settings, plw=plw, seed=0, pad_token_id=PAD)
    device = "cpu" if options.cpu else "cuda"
    log = LossLog(Path(folder) / "loss.csv", plan, monitor=settings.monitor_prompt_loss)
    arguments = training_arguments(settings, plan, folder=Path(folder), seed=0, device=device)
    trainer = PromptLossTrainer(model, arguments, plan=plan, callbacks=[log], monitor=settings.monitor_prompt_loss)
    log.trainer = trainer
    start = clock(options)
    trainer.train()
    seconds = clock(options) - start
    trainer.output.remove()
    sizes = matrix_sizes(model)
    assert sizes is not None  # no experts
    rows = read_loss(Path(folder) / "loss.csv")
    order = [row for update in plan.updates for row in update]
    return {
        "seconds": seconds,
        "loss": sum(row["loss"] for row in rows) / len(rows),
        "norm": rows[-1]["grad_norm"],
        "order": order,
        "operations": sizes.operations(trainer.output.computed),
        "operations_of_tokens": sizes.operations_of_tokens(sum(row["tokens"] for row in rows)),
    }


def compare(name: str, options) -> dict:
    """Return ratios of one case: ours over stock (and over TRL's default), in tokens per second, per round."""
    shape, plw, extra, template = CASES[name]
    size = 4 * options.micro_batches
    few = draw_examples(shape, size, options.vocabulary, seed=99, template=template)
    parity = parity_of_one_update(few, plw, extra, options)
    # As many updates as the masked prompt's loss is measured once in.
    updates = max(options.updates, int(settings_of(extra, options).monitor_prompt_loss) if plw == 0 else 1)
    examples = draw_examples(shape, size * updates, options.vocabulary, seed=1, template=template)
    tokens = sum(len(example.input_ids) for example in examples)
    rates: dict[str, list[float]] = {"ours": [], "stock": []} | ({"trl": []} if vars(options).get("trl") else {})
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            mine = run_ours(new_model(options), examples, plw, extra, options, folder)
            theirs = {"stock": run_stock(new_model(options), examples, mine["order"], plw, options, folder)}
            if "trl" in rates:
                theirs["trl"] = run_trl(new_model(options), examples, mine["order"], plw, options, folder)
        for side, found in ({"ours": mine} | theirs).items():
            rates[side].append(tokens / found["seconds"])
    found = {f"{side}_tokens_per_second": statistics.median(values) for side, values in rates.items()}
    for side, prefix in (("stock", ""), ("trl", "trl_")):
        if side in rates:
            ratios = [a / b for a, b in zip(rates["ours"], rates[side], strict=True)]
            found |= {
                f"{prefix}ratio": statistics.median(ratios),
                f"{prefix}ratio_interval_95": bootstrap(ratios),
                f"{prefix}ratios": ratios,
            }
    return found | parity


def parity_of_one_update(examples, plw: float, extra: dict, options) -> dict[str, float]:
    """Relative differences of loss and gradient norm of one update, at PLW 0 or 1 (what the stock loss can do), and of
    the gradient from a plain loop's, at the PLW itself.
    """
    exact = argparse.Namespace(**(vars(options) | {"bfloat16": False}))
    end = 0.0 if plw == 0 else 1.0
    with tempfile.TemporaryDirectory() as folder:
        mine = run_ours(new_model(options), examples, end, extra, exact, folder)
        theirs = run_stock(new_model(options), examples, mine["order"], end, exact, folder)
    return {
        "loss_difference": abs(mine["loss"] / theirs["loss"] - 1),
        "gradient_norm_difference": abs(mine["norm"] / theirs["norm"] - 1),
        "gradient_difference": gradient_difference(examples, plw, extra, exact),
    }


def gradient_difference(examples, plw: float, extra: dict, options) -> float:
    """|ours - plain| / |plain| over all weights; plain: row by row, all logits, PyTorch's cross-entropy."""
    device = "cpu" if options.cpu else "cuda"
    plan = make_plan(examples, settings_of(extra, options), plw=plw, seed=0, pad_token_id=PAD)
    model, gradients = new_model(options).to(device), []
    sequences, scales, _ = plan.scales(0)
    for sequence, row in zip(sequences, scales.to(device), strict=True):
        ids = torch.tensor([sequence.input_ids], device=device)
        logits = model(input_ids=ids).logits[0, :-1]
        losses = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        (losses * row[1 : ids.shape[1]]).sum().backward()
    gradients.append([parameter.grad for parameter in model.parameters()])
    model.zero_grad()
    output = WeightedOutput(model)
    for step in range(plan.steps_per_update):
        batch = [plan[step][name].to(device) for name in ("input_ids", "targets", "scales")]
        output(model, *batch, None).loss.backward()
    output.remove()
    gradients.append([parameter.grad for parameter in model.parameters()])
    plain, ours = (torch.cat([gradient.flatten().double() for gradient in side]) for side in gradients)
    return float((ours - plain).norm() / plain.norm())


def measure_smollm2(options) -> dict[str, dict]:
    """Tokens a second of a model of SmolLM2-135M's shape, and shares of the matrix rate that this machine has then."""
    shaped = argparse.Namespace(**(vars(options) | {"vocabulary": SMOLLM2["vocab_size"]}))
    found = {}
    for name in ("alpaca, plw 0.1", "short, plw 0, prompt loss not measured"):
        shape, plw, extra, template = CASES[name]
        size = 4 * options.micro_batches * options.updates
        examples = draw_examples(shape, size, shaped.vocabulary, seed=1, template=template)
        rounds = []
        for _ in range(options.rounds):
            torch.manual_seed(0)
            model = LlamaForCausalLM(LlamaConfig(**SMOLLM2))
            with tempfile.TemporaryDirectory() as folder:
                timer = time.process_time if options.cpu else time.perf_counter
                rate = measure_matrix_rate(timer)
                mine = run_ours(model, examples, plw, extra, shaped, folder)
                rate = max(rate, measure_matrix_rate(timer))
            rounds.append(
                {
                    "tokens_per_second": sum(len(example.input_ids) for example in examples) / mine["seconds"],
                    "matrix_rate": rate,
                    "share_computed": mine["operations"] / mine["seconds"] / rate,
                    "share_of_tokens": mine["operations_of_tokens"] / mine["seconds"] / rate,
                }
            )
        found[name] = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    return found


def clock(options) -> float:
    """Seconds of processor time; on a GPU seconds by the clock."""
    return time.process_time() if options.cpu else time.perf_counter()


def bootstrap(values: list[float], draws: int = 2000) -> list[float]:
    """95 % percentile interval of the median."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(draws))
    return [medians[int(0.025 * draws)], medians[int(0.975 * draws)]]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns per case")
    parser.add_argument("--updates", type=int, default=3, help="updates per turn")
    parser.add_argument("--micro-batches", type=int, default=8, help="logical micro-batches of 4 per update")
    parser.add_argument("--physical-batch", type=int, default=8, help="sequences our trainer runs at once")
    parser.add_argument("--tokens-per-batch", type=int, help="a budget of tokens in place of that")
    parser.add_argument("--hidden", type=int, default=256, help="hidden size of the model")
    parser.add_argument("--layers", type=int, default=4, help="its layers")
    parser.add_argument("--vocabulary", type=int, default=32000, help="its vocabulary")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16 instead of float32")
    parser.add_argument("--tried-dtype", action="store_true", help="compute in what `plw new` tries to be faster here")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES), help="which comparisons")
    parser.add_argument("--no-trl", action="store_true", help="leave TRL's SFTTrainer out")
    parser.add_argument("--smollm2", action="store_true", help="the rate of a model of SmolLM2-135M's shape instead")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(argv)
    options.cpu = not torch.cuda.is_available()
    torch.set_num_threads(options.threads)
    options.bfloat16 |= options.tried_dtype and hardware_here().dtype == "bfloat16"
    if options.smollm2:
        rates = measure_smollm2(options)
        for name, rate in rates.items():
            print(f"{name:48s} " + ", ".join(f"{key} {value:.3g}" for key, value in rate.items()))
        if options.output:
            write_json(options.output, {"settings": told(options), "smollm2": rates})
        return
    reason = "left out" if options.no_trl else missing_trl()
    options.trl = reason is None
    if reason:
        print(reason)
    found = {name: compare(name, options) for name in options.cases}
    for name, case in found.items():
        low, high = case["ratio_interval_95"]
        print(
            f"{name:48s} {case['ratio']:.2f}x [{low:.2f}, {high:.2f}]  {case['ours_tokens_per_second']:.0f} against "
            f"{case['stock_tokens_per_second']:.0f} tokens/s, gradient differs by "
            f"{case['gradient_difference']:.1e}, its norm by {case['gradient_norm_difference']:.1e}"
        )
        if options.trl:
            low, high = case["trl_ratio_interval_95"]
            print(f"{'':48s} {case['trl_ratio']:.2f}x [{low:.2f}, {high:.2f}] TRL's default")
    if options.output:
        write_json(options.output, {"settings": told(options), "trl": reason or "took part", "cases": found})


def told(options) -> dict:
    """The options, for the file."""
    return {key: value for key, value in vars(options).items() if key != "output"}


if __name__ == "__main__":
    main()
