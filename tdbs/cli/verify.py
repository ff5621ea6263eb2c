"""`tdbs verify`: check every file of a prepared dataset."""

import dataclasses
from functools import partial

from tdbs.cli.common import DatasetArgument, JsonOption, dataset_folder, reported
from tdbs.cli.progress import counting
from tdbs.cli.screen import print_json, print_lines
from tdbs.errors import DatasetError


@reported
def command(dataset: DatasetArgument = None, as_json: JsonOption = False) -> None:
    """Hashes, counts and samples are compared with what prepare wrote. Exit code 1 if a file is bad.

    \b
    Example:
      tdbs verify data/sample/sample_tokenizer-128-1a2b3c4d
    """
    from tdbs.pipeline.verify import verify

    with counting() as advance:
        found = verify(dataset_folder(dataset), progress=partial(advance, "files"))
    if as_json:
        print_json(
            {
                "path": str(found.path),
                "files": found.files,
                "samples": found.samples,
                "problems": [dataclasses.asdict(problem) for problem in found.problems],
            }
        )
    if not as_json:
        print_lines(*(f"{problem.file} {problem.problem}" for problem in found.problems))
    if found.problems:
        files = len({problem.file for problem in found.problems})
        raise DatasetError(
            f"{files} {'files' if files > 1 else 'file'} of {found.path} {'are' if files > 1 else 'is'} bad.",
            next_step="Prepare the dataset again with --overwrite.",
        )
    if not as_json:
        print_lines(f"{found.samples:,} samples in {found.files} files are intact: {found.path}")
