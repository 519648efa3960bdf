"""A supervision's document as one HTML file that needs nothing else: no script, no picture, no address.

Invariants: every text of the registry is escaped, and the page's own policy forbids scripts and anything from elsewhere;
the same document, language and limits give the same bytes. Times are the city's. Long lists are cut, and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from console.reports.charts import bars, columns, histogram
from console.reports.style import STYLE
from console.reports.texts import HOW, SOURCE, Language, band_text, said, text
from model.codes import ALARM_BY_NAME

DEFAULT_EVIDENCE_ROWS = 1_000
#: Companies in the chart; those with the lowest rate are shown.
CHART_COMPANIES = 7
#: A table with more columns is written smaller.
DENSE_COLUMNS = 16
_BINS = 12
_MINUTE_S, _HOUR_S = 60, 3_600

Row = Mapping[str, Any]
Shown = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table: its head, how a row's cell reads, and whether it is a number, a text, or neither."""

    head: str
    cell: Callable[[Row], str]
    kind: str = ""


def html_bytes(report: Row, language: Language, *, evidence_rows: int = DEFAULT_EVIDENCE_ROWS) -> bytes:
    """The page as UTF-8; of each list of evidence at most `evidence_rows`."""
    return "".join(_Page(report, language, evidence_rows).pieces()).encode()


class _Page:
    def __init__(self, report: Row, language: Language, evidence_rows: int) -> None:
        self._report, self._language, self._rows = report, language, evidence_rows
        self._zone = ZoneInfo(report["time_zone"])
        self._edges: list[int] = list(report["limits"]["overspeed_bands_pct"])

    def _t(self, key: str, **fields: object) -> str:
        return escape(text(self._language, key, **fields))

    def pieces(self) -> Iterator[str]:
        """The page."""
        report = self._report
        subtitle = text(
            self._language,
            "subtitle",
            city=report["city"],
            date=report["date"],
            from_=self._clock(report["from"], date=True),
            to=self._clock(report["to"], date=True),
            zone=report["time_zone"],
        )
        yield (
            f'<!doctype html>\n<html lang="{"zh-CN" if self._language == "zh" else "en"}"><head><meta charset="utf-8">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            '<meta name="viewport" content="width=device-width">'
            f"<title>{self._t('title')} {escape(report['date'])}</title><style>{STYLE}</style></head><body><main>\n"
            f"<h1>{self._t('title')}</h1><p>{escape(subtitle)}</p>"
        )
        if not report["complete"]:
            yield f'<p class="warn">{self._t("partial")}</p>'
        of = self._t("of_vehicles", vehicles=f"{len(report['vehicles']):,}", points=f"{report['points']:,}")
        digest = self._t("data", digest=report["data_sha256"], fences=report["fences"])
        yield f'<p>{of}</p><p class="digest">{digest}</p>\n'
        yield self._cards()
        yield f'<div class="charts">{"".join(self._charts())}</div>\n'
        yield self._table("h.companies", report["companies"], self._sum_columns(company=True), cut=False)
        yield self._table("h.overspeed", report["overspeed"], self._overspeed_columns())
        yield self._table("h.fatigue", report["fatigue"], self._fatigue_columns())
        yield self._table("h.areas", report["areas"], self._area_columns())
        yield self._table("h.gaps", report["gaps"], self._gap_columns())
        yield self._table("h.vehicles", report["vehicles"], self._sum_columns(company=False), cut=False)
        yield self._how()
        yield "</main></body></html>\n"

    # -- parts ----------------------------------------------------------------------------------

    def _cards(self) -> str:
        city = self._report["city_totals"]
        shown = [
            ("online_rate", _percent(city["online_rate"])),
            ("completeness", _percent(city["completeness"])),
            ("valid_rate", _percent(city["valid_rate"])),
            ("drift_rate", _percent(city["drift_rate"], 2)),
            ("drifting_rate", _percent(city["drifting_rate"])),
            ("online_time_rate", _percent(city["online_time_rate"])),
            ("distance_km", f"{_grouped(city['distance_km'])} {text(self._language, 'km')}"),
            ("driving_s", f"{_grouped(city['driving_s'] / _HOUR_S)} {text(self._language, 'h')}"),
            ("occupied_distance_share", _percent(city["occupied_distance_share"])),
            ("overspeed", _grouped(city["overspeed"])),
            ("fatigue", _grouped(city["fatigue"])),
            ("areas", _grouped(city["areas"])),
        ]
        cards = "".join(
            f'<div class="card"><b>{escape(value)}</b><span>{self._t(key)}</span></div>' for key, value in shown
        )
        return f'<div class="cards">{cards}</div>\n'

    def _charts(self) -> Iterator[str]:
        report, city = self._report, self._report["city_totals"]
        hours = report["hours"]
        labels = [self._clock(hour["start"])[:2] for hour in hours]
        share = [_times(hour["occupied_time_share"], 100) for hour in hours]
        yield self._chart("c.online", columns(labels, [hour["online"] for hour in hours], title=self._t("c.online")))
        ways = [hour["distance_km"] for hour in hours]
        yield self._chart("c.distance", columns(labels, ways, title=self._t("c.distance")))
        yield self._chart("c.occupied", columns(labels, share, title=self._t("c.occupied"), most=100.0))
        counts = city["overspeed_bands"]
        names = [band_text(self._language, self._edges, band) for band in range(len(counts))]
        yield self._chart("c.bands", bars(names, counts, title=self._t("c.bands")))
        driven = [row["distance_km"] for row in report["vehicles"] if row["online"]]
        yield self._chart("c.spread", columns(*histogram(driven, _BINS), title=self._t("c.spread")))
        worst = sorted(
            (row for row in report["companies"] if row["completeness"] is not None),
            key=lambda row: (row["completeness"], row["company"]),
        )[:CHART_COMPANIES]
        yield self._chart(
            "c.companies",
            bars(
                [row["company"] or text(self._language, "no_company") for row in worst],
                [(1.0 - row["completeness"]) * 100 for row in worst],
                title=self._t("c.companies"),
                decimals=1,
            ),
        )

    def _chart(self, key: str, drawing: str) -> str:
        return f'<div class="chart"><h3>{self._t(key)}</h3>{drawing}</div>'

    def _table(self, key: str, rows: Sequence[Row], shown: Sequence[_Column], *, cut: bool = True) -> str:
        head = f"<h2>{self._t(key)}</h2>"
        if not rows:
            return f"{head}<p>{self._t('none')}</p>\n"
        some = rows[: self._rows] if cut else rows
        if len(some) < len(rows):
            head += f"<p>{self._t('more', shown=f'{len(some):,}', count=f'{len(rows):,}')}</p>"
        heads = "".join(f"<th{_class(column.kind)}>{column.head}</th>" for column in shown)
        classes = [_class(column.kind) for column in shown]
        body = "".join(
            "<tr>"
            + "".join(f"<td{kind}>{escape(column.cell(row))}</td>" for kind, column in zip(classes, shown, strict=True))
            + "</tr>\n"
            for row in some
        )
        dense = _class("dense" if len(shown) > DENSE_COLUMNS else "")
        return f'{head}<div class="table"><table{dense}><thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table></div>\n'

    def _how(self) -> str:
        limits = self._report["limits"]
        fields = {
            **limits,
            "drive": _lasted(limits["fatigue_drive_s"]),
            "rest": _lasted(limits["fatigue_rest_s"]),
        }
        names = {
            "gap": "trip_gap_s", "fast": "max_speed_kmh", "jump": "jump_min_m", "drift": "drift_points",
            "stop": "stop_min_s", "diameter": "stop_diameter_m", "over": "overspeed_over_kmh",
            "least": "overspeed_min_s", "city": "overspeed_kmh", "silent": "offline_s",
        }  # fmt: skip
        fields |= {name: _plain(limits[key]) for name, key in names.items()}
        parts = "".join(
            f"<dt>{self._t(key)}</dt><dd>{escape(said(self._language, how, **fields))}</dd>" for key, how in HOW
        )
        source = escape(said(self._language, SOURCE))
        return f"<h2>{self._t('h.how')}</h2><dl>{parts}</dl><p>{source}</p>\n"

    # -- columns --------------------------------------------------------------------------------

    def _text(self, key: str, name: str | None = None) -> _Column:
        return _Column(self._t(key), lambda row: str(row[name or key] or ""), "text")

    def _count(self, key: str) -> _Column:
        return _Column(self._t(key), lambda row: _grouped(row[key]), "n")

    def _rate(self, key: str, decimals: int = 1) -> _Column:
        return _Column(self._t(key), lambda row: _percent(row[key], decimals), "n")

    def _spell(self, key: str, name: str | None = None) -> _Column:
        return _Column(self._t(key), lambda row: _lasted(row[name or key]), "n")

    def _time(self, key: str, *, seconds: bool = True) -> _Column:
        letters = None if seconds else -len(":00")
        return _Column(self._t(key), lambda row: self._clock(row[key])[:letters] if row[key] else "", "n")

    def _place(self) -> _Column:
        return _Column(self._t("place"), lambda row: _place(row["lat"], row["lon"]), "n")

    def _heads(self) -> list[_Column]:
        return [_Column(self._t("device"), lambda row: str(row["device"])), self._text("plate"), self._company()]

    def _company(self) -> _Column:
        nobody = text(self._language, "no_company")
        return _Column(self._t("company"), lambda row: row["company"] or nobody, "text")

    def _sum_columns(self, *, company: bool) -> list[_Column]:
        km = f"{self._t('distance_km')} ({self._t('km')})"
        if company:
            heads = [self._company(), self._count("vehicles"), self._count("online"), self._rate("online_rate")]
        else:
            heads = [*self._heads(), self._time("first", seconds=False), self._time("last", seconds=False)]
        rest = [
            self._rate("completeness"),
            self._rate("valid_rate"),
            self._rate("drift_rate", 2),
            _Column(km, lambda row: _grouped(row["distance_km"], 1), "n"),
            self._spell("driving_s"),
            self._spell("standing_s"),
            self._count("trips"),
            self._count("hires"),
            self._rate("occupied_distance_share"),
            self._count("overspeed"),
            self._count("fatigue"),
            self._count("areas"),
            self._count("gaps"),
            self._spell("offline_s"),
        ]
        return [*heads, *rest]

    def _overspeed_columns(self) -> list[_Column]:
        def band(row: Row) -> str:
            return band_text(self._language, self._edges, row["band"])

        def peak(row: Row) -> str:
            return self._clock(row["peak"]["time"])

        return [
            *self._heads(),
            self._time("start"),
            self._spell("lasted", "lasted_s"),
            _Column(self._t("band"), band),
            _Column(self._t("peak"), peak, "n"),
            _Column(self._t("kmh"), lambda row: _grouped(row["peak"]["kmh"], 1), "n"),
            _Column(self._t("limit_kmh"), lambda row: _grouped(row["limit_kmh"]), "n"),
            self._text("fence"),
            _Column(self._t("place"), lambda row: _place(row["peak"]["lat"], row["peak"]["lon"]), "n"),
        ]

    def _fatigue_columns(self) -> list[_Column]:
        times = [self._time("start"), self._time("end"), self._spell("driven", "driven_s"), self._time("over")]
        return [*self._heads(), *times, self._place()]

    def _area_columns(self) -> list[_Column]:
        def kind(row: Row) -> str:
            return said(self._language, ALARM_BY_NAME[row["kind"]].words)

        def end(row: Row) -> str:
            return self._clock(row["end"]) if row["end"] else text(self._language, "still")

        return [
            *self._heads(),
            _Column(self._t("kind"), kind),
            self._text("fence"),
            self._time("start"),
            _Column(self._t("end"), end, "n"),
            self._place(),
        ]

    def _gap_columns(self) -> list[_Column]:
        metres = f"{self._t('moved_m')} ({self._t('m')})"
        times = [self._time("start"), self._time("end"), self._spell("lasted", "lasted_s")]
        return [*self._heads(), *times, _Column(metres, lambda row: _grouped(row["moved_m"]), "n"), self._place()]

    def _clock(self, rfc3339: str, *, date: bool = False) -> str:
        """A time of the city, `08:00:00`, or with its date."""
        moment = datetime.fromisoformat(rfc3339).astimezone(self._zone)
        return moment.strftime("%Y-%m-%d %H:%M" if date else "%H:%M:%S")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _percent(value: float | None, decimals: int = 1) -> str:
    return "–" if value is None else f"{value * 100:.{decimals}f} %"


def _grouped(value: float | None, decimals: int = 0) -> str:
    return "–" if value is None else f"{value:,.{decimals}f}"


def _plain(value: float) -> str:
    return f"{value:g}"


def _place(lat: float | None, lon: float | None) -> str:
    return "" if lat is None or lon is None else f"{lat:.5f}, {lon:.5f}"


def _lasted(seconds: float) -> str:
    """A duration as `h:mm:ss`."""
    whole = round(seconds)
    return f"{whole // _HOUR_S}:{whole % _HOUR_S // _MINUTE_S:02d}:{whole % _MINUTE_S:02d}"
