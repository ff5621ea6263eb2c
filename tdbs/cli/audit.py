"""`tdbs audit`: find what is wrong with a prepared dataset."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tdbs.cli.common import DatasetArgument, JsonOption, OverwriteOption, dataset_folder, reported
from tdbs.cli.completion import complete_run
from tdbs.cli.screen import print_json, print_lines, show
from tdbs.settings import DEFAULT_MEMORY


@reported
def command(
    dataset: DatasetArgument = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores",
            metavar="RUN",
            help="A run that tdbs score has scored: list its likeliest label errors.",
            show_default=False,
            autocompletion=complete_run,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write an HTML page.", show_default=False)
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(
            "--rows", metavar="FILE", help="Also write the rows of all findings, as JSONL.", show_default=False
        ),
    ] = None,
    memory: Annotated[
        str, typer.Option(help="Memory limit of the audit: 2GiB, 768MiB. Larger data goes through temporary files.")
    ] = DEFAULT_MEMORY,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Duplicates, leaks, label conflicts, cut texts, skewed classes and strange characters are counted.

    Each finding has three examples and the command that fixes it. The exit code is 0, whatever is found.

    \b
    Example:
      tdbs audit data/sample/sample_tokenizer-128-1a2b3c4d
      tdbs audit --html audit.html
      tdbs audit --rows found.jsonl
      tdbs audit --scores runs/first
      tdbs audit --memory 8GiB
      tdbs audit --json | jq '.findings[].kind'
    """
    from tdbs.analysis.audit.audit import audit
    from tdbs.pipeline.dataset import load
    from tdbs.removal import refuse_same, refuse_taken

    refuse_same({"--html": html, "--rows": rows})
    if html is not None:
        from tdbs.reports.page import is_own_page

        refuse_taken(html, is_own_page, overwrite=overwrite, option="--html")
    if rows is not None:
        from tdbs.reports.audit_rows import are_own_rows

        refuse_taken(rows, are_own_rows, overwrite=overwrite, option="--rows")
    opened = load(dataset_folder(dataset))
    found = audit(opened, scores=scores, memory=memory)
    if html is not None:
        from tdbs.reports.audit_page import write_audit_page

        write_audit_page(html, found, opened.manifest)
    if rows is not None:
        from tdbs.reports.audit_rows import write_audit_rows

        write_audit_rows(rows, found)
    if as_json:
        print_json(
            {
                "path": str(found.path),
                "warnings": found.warnings,
                "findings": [each.record() for each in found.findings],
                "splits": {name: dataclasses.asdict(split) for name, split in found.splits.items()},
                "tokenizer": dataclasses.asdict(found.tokenizer),
                "label_skew": None if found.label_skew is None else dataclasses.asdict(found.label_skew),
                "near": dataclasses.asdict(found.near),
                "control_characters_removed": found.control_characters_removed,
                "to_add": found.to_add,
                "html": None if html is None else str(html),
                "rows": None if rows is None else str(rows),
            }
        )
        return
    from tdbs.reports.terminal_audit import cuts_table, finding_lines, findings_table, measured_lines

    if found.findings:
        show(findings_table(found))
    print_lines(*finding_lines(found), "", *measured_lines(found), "")
    show(cuts_table(found))
    for written in (html, rows):
        if written is not None:
            print_lines("", str(written))
