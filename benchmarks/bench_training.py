"""Tokens per second of our trainer against the stock HF Trainer in Alpaca's layout, side by side.

Both train the same model on the same sequences in the same updates, turn by turn, so that a busy machine slows both;
only the ratios count. Before that, one update each must give the same loss and gradient norm.

    python benchmarks/bench_training.py --rounds 5 --output bench_training.json
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
from plw.training.fine_tuning import make_plan, training_arguments
from plw.training.loss import IGNORED, pad
from plw.training.loss_log import LossLog, read_loss
from plw.training.settings import read_settings
from plw.training.trainer import PromptLossTrainer
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

PAD = 0
# Mean prompt (template included) and completion tokens, from Table 1 and the templates' own length; spread of a
# log-normal that resembles them. Speed depends on the lengths alone.
SHAPES = {"alpaca": (62, 65, 0.35, 0.9), "short": (202, 14, 0.75, 0.6)}
CASES = {
    "alpaca, plw 0.1": ("alpaca", 0.1, {}),
    "short, plw 0.1": ("short", 0.1, {}),
    "short, plw 0": ("short", 0.0, {}),
    "short, plw 0, prompt loss not measured": ("short", 0.0, {"monitor_prompt_loss": False}),
}


def draw_examples(shape: str, count: int, vocabulary: int, seed: int) -> list[EncodedExample]:
    """Random token ids with log-normal lengths."""
    rng = random.Random(seed)
    mean_prompt, mean_completion, spread_prompt, spread_completion = SHAPES[shape]

    def length(mean: float, spread: float) -> int:
        return max(1, round(mean * rng.lognormvariate(-(spread**2) / 2, spread)))

    examples = []
    for _ in range(count):
        prompt, completion = length(mean_prompt, spread_prompt), length(mean_completion, spread_completion)
        ids = [rng.randrange(1, vocabulary) for _ in range(min(prompt + completion, 512))]
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
    start = time.perf_counter()
    result = trainer.train()
    return {"seconds": time.perf_counter() - start, "loss": result.training_loss, "norm": float(trainer.norm)}


def run_ours(model, examples, plw: float, extra: dict, options, folder) -> dict[str, float]:
    settings = read_settings(
        {
            "epochs": 1,
            "learning_rate": 1e-5,
            "compute_dtype": "bfloat16" if options.bfloat16 else "float32",
            "micro_batch": 4,
            "micro_batches_per_update": options.micro_batches,
            "physical_batch": options.physical_batch,
            "normalization_unit": "update",  # what transformers 5 divides by, for the comparison of gradients
        }
        | extra
    )
    plan = make_plan(examples, settings, plw=plw, seed=0, pad_token_id=PAD)
    device = "cpu" if options.cpu else "cuda"
    log = LossLog(Path(folder) / "loss.csv", plan, monitor=settings.monitor_prompt_loss)
    arguments = training_arguments(settings, plan, folder=Path(folder), seed=0, device=device)
    trainer = PromptLossTrainer(model, arguments, plan=plan, callbacks=[log], monitor=settings.monitor_prompt_loss)
    log.trainer = trainer
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    trainer.output.remove()
    rows = read_loss(Path(folder) / "loss.csv")
    order = [row for update in plan.updates for row in update]
    return {
        "seconds": seconds,
        "loss": sum(row["loss"] for row in rows) / len(rows),
        "norm": rows[-1]["grad_norm"],
        "order": order,
    }


def compare(name: str, options) -> dict:
    """Return ratios of one case: ours over stock, in tokens per second, per round."""
    shape, plw, extra = CASES[name]
    size = 4 * options.micro_batches
    parity = parity_of_one_update(draw_examples(shape, size, options.vocabulary, seed=99), plw, extra, options)
    examples = draw_examples(shape, size * options.updates, options.vocabulary, seed=1)
    tokens = sum(len(example.input_ids) for example in examples)
    ours, stock = [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            mine = run_ours(new_model(options), examples, plw, extra, options, folder)
            theirs = run_stock(new_model(options), examples, mine["order"], plw, options, folder)
        ours.append(tokens / mine["seconds"])
        stock.append(tokens / theirs["seconds"])
    ratios = [a / b for a, b in zip(ours, stock, strict=True)]
    return {
        "ours_tokens_per_second": statistics.median(ours),
        "stock_tokens_per_second": statistics.median(stock),
        "ratio": statistics.median(ratios),
        "ratio_interval_95": bootstrap(ratios),
        "ratios": ratios,
        **parity,
    }


def parity_of_one_update(examples, plw: float, extra: dict, options) -> dict[str, float]:
    """Relative differences of loss and gradient norm of one update, at PLW 0 or 1 (what the stock loss can do)."""
    exact = argparse.Namespace(**(vars(options) | {"bfloat16": False}))
    end = 0.0 if plw == 0 else 1.0
    with tempfile.TemporaryDirectory() as folder:
        mine = run_ours(new_model(options), examples, end, extra, exact, folder)
        theirs = run_stock(new_model(options), examples, mine["order"], end, exact, folder)
    return {
        "loss_difference": abs(mine["loss"] / theirs["loss"] - 1),
        "gradient_norm_difference": abs(mine["norm"] / theirs["norm"] - 1),
    }


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
    parser.add_argument("--hidden", type=int, default=256, help="hidden size of the model")
    parser.add_argument("--layers", type=int, default=4, help="its layers")
    parser.add_argument("--vocabulary", type=int, default=32000, help="its vocabulary")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16 instead of float32")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES), help="which comparisons")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args(argv)
    options.cpu = not torch.cuda.is_available()
    torch.set_num_threads(options.threads)
    found = {name: compare(name, options) for name in options.cases}
    for name, case in found.items():
        low, high = case["ratio_interval_95"]
        print(
            f"{name:42s} {case['ratio']:.2f}x [{low:.2f}, {high:.2f}]  {case['ours_tokens_per_second']:.0f} against "
            f"{case['stock_tokens_per_second']:.0f} tokens/s, gradient norm differs by "
            f"{case['gradient_norm_difference']:.1e}"
        )
    if options.output:
        settings = {key: value for key, value in vars(options).items() if key != "output"}
        write_json(options.output, {"settings": settings, "cases": found})


if __name__ == "__main__":
    main()
