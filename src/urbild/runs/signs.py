"""Signs, among the rows of metrics.csv, that a game goes wrong."""

from dataclasses import dataclass, field

from urbild.training import Row

ALIKE = 0.25
TOLD, BELIEVED, ROWS = 0.99, 0.02, 20


@dataclass(slots=True)
class Collapse:
    """Made samples differ much less among themselves than real ones do, at two looks in a row, and not more and more.

    Attributes:
        before: the share of the look before, while it was small.
        over: whether it has been said.
    """

    before: float | None = None
    over: bool = False

    def read(self, row: Row) -> str | None:
        """The warning, once, at the row that gives cause to it."""
        if row.name != "samples/diversity" or self.over:
            return None
        # a game that has only begun is small as well, but grows
        self.over = self.before is not None and row.value < ALIKE and row.value <= self.before
        self.before = row.value if row.value < ALIKE else None
        if not self.over:
            return None
        return (
            f"the samples have collapsed (stage {row.stage}, step {row.step:,}): two of them are "
            f"{100 * row.value:.0f} % as far apart as two real ones; packing or noise (habits), a lower learning rate, "
            "or another system may help."
        )


@dataclass(slots=True)
class Victory:
    """The critic ranks nearly all pairs rightly and, where it gives probabilities, believes nearly no made sample.

    Attributes:
        seen: rows in a row of metrics.csv, by stage, that say so.
        fake: what the critic said of made samples in the row before.
        unbounded: whether it said something that is no probability.
        over: whether it has been said.
    """

    seen: dict[str, int] = field(default_factory=dict)
    fake: float = 0.0
    unbounded: bool = False
    over: bool = False

    def read(self, row: Row) -> str | None:
        """The warning, once, at the row that gives cause to it. "fake" is logged before "told"."""
        turn, _, name = row.name.rpartition("/")
        if not turn or row.split != "train" or self.over:
            return None
        if name in ("real", "fake"):
            self.unbounded = self.unbounded or not 0 <= row.value <= 1
            self.fake = row.value if name == "fake" else self.fake
        if name != "told":
            return None
        won = row.value >= TOLD and (self.unbounded or self.fake <= BELIEVED)
        self.seen[row.stage] = self.seen.get(row.stage, 0) + 1 if won else 0
        self.over = self.seen[row.stage] == ROWS
        if not self.over:
            return None
        return (
            f"the critic has won outright (stage {row.stage}, step {row.step:,}): it ranks {100 * row.value:.1f} % of "
            "pairs rightly, and has for long, so that the generator learns little; a smaller critic, dropout in it, "
            "fewer moves or a lower learning rate for it, noise on what it sees (habits), or a penalty of its gradient "
            "(constraint) may help."
        )
