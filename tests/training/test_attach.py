"""The prompt loss in other people's trainers and wrappers: the real ones, on a tiny model."""

import json
import os
import subprocess
import textwrap

import pytest
import torch
from checkout import ROOT
from plw import PromptLossCollator, attach_prompt_loss, causal_lm_loss
from plw.data.tokenizers import prepare_tokenizer
from plw.errors import InputError
from plw.models.loading import fit_embeddings
from plw.training.launch import free_reducer
from tiny import tiny_model
from training_runs import preloaded
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

FEATURES = [
    {"input_ids": [1, 5, 6, 7, 8, 2], "prompt_length": 4},
    {"input_ids": [1, 9, 10, 11, 2], "prompt_length": 2},
    {"input_ids": [1, 5, 12, 13, 14, 15, 16, 17, 2], "prompt_length": 7},
    {"input_ids": [1, 20, 21, 22, 23, 24, 25, 26], "prompt_length": 8},  # completion lost
    {"input_ids": [1, 3, 2], "prompt_length": 1},
]


@pytest.fixture
def model():
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, **shape))


def expected(model, batch):
    """The loss by hand, from a model that nothing was attached to."""
    logits = type(model).forward(model, input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    log_p = torch.log_softmax(logits[:, :-1], dim=-1)
    picked = log_p.gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    return -(picked * batch["token_scales"][:, 1:]).sum()


def arguments(folder, **changes):
    settings = {
        "output_dir": str(folder),
        "max_steps": 1,
        "learning_rate": 0.0,
        "max_grad_norm": 0.0,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
    }
    return settings | changes


class Spy(Trainer):
    """The stock trainer, with the gradient norms of its updates."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.norms = []

    def _get_grad_norm(self, model, grad_norm=None):
        self.norms.append(float(super()._get_grad_norm(model, grad_norm=grad_norm)))
        return self.norms[-1]


def norm(model, loss):
    model.zero_grad()
    loss.backward()
    found = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm().item()
    model.zero_grad()
    return found


def test_a_model_with_the_loss_attached_returns_it_for_a_batch(model):
    batch = PromptLossCollator(0, plw=0.1)(FEATURES)
    attach_prompt_loss(model)
    attach_prompt_loss(model)  # a second time changes nothing
    assert model(**batch).loss.item() == pytest.approx(expected(model, batch).item(), rel=1e-6)


def test_labels_and_batches_without_scales_are_refused_in_training(model):
    attach_prompt_loss(model)
    batch = PromptLossCollator(0, plw=0.1)(FEATURES)
    with pytest.raises(InputError, match="labels"):
        model(**batch, labels=batch["input_ids"])
    with pytest.raises(InputError, match="token_scales"):
        model.train()(input_ids=batch["input_ids"])
    assert model.eval()(input_ids=batch["input_ids"]).logits.shape[-1] == 50
    assert model.generate(batch["input_ids"][:1], max_new_tokens=2, do_sample=False).shape[1] <= 11


@pytest.mark.parametrize("attached_first", [False, True])
def test_under_peft_the_weight_of_the_prompt_counts(model, attached_first):
    peft = pytest.importorskip("peft", reason="peft is not installed (pip install -e .[dev])")
    if attached_first:
        attach_prompt_loss(model)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    attach_prompt_loss(wrapped)
    losses = {}
    for plw in (0.0, 1.0):
        batch = PromptLossCollator(0, plw=plw)(FEATURES)
        losses[plw] = wrapped(**batch).loss.item()
        assert losses[plw] == pytest.approx(expected(model, batch).item(), rel=1e-6)
    assert losses[0.0] != pytest.approx(losses[1.0], rel=1e-3)


def test_a_loss_that_was_only_set_on_the_wrapper_trains_nothing(model, tmp_path):
    """Nothing was attached: the batches have no labels from which the model's own loss could train the prompt."""
    peft = pytest.importorskip("peft", reason="peft is not installed (pip install -e .[dev])")
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    wrapped.loss_function = causal_lm_loss
    settings = arguments(tmp_path, learning_rate=1.0, remove_unused_columns=False)
    before = {name: parameter.detach().clone() for name, parameter in wrapped.named_parameters()}
    trainer = Trainer(
        wrapped,
        TrainingArguments(**settings),
        train_dataset=FEATURES,
        data_collator=PromptLossCollator(0, plw=0.1),
    )
    with pytest.raises(ValueError, match="did not return a loss"):
        trainer.train()
    assert all(torch.equal(parameter, before[name]) for name, parameter in wrapped.named_parameters())
    attach_prompt_loss(trainer)
    trainer.train()


def test_methods_that_add_positions_of_their_own_are_refused(model):
    peft = pytest.importorskip("peft", reason="peft is not installed (pip install -e .[dev])")
    wrapped = peft.get_peft_model(model, peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    attach_prompt_loss(wrapped)
    with pytest.raises((ValueError, KeyError), match=r"positions|input_ids"):
        wrapped(**PromptLossCollator(0, plw=0.1)(FEATURES))


def test_under_ddp_the_loss_is_that_of_the_model_inside(model, tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    try:
        attach_prompt_loss(wrapped)
        batch = PromptLossCollator(0, plw=0.1)(FEATURES)
        loss = wrapped(**batch).loss
        assert loss.item() == pytest.approx(expected(model, batch).item(), rel=1e-6)
        loss.backward()
    finally:
        free_reducer(wrapped)
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("remove_unused_columns", [True, False])
def test_the_stock_trainer_averages_micro_batches(model, tmp_path, remove_unused_columns):
    collator = PromptLossCollator(0, plw=0.1)
    mean = sum(expected(model, collator([feature])) for feature in FEATURES[:4]) / 4
    reference = norm(model, mean)
    settings = arguments(tmp_path, per_device_train_batch_size=1, gradient_accumulation_steps=4)
    settings["remove_unused_columns"] = remove_unused_columns
    trainer = Spy(model, TrainingArguments(**settings), train_dataset=FEATURES[:4], data_collator=collator)
    attach_prompt_loss(trainer)
    trainer.train()
    assert trainer.norms == [pytest.approx(reference, rel=1e-5)]


@pytest.mark.parametrize("normalization", ["nonzero_count", "sum_of_weights", "all_count", "token_sum"])
def test_in_the_stock_trainer_all_batches_of_an_update_share_one_denominator(model, tmp_path, normalization):
    collator = PromptLossCollator(0, plw=0.1, normalization=normalization, unit="update")
    reference = norm(model, expected(model, collator(FEATURES)))
    settings = arguments(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=3)
    trainer = Spy(model, TrainingArguments(**settings), train_dataset=FEATURES, data_collator=collator)
    attach_prompt_loss(trainer)
    trainer.train()
    assert trainer.norms == [pytest.approx(reference, rel=1e-5)]


def test_an_evaluation_reports_the_same_loss(model, tmp_path):
    collator = PromptLossCollator(0, plw=0.1)
    settings = arguments(tmp_path, per_device_eval_batch_size=8)
    trainer = Trainer(model, TrainingArguments(**settings), eval_dataset=FEATURES, data_collator=collator)
    attach_prompt_loss(trainer)
    found = trainer.evaluate()["eval_loss"]
    assert found == pytest.approx(expected(model, collator(FEATURES)).item(), rel=1e-6)


def test_a_trainer_without_the_collator_or_with_packing_is_refused(model, tmp_path):
    trainer = Trainer(model, TrainingArguments(**arguments(tmp_path)), train_dataset=FEATURES)
    with pytest.raises(InputError, match="data_collator"):
        attach_prompt_loss(trainer)
    trainer.data_collator = PromptLossCollator(0, plw=0.1)
    trainer.args.packing = True
    with pytest.raises(InputError, match="packing"):
        attach_prompt_loss(trainer)
    with pytest.raises(InputError, match="Neither"):
        attach_prompt_loss("a string")


@pytest.mark.slow
@pytest.mark.parametrize("plw", [0.0, 0.1])
def test_trls_trainer_prepares_the_rows_and_trains_with_our_loss(tmp_path, plw):
    trl = pytest.importorskip("trl", reason="trl is not installed (pip install -e .[dev])")
    from datasets import Dataset

    model = LlamaForCausalLM.from_pretrained(tiny_model(tmp_path / "model"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    prepare_tokenizer(tokenizer)
    fit_embeddings(model, tokenizer)
    rows = [
        {"prompt": "Name a stone.\n", "completion": "Granite is one."},
        {"prompt": "Where is it?\n", "completion": "By the river."},
    ]
    collator = PromptLossCollator(tokenizer.pad_token_id, plw=plw)
    settings = arguments(tmp_path, per_device_train_batch_size=2, logging_strategy="steps", logging_steps=1)
    trainer = trl.SFTTrainer(
        model,
        args=trl.SFTConfig(**settings, completion_only_loss=True),
        train_dataset=Dataset.from_list(rows),
        data_collator=collator,
        processing_class=tokenizer,
    )
    attach_prompt_loss(trainer)
    batch = collator(list(trainer.train_dataset))
    trainer.train()
    logged = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    assert logged == pytest.approx(expected(model, batch).item(), rel=1e-4)
    learnt = batch["token_scales"] != 0
    assert 0 < learnt.sum() < batch["attention_mask"].sum()
    weights = batch["token_scales"][learnt].unique()
    assert len(weights) == (1 if plw == 0 else 2)


TWO_RANKS = """
    import json, sys
    import torch
    from plw import PromptLossCollator, attach_prompt_loss
    from plw.training.launch import free_reducer
    from plw.training.zero import prepare_deepspeed
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
    prepare_deepspeed()  # without the minutes of a compilation
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=50, **shape))
    features, settings, out = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    class Spy(Trainer):
        def _get_grad_norm(self, model, grad_norm=None):
            found = super()._get_grad_norm(model, grad_norm=grad_norm)
            if self.is_world_process_zero():
                open(out, "w").write(str(float(found)))
            return found
    collator = PromptLossCollator(0, plw=0.1, unit=sys.argv[4])
    trainer = Spy(model, TrainingArguments(**settings), train_dataset=features, data_collator=collator)
    attach_prompt_loss(trainer)
    trainer.train()
    free_reducer(trainer.model_wrapped)
    torch.distributed.destroy_process_group()  # its threads, alive at the interpreter's end, abort a rank now and then
"""


ZERO = {
    "zero_optimization": {"stage": 2},
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "optimizer": {"type": "AdamW", "params": {"lr": 0.0, "torch_adam": True}},
}


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "deepspeed"), [("microbatch", None), ("update", None), ("update", ZERO)])
def test_two_ranks_train_with_the_gradient_of_one(model, tmp_path, unit, deepspeed):
    features, out = FEATURES[:4], tmp_path / "norm"
    collator = PromptLossCollator(0, plw=0.1, unit=unit, micro_batch=1 if unit == "microbatch" else None)
    reference = norm(model, expected(model, collator(features)))
    program = tmp_path / "two_ranks.py"
    program.write_text(textwrap.dedent(TWO_RANKS))
    settings = arguments(tmp_path, per_device_train_batch_size=1, gradient_accumulation_steps=2, deepspeed=deepspeed)
    for _ in range(2):
        done = subprocess.run(
            [
                *preloaded(2),
                str(program),
                *(json.dumps(features), json.dumps(settings), str(out), unit),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "DS_ACCELERATOR": "cpu"},
            capture_output=True,
            text=True,
        )
        if "address already in use" not in done.stderr.lower():  # else another test took the port in between
            break
    assert done.returncode == 0, done.stderr
    assert float(out.read_text()) == pytest.approx(reference, rel=1e-5)


def test_a_loop_of_ones_own_needs_nothing_attached(model):
    batch = PromptLossCollator(0, plw=0.1)(FEATURES)
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert causal_lm_loss(logits, **batch).item() == pytest.approx(expected(model, batch).item(), rel=1e-6)
