"""A judge by a server: the annotations of the judge in process, and a server that lives no longer than its judging."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from completions_server import serving, stand_in
from plw.data.tokenizers import load_tokenizer
from plw.errors import InputError
from plw.evaluation import alpaca_eval, pandalm
from plw.evaluation.judge import Judge
from plw.evaluation.judge_server import engine_flags
from plw.evaluation.judgements import Pair
from plw.models.loading import load_model, save_model
from tiny import WORDS, tiny_model

PROMPT = "<s>{instruction}\n## (a):\n{output_1}\n## (b):\n{output_2}\nWhich is best?\n"
PAIRS = {
    "one": [Pair(i, f"say {WORDS[i]}", "", WORDS[i + 3], WORDS[i + 9]) for i in range(4)],
    "two": [Pair(i, f"list {WORDS[i]}", WORDS[i], WORDS[i + 5], WORDS[i + 2]) for i in range(3)],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A judge that has learnt verdicts on the pairs by heart: no answer is left to chance."""
    folder = tiny_model(tmp_path_factory.mktemp("trained"), hidden=128)  # vLLM's attention needs heads of 32 or more
    network, tokenizer = load_model({"path": str(folder)}), load_tokenizer({"path": str(folder)})
    prompts: list[str] = []

    class Listening(Judge):
        """Notes every prompt."""

        def _ask(self, wanted):
            prompts.extend(wanted.values())
            self._answers |= dict.fromkeys(wanted, "1")

    for framework in ("alpaca_eval", "pandalm"):
        annotate(framework, Listening({"source": {"path": str(folder)}}, folder / "listening"), folder / "listening")
    prompts = sorted({prompt.removeprefix("<s>") for prompt in prompts})
    verdicts = {True: ("1\n", "2\n", "tie"), False: ("Output (a)", "Output (b)", "I like both")}
    rows = []
    for place, prompt in enumerate(prompts):
        answer = verdicts[prompt.endswith("### Evaluation:\n")][place % 3]
        ids = tokenizer(prompt)["input_ids"]
        rows.append((ids, [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]))
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids, labels = torch.zeros((len(rows), width), dtype=torch.long), torch.full((len(rows), width), -100)
    for row, (prompt, answer) in enumerate(rows):
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(200):
        loss = network(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.03:  # every answer's margin is far above what two implementations differ by
            break
    save_model(folder, network, tokenizer)
    return folder


def annotate(framework: str, judge: Judge, folder: Path) -> dict:
    if framework == "pandalm":
        return pandalm.judge_pairs(PAIRS, judge)
    return alpaca_eval.judge_pairs(PAIRS, judge, prompt=PROMPT, folder=folder)


def annotations(framework: str, settings: dict, folder: Path) -> dict:
    with Judge(settings, folder) as judge:
        return annotate(framework, judge, folder)


@pytest.mark.parametrize("framework", ["alpaca_eval", "pandalm"])
@pytest.mark.parametrize("with_ids", [True, False])
def test_a_server_gives_the_annotations_of_the_judge_in_process(framework, with_ids, model, tmp_path):
    settings = {"source": {"path": str(model)}, "max_new_tokens": 9, "repetition_penalty": 1.2}
    here = annotations(framework, settings, tmp_path / "here")
    with serving(model, with_ids=with_ids) as (address, requests):
        served = settings | {"backend": "openai_completions", "server": address}
        assert annotations(framework, served, tmp_path / "there") == here
    assert any(text.strip() for text in raw_texts(here))
    assert {request["temperature"] for request in requests} == {0}
    assert all(row[:2].count(1) == 1 for request in requests for row in request["prompt"])  # one <s>, not two


def raw_texts(runs: dict) -> list[str]:
    found = [item["raw"] for run in runs.values() for item in run["items"]]
    return [text for raw in found for text in (raw if isinstance(raw, list) else [raw])]


def test_a_prompt_that_leaves_no_room_is_not_asked(model, tmp_path):
    with serving(model) as (address, requests):
        settings = {"source": {"path": str(model)}, "backend": "openai_completions", "server": address}
        judge = Judge(settings | {"max_new_tokens": 9}, tmp_path)
        texts = judge.answers(["cat " * 2000, "cat"], readable=bool)
    assert texts[0] == "" and len(requests[0]["prompt"]) == 1
    # A server that was started otherwise takes what a request leaves out from the model's generation_config.json.
    assert requests[0]["repetition_penalty"] == 1.0 and requests[0]["stop_token_ids"] == [2]


def test_the_servers_key_comes_from_the_environment(model, tmp_path, monkeypatch):
    with serving(model, key="secret") as (address, _):
        settings = {"source": {"path": str(model)}, "backend": "openai_completions", "server": address}
        settings |= {"max_new_tokens": 2}
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(InputError, match=r"did not answer.*401") as caught:
            Judge(settings, tmp_path).answers(["cat"], readable=bool)
        assert "OPENAI_API_KEY" in str(caught.value)
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        assert len(Judge(settings, tmp_path).answers(["cat"], readable=bool)) == 1


def test_a_server_with_another_model_is_refused(model, tmp_path):
    with serving(model, name="org/other") as (address, _):
        settings = {"source": {"path": str(model)}, "backend": "openai_completions", "server": address}
        with pytest.raises(InputError, match="does not have the judge") as caught:
            Judge(settings | {"max_new_tokens": 2}, tmp_path).answers(["cat"], readable=bool)
    assert "It has org/other" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "openai_completions"}, "asks a server, and none is named"),
        ({"backend": "openai_completions", "server": "http://127.0.0.1:9/v1"}, "did not answer"),
        ({"backend": "vllm_local_completions"}, "vLLM needs one of its own"),
        ({"backend": "vllm_local_completions", "python": "nowhere/python"}, "vLLM needs one of its own"),
        ({"backend": "vllm_local_completions", "python": "nowhere/python", "num_beams": 4}, "decodes greedily"),
        ({"backend": "vllm"}, "Unknown judge backend"),
    ],
)
def test_what_cannot_be_asked_is_an_error_before_anything_is(changes, message, model, tmp_path):
    settings = {"source": {"path": str(model)}, "max_new_tokens": 2, **changes}
    with pytest.raises(InputError, match=message):
        Judge(settings, tmp_path).answers(["cat"], readable=bool)
    assert not (tmp_path / "answers.jsonl").exists()


def test_an_interpreter_without_vllm_is_named_with_what_to_install(model, tmp_path):
    settings = {"source": {"path": str(model)}, "backend": "vllm_local_completions", "max_new_tokens": 2}
    with (
        pytest.raises(InputError, match="ended before it answered") as caught,
        Judge(settings | {"python": sys.executable}, tmp_path) as judge,
    ):
        judge.answers(["cat"], readable=bool)
    assert "Install envs/judges.lock.txt" in str(caught.value) and "No module named" in str(caught.value)


def test_a_server_that_ends_shows_the_end_of_its_log(model, tmp_path):
    settings = {"source": {"path": str(model)}, "backend": "vllm_local_completions", "max_new_tokens": 2}
    settings |= {"python": stand_in(tmp_path), "model_kwargs": {"fail": True}}
    with pytest.raises(InputError, match="no room on the device"), Judge(settings, tmp_path) as judge:
        judge.answers(["cat"], readable=bool)


def test_a_server_that_does_not_start_in_time_is_ended_with_its_log_shown(model, tmp_path):
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho $$\necho "loading $2"\nexec sleep 600\n')
    program.chmod(0o755)
    settings = {"source": {"path": str(model)}, "backend": "vllm_local_completions", "max_new_tokens": 2}
    settings |= {"python": str(program), "wait_minutes": 0.1}
    with (
        pytest.raises(InputError, match=r"did not answer within 0\.1 minutes") as caught,
        Judge(settings, tmp_path) as judge,
    ):
        judge.answers(["cat"], readable=bool)
    assert "| loading vllm.entrypoints.openai.api_server" in str(caught.value)
    assert "judges.NAME.wait_minutes" in str(caught.value)
    assert not is_alive(int((tmp_path / "vllm.log").read_text().splitlines()[0]))


def test_a_server_that_is_too_slow_is_told_with_the_key_and_not_asked_again(model, tmp_path):
    with serving(model, delay=3.0) as (address, requests):
        settings = {"source": {"path": str(model)}, "backend": "openai_completions", "server": address}
        settings |= {"max_new_tokens": 2, "wait_minutes": 0.02}
        with pytest.raises(InputError, match=r"did not answer within 0\.02 minutes(.|\n)*judges\.NAME\.wait_minutes"):
            Judge(settings, tmp_path).answers(["cat"], readable=bool)
        assert len(requests) == 1


def test_a_busy_server_is_asked_again(model, tmp_path, monkeypatch):
    monkeypatch.setattr("plw.evaluation.judge_server.TRY_SECONDS", 0.01)
    with serving(model, refusals=2) as (address, requests):
        settings = {"source": {"path": str(model)}, "backend": "openai_completions", "server": address}
        assert len(Judge(settings | {"max_new_tokens": 2}, tmp_path).answers(["cat"], readable=lambda _: True)) == 1
        assert len(requests) == 3


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def server_notes(folder: Path) -> dict:
    return json.loads((folder / "vllm.log").read_text().splitlines()[0])


@pytest.mark.slow
def test_a_started_server_is_asked_on_loopback_alone_and_ended_with_the_judging(model, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a cluster's proxy knows nothing of this machine
    settings = {"source": {"path": str(model)}, "max_new_tokens": 9, "dtype": "float32"}
    here = annotations("pandalm", settings, tmp_path / "here")
    settings |= {"backend": "vllm_local_completions", "python": stand_in(tmp_path)}
    settings |= {"model_kwargs": {"tensor_parallel_size": 4, "enforce_eager": True}}
    assert annotations("pandalm", settings, tmp_path) == here
    notes = server_notes(tmp_path)
    assert (notes["module"], notes["host"]) == ("vllm.entrypoints.openai.api_server", "127.0.0.1")
    flags = "--generation-config vllm --dtype float32 --tensor-parallel-size 4 --enforce-eager"
    assert notes["others"] == flags.split()
    assert not is_alive(notes["pid"])
    with Judge(settings, tmp_path) as judge:  # everything is answered: no server is started
        (tmp_path / "vllm.log").unlink()
        annotate("pandalm", judge, tmp_path)
    assert not (tmp_path / "vllm.log").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends a server with its killed parent on Linux alone")
def test_a_killed_judging_leaves_no_server_behind(model, tmp_path):
    settings = {"source": {"path": str(model)}, "backend": "vllm_local_completions", "max_new_tokens": 2}
    settings |= {"python": stand_in(tmp_path)}
    code = (
        "import sys, json, time\nfrom pathlib import Path\nfrom plw.evaluation.judge import Judge\n"
        "judge = Judge(json.loads(sys.argv[1]), Path(sys.argv[2]))\n"
        "judge.answers(['cat'], readable=lambda answer: True)\nprint('asked', flush=True)\ntime.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(settings), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as program:
        while (line := program.stdout.readline()) and line.strip() != b"asked":
            pass
        pid = server_notes(tmp_path)["pid"]
        assert line and is_alive(pid)
        program.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_alive(pid)


def test_engine_arguments_become_vllms_flags():
    settings = {"tensor_parallel_size": 4, "enforce_eager": True, "enable_prefix_caching": False, "x": {"a": [1]}}
    flags = ["--tensor-parallel-size", "4", "--enforce-eager", "--no-enable-prefix-caching", "--x", '{"a": [1]}']
    assert engine_flags(settings) == flags


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("PLW_VLLM_PYTHON"),
    reason="no interpreter with vLLM is named (PLW_VLLM_PYTHON; see envs/judges.lock.txt)",
)
def test_a_real_vllm_gives_the_annotations_of_the_judge_in_process(trained, tmp_path, monkeypatch):
    python = os.environ["PLW_VLLM_PYTHON"]
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; read only by a vLLM for the CPU
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    engine = {"enforce_eager": True, "max_model_len": 1024, "gpu_memory_utilization": 0.3}
    settings = {"source": {"path": str(trained)}, "max_new_tokens": 12, "dtype": "float32"}
    started = settings | {"backend": "vllm_local_completions", "python": python, "model_kwargs": engine}
    with Judge(started, tmp_path / "vllm") as judge:
        found = {framework: annotate(framework, judge, tmp_path / "vllm") for framework in ("alpaca_eval", "pandalm")}
    for framework, runs in found.items():
        assert runs == annotations(framework, settings, tmp_path / "here")
        with serving(trained) as (address, _):
            served = settings | {"backend": "openai_completions", "server": address}
            assert runs == annotations(framework, served, tmp_path / "server")
    read = [found[framework][run]["n_parsed"] for framework in found for run in PAIRS]
    verdicts = {tuple(item["verdicts"]) for run in found["pandalm"].values() for item in run["items"]}
    assert sum(read) >= 16 and len(verdicts) > 2  # of 7 prompts of AlpacaEval, some without verdict, and 14 of PandaLM
    penalised = {key: value | {"repetition_penalty": 1.2} for key, value in (("here", settings), ("vllm", started))}
    with Judge(penalised["vllm"], tmp_path / "penalised") as judge:
        runs = annotate("pandalm", judge, tmp_path / "penalised")
    assert runs == annotations("pandalm", penalised["here"], tmp_path / "here")
