"""The pages, as HTML made here: a list, a camera, an alarm's evidence, the way in, and what went wrong. Pure.

Invariants: every text goes through `texts.html`; a page holds no script and no style of its own (the way in has its style under
a nonce, because it is shown before anything may be fetched) and names nothing outside this server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from console.live.seams import AlarmRow, CameraRow, PieceRow
from console.live.texts import PURPOSE_WORDS, Html, html, joined, say, size_words, text, time_words
from model.alarm import WORK_WORDS, Work
from model.camera import STATE_WORDS
from model.codes import ALARM_BY_NAME
from model.grant import PURPOSE_NOTE_CHARS, Purpose

#: What a browser shows by itself; everything else is saved.
_SHOWN_IMAGES = frozenset({"jpg", "jpeg", "png"})
#: Texts that the script on a camera's page says, handed over in attributes.
_SCRIPT_TEXTS = (
    "connecting", "no_picture", "stale", "age", "behind", "lost", "ended", "refused", "closed", "transcoded", "still",
)  # fmt: skip
_SEVERITY = {1: "A", 2: "B", 3: "C"}
NOTE_CHARS = 200
REF_CHARS = 64

_PAGE = (
    '<!doctype html><html lang="{lang}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title} · lucheng</title>'
    '{style}{script}</head><body><a class="skip" href="#main">{skip}</a>'
    '<header><a class="brand" href="/">lucheng <span>{brand}</span></a>'
    '<nav><a href="{switch}" lang="{other_lang}" hreflang="{other_lang}">{other}</a></nav></header>'
    '<main id="main" tabindex="-1">{body}</main></body></html>'
)


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is to be made: its language, local time, and the address that it stands at (for the language's link)."""

    language: str
    zone: ZoneInfo
    path: str = "/"
    query: tuple[tuple[str, str], ...] = ()

    def text(self, name: str, /, **values: object) -> str:
        """A text in the page's language."""
        return text(name, self.language, **values)

    def time(self, time_ms: int) -> str:
        """A moment in local time."""
        return time_words(time_ms, self.zone)


def _page(look: Look, title: str, body: Html, *, style: Html | None = None, script: bool = False) -> str:
    other = "en" if look.language == "zh" else "zh"
    query = [pair for pair in look.query if pair[0] != "lang"] + [("lang", other)]
    return html(
        _PAGE,
        lang="zh-CN" if look.language == "zh" else "en",
        title=title,
        style=style if style is not None else Html('<link rel="stylesheet" href="/static/live.css">'),
        script=Html('<script src="/static/live.js" defer></script>' if script else ""),
        skip=look.text("skip"),
        brand=look.text("title"),
        switch=f"{quote(look.path)}?{urlencode(query)}",
        other_lang="zh-CN" if other == "zh" else "en",
        other=look.text("other"),
        body=body,
    )


def camera_path(device: str) -> str:
    """Address of a camera's page."""
    return f"/camera/{quote(device)}"


def _camera_name(row: CameraRow) -> str:
    return row.name or row.device


def _state(row: CameraRow, look: Look) -> Html:
    return html('<span class="state {state}">{words}</span>', state=_state_class(row), words=state_words(row, look))


def _state_class(row: CameraRow) -> str:
    return row.state.value if row.state is not None else "unknown"


def state_words(row: CameraRow, look: Look) -> str:
    """The state of a camera in words, and what is wrong with its picture."""
    state = say(STATE_WORDS[row.state], look.language) if row.state is not None else look.text("unknown")
    return state + (f" · {row.detail}" if row.detail else "")


def _kind(row: AlarmRow, look: Look) -> str:
    known = ALARM_BY_NAME.get(row.kind)
    return say(known.words, look.language) if known else row.kind


def _work(row: AlarmRow, look: Look) -> str:
    return say(WORK_WORDS[Work(row.work)], look.language) if row.work in set(Work) else row.work


def front_page(look: Look, cameras: Sequence[CameraRow], alarms: Sequence[AlarmRow], *, after: int, more: bool) -> str:
    """Cameras, a page of them, and the open alarms."""
    camera_rows = joined(
        html(
            '<tr><td><a href="{path}">{name}</a></td><td class="mono">{device}</td><td>{state}</td><td>{since}</td></tr>',
            path=camera_path(row.device),
            name=_camera_name(row),
            device=row.device,
            state=_state(row, look),
            since=look.time(row.since_ms),
        )
        for row in cameras
    )
    alarm_rows = joined(
        html(
            '<tr><td><span class="severity s{severity}">{mark}</span> <a href="/alarm/{alarm}">{kind}</a></td>'
            "<td>{device}</td><td>{site}</td><td>{work}</td><td>{time}</td></tr>",
            severity=row.severity,
            mark=_SEVERITY.get(row.severity, "–"),
            alarm=quote(row.alarm, safe=""),
            kind=_kind(row, look),
            device=row.device,
            site=row.site,
            work=_work(row, look),
            time=look.time(row.time_ms),
        )
        for row in alarms
    )
    links = joined(
        html('<a class="button" href="/{query}">{words}</a>', query=query, words=look.text(name))
        for name, query, there in (
            ("first", "", after >= 0),
            ("next", f"?after={cameras[-1].slot}" if cameras else "", more),
        )
        if there
    )
    body = joined(
        (
            _section(look, "alarms", alarm_rows, ("kind", "device", "site", "work", "time"), "no_alarms"),
            _section(look, "cameras", camera_rows, ("name", "camera", "state", "since"), "no_cameras"),
            html('<p class="links">{links}</p>', links=links),
        )
    )
    return _page(look, look.text("title"), body)


def _section(look: Look, name: str, rows: Html, heads: Sequence[str], none: str) -> Html:
    if not rows:
        return html("<section><h2>{title}</h2><p>{none}</p></section>", title=look.text(name), none=look.text(none))
    return html(
        '<section><h2>{title}</h2><div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</section>",
        title=look.text(name),
        heads=joined(html('<th scope="col">{head}</th>', head=look.text(head)) for head in heads),
        rows=rows,
    )


def purpose_page(look: Look, row: CameraRow, alarms: Sequence[AlarmRow]) -> str:
    """Asks why; nothing of the camera is shown before that is said."""
    quick = joined(
        html(
            '<a class="button" href="{path}?{query}">{kind} · {device}</a>',
            path=camera_path(row.device),
            query=urlencode({"purpose": f"alarm:{one.alarm}"}),
            kind=_kind(one, look),
            device=one.device,
        )
        for one in alarms
    )
    options = joined(
        html('<option value="{code}">{words}</option>', code=code, words=say(words, look.language))
        for code, words in PURPOSE_WORDS.items()
    )
    body = html(
        '<h1>{name} {state}</h1><section class="card"><h2>{why}</h2><p>{why_note}</p><p class="links">{quick}</p>'
        '<form method="post" action="{path}/look"><label>{purpose}<select name="code" required>{options}</select></label>'
        '<label>{reference}<input name="ref" maxlength="{ref_chars}" autocomplete="off"></label>'
        '<label>{note}<input name="note" maxlength="{note_chars}" autocomplete="off"></label>'
        '<button class="primary">{look}</button></form></section><p><a href="/">{back}</a></p>',
        name=_camera_name(row),
        state=_state(row, look),
        why=look.text("why"),
        why_note=look.text("why_note"),
        quick=quick,
        path=camera_path(row.device),
        purpose=look.text("purpose"),
        options=options,
        reference=look.text("reference"),
        ref_chars=REF_CHARS,
        note=look.text("note"),
        note_chars=NOTE_CHARS,
        look=look.text("look"),
        back=look.text("back"),
    )
    return _page(look, _camera_name(row), body)


def camera_page(look: Look, row: CameraRow, purpose: Purpose) -> str:
    """Live video; the script takes it from here, and without one there are single pictures."""
    said = ":".join((purpose.code, purpose.ref, purpose.note)).rstrip(":")
    query = urlencode({"purpose": said})
    path = camera_path(row.device)
    texts = joined(
        html(' data-{name}="{words}"', name=name.replace("_", "-"), words=_raw(look, name)) for name in _SCRIPT_TEXTS
    )
    body = html(
        '<h1>{name} <span id="state" class="state {state}">{words}</span></h1>'
        '<figure id="stage" data-path="{path}" data-query="{query}" data-zone="{zone}"{texts}>'
        '<video id="video" muted playsinline aria-label="{label}"></video><img id="still" alt="{label}" hidden>'
        '<noscript><img src="{path}/mjpeg?{query}" alt="{label}"></noscript>'
        '<p id="cover" role="status" aria-live="polite">{connecting}</p></figure>'
        '<div class="bar"><span id="age" class="mono"></span><span id="clock" class="mono"></span>'
        '<span id="mark" class="mark" hidden></span><span id="mode" class="mark" hidden></span>'
        '<span id="note" role="status"></span><span class="grow"></span>'
        '<button id="again" type="button">{again}</button><button id="full" type="button">{full}</button></div>'
        '<p class="quiet">{purpose_head}: {purpose} {ref} {note}</p><p><a href="/">{back}</a></p>',
        name=_camera_name(row),
        state=_state_class(row),
        words=state_words(row, look),
        path=path,
        query=query,
        zone=look.zone.key,
        texts=texts,
        label=look.text("picture_of", name=_camera_name(row)),
        connecting=look.text("connecting"),
        again=look.text("again"),
        full=look.text("full"),
        purpose_head=look.text("purpose"),
        purpose=say(PURPOSE_WORDS[purpose.code], look.language),
        ref=purpose.ref,
        note=purpose.note,
        back=look.text("back"),
    )
    return _page(look, _camera_name(row), body, script=True)


def _raw(look: Look, name: str) -> str:
    """A text whose `{n}` the script fills in."""
    return look.text(name, n="{n}") if name == "age" else look.text(name)


def alarm_page(look: Look, row: AlarmRow, pieces: Sequence[PieceRow]) -> str:
    """What belongs to an alarm: clips, pictures, sounds, files."""
    made = joined(_piece(look, row, piece) for piece in pieces)
    body = html(
        '<h1><span class="severity s{severity}">{mark}</span> {kind}</h1>'
        '<p class="quiet">{device} · {site} {work} · {time} · <span class="mono">{alarm}</span></p>'
        '<h2>{evidence}</h2><div class="pieces" data-copy-shown="{copy_shown}" data-unplayable="{unplayable}">{made}</div>'
        '<p><a href="/">{back}</a></p>',
        severity=row.severity,
        mark=_SEVERITY.get(row.severity, "–"),
        kind=_kind(row, look),
        device=row.device,
        site=f"{row.site} ·" if row.site else "",
        work=_work(row, look),
        time=look.time(row.time_ms),
        alarm=row.alarm,
        evidence=look.text("evidence"),
        copy_shown=look.text("copy_shown"),
        unplayable=look.text("unplayable"),
        made=made or html("<p>{none}</p>", none=look.text("no_evidence")),
        back=look.text("back"),
    )
    return _page(look, _kind(row, look), body, script=True)


def _piece(look: Look, row: AlarmRow, piece: PieceRow) -> Html:
    query = urlencode({"purpose": f"alarm:{row.alarm}"})
    path = f"/evidence/{quote(piece.evidence, safe='')}"
    source, view = f"{path}?{query}", f"{path}/view?{query}"
    label = f"{piece.device} {look.time(piece.time_ms)}"
    if piece.kind == "video":
        shown = html(
            '<video controls preload="metadata" src="{source}" data-view="{view}" aria-label="{label}"></video>',
            source=source,
            view=view,
            label=label,
        )
    elif piece.kind == "audio":
        shown = html(
            '<audio controls preload="metadata" src="{source}" aria-label="{label}"></audio>',
            source=source,
            label=label,
        )
    elif piece.format in _SHOWN_IMAGES:
        shown = html('<img loading="lazy" src="{source}" alt="{label}">', source=source, label=label)
    else:
        shown = Html("")
    links = [html('<a href="{source}" download>{words}</a>', source=source, words=look.text("original"))]
    if piece.kind == "video":
        links.append(html('<a href="{view}">{words}</a>', view=view, words=look.text("viewing_copy")))
    if piece.device.startswith("camera/"):
        live = f"{camera_path(piece.device)}?{query}"
        links.append(html('<a href="{live}">{words}</a>', live=live, words=look.text("watch_now")))
    facts = [look.time(piece.time_ms), size_words(piece.size_bytes), piece.codec or piece.format]
    if piece.distance_m is not None:
        facts.insert(1, look.text("distance", n=f"{piece.distance_m:.0f}"))
    return html(
        '<article class="card"><h3>{device}</h3>{shown}<p class="said" role="status"></p><p>{facts}</p>{note}'
        '<p class="links">{links}</p><p class="sha mono"><abbr>SHA-256</abbr> {sha}</p></article>',
        device=piece.device,
        shown=shown,
        facts=" · ".join(facts),
        note=html('<p class="note">{note}</p>', note=piece.note) if piece.note else Html(""),
        links=joined(links),
        sha=piece.sha256,
    )


def sign_in_page(look: Look, style: str, nonce: str, *, wait_s: int, wrong: bool) -> str:
    """Asks for the token."""
    reason = "wait" if wait_s else "wrong"
    said = look.text(reason, n=wait_s) if wait_s or wrong else ""
    body = html(
        '<section class="card"><h1>{title}</h1><p>{note}</p><p class="note" role="alert">{said}</p>'
        '<form method="post" action="/enter"><label>{token}'
        '<input type="password" name="token" required autofocus autocomplete="off" maxlength="256"></label>'
        '<button class="primary">{enter}</button></form></section>',
        title=look.text("sign_in"),
        note=look.text("sign_in_note"),
        said=said,
        token=look.text("token"),
        enter=look.text("enter"),
    )
    inline = Html(f'<style nonce="{nonce}">{style}</style>')
    return _page(look, look.text("sign_in"), body, style=inline)


def error_page(look: Look, message: str, mend: str) -> str:
    """What went wrong, and what to do."""
    body = html(
        '<section class="card"><h1>{title}</h1><p>{message}</p><p>{mend}</p><p><a href="/">{back}</a></p></section>',
        title=look.text("failed"),
        message=message,
        mend=mend,
        back=look.text("back"),
    )
    return _page(look, look.text("failed"), body)


assert NOTE_CHARS + REF_CHARS <= PURPOSE_NOTE_CHARS
