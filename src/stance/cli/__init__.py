"""The `stance` command: parse, delegate, and turn every expected failure into one line.

One module per command. Training commands import `training` only when they are called, so
prediction never needs torch.
"""

from __future__ import annotations

import sys

import click

from stance import __version__
from stance.cli.bench import bench
from stance.cli.data import data
from stance.cli.evaluate import baselines, evaluate, report
from stance.cli.predict import predict
from stance.cli.serve import serve
from stance.cli.summary import summary
from stance.cli.train import pretrain, train, tune
from stance.errors import StanceError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Claim type and attribution certainty of Indonesian news, sentence by sentence."""


for command in (
    predict,
    bench,
    train,
    tune,
    pretrain,
    evaluate,
    baselines,
    report,
    data,
    serve,
    summary,
):
    cli.add_command(command)


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
    except StanceError as error:
        _fail(str(error), error.exit_status)
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)


def _fail(message: str, status: int) -> None:
    print(f"stance: {message}", file=sys.stderr)
    sys.exit(status)
