"""What `make release-check` refuses, what it runs, and which versions it takes; it is not run here: it installs."""

import re
import tomllib

import pytest
import yaml

from tests.docs.pages import text_of
from tests.lowest_versions import lowest_versions
from tests.release import MOST_BYTES, files_to_upload, first_commands

JOBS = ("release-check", "release")


def test_it_runs_the_readme_from_preparing_to_the_first_training():
    named = [command[1] for command in first_commands(text_of("README.md"))]
    assert named[0] == "prepare"
    assert named[-1] == "train"
    assert named.count("train") == 1


def test_a_page_without_training_is_run_whole():
    page = "```console\n$ tdbs prepare\nrows\n$ tdbs env\n```\n"
    assert first_commands(page) == [("tdbs", "prepare"), ("tdbs", "env")]


def test_a_file_of_a_megabyte_is_refused(tmp_path):
    (tmp_path / "tdbs-1.tar.gz").write_bytes(b"0" * (MOST_BYTES - 1))
    (tmp_path / "tdbs-1-py3-none-any.whl").touch()
    assert [path.suffix for path in files_to_upload(tmp_path)] == [".gz", ".whl"]
    (tmp_path / "tdbs-1.tar.gz").write_bytes(b"0" * MOST_BYTES)
    with pytest.raises(SystemExit) as caught:
        files_to_upload(tmp_path)
    said = "tdbs-1.tar.gz has 1,000,000 bytes, at most 999,999: include less in pyproject.toml"
    assert str(caught.value) == said


def test_a_folder_without_both_files_is_refused(tmp_path):
    (tmp_path / "tdbs-1.tar.gz").touch()
    with pytest.raises(SystemExit) as caught:
        files_to_upload(tmp_path)
    assert str(caught.value) == f"{tmp_path} needs one sdist and one wheel: run python -m build"


def test_lowest_versions_can_constrain_pip():
    """Every plain dependency but torch has one, and none names an extra, which pip takes in no constraint."""
    text = text_of("pyproject.toml")
    plain = lowest_versions(text, extras=())
    names = {re.split("[=>]", line)[0] for line in tomllib.loads(text)["project"]["dependencies"]}
    assert {line.split("==")[0] for line in plain} == names - {"torch"}
    assert not any("[" in line for line in plain)


def test_what_is_released_was_checked():
    """The job that publishes builds nothing: it takes what `make release-check` left in dist."""
    jobs = yaml.safe_load(text_of(".github/workflows/ci.yml"))["jobs"]
    checked, released = ([step.get("run") or step["uses"] for step in jobs[name]["steps"]] for name in JOBS)
    assert checked[-2:] == ["make release-check", "actions/upload-artifact@v4"]
    assert released == ["actions/download-artifact@v4", "pypa/gh-action-pypi-publish@release/v1"]
