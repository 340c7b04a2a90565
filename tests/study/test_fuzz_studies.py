"""Hostile study files: a message or a study, never a traceback."""

from checkout import ROOT
from fuzzing import changed, corpus, fuzz, tried
from plw.errors import InputError, InputErrors
from plw.study.configuration import load_configuration
from plw.study.runs import list_runs

MINE = b"""base: test
description: mine
seeds: [1, 2]
ptlms: {mine: {label: Mine, source: {path: models/mine}}}
datasets: {faq: {label: FAQ, source: {path: [a.jsonl, b.jsonl]}, format: messages, limit: 10}}
training: {learning_rate: 2.0e-5, epochs: 1, special_tokens: escape}
experiments: {main: {ptlms: [mine, weak], datasets: [faq], plw: [0.0, 0.1]}}
judges: {pandalm: {reference: {ptlm: mine, dataset: faq, plw: 0.0}}}
run_experiments: [main]
"""


@tried(100, 2_000)
def test_a_study_file_is_a_study_or_a_message(examples, tmp_path):
    file = tmp_path / "mine.yaml"

    def check(content):
        file.write_bytes(content)
        try:
            study = load_configuration({"study": str(file)}, root=ROOT)
            runs = list_runs(study)
        except (InputError, InputErrors) as error:
            assert len(str(error)) < 100_000
            return
        names = [study["name"], *study["ptlms"], *study["datasets"], *study["benchmarks"], *(run.run for run in runs)]
        assert all("/" not in name and "\n" not in name and len(name) < 250 for name in names)

    fuzz(check, examples, changed([MINE, *corpus("studies/*")]))
