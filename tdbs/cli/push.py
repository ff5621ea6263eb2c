"""`tdbs push`: a prepared dataset or a run's model to the hub; and the same after `prepare` and `train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import JsonOption, OverwriteOption, reported
from tdbs.cli.screen import NOTES, SPEAKS, print_json, print_lines
from tdbs.data.hub_repos import check_repo
from tdbs.errors import ConfigError
from tdbs.files import to_path

LicenseOption = Annotated[
    str | None,
    typer.Option(
        "--license",
        metavar="ID",
        help="License of the texts, or of the model, as the hub writes it: cc-by-4.0, mit, other. A dataset needs one.",
        show_default=False,
    ),
]
PrivateOption = Annotated[bool, typer.Option("--private", help="Only you see the repository. [default: public]")]
HubPushOption = Annotated[
    str | None,
    typer.Option(metavar="REPO", help="Push to this repository of the hub afterwards, USER/NAME.", show_default=False),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What --hub-push and the options beside it ask for."""

    repo: str
    license_id: str | None
    private: bool


@reported
def command(
    path: Annotated[str, typer.Argument(metavar="DATASET|RUN", help="Folder of a prepared dataset or of a run.")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="Repository on the hub: USER/NAME.")],
    license_id: LicenseOption = None,
    private: PrivateOption = False,
    no_upload: Annotated[bool, typer.Option("--no-upload", help="Only write the folder, to look at it first.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the files if they are not uploaded. [default: hub/USER/NAME]", show_default=False
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """A card is written for it. Without a network, the files are written to a folder, and the exit code is 1.

    \b
    Example:
      tdbs push data/reviews you/reviews --license cc-by-4.0
      tdbs push runs/first you/reviews-model --private
      tdbs push runs/first you/reviews-model --no-upload
    """
    from tdbs.hub.push import push

    quiet_hub()
    result = push(
        to_path(path),
        repo,
        license_id=license_id,
        private=private,
        online=not no_upload,
        out=out,
        overwrite=overwrite,
    )
    if as_json:
        print_json(
            {
                "repo": result.repo,
                "kind": result.kind,
                "url": result.url,
                "folder": None if result.folder is None else str(result.folder),
                "files": list(result.files),
                "command": result.command,
            }
        )
        return
    print_lines(f"{len(result.files)} files of a {result.kind}: {result.url or result.folder}")
    if result.command is not None:
        print_lines(f"Not uploaded. To upload them: {result.command}")


def asked_push(repo: str | None, *, license_id: str | None, private: bool, of_texts: bool) -> Asked | None:
    """Return what to push to, None if nothing is; refuse a malformed name or license before any work."""
    if repo is None:
        for option, is_given in (("--license", license_id is not None), ("--private", private)):
            if is_given:
                raise ConfigError(f"{option} has no effect without --hub-push.", next_step="Pass --hub-push with it.")
        return None
    from tdbs.hub.card_text import check_license

    check_repo(repo)
    check_license(license_id, of_texts=of_texts)
    return Asked(repo=repo, license_id=license_id, private=private)


def push_after(asked: Asked | None, folder: Path, *, overwrite: bool) -> None:
    """Push what a command has made, if that was asked for; with several processes, the first one does."""
    if asked is None or not SPEAKS:
        return
    from tdbs.hub.push import push

    quiet_hub()
    result = push(folder, asked.repo, license_id=asked.license_id, private=asked.private, overwrite=overwrite)
    print_lines(f"{len(result.files)} files of a {result.kind}: {result.url}")


def quiet_hub() -> None:
    """Keep the progress bars of the hub's library out of output that no terminal shows."""
    if not NOTES.is_terminal:
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # its __init__ lists none

        disable_progress_bars()
