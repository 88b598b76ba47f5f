"""The `stance` command: parse, delegate, and turn every expected failure into one line.

Training commands import `training` only when they are called, so prediction never needs torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from stance import __version__
from stance.cli_data import data
from stance.errors import StanceError
from stance.extras import training_extra


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Claim type and attribution certainty of Indonesian news, sentence by sentence."""


class _ConfigCommand(click.Command):
    """A command whose help ends with every key of the configuration."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the keys with type, default and meaning."""
        with training_extra():
            from training.config import describe
        with formatter.section("Configuration keys"):
            formatter.write_dl(
                [
                    (name, f"{text}. {kind}; default {default}")
                    for name, kind, default, text in describe()
                ]
            )


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--model", type=click.Path(path_type=Path), help="Bundle folder. [default: shipped]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "jsonl"]),
    default="table",
    show_default=True,
    help="A table for people or JSON Lines for programs.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to a file, whole or not at all."
)
@click.option("--threads", type=click.IntRange(1), help="Worker threads. [default: all cores]")
def predict(
    files: tuple[str, ...], model: Path | None, form: str, output: Path | None, threads: int | None
) -> None:
    """Label every sentence of UTF-8 text files; `-` reads standard input."""
    from stance.predictor import Predictor
    from stance.readers import read_lines
    from stance.writers import opened, write_jsonl, write_table

    write = write_jsonl if form == "jsonl" else write_table
    predictor = Predictor(model, threads)
    with opened(output) as stream:
        for file in files:
            write(file, predictor.analyze_lines(read_lines(file)), stream)


_config = click.argument("config", type=click.Path(path_type=Path))
_overrides = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, e.g. train.epochs=2."
)


@cli.command(cls=_ConfigCommand)
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


@cli.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data", nargs=-1, required=True)
@click.option("--baselines", metavar="TRAIN", multiple=True, help="Also fit baselines on TRAIN.")
def evaluate(bundle: Path, data: tuple[str, ...], baselines: tuple[str, ...]) -> None:
    """Score a bundle on labelled sentences (JSONL, CSV, TSV, Parquet)."""
    with training_extra():
        from training.evaluate import evaluate_bundle, print_evaluations
    print_evaluations(evaluate_bundle(bundle, data, baselines))


cli.add_command(data)


def main() -> None:
    """Run the command line; expected errors become one line and exit status 1."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader (`head`, `less`) has left: nothing more to say, and no traceback at exit.
        sys.stderr.close()
        sys.exit(141)
    except StanceError as error:
        _fail(str(error), error.exit_status)
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)


def _fail(message: str, status: int) -> None:
    print(f"stance: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
