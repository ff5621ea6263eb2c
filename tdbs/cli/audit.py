"""`tdbs audit`: find what is wrong with a prepared dataset."""

import dataclasses

from tdbs.cli.common import DatasetArgument, JsonOption, dataset_folder, reported
from tdbs.cli.screen import print_json, print_lines, show


@reported
def command(dataset: DatasetArgument = None, as_json: JsonOption = False) -> None:
    """Duplicates, leaks, label conflicts, cut texts, skewed classes and strange characters are counted.

    Each finding has three examples and the command that mends it. The exit code is 0, whatever is found.

    \b
    Example:
      tdbs audit data/sample/sample_tokenizer-128-1a2b3c4d
      tdbs audit --json | jq '.findings[].kind'
    """
    from tdbs.analysis.audit.audit import audit
    from tdbs.reports.terminal_audit import audit_lines, cuts_table, findings_table

    found = audit(dataset_folder(dataset))
    if as_json:
        print_json(
            {
                "path": str(found.path),
                "warnings": found.warnings,
                "findings": [{**dataclasses.asdict(each), "share": each.share} for each in found.findings],
                "splits": {name: dataclasses.asdict(split) for name, split in found.splits.items()},
                "tokenizer": dataclasses.asdict(found.tokenizer),
                "label_skew": None if found.label_skew is None else dataclasses.asdict(found.label_skew),
                "near": dataclasses.asdict(found.near),
                "control_characters_removed": found.control_characters_removed,
            }
        )
        return
    if found.findings:
        show(findings_table(found))
    print_lines(*audit_lines(found))
    show(cuts_table(found))
