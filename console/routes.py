"""The one table of what can be asked: name of the operation, verb, path.

The server builds its routes from it and the client its requests, so they cannot drift apart. A name
is the method of `console.operations.Operations` that answers. It imports nothing heavy: the command
line reads it at every start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    Attributes:
        name: method of `Operations`.
        verb: GET for what changes nothing (arguments in the query), POST for a change, and for a question that may be longer
            than an address (in a JSON body).
        path: arguments in braces stand in the path; a device id holds one `/`.
        raw: the argument that is the body itself (a file), or "".
        slow: takes as long as the data is large; the time-out for answers does not hold.
    """

    name: str
    verb: Literal["GET", "POST"]
    path: str
    raw: str = ""
    slow: bool = False


#: Header of an answer in pieces: what is said of it beside its bytes, as JSON in ASCII.
TOLD_HEADER = "Lucheng-Told"

ROUTES: tuple[Route, ...] = (
    Route("about", "GET", "/v1/about"),
    Route("status", "GET", "/v1/status"),
    Route("where", "GET", "/v1/where"),
    Route("track", "GET", "/v1/track"),
    Route("trips", "GET", "/v1/trips"),
    Route("report_supervision", "GET", "/v1/reports/supervision", slow=True),
    Route("replay", "GET", "/v1/replays", slow=True),
    Route("replay_frames", "GET", "/v1/replays/{replay}/frames"),
    Route("search_inside", "POST", "/v1/search/inside"),
    Route("search_both", "POST", "/v1/search/both"),
    Route("search_then", "POST", "/v1/search/then"),
    Route("search_company", "POST", "/v1/search/company", slow=True),
    Route("search_met", "POST", "/v1/search/met"),
    Route("search_cameras", "GET", "/v1/search/cameras"),
    Route("store_index", "POST", "/v1/store/index", slow=True),
    Route("export_tracks", "POST", "/v1/export/tracks", slow=True),
    Route("quarantine_list", "GET", "/v1/quarantine"),
    Route("quarantine_show", "GET", "/v1/quarantine/{number}"),
    Route("signal_list", "GET", "/v1/signals"),
    Route("desk_seats", "GET", "/v1/desk/seats"),
    Route("desk_figures", "GET", "/v1/desk/figures", slow=True),
    Route("system", "GET", "/v1/system"),
    Route("alarm_list", "GET", "/v1/alarms"),
    Route("alarm_stats", "GET", "/v1/alarms/stats"),
    Route("alarm_shown", "POST", "/v1/alarms/shown"),
    Route("alarm_show", "GET", "/v1/alarms/{alarm}"),
    Route("alarm_report", "GET", "/v1/alarms/{alarm}/report"),
    Route("alarm_ack", "POST", "/v1/alarms/{alarm}/ack"),
    Route("alarm_hand_over", "POST", "/v1/alarms/{alarm}/hand_over"),
    Route("alarm_dispatch", "POST", "/v1/alarms/{alarm}/dispatch"),
    Route("alarm_arrive", "POST", "/v1/alarms/{alarm}/arrive"),
    Route("alarm_resolve", "POST", "/v1/alarms/{alarm}/resolve"),
    Route("alarm_close", "POST", "/v1/alarms/{alarm}/close"),
    Route("alarm_shelve", "POST", "/v1/alarms/{alarm}/shelve"),
    Route("alarm_restore", "POST", "/v1/alarms/{alarm}/restore"),
    Route("unit_list", "GET", "/v1/units"),
    Route("unit_set", "POST", "/v1/units"),
    Route("command_list", "GET", "/v1/commands"),
    Route("command_send", "POST", "/v1/commands"),
    Route("command_show", "GET", "/v1/commands/{command}"),
    Route("command_approve", "POST", "/v1/commands/{command}/approve"),
    Route("command_reject", "POST", "/v1/commands/{command}/reject"),
    Route("command_stop", "POST", "/v1/commands/{command}/stop"),
    Route("approval_list", "GET", "/v1/approvals"),
    Route("approval_ask", "POST", "/v1/approvals"),
    Route("approval_show", "GET", "/v1/approvals/{approval}"),
    Route("approval_grant", "POST", "/v1/approvals/{approval}/grant"),
    Route("approval_refuse", "POST", "/v1/approvals/{approval}/refuse"),
    Route("approval_review", "POST", "/v1/approvals/{approval}/review"),
    Route("evidence_list", "GET", "/v1/evidence"),
    Route("evidence_show", "GET", "/v1/evidence/{evidence}"),
    Route("evidence_read", "GET", "/v1/evidence/{evidence}/bytes"),
    Route("camera_list", "GET", "/v1/cameras"),
    Route("camera_tree", "GET", "/v1/tree/cameras"),
    Route("camera_timeline", "GET", "/v1/timeline/cameras"),
    Route("camera_probe", "POST", "/v1/probe/cameras", slow=True),
    Route("camera_clip", "POST", "/v1/clip/cameras", slow=True),
    Route("camera_recordings", "GET", "/v1/recordings"),
    Route("camera_recording_read", "GET", "/v1/recordings/{recording}/bytes"),
    Route("camera_set", "POST", "/v1/cameras/{camera:path}/set"),
    Route("camera_remove", "POST", "/v1/cameras/{camera:path}/remove"),
    Route("camera_unpark", "POST", "/v1/cameras/{camera:path}/unpark"),
    Route("camera_snapshot", "GET", "/v1/cameras/{camera:path}/snapshot"),
    Route("camera_live", "GET", "/v1/cameras/{camera:path}/live"),
    Route("camera_show", "GET", "/v1/cameras/{camera:path}"),
    Route("terminal_list", "GET", "/v1/terminals"),
    Route("terminal_reports", "GET", "/v1/terminals/reports"),
    Route("terminal_release", "POST", "/v1/terminals/{device:path}/release"),
    Route("ebike_cases", "GET", "/v1/cases"),
    Route("ebike_report", "POST", "/v1/cases"),
    Route("ebike_recover", "POST", "/v1/cases/recover"),
    Route("ebike_officers", "GET", "/v1/cases/officers"),
    Route("ebike_case", "GET", "/v1/cases/{case}"),
    Route("ebike_places", "GET", "/v1/cases/{case}/places"),
    Route("ebike_step", "POST", "/v1/cases/{case}/step"),
    Route("ebike_hand_over", "POST", "/v1/cases/{case}/hand_over"),
    Route("account_list", "GET", "/v1/accounts"),
    Route("account_add", "POST", "/v1/accounts"),
    Route("account_role", "POST", "/v1/accounts/{user}/role"),
    Route("account_password", "POST", "/v1/accounts/{user}/password"),
    Route("account_disable", "POST", "/v1/accounts/{user}/disable"),
    Route("account_enable", "POST", "/v1/accounts/{user}/enable"),
    Route("audit_list", "GET", "/v1/audit"),
    Route("audit_verify", "GET", "/v1/audit/verify", slow=True),
    Route("audit_search", "GET", "/v1/audit/search"),
    Route("audit_export", "POST", "/v1/audit/export", slow=True),
    Route("audit_actions", "GET", "/v1/audit/actions"),
    Route("audit_show", "GET", "/v1/audit/{number}"),
    Route("store_check", "GET", "/v1/store/check", slow=True),
    Route("ingest", "POST", "/v1/ingest", slow=True),
    Route("device_list", "GET", "/v1/devices"),
    Route("device_add", "POST", "/v1/devices"),
    Route("device_import", "POST", "/v1/import/devices", raw="data", slow=True),
    Route("site_list", "GET", "/v1/sites"),
    Route("site_add", "POST", "/v1/sites"),
    Route("jurisdiction_import", "POST", "/v1/import/jurisdictions", raw="data", slow=True),
    Route("fence_list", "GET", "/v1/fences"),
    Route("fence_add", "POST", "/v1/fences"),
    Route("fence_import", "POST", "/v1/import/fences", raw="data", slow=True),
    Route("fence_export", "GET", "/v1/export/fences", slow=True),
    Route("fence_test", "GET", "/v1/test/fences"),
    Route("fence_show", "GET", "/v1/fences/{fence}"),
    Route("fence_remove", "POST", "/v1/fences/{fence}/remove"),
    Route("device_enable", "POST", "/v1/devices/{device:path}/enable"),
    Route("device_disable", "POST", "/v1/devices/{device:path}/disable"),
    Route("device_credentials", "POST", "/v1/devices/{device:path}/credentials"),
    Route("device_register", "POST", "/v1/registrations"),
    Route("installation_list", "GET", "/v1/installations"),
    Route("device_install", "POST", "/v1/devices/{device:path}/install"),
    Route("device_check", "GET", "/v1/devices/{device:path}/check"),
    Route("device_test_press", "POST", "/v1/devices/{device:path}/test_press"),
    Route("device_test_confirm", "POST", "/v1/devices/{device:path}/test_confirm"),
    Route("device_test_picture", "POST", "/v1/devices/{device:path}/test_picture"),
    Route("device_finish", "POST", "/v1/devices/{device:path}/finish"),
    Route("device_update", "POST", "/v1/devices/{device:path}/update"),
    Route("device_swap", "POST", "/v1/devices/{device:path}/swap"),
    Route("device_retire", "POST", "/v1/devices/{device:path}/retire"),
    Route("device_history", "GET", "/v1/devices/{device:path}/history"),
    Route("device_bound", "GET", "/v1/devices/{device:path}/bound"),
    Route("device_photo", "POST", "/v1/devices/{device:path}/photo", raw="data"),
    Route("device_photos", "GET", "/v1/devices/{device:path}/photos"),
    Route("device_photo_read", "GET", "/v1/photos/{photo}/bytes"),
    Route("device_show", "GET", "/v1/devices/{device:path}"),
)
#: The feed: no operation of its own, a stream of lines (`console.feed`).
WATCH_ROUTE = Route("watch", "GET", "/v1/alarms/watch", slow=True)
ROUTE_BY_NAME = {route.name: route for route in ROUTES}
