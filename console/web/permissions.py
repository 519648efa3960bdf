"""Who may take which route: the one table, route by role.

Invariants: what is not in it nobody may; a route with an empty set is nobody's by web; it is only the first question: the
operations ask theirs of role, purpose, alarm and window behind it. `docs/reference/permissions.md` is made from it.

A technician sees devices and cameras as they are set up, no history; an auditor the audit alone; an administrator accounts,
devices and the system, no data of anybody; an approver what he decides about. Nobody is both officer and approver.
"""

from __future__ import annotations

from model.role import Role

O, S, F, P, T, A, D = (  # noqa: E741 as the table's columns
    Role.OPERATOR,
    Role.SUPERVISOR,
    Role.OFFICER,
    Role.APPROVER,
    Role.TECHNICIAN,
    Role.AUDITOR,
    Role.ADMIN,
)

EVERYBODY = frozenset(Role)
#: Who works with what devices told.
DESK = frozenset({O, S, F})
#: … and who approves it.
CONTENT = DESK | {P}
#: Who acts on alarms.
ACTING = frozenset({O, S})
#: Who keeps devices running.
KEEPERS = frozenset({S, T, D})
NOBODY: frozenset[Role] = frozenset()

#: Answered to everybody, signed in or not.
OPEN_ROUTES = frozenset({"session_show", "session_begin", "session_end", "setup_show", "setup_do"})

PERMISSIONS: dict[str, frozenset[Role]] = {
    # one's own
    "about": EVERYBODY,
    "session_password": EVERYBODY,
    # the service
    "status": EVERYBODY - {A},
    "system": frozenset({S, T, D}),
    "store_check": frozenset({D}),
    "ingest": NOBODY,  # names a file of the service's machine: command line alone
    # accounts
    "account_list": frozenset({D}),
    "account_add": frozenset({D}),
    "account_role": frozenset({D}),
    "account_password": frozenset({D}),
    "account_disable": frozenset({D}),
    "account_enable": frozenset({D}),
    # the audit
    "audit_list": frozenset({A}),
    "audit_verify": frozenset({A, D}),
    "audit_search": frozenset({A}),
    "audit_show": frozenset({A}),
    "audit_actions": frozenset({A}),
    "audit_export": frozenset({A}),
    # who leads the shift
    "desk_seats": frozenset({S}),
    "desk_figures": frozenset({S}),
    # alarms and units
    "alarm_list": CONTENT,
    "alarm_stats": CONTENT | {D},
    "alarm_show": CONTENT,
    "alarm_report": CONTENT,
    "alarm_shown": DESK,
    "alarm_ack": ACTING,
    "alarm_hand_over": ACTING,
    "alarm_dispatch": ACTING,
    "alarm_arrive": ACTING,
    "alarm_resolve": ACTING,
    "alarm_close": ACTING,
    "alarm_shelve": ACTING,
    "alarm_restore": ACTING,
    "unit_list": CONTENT,
    "unit_set": ACTING,
    "watch": NOBODY,  # the command line's feed; pages have `events`
    "events": CONTENT,
    "events_viewport": DESK,
    # places and history
    "where": DESK,
    "track": DESK,
    "trips": DESK,
    "report_supervision": DESK,
    "signal_list": DESK,
    "quarantine_list": frozenset({S}),
    "quarantine_show": frozenset({S}),
    # the past: what is wide needs another person besides
    "replay": CONTENT,
    "replay_frames": CONTENT,
    "search_inside": CONTENT,
    "search_both": CONTENT,
    "search_then": CONTENT,
    "search_company": CONTENT,
    "search_met": CONTENT,
    "search_cameras": CONTENT,
    "store_index": frozenset({D}),
    "export_tracks": CONTENT,
    # approvals: who asked may take his back
    "approval_ask": CONTENT,
    "approval_list": CONTENT,
    "approval_show": CONTENT,
    "approval_grant": frozenset({S, P}),
    "approval_refuse": CONTENT,
    "approval_review": frozenset({S, P}),
    # the map
    "map_style": CONTENT | {T},
    "map_roads": CONTENT | {T},
    "map_tiles": CONTENT | {T},
    "map_cameras": CONTENT | {T},
    "map_sites": CONTENT | {T},
    "map_units": DESK,
    "map_fences": CONTENT,
    "map_jurisdictions": CONTENT | {T},
    # commands: the table of commands says which of them
    "command_list": CONTENT,
    "command_show": CONTENT,
    "command_send": DESK | KEEPERS,
    "command_approve": frozenset({S, P}),
    "command_reject": CONTENT,
    "command_stop": CONTENT,
    # evidence and terminals
    "evidence_list": CONTENT,
    "evidence_show": CONTENT,
    "evidence_read": CONTENT,
    "terminal_list": CONTENT | {T, D},
    "terminal_reports": CONTENT,
    "terminal_release": KEEPERS,
    # cameras
    "camera_list": CONTENT | {T, D},
    "camera_show": CONTENT | {T, D},
    "camera_tree": CONTENT | {T, D},
    "camera_timeline": CONTENT,
    "camera_set": KEEPERS | {O},
    "camera_remove": KEEPERS | {O},
    "camera_unpark": KEEPERS | {O},
    "camera_probe": KEEPERS | {O},
    "camera_snapshot": CONTENT | {T},
    "camera_clip": CONTENT,
    "camera_recordings": CONTENT,
    "camera_recording_read": CONTENT,
    "camera_live": NOBODY,  # tells the address of the other server, with its token
    "live_socket": CONTENT,
    "live_pictures": CONTENT,
    # e-bikes
    "ebike_cases": DESK,
    "ebike_case": DESK,
    "ebike_report": ACTING,
    "ebike_recover": ACTING,
    "ebike_step": DESK,
    "ebike_officers": DESK,
    "ebike_places": DESK,
    "ebike_hand_over": DESK,
    # registration
    "device_list": CONTENT | {T, D},
    "device_show": CONTENT | {T, D},
    "device_add": KEEPERS,
    "device_import": KEEPERS,
    "device_enable": KEEPERS,
    "device_disable": KEEPERS,
    "device_credentials": frozenset({T, D}),
    "device_register": KEEPERS,
    "installation_list": KEEPERS,
    "device_install": KEEPERS,
    "device_check": KEEPERS,
    "device_test_press": KEEPERS,
    "device_test_confirm": KEEPERS,
    "device_test_picture": KEEPERS,
    "device_finish": KEEPERS,
    "device_update": KEEPERS,
    "device_swap": KEEPERS,
    "device_retire": KEEPERS,
    "device_history": KEEPERS,
    "device_bound": KEEPERS,
    "device_photo": KEEPERS,
    "device_photos": KEEPERS,
    "device_photo_read": KEEPERS,
    "site_list": CONTENT | {T, D},
    "site_add": KEEPERS,
    "jurisdiction_import": frozenset({S, D}),
    # fences
    "fence_list": CONTENT,
    "fence_show": CONTENT,
    "fence_test": CONTENT,
    "fence_export": frozenset({S, F}),
    "fence_add": frozenset({S, F}),
    "fence_import": frozenset({S}),
    "fence_remove": frozenset({S, F}),
}


def may(role: Role, route: str) -> bool:
    """Whether the role may take the route; a route that is not in the table is nobody's."""
    return role in PERMISSIONS.get(route, NOBODY)
