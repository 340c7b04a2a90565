"""Hostile score tables: a message or all of its rows, never a traceback."""

import csv
import io

import pandas as pd
from fuzzing import changed, corpus, fuzz, tried
from plw.errors import InputError, InputErrors
from plw.scores.given import as_measurements, match_runs, read_given_scores

BENCHMARKS = [{"name": "arc", "metric": "acc_norm"}, {"name": "judge", "metric": "win_rate"}]
GOOD = "ptlm,dataset,plw,benchmark,score\n" + "".join(
    f"m,d,{plw},{name},{score}\n" for plw, score in ((0, 0.2), (0.1, 0.5), (1, 0.4)) for name in ("arc", "judge")
)
RUNS = pd.DataFrame({"run": ["a", "b", "c"], "plw": [0.0, 0.1, 1.0]}).assign(
    ptlm="m", dataset="d", normalization="nonzero_count", regularizer="none", strength=0.0, seed=42, experiments="main"
)
FULL = GOOD.replace("score\n", "score,n,stderr\n").replace("0.2\n", "0.2,12,\n").replace("0.5\n", "0.5,,0.01\n")
FULL = FULL.replace("0.4\n", "0.4,3,0.01\n")


@tried(90, 4_000)
def test_a_score_table_is_taken_whole_or_refused(examples, tmp_path):
    file = tmp_path / "scores.csv"

    def check(content):
        file.write_bytes(content)
        try:
            frame = read_given_scores(file, benchmarks=BENCHMARKS)
            matched = match_runs(frame, RUNS, normalization="nonzero_count", where="scores.csv")
        except (InputError, InputErrors) as error:
            assert len(str(error)) < 20_000
            return
        if not content.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b")):
            text = content.decode("utf-8-sig")
            assert len(matched) == len([row for row in csv.reader(io.StringIO(text, newline="")) if row]) - 1
        found = [value for item in as_measurements(matched) for value in item.metrics.values()]
        assert len(found) == len(matched)
        assert all(value["n"] is None or value["n"] >= 1 for value in found)

    fuzz(check, examples, changed([GOOD.encode(), FULL.encode(), *corpus("scores/*")]))
