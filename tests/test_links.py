"""Links in every place that tdbs creates, replaces or removes, laid as by another user: no file behind one changes.

Whatever a link leads to is afterwards as it was, byte by byte, whether the command refuses the link or replaces it. A
few kinds run always; `make test-faults` runs every kind of link in every place.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tdbs.analysis.compare.compare import compare
from tdbs.analysis.compare.runs import keep_run, take_run
from tdbs.analysis.conditions.asked import Question
from tdbs.analysis.conditions.conditions import choose_conditions
from tdbs.analysis.conditions.evaluate import evaluate_runs
from tdbs.analysis.profile.measure import write_profile
from tdbs.analysis.sweep.result import SweepTerms
from tdbs.analysis.sweep.search import sweep
from tdbs.cli import app
from tdbs.errors import DatasetError, TdbsError, TrainingError
from tdbs.inference.predict import predict
from tdbs.pipeline.prepare import prepare
from tdbs.reports.page import check_place, write_report
from tdbs.reports.report import report_on_run
from tdbs.reports.study import check_study_folder
from tdbs.train.stopping import Stop, StoppedError
from tdbs.train.trainer import train
from tests.pipeline.test_prepare import write_csv
from tests.pipeline.test_tokenizer import write_tokenizer
from tests.train.test_trainer import make_dataset

TINY = {"model": "tiny", "epochs": 1, "precision": "fp32"}
KINDS = ["folder", "file", "nowhere", "link to a folder"]
QUICK = {"folder"}

Call = Callable[[], object]


class Others:
    """What another user, or this one elsewhere, has: a folder with all names that tdbs uses, and a file."""

    def __init__(self, place: Path) -> None:
        self.place, self.folder, self.file = place, place / "folder", place / "thesis.txt"
        place.mkdir()
        self.file.write_text("mine")
        for name in (
            "notes.txt",
            "manifest.json",
            "tokenizer.json",
            "steps.jsonl",
            "result.json",
            "sweep.json",
            "numbers.json",
            "lengths.svg",
            "part-00000.parquet",
            "part-00000.json",
            "bucket=005-010/part-00000.parquet",
            "train/bucket=005-010/part-00000.parquet",
            "references/train.parquet",
            "0123456789abcdef/blocks/train-000000.arrow",
            "step-00000001/state.json",
            ".step-00000002.123/state.json",
            "model/model.safetensors",
            "0123456789ab-seed0/model/model.safetensors",
            "0123456789ab-seed0/config.toml",
        ):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('plan_digest = "mine"\n')
        self.before = self.contents()

    def contents(self) -> dict[str, tuple[str, int, int]]:
        return {
            str(path.relative_to(self.place)): (
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
                path.lstat().st_mtime_ns,
                path.lstat().st_mode,
            )
            for path in sorted(self.place.rglob("*"))
        }

    def lay(self, place: Path, kind: str) -> None:
        """Put a link of a kind in a place, instead of what is there."""
        if place.is_symlink() or place.is_file():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        targets = {"folder": self.folder, "file": self.file, "nowhere": self.place / "nowhere"}
        if kind == "link to a folder":
            again = self.place.with_name("another link")
            again.unlink(missing_ok=True)
            again.symlink_to(self.folder)
            place.symlink_to(again)
        else:
            place.symlink_to(targets[kind])


@pytest.fixture
def others(tmp_path) -> Iterator[Others]:
    """What must be afterwards as it was."""
    found = Others(tmp_path / "others")
    yield found
    assert found.contents() == found.before


def attempt(call: Call, link: Path) -> None:
    """Do what may be refused; an error of ours names a link, or what is held for somebody else's."""
    told = None
    try:
        call()
    except TdbsError as error:
        told = error.message
    except OSError as error:
        pytest.fail(f"{link}: {error!r} has no next step")
    places = [str(place) for place in (link, *link.parents) if place.name]
    assert told is None or any(place in told for place in places)


def cases(places: list[str]) -> list:
    """Return every place with every kind of link; those that are not quick are for `make test-faults`."""
    return [
        pytest.param(place, kind, marks=() if kind in QUICK else pytest.mark.fault)
        for place in places
        for kind in KINDS
    ]


# ------------------------------------------------------------------------------------------------------------ prepare


@pytest.fixture
def options(workplace):
    source, words = write_csv(workplace / "reviews.csv"), write_tokenizer(workplace / "words")
    return {"source": str(source), "tokenizer": str(words), "max_length": 10, "out": workplace / "x"}


def interrupted(options) -> None:
    def interrupt(stage, _done, _total):
        if stage == "write":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(**options, progress=interrupt)


@pytest.mark.parametrize(
    ("place", "kind"), cases([".x.preparing", ".x.lock", ".x.publishing", "scratch/.tdbs-{hash}.preparing"])
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_prepare_beside_its_place(others, options, workplace, place, kind, overwrite):
    name = hashlib.sha256(str(options["out"].resolve()).encode()).hexdigest()[:16]
    link = workplace / place.format(hash=name)
    others.lay(link, kind)
    work = workplace / "scratch" if "scratch" in place else None
    attempt(lambda: prepare(**options, overwrite=overwrite, work=work), link)
    assert link.is_symlink()


@pytest.mark.parametrize(("place", "kind"), cases([".x.publishing", "x/.tdbs-copying"]))
def test_prepare_from_another_file_system(others, options, workplace, place, kind):
    memory = Path("/dev/shm")  # noqa: S108
    if not memory.is_dir() or memory.stat().st_dev == workplace.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    others.lay(workplace / place, kind)
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        attempt(lambda: prepare(**options, work=scratch), workplace / place)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
def test_prepare_where_its_place_is_a_link(others, options, kind):
    others.lay(options["out"], kind)
    for overwrite in (False, True):
        attempt(lambda overwrite=overwrite: prepare(**options, overwrite=overwrite), options["out"])


def test_a_link_to_a_folder_with_something_else_is_refused_even_with_overwrite(others, options, workplace):
    (others.folder / "manifest.json").unlink()
    shutil.rmtree(others.folder / "train")
    shutil.rmtree(others.folder / "references")
    others.before = others.contents()
    options["out"].symlink_to(others.place)
    with pytest.raises(DatasetError) as caught:
        prepare(**options, overwrite=True)
    assert caught.value.message == f"{options['out']} is a link to something other than a prepared dataset."
    assert caught.value.next_step == "Pass another --out."


def test_a_link_that_another_user_made_is_not_followed(options, workplace, monkeypatch):
    """Even to an empty folder: the dataset would lie where they want it."""
    (workplace / "empty").mkdir()
    options["out"].symlink_to("empty")
    os.lchown(options["out"], 12_345, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(DatasetError) as caught:
        prepare(**options)
    assert caught.value.message == f"{options['out']} is a link that another user made."
    assert list((workplace / "empty").iterdir()) == []


INSIDE = [
    "train",
    "references",
    "validation",
    "test",
    "manifest.json",
    "tokenizer.json",
    ".tdbs-publishing",
    ".tdbs-copying",
    "train/bucket=005-010",
    "train/bucket=000-005",
    "train/bucket=005-010/part-00000.parquet",
]


@pytest.mark.parametrize(("place", "kind"), cases(INSIDE))
def test_prepare_overwrites_a_dataset(others, options, place, kind):
    """The words of the issue: --overwrite deletes shards of another dataset through a linked train."""
    prepare(**options)
    link = options["out"] / place
    others.lay(link, kind)
    with pytest.raises(DatasetError) as caught:
        prepare(**options | {"max_length": 9}, overwrite=True)
    assert caught.value.message == f"{link} is a link, and tdbs neither writes nor removes through links."
    assert caught.value.next_step == "Remove the link, or pass another --out."
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("place", "kind"), cases(["{key}", "{key}/blocks", "{key}/dataset", "{key}/blocks/train-000000.arrow", "blocks"])
)
def test_prepare_goes_on_with_unfinished_work(others, options, workplace, place, kind):
    interrupted(options)
    hidden = workplace / ".x.preparing"
    (key,) = (path.name for path in hidden.iterdir())
    link = hidden / place.format(key=key)
    others.lay(link, kind)
    attempt(lambda: prepare(**options), hidden)


def test_a_folder_of_the_users_in_the_place_of_unfinished_work_stays(options, workplace):
    (workplace / ".x.preparing").mkdir()
    (workplace / ".x.preparing/notes.txt").write_text("mine")
    with pytest.raises(DatasetError) as caught:
        prepare(**options)
    assert caught.value.message == f"{workplace / '.x.preparing'} is not your unfinished work."
    assert caught.value.next_step == "Remove it, or pass another --out."
    assert (workplace / ".x.preparing/notes.txt").read_text() == "mine"


def test_a_file_of_the_users_in_the_place_of_a_lock_stays(options, workplace):
    (workplace / ".x.lock").write_text("mine")
    with pytest.raises(DatasetError) as caught:
        prepare(**options)
    assert caught.value.message == f"{workplace / '.x.lock'} is not a lock of tdbs."
    assert (workplace / ".x.lock").read_text() == "mine"


def test_unfinished_work_of_another_user_is_not_taken(options, workplace, monkeypatch):
    interrupted(options)
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(DatasetError, match=r"is not your unfinished work\."):
        prepare(**options)


def test_unfinished_work_is_the_users_alone(options, workplace):
    interrupted(options)
    assert (workplace / ".x.preparing").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_temporary_folder_of_a_dataset_on_an_object_store(others, options, tmp_path, monkeypatch, kind):
    """Its name can be guessed, and any user may make it first."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    link = tmp_path / "tmp" / f"tdbs-{os.geteuid()}"
    others.lay(link, kind)
    attempt(lambda: prepare(**options | {"out": "memory://links/x"}), link)
    assert link.is_symlink()


@pytest.mark.parametrize("kind", KINDS)
def test_latest_json(others, options, workplace, kind):
    others.lay(workplace / "data/latest.json", kind)
    command = ["prepare", options["source"], "--tokenizer", options["tokenizer"], "--out", str(options["out"])]
    assert CliRunner().invoke(app, command).exit_code == 0


def test_a_link_above_the_place_is_the_users_own(options, workplace):
    """`data` on a big disk, the folder of --out, and the runs: all goes where the links lead."""
    for name in ("data", "runs", "mine"):
        (workplace / "disk" / name).mkdir(parents=True)
        (workplace / name).symlink_to(workplace / "disk" / name)
    del options["out"]
    found = prepare(**options).dataset
    assert not prepare(**options, overwrite=True).cached
    assert prepare(**options, out="mine/x").dataset.path == Path("mine/x")
    assert {path.parts[-4] for path in (workplace / "disk").rglob("manifest.json")} >= {"disk"}
    train(found, **TINY)
    train(found, **TINY, out="mine/run")
    train(found, **TINY, out="mine/run", overwrite=True)
    assert (workplace / "disk/mine/run/result.json").is_file()
    assert list((workplace / "disk/runs/reviews").glob("*/result.json"))


# -------------------------------------------------------------------------------------------------------------- train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("links"), train_rows=40, validation_rows=10)


@pytest.fixture(scope="module")
def whole_run(dataset, tmp_path_factory) -> Path:
    """A finished run."""
    return Path(train(dataset, **TINY, out=tmp_path_factory.mktemp("whole") / "run").run)


@pytest.fixture(scope="module")
def stopped_run(dataset, tmp_path_factory) -> Path:
    """A run that was stopped after its second step of five, with a checkpoint."""
    out, stop = tmp_path_factory.mktemp("stopped") / "run", Stop()

    def stop_at(record, _steps):
        stop.number = 15 if record.step == 1 else None

    with pytest.raises(StoppedError):
        train(dataset, **LONG, out=out, stop=stop, progress=stop_at)
    return out


LONG = TINY | {"epochs": 3, "strategy": "random"}
OF_A_RUN = [
    "config.toml",
    "steps.jsonl",
    "result.json",
    "model",
    "last_good",
    "checkpoints",
    "tensorboard",
    "evaluations",
]


@pytest.mark.parametrize(("place", "kind"), cases(["", *OF_A_RUN]))
@pytest.mark.parametrize("overwrite", [False, True])
def test_train_where_nothing_is(others, dataset, tmp_path, place, kind, overwrite):
    link = tmp_path / "run" / place
    others.lay(link, kind)
    with pytest.raises(TrainingError):
        train(dataset, **TINY, out=tmp_path / "run", overwrite=overwrite)
    assert link.is_symlink()


@pytest.mark.parametrize(("place", "kind"), cases(OF_A_RUN[1:]))
def test_train_overwrites_a_run(others, dataset, whole_run, tmp_path, place, kind):
    shutil.copytree(whole_run, tmp_path / "run")
    link = tmp_path / "run" / place
    others.lay(link, kind)
    with pytest.raises(TrainingError) as caught:
        train(dataset, **TINY, out=tmp_path / "run", overwrite=True)
    assert caught.value.message == f"{link} is a link, and tdbs neither writes nor removes through links."
    assert caught.value.next_step == "Remove the link, or pass another --out."


@pytest.mark.parametrize(
    ("place", "kind"),
    cases([*OF_A_RUN[1:], "checkpoints/step-00000003", "checkpoints/step-00000002", "checkpoints/.step-00000009.1"]),
)
def test_train_resumes_a_run(others, dataset, stopped_run, tmp_path, place, kind):
    shutil.copytree(stopped_run, tmp_path / "run")
    others.lay(tmp_path / "run" / place, kind)
    attempt(lambda: train(dataset, **LONG, out=tmp_path / "run", resume=True), tmp_path / "run" / place)
    assert (tmp_path / "run" / place).is_symlink()


@pytest.mark.parametrize(
    ("place", "kind"), cases(["steps.jsonl", "model", "result.json", "checkpoints", "checkpoints/step-00000002"])
)
def test_links_that_are_laid_while_a_run_is_under_way(others, dataset, tmp_path, place, kind):
    """After the first step: what is written from then on goes through none of them."""

    def lay(record, _steps):
        if record.step == 0 and place != "steps.jsonl":
            others.lay(tmp_path / "run" / place, kind)

    def call():
        train(dataset, **LONG, out=tmp_path / "run", progress=lay)

    attempt(call, tmp_path / "run" / place)


def test_a_file_of_the_users_among_the_checkpoints_stays(dataset, stopped_run, tmp_path):
    shutil.copytree(stopped_run, tmp_path / "run")
    (tmp_path / "run/checkpoints/notes.txt").write_text("mine")
    train(dataset, **LONG, out=tmp_path / "run", resume=True)
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["notes.txt"]


# ----------------------------------------------------------------------------------- comparisons, sweeps, evaluations

COMPARED = {"strategies": ["random"], "model": "tiny", "epochs": 1, "precision": "fp32"}
SWEPT = SweepTerms(seeds=(0,), model="tiny", epochs=1, precision="fp32")
SPACE = {"lr": (1e-3, 3e-3)}


@pytest.mark.parametrize(("place", "kind"), cases(["", "settings.json", "rows.jsonl", "compare.json", "random-seed0"]))
def test_compare(others, dataset, tmp_path, place, kind):
    link = tmp_path / "c" / place
    others.lay(link, kind)
    attempt(lambda: compare(dataset, **COMPARED, out=tmp_path / "c"), link)
    assert link.is_symlink()


@pytest.mark.parametrize(("place", "kind"), cases(["rows.jsonl", "compare.json", "random-seed0"]))
def test_links_that_are_laid_while_a_comparison_is_under_way(others, dataset, tmp_path, place, kind):
    def lay(_message):
        if not (tmp_path / "c" / place).is_symlink():
            others.lay(tmp_path / "c" / place, kind)

    attempt(lambda: compare(dataset, **COMPARED, out=tmp_path / "c", progress=lay), tmp_path / "c" / place)


@pytest.mark.parametrize(("place", "kind"), cases(["", "key", "key/steps.jsonl", "key/row.json"]))
def test_the_pool_of_finished_runs(others, dataset, whole_run, tmp_path, place, kind):
    comparison = tmp_path / "c"
    compare(dataset, **COMPARED, out=comparison)
    from tdbs.analysis.compare.record import read_rows

    (row,) = read_rows(comparison)
    link = tmp_path / "pool" / place
    others.lay(link, kind)
    attempt(lambda: keep_run(tmp_path / "pool", "key", comparison / "random-seed0", row), link)
    others.lay(tmp_path / "again", kind)
    keep_run(tmp_path / "real", "key", comparison / "random-seed0", row)
    attempt(lambda: take_run(tmp_path / "real", "key", tmp_path / "again"), tmp_path / "again")


@pytest.mark.parametrize(("place", "kind"), cases(["", "runs", "trials.db", "settings.json", "sweep.json"]))
def test_sweep(others, dataset, tmp_path, place, kind):
    link = tmp_path / "s" / place
    others.lay(link, kind)
    attempt(lambda: sweep(dataset, SPACE, SWEPT, out=tmp_path / "s"), link)
    assert link.is_symlink()


@pytest.mark.slow
@pytest.mark.parametrize(("place", "kind"), cases(["runs", "trials.db", "sweep.json", "runs/0123456789ab-seed0"]))
def test_sweep_goes_on(others, dataset, tmp_path, place, kind):
    """With a finished trial, so that models are removed; a run of the user's below runs/ keeps its model."""
    out = tmp_path / "s"

    def stop(message):
        if "trial 1" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(dataset, SPACE, SWEPT, out=out, progress=stop)
    (out / "runs/mine/model").mkdir(parents=True)
    others.lay(out / place, kind)
    attempt(lambda: sweep(dataset, SPACE, SWEPT, out=out, resume=True), out / place)
    assert place == "runs" or (out / "runs/mine/model").is_dir()


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_keeps_what_it_finds(others, dataset, whole_run, tmp_path, kind):
    shutil.copytree(whole_run, tmp_path / "run")
    link = tmp_path / "run/evaluations"
    others.lay(link, kind)
    asked = Question(conditions=choose_conditions([0.0, 1.0], (), ()), draws=1, seed=0, timed=False)
    with pytest.raises(TdbsError) as caught:
        evaluate_runs([tmp_path / "run"], asked, dataset=dataset)
    assert caught.value.message == f"{link} is a link, and tdbs neither writes nor removes through links."
    assert caught.value.next_step == "Remove the link."


# ----------------------------------------------------------------------- predictions, reports, studies, plans, profiles


@pytest.fixture
def texts(tmp_path) -> Path:
    return write_csv(tmp_path / "in.csv", [(f"text {row}",) for row in range(60)], header=("text",))


@pytest.mark.parametrize(("place", "kind"), cases(["out.jsonl", ".out.jsonl.parts"]))
def test_predict(others, whole_run, texts, tmp_path, place, kind):
    others.lay(tmp_path / place, kind)
    for options in ({}, {"overwrite": True}, {"resume": True}):
        attempt(
            lambda options=options: predict(whole_run, texts, out=tmp_path / "out.jsonl", **options), tmp_path / place
        )
    assert (tmp_path / place).is_symlink()


@pytest.mark.parametrize(
    ("place", "kind"), cases(["part-00000.jsonl", "part-00001.jsonl", "part-00001.json", "joined"])
)
def test_predict_goes_on(others, whole_run, texts, tmp_path, monkeypatch, place, kind):
    monkeypatch.setattr("tdbs.inference.predict.BLOCK_ROWS", 20)

    def stop(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(whole_run, texts, out=tmp_path / "out.jsonl", progress=stop)
    link = tmp_path / ".out.jsonl.parts" / place
    others.lay(link, kind)
    attempt(lambda: predict(whole_run, texts, out=tmp_path / "out.jsonl", resume=True), link)
    attempt(lambda: predict(whole_run, texts, out=tmp_path / "out.jsonl", overwrite=True), link)


@pytest.mark.parametrize(("place", "kind"), cases(["page.html", "page_files", "page_files/lengths.svg"]))
@pytest.mark.parametrize("overwrite", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_report(others, whole_run, tmp_path, place, kind, overwrite):
    about, page = report_on_run(whole_run), tmp_path / "page.html"

    def write():
        check_place(page, files=True, overwrite=overwrite)
        write_report(page, about, files=True)

    write() if overwrite else None
    others.lay(tmp_path / place, kind)
    attempt(write, tmp_path / place)


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_one_name(others, dataset, tmp_path, kind):
    """A plan, a profile, the folder of a study."""
    others.lay(tmp_path / "plan.parquet", kind)
    for overwrite in ([], ["--overwrite"]):
        found = CliRunner().invoke(
            app, ["plan", str(dataset.path), "--out", str(tmp_path / "plan.parquet"), *overwrite]
        )
        assert found.exit_code == 1, found.output
        assert "is a link, and tdbs neither writes nor removes through links." in found.output.replace("\n", " ")
    others.lay(tmp_path / "p.json", kind)
    others.lay(tmp_path / "study", kind)
    for overwrite in (False, True):
        with pytest.raises(TdbsError, match="is a link"):
            write_profile(tmp_path / "p.json", {}, overwrite=overwrite)
        with pytest.raises(TdbsError, match="is a link"):
            check_study_folder(tmp_path / "study", overwrite=overwrite)
