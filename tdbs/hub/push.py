"""Push a prepared dataset or a run's model to the hub, with a card; offline, write the folder to upload."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tdbs.data.hub_repos import check_repo
from tdbs.errors import ConfigError, DatasetError, HubError, TrainingError
from tdbs.files import is_remote, json_bytes
from tdbs.hub.card_text import check_license
from tdbs.hub.dataset_card import dataset_card
from tdbs.hub.folder import FOLDER, check_folder, upload_command, write_folder
from tdbs.hub.model_card import model_card
from tdbs.hub.model_files import is_model_file, model_files
from tdbs.hub.repo_files import CARD_NAME, Kind, RepoFiles
from tdbs.hub.upload import UnreachableError, upload
from tdbs.pipeline.manifest_file import MANIFEST_NAME, manifest_record, read_manifest
from tdbs.pipeline.shared import data_files, is_data_file, public_manifest
from tdbs.pipeline.verify import verify
from tdbs.removal import refuse_link
from tdbs.shown import fitted
from tdbs.train.run_folder import CONFIG_NAME, read_run


@dataclass(frozen=True, kw_only=True, slots=True)
class PushResult:
    """What was pushed, or written to be: one of URL and folder is None."""

    repo: str
    kind: Kind
    url: str | None
    folder: Path | None
    files: tuple[str, ...]
    command: str | None  # uploads the folder


def push(
    path: Path,
    repo: str,
    *,
    license_id: str | None = None,
    private: bool = False,
    online: bool = True,
    out: Path | None = None,
    overwrite: bool = False,
) -> PushResult:
    """Upload a prepared dataset, or the model of a run, with a card.

    Args:
        path: The dataset's or the run's folder.
        repo: USER/NAME on the hub; a new one is made if there is none.
        license_id: The hub's identifier of the license: of the texts, or of the model. A dataset needs one.
        private: Only the owner may see the repository.
        online: Upload; False only writes the folder.
        out: Folder for the files if they are not uploaded; None: hub/USER/NAME.
        overwrite: Replace what an earlier push wrote, in the repository or the folder.

    Raises:
        ConfigError: Name, license or folder do not fit.
        DatasetError: The dataset is damaged.
        TrainingError: The run did not finish.
        HubError: The hub refuses, or does not answer: then the folder was written.
    """
    check_repo(repo)
    kind = kind_of(path)
    check_license(license_id, of_texts=kind == "dataset")
    found = _dataset(path, repo, license_id or "") if kind == "dataset" else _model(path, repo, license_id)
    folder = FOLDER / repo if out is None else out
    command = upload_command(found, folder, private=private)
    names = tuple(sorted(found.files))
    if not online:
        write_folder(found, folder, overwrite=overwrite)
        return PushResult(repo=repo, kind=kind, url=None, folder=folder, files=names, command=command)
    if out is not None:
        check_folder(out, overwrite=overwrite)
    try:
        url = upload(found, private=private, overwrite=overwrite)
    except UnreachableError as error:
        write_folder(found, folder, overwrite=overwrite)
        raise HubError(
            fitted("Nothing was uploaded: the hub does not answer ({reason}).", reason=error),
            next_step=f"The files are in {folder}; upload them later: {command}",
        ) from error
    return PushResult(repo=repo, kind=kind, url=url, folder=None, files=names, command=None)


def kind_of(path: Path) -> Kind:
    """Return what a folder contains. Raises ConfigError if it is neither a dataset nor a run of this machine."""
    if is_remote(path):
        raise ConfigError(f"{path} is on an object store.", next_step="Copy it to this machine, and push the copy.")
    if (path / MANIFEST_NAME).exists():
        return "dataset"
    if (path / CONFIG_NAME).exists():
        return "model"
    raise ConfigError(
        f"{path} is neither a prepared dataset nor a run.",
        next_step="Pass the folder that tdbs prepare or tdbs train printed.",
    )


def _dataset(path: Path, repo: str, license_id: str) -> RepoFiles:
    """Return the files of a dataset, once each was checked: a damaged one would be refused wherever it is fetched."""
    manifest = public_manifest(read_manifest(path))
    names = data_files(manifest)
    for name in names:
        refuse_link(path / name, DatasetError, next_step="Prepare the dataset again with --overwrite.")
    problems = verify(path).problems
    if problems:
        raise DatasetError(
            f"{problems[0].file} of {path} {problems[0].problem}.",
            next_step="Prepare the dataset again with --overwrite.",
        )
    files: Mapping[str, Path | bytes] = {
        CARD_NAME: dataset_card(manifest, repo, license_id).encode(),
        MANIFEST_NAME: json_bytes(manifest_record(manifest)),
        **{name: path / name for name in names},
    }
    return RepoFiles(repo=repo, kind="dataset", files=files, is_own=is_data_file)


def _model(path: Path, repo: str, license_id: str | None) -> RepoFiles:
    run = read_run(path)
    if run.result is None:
        raise TrainingError(f"The run in {path} did not finish.", next_step="Resume it with --resume, then push it.")
    card = model_card(run, run.result, repo, license_id)
    files = {CARD_NAME: card.encode(), **model_files(path)}
    return RepoFiles(repo=repo, kind="model", files=files, is_own=is_model_file)
