"""`plw recommend`: ratios, the paper's numbers, a study's own curve, and what is said."""

import gzip
import json
import random
import tracemalloc
from statistics import fmean, pstdev

import pytest
import yaml
from checkout import ROOT
from plw.data.instances import Instance, RowReport
from plw.data.preflight import check_instances
from plw.data.ratios import count_words
from plw.data.template import format_prompt
from plw.data.tokenizers import load_tokenizer, prepare_tokenizer
from plw.errors import InputError
from plw.recommend.decision import recommend
from plw.recommend.describing import describe
from plw.recommend.inverting import invert_file
from plw.recommend.lengths import EDGES, measure
from plw.recommend.page import as_page
from plw.recommend.paper import CRITICAL, CRITICAL_RATIO, PURPOSES, RATIOS, TABLE_5, table_5_at
from plw.recommend.trainers import denominators, trainer_settings
from plw.recommend.words import as_text
from plw.scores.transform import to_w_p
from plw.training.collator import PromptLossCollator
from tiny import WORDS, tiny_tokenizer

NUMBERS = yaml.safe_load((ROOT / "config/paper_numbers.yaml").read_text(encoding="utf-8"))


def rows(prompt: int, completion: int, count: int = 20) -> list[dict]:
    draw = random.Random(1)

    def words(number: int) -> str:
        return " ".join(draw.choices(WORDS, k=number))

    return [{"instruction": words(prompt), "input": "", "output": words(completion)} for _ in range(count)]


def write(path, values) -> str:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return str(path)


def test_the_papers_numbers_are_those_of_the_configuration():
    printed = NUMBERS["table_5"]["rows"]
    assert {ratio: [list(cell) for cell in cells] for ratio, cells in TABLE_5.items()} == printed
    assert NUMBERS["table_3"]["critical"]["plw"] == CRITICAL
    assert NUMBERS["table_1"]["text"]["r_g"]["AlpacaDataShort"] == CRITICAL_RATIO
    assert (min(NUMBERS["table_5"]["gam"]["r_g"]), max(NUMBERS["table_5"]["gam"]["r_g"])) == RATIOS


@pytest.mark.parametrize("column", ["All", "MC", "Gen"])
def test_at_a_printed_ratio_the_printed_weight_comes_out(column):
    place = ("All", "MC", "Gen").index(column)
    for ratio, cells in TABLE_5.items():
        found = table_5_at(ratio, column)
        assert (found["plw"], found["starred"]) == (pytest.approx(cells[place][0]), cells[place][1])
        assert not found["held"]


def test_between_two_unstarred_rows_the_weight_lies_between_in_w_p():
    found = table_5_at(1.25, "MC")
    assert to_w_p(found["plw"]) == pytest.approx((to_w_p(0.183) + to_w_p(0.278)) / 2)
    assert table_5_at(2.2, "All")["plw"] == 0.239  # 2.5 has a star: the nearer row
    assert table_5_at(2.3, "All")["starred"]
    assert table_5_at(0.05, "MC") == {"plw": 0.155, "starred": False, "held": True, "rows": [0.5]}


def test_a_starred_ratio_gets_no_weight_and_says_that_it_hardly_matters():
    found = recommend(rows(10, 40))
    assert found["lengths"]["ratio"] > 3 and not found["short"]
    assert (found["plw"], found["matters"], found["source"]) == (None, False, "paper")
    assert "hardly matters" in as_text(found) and "Table 5, column All, gives 1*" in as_text(found)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_short_completions_get_a_weight_inside_its_span(purpose):
    found = recommend(rows(40, 4), purpose=purpose)
    assert found["short"] and found["matters"]
    assert found["low"] <= found["plw"] <= found["high"]
    assert found["plw"] == TABLE_5[0.5][("All", "MC", "Gen").index(PURPOSES[purpose])][0]
    assert ("up to PLW 1" in " ".join(found["for_reasons"])) == (purpose == "generation")


def test_each_format_is_told_by_its_fields_and_read(tmp_path):
    shapes = {
        "alpaca": lambda row: row,
        "dolly": lambda row: {"instruction": row["instruction"], "context": "", "response": row["output"]},
        "messages": lambda row: {"messages": [{"role": "user", "content": row["instruction"]},
                                              {"role": "assistant", "content": row["output"]}]},
        "sharegpt": lambda row: {"conversations": [{"from": "human", "value": row["instruction"]},
                                                   {"from": "gpt", "value": row["output"]}]},
        "ultrafeedback": lambda row: {"chosen": [{"role": "user", "content": row["instruction"]},
                                                 {"role": "assistant", "content": row["output"]}], "rejected": []},
    }  # fmt: skip
    expected = recommend(rows(10, 5))["lengths"]["r_g"]
    for name, shape in shapes.items():
        found = recommend(write(tmp_path / f"{name}.jsonl", map(shape, rows(10, 5))))
        assert found["lengths"]["rows"]["format"] == name
        assert found["lengths"]["r_g"] == expected


def test_fields_of_no_format_are_named_with_what_is_known(tmp_path):
    with pytest.raises(InputError, match="fields question, answer") as error:
        recommend(write(tmp_path / "qa.jsonl", [{"question": "a", "answer": "b"}]))
    assert "alpaca (instruction, output)" in str(error.value)


def test_a_compressed_file_and_its_rows_say_the_same(tmp_path):
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows(8, 3)).encode()))
    one, other = recommend(str(packed)), recommend(rows(8, 3))
    assert one["lengths"]["r_g"] == other["lengths"]["r_g"] and one["plw"] == other["plw"]


def test_the_histogram_and_the_share_of_short_rows_count_every_row_with_a_prompt():
    instances = [Instance("abcdefghij", "", "x" * n, i) for i, n in enumerate((0, 1, 9, 10, 11, 400))]
    found = measure(instances, read_report())
    assert [part["rows"] for part in found["histogram"]] == [1, 0, 1, 1, 2, 0, 0, 1]
    assert [part["low"] for part in found["histogram"]] == list(EDGES)
    assert found["short_share"] == pytest.approx(3 / 6)


def read_report():
    from plw.data.instances import RowReport

    return RowReport("alpaca")


def test_the_ratio_of_the_loss_is_that_of_the_pre_flight_table(tmp_path):
    folder = tmp_path / "tokenizer"
    tiny_tokenizer(folder)
    tokenizer = load_tokenizer({"path": str(folder)})
    prepare_tokenizer(tokenizer)
    given = rows(12, 30, count=40) + rows(300, 3, count=5)
    instances = [Instance(row["instruction"], row["input"], row["output"], i) for i, row in enumerate(given)]
    checked = check_instances(instances, tokenizer, max_length=128)
    found = recommend(given, tokenizer=str(folder), max_length=128)["lengths"]["loss"]
    assert found["completion_lost"] == checked["problems"]["completion_lost"]["rows"] == 5
    assert found["truncated"] == checked["problems"]["truncated"]["rows"]
    assert found["ratio"] == pytest.approx(checked["r_g_of_loss"], rel=0.02)  # but for tokens merged at the joint


def test_of_whole_conversations_the_loss_sees_all_answers_as_the_pre_flight_table_counts_them(tmp_path):
    tiny_tokenizer(tmp_path / "tokenizer")
    tokenizer = load_tokenizer({"path": str(tmp_path / "tokenizer")})
    prepare_tokenizer(tokenizer)
    draw = random.Random(3)

    def said(role: str, words: int) -> dict:
        return {"role": role, "content": " ".join(draw.choices(WORDS, k=words))}

    def exchange(asked: int, answered: int) -> list[dict]:
        return [said("user", asked), said("assistant", answered)]

    talks = [[*exchange(8, 20), *exchange(5, 9)] for _ in range(20)]
    talks += [[said("system", 6), *exchange(4, 12)] for _ in range(5)]  # one exchange, yet a system turn
    talks += [[*exchange(30, 40), *exchange(20, 60)] for _ in range(4)]  # cut
    talks += [[*exchange(300, 3), *exchange(1, 1)] for _ in range(3)]  # no answer is left
    talks += [exchange(6, 6) for _ in range(8)]
    file = write(tmp_path / "talks.jsonl", [{"messages": talk} for talk in talks])
    asked = {"turns": "all", "tokenizer": str(tmp_path / "tokenizer"), "max_length": 256}
    described = describe(file, **asked)
    found, checked = recommend(file, **asked)["lengths"]["loss"], described["preflight"]
    assert found["completion_lost"] == checked["problems"]["completion_lost"]["rows"] == 3
    assert 3 < found["truncated"] == checked["problems"]["truncated"]["rows"] < 40
    assert found["ratio"] == pytest.approx(checked["r_g_of_loss"], rel=0.03)  # but for tokens merged at the joints
    assert described["lengths"]["r_g"] == described["table_1"]["r_g"]
    first = recommend(file, **asked | {"turns": "first"})["lengths"]
    assert first["loss"]["completion"] < found["completion"] and "later_turns_ignored" in first["rows"]["met"]


def test_without_a_tokenizer_the_bias_of_characters_is_said_and_the_border_is_not_sure():
    found = recommend(rows(10, 10))
    lengths = found["lengths"]
    assert lengths["unit"] == "characters" and lengths["ratio_low"] < lengths["ratio"] < lengths["ratio_high"]
    assert "not sure on which side" in " ".join(found["against"])
    assert "in characters; in tokens probably" in as_text(found)


def test_what_makes_the_number_less_sure_is_said(tmp_path):
    mixed = rows(10, 3, count=10) + rows(3, 30, count=10) + [{"instruction": "", "input": "", "output": "x"}]
    found = recommend(write(tmp_path / "mixed.jsonl", mixed))
    said = " ".join(found["against"])
    assert "50% of the rows have a completion shorter" in said
    assert "1 rows were left out: empty_instruction" in said
    extreme = recommend(rows(200, 1))
    assert "outside the paper's data" in " ".join(extreme["against"])


@pytest.mark.parametrize(("given", "message"), [
    ([{"instruction": "a", "input": "", "output": ""}], "All completions are empty"),
])  # fmt: skip
def test_data_without_a_ratio_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        recommend(given)


def test_an_unknown_purpose_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="--purpose") as error:
        recommend(rows(3, 3), purpose="generate")
    assert "generation" in str(error.value)


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="no finished study"):
        recommend(rows(3, 3), study=str(tmp_path))


def test_the_factor_of_a_denominator_is_that_of_the_loss_itself():
    prompt, completion, plw = 30, 10, 0.1
    example = {"input_ids": [1] * (prompt + completion), "prompt_length": prompt}
    for row in denominators(plw, completion / (prompt - 1)):  # the first token of a prompt is not predicted
        scales = PromptLossCollator(0, plw=plw, normalization=row["normalization"])([example])["token_scales"]
        masked = PromptLossCollator(0, plw=0.0)([example])["token_scales"]
        assert row["factor"] == pytest.approx((scales[0, -1] / masked[0, -1]).item(), rel=1e-6)
    assert {row["factor"] for row in denominators(0.0, 2.0) if row["normalization"] != "all_count"} == {1.0}


def test_a_trainer_that_cannot_set_a_fraction_says_so_and_the_ends_are_switches():
    fraction = {row["trainer"]: row for row in trainer_settings(0.1)}
    assert not fraction["axolotl"]["can"] and not fraction["LLaMA-Factory"]["can"]
    assert "plw=0.1" in fraction["TRL"]["settings"]
    assert all(row["can"] for plw_ in (0.0, 1.0) for row in trainer_settings(plw_))


def test_the_room_itself_can_be_called_from_python():
    import plw.recommend

    assert plw.recommend(rows(10, 4))["plw"] == recommend(rows(10, 4))["plw"]


def test_the_page_holds_the_answer_and_no_markup_of_the_data(tmp_path):
    found = recommend(write(tmp_path / "<b>rows&.jsonl", rows(20, 4)))
    page = as_page(found)
    assert "&lt;b&gt;rows&amp;" in page and "<b>" not in page and "<script" not in page and "http" not in page
    assert f"{found['plw']:.3g}" in page


def test_json_of_a_recommendation_can_be_written():
    assert json.loads(json.dumps(recommend(rows(10, 4)), allow_nan=False))["purpose"] == "all"


ASKED = {
    "recommend": recommend,
    "describe": describe,
    "invert": lambda file: sum(1 for _ in invert_file(file)),
}


@pytest.mark.parametrize(
    ("form", "command"),
    [*((form, "recommend") for form in ("jsonl", "jsonl.gz", "json", "csv")), ("json", "describe"), ("csv", "invert")],
)
def test_of_a_file_only_lengths_are_kept_not_its_texts(tmp_path, form, command):
    """Peak memory grows by under 600 bytes a row: lengths, the row's digest, ratios; the texts have 4,000."""
    peaks = []
    for count in (2000, 6000):
        rows = [{"instruction": f"{n} " * 400, "output": f"{n} " * 400} for n in range(count)]
        if form == "json":
            text = json.dumps(rows)
        elif form == "csv":
            text = "instruction,output\n" + "".join(f"{row['instruction']},{row['output']}\n" for row in rows)
        else:
            text = "".join(json.dumps(row) + "\n" for row in rows)
        file = tmp_path / f"{count}.{form}"
        file.write_bytes(gzip.compress(text.encode(), 1) if form.endswith("gz") else text.encode())
        del text, rows
        ASKED[command](str(file))
        tracemalloc.start()
        ASKED[command](str(file))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 4000 < 600


def test_the_spread_of_rows_is_that_of_their_lengths_as_training_cuts_them():
    texts = [Instance("say " * n, "", "so " * (2 * n), n) for n in (1, 5, 20)]
    report = RowReport("rows", rows_read=3, rows_kept=3)
    loss = measure(iter(texts), report, count_tokens=count_words, max_length=60)["loss"]
    template = count_words([format_prompt("", "")])[0]
    whole = [min(template + n + 1, 60) + max(0, min(2 * n + 1, 60 - template - n - 1)) for n in (1, 5, 20)]
    assert loss["sd"] == pytest.approx(pstdev(whole)) and loss["prompt"] + loss["completion"] == pytest.approx(
        fmean(whole)
    )
