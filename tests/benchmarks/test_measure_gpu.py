"""`make test-gpu`: every part in tiny on the CPU, the budget, what is left out, and what becomes of gpu.json."""

import importlib
import json
import subprocess
import sys
import time

import pytest
from checkout import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import measure_gpu
import show_gpu
from gpu.driver import measure
from gpu.machine import data_sheet, driver_version
from gpu.part import LeftOut, Part
from gpu.rates import plan_rates
from gpu.table import NOTHING, put_section, section
from plw.errors import InputError
from plw.study.planning.device import measured_on, measured_value


def part(name: str) -> Part:
    return importlib.import_module(f"gpu.{name}").PART


@pytest.mark.slow
@pytest.mark.parametrize("name", measure_gpu.NAMES)
def test_every_part_runs_on_the_cpu_with_tiny_sizes(name, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "scripts"))  # of the programs that a part starts
    found = part(name)
    assert found.name == name
    if missing := found.missing():
        pytest.skip(f"not installed: {', '.join(missing)}")
    try:
        values = found.run("cpu", **found.tiny)
    except LeftOut as reason:
        pytest.skip(str(reason))
    assert values and json.loads(json.dumps(values, allow_nan=False)) == json.loads(json.dumps(values))


@pytest.mark.slow
def test_energy_is_what_the_counter_went_forward_while_it_trained(tmp_path, monkeypatch):
    counter = tmp_path / "intel-rapl:0/energy_uj"
    counter.parent.mkdir()
    counter.write_text("1000000")
    monkeypatch.setattr("plw.training.record.RAPL", tmp_path)
    energy = part("energy")
    with pytest.raises(LeftOut, match="did not move"):
        energy.run("cpu", **energy.tiny)
    ended = importlib.import_module("gpu.energy").train

    def train_and_use_two_joules(*arguments, **settings):
        ended(*arguments, **settings)
        counter.write_text("3000000")

    monkeypatch.setattr("gpu.energy.train", train_and_use_two_joules)
    values = energy.run("cpu", **energy.tiny)
    assert values["joules"] == pytest.approx(2.0)
    assert values["joules per 1000 tokens"] == pytest.approx(2.0 / (2 * 16 * 2) * 1000)


def small(name: str, run=lambda device, **sizes: {"value": 1.0}, **fields) -> Part:
    return Part(name, f"about {name}", run, **({"full": {}, "tiny": {}, "minutes": 0.0} | fields))


def call(file, *parts: Part, seconds: float = 60.0, sizes: str = "tiny") -> tuple[dict, list[str]]:
    said: list[str] = []
    found = measure(parts, device="cpu", sizes=sizes, file=file, seconds=seconds, say=said.append)
    assert json.loads(file.read_text()) == found
    return found["parts"], said


def test_what_is_missing_is_left_out_by_name_and_what_fails_stops_nothing(tmp_path):
    def fails(device):
        raise AssertionError("the loss differs by 1.0e-01")

    def without_counter(device):
        raise LeftOut("energy cannot be read here")

    missing = small("missing", needs=("no_such_package", "json"))
    parts, said = call(tmp_path / "g.json", missing, small("bad", fails), small("left", without_counter), small("good"))
    assert [one["status"] for one in parts.values()] == ["left out", "failed", "left out", "measured"]
    assert parts["missing"]["reason"] == "not installed: no_such_package"
    assert "the loss differs by 1.0e-01" in parts["bad"]["reason"] and "energy" in parts["left"]["reason"]
    assert said[0].startswith("missing: left out") and "no_such_package" in said[0]


def test_a_part_that_does_not_fit_waits_and_the_next_call_takes_it_up_and_repeats_nothing(tmp_path):
    calls = []

    def counted(device):
        calls.append(device)
        return {"value": len(calls)}

    both = small("quick", counted), small("long", counted, minutes=2.0)
    parts, _ = call(tmp_path / "g.json", *both, seconds=60, sizes="full")
    assert parts["quick"]["status"] == "measured" and parts["long"]["status"] == "waiting"
    assert "needs about 120 s" in parts["long"]["reason"]
    parts, said = call(tmp_path / "g.json", *both, seconds=600, sizes="full")
    assert parts["quick"]["values"] == {"value": 1} and parts["long"]["values"] == {"value": 2}
    assert said[0] == "quick: measured before"


def test_a_part_that_takes_too_long_is_stopped_and_waits(tmp_path):
    started = time.monotonic()
    parts, _ = call(tmp_path / "g.json", small("endless", lambda device: time.sleep(60)), seconds=1.5)
    assert parts["endless"]["status"] == "waiting" and "not done" in parts["endless"]["reason"]
    assert time.monotonic() - started < 30


def test_a_killed_call_loses_only_the_part_at_work(tmp_path):
    class Killed(BaseException):
        pass

    def killed(device):
        raise Killed

    with pytest.raises(Killed):
        call(tmp_path / "g.json", small("first"), small("second", killed))
    assert json.loads((tmp_path / "g.json").read_text())["parts"]["first"]["status"] == "measured"


def test_measurements_of_another_machine_are_not_mixed_in(tmp_path):
    call(tmp_path / "g.json", small("first"))
    other = json.loads((tmp_path / "g.json").read_text()) | {"device": {"name": "another"}}
    (tmp_path / "g.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match="other conditions") as error:
        call(tmp_path / "g.json", small("first"))
    assert "another" in str(error.value) and "--output" in str(error.value)


@pytest.mark.slow
def test_the_program_runs_without_a_test_runner_and_without_what_is_missing(tmp_path):
    """Packages that a borrowed machine may lack are hidden from it: a finder in front of all others finds none."""
    hidden = ["pytest", "deepspeed", "lm_eval", "alpaca_eval", "pynvml", "datasets", "pandas", "snakemake"]
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.abc, importlib.machinery, sys\n"
        "class Hidden(importlib.machinery.PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {hidden!r}: return None\n"
        "        return super().find_spec(name, path, target)\n"
        "sys.meta_path[:] = [Hidden if finder is importlib.machinery.PathFinder else finder"
        " for finder in sys.meta_path]\n"
    )
    output = tmp_path / "gpu.json"
    command = [
        sys.executable,
        "benchmarks/measure_gpu.py",
        "--device",
        "cpu",
        "--sizes",
        "tiny",
        "--output",
        str(output),
    ]
    command += ["--parts", "judging", "contexts", "zero"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert {name: one["status"] for name, one in found["parts"].items()} == {
        "judging": "measured", "contexts": "left out", "zero": "left out",
    }  # fmt: skip
    assert "lm_eval" in found["parts"]["contexts"]["reason"] and "deepspeed" in found["parts"]["zero"]["reason"]
    assert found["device"]["type"] == "cpu" and found["plan"] is None  # a processor's tiny sizes plan nothing


def test_without_a_gpu_the_full_tier_is_refused_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name in ("PYTHONPATH", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES"):  # which the program sets
        monkeypatch.setenv(name, "")
    with pytest.raises(SystemExit) as end:
        measure_gpu.main(["--output", str(tmp_path / "gpu.json"), "--parts", "judging"])
    assert end.value.code == 1
    assert "A GPU is asked for and none is visible" in capsys.readouterr().err
    assert not (tmp_path / "gpu.json").exists()


# ------------------------------------------------------------------------------------------------- what becomes of it

# Invented round numbers, to try the arithmetic; no device has them.
INVENTED = {
    "device": {"type": "cuda", "name": "Invented 1", "driver": "1.0", "data_sheet": {"flops": 1e15, "bandwidth": 1e12}},
    "versions": {"torch": "2.11.0", "transformers": "5.17.0", "deepspeed": None},
    "commit": "0123456789abcdef",
    "sizes": "full",
    "seconds": 12.0,
    "parts": {
        "speed": {
            "about": "training",
            "status": "measured",
            "seconds": 5.0,
            "values": {
                "matrix product, FLOP/s": 8e14,
                "data sheet, FLOP/s": 1e15,
                "copy, bytes/s": 9e11,
                "data sheet, bytes/s": 1e12,
                "training small": {"parameters": 10**8, "share_of_peak": [0.2, 0.25]},
                "training large": {"parameters": 10**9, "share_of_peak": [0.4, 0.5]},
            },
        },
        "generation": {
            "about": "writing",
            "status": "measured",
            "seconds": 5.0,
            "values": {
                "peak, FLOP/s": 1e15,
                "bandwidth, bytes/s": 1e12,
                "large": {"parameters": 10**9, "reading_share": [0.3, 0.6], "writing_share": [0.1, 0.2]},
            },
        },
        "zero": {"about": "DeepSpeed", "status": "left out", "seconds": 0.0, "reason": "not installed: deepspeed"},
    },
}


def test_the_plan_gets_each_size_with_what_was_measured_of_it():
    plan = plan_rates(INVENTED)
    assert (plan["gpu"], plan["gpu_flops"], plan["gpu_bandwidth"]) == ("Invented 1", 1e15, 1e12)
    assert [size["shape"] for size in plan["sizes"]] == ["small", "large"]
    measured = {"plan": plan}
    assert measured_value(measured, "training_utilisation", 1.3e8) == [0.2, 0.25]
    assert measured_value(measured, "training_utilisation", 7e9) == [0.4, 0.5]
    assert measured_value(measured, "writing_utilisation", 1.3e8) == [0.1, 0.2]  # the nearest that has it
    assert measured_value(measured, "start_seconds", 7e9) is None
    assert measured_on(measured) == "measured on Invented 1 with models of 0.1, 1 billion weights"
    assert plan_rates({"parts": {}}) is None


def test_a_device_without_a_data_sheet_is_measured_by_its_own_matrix_rate():
    unknown = json.loads(json.dumps(INVENTED))
    del unknown["parts"]["generation"]
    unknown["parts"]["speed"]["values"] |= {"data sheet, FLOP/s": None, "data sheet, bytes/s": None}
    plan = plan_rates(unknown)
    assert (plan["gpu_flops"], plan["gpu_bandwidth"]) == (8e14, 9e11)
    assert "writing_utilisation" not in plan["sizes"][1]


def test_a_card_is_found_by_the_name_that_pytorch_shows():
    assert data_sheet("NVIDIA H100 80GB HBM3") == (989.5e12, 3.35e12)
    assert data_sheet("NVIDIA A100-SXM4-80GB") == (312e12, 2.039e12)
    assert data_sheet("NVIDIA L4") != data_sheet("NVIDIA L40S")
    for other in ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA H200 NVL", "Tesla T4", None):
        assert data_sheet(other) is None


def test_the_drivers_version_is_read_out_of_its_files_first_line():
    line = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (dvs-builder@U22)  "
    assert driver_version(line) == "580.159.04"
    assert driver_version("unknown ") == "unknown"


def test_what_was_measured_on_a_card_is_a_plan_for_it():
    found = json.loads((ROOT / "benchmarks/measured/nvidia_h200.json").read_text())
    assert plan_rates(found) == found["plan"]
    assert [size["shape"] for size in found["plan"]["sizes"]] == ["smollm2_135m", "llama_1.3b", "llama_7b"]


def test_the_table_shows_the_device_and_the_reason_of_what_is_left_out():
    text = section(INVENTED)
    assert text.startswith("Measured on Invented 1, driver 1.0, torch 2.11.0, transformers 5.17.0, commit 0123456789ab")
    assert "| zero | DeepSpeed | left out: not installed: deepspeed |" in text
    assert "share_of_peak: 0.4 to 0.5" in text


def test_the_program_changes_only_what_stands_between_the_marks(tmp_path):
    document, file = tmp_path / "m.md", tmp_path / "gpu.json"
    original = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    document.write_text(original, encoding="utf-8")
    file.write_text(json.dumps(INVENTED))
    show_gpu.main([str(file), "--document", str(document)])
    changed = document.read_text(encoding="utf-8")
    assert "Invented 1" in changed and NOTHING not in changed
    show_gpu.main(["--document", str(document)])
    assert document.read_text(encoding="utf-8") == put_section(original, NOTHING)
    with pytest.raises(ValueError, match="has no"):
        put_section("no marks", "text")


def test_the_document_says_what_was_measured_on_a_gpu_or_that_nothing_was():
    text = (ROOT / "docs/measurements.md").read_text(encoding="utf-8")
    assert put_section(text, NOTHING) == text or "Measured on " in text
