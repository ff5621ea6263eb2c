"""Repositories on the hub: their names, and datasets in them that tdbs pushed, through the hub's own cache."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tdbs.errors import ConfigError, SourceError, reason_of
from tdbs.files import exists
from tdbs.shown import fitted

PREFIX = "hub:"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubDataset:
    """A dataset on the hub at one state: a branch, a tag or a commit; None is the newest."""

    repo: str
    revision: str | None = None


def hub_dataset(source: object) -> HubDataset | None:
    """Return the dataset that `hub:USER/NAME` or `hub:USER/NAME@REVISION` names; None for any other source.

    Raises ConfigError if the name is malformed.
    """
    if not isinstance(source, str) or not source.startswith(PREFIX):
        return None
    repo, _, revision = source.removeprefix(PREFIX).partition("@")
    check_repo(repo)
    return HubDataset(repo=repo, revision=revision or None)


def check_repo(repo: str) -> None:
    """Raise ConfigError if this cannot be the name of a repository with its owner."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # its __init__ lists no exports

    try:
        validate_repo_id(repo)
        is_whole = "/" in repo
    except HFValidationError:
        is_whole = False
    if not is_whole:
        raise ConfigError(
            fitted("'{repo}' is not the name of a repository on the hub.", repo=repo),
            next_step="Pass USER/NAME: letters, digits, -, _ and ., at most 96 characters each.",
        )


def hub_name(name: str) -> str | None:
    """Return the name of a model or tokenizer if it can be one on the hub; None for a folder of this machine."""
    can_be = _HUB_NAME.fullmatch(name) and not name.startswith(".") and ".." not in name
    return name if can_be and not exists(Path(name)) else None


def public_name(name: str) -> str:
    """Return the name of a model or tokenizer for others: its name on the hub, or the last part of a folder."""
    return hub_name(name) or name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def hub_file(dataset: HubDataset, name: str) -> Path:
    """Return a file of a dataset, from the hub's cache or fetched into it; its folder is called by the commit.

    Raises SourceError if the hub cannot be reached, or if it has no such dataset or file.
    """
    from huggingface_hub import hf_hub_download

    with _hub_errors(dataset):
        return Path(hf_hub_download(dataset.repo, name, repo_type="dataset", revision=dataset.revision))


def hub_folder(dataset: HubDataset, names: Sequence[str]) -> Path:
    """Return the folder of the hub's cache with these files of a dataset, and whatever else was fetched before.

    Raises SourceError as `hub_file` does.
    """
    from huggingface_hub import snapshot_download

    with _hub_errors(dataset):
        return Path(
            snapshot_download(dataset.repo, repo_type="dataset", revision=dataset.revision, allow_patterns=list(names))
        )


@contextmanager
def _hub_errors(dataset: HubDataset) -> Iterator[None]:
    """Turn the dozen kinds of errors of the hub's library into ours."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except RepositoryNotFoundError as error:
        raise SourceError(
            fitted("The hub has no dataset {repo} that you may read.", repo=dataset.repo),
            next_step="Check its name; if it is private, log in first: hf auth login.",
        ) from error
    except RevisionNotFoundError as error:
        raise SourceError(
            fitted("{repo} has no revision {revision}.", repo=dataset.repo, revision=dataset.revision),
            next_step="Pass a branch, a tag or a commit behind the @, or leave it out.",
        ) from error
    except Exception as error:  # no network, HF_HUB_OFFLINE, a proxy, a full disk: as many kinds
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise SourceError(
                fitted("{repo} is not a dataset that tdbs pushed: it has no manifest.json.", repo=dataset.repo),
                next_step=f"Prepare its rows in Python: tdbs.prepare(datasets.load_dataset('{dataset.repo}')).",
            ) from error
        raise SourceError(
            fitted("Cannot fetch {repo} from the hub: {reason}.", repo=dataset.repo, reason=reason_of(error)),
            next_step="Check the network and HF_HUB_OFFLINE; what was fetched before is taken from the hub's cache.",
        ) from error
