"""What a user says of files: columns, how labels are read, which rows are held out."""

from dataclasses import dataclass
from typing import Annotated

from tdbs.data.formats import ReadOptions
from tdbs.data.labels.single import LabelType
from tdbs.data.tasks import GROUPED_KINDS
from tdbs.option import Option

VALIDATION_HELP = "Validation file, or share of rows to hold out (0.1)."


@dataclass(frozen=True, kw_only=True, slots=True)
class FileOptions(ReadOptions):
    """What a user says of files: how they are written, columns, how labels are read, validation."""

    text: Annotated[
        str | None, Option("Column of the text, the words or the question.", default="text, else sentence")
    ] = None
    pair: Annotated[str | None, Option("Column of the second text, or of the context.")] = None
    label: Annotated[
        str | None, Option("Column of the label or of answers, or several columns.", default="label", listed=True)
    ] = None
    label_type: Annotated[LabelType, Option("What labels are; auto finds it in their values.")] = "auto"
    label_names: Annotated[str | None, Option("File with the names of class ids 0, 1, …, one per line.")] = None
    label_separator: Annotated[
        str | None, Option("What separates the classes of a row in one text, such as a comma.")
    ] = None
    columns: Annotated[
        str | None,
        Option(
            "Columns of a query, of a text that answers it, and of texts (or lists of texts) that do not.",
            listed=True,
        ),
    ] = None
    task: Annotated[
        str | None,
        Option(
            "What --columns are for: embedding compares vectors of texts, ranking reads the query with each text.",
            default="embedding",
            choices=GROUPED_KINDS,
        ),
    ] = None
    target: Annotated[str | None, Option("Column of the text to write (sequence to sequence).")] = None
    forbid_drop: Annotated[str | None, Option("Forbid TokenDrop on this dataset, and give the reason.")] = None
    validation: Annotated[str | float | None, Option(VALIDATION_HELP)] = None
    skip_bad_rows: Annotated[
        bool, Option("Skip rows that cannot be used, and list them in skipped.jsonl beside the manifest.")
    ] = False
