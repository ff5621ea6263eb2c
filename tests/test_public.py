"""What a user sees of `tdbs`: names, signatures and documentation of every public function."""

import inspect
import pydoc
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

import tdbs
from tdbs import errors

FUNCTIONS = [name for name in tdbs.__all__ if name not in ("Predictor", "TdbsError")]
CALLABLES = [*FUNCTIONS, "Predictor.__call__"]  # these return something
PARTS = ("Args", "Returns", "Raises")


def public(name: str) -> Callable[..., Any]:
    found: Any = tdbs
    for part in name.split("."):
        found = getattr(found, part)
    return found


def parameters(name: str) -> list[str]:
    return [parameter for parameter in inspect.signature(public(name)).parameters if parameter != "self"]


def parts_of(docstring: str) -> dict[str, dict[str, str]]:
    """Return the entries of the parts of a docstring in Google's style; what a part says without a name is under ""."""
    found: dict[str, dict[str, str]] = {}
    part = name = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if line.rstrip(":") in PARTS:
            part, name = line.rstrip(":"), ""
            found[part] = {}
        elif part and line.strip():
            entry = re.match(r"    (\w+): (.*)", line) if part != "Returns" else None
            name, text = (entry[1], entry[2]) if entry else (name, line.strip())
            found[part][name] = f"{found[part].get(name, '')} {text}".strip()
    return found


@pytest.mark.parametrize("name", [*CALLABLES, "Predictor", "TdbsError"])
def test_every_parameter_is_shown_and_documented(name):
    """`inspect.signature` shows the parameters by name, and `Args` has each of them in that order."""
    assert not {"args", "kwargs", "arguments", "options"} & set(parameters(name))
    documented = parts_of(inspect.getdoc(public(name)) or "").get("Args", {})
    assert list(documented) == parameters(name)
    assert [parameter for parameter, text in documented.items() if not text.endswith((".", "]"))] == []


@pytest.mark.parametrize("name", [*CALLABLES, "Predictor"])
def test_what_is_returned_and_raised_is_documented(name):
    """`Returns` says what, and `Raises` names errors of tdbs, each with its reason."""
    found = parts_of(inspect.getdoc(public(name)) or "")
    assert (name == "Predictor") or found["Returns"][""]
    assert found["Raises"]
    for error, reason in found["Raises"].items():
        assert reason.endswith("."), error
        assert issubclass(error_named(error), tdbs.TdbsError)


def error_named(name: str) -> type[BaseException]:
    if name == "StoppedError":  # of training alone
        from tdbs.train.stopping import StoppedError

        return StoppedError
    return getattr(errors, name)


def test_meta_the_docstring_is_parsed():
    """What the tests above read, and that a parameter which is not documented is missed."""
    found = parts_of("Do it.\n\n    Args:\n        a: One,\n            and more.\n\n    Returns:\n        A: b.\n")
    assert found == {"Args": {"a": "One, and more."}, "Returns": {"": "A: b."}}
    assert parts_of("Do it.") == {}


def test_dir_lists_every_public_name():
    assert set(tdbs.__all__) <= set(dir(tdbs))


def test_help_on_train_is_that_of_the_function():
    """`tdbs.train` is a package too; help shows the function's signature and docstring, and its modules are there."""
    from tdbs.train.trainer import train

    shown = " ".join(pydoc.plain(pydoc.render_doc(tdbs.train)).split())
    assert inspect.signature(tdbs.train) == inspect.signature(train)
    assert "train(dataset: " in shown
    assert " ".join((inspect.getdoc(train) or "").partition("\n")[2].split()) in shown
    assert tdbs.train.trainer.train is train


def test_looking_at_the_names_loads_no_torch():
    """`dir`, and `tdbs.train` itself: torch is loaded only when the function is called or looked at."""
    code = "import tdbs, sys; dir(tdbs); tdbs.train; callable(tdbs.train); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(AttributeError, match=re.escape("module 'tdbs' has no attribute 'prepair'")):
        _ = tdbs.prepair


def test_the_version_is_that_of_the_installed_package():
    """It is written in `tdbs/__init__.py` alone, and read from there when the package is built."""
    assert tdbs.__version__ == version("tdbs")
