"""The validators of what an export holds, in the environment that `make validators` makes; without a network."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest
from checkout import ROOT

# Where another environment holds them.
PLACE = Path(os.environ.get("PLW_VALIDATORS", ROOT / ".venv-validators")) / "bin"
# The validator asks for the RO-Crate context by its address: here it is put where an earlier call would have left it.
FILL = """
import io, pathlib, sys
from importlib.util import find_spec
from requests import Request, Response
from requests_cache import CachedSession
from urllib3 import HTTPResponse

(folder,) = find_spec("rocrate").submodule_search_locations
body = (pathlib.Path(folder) / "data/ro-crate.jsonld").read_bytes()
address = "https://w3id.org/ro/crate/1.1/context"
assert address.encode() in body
response = Response()
response.status_code, response.url, response._content = 200, address, body
response.headers["Content-Type"] = "application/ld+json"
response.request = Request("GET", address).prepare()
response.raw = HTTPResponse(io.BytesIO(body), headers=response.headers, status=200, preload_content=False)
CachedSession(cache_name=sys.argv[1], backend="sqlite").cache.save_response(response)
"""
CROISSANT = """
import json, sys
import mlcroissant
for file in sys.argv[1:]:
    issues = mlcroissant.Dataset(jsonld=file).metadata.ctx.issues
    print(json.dumps([sorted(issues.errors), sorted(issues.warnings)]))
"""
SCHEMA = "from every_eval_ever.schema import schema_text; print(schema_text())"


def program(name: str) -> Path:
    """A program of the validators' environment; the test is skipped where there is none."""
    if not (PLACE / name).exists():
        pytest.skip(f"{name} is not in {PLACE}: make validators (or set PLW_VALIDATORS)")
    return PLACE / name


def crate_issues(folder: Path, profile: str, cache_folder: Path) -> list[str]:
    """What roc-validator finds against the profile's requirements in a crate."""
    validator, python = program("rocrate-validator"), program("python")
    address, report = cache_folder / "http", cache_folder / "report.json"
    subprocess.run([python, "-I", "-c", FILL, address], check=True)
    call = [
        python,
        "-I",
        validator,
        "--no-interactive",
        "--disable-color",
        "validate",
        "--offline",
        "--cache-path",
        address,
    ]
    call += ["--profile-identifier", profile, "--output-format", "json", "--output-file", report, folder]
    done = subprocess.run([*call], capture_output=True, text=True)
    assert report.is_file(), done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["passed"] == (done.returncode == 0) == (not found["issues"])
    return [f"{issue['check']['identifier']}: {issue['message']}" for issue in found["issues"]]


def croissant_issues(files: list[Path]) -> list[list]:
    """[errors, warnings] of mlcroissant for each file."""
    program("mlcroissant")
    done = subprocess.run([program("python"), "-I", "-c", CROISSANT, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@cache
def evaluation_schema() -> dict:
    """The schema of Every Eval Ever's records."""
    done = subprocess.run([program("python"), "-I", "-c", SCHEMA], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("every-eval-ever is not there: make validators")
    return json.loads(done.stdout)
