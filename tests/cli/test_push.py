"""`tdbs push` and `--hub-push`, offline: the folder is written, the upload is told, bad names end before any work."""

import pytest

from tests.cli.conftest import TOKENIZER, run_command

LICENSES = "Pass --license with it: cc-by-4.0, mit, other, unknown (huggingface.co/docs/hub/repositories-licenses)."
NO_LICENSE = "A dataset on the hub needs the license of its texts, as the hub writes it."
NO_NAME = "'reviews' is not the name of a repository on the hub."


def test_a_folder_is_written_without_an_upload(tdbs, small, workplace):
    found = tdbs("push", small, "you/reviews", "--license", "mit", "--no-upload", "--json").json
    assert (found["kind"], found["url"], found["folder"]) == ("dataset", None, "hub/you/reviews")
    assert found["command"] == "hf upload you/reviews hub/you/reviews . --repo-type dataset"
    assert all((workplace / found["folder"] / name).is_file() for name in found["files"])


def test_offline_the_exit_code_says_that_nothing_was_uploaded(refused, finished_run, workplace):
    assert refused("push", finished_run, "you/model", "--out", "model") == (
        "Nothing was uploaded: the hub does not answer (HF_HUB_OFFLINE is set).",
        "The files are in model; upload them later: hf upload you/model model . --repo-type model",
    )
    import transformers

    opened = transformers.AutoModelForSequenceClassification.from_pretrained(workplace / "model")
    assert opened.config.num_labels == 2


@pytest.mark.parametrize(
    ("options", "cause", "next_step"),
    [
        (("--hub-push", "reviews", "--license", "mit"), NO_NAME, None),
        (("--hub-push", "you/reviews"), NO_LICENSE, LICENSES),
        (("--license", "mit"), "--license has no effect without --hub-push.", "Pass --hub-push with it."),
        (("--private",), "--private has no effect without --hub-push.", "Pass --hub-push with it."),
    ],
)  # fmt: skip
def test_prepare_refuses_before_it_prepares(refused, small_files, workplace, options, cause, next_step):
    found = refused("prepare", small_files, "--tokenizer", TOKENIZER, *options)
    assert found[0] == cause
    assert next_step in (None, found[1])
    assert list(workplace.iterdir()) == []


def test_prepare_pushes_what_it_prepared(small_files, workplace):
    """Offline, what is prepared stays, and the push fails as `tdbs push` does."""
    options = ("--tokenizer", TOKENIZER, "--out", "prepared", "--hub-push", "you/reviews", "--license", "mit")
    outcome = run_command("prepare", small_files, *options)
    assert outcome.code == 1
    assert outcome.error[0] == "Nothing was uploaded: the hub does not answer (HF_HUB_OFFLINE is set)."
    for folder in ("prepared", "hub/you/reviews"):
        assert (workplace / folder / "manifest.json").is_file()


def test_train_pushes_its_model_and_refuses_a_bad_name_before_it_trains(small, refused, workplace):
    assert refused("train", small, "--model", "tiny", "--hub-push", "reviews")[0] == NO_NAME
    assert list(workplace.iterdir()) == []
    options = ("--model", "tiny", "--epochs", 1, "--out", "run", "--hub-push", "you/model", "--private")
    outcome = run_command("train", small, *options)
    assert outcome.code == 1
    assert outcome.error[1].endswith("hf upload you/model hub/you/model . --repo-type model --private")
    assert (workplace / "run/result.json").is_file()
    assert "model-index" in (workplace / "hub/you/model/README.md").read_text(encoding="utf-8")
