"""What a study took, as the report says it."""

from plw.report.cost import duration, read_times, time_table


def texts(table: dict) -> list[list[str]]:
    return [[cell["text"] for cell in row] for row in table["rows"]]


def test_times_are_read_by_stage_and_add_up(tmp_path):
    (tmp_path / "train_model").mkdir()
    for name, seconds in (("a", "10"), ("b", "20"), ("c", "-")):
        (tmp_path / "train_model" / f"{name}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:00:10\n")
    (tmp_path / "train_judge.tsv").write_text("s\th:m:s\n60\t0:01:00\n")
    times = read_times(tmp_path)
    assert times == {"train_judge": [60.0], "train_model": [10.0, 20.0]}
    table = texts(time_table(times))
    assert [row[0] for row in table] == ["train judge", "train model", "all timed stages"]
    assert table[1][1:5] == ["2", "30 s", "33 %", "15 s"]
    assert time_table({}) is None


def test_durations_are_said_as_people_say_them():
    assert [duration(s) for s in (3.14, 41, 720, 12_240)] == ["3.1 s", "41 s", "12 min", "3.4 h"]
