"""The README's picture: tokens of an epoch of SST-2 by strategy, kept and pad, as a report draws them.

python -m docs.picture --mirror DIR --tokenizer bert-base-uncased
"""

import argparse
import tempfile
from pathlib import Path

import tdbs
from tdbs.reports.figures.bars import padding_by_strategy_svg
from tdbs.reports.figures.files import standalone

PLACE = Path(__file__).parent / "pictures" / "sst2.svg"
STRATEGIES = ("random_max", "random", "length_grouped", "unpadded", "reach")


def picture(mirror: Path, tokenizer: str) -> str:
    """Return the picture as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = tdbs.prepare("glue/sst2", mirror=mirror, tokenizer=tokenizer, out=Path(folder) / "sst2")
        return standalone(padding_by_strategy_svg(tdbs.estimate_speedup(prepared.dataset, STRATEGIES, epochs=1)))


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True)
    options = parser.parse_args()
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(picture(options.mirror, options.tokenizer), encoding="utf-8")


if __name__ == "__main__":
    main()
