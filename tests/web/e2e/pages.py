"""Every page of `web/src/pages/table.ts`, an example of each address in it, and what is looked for on all of them.

Purpose: a page that is added is looked at without anybody thinking of it; an address with a value that has no example here
fails. What is looked for: words of the other language and keys without words, findings of axe-core, where the Tab key leads.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.web.e2e.seat import until

PROJECT = Path(__file__).resolve().parents[3]
TABLE = PROJECT / "web" / "src" / "pages" / "table.ts"
AXE = PROJECT / "web" / "node_modules" / "axe-core" / "axe.min.js"

#: Who looks at a page, the first that may.
_ORDER = ("operator", "technician", "supervisor", "auditor", "admin")
#: What axe-core calls its findings that keep people out.
SEVERE = frozenset({"serious", "critical"})
#: WCAG 2.2 A and AA.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table."""

    paths: tuple[str, ...]
    roles: tuple[str, ...]
    hidden: bool

    @property
    def role(self) -> str:
        """Who looks at it here."""
        return next(role for role in _ORDER if role in self.roles)


def entries() -> list[Entry]:
    """The table as it stands in the source."""
    source = TABLE.read_text(encoding="utf-8").split("PAGES", 1)[1]
    rows = re.findall(r"paths: \[(.*?)\].*?roles: \[(.*?)\],(.*?)load:", source, re.DOTALL)
    made = [Entry(_strings(paths), _strings(roles), "hidden: true" in rest) for paths, roles, rest in rows]
    assert len(made) == source.count("load:"), "a row of the table is not understood"
    return made


def _strings(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r'"([^"]+)"', text))


def addresses(role: str, examples: dict[str, list[str]]) -> list[str]:
    """Every address that this role looks at."""
    found: list[str] = []
    for entry in entries():
        if entry.role == role:
            for path in entry.paths:
                found += examples[path] if (":" in path or "*" in path) else [path]
    return found


# -- languages ------------------------------------------------------------------------------------

#: Every text that is on the screen or is read out, with where it stands. Passed over: code, keys, what says its own language, and
#: what is for nobody to see.
_TEXTS = """() => {
  const found = [];
  const here = document.documentElement.lang;
  const skipped = (at) => at.closest('code, kbd, pre, script, style, canvas, td[title], [translate=no], .maplibregl-ctrl-attrib')
    || (at.closest('[lang]')?.lang ?? here) !== here;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const at = node.parentElement;
    const text = node.textContent.trim();
    if (at?.matches('td[title]')) found.push(text);  // its title is the code beside the word
    if (text && at && !skipped(at) && at.checkVisibility()) found.push(text);
  }
  for (const at of document.querySelectorAll('[aria-label], [title], [placeholder], [alt]')) {
    if (skipped(at) || !at.checkVisibility()) continue;
    for (const name of ['aria-label', 'title', 'placeholder', 'alt']) {
      const text = at.getAttribute(name)?.trim();
      if (text) found.push(text);
    }
  }
  return [...new Set([document.title, ...found])];
}"""
_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z]{3,}")
_PLACEHOLDER = re.compile(r"\{[a-zA-Z]+\}")
_KEY = re.compile(r"\b[a-z]+(?:\.[a-z][A-Za-z_]+)+\b")
#: Ids, names and numbers that are the same in every language.
_DATA = re.compile(
    r"\b(?:taxi|unit|button|camera|ebike|gateway|fence|keys)/[\w.*…\-]*|\b[A-Z]{1,3}-?2[0-9]{3}-\S+|\b[0-9a-f]{12,}\b|\bv?[0-9]+\.[0-9][\w.+\-]*"
    r"|\b(?:case|alarm|test):\S*|[\w./\-]+\.(?:csv|toml|token|svg|md|json)\b|https?://\S+"
)
#: Words that Chinese texts of the trade use as they are.
_SAME = frozenset(
    [
        "axis",
        "AXIS",
        "API",
        "ASCII",
        "AVL",
        "CCTV",
        "CPU",
        "CSV",
        "EEMUA",
        "English",
        "Esc",
        "Enter",
        "Excel",
        "FPS",
        "GCJ",
        "GEOJSON",
        "GeoJSON",
        "GPS",
        "GPX",
        "GTS",
        "GiB",
        "Grafana",
        "HTTP",
        "HTTPS",
        "ICCID",
        "IMEI",
        "InfluxDB",
        "JSON",
        "KiB",
        "KML",
        "Lucheng",
        "MapLibre",
        "MiB",
        "MQTT",
        "NTP",
        "ONVIF",
        "PARQUET",
        "Parquet",
        "PDF",
        "PNG",
        "Prometheus",
        "RTSP",
        "SHA",
        "SIM",
        "SLA",
        "SOS",
        "SQLite",
        "TLS",
        "UTC",
        "VIN",
        "WGS",
        "Linux",
        "Python",
        "fastapi",
        "uvicorn",
        "argon2id",
        "bytes",
        "fps",
        "kB",
        "kbps",
        "kbit",
        "kmh",
        "lucheng",
        "make",
        "min",
        "mosquitto",
        "Ctrl",
        "Home",
        "End",
        "Shift",
        "Space",
        "Tab",
        "YOLO",
        "wang",
        "li",
        "chen",
        "zhao",
        "sun",
        "zhou",
        "wu",
        "zheng",
        "case",
        "school",
        "root",
    ]
)


def wrong_words(page: Page, language: str, data: tuple[str, ...]) -> list[str]:
    """Texts with words of the other language, with a key, or with a value that was not filled in.

    Args:
        page: as it stands.
        language: `zh` or `en`.
        data: names that people or devices gave, in whatever language.
    """
    found: list[str] = []
    for text in page.evaluate(_TEXTS):
        rest = text
        for name in data:
            rest = rest.replace(name, " ")
        if _PLACEHOLDER.search(rest):
            found.append(text)
            continue
        rest = _DATA.sub(" ", rest)
        if _KEY.search(rest) and not _HAN.search(rest):
            found.append(text)
        elif language == "en":
            if _HAN.search(rest.replace("中文", "")):
                found.append(text)
        elif any(word not in _SAME for word in _WORD.findall(rest)):
            found.append(text)
    return found


# -- axe-core -------------------------------------------------------------------------------------

_RUN = """async ([tags, rules]) => {
  const options = rules ? { runOnly: { type: 'rule', values: rules } } : { runOnly: { type: 'tag', values: tags } };
  const told = await window.axe.run(document, { ...options, resultTypes: ['violations'] });
  return told.violations.map((one) => [one.id, one.impact,
    one.nodes.slice(0, 4).map((node) => `${node.target.join(' ')}: ${node.any.concat(node.all)[0]?.message ?? node.html.slice(0, 120)}`)]);
}"""


def findings(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds that is serious or critical; of these rules, or of all of WCAG 2.2 AA."""
    told: list[Any] = page.evaluate(_RUN, [TAGS, rules])
    return [f"{name} ({impact}): {' | '.join(nodes)}" for name, impact, nodes in told if impact in SEVERE]


# -- the Tab key ----------------------------------------------------------------------------------

_FOCUSABLE = """() => {
  const named = (at) => `${at.tagName.toLowerCase()}${at.id ? '#' + at.id : ''}${at.name ? '[' + at.name + ']' : ''}`
    + ` ${(at.getAttribute('aria-label') ?? at.textContent ?? '').trim().slice(0, 40)}`;
  window.tabbed = { seen: new Set(), dull: new Set(), run: 0, last: null, longest: 0 };
  document.addEventListener('focusin', (event) => {
    const at = event.target;
    window.tabbed.seen.add(named(at));
    const style = getComputedStyle(at);
    const box = at.getBoundingClientRect();
    const ringed = (one) => (one.outlineStyle !== 'none' && parseFloat(one.outlineWidth) > 0) || one.boxShadow !== 'none';
    if (box.width > 1 && !ringed(style) && !(at.parentElement && ringed(getComputedStyle(at.parentElement)))) window.tabbed.dull.add(named(at));
  });
  const radios = new Set();
  const wanted = [];
  for (const at of document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')) {
    if (at.disabled || at.tabIndex < 0 || !at.checkVisibility({ visibilityProperty: true }) || at.closest('[inert]')) continue;
    if (at.type === 'hidden') continue;
    if (at.type === 'radio') {
      const group = `${at.name}|${at.form?.name}`;
      const checked = document.querySelector(`input[type=radio][name="${at.name}"]:checked`);
      if (checked ? checked !== at : radios.has(group)) continue;
      radios.add(group);
    }
    wanted.push(named(at));
  }
  return wanted;
}"""
#: A field of date and time has as many stops.
_STOPS_OF_A_TIME = 8


def tab_through(page: Page) -> tuple[list[str], list[str]]:
    """Press Tab through the whole page; what was not reached, and what was reached without anything to be seen of it.

    What comes and goes with a picture may have been away when its turn came: it is missed when a second time misses it too.
    """
    missed, dull = _tab_through(page)
    if missed:
        again, more = _tab_through(page)
        missed, dull = [one for one in missed if one in again], dull + more
    return missed, dull


def _tab_through(page: Page) -> tuple[list[str], list[str]]:
    page.evaluate("() => { document.activeElement?.blur?.(); window.getSelection()?.removeAllRanges(); }")
    wanted: list[str] = page.evaluate(_FOCUSABLE)
    times = page.locator("input[type=datetime-local], input[type=date], input[type=time]").count()
    for _ in range(len(wanted) + times * _STOPS_OF_A_TIME + 12):
        page.keyboard.press("Tab")
    seen, dull = page.evaluate("() => [[...window.tabbed.seen], [...window.tabbed.dull]]")
    return [one for one in wanted if one not in set(seen)], dull


def settled(page: Page) -> None:
    """Wait until the page has what it shows: nothing says that it is being loaded."""
    page.wait_for_selector("main")
    until(lambda: not page.locator("main .loading").count(), "the page to load")
    time.sleep(0.3)
