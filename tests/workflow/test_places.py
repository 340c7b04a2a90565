"""Where the workflow is called, and what an unpacked archive makes of the checkout."""

import os
import subprocess

import pytest
from checkout import ROOT, copy_project, snakemake
from plw.errors import InputError
from plw.study.configuration import check_links


def test_links_that_became_files_are_named_with_the_command_that_mends_them(tmp_path):
    check_links(ROOT)
    (tmp_path / "profiles").write_text("workflow/profiles")
    with pytest.raises(InputError, match="profiles") as caught:
        check_links(tmp_path)
    (tmp_path / "workflow/profiles/slurm").mkdir(parents=True)
    subprocess.run(["bash", "-c", caught.value.hint], cwd=tmp_path, check=True)
    check_links(tmp_path)
    assert (tmp_path / "profiles/slurm").is_dir() and (tmp_path / "slurm").is_dir()


@pytest.mark.workflow
@pytest.mark.slow
def test_a_call_from_another_folder_is_told_where_to_run_and_runs_as_it_is_told(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    wrong = snakemake("-s", str(ROOT / "Snakefile"), "--dry-run", "--", "figure_4", folder=other)
    said = wrong.stdout + wrong.stderr
    assert wrong.returncode != 0 and "Traceback" not in said
    assert f"--directory {ROOT}" in said and f"cd {ROOT}" in said
    right = snakemake("-s", str(ROOT / "Snakefile"), "--directory", str(ROOT), "-n", "--", "figure_4", folder=other)
    assert right.returncode == 0 and not os.listdir(other)


@pytest.mark.workflow
@pytest.mark.slow
def test_a_checkout_without_links_says_so_before_anything_runs(tmp_path):
    project = copy_project(tmp_path / "project")
    for name in ("profiles", "slurm"):
        text = os.readlink(project / name)
        (project / name).unlink()
        (project / name).write_text(text)
    done = snakemake("--dry-run", "--", "figure_4", folder=project)
    assert done.returncode != 0
    assert "cp -r workflow/profiles profiles" in done.stdout + done.stderr
