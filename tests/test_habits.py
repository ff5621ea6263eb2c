"""What contributors, checkers and robots read is true: make targets exist, workflows parse, names agree."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import tdbs
from docs.generate import commands

ROOT = Path(__file__).parents[1]
WORKFLOW = ".github/workflows/ci.yml"
YAML_FILES = ("CITATION.cff", ".pre-commit-config.yaml", WORKFLOW)
TELLS_TARGETS = ("README.md", "CONTRIBUTING.md", ".ci/run", ".github/PULL_REQUEST_TEMPLATE.md")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def parsed(name: str) -> Any:
    return yaml.safe_load(text_of(name))


def targets() -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", text_of("Makefile"), re.MULTILINE))


def jobs() -> dict[str, Any]:
    return dict(parsed(WORKFLOW)["jobs"])


@pytest.mark.parametrize("name", YAML_FILES)
def test_files_for_other_programs_are_yaml(name):
    assert parsed(name)


@pytest.mark.parametrize("name", TELLS_TARGETS)
def test_make_targets_that_are_named_exist(name):
    lines = re.findall(r"\bmake ((?:[a-z-]+ ?)+)(?=`|$|\s+#)", text_of(name), re.MULTILINE)
    named = {target for line in lines for target in line.split()}
    assert named
    assert named <= targets()


def test_the_workflow_runs_make_targets():
    """Nothing is checked on the host that a contributor could not run."""
    run = {target for name in ("check", "nightly") for target in jobs()[name]["strategy"]["matrix"]["target"]}
    assert run == set("lint types wheel site lower-bounds coverage test-slow test-faults test-fuzz".split())
    assert run <= targets()
    assert jobs()["release"]["needs"] == ["check", "test", "release-check"]


def test_every_supported_python_is_tested():
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    tested = jobs()["test"]["strategy"]["matrix"]["python"]
    classifiers = [f"Programming Language :: Python :: {version}" for version in tested]
    assert classifiers == [name for name in project["classifiers"] if ":: Python ::" in name]
    assert project["requires-python"] == f">={tested[0]}"


def test_no_file_for_other_programs_names_a_place_of_one_machine():
    for name in (*YAML_FILES, "CONTRIBUTING.md", "SECURITY.md"):
        assert re.findall(r"/(?:home|work|tmp|root|opt)/|https?://(?!github\.com/tdbs/tdbs)", text_of(name)) == [], name


def test_the_readme_names_the_functions_that_commands_have():
    """A command has a function of its name if and only if the README says so."""
    sentence = text_of("README.md").partition("Functions named as their commands are ")[2].partition(".\n")[0]
    named = {command.replace("-", "_") for command in commands()}
    assert set(re.findall(r"`(\w+)`", sentence)) == named & set(tdbs.__all__)


def test_the_citation_is_that_of_the_readme():
    paper = parsed("CITATION.cff")["preferred-citation"]
    shown = text_of("README.md").replace("{", "").replace("}", "")
    assert paper["title"] in shown
    assert " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]) in shown
    assert paper["collection-title"] in shown


def test_the_picture_of_the_architecture_has_every_room():
    """Each folder of the package, below the folder that holds it, and no other."""
    picture = text_of("docs/architecture.md").split("```")[1]
    drawn = re.findall(r"^((?: {2})+)(\w+)/", picture, re.MULTILINE)
    paths, above = [], []
    for indent, name in drawn:
        above = [*above[: len(indent) // 2 - 1], name]
        paths.append("/".join(above))
    rooms = {str(file.parent.relative_to(ROOT / "tdbs")) for file in (ROOT / "tdbs").rglob("__init__.py")} - {"."}
    assert sorted(paths) == sorted(rooms)
