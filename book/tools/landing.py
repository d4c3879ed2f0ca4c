"""What the first page says: the finding in two sentences, the cells of Table 1, the tallies."""

from __future__ import annotations

from html import escape

from scoreboard import judge_all

from gsbook import claims, ledger
from gslib.estimators import ESTIMATORS


def findings() -> str:
    """What was found, in two sentences."""
    cells, rows = _by_row()
    ran = {row: own for row, own in rows.items() if all(j.ours for j in own)}
    best = [min(own, key=lambda j: j.ours.mean).claim.cell for own in ran.values()]
    lowest = sum(cell == f"{row}-gumbel_softmax" for row, cell in zip(ran, best, strict=True))
    if not ran:
        return "No row of Table 1 has run yet.\n"
    found = ledger.counts(cells)
    steps = sorted({j.steps for j in cells if j.ours})
    span = f"{steps[0]:,}" + (f" to {steps[-1]:,}" if len(steps) > 1 else "")
    n = sorted({j.ours.n for j in cells if j.ours})
    seeds = f"{n[0]}{f' to {n[-1]}' if len(n) > 1 else ''} seed{'s' if n[-1] > 1 else ''}"
    counted = [f"{n} {'is' if n == 1 else 'are'} {word}" for word, n in found.items() if n]
    return (
        "**What was found:** relaxed Gumbel-Softmax has the lowest test loss of the seven "
        f"estimators in {lowest} of {len(ran)} rows of the paper's Table 1. Of the {len(cells)} "
        f"cells of that table, {', '.join(counted)}, after {span} training steps with {seeds} "
        "each.\n"
    )


def _by_row() -> tuple[list[ledger.Judged], dict[str, list[ledger.Judged]]]:
    cells = [j for j in judge_all() if j.claim.kind == "cell"]
    rows = claims.stated()["table1"]["rows"]
    return cells, {row: [j for j in cells if j.claim.cell.startswith(f"{row}-")] for row in rows}


def cells() -> str:
    """The cells of Table 1 in HTML: estimators down, so that a phone shows them all."""
    every, rows = _by_row()
    titles = [about["title"] for about in claims.stated()["table1"]["rows"].values()]
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = ""
    for i, name in enumerate(claims.stated()["table1"]["columns"]):
        line = "".join(_cell(own[i]) for own in rows.values())
        body += f'<tr><th scope="row">{escape(ESTIMATORS[name].label)}</th>{line}</tr>\n'
    signs = {word: sign for sign, word in ledger.VERDICTS.values()}
    key = ", ".join(
        f"{signs[word]}\u00a0{count}\u00a0{word.replace(' ', chr(160))}"
        for word, count in ledger.counts(every).items()
        if count
    )
    return (
        '<table class="cells">\n<caption>The cells of Table 1: our mean test loss in nats, lower '
        f"is better, and the verdict: {key}.</caption>\n<thead><tr><td></td>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table>\n"
    )


def _cell(j: ledger.Judged) -> str:
    word = ledger.VERDICTS[j.verdict][1]
    number = f"{j.ours.mean:.1f}" if j.ours else ""
    return (
        f'<td class="{word.replace(" ", "-")}"><span aria-hidden="true">{j.sign}</span> {number} '
        f'<span class="visually-hidden">{word}</span></td>'
    )


def tallies() -> str:
    """How many claims came out how, each kind apart: a figure drawn is no number reproduced."""
    return (
        f"- {tally('Cells of Table 1', 'cell')}\n"
        f"- {tally('Bounds of Table 2', 'bound')} The paper does not give the sizes of these "
        "networks, so that better numbers need not mean a better method.\n"
        f"- {tally('Accuracies of Table 2', 'accuracy')}\n"
        f"- {tally('Ratios of speed', 'speed')} They are of another machine than the paper's.\n"
        f"- {tally('Statements in the text', 'order', 'par', 'growth', 'closeness')}\n"
        f"- {tally('Figures', 'figure')} A figure has no verdict of its own: it shows the runs of "
        "its cells.\n"
    )


def tally(title: str, *kinds: str) -> str:
    """Numbers: 36 (3 reproduced, 33 not run yet)."""
    found = [j for j in judge_all() if j.claim.kind in kinds]
    words = ", ".join(f"{count} {word}" for word, count in ledger.counts(found).items() if count)
    return f"{title}: {len(found)} ({words})."
