"""What the first page says: the finding in two sentences, the cells of Table 1, the tallies."""

from __future__ import annotations

from html import escape

from scoreboard import judge_all, seeds_of
from words import say

from gsbook import claims, ledger
from gsbook.experiments.table1 import results as table1
from gslib.estimators import ESTIMATORS


def findings() -> str:
    """What was found, in two sentences."""
    cells, rows = _by_row()
    ran = {row: own for row, own in rows.items() if all(j.ours for j in own)}
    best = [min(own, key=lambda j: j.ours.mean).claim.cell for own in ran.values()]
    lowest = sum(cell == f"{row}-gumbel_softmax" for row, cell in zip(ran, best, strict=True))
    if not ran:
        return say("No row of Table 1 has run yet.") + "\n"
    kept = table1.results()
    ahead = [table1.ahead_of(table1.row(kept, row)[1], "gumbel_softmax") for row in ran]
    found = ledger.counts(cells)
    steps = sorted({j.steps for j in cells if j.ours})
    span = f"{steps[0]:,}"
    if len(steps) > 1:
        span = say("{a} to {b}", a=span, b=f"{steps[-1]:,}")
    counted = [
        say("{n} is {verdict}", n=n, verdict=say(word)) if n == 1
        else say("{n} are {verdict}", n=n, verdict=say(word))
        for word, n in found.items() if n
    ]  # fmt: skip
    what = say(
        "**What was found:** relaxed Gumbel-Softmax has the lowest test loss of the seven "
        "estimators in {lowest} of {rows} rows of the paper's Table 1; another is ahead of it by "
        "more than the seeds scatter in {beaten}. Of the {cells} cells of that table, "
        "{counted}, after {steps} training steps with {seeds} each.",
        lowest=lowest, rows=len(ran), beaten=sum(map(bool, ahead)), cells=len(cells),
        counted=say(", ").join(counted), steps=span,
        seeds=seeds_of([j for j in cells if j.ours]),
    )  # fmt: skip
    return f"{what}\n"


def _by_row() -> tuple[list[ledger.Judged], dict[str, list[ledger.Judged]]]:
    cells = [j for j in judge_all() if j.claim.kind == "cell"]
    rows = claims.stated()["table1"]["rows"]
    return cells, {row: [j for j in cells if j.claim.cell.startswith(f"{row}-")] for row in rows}


def cells() -> str:
    """The cells of Table 1 in HTML: estimators down, so that a phone shows them all."""
    every, rows = _by_row()
    titles = [about["title"] for about in claims.stated()["table1"]["rows"].values()]
    head = "".join(f'<th scope="col">{escape(say(title))}</th>' for title in titles)
    body = ""
    for i, name in enumerate(claims.stated()["table1"]["columns"]):
        line = "".join(_cell(own[i]) for own in rows.values())
        body += f'<tr><th scope="row">{escape(ESTIMATORS[name].label)}</th>{line}</tr>\n'
    signs = {word: sign for sign, word in ledger.VERDICTS.values()}
    key = say(", ").join(
        f"{signs[word]}\u00a0{count}\u00a0{say(word).replace(' ', chr(160))}"
        for word, count in ledger.counts(every).items()
        if count
    )
    caption = say(
        "The cells of Table 1: our mean test loss in nats, lower is better, and the verdict: "
        "{key}.",
        key=key,
    )
    return (
        f'<table class="cells">\n<caption>{caption}</caption>\n'
        f"<thead><tr><td></td>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n"
    )


def _cell(j: ledger.Judged) -> str:
    word = ledger.VERDICTS[j.verdict][1]
    number = f"{j.ours.mean:.1f}" if j.ours else ""
    return (
        f'<td class="{word.replace(" ", "-")}"><span aria-hidden="true">{j.sign}</span> {number} '
        f'<span class="visually-hidden">{say(word)}</span></td>'
    )


KINDS = (  # of claims on the first page: a title, a remark, the kinds
    ("Cells of Table 1", "", "cell"),
    ("Bounds of Table 2",
     "The paper does not give the sizes of these networks, so that better numbers need not mean a "
     "better method.", "bound"),
    ("Accuracies of Table 2", "", "accuracy"),
    ("Ratios of speed", "They are of another machine than the paper's.", "speed"),
    ("Statements in the text", "", "order", "par", "growth", "closeness"),
    ("Figures", "A figure has no verdict of its own: it shows the runs of its cells.", "figure"),
)  # fmt: skip


def tallies() -> str:
    """How many claims came out how, each kind apart: a figure drawn is no number reproduced."""
    lines = [
        "- " + say("{tally} {remark}", tally=tally(title, *kinds), remark=say(remark))
        for title, remark, *kinds in KINDS
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def tally(title: str, *kinds: str) -> str:
    """Numbers: 36 (3 reproduced, 33 not run yet)."""
    counted = ledger.counts([j for j in judge_all() if j.claim.kind in kinds])
    words = say(", ").join(f"{n} {say(word)}" for word, n in counted.items() if n)
    return say("{title}: {n} ({words}).", title=say(title), n=sum(counted.values()), words=words)
