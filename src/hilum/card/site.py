"""Before a site uses it: what to do, each with its command.

What may be changed later is `change_plan`'s.
"""

from __future__ import annotations

from hilum.card.markdown import Lines, bullets
from hilum.card.subject import Subject


def before_use(subject: Subject) -> Lines:
    """A checklist for a site."""
    of = subject.command
    return [
        "## Before it is used anywhere",
        "",
        "A site that wants to try it, in research and with a reader looking at every film, does "
        "all of this first, on films of its own that it labels itself. The commands are typed "
        "beside the bundle's folder; `local.csv`, `films/` and `record` are yours.",
        "",
        *bullets(
            (
                f"[ ] See that it is whole and the one of this card: {of('bundle verify NAME')}",
                "[ ] Look at the films before the figures: "
                f"{of('data check folder:local.csv --out check')}",
                "[ ] Validate it as it is, by site, sex and age: "
                + of(
                    "validate NAME --on folder:local.csv --group site --group sex "
                    "--group age:18,40,65 --out validated"
                ),
                "[ ] Write down, before you look, which sensitivity and specificity would be "
                "enough, and who decides. No command knows that.",
                "[ ] Choose a local operating point only where the page of that validation shows "
                "that one helps, and from as many labels as it says; then judge it on films that "
                "chose nothing: "
                f"{of('evaluate --predictions later.csv --threshold 0.3 --out local')}",
                "[ ] See what it makes of the local junk (other body parts, lateral films, test "
                "patterns): "
                + of("novelty NAME --on folder:local.csv --against junk=junk/ --out novelty"),
                "[ ] See whether it leans on local shortcuts: "
                f"{of('explain NAME --on folder:local.csv --shortcuts --out explained')}",
                "[ ] Let it run with a record of every answer: "
                f"{of('serve NAME --audit record')} or "
                f"{of('predict NAME films/ --out today.csv --log record')}",
                "[ ] Watch that record, with late labels where there are any: "
                f"{of('monitor NAME --log record --labels labels.csv --out monitored')}",
                f"[ ] Hold the record against its chain: {of('audit verify record')}",
                "[ ] Agree on the change plan below, and on who is told when an alarm is raised.",
            )
        ),
    ]  # fmt: skip
