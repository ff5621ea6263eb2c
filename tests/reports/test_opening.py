"""A page opens with the reader's own run: its numbers, what the next best choice had saved, origin, what to do next."""

import shlex
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tdbs.cli import app
from tdbs.reports.comparison import Comparison
from tdbs.reports.headline import Better, NextBest, next_best, next_best_text, token_bars
from tdbs.reports.opening import opening_of
from tdbs.reports.page import render_markdown
from tdbs.reports.report import Report
from tdbs.reports.report_values import facts_of
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.run_folder import Run
from tests.reports.conftest import ESTIMATES, make_dataset, make_estimate, make_row, make_steps, make_summary, page_of
from tests.reports.pages import Page

RunFactory = Callable[..., Run]
ComparisonFactory = Callable[..., Comparison]
UNPADDED = make_estimate("unpadded", 2000, 0.0, 2.0)
EXECUTION = {"device": "cpu", "precision": "bf16", "attention": "eager"}
VERSIONS = {"torch": "2.13.0", "transformers": "5.23.0"}
MADE = "2026-11-30 01:02 UTC"
DATA = "data/sample/words-16"


def random_run(run_of: RunFactory, **config: Any) -> Run:
    """Return a run of `random` that read 4,000 tokens, half of them padding."""
    run = run_of()
    parts = {name: value for name, value in asdict(STRATEGIES["random"]).items() if value is not None}
    return replace(
        run,
        config={**run.config, "strategy": parts, "execution": EXECUTION, "versions": VERSIONS, **config},
        result={**(run.result or {}), "strategy": "random", "tokens": 4000, "padding_fraction": 0.5},
    )


def commands(report: Report) -> list[str]:
    return [step.command for step in opening_of(report)["next_steps"]]


def test_a_page_on_a_run_opens_with_its_own_numbers_and_what_else_would_have_saved(run_of: RunFactory) -> None:
    html = page_of(
        dataset=make_dataset(), run=random_run(run_of), estimates=[*ESTIMATES, UNPADDED], date=MADE, has_model=True
    )
    text = Page(html).text
    assert f"Finished {MADE} · cpu, bf16, eager attention · torch 2.13.0, transformers 5.23.0" in text
    assert "sample A run of random with tiny, 2 epochs, seed 7 Tokenizer" in text
    assert (
        "What padding cost this run padding of this run 50.0 % of training 31.4 s score (accuracy) 0.8750 "
        "fewer tokens with unpadded 50.0 % With unpadded, the same updates read 50.0 % fewer tokens (2,000 instead of "
        "4,000). With reach, a run reads 60.0 % fewer tokens (1,600 instead of 4,000); its updates are others, so its "
        "score may differ. "
    ) in text
    for words in ("random, this run", "4,000 tokens · 50.0 % padding", "2,000 tokens · 0.0 % padding"):
        assert words in text
    assert "How many seconds fewer of them save depends on the device and was not measured for this page." in text
    assert text.index("What padding cost this run") < text.index("What to do next") < text.index("Lengths")


UNPADDED_SAVES = Better(strategy="unpadded", tokens=3000, share=0.25)
REACH_SAVES = Better(strategy="reach", tokens=3000, share=0.25)
WITH_REACH = (
    "With reach, a run reads 25.0 % fewer tokens (3,000 instead of 4,000); its updates are others, so its score may "
    "differ."
)
SAVINGS = [
    (
        NextBest(tokens=4000, same=UNPADDED_SAVES, other=None),
        "With unpadded, the same updates read 25.0 % fewer tokens (3,000 instead of 4,000).",
    ),
    (NextBest(tokens=4000, same=None, other=REACH_SAVES), WITH_REACH),
    (
        NextBest(tokens=4000, same=None, other=REACH_SAVES, padded=16_000),
        "Padded random batches would have read 16,000 tokens for the same updates; this run read 75.0 % fewer, 4,000. "
        + WITH_REACH,
    ),
    (NextBest(tokens=4000, same=None, other=None), "No strategy below saves even 0.1 % of this run's tokens."),
]


@pytest.mark.parametrize(("found", "text"), SAVINGS)
def test_sentences_say_what_was_saved_and_what_the_next_best_choice_had_saved(found: NextBest, text: str) -> None:
    assert next_best_text(found).replace("\N{NO-BREAK SPACE}", " ") == text


def test_a_run_without_padding_is_compared_with_padded_random_batches(run_of: RunFactory) -> None:
    """Its bar is between theirs and that of a better choice; targets count as tokens."""
    run = random_run(run_of)
    parts = {**run.config["strategy"], "name": "unpadded", "execution": "unpadded"}
    result = {**(run.result or {}), "strategy": "unpadded", "tokens": 2000, "padding_fraction": 0.0}
    run = replace(run, config={**run.config, "strategy": parts}, result=result)
    found = next_best(run, [*ESTIMATES, UNPADDED])
    assert found is not None
    assert (found.padded, found.same, found.strategies) == (4000, None, ["reach"])
    bars = token_bars(found, run, [*ESTIMATES, UNPADDED])
    assert [(bar.name, bar.tokens) for bar in bars] == [("random", 4000), ("unpadded, this run", 2000), ("reach", 1600)]
    targets = {"tokens": 1500, "target_tokens": 500, "target_padding_fraction": 0.5}
    [own] = token_bars(NextBest(tokens=2000, same=None, other=None), replace(run, result={**result, **targets}), [])
    assert (own.tokens, own.padding_fraction) == (2000, 0.125)


def test_only_runs_of_random_batches_have_others_of_the_same_updates(run_of: RunFactory) -> None:
    """A run with reach makes updates of its own, so unpadded is another choice; its own estimate is none."""
    run = run_of(result={**(run_of().result or {}), "tokens": 3000})
    found = next_best(run, [*ESTIMATES, UNPADDED])
    assert found == NextBest(
        tokens=3000, same=None, other=Better(strategy="unpadded", tokens=2000, share=1 - 2000 / 3000)
    )


def test_a_strategy_that_is_refused_or_hardly_better_is_not_a_choice(run_of: RunFactory) -> None:
    """`reach` reads 0.05 % less than unpadded: that is not worth other updates."""
    run = random_run(run_of)
    refused = replace(make_estimate("sorted", 100, 0.0, 9.0), is_refused=True)
    found = next_best(run, [UNPADDED, refused, make_estimate("reach", 1998, 0.0, 2.0)])
    assert found is not None
    assert found.strategies == ["unpadded"]


def test_targets_count_as_tokens(run_of: RunFactory) -> None:
    run = random_run(run_of)
    run = replace(run, result={**(run.result or {}), "target_tokens": 1000})
    found = next_best(run, [replace(UNPADDED, target_tokens=500)])
    assert found is not None
    assert found.same == Better(strategy="unpadded", tokens=2500, share=0.5)


def test_an_unfinished_or_foreign_run_has_no_saving(run_of: RunFactory) -> None:
    assert next_best(run_of(result=None), ESTIMATES) is None
    foreign = Report(dataset=make_dataset(key="another"), run=random_run(run_of), estimates=[UNPADDED])
    assert opening_of(foreign)["saving"] is None


def test_commands_after_a_run_fit_it(run_of: RunFactory) -> None:
    """Its settings are options where they are not the default; the last needs a saved model."""
    run = random_run(run_of, lr=1e-3, weight_decay=0.01, memory="2GiB", dropout=0.1, part={"lora": 8})
    report = Report(dataset=make_dataset(), run=run, estimates=[UNPADDED, *ESTIMATES], has_model=True)
    settings = "--epochs 2 --weight-decay 0.01 --precision bf16 --attention eager --lora 8"
    assert opening_of(report)["again"] == f"tdbs train {DATA} --config runs/one/config.toml"
    assert commands(report) == [
        f"tdbs compare {DATA} --strategy unpadded,reach --baseline random --seeds 7 {settings}",
        f"tdbs compare {DATA} --strategy random --baseline random --seeds 0,1,2 {settings}",
        "tdbs predict runs/one FILE.csv --out predictions.jsonl",
    ]
    assert len(commands(replace(report, has_model=False))) == 2


def test_a_run_with_parts_of_its_own_is_not_compared_under_a_name(run_of: RunFactory) -> None:
    run = random_run(run_of)
    run = replace(run, config={**run.config, "strategy": {**run.config["strategy"], "drop": "any"}})
    report = Report(dataset=make_dataset(), run=run, estimates=ESTIMATES, has_model=True)
    assert commands(report) == ["tdbs predict runs/one FILE.csv --out predictions.jsonl"]


def test_commands_after_a_run_that_did_not_finish(run_of: RunFactory) -> None:
    stopped = Report(dataset=make_dataset(), run=run_of(result=None), estimates=[])
    again = f"tdbs train {DATA} --config runs/one/config.toml"
    assert commands(stopped) == [f"{again} --out runs/one --resume", "tdbs report runs/one"]
    run = run_of(result=None, steps=make_steps([0.5, None]))
    failed = Report(dataset=make_dataset(), run=replace(run, config={**run.config, "lr": 0.001}), estimates=[])
    assert commands(failed) == [f"{again} --learning-rate 0.0001"]


def test_paths_in_commands_are_words_of_a_shell_and_never_markup(run_of: RunFactory) -> None:
    place = "runs/<b>; rm -rf $HOME"
    html = page_of(dataset=make_dataset(), run=run_of(path=Path(place)), estimates=[], has_model=True)
    assert "<b>" not in html
    assert f"tdbs predict '{place}' FILE.csv" in Page(html).text
    report = Report(dataset=make_dataset(), run=run_of(path=Path(place)), estimates=[])
    assert shlex.split(opening_of(report)["again"])[-1] == f"{place}/config.toml"


TERMS = {"model": "tiny", "epochs": 2, "lr": 0.001, "dropout": None, "precision": "bf16", "attention": "eager"}


def test_a_comparison_names_the_command_that_makes_it_again_and_what_is_next(compared: ComparisonFactory) -> None:
    comparison = replace(compared(energy="FRA"), terms=TERMS)
    settings = "--epochs 2 --precision bf16 --attention eager"
    report = Report(dataset=make_dataset(), comparison=comparison, estimates=[], date=MADE)
    assert opening_of(report)["again"] == (
        f"tdbs compare {DATA} --strategy random,reach --baseline random --seeds 0,1 {settings} --energy --country FRA"
    )
    assert commands(report) == [f"tdbs train {DATA} --strategy reach --seed 0 {settings}"]
    text = Page(page_of(dataset=make_dataset(), comparison=comparison, estimates=[], date=MADE)).text
    assert "2 strategies compared with tiny, 2 epochs, seeds 0, 1 Tokenizer" in text
    assert f"Finished {MADE} · two cores, bf16, eager attention What padding costs" in text
    assert "Train a model to keep: a comparison keeps none." in text


def test_a_comparison_of_one_seed_or_of_parts_says_how_to_know_more(compared: ComparisonFactory) -> None:
    one = compared(rows=[make_row("random", 0), make_row("reach", 0)], summary=[make_summary("random", seeds=1)])
    first = f"tdbs compare {DATA} --strategy random,reach --baseline random --seeds"
    settings = "--epochs 2 --precision bf16 --attention eager"
    report = Report(dataset=make_dataset(), comparison=replace(one, terms=TERMS), estimates=[])
    assert commands(report)[0] == f"{first} 0,1,2 {settings}"
    parts = replace(one, terms=TERMS, part_steps=40, is_profiled=True)
    report = Report(dataset=make_dataset(), comparison=parts, estimates=[])
    assert opening_of(report)["again"] == f"{first} 0 {settings} --steps 40 --profile PROFILE.json"
    assert commands(report)[0] == f"{first} 0 {settings} --profile PROFILE.json"


def test_a_comparison_that_a_command_cannot_name_has_none(compared: ComparisonFactory) -> None:
    """One of an older version records no terms; a strategy made in Python has parts without an option."""
    older, found = compared(), replace(compared(), terms=TERMS)
    own = replace(found, strategies=({**asdict(STRATEGIES["random"]), "rbm": False}, found.strategies[1]))
    sizes = replace(found, strategies=({**asdict(STRATEGIES["random"]), "base_batch_size": 8}, found.strategies[1]))
    for comparison in (older, own, sizes):
        assert opening_of(Report(dataset=make_dataset(), comparison=comparison, estimates=[]))["again"] is None


def test_markdown_has_the_same_opening(run_of: RunFactory) -> None:
    report = Report(dataset=make_dataset(), run=random_run(run_of), estimates=[UNPADDED], date=MADE, has_model=True)
    text = render_markdown(facts_of(report)).replace("\N{NO-BREAK SPACE}", " ")
    assert "\n- padding of this run: 50.0 %\n- of training: 31.4 s\n- score (accuracy): 0.8750\n" in text
    assert "\n- fewer tokens with unpadded: 50.0 %\n" in text
    assert "\nWith unpadded, the same updates read 50.0 % fewer tokens (2,000 instead of 4,000).\n" in text
    assert f"\nFinished {MADE} · cpu, bf16, eager attention · torch 2.13.0, transformers 5.23.0\n" in text
    assert "- Predict texts of your own. `tdbs predict runs/one FILE.csv --out predictions.jsonl`\n" in text
    assert f"To make this again: `tdbs train {DATA} --config runs/one/config.toml`\n" in text


def parsed(command: str) -> dict[str, Any]:
    """Return the options of a command as the command line reads them, without running it."""
    group = get_command(app)
    _, name, *words = shlex.split(command)
    with group.make_context("tdbs", [name], resilient_parsing=True) as ctx:
        _, found, _ = group.resolve_command(ctx, [name])
        with found.make_context(name, words, parent=ctx, resilient_parsing=False) as own:
            return own.params


def test_the_command_line_reads_the_commands_as_they_are_meant(run_of: RunFactory, compared: ComparisonFactory) -> None:
    run = random_run(run_of, model="some/model", lr=2e-5, warmup=0.1, lr_scheduler="cosine", part={"freeze_layers": 2})
    run = replace(run, config={**run.config, "strategy": {**run.config["strategy"], "base_batch_size": 8}})
    measure, vary, predict = commands(
        Report(dataset=make_dataset(), run=run, estimates=[UNPADDED, *ESTIMATES], has_model=True)
    )
    given = {"dataset": DATA, "strategy": ["unpadded,reach"], "baseline": "random", "seeds": ["7"], "epochs": 2}
    given |= {"model": "some/model", "lr": 2e-5, "warmup": 0.1, "lr_scheduler": "cosine", "freeze_layers": 2}
    given |= {"base_batch_size": 8, "precision": "bf16", "attention": "eager"}
    found = parsed(measure)
    assert {name: found[name] for name in given} == given
    assert parsed(vary)["seeds"] == ["0,1,2"]
    assert (parsed(predict)["model"], parsed(predict)["source"]) == ("runs/one", "FILE.csv")
    comparison = replace(compared(energy="FRA"), terms={**TERMS, "compiled": True}, is_profiled=True)
    report = Report(dataset=make_dataset(), comparison=comparison, estimates=[])
    again = parsed(str(opening_of(report)["again"]))
    assert (again["energy"], again["country"], again["compiled"], again["profile"]) == (
        True, "FRA", True, Path("PROFILE.json"),
    )  # fmt: skip
    [keep] = commands(report)
    assert (parsed(keep)["strategy"], parsed(keep)["seed"], parsed(keep)["compiled"]) == ("reach", 0, True)
