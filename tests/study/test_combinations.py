"""Settings of a study that are good each for itself and cannot work together are refused when it is read."""

from pathlib import Path

import pytest
from plw.errors import InputErrors
from plw.study.configuration import load_configuration

ROOT = Path(__file__).resolve().parents[2]


def load(folder: Path, text: str) -> dict:
    path = folder / "mine.yaml"
    path.write_text(text)
    return load_configuration({"study": str(path), "samples": "samples"}, root=ROOT)


def test_all_of_them_are_told_at_once_each_with_its_place(tmp_path):
    text = """base: paper
training:
  zero_stage: 0
  offload: cpu
experiments:
  regularizers:
    regularizers:
      dropout: [0.1, 1.0]
      label_smoothing: [2]
"""
    with pytest.raises(InputErrors) as caught:
        load(tmp_path, text)
    told = [str(error) for error in caught.value.errors]
    assert len(told) == 3
    assert "offloaded without ZeRO" in told[0] and "line 4" in told[0] and "1, 2 or 3" in told[0]
    assert "dropout is a share" in told[1] and "line 8" in told[1] and "1.0" in told[1]
    assert "label_smoothing is a share" in told[2] and "line 9" in told[2]


def test_the_minkowski_regularizer_goes_with_zero_3_and_bfloat16(tmp_path):
    study = load(tmp_path, "base: paper\ntraining: {processes: 2}\n")
    assert study["training"]["zero_stage"] == 3 and study["training"]["compute_dtype"] == "bfloat16"
    assert "minkowski" in study["experiments"]["regularizers"]["regularizers"]
