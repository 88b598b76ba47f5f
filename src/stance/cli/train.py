"""`stance train`: fine-tune, export and check a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from stance.extras import training_extra


class ConfigCommand(click.Command):
    """A command whose help ends with every key of the configuration."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the keys with type, default and meaning."""
        with training_extra():
            from training.config import Config
            from training.schema import describe
        with formatter.section("Configuration keys"):
            formatter.write_dl(
                [
                    (name, f"{text}. {kind}; default {default}")
                    for name, kind, default, text in describe(Config)
                ]
            )


_config = click.argument("config", type=click.Path(path_type=Path))
_overrides = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, e.g. train.epochs=2."
)


@click.command(cls=ConfigCommand)
@_config
@_overrides
@click.option("--output", help="Run folder; overrides the configuration's `output`.")
@click.option("--resume", is_flag=True, help="Go on from the run folder's checkpoint.")
@click.option("--no-fallback", is_flag=True, help="Fail if the configured base cannot be loaded.")
@click.option("--notes", default="", help="Markdown for the model card.")
def train(
    config: Path,
    overrides: tuple[str, ...],
    output: str | None,
    resume: bool,
    no_fallback: bool,
    notes: str,
) -> None:
    """Fine-tune, export and check a bundle as a configuration says."""
    with training_extra():
        from training.config import load_config
        from training.run import train as run
    if output is not None:
        overrides = (*overrides, f"output={output}")
    run(load_config(config, overrides), resume, not no_fallback, notes)
