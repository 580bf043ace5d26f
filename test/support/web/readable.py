"""What a page must be for everybody: each control has a name, each text can be read, nothing lies beside the screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

DESK, TABLET, UPRIGHT = (1400, 900), (1180, 820), (820, 1180)
CONTROLS = {
    *("button", "checkbox", "combobox", "img", "link", "listbox", "menuitem", "option"),
    *("radio", "searchbox", "slider", "spinbutton", "switch", "tab", "textbox"),
}
CONTRAST, LARGE_CONTRAST = 4.5, 3.0  # WCAG 2.1, 1.4.3; large is 24 px, or bold of 18.66 px
SETTLE_MS = 600  # colours change in a moment
PATIENT_TURNS = 20
FAINT = """([least, least_large]) => {
  const parse = (color) => {
    const canvas = parse.canvas ??= new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const light = (rgb) => {
    const [r, g, b] = rgb.map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== 'none') return null;
      const color = parse(style.backgroundColor);
      layers.push(color);
      if (color[3] === 1) break;
    }
    const page = matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
    return layers.reverse().reduce((below, layer) => over(layer, below), page);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element || element.closest('script, style, svg, .q-notification, [disabled], .disabled')) continue;
    if (element.closest('.material-icons, .q-icon')) continue;
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (!box.width || !box.height || style.visibility !== 'visible') continue;
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    if (opacity < 0.05) continue;
    const below = behind(element);
    if (below === null) continue;
    const color = parse(style.color);
    const mine = over([color[0], color[1], color[2], color[3] * opacity], below);
    const [a, b] = [light(mine), light(below)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? least_large : least))
      found.push(`"${text.slice(0, 40)}": contrast ${contrast.toFixed(2)}, ${style.color} on ${below.map(Math.round)}`);
  }
  return [...new Set(found)];
}"""
BESIDE = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide + 1) return [];
  return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > wide + 1)
    .map(e => `${e.tagName} ${e.className} ${(e.innerText ?? '').slice(0, 30)}`).slice(0, 8);
}"""


def unnamed(page: Page) -> list[str]:
    """Controls of the page that a screen reader has no words for."""
    session = page.context.new_cdp_session(page)
    try:
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    finally:
        session.detach()
    found = []
    for node in nodes:
        role = node.get("role", {}).get("value", "")
        if not node.get("ignored") and role in CONTROLS and not str(node.get("name", {}).get("value", "")).strip():
            found.append(f"{role} {node.get('properties', [])}"[:200])
    return found


def faint(page: Page) -> list[str]:
    """Texts of the page with less contrast than WCAG asks for; those over images and of what is disabled are not."""
    found: list[str] = page.evaluate(FAINT, [CONTRAST, LARGE_CONTRAST])
    return found


def beside(page: Page) -> list[str]:
    """What makes the page wider than the screen."""
    found: list[str] = page.evaluate(BESIDE)
    return found


@contextmanager
def as_seen(page: Page, scheme: str, size: tuple[int, int]) -> Iterator[None]:
    """The page in dark or light, on a screen of a size (width, height)."""
    before = page.viewport_size
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.wait_for_timeout(SETTLE_MS)
    try:
        yield
    finally:
        page.emulate_media(color_scheme="light")
        if before is not None:
            page.set_viewport_size(before)


def faults(page: Page) -> list[str]:
    """Everything that is wrong with the page as it is now, in light and dark, at a desk and on a tablet."""
    found = [f"no name: {one}" for one in unnamed(page)]
    for scheme in ("light", "dark"):
        for size in (DESK, TABLET, UPRIGHT):
            with as_seen(page, scheme, size):
                where = f"{scheme}, {size[0]}x{size[1]}"
                found += [f"{where}: {one}" for one in _lasting(page, size)]
    return list(dict.fromkeys(found))


def _lasting(page: Page, size: tuple[int, int]) -> list[str]:
    """What is wrong and stays so: a slow machine is long at drawing a page anew."""
    for turn in range(PATIENT_TURNS):
        if turn:
            page.wait_for_timeout(SETTLE_MS)
        found = faint(page) + [f"beside the screen: {one}" for one in beside(page)]
        stop = page.get_by_test_id("estop").bounding_box()
        if stop is None or stop["y"] < 0 or stop["x"] + stop["width"] > size[0]:
            found.append(f"the e-stop is at {stop}")
        if not found:
            break
    return found
