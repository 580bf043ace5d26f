"""HTML as values: elements whose text is escaped, and one self-standing page around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

VOID = {"img", "link", "meta"}

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5d6b7a; --paper: #f6f7f9; --card: #ffffff; --line: #dde2e8;
  --good: #1a7f4b; --bad: #b3261e; --accent: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --dim: #9aa7b5; --paper: #11151b; --card: #1a2028;
  --line: #2d3641; --good: #4cc38a; --bad: #ff7a70; --accent: #79b4f5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p { margin: .4rem 0 .9rem; max-width: 46rem; }
a { color: var(--accent); }
.dim, figcaption { color: var(--dim); font-size: .9rem; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.fact { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1rem; }
.fact b { display: block; font-size: 1.5rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.fact span { color: var(--dim); font-size: .85rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; margin: 0 0 1rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; width: 100%; background: var(--card); font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .5rem .75rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-size: .85rem; color: var(--dim); font-weight: 600; }
figure { margin: 0; } figure + figure { margin-top: .75rem; }
img, video { display: block; width: 100%; height: auto; border-radius: 6px; }
img { background: #fff; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; overflow-x: auto;
  font: .85rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: .5rem 0 1rem; }
"""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children: str | None, **attributes: str | bool) -> Html:
    """An element. Plain text is escaped; None is left out; `class_` is `class`; True gives an attribute no value."""
    given = "".join(
        f" {name.rstrip('_')}" + ("" if value is True else f'="{escape(str(value))}"')
        for name, value in attributes.items()
        if value is not False
    )
    if tag in VOID:
        return Html(f"<{tag}{given}>")
    return Html(f"<{tag}{given}>{join(children)}</{tag}>")


def join(children: Iterable[str | None]) -> Html:
    """Elements and texts one after another."""
    return Html("".join(c if isinstance(c, Html) else escape(c) for c in children if c is not None))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table that scrolls by itself where it is too wide."""
    top = element("tr", *(element("th", text) for text in head))
    lines = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    return element("div", element("table", element("thead", top), element("tbody", *lines)), class_="scroll")


def figure_boxes(pairs: Iterable[tuple[str, str]]) -> Html:
    """Figures in boxes: (figure, what it is)."""
    boxes = [element("div", element("b", figure), element("span", words), class_="fact") for figure, words in pairs]
    return element("div", *boxes, class_="facts")


def mark(good: bool, yes: str, no: str) -> Html:
    """A tick or a cross with its word."""
    return element("span", f"\N{CHECK MARK} {yes}" if good else f"\N{BALLOT X} {no}", class_="good" if good else "bad")


def image(source: str, caption: str) -> Html:
    """An image with its caption."""
    link = element("a", element("img", src=source, alt=caption), href=source)
    return element("figure", link, element("figcaption", caption))


def video(source: str, caption: str) -> Html:
    """A video with controls and its caption."""
    player = element("video", src=source, controls=True, muted=True, loop=True, playsinline=True, preload="metadata")
    return element("figure", player, element("figcaption", caption))


def page(title: str, *body: str | None) -> str:
    """A whole document: style within, nothing from elsewhere."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("link", rel="icon", href="data:,"),  # or a browser asks for one
        element("title", title),
        element("style", Html(STYLE)),
    )
    return f'<!doctype html>\n<html lang="en">{head}{element("body", element("main", *body))}</html>\n'
