"""The charts of the monthly report: SVG for the page, with text as text, in the colours of the page."""

import io
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from commands.monthly.facts import Mails, Monthly, Night
from commands.monthly.forms import said
from notices.language import Language

SIZE = (5.2, 2.7)  # inches; text is 13 pixels high where the page does not scale the chart
MARGINS = {"left": 0.16, "right": 0.98, "bottom": 0.14, "top": 0.87}  # fixed: matplotlib's layout takes as long as the drawing
TICKS = 7  # days or months with a name below them
INK, ALL, SOME, FEW, BAD = "#010101", "#010102", "#010103", "#010104", "#010105"  # stand for the page's colours
PAGE = {INK: "currentColor", ALL: "var(--all)", SOME: "var(--some)", FEW: "var(--few)", BAD: "var(--bad)"}
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
STYLE |= dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
BARS = (("delivered", ALL, 0.9), ("opened", SOME, 0.6), ("clicked", FEW, 0.3))  # count, colour, width

DAYS = "Mails by day of sending, on {days} days. Most were delivered on {day}: {delivered}, of which {opened} were opened."
MONTHS = "Mails by month. Most were delivered in {day}: {delivered}, of which {opened} were opened."
NIGHTS = "How long each of {nights} nights took. The longest, on {day}, took {took}."

Draw = Callable[[Axes], None]


def mailings(now: Monthly, words: Language) -> list[Markup]:
    """Return the charts of the mails: by day of sending, and over the last twelve months."""
    months = [mails for mails, _ in now.months]
    charts = [draw_mails(now.campaigns, DAYS, "MMMd", words)] if now.campaigns else []
    return [*charts, draw_mails(months, MONTHS, "yMMMM", words)] if any(mails.sent for mails in months) else []


def draw_mails(bars: Sequence[Mails], sentence: str, form: str, words: Language) -> Markup:
    """Return a chart of mails: what was opened stands inside what was delivered. ``form`` is that of a day in the sentence."""
    most = max(bars, key=lambda mails: mails.delivered)
    figures = {"days": len(bars), "delivered": said(most.delivered, words), "opened": said(most.opened, words)}
    labels = {"delivered": words("delivered"), "opened": words("opened"), "clicked": words("clicked")}
    names = [words.day(mails.day, "MMM" if form == "yMMMM" else form) for mails in bars]

    def draw(axes: Axes) -> None:
        for count, colour, width in BARS:
            axes.bar(range(len(bars)), [getattr(mails, count) for mails in bars], width, color=colour, label=labels[count])
        set_axes(axes, names, words)

    return draw_svg(draw, words(sentence, day=words.day(most.day, form), **figures))


def nights(now: Monthly, words: Language) -> list[Markup]:
    """Return the chart of how long each night took; a day without a night has its place."""
    ran = [night for night in now.nights if night.is_night]
    if not ran:
        return []
    slots: list[tuple[date, Night | None]] = [(night.began.date(), night) for night in ran]
    slots = sorted([*slots, *((day, None) for day in now.silent)], key=lambda slot: slot[0])
    longest = max(ran, key=lambda night: night.seconds or 0)
    units = ((3600, words("hours")), (60, words("minutes")), (1, words("seconds")))
    unit, name = next(each for each in units if (longest.seconds or 0) >= 2 * each[0] or each[0] == 1)

    def draw(axes: Axes) -> None:
        for label, colour, is_bad in ((words("ended well"), SOME, False), (words("failed"), BAD, True)):
            bars = [(x, (night.seconds or 0) / unit) for x, (_, night) in enumerate(slots) if night and night.is_bad == is_bad]
            if bars:
                axes.bar(*zip(*bars, strict=True), color=colour, label=label)
        if crosses := [x for x, (_, night) in enumerate(slots) if not night or night.seconds is None]:
            axes.plot(crosses, [0] * len(crosses), "x", color=BAD, label=words("no end, or no night"), clip_on=False)
        axes.set_ylabel(name)
        set_axes(axes, [said(day, words) for day, _ in slots], words)

    day, took = said(longest.began.date(), words), said(longest.seconds, words)
    return [draw_svg(draw, words(NIGHTS, nights=len(ran), day=day, took=took))]


def set_axes(axes: Axes, names: Sequence[str], words: Language) -> None:
    """Set the axes: some names below, few figures on the left; the legend above."""
    step = -(-len(names) // TICKS)
    axes.set_xticks(range(0, len(names), step), names[::step])
    axes.set_xlim(min(-0.6, len(names) / 2 - 3), max(len(names) - 0.4, len(names) / 2 + 2))  # few bars do not get thicker
    axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: words.number(number)))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderaxespad=0)


def draw_svg(draw: Draw, sentence: str) -> Markup:
    """Return a chart as an SVG element that scales with the page; screen readers read the sentence."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": sentence}):  # each chart needs its own ids on the page
        figure = Figure(figsize=SIZE)
        axes = figure.subplots(gridspec_kw=MARGINS)
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[\w.]+"', "<g", svg)  # the same in every chart
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub("|".join(PAGE), lambda found: PAGE[found[0]], svg)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(sentence)}"', 1))  # noqa: S704 - our own figures only
