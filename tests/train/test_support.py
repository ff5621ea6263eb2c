"""`tdbs models` says of each type what the trainer would do with it."""

import json

import pytest

from tdbs.errors import ModelError
from tdbs.model_families import FAMILIES, PAIRING_ROWS, SHARING_ROWS, takes_rows_of_several
from tdbs.train.planning.support import Support, all_support, find_support
from tests.test_layers import loaded_after


def folder_of(place, **config):
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    return str(place)


def test_each_type_is_listed_once_and_any_other_last():
    found = all_support()
    assert [each.model_type for each in found] == [*FAMILIES, None]
    assert {each.model_type for each in found if each.unpadded} == set(SHARING_ROWS)
    assert {each.model_type for each in found if each.unpadded_seq2seq} == set(PAIRING_ROWS)
    assert all(each.packed == each.unpadded == (each.head_reads is not None) for each in found)
    assert [each.model_type for each in found if not each.sorted] == ["funnel"]


@pytest.mark.parametrize("model_type", [each for each in FAMILIES if each in SHARING_ROWS])
def test_a_configuration_runs_as_it_trains(model_type, tmp_path):
    """Each exception of the table, set and not set."""
    unless = FAMILIES[model_type].rows.unless
    for field in filter(None, (None if unless is None else unless.field, "hidden_size")):
        config = {"model_type": model_type, field: 3}
        found = find_support(folder_of(tmp_path / field, **config))
        assert (found.unpadded, found.packed) == (takes_rows_of_several(config),) * 2
        assert found.sorted
        assert found.unless == (None if found.unpadded else field)
        assert (found.reason is None) == found.unpadded


def test_a_name_is_a_type_a_folder_or_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_support("bert") == Support(
        model_type="bert",
        unpadded=True,
        packed=True,
        attention="interface",
        head_reads="first",
        unless="is_decoder",
        reason="tokens see only those before them, so the first one sees no other",
    )
    assert find_support(folder_of(tmp_path / "bert", model_type="gpt2")).head_reads == "last"
    assert find_support("bert").model_type == "gpt2"  # a folder of this name comes first
    unknown = find_support(folder_of(tmp_path / "new", model_type="invented"))
    assert (unknown.unpadded, unknown.sorted, unknown.model_type) == (False, True, "invented")
    for name in ("no/such/model", folder_of(tmp_path / "empty")):
        with pytest.raises(ModelError) as refused:
            find_support(name)
        assert str(refused.value).endswith(
            "is not a model type of the table, and no configuration of a model was found there. "
            "Pass a folder with config.json or a hub name; tdbs models without a name lists the types."
        )


def test_models_are_listed_without_torch_or_transformers():
    statement = (
        "from typer.testing import CliRunner\nfrom tdbs.cli import app\n"
        "assert CliRunner().invoke(app, ['models', '--json']).exit_code == 0"
    )
    heavy = {"torch", "transformers", "huggingface_hub"}
    assert loaded_after([statement], heavy) == {statement: set()}
