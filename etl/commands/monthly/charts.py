"""The charts of the monthly report: SVG for the page, with text as text."""

import io
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from commands.monthly.month import Day, Monthly

SIZE = (5.2, 2.7)  # inches; text is 13 pixels high where the page does not scale the chart
MARGINS = {"right": 0.97, "bottom": 0.19, "top": 0.88}  # fixed: matplotlib's layout takes as long as the drawing
LOADED, REJECTED, NEUTRAL, FAILED = "#3b6ea5", "#e07a5f", "#6b8f71", "#b3261e"
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}

FEW = 4  # with fewer codes, the bars do not get thicker

Draw = Callable[[Axes], None]


def lines_per_day(month: Monthly) -> Markup:
    """Return the chart of the lines of each day: loaded, and rejected on top."""

    def draw(axes: Axes) -> None:
        loaded, rejected = ([getattr(day, count) for day in month.days] for count in ("rows_loaded", "rows_rejected"))
        axes.bar(day_numbers(month.days), loaded, color=LOADED, label="loaded")
        axes.bar(day_numbers(month.days), rejected, bottom=loaded, color=REJECTED, label="rejected")
        axes.set_ylabel("lines")
        set_axes(axes, month)
        add_legend(axes)

    return draw_svg(draw, f"Lines per day in {month.month}")


def rejects_by_code(month: Monthly) -> Markup:
    """Return the chart of the rejected lines of each code."""

    def draw(axes: Axes) -> None:
        bars = axes.barh(list(month.rejects), list(month.rejects.values()), height=0.6, color=REJECTED)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.margins(x=0.15)
        axes.set_ylim(max(len(month.rejects), FEW) - 0.5, -0.5)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_xlabel("lines")

    return draw_svg(draw, f"Rejected lines by code in {month.month}", left=0.29)


def duration_per_day(month: Monthly) -> Markup:
    """Return the chart of the nights' duration on each day; a day with a failed night has another colour."""

    def draw(axes: Axes) -> None:
        for label, colour, days in (
            ("good", NEUTRAL, [day for day in month.days if not day.failed]),
            ("with a failed night", FAILED, [day for day in month.days if day.failed]),
        ):
            if days:
                axes.bar(day_numbers(days), [day.seconds or 0 for day in days], color=colour, label=label)
        axes.set_ylabel("seconds")
        set_axes(axes, month)
        add_legend(axes)

    return draw_svg(draw, f"Duration of the nights in {month.month}")


def day_numbers(days: Sequence[Day]) -> list[int]:
    """Return the day of the month, 1 to 31, of each day."""
    return [day.day.day for day in days]


def set_axes(axes: Axes, month: Monthly) -> None:
    """Set the axes: every day of the month below, whole numbers on the left."""
    last = (month.month.end - date.resolution).day
    axes.set_xlim(0.4, last + 0.6)
    axes.set_xticks([1, *range(5, last + 1, 5)])
    axes.set_xlabel("day of the month")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def add_legend(axes: Axes) -> None:
    """Add the legend above the bars, if there is anything to explain."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0)


def draw_svg(draw: Draw, title: str, left: float = 0.19) -> Markup:
    """Return a chart as an SVG element that scales with the page; screen readers read the title."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": title}):  # each chart needs its own ids on the page
        figure = Figure(figsize=SIZE)
        axes = figure.subplots(gridspec_kw=MARGINS | {"left": left})
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1))  # noqa: S704 - our own figures only
