"""What a browser shows of a page, in figures: how far it is too wide, which text can hardly be read."""

from __future__ import annotations

from playwright.sync_api import Page

_TOO_WIDE = """() => [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('svg, .scrolls *') && e.getClientRects().length
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => `${e.tagName}.${e.className} ${Math.round(e.getBoundingClientRect().right)}: ${e.textContent.slice(0, 60)}`)
"""

_FAINT = """(least) => {
  const colour = text => { const n = (text.match(/[\\d.]+/g) || []).map(Number);
    return text.startsWith('rgb') && n.length > 2 ? [n[0], n[1], n[2], n.length > 3 ? n[3] : 1] : null };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = c => {
    const [r, g, b] = c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05) };
  const grounds = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e), drawn = style.backgroundImage.match(/rgba?\\([^)]*\\)/g);
      if (drawn) { const all = drawn.map(colour); return all.map(c => layers.reduceRight((g, l) => over(l, g), c)) }
      const own = colour(style.backgroundColor);
      if (own && own[3] > 0) layers.push(own);
      if (own && own[3] === 1) break;
    }
    const page = [255, 255, 255, 1];
    return [layers.reduceRight((ground, layer) => over(layer, ground), page)];
  };
  const found = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, element = text.parentElement;
    if (!text.textContent.trim() || !element.getClientRects().length) continue;
    if (element.closest('style, iframe, title')) continue;
    const style = getComputedStyle(element), svg = element.closest('svg text');
    if (style.visibility === 'hidden' || style.display === 'none') continue;
    const beneath = svg && svg.parentElement.querySelector(':scope > rect');
    const on = grounds(element);
    const behind = svg && beneath ? [over(colour(getComputedStyle(beneath).fill), on[0])] : on;
    let faded = 1;
    for (let e = element; e; e = e.parentElement) faded *= Number(getComputedStyle(e).opacity);
    const ink = colour(svg ? style.fill : style.color);
    const worst = Math.min(...behind.map(g => ratio(over([ink[0], ink[1], ink[2], ink[3] * faded], g), g)));
    const name = `${element.tagName}.${element.getAttribute('class')}`;
    if (worst < least) found.add(`${worst.toFixed(2)} ${name}: ${text.textContent.trim().slice(0, 40)}`);
  }
  return [...found].sort();
}"""


def too_wide(page: Page) -> list[str]:
    """Elements that reach beyond the right edge of the window; what a box of its own scrolls does not."""
    found: list[str] = page.evaluate(_TOO_WIDE)
    wide: int = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found or ([f"the page is {wide} px too wide"] if wide > 0 else [])


def faint(page: Page, least: float = 4.5) -> list[str]:
    """Texts whose contrast against what they stand on is below `least`; of a gradient the worst colour counts."""
    found: list[str] = page.evaluate(_FAINT, least)
    return found
