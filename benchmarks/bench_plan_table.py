"""Tokens and padding of `tdbs plan --caps paper` beside the prototype's table (design notes), mean of 3 seeds.

    python -m benchmarks.bench_plan_table --mirror MIRROR --tokenizer BERT_BASE_UNCASED

The prototype took single token ids for droppable, without looking at the text; tdbs follows the exact rule.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

from benchmarks.common import markdown_table, provenance

# (task, epoch) -> strategy -> (tokens, padding fraction) of the prototype
NOTES = {
    ("sst2", 0): {
        "random": (3.00e6, 0.70),
        "bucket": (899e3, 0.002),
        "tdbs_paper": (916e3, 0.122),
        "reach": (822e3, 0.001),
    },
    ("sst2", 2): {
        "random": (2.99e6, 0.70),
        "bucket": (904e3, 0.008),
        "tdbs_paper": (952e3, 0.157),
        "reach": (824e3, 0.005),
    },
    ("mrpc", 2): {
        "random": (306e3, 0.36),
        "bucket": (200e3, 0.023),
        "tdbs_paper": (186e3, 0.022),
        "reach": (187e3, 0.004),
    },
    ("rte", 2): {
        "random": (319e3, 0.48),
        "bucket": (172e3, 0.036),
        "tdbs_paper": (157e3, 0.020),
        "reach": (158e3, 0.010),
    },
    ("cola", 2): {
        "random": (216e3, 0.55),
        "bucket": (101e3, 0.044),
        "tdbs_paper": (97e3, 0.178),
        "reach": (86e3, 0.016),
    },
    ("stsb", 2): {
        "random": (440e3, 0.64),
        "bucket": (167e3, 0.041),
        "tdbs_paper": (163e3, 0.109),
        "reach": (151e3, 0.022),
    },
}
SEEDS = (0, 1, 2)


def tdbs_json(*arguments: str) -> dict:
    """Run the command line and return its JSON object."""
    done = subprocess.run(
        [sys.executable, "-c", "from tdbs.cli import main; main()", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mirror", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for task in ("sst2", "mrpc", "rte", "cola", "stsb"):
            out = f"{folder}/{task}"
            tdbs_json(
                "prepare",
                f"glue/{task}",
                "--mirror",
                arguments.mirror,
                "--tokenizer",
                arguments.tokenizer,
                "--out",
                out,
            )
            for strategy in ("random", "bucket", "tdbs_paper", "reach"):
                options = ("--strategy", strategy, "--caps", "paper", "--allow-drop")
                plans = [tdbs_json("plan", out, *options, "--seed", str(seed)) for seed in SEEDS]
                for (noted_task, epoch), noted in NOTES.items():
                    if noted_task == task:
                        tokens = statistics.mean(plan["epochs"][epoch]["tokens"] for plan in plans)
                        padding = statistics.mean(plan["epochs"][epoch]["padding_fraction"] for plan in plans)
                        rows.append((task, epoch, strategy, tokens, padding, *noted[strategy]))
    if arguments.json:
        print(json.dumps({**provenance(), "rows": rows}))
        return
    print("\n".join(f"{name}: {value}" for name, value in provenance().items()) + "\n")
    print(
        markdown_table(
            [
                {
                    "task": task,
                    "epoch": str(epoch),
                    "strategy": strategy,
                    "tokens": f"{tokens:,.0f}",
                    "notes": f"{noted_tokens:,.0f}",
                    "difference": f"{tokens / noted_tokens - 1:+.1%}",
                    "padding": f"{padding:.1%}",
                    "notes' padding": f"{noted_padding:.1%}",
                    "points": f"{100 * (padding - noted_padding):+.1f}",
                }
                for task, epoch, strategy, tokens, padding, noted_tokens, noted_padding in rows
            ]
        )
    )


if __name__ == "__main__":
    main()
