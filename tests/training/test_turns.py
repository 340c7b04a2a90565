"""Whole conversations in training, against a plain loop that finds each token's role by decoding it."""

import json

import pytest
import torch
from plw.data.encoded import read_examples
from plw.data.template import PREAMBLE
from plw.data.tokenization import encode_examples
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputErrors
from plw.models.loading import fit_embeddings, load_model
from plw.training.batching import plan_updates
from plw.training.fine_tuning import make_plan
from plw.training.loss import weighted_token_loss
from plw.training.settings import read_settings
from tiny import tiny_instances, tiny_model
from training_runs import ROWS, TRAINING, assert_equal_training, reference, run, users_tokens

WEIGHTS = {"system_loss_weight": 0.3, "earlier_completion_loss_weight": 0.6, "completion_loss_weight": 0.9}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turns")
    tiny_model(folder / "model")
    rows = tiny_instances(ROWS, seed=5)
    for number, row in enumerate(rows):
        if number % 3 == 0:
            continue  # one exchange among conversations
        others = rows[number - 1]
        turns = [["user", row["instruction"]], ["assistant", row["output"]]]
        turns += [["user", others["instruction"]], ["assistant", others["output"]]] * (number % 4)
        row["turns"] = ([["system", "tell the truth"]] if number % 2 or len(turns) == 2 else []) + turns
    rows[4]["turns"][1][1] = " ".join(["stone"] * 150)  # later turns are cut off
    (folder / "instances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def letters_of(row):
    """The text of a row's conversation, and the role of each of its letters."""
    text, roles = "", []

    def add(said, role):
        nonlocal text
        text += said
        roles.extend([role] * len(said))

    answers = sum(role == "assistant" for role, _ in row["turns"])
    if row["turns"][0][0] != "system":
        add(PREAMBLE, "template")
    for role, said in row["turns"]:
        if role == "assistant":
            answers -= 1
            add("\n\n### Response:", "template")
            add(said + "</s>", "last" if answers == 0 else "earlier")
        else:
            add("\n\n### Instruction:\n" * (role == "user"), "template")
            add(said, role)
    return text, roles


def weigh_with(plw, *, system=None, earlier=None, completion=1.0, template=None):
    """The weight of each token by the letters that it holds."""
    of_role = {
        "template": plw if template is None else template,
        "system": plw if system is None else system,
        "user": plw,
        "earlier": completion if earlier is None else earlier,
        "last": completion,
    }

    def weigh(tokenizer, row, ids):
        if "turns" not in row:
            (alone,) = encode_examples(tokenizer, [row], TRAINING["max_length"])
            own = users_tokens(tokenizer, row, ids[: alone.prompt_length])
            prompt = [of_role["user" if mine else "template"] for mine in own[: alone.prompt_length]]
            return prompt + [completion] * (len(ids) - alone.prompt_length)
        text, roles = letters_of(row)
        place, weights = 0, []
        for token in ids:
            piece = "" if token == tokenizer.bos_token_id else tokenizer.decode([token])
            assert text[place : place + len(piece)] == piece
            held = roles[place : place + len(piece)] or ["template"]
            order = ("last", "earlier", "system", "user", "template")
            weights.append(of_role[min(held, key=order.index)])
            place += len(piece)
        return weights

    return weigh


def plan_of(world, plw, **changes):
    tokenizer = load_tokenizer({"path": str(world / "model")})
    prepare_tokenizer(tokenizer)
    examples = read_examples(
        world / "instances.jsonl", tokenizer, TRAINING["max_length"], template="template_loss_weight" in changes
    )
    return tokenizer, make_plan(
        examples, read_settings(TRAINING | changes), plw=plw, seed=42, pad_token_id=tokenizer.pad_token_id
    )


@pytest.mark.parametrize("normalization", ["nonzero_count", "sum_of_weights", "all_count"])
@pytest.mark.parametrize(
    ("plw", "changes"), [(0.1, {}), (0.0, WEIGHTS), (0.2, {**WEIGHTS, "earlier_completion_loss_weight": 0.0})]
)
def test_loss_and_gradients_of_an_update_are_those_of_a_plain_loop(world, plw, changes, normalization):
    tokenizer, plan = plan_of(world, plw, normalization=normalization, physical_batch=3, **changes)
    model = load_model({"path": str(world / "model")})
    fit_embeddings(model, tokenizer)
    model = model.double()
    rows = [json.loads(line) for line in (world / "instances.jsonl").read_text().splitlines()]
    weigh = weigh_with(
        plw,
        system=changes.get("system_loss_weight"),
        earlier=changes.get("earlier_completion_loss_weight"),
        completion=changes.get("completion_loss_weight", 1.0),
    )
    update = plan_updates(len(rows), epochs=1, seed=42, update_size=8, last_window="keep")[0]
    groups = [update[start : start + 2] for start in range(0, 8, 2)]
    expected = 0.0
    for group in groups:
        top, bottom = 0.0, 0.0
        for number in group:
            ids = plan.examples[number].input_ids
            weights = torch.tensor(weigh(tokenizer, rows[number], ids), dtype=torch.float64)[1:]
            log_p = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, :-1].double(), dim=-1)
            top = top - (weights * log_p[range(len(ids) - 1), ids[1:]]).sum()
            counts = {"sum_of_weights": weights.sum(), "nonzero_count": (weights != 0).sum(), "all_count": len(weights)}
            bottom += float(counts[normalization])
        expected = expected + top / bottom / len(groups)
    expected.backward()
    wanted = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    model.zero_grad()
    found = 0.0
    for step in range(plan.steps_per_update):
        batch = plan[step]
        part = weighted_token_loss(model(input_ids=batch["input_ids"]).logits, batch["targets"], batch["scales"])
        part.backward()
        found += part.item()
    gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert found == pytest.approx(expected.item(), rel=1e-6)
    assert (gradient - wanted).norm() < 1e-6 * wanted.norm()


@pytest.mark.parametrize("template", [None, 0.05])
def test_a_run_on_conversations_is_the_training_of_a_plain_loop_and_its_record_says_what_was_weighted_and_cut(
    world, tmp_path, template
):
    changed = WEIGHTS | ({} if template is None else {"template_loss_weight": template})
    found = run(world, tmp_path, plw=0.1, physical_batch=3, **changed)
    weigh = weigh_with(0.1, system=0.3, earlier=0.6, completion=0.9, template=template)
    assert_equal_training(found, reference(world, plw=0.1, weigh=weigh))
    rows, record = found[2]["rows"], found[2]
    assert rows["conversations"] == 12 and rows["answers_lost"] >= rows["rows_with_answers_lost"] >= 1
    assert rows["rows_with_answers_lost"] <= rows["truncated"]
    assert record["training"]["system_loss_weight"] == 0.3
    assert "0.3 for a system turn" in record["effective_loss"]
    assert "0.6 for answers before a conversation's last" in record["effective_loss"]


def test_prompt_and_completion_tokens_of_an_update_are_counted_by_their_roles(world):
    _, plan = plan_of(world, 0.1)
    sequences = [plan.examples[row] for row in plan.updates[0]]
    found = plan.summary(0)
    completion = sum(len(it.input_ids) - it.prompt_tokens for it in sequences)
    assert found["completion_tokens"] == completion
    assert found["prompt_tokens"] == sum(it.prompt_tokens for it in sequences) - len(sequences)


def test_weights_of_roles_are_another_training_only_where_there_are_conversations(world):
    plans = [plan_of(world, 0.1, **changes)[1] for changes in ({}, {"system_loss_weight": 0.5})]
    assert plans[0].digest() != plans[1].digest()
    tokenizer = load_tokenizer({"path": str(world / "model")})
    prepare_tokenizer(tokenizer)
    plain = encode_examples(tokenizer, tiny_instances(8, seed=1), 160)
    named = {"plw": 0.1, "seed": 1, "pad_token_id": 0}
    digests = [make_plan(plain, read_settings(TRAINING | changes), **named).digest()
               for changes in ({}, {"system_loss_weight": 0.5, "earlier_completion_loss_weight": 0.0})]  # fmt: skip
    assert digests[0] == digests[1]
    settings = read_settings({"system_loss_weight": 0.5, "earlier_completion_loss_weight": 2.0})
    assert read_settings(settings.for_json()) == settings
    assert not {"system_loss_weight", "earlier_completion_loss_weight"} & set(read_settings({}).for_json())
    for key, value in (("system_loss_weight", 1.5), ("earlier_completion_loss_weight", -1)):
        with pytest.raises(InputErrors, match=key):
            read_settings({key: value})
