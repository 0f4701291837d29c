"""`compare`: several systems on the same data under one budget."""

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Result
from urbild.cli.console import Console


def compare(arguments: Arguments, console: Console) -> Result:
    """Ranks systems."""
    from urbild import catalogue

    shared.positive(arguments, "seeds", "steps", "seconds", "epochs")
    chosen = shared.names(arguments["models"]) or tuple(c.name for c in catalogue.cards().values() if c.scores)
    names = [catalogue.card(name).name for name in chosen]
    return {"models": names}


COMPARE = Command(
    name="compare",
    summary="rank several systems under one budget",
    about="Fits each system with each seed under the same budget and ranks them. Nothing is chosen on test data.",
    places=(shared.DATA,),
    groups=(
        Group(
            "Comparison",
            (
                Option("models", "names of the systems, with commas (default: all that score)", metavar="A,B,C"),
                Option("seeds", "runs of each system", int, 3, "N"),
                *shared.BUDGET,
                Option("out", "directory for leaderboard.json and leaderboard.csv", metavar="DIR"),
            ),
        ),
        shared.READING,
        shared.COMMON,
    ),
    example="urbild compare digits --models pca,nearest,autoencoder --seeds 3",
    run=compare,
)
