"""The verbs, put together. Each verb imports what is heavy when it runs, so help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from hilum import __version__
from hilum.cli.audit import audit_app
from hilum.cli.bundle import bundle_app
from hilum.cli.card import card
from hilum.cli.compare import compare
from hilum.cli.data import data_app
from hilum.cli.evaluate import evaluate
from hilum.cli.explain import explain
from hilum.cli.export import export
from hilum.cli.generalise import generalise
from hilum.cli.monitor import monitor
from hilum.cli.novelty import novelty
from hilum.cli.predict import predict
from hilum.cli.pull import pull
from hilum.cli.reproduce import reproduce
from hilum.cli.runs import runs
from hilum.cli.serve import serve
from hilum.cli.stress import stress
from hilum.cli.train import train
from hilum.cli.validate import validate

app = typer.Typer(
    name="hilum",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"hilum {__version__}")
        raise typer.Exit


@app.callback()
def hilum(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Train a chest X-ray classifier, prove how far it can be trusted, put it to work.

    Research use only: not a medical device. Any verb takes --debug for a traceback.
    """


app.command()(reproduce)
app.command()(train)
app.command()(evaluate)
app.command()(validate)
app.command()(predict)
app.command()(explain)
app.command()(export)
app.command()(stress)
app.command()(novelty)
app.command()(generalise)
app.command()(monitor)
app.command()(serve)
app.command()(pull)
app.command()(card)
app.command()(compare)
app.command()(runs)
app.add_typer(audit_app, name="audit")
app.add_typer(bundle_app, name="bundle")
app.add_typer(data_app, name="data")
