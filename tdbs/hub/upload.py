"""Upload files to a repository of the hub as one commit, which readers see whole or not at all."""

from typing import Any

from tdbs import __version__
from tdbs.errors import HubError, TdbsError, reason_of
from tdbs.hub.repo_files import RepoFiles
from tdbs.shown import fitted

_LOGIN = "Log in with a token that may write: hf auth login, or set HF_TOKEN."


class UnreachableError(Exception):
    """The hub does not answer; the text says why."""


def upload(found: RepoFiles, *, private: bool, overwrite: bool) -> str:
    """Upload the files, and make the repository if there is none; return its URL.

    Args:
        found: The files.
        private: Make a new repository private; an existing one must be.
        overwrite: Replace files of these names, and remove those of an earlier push. Other files stay.

    Raises:
        HubError: The hub refuses, or the repository contains files of these names.
        UnreachableError: The hub does not answer.
    """
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return _upload(found, private=private, overwrite=overwrite)
    except TdbsError:
        raise
    except HfHubHTTPError as error:
        code = error.response.status_code
        if code >= 500:
            raise UnreachableError(reason_of(error)) from error
        reason = getattr(error, "server_message", None) or reason_of(error)
        changed = "It changed meanwhile: push again." if code == 412 else "Check its name and your rights."
        raise HubError(
            fitted("The hub refuses {repo} ({code}): {reason}.", repo=found.repo, code=code, reason=reason.rstrip(".")),
            next_step=_LOGIN if code in (401, 403) else changed,
        ) from error
    except ValueError as error:  # what the hub says of the card's metadata, of an unknown license most likely
        raise HubError(
            fitted("The hub refuses the card of {repo}: {reason}.", repo=found.repo, reason=reason_of(error)),
            next_step="Check --license against the hub's list.",
        ) from error
    except Exception as error:  # no network, HF_HUB_OFFLINE, a proxy: a dozen kinds
        is_offline = isinstance(error, OfflineModeIsEnabled)
        raise UnreachableError("HF_HUB_OFFLINE is set" if is_offline else reason_of(error)) from error


def _upload(found: RepoFiles, *, private: bool, overwrite: bool) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(library_name="tdbs", library_version=__version__)
    url = api.create_repo(found.repo, repo_type=found.kind, private=private or None, exist_ok=True)
    info: Any = api.repo_info(found.repo, repo_type=found.kind)
    if private and not info.private:
        raise HubError(
            f"{found.repo} is public already, so nothing was uploaded.",
            next_step="Make it private in its settings on the hub, pass another name, or leave out --private.",
        )
    there = {file.rfilename for file in info.siblings or ()}
    replaced, outdated = found.replaced(there), found.outdated(there)
    if (replaced or outdated) and not overwrite:
        raise HubError(
            fitted("{repo} contains {name} already.", repo=found.repo, name=(replaced or outdated)[0]),
            next_step="Pass another name, or --overwrite to replace what tdbs pushes; its other files stay.",
        )
    operations: list[Any] = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=content if isinstance(content, bytes) else str(content))
        for name, content in found.files.items()
    ]
    operations += [CommitOperationDelete(path_in_repo=name) for name in outdated]
    api.create_commit(
        found.repo,
        operations,
        repo_type=found.kind,
        commit_message=f"Pushed by tdbs {__version__}",
        parent_commit=info.sha,  # what another one pushed meanwhile is never replaced unseen
    )
    return str(url)
