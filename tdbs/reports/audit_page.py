"""One self-contained HTML page about an audit: findings with examples, the histogram of lengths, what cuts would do."""

from pathlib import Path

import numpy as np

import tdbs
from tdbs.analysis.audit.audit import Audit
from tdbs.errors import ConfigError
from tdbs.files import write_text
from tdbs.pipeline.manifest import Manifest
from tdbs.reports.figures.canvas import DARK, LIGHT, NARROW, WIDE
from tdbs.reports.figures.lengths import length_histogram_svg
from tdbs.reports.page import templates
from tdbs.reports.tables import Table
from tdbs.reports.terminal_audit import CUT_COLUMNS, FINDING_COLUMNS, cut_rows, finding_rows, measured_lines


def write_audit_page(page: Path, found: Audit, manifest: Manifest) -> None:
    """Write the page. Raises ConfigError if it cannot be written."""
    try:
        write_text(page, audit_page(found, manifest))
    except OSError as error:
        raise ConfigError(f"{page} cannot be written: {error}.", next_step="Pass another --html.") from error


def audit_page(found: Audit, manifest: Manifest) -> str:
    """Return the page as HTML. Same audit, same page."""
    first = next(iter(found.splits))
    counts_L1, edges_E = manifest.splits[first].lengths_L1, np.array(manifest.bucket_edges)
    page: str = (
        templates(autoescape=True)
        .get_template("audit.html.j2")
        .render(
            found=found,
            manifest=manifest,
            findings=Table(head=FINDING_COLUMNS, rows=tuple(finding_rows(found))),
            cuts=Table(head=CUT_COLUMNS, rows=tuple(cut_rows(found))),
            measured=measured_lines(found),
            first=first,
            lengths=[length_histogram_svg(counts_L1, edges_E, width=width) for width in (WIDE, NARROW)],
            version=tdbs.__version__,
            light=LIGHT,
            dark=DARK,
        )
    )
    return page
