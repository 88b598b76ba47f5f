"""`stance train`, `stance tune` and `stance pretrain`: what a configuration says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stance.extras import training_extra


class ConfigCommand(click.Command):
    """A command whose help ends with every key of its configuration.

    Args:
        schema: imports and returns the configuration's class; called only for the help.
    """

    def __init__(self, *args: Any, schema: Callable[[], Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._schema = schema

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the keys with type, default and meaning."""
        with training_extra():
            from training.schema import describe

            keys = list(describe(self._schema()))
        with formatter.section("Configuration keys"):
            for name, kind, default, text in keys:
                formatter.write_text(f"{name}: {kind} (default {default})")
                with formatter.indentation():
                    formatter.write_text(f"{text}.")


def _train_schema() -> Any:
    from training.config import Config

    return Config


def _pretrain_schema() -> Any:
    from training.pretrain import PretrainConfig

    return PretrainConfig


_config = click.argument("config", type=click.Path(path_type=Path))
_overrides = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, e.g. train.epochs=2."
)
_output = click.option("--output", help="Run folder; overrides the configuration's `output`.")
_resume = click.option("--resume", is_flag=True, help="Go on from the run folder's checkpoint.")
_no_fallback = click.option(
    "--no-fallback", is_flag=True, help="Fail if the configured base cannot be loaded."
)


def _with_output(overrides: tuple[str, ...], output: str | None) -> tuple[str, ...]:
    # Quoted: a folder called 2024 is no number.
    return overrides if output is None else (*overrides, f"output={json.dumps(output)}")


@click.command(cls=ConfigCommand, schema=_train_schema)
@_config
@_overrides
@_output
@_resume
@_no_fallback
@click.option(
    "--seeds",
    type=click.IntRange(1),
    help="Run so many seeds in turn, print mean and deviation, keep the best one's bundle.",
)
@click.option("--notes", default="", help="Markdown for the model card.")
def train(
    config: Path,
    overrides: tuple[str, ...],
    output: str | None,
    resume: bool,
    no_fallback: bool,
    seeds: int | None,
    notes: str,
) -> None:
    """Fine-tune, export and check a bundle as a configuration says."""
    with training_extra():
        from training import run
        from training.config import load_config
    settings = load_config(config, _with_output(overrides, output))
    if seeds is None:
        run.train(settings, resume, not no_fallback, notes)
    else:
        run.train_seeds(settings, seeds, resume, not no_fallback, notes)


@click.command(cls=ConfigCommand, schema=_pretrain_schema)
@_config
@_overrides
@_output
@_resume
@_no_fallback
def pretrain(
    config: Path,
    overrides: tuple[str, ...],
    output: str | None,
    resume: bool,
    no_fallback: bool,
) -> None:
    """Adapt a base to a domain: masked language modelling on raw text."""
    with training_extra():
        from training.pretrain import PretrainConfig
        from training.pretrain import pretrain as run
        from training.schema import load
    run(load(config, PretrainConfig, _with_output(overrides, output)), resume, not no_fallback)


@click.command(cls=ConfigCommand, schema=_train_schema)
@_config
@_overrides
@_output
@_no_fallback
def tune(config: Path, overrides: tuple[str, ...], output: str | None, no_fallback: bool) -> None:
    """Search a configuration's `tune.space`; a stopped search goes on."""
    with training_extra():
        from training.config import load_config
        from training.tune import tune as run
    run(load_config(config, _with_output(overrides, output)), not no_fallback)
